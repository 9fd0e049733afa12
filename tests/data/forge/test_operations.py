"""Every operation, on figures of drawn cells: what it says it did is what the pixels show, and else it does nothing."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from forgery_rcnn.data.forge import layout, motions
from forgery_rcnn.data.forge.blend import REACH
from forgery_rcnn.data.forge.figure import composed
from forgery_rcnn.data.forge.motions import Motion
from forgery_rcnn.data.forge.operations import OPERATIONS
from forgery_rcnn.data.forge.operations.removal import FILLERS
from forgery_rcnn.data.forge.operations.retouch import RETOUCHES
from forgery_rcnn.data.forge.plans import Plan
from forgery_rcnn.data.forge.regions import CLOSE_ENOUGH, Region
from forgery_rcnn.data.forge.views import Pool, Views
from forgery_rcnn.data.forge.work import VISIBLE, Step, Work

COPIES = ("copy_move", "between_panels", "lanes", "panel_reuse", "overlap")
SHARES = {"panel_reuse": (0.2, 0.5), "overlap": (0.05, 0.3), "lanes": (0.005, 0.06)}


def worked(name: str, pool: Pool, seed: int) -> tuple[Work, Step | None, float]:
    """A figure that suits the operation, the operation done to it, and the area asked for."""
    rng = np.random.default_rng(seed)
    views = Views(pool, rng)
    kind = "compound" if name in ("between_panels", "overlap", "panel_reuse") else "blot" if name == "lanes" else "view"
    size = (420, 560) if kind == "compound" else (300, 420)
    scene = composed(Plan(0, 0, size, kind, "RGB", 0.1, (name,)), views, rng)
    work = Work(scene, views, 40.0)
    area = float(rng.uniform(*SHARES.get(name, (0.004, 0.05)))) * work.free.size
    return work, OPERATIONS[name](work, area, rng), area


def done(name: str, pool: Pool, count: int = 60) -> Iterator[tuple[Work, Step, float]]:
    """The cases where a place was found."""
    for seed in range(count):
        work, step, area = worked(name, pool, seed)
        if step is not None:
            yield work, step, area


def drawn(regions_: tuple[Region, ...], size: tuple[int, int], reach: int = 0) -> np.ndarray:
    """-> (H, W) bool, all the regions, grown by `reach`."""
    whole = np.zeros(size, np.uint8)
    for region in regions_:
        region.window(whole)[region.mask] = 1
    return cv2.dilate(whole, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0


@pytest.mark.parametrize("name", OPERATIONS)
def test_most_figures_that_suit_it_find_a_place(name: str, pool: Pool) -> None:
    least = {"panel_reuse": 4, "overlap": 8, "between_panels": 15}.get(name, 30)
    assert sum(1 for _ in done(name, pool)) >= least


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_changed_is_what_is_marked(name: str, pool: Pool) -> None:
    for work, step, area in done(name, pool):
        changed = (work.after != work.before).any(axis=2)
        marked = drawn(step.marked, work.size)
        if name == "overlap":  # the second panel shows another field as a whole
            x, y = step.targets[0].x, step.targets[0].y
            (box,) = [p.box for p in work.scene.panels if p.box[:2] == (x, y)]
            assert not np.delete(changed, range(box[1], box[3]), axis=0).any()
        else:
            assert not changed[~drawn(step.marked, work.size, REACH)].any()
            assert CLOSE_ENOUGH[0] * area * 0.8 < marked.sum() < CLOSE_ENOUGH[1] * area * 2
        for target in step.targets:
            difference = cv2.absdiff(target.window(work.after), target.window(work.before))
            assert difference[target.mask].mean() > 0.5 * VISIBLE


@pytest.mark.parametrize("name", COPIES)
def test_targets_show_their_source_where_the_matrix_says(name: str, pool: Pool) -> None:
    """Correlation of every target with its source brought there; a Poisson blend changes colours, alpha mixes."""
    found = []
    for work, step, _ in done(name, pool, 40):
        inked = drawn((), work.size) if name not in ("overlap", "panel_reuse") else work.scene.ink
        for target, matrix in zip(step.targets, step.matrices, strict=True):
            inner = cv2.erode(np.pad(target.mask, 1).astype(np.uint8), np.ones((5, 5), np.uint8))[1:-1, 1:-1] > 0
            inner &= ~target.window(cv2.dilate(inked.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0)
            lettered = np.repeat(inked[..., None].astype(np.uint8), 3, axis=2)
            inner &= motions.content(lettered, Motion(matrix, target))[..., 0] == 0
            if inner.sum() < 200:
                continue
            source = work.before if name != "panel_reuse" else work.scene.bare
            brought = motions.content(source, Motion(matrix, target))
            pairs = [each[inner].mean(axis=1) for each in (brought, target.window(work.after))]
            found.append(float(np.corrcoef(*pairs)[0, 1]))
    assert len(found) >= 3 and min(found) > 0.4 and np.median(found) > 0.97


@pytest.mark.parametrize("name", COPIES)
def test_source_and_copies_are_one_instance_and_the_source_is_untouched(name: str, pool: Pool) -> None:
    for work, step, _ in done(name, pool, 30):
        assert step.source is not None and step.marked == (step.source, *step.targets)
        assert 1 <= len(step.targets) == len(step.matrices) <= 4
        far = step.source.mask & ~step.source.window(drawn(step.targets, work.size, REACH))
        assert np.array_equal(step.source.window(work.after)[far], step.source.window(work.before)[far])


@pytest.mark.parametrize("name", OPERATIONS)
def test_marked_regions_lie_on_free_room_and_are_taken(name: str, pool: Pool) -> None:
    for work, step, _ in done(name, pool, 30):
        if name not in ("overlap", "panel_reuse"):  # whole panels, with their letters
            assert (work.free[drawn(step.marked, work.size)] > 0).all()
        work.take(step)
        assert not work.free[drawn(step.marked, work.size)].any()


@pytest.mark.parametrize("name", OPERATIONS)
def test_where_no_place_is_found_nothing_is_done(name: str, pool: Pool) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        work = Work(layout.compose((300, 420), Views(pool, rng), rng), Views(pool, rng), 40.0)
        work.free[:] = np.where(rng.random(work.size) < 0.98, work.free, 0)  # holes everywhere
        assert OPERATIONS[name](work, 0.02 * work.free.size, rng) is None
        assert np.array_equal(work.before, work.scene.canvas) and np.array_equal(work.after, work.scene.canvas)


def test_between_panels_leaves_the_source_s_panel(pool: Pool) -> None:
    for work, step, _ in done("between_panels", pool):
        panels = [set(np.unique(region.window(work.scene.room)[region.mask])) for region in step.marked]
        assert all(len(found) == 1 for found in panels) and all(found != panels[0] for found in panels[1:])


def test_copy_move_stays_in_one_panel_and_copies_up_to_four(pool: Pool) -> None:
    counts = [len(step.targets) for _, step, _ in done("copy_move", pool, 150)]
    assert set(counts) >= {1, 2, 3} and np.mean(np.array(counts) == 1) > 0.6


def test_a_splice_marks_only_what_was_pasted_and_names_its_donor(pool: Pool) -> None:
    for work, step, _ in done("splice", pool):
        assert step.marked == step.targets and len(step.hosts) == 1
        assert step.hosts[0] not in work.scene.hosts
        assert step.parameters["donor"] == step.hosts[0]


def test_every_retouch_and_filler_is_used(pool: Pool) -> None:
    retouches = [step.parameters["retouch"] for _, step, _ in done("retouch", pool, 80)]
    assert set(retouches) == set(RETOUCHES) and retouches.count("background") >= 5
    assert {step.parameters["filler"] for _, step, _ in done("removal", pool, 80)} == set(FILLERS)


@pytest.mark.parametrize("name", FILLERS)
def test_fillers_take_an_object_away_and_leave_the_rest(name: str) -> None:
    """A bright disc on textured ground is gone: the filled region is like its surroundings."""
    rng = np.random.default_rng(0)
    ground = np.clip(90 + cv2.GaussianBlur(rng.normal(0, 40, (90, 110, 3)), (0, 0), 2), 0, 255).astype(np.uint8)
    pixels = cv2.circle(ground.copy(), (55, 45), 14, (240, 240, 240), -1)
    mask = cv2.circle(np.zeros((90, 110), np.uint8), (55, 45), 17, 1, -1) > 0
    filled = FILLERS[name](pixels, mask, ~mask, rng)
    far = cv2.dilate(mask.astype(np.uint8), np.ones((13, 13), np.uint8)) == 0
    assert filled.dtype == np.uint8 and np.array_equal(filled[far], pixels[far])
    assert abs(filled[mask].mean() - ground.mean()) < 12 and filled[mask].max() < 200


def test_the_exemplar_fills_with_texture_not_with_a_smear() -> None:
    rng = np.random.default_rng(1)
    stripes = np.repeat((128 + 80 * np.sin(np.arange(120) / 2))[None, :, None], 100, axis=0).repeat(3, axis=2)
    pixels = stripes.astype(np.uint8)
    mask = np.zeros((100, 120), bool)
    mask[35:65, 40:80] = True
    assert FILLERS["exemplar"](pixels, mask, ~mask, rng)[mask].std() > 0.8 * pixels[mask].std()
    assert FILLERS["diffusion"](pixels, mask, ~mask, rng)[mask].std() < 0.8 * pixels[mask].std()
