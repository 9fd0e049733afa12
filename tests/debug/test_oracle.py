"""The ladder names the part that was broken, on four models with one part broken each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from debug import oracle as probe
from debug.case import Case, Specimen
from debug.probe import plain
from forgery_rcnn.inference import oracle
from forgery_rcnn.inference.oracle import PARTS, RUNGS
from forgery_rcnn.instances import Instances
from forgery_rcnn.models.anatomy import true_regions


def measured(case: Case) -> oracle.Ladder:
    return probe.measure(case, [probe.look(specimen) for specimen in case.specimens()])


@pytest.mark.parametrize("part", PARTS)
def test_the_broken_part_is_named(broken: Callable[[str], Case], part: str) -> None:
    found = measured(broken(part))
    assert found.failing() == part and found.blamed() == [part]
    assert found.mean(()) < 0.9 < found.mean((part,))
    others = [found.mean((other,)) for other in PARTS if other != part]
    assert found.mean((part,)) > max(others), "also when each is mended alone"
    assert probe.lines(found)[-1].startswith(f"verdict: {oracle.NAMES[part]} fails most: it costs 0.")


def test_no_part_of_a_healthy_one(healthy: Case, specimens: list[Specimen]) -> None:
    found = probe.measure(healthy, [probe.look(specimen) for specimen in specimens])
    assert found.failing() is None or found.shares[found.failing()].value < 0.1
    assert found.mean(PARTS) == 1.0
    assert sum(share.value for share in found.shares.values()) == pytest.approx(found.gap())
    assert plain(found)["rungs"].keys() == {"+".join(rung) for rung in RUNGS}


def ladder(worth: Callable[[tuple[str, ...]], float], images: int = 3, forged: bool = True) -> oracle.Ladder:
    """The same worth of every rung on each image."""
    return oracle.ladder([oracle.Climbed({rung: worth(rung) for rung in RUNGS}, forged)] * images)


def test_shares_are_shapley_values() -> None:
    """Masks are worth 0.2 whatever else; boxes and scores 0.6 together, nothing alone; proposals nothing."""
    found = ladder(lambda rung: 0.1 + 0.2 * ("masks" in rung) + 0.6 * ({"boxes", "scores"} <= set(rung)))
    shares = {part: found.shares[part].value for part in PARTS}
    assert shares == pytest.approx({"proposals": 0, "boxes": 0.3, "scores": 0.3, "masks": 0.2})
    assert [found.gains[part].value for part in PARTS] == pytest.approx([0, 0, 0, 0.2])
    assert found.blamed() == ["boxes", "scores", "masks"] and len(RUNGS) == 16


def test_parts_that_fail_together_are_named_together() -> None:
    said = oracle.verdict(ladder(lambda rung: 0.5 + 0.5 * ({"scores", "masks"} <= set(rung))))
    assert said.startswith(
        "several parts fail together: they cost the classifier (scores) 0.2500 [0.2500, 0.2500], the mask"
    )
    assert said.endswith("begin with the classifier (scores): the others are fed by it")


def test_a_part_that_is_surely_behind_is_not_blamed_and_one_that_may_not_be_is() -> None:
    def climbed(scores: float, boxes: float) -> oracle.Climbed:
        worth = {rung: 0.1 + scores * ("scores" in rung) + boxes * ("boxes" in rung) for rung in RUNGS}
        return oracle.Climbed(
            {rung: worth[rung] + (1 - 0.1 - scores - boxes) * (rung == PARTS) for rung in RUNGS}, True
        )

    sure = oracle.ladder([climbed(0.5, 0.2)] * 5)
    assert sure.failing() == "scores" and sure.blamed() == ["scores"]
    mixed = oracle.ladder([climbed(0.5, 0.2), climbed(0.2, 0.45)] * 3)
    assert mixed.failing() == "scores" and mixed.blamed() == ["boxes", "scores"]
    said = oracle.verdict(mixed)
    assert (
        said.startswith("the classifier (scores) fails most")
        and "not place surely behind it: the box regressor" in said
    )


def test_nothing_to_gain_is_told_from_nothing_to_blame() -> None:
    settings = ladder(lambda rung: 0.5)
    assert settings.failing() is None and "even with the truth for every part oF1 is 0.5000" in oracle.verdict(settings)
    assert oracle.verdict(ladder(lambda rung: 0.98)).startswith("no part fails: oF1 0.9800")
    assert oracle.verdict(ladder(lambda rung: 0.5, forged=False)).startswith("n/a: no image is forged; oF1 0.5000")


def test_the_worst_part_is_named_below_what_settings_allow() -> None:
    """Half of the truth's score is lost to the settings, most of the rest to the classifier."""
    climbed = [oracle.Climbed({rung: 0.1 + 0.4 * ("scores" in rung) for rung in RUNGS}, True)] * 3
    found = oracle.ladder(climbed, regions="one")
    assert found.failing() == "scores" and found.blamed() == ["scores"]
    said = oracle.verdict(found)
    assert said.startswith("the classifier (scores) fails most: it costs 0.4000")
    assert "settings cap the score at 0.5000 whatever is mended: --inference.regions one, which makes one" in said
    assert "--inference.regions" not in oracle.verdict(oracle.ladder(climbed)), "it is not set"
    assert oracle.ladder([oracle.Climbed({rung: 0.5 + 0.01 * len(rung) for rung in RUNGS}, True)]).failing() is None


def test_true_boxes_that_nms_drops_are_counted_and_said(healthy: Case) -> None:
    seen = healthy.opened(next(record for record in healthy.items if record.label == "forged"))
    height, width = seen.pixels.shape[:2]
    masks = np.zeros((3, height, width), bool)
    masks[0, :40, :60] = masks[1, :42, :60] = masks[2, 60:80, 60:80] = True
    true = Instances.from_masks(masks)
    climbed = oracle.climb(healthy.model, seen.anatomy, true_regions(masks, seen.anatomy), true, healthy.inference)
    assert climbed.merged == 1
    found = oracle.ladder([replace(climbed, scores=dict.fromkeys(RUNGS, 0.5))])
    assert "settings: box NMS drops 1 of the true boxes, which overlap by more than model.box_nms" in oracle.verdict(
        found
    )
    assert "box_nms" not in oracle.verdict(ladder(lambda rung: 0.5))


def test_an_authentic_image_that_is_flagged_is_the_classifiers_fault(healthy: Case) -> None:
    (record,) = [r for r in healthy.split.full if r.label == "authentic" and r.case_id == healthy.items[0].case_id]
    with np.errstate(all="raise"):
        climbed = probe.look(healthy.opened(record))
    scores = climbed.scores
    assert not climbed.forged
    assert scores[("scores",)] == 1.0 and scores[PARTS] == 1.0
    assert scores[("boxes",)] == scores[("masks",)] == scores[()]
