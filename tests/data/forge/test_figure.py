"""Whole figures: twins that differ in the forgery alone, masks as planned, the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from forgery_rcnn.data.forge import figure as figure_module
from forgery_rcnn.data.forge import treatments
from forgery_rcnn.data.forge.blend import REACH
from forgery_rcnn.data.forge.figure import Figure, make
from forgery_rcnn.data.forge.plans import SMALLEST, Plan, Recipe, plan
from forgery_rcnn.data.forge.views import Pool
from forgery_rcnn.data.forge.work import Work


def small(case: int, **changes: object) -> Plan:
    """A plan of a size that is quick to make."""
    found = plan(case, 5, Recipe(authentic=0.0))
    size = tuple(int(side) for side in np.random.default_rng(case).integers(150, 420, 2))
    return replace(found, **{"size": size, **changes}).feasible()


@pytest.fixture(scope="module")
def made(pool: Pool) -> list[tuple[Plan, Figure]]:
    """Sixty figures, nothing done to them afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(treatments, "CHANCES", dict.fromkeys(treatments.CHANCES, 0.0))
        plans = [small(case) for case in range(60)]
        return [(each, make(each, pool)) for each in plans]


def test_twins_differ_in_what_is_marked_alone(made: list[tuple[Plan, Figure]]) -> None:
    for each, figure in made:
        changed = figure.before != figure.after
        changed = changed if changed.ndim == 2 else changed.any(axis=2)
        reach = np.ones((2 * REACH + 1,) * 2, np.uint8)
        marked = cv2.dilate(figure.masks.any(axis=0).astype(np.uint8), reach) > 0
        if not any(step.operation == "overlap" for step in figure.steps):
            assert not changed[~marked].any(), each


def test_every_plan_is_carried_out(made: list[tuple[Plan, Figure]]) -> None:
    ratios = []
    for each, figure in made:
        assert len(figure.steps) == len(figure.masks) == len(each.operations)
        assert figure.masks.shape[1:] == each.size and figure.masks.dtype == np.uint8
        assert figure.masks.max() == 1 and figure.masks.sum(axis=(1, 2)).min() >= SMALLEST
        assert not (figure.masks.sum(axis=0) > 1).any(), "instances keep apart"
        ratios.append(figure.masks.any(axis=0).mean() / each.area)
    assert np.median(ratios) == pytest.approx(1, abs=0.2) and min(ratios) > 0.15 and max(ratios) < 2.2


def test_every_channel_holds_a_change(made: list[tuple[Plan, Figure]]) -> None:
    for _, figure in made:
        changed = (figure.before != figure.after).reshape(*figure.masks.shape[1:], -1).any(axis=2)
        assert all(changed[mask > 0].any() for mask in figure.masks)


@pytest.mark.parametrize(("mode", "shape"), [("RGB", (3,)), ("RGBA", (4,)), ("L", ())])
@pytest.mark.parametrize("layout", ["view", "blot", "compound"])
def test_modes(mode: str, shape: tuple[int, ...], layout: str, pool: Pool) -> None:
    figure = make(small(3, mode=mode, layout=layout, operations=("copy_move",)), pool)
    for pixels in (figure.before, figure.after):
        assert pixels.dtype == np.uint8 and pixels.shape == (*figure.masks.shape[1:], *shape)
    if mode == "RGBA":
        assert (
            np.array_equal(figure.before[..., 3], figure.after[..., 3])
            and figure.before[10:-10, 10:-10, 3].min() == 255
        )


def test_the_same_plan_gives_the_same_bytes(pool: Pool) -> None:
    for case in range(6):
        one, other = (make(small(case), Pool(pool.hosts)) for _ in range(2))
        assert np.array_equal(one.after, other.after) and np.array_equal(one.before, other.before)
        assert np.array_equal(one.masks, other.masks) and one.treatment == other.treatment
    assert not np.array_equal(one.after, make(replace(small(5), seed=6), pool).after)


def test_nothing_is_forged_where_the_plan_says_so(pool: Pool) -> None:
    figure = make(small(1, operations=()), pool)
    assert figure.steps == () and len(figure.masks) == 0 and np.array_equal(figure.before, figure.after)


@pytest.mark.parametrize("size", [(64, 74), (64, 400), (1400, 90), (96, 96)])
def test_the_smallest_and_oddest_figures_can_be_made(size: tuple[int, int], pool: Pool) -> None:
    for case in range(4):
        figure = make(small(case, layout="view", operations=("copy_move",), area=0.04, size=size), pool)
        assert figure.masks.shape[1:] == size and len(figure.steps) == 1


def test_what_is_planned_is_done_where_it_can_be(made: list[tuple[Plan, Figure]]) -> None:
    done = [step.operation for _, figure in made for step in figure.steps]
    planned = [name for each, _ in made for name in each.operations]
    assert np.mean([one == other for one, other in zip(done, planned, strict=True)]) > 0.45


def test_only_what_is_allowed_is_done_instead(pool: Pool) -> None:
    for case in range(8):
        plan_ = small(case, layout="compound", operations=("lanes",), allowed=("lanes", "splice"), area=0.02)
        assert {step.operation for step in make(plan_, pool).steps} <= {"lanes", "splice"}


def test_what_cannot_be_done_is_not_forged(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than look for a place for ever."""
    monkeypatch.setattr(Work, "fits", lambda *_: False)
    monkeypatch.setattr(figure_module, "ROUNDS", 2)
    figure = make(small(2, layout="view", operations=("copy_move",)), pool)
    assert figure.steps == () and len(figure.masks) == 0 and np.array_equal(figure.before, figure.after)


def test_hosts_name_all_that_is_shown(made: list[tuple[Plan, Figure]], pool: Pool) -> None:
    known = {host.id for host in pool.hosts}
    for _, figure in made:
        assert set(figure.hosts) <= known
        assert {host for step in figure.steps for host in step.hosts} <= set(figure.hosts)
    assert any(len(figure.hosts) > 1 for _, figure in made)
