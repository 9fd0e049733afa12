"""The mask probe tells a good head from a broken one, a threshold that is off, and a grid or an input too small."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from debug import masks as probe
from debug.case import Case, Specimen
from debug.measures.grids import THRESHOLDS, dice, dice_at, look, through
from debug.measures.regions import errors, over_images
from debug.measures.shapes import MaskReport, best_place, measure, swept
from debug.probe import plain, write
from forgery_rcnn.bootstrap import Interval
from forgery_rcnn.models import anatomy
from forgery_rcnn.models.mask_rcnn import in_original_frame


@pytest.fixture(scope="module")
def report(healthy: Case, specimens: list[Specimen]) -> MaskReport:
    return measure(healthy, [look(specimen) for specimen in specimens])


def verdict(found: MaskReport) -> str:
    return probe.lines(found)[-1]


def with_truth(specimen: Specimen, masks: np.ndarray) -> Specimen:
    return replace(specimen, truth=anatomy.true_regions(masks, specimen.anatomy))


def test_a_healthy_head_is_fine(report: MaskReport) -> None:
    assert verdict(report).startswith("verdict: the mask head is fine: Dice 0.9")
    assert report.given.value > 0.9 and report.filled.value == 1.0, "the regions are rectangles"
    assert report.target_loss.value - report.beside_target.value == pytest.approx(1 - report.given.value)
    assert report.regions == 6 == report.own.regions == sum(row.regions for row in report.by_size)
    assert report.grid == 28 and list(report.target) == [14, 28, 56, 112]


def test_a_scrambled_head_is_no_better_than_a_filled_box(broken: Callable[[str], Case], report: MaskReport) -> None:
    case = broken("masks")
    found = measure(case, [look(specimen) for specimen in case.specimens()])
    assert verdict(found).startswith("verdict: the mask head draws no better than a filled box: ")
    level = replace(found.sweep, gain=replace(found.sweep.gain, value=0.0))
    shaped = replace(found, filled=replace(found.filled, value=found.given.value + 0.1), sweep=level)
    assert verdict(shaped).startswith("verdict: the mask head is untrained: "), "these boxes are not filled"
    assert found.given.value < report.given.value - 0.1
    assert found.target == report.target and found.filled == report.filled, "the truth's own numbers do not change"


def test_a_shifted_head_needs_another_threshold(healthy: Case) -> None:
    model = copy.deepcopy(healthy.model)
    model.roi_heads.mask_predictor.mask_fcn_logits.bias.data -= 5
    case = replace(healthy, model=model, problems=[])
    found = measure(case, [look(specimen) for specimen in case.specimens()])
    assert found.sweep.best < 0.3 and found.sweep.gain.low > 0
    assert verdict(found).startswith(
        "verdict: the mask threshold is off"
    ) and "--inference.mask-threshold 0." in verdict(found)


def test_a_threshold_is_not_called_off_on_one_image(healthy: Case, report: MaskReport) -> None:
    gain = Interval(0.4, math.nan, math.nan, 1)
    dice = np.where(np.arange(19) == 3, 0.95, 0.5)
    one = replace(
        report, given=Interval(0.5, math.nan, math.nan, 1), sweep=replace(report.sweep, dice=dice, best=0.2, gain=gain)
    )
    assert verdict(one).startswith("verdict: the mask head or its threshold is off: Dice 0.500 in the true boxes; ")
    assert "0.20 rather than 0.5 gives 0.950, but one image cannot tell which" in verdict(one)
    assert "--inference.mask-threshold" not in verdict(one)
    sure = replace(one, sweep=replace(one.sweep, gain=Interval(0.4, 0.3, 0.5, 4)))
    assert verdict(sure).startswith("verdict: the mask threshold is off: ")


def test_a_head_better_than_its_training_target_loses_nothing(report: MaskReport) -> None:
    better = replace(report, given=Interval(0.99, 0.98, 1, 4), beside_target=Interval(0.01, 0.0, 0.02, 4))
    text = "\n".join(probe.lines(better))
    assert "predicted less training target 0.0100 [0.0000, 0.0200]" in text
    assert "lost" not in text and "allows" not in text and "limit" not in text


def test_the_prediction_is_measured_as_the_model_pastes_it(specimens: list[Specimen]) -> None:
    for s in specimens:
        a, truth = s.anatomy, s.truth
        grids = anatomy.mask_branch(s.model, a.levels, truth.fitted, a.fitted)
        pasted = in_original_frame(truth.fitted, grids, torch.ones(len(truth)), a.original, a.fitted, 0.5)
        wanted = [dice(mask, true) for mask, true in zip(pasted.instances.masks(), truth.masks, strict=True)]
        seen = look(s)
        assert seen.given.tolist() == wanted
        assert seen.sweep[:, 9].tolist() == wanted, "0.5 is one of the thresholds"
        assert np.nanmin(seen.own) > 0.5 and (seen.own_target > seen.own - 0.15).all()


def test_a_grid_that_is_too_coarse_is_named(specimens: list[Specimen], report: MaskReport, healthy: Case) -> None:
    """Stripes of 3 pixels over 100: a cell of a 28 grid is longer than one; 112 cells hold them."""
    striped = np.zeros((1, *specimens[0].anatomy.original), bool)
    striped[0, 10:110, 6:106] = (np.arange(100) % 6 < 3)[:, None]
    found = measure(healthy, [look(with_truth(specimens[0], striped))])
    limits = [limit.value for limit in found.target.values()]
    assert limits[0] < 0.75 and limits[1] < limits[2] < limits[3] and limits[3] > 0.9 and found.at_input.value == 1
    limited = replace(found, given=replace(found.given, value=limits[1]))
    finer = next(side for side, limit in found.target.items() if limit.value >= 0.9)
    told = f"the grid is too coarse: a training target of {finer} x {finer} gives {found.target[finer].value:.3f}, "
    assert f"{told}--model.mask-pool {finer // 2}" in verdict(limited)
    costly = {
        side: replace(found.at_input, value=value)
        for side, value in zip(found.target, (0.8, 0.85, 0.9, 0.92), strict=True)
    }
    own, at_input = replace(found.given, value=0.85), replace(found.at_input, value=0.9)
    coarse = replace(limited, given=own, at_input=at_input, target=costly)
    assert "raise --model.image-size" in verdict(coarse), "which costs twice what that grid would bring"
    hopeless = replace(limited, target=dict.fromkeys(found.target, found.target[14]))
    assert "raise --model.image-size" in verdict(hopeless)
    assert "this model sees images unscaled: --model.fit long_side" in verdict(replace(hopeless, fit="native"))
    short = replace(
        report,
        given=Interval(0.8, 0.7, 0.9, 4),
        filled=Interval(0.5, 0.4, 0.6, 4),
    )
    assert verdict(short).startswith("verdict: the mask head is the limit")


def test_a_region_smaller_than_a_pixel_has_no_grid(specimens: list[Specimen], healthy: Case) -> None:
    s = specimens[0]
    pixels = np.kron(s.pixels[:96, :96], np.ones((4, 4, 1), np.uint8))
    dot = np.zeros((2, 384, 384), bool)
    dot[0, 100, 101] = True
    dot[1, 200:260, 200:260] = True
    found = anatomy.dissect(s.model, pixels)
    tiny = replace(s, pixels=pixels, anatomy=found, truth=anatomy.true_regions(dot, found))
    seen = look(tiny)
    assert seen.areas[0] == 0 and seen.target[28][0] == 0 and seen.target[28][1] > 0.95 and math.isnan(seen.own[0])
    assert "1 of them have no pixel at the model's input size" in "\n".join(probe.lines(measure(healthy, [seen])))


def test_nothing_to_measure(healthy: Case, specimens: list[Specimen], report: MaskReport, tmp_path) -> None:
    empty = look(with_truth(specimens[0], np.zeros((0, *specimens[0].anatomy.original), bool)))
    nothing = measure(healthy, [empty])
    assert verdict(nothing).startswith("verdict: n/a: none of the 1 images") and probe.figures(nothing) == {}
    assert write(probe.PROBE, nothing, tmp_path)[0].read_text().count("n/a") == 2
    assert plain(nothing)["given"]["value"] is None
    a = specimens[0].anatomy
    silent = replace(specimens[0], anatomy=replace(a, kept=a.kept[:0], prediction=a.prediction.take([])))
    one = measure(healthy, [look(silent), empty])
    assert one.own.regions == 0 and "no region has a detection" in "\n".join(probe.lines(one))
    assert verdict(one).startswith("verdict: the mask head is fine") and math.isnan(one.given.low)
    assert {path.name for path in write(probe.PROBE, one, tmp_path)} == {
        "report.txt",
        "report.json",
        "dice.png",
        "regions.png",
    }
    assert len(probe.figures(report)["regions"].axes) == 4 * len(report.crops)


def test_a_threshold_is_chosen_on_other_images() -> None:
    """One image gains 0.5 at 0.2 and loses at 0.8, the other the reverse: on themselves both gain, on each other none."""
    scores = np.full((2, 19), 0.5)
    scores[[0, 1], [3, 15]] = 1.0
    scores[[0, 1], [15, 3]] = 0.2
    found = swept(scores, np.full(2, 0.5), np.array([0, 1]), 0.5)
    assert found.gain.value == pytest.approx(-0.3) and found.dice.max() == pytest.approx(0.6)
    same = swept(scores[[0, 0]], np.full(2, 0.5), np.array([0, 1]), 0.5)
    assert (same.gain.value, same.gain.low, same.best) == pytest.approx((0.5, 0.5, 0.2))
    assert THRESHOLDS[best_place(np.full(19, 0.4), 0.6)] == pytest.approx(0.6)


def test_regions_of_an_image_are_drawn_together() -> None:
    found = over_images(np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 0, 1]))
    assert (found.value, found.low, found.high, found.count) == (0.75, 0.0, 1.0, 2)
    assert math.isnan(over_images(np.zeros(0), np.zeros(0, int)).value)
    assert errors([Interval(0.5, 0.25, 1, 3), Interval(0.5, math.nan, math.nan, 1)]).tolist() == [[0.25, 0], [0.5, 0]]


def test_dice_of_a_grid() -> None:
    truth = np.zeros((4, 4), bool)
    truth[:2] = True
    assert dice_at(truth.astype(np.float32), truth, THRESHOLDS).tolist() == [1.0] * 19
    assert dice_at(np.zeros((4, 4), np.float32), truth, THRESHOLDS).tolist() == [0.0] * 19
    assert dice(np.ones((4, 4), bool), truth) == pytest.approx(2 / 3)
    grid = through(np.ones((1, 32, 32), bool), torch.tensor([[4.0, 4.0, 28.0, 28.0]]), 14)
    assert grid.shape == (1, 14, 14) and (grid == 1).all()
