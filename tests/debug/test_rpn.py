"""The RPN probe tells anchors out of reach from an untrained RPN, and both from a good one."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import box_iou

from debug import rpn as probe
from debug.case import Case, Specimen
from debug.measures.anchors import first_place, look, matches
from debug.measures.reach import by_chance, by_shape, needed
from debug.measures.recall import RpnReport, causes, measure
from debug.pictures import proposals as pictures
from debug.probe import plain, write
from forgery_rcnn.bootstrap import wilson
from forgery_rcnn.models import anatomy
from forgery_rcnn.models.anatomy import box_branch


@pytest.fixture(scope="module")
def report(healthy: Case, specimens: list[Specimen]) -> RpnReport:
    return measure(healthy, [look(specimen) for specimen in specimens])


def measured(case: Case) -> RpnReport:
    return measure(case, [look(specimen) for specimen in case.specimens()])


def changed(healthy: Case, sides: int) -> Case:
    """The healthy detector with every anchor of one size."""
    model = copy.deepcopy(healthy.model)
    model.rpn.anchor_generator = AnchorGenerator(((sides,),) * 5, ((0.5, 1.0, 2.0),) * 5)
    model.config = replace(model.config, anchor_sizes=(sides,) * 5)
    return replace(healthy, model=model, problems=[])


def verdict(found: RpnReport) -> str:
    return probe.lines(found)[-1]


def test_a_healthy_rpn_is_fine(report: RpnReport) -> None:
    assert verdict(report).startswith("verdict: the RPN is fine: 1.000 [0.610, 1.000] of the 6 regions")
    assert report.auc.value > 0.95 and report.own[0.5].low < 1 == report.own[0.5].high
    assert report.moving[1] > report.moving[0] and report.best["kept"] > report.best["anchor"]
    assert report.best["shape"] >= report.best["anchor"] and report.best["moved"] >= report.best["kept"]
    assert report.recall[0.5][report.kept] == 1.0 == report.own[0.5].value > report.chance[report.kept]
    for recall in report.recall.values():
        assert list(recall.values()) == sorted(recall.values())
    assert report.recall.keys() == {0.3, 0.5, 0.7} and list(report.chance) == [1, 3, 10, 30]


def test_a_scrambled_rpn_is_untrained(broken: Callable[[str], Case], report: RpnReport) -> None:
    found = measured(broken("proposals"))
    assert verdict(found).startswith("verdict: the RPN is ") and "trained: its objectness " in verdict(found)
    assert "its box regression does not help: matching anchors go from IoU" in verdict(found)
    assert found.moving[1] <= found.moving[0] < report.moving[1] and found.auc.value < report.auc.value
    assert found.recall[0.5][30] < 0.5 < report.recall[0.5][30]
    assert found.best["anchor"] == report.best["anchor"], "the anchors are the same"


def test_anchors_that_cannot_reach_are_named(healthy: Case) -> None:
    found = measured(changed(healthy, 256))
    assert found.missed == {"reach": 6, "moved": 0, "dropped": 0} and found.beyond_by_shape == 6
    assert verdict(found).startswith("verdict: the anchors cannot reach 6 regions")
    assert "shift --model.anchor-sizes 256 256 256 256 256 to hold 16 32 px" in verdict(found)


def test_an_idle_box_regression_is_said(healthy: Case) -> None:
    model = copy.deepcopy(healthy.model)
    for tensor in model.rpn.head.bbox_pred.parameters():
        tensor.data.zero_()
    found = measured(replace(healthy, model=model, problems=[]))
    assert found.moving[0] == pytest.approx(found.moving[1], abs=0.05)  # cut at the border of the image, or not
    idle = verdict(replace(found, moving=(0.6, 0.6), own=dict.fromkeys(found.own, wilson(6, 6))))
    assert "the RPN is half trained: " in idle and "fine" not in idle
    assert "its objectness tells regions from background (AUC " in idle
    assert "its box regression does not help: matching anchors go from IoU 0.600 to 0.600" in idle


def test_each_cause_has_its_verdict(report: RpnReport) -> None:
    few = dict.fromkeys(report.own, wilson(3, 6))
    dropped = replace(report, own=few, missed={"reach": 1, "moved": 0, "dropped": 2})
    assert "the RPN's scores are wrong: for 2 of the 3 missed" in verdict(dropped)
    chance = replace(report.auc, value=0.6)
    assert verdict(replace(dropped, moving=(0.6, 0.5))).startswith(
        "verdict: the RPN is half trained: its objectness tells"
    )
    assert verdict(replace(dropped, auc=chance)).startswith(
        "verdict: the RPN is half trained: its objectness hardly tells"
    )
    both = verdict(replace(dropped, auc=chance, moving=(0.6, 0.5)))
    assert both.startswith("verdict: the RPN is untrained: its objectness hardly tells") and "AUC 0.600" in both
    assert verdict(replace(report, auc=chance)).startswith(
        "verdict: the proposals find the regions, but the RPN is half trained: 1.000 [0.610, 1.000] of the 6 regions"
    )
    moved = replace(report, own=few, missed={"reach": 0, "moved": 3, "dropped": 0})
    assert "the RPN's box regression is wrong: for 3 of the 3 missed" in verdict(moved)
    apart = replace(report, own=few, missed={"reach": 1, "moved": 0, "dropped": 0}, beyond=np.array([[32.0, 32.0]]))
    assert "raise --model.image-size: the shapes fit, the places are too far apart" in verdict(apart)
    assert "sees images unscaled: --model.fit long_side with" in verdict(replace(apart, fit="native"))


def test_anchors_lead_where_most_are_missed_for_their_sake(report: RpnReport) -> None:
    tie = replace(report, own=dict.fromkeys(report.own, wilson(2, 6)), missed={"reach": 2, "moved": 0, "dropped": 2})
    assert verdict(tie).startswith("verdict: the RPN's scores are wrong: for 2 of the 4 missed")
    assert "; the anchors cannot reach 2 regions" in verdict(tie)
    untrained = replace(tie, auc=replace(report.auc, value=0.5), moving=(0.6, 0.5))
    assert verdict(untrained).startswith("verdict: the RPN is untrained: ")
    most = replace(untrained, missed={"reach": 3, "moved": 0, "dropped": 1})
    assert verdict(most).startswith("verdict: the anchors cannot reach 3 regions")


def test_too_few_regions_are_not_judged(report: RpnReport) -> None:
    """4 of 4 found and 0 of 4, and 5 of 6, whose interval holds the 0.9 that is asked for; 3 of 6 is judged."""
    for hits, count in ((4, 4), (0, 4), (5, 6)):
        found = replace(report, regions=count, own=dict.fromkeys(report.own, wilson(hits, count)), moving=(1.0, 0.9))
        assert verdict(found).startswith(f"verdict: too few regions ({count}) to judge: {hits / count:.3f} [")
        assert "AUC" in verdict(found) and "IoU 1.000 to 0.900" in verdict(found) and "fine" not in verdict(found)
    assert "too few" not in verdict(replace(report, own=dict.fromkeys(report.own, wilson(3, 6))))


@pytest.mark.parametrize("shapes", [[(60, 80)] * 4, [(80, 60)] * 4, [(60, 80), (80, 60), (30, 90)]])
def test_pictures_fill_the_width(report: RpnReport, shapes: list[tuple[int, int]]) -> None:
    blank = [replace(report.pictures[0], pixels=np.zeros((*shape, 3), np.uint8)) for shape in shapes]
    figure = pictures.proposals(replace(report, pictures=blank))
    figure.savefig(io.BytesIO())
    rows: dict[float, list[float]] = {}
    for place in (ax.get_window_extent() for ax in figure.axes):
        rows.setdefault(round(place.y0, -1), []).append(place.width)
    widths = [sum(row) / figure.bbox.width for row in rows.values()]
    assert widths[0] > 0.9 and min(widths) > 0.6, "the last row may hold too few to be full"


def test_what_is_seen_is_what_the_parts_say(specimens: list[Specimen]) -> None:
    for s in specimens:
        a, seen, true = s.anatomy, look(s), s.truth.fitted
        labels, _ = s.model.rpn.assign_targets_to_anchors([a.anchors], [{"boxes": true}])
        own = matches(s, box_iou(true, a.anchors))
        assert torch.equal(torch.where(own >= 0, 1.0, torch.where(own == -1, 0.0, -1.0)), labels[0])
        assert seen.histogram[0].sum() == seen.matched.shape[1] == int((labels[0] == 1).sum())
        assert seen.histogram[1].sum() == int((labels[0] == 0).sum()) and seen.histogram[2].sum() == 0
        overlap = box_iou(true, a.proposals.boxes)
        for region, values in enumerate(overlap.tolist()):
            place = next((i for i, iou in enumerate(values) if iou >= 0.5), math.inf)
            assert seen.first[1, region] == place and seen.kept[region] == pytest.approx(max(values))
        assert (seen.levels[0] == a.anchor_levels[box_iou(true, a.anchors).argmax(dim=1)].numpy()).all()
        assert (seen.levels[1] >= 0).all(), "a proposal is found again among the moved anchors"
        assert (seen.levels[2] == 0).all(), "RoIAlign pools boxes below 112 px from the finest level"


def test_authentic_images_have_background_only(healthy: Case, tmp_path: Path) -> None:
    record = next(r for r in healthy.split.full if r.label == "authentic")
    seen = look(healthy.opened(record))
    assert math.isnan(seen.auc) and seen.histogram[2].sum() == seen.anchors and not seen.histogram[:2].any()
    found = measure(healthy, [seen])
    assert verdict(found).startswith("verdict: n/a: none of the 1 images holds a true region")
    assert {path.name for path in write(probe.PROBE, found, tmp_path)} == {"report.txt", "report.json", "proposals.png"}
    assert plain(found)["own"]["0.5"]["value"] is None


def test_all_is_written(healthy: Case, specimens: list[Specimen], report: RpnReport, tmp_path: Path) -> None:
    names = {path.name for path in write(probe.PROBE, report, tmp_path)}
    assert names == {"report.txt", "report.json", "recall.png", "levels.png", "proposals.png"}
    assert len(probe.figures(report)["proposals"].axes) == 4
    one = measure(healthy, [look(specimens[0])])
    assert math.isnan(one.auc.low) and verdict(one).startswith("verdict: too few regions (")
    assert {path.name for path in write(probe.PROBE, one, tmp_path)} == names


def test_no_proposal_and_a_region_below_a_pixel(healthy: Case, specimens: list[Specimen], tmp_path: Path) -> None:
    s = specimens[0]
    a = s.anatomy
    none = replace(
        a,
        proposals=box_branch(s.model, a.levels, a.proposals.boxes[:0], a.fitted),
        proposal_objectness=a.proposal_objectness[:0],
    )
    fitted = torch.tensor([[40.2, 40.1, 40.6, 40.5]])
    seen = look(replace(s, anatomy=none, truth=anatomy.TrueRegions(s.truth.masks[:1], s.truth.boxes[:1], fitted)))
    assert seen.kept.tolist() == [0.0] and np.isinf(seen.first).all() and seen.levels[1].tolist() == [-1]
    found = measure(healthy, [seen])
    assert found.tiny == 1 and "training leaves out 1 of them" in "\n".join(probe.lines(found))
    assert "anchors cannot reach 1 regions" in verdict(found)
    assert "hold 1 px" in verdict(found)
    assert len(write(probe.PROBE, found, tmp_path)) == 5


def test_reach_by_shape_and_chance() -> None:
    assert by_shape(np.array([[8.0, 4.0]]), np.array([[8.0, 4.0], [4.0, 8.0]])).tolist() == [1.0]
    assert by_shape(np.zeros((0, 2)), np.ones((3, 2))).shape == (0,)
    rng, total, hits, drawn = np.random.default_rng(0), 50, 4, 12
    trials = [(rng.permutation(total)[:drawn] < hits).any() for _ in range(4000)]
    assert by_chance(np.array([hits]), np.array([total]), drawn)[0] == pytest.approx(np.mean(trials), abs=0.02)
    assert by_chance(np.array([3]), np.array([10]), 99).tolist() == [1.0]
    assert needed(np.array([[32.0, 32.0]]), (16, 32, 64), (1.0,)) == ([], [])


def test_places_and_causes() -> None:
    assert first_place(np.zeros((2, 0)), 0.5).tolist() == [math.inf, math.inf]
    assert first_place(np.array([[0.5, 0.9]]), 0.5).tolist() == [0.0]
    assert causes(np.zeros(0), np.zeros(0), np.zeros(0)).shape == (0,)
