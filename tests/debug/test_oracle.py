"""The ladder names the part that was broken, on four models with one part broken each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from debug import oracle as probe
from debug.case import Case, Specimen
from debug.probe import plain
from forgery_rcnn.inference import oracle
from forgery_rcnn.inference.oracle import PARTS, RUNGS


def measured(case: Case) -> oracle.Ladder:
    return probe.measure(case, [probe.look(specimen) for specimen in case.specimens()])


@pytest.mark.parametrize("part", PARTS)
def test_the_broken_part_is_named(broken: Callable[[str], Case], part: str) -> None:
    found = measured(broken(part))
    assert found.failing() == part
    assert found.mean(()) < 0.9 < found.mean((part,))
    others = [found.mean((other,)) for other in PARTS if other != part]
    assert found.mean((part,)) > max(others), "also when each is mended alone"
    assert probe.lines(found)[-1].startswith(f"verdict: {oracle.NAMES[part]} fails most: it costs 0.")


def test_no_part_of_a_healthy_one(healthy: Case, specimens: list[Specimen]) -> None:
    found = probe.measure(healthy, [probe.look(specimen) for specimen in specimens])
    assert found.failing() is None or found.shares[found.failing()] < 0.1
    assert found.mean(PARTS) == 1.0
    assert sum(found.shares.values()) == pytest.approx(found.mean(PARTS) - found.mean(()))
    assert plain(found)["rungs"].keys() == {"+".join(rung) for rung in RUNGS}


def test_shares_are_shapley_values() -> None:
    """Masks are worth 0.2 whatever else; boxes and scores 0.6 together, nothing alone; proposals nothing."""
    worth = {rung: 0.1 + 0.2 * ("masks" in rung) + 0.6 * ({"boxes", "scores"} <= set(rung)) for rung in RUNGS}
    found = oracle.ladder([worth, worth])
    assert found.shares == pytest.approx({"proposals": 0, "boxes": 0.3, "scores": 0.3, "masks": 0.2})
    assert found.failing() in ("boxes", "scores") and len(RUNGS) == 16
    assert [found.gains[part].value for part in PARTS] == pytest.approx([0, 0, 0, 0.2])


def test_parts_that_fail_together_are_named_together() -> None:
    worth = {rung: 0.5 + 0.5 * ({"scores", "masks"} <= set(rung)) for rung in RUNGS}
    said = oracle.verdict(oracle.ladder([worth]))
    assert said.startswith(
        "several parts fail together, the classifier (scores) most: they cost the classifier (scores) 0.25"
    )
    assert "the mask head 0.2500 of the 0.5000" in said and "its truth alone gives 0.5000" in said


def test_nothing_to_gain_is_no_failure() -> None:
    same = oracle.ladder([dict.fromkeys(RUNGS, 0.5)])
    assert same.failing() is None and "no part fails" in oracle.verdict(same)


def test_an_authentic_image_that_is_flagged_is_the_classifiers_fault(healthy: Case) -> None:
    (record,) = [r for r in healthy.split.full if r.label == "authentic" and r.case_id == healthy.items[0].case_id]
    with np.errstate(all="raise"):
        scores = probe.look(healthy.opened(record))
    assert scores[("scores",)] == 1.0 and scores[PARTS] == 1.0
    assert scores[("boxes",)] == scores[("masks",)] == scores[()]
