"""The classifier's probe: a scrambled classifier is told from a sound one and from a bad RPN; the temperature is saved."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from debug import scores as probe
from debug.case import Case, Specimen, open_case
from debug.measures.calls import best_cut, calibrated, cut_at, held_out_f1
from debug.measures.classifier import Region, Scores, Seen, summarised, verdict
from debug.probe import plain, write
from debug.scores import ScoresJob
from forgery_rcnn.calibration import error_by_chance, expected_error, scaled, scores_of
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights


def measured(case: Case) -> Scores:
    return probe.measure(case, [probe.look(specimen) for specimen in case.specimens()])


def margin(score: float) -> float:
    return float(np.log(score / (1 - score)))


def seen(key: str, scores: list[float], ious: list[float], regions: int = 1) -> Seen:
    """An image with these proposals; its regions, 20 px, share the forged ones."""
    forged = [s for s, iou in zip(scores, ious, strict=True) if iou >= 0.5]
    own = [Region(20.0, len(forged), max(forged, default=np.nan), 0.9)] * regions
    margins = np.array([margin(s) for s in scores])
    return Seen(key, "forged" if regions else "authentic", margins, np.array(ious, float), own, [])


@pytest.fixture(scope="module")
def sound(healthy: Case, specimens: list[Specimen]) -> Scores:
    return probe.measure(healthy, [probe.look(specimen) for specimen in specimens])


def with_classifier(case: Case, change: Callable[[torch.nn.Module], None]) -> Case:
    """The case with the last layer of a copy's classifier changed."""
    model = copy.deepcopy(case.model)
    change(model.roi_heads.box_predictor.cls_score)
    return replace(case, model=model)


def zeroed(part: torch.nn.Module) -> None:
    for tensor in part.parameters():
        tensor.data.zero_()


def negated(part: torch.nn.Module) -> None:
    for tensor in part.parameters():
        tensor.data.neg_()


def test_a_sound_classifier_and_a_scrambled_one(sound: Scores, broken: Callable[[str], Case]) -> None:
    spoilt = measured(broken("scores"))
    assert sound.auc.value > 0.97 and sound.used.f1 > 0.7 > 0.5 > spoilt.used.f1
    assert probe.lines(sound)[-1].startswith("verdict: fine: the classifier separates")
    # Its order has survived in part (AUC 0.91), so it is the threshold that is named, not the classifier.
    used, cut = spoilt.used, spoilt.best_cut
    assert probe.lines(spoilt)[-1] == (
        f"verdict: the classifier separates (AUC {spoilt.auc}) but the threshold is off: --inference.score-threshold "
        f"{cut.threshold} gives F1 {cut.f1:.3f} over proposals ({spoilt.held_out_f1:.3f} on images it was not chosen on), "
        f"0.5 gives {used.f1:.3f}"
    )
    # The same boxes are looked at: only the scores differ.
    assert (sound.forged, sound.near, sound.regions) == (spoilt.forged, spoilt.near, spoilt.regions)


@pytest.mark.parametrize(("change", "auc"), [(zeroed, 0.5), (negated, 0.0)])
def test_a_classifier_that_does_not_separate(
    healthy: Case, sound: Scores, change: Callable[[torch.nn.Module], None], auc: float
) -> None:
    found = measured(with_classifier(healthy, change))
    assert found.auc.value == pytest.approx(auc, abs=1 - sound.auc.value + 1e-6)
    assert probe.lines(found)[-1].startswith("verdict: the classifier does not separate forged from authentic: ")


def test_a_bad_rpn_is_not_the_classifiers_fault(broken: Callable[[str], Case]) -> None:
    found = measured(broken("proposals"))
    assert found.reached < found.regions / 2
    assert "the RPN's fault: run debug.rpn" in probe.lines(found)[-1]


def test_the_best_scored_are_ranked_and_in_the_report(sound: Scores, healthy: Case, tmp_path: Path) -> None:
    write(probe.PROBE, sound, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["top"].keys() == {record.key for record in healthy.items}
    for rows in report["top"].values():
        assert [row["rank"] for row in rows] == list(range(1, 11))
        assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
        assert rows[0]["label"] == "forged" and rows[0]["refined_iou"] > 0.5
    assert "seen" not in report and sum(size["regions"] for size in report["sizes"]) == sound.regions
    assert {path.name for path in tmp_path.iterdir()} == {"report.txt", "report.json", "scores.png", "sizes.png"}


def test_proposals_are_scored_as_the_model_does(specimens: list[Specimen]) -> None:
    record, found = probe.look(specimens[0]), specimens[0].anatomy.proposals
    assert scores_of(record.margins) == pytest.approx(found.scores.numpy(), abs=1e-6)
    (iou,) = {row.iou for row in record.top if row.rank == 1}
    assert iou == pytest.approx(record.ious[found.scores.argmax()])


def test_saved_weights_give_the_scaled_scores(healthy: Case, tmp_path: Path) -> None:
    path, temperature = tmp_path / "scaled.safetensors", 2.5
    # In bf16 the scaled weights are rounded anew, and scores differ by some 0.001.
    exact = replace(healthy, inference=replace(healthy.inference, score_threshold=0.8), precision="float32")
    probe.save(exact, temperature, ["train/forged/1"], path)
    then = open_case(ScoresJob(weights=str(path), split="few", precision="float32"), Screen(None))
    before, after = (next(case.specimens()).anatomy.proposals for case in (exact, then))
    expected = 1 / (1 + np.exp(-torch.logit(before.scores.double()).numpy() / temperature))
    assert after.scores.numpy() == pytest.approx(expected, abs=1e-5)
    assert torch.equal(before.refined, after.refined)
    # As many are called as before at the threshold that moved along: 1 / (1 + (0.2 / 0.8) ** (1 / 2.5)).
    assert then.inference.score_threshold == pytest.approx(0.6352, abs=1e-4)
    assert torch.equal(after.scores > then.inference.score_threshold, before.scores > 0.8)
    meta, old = weights.read(path)[1], weights.read(healthy.path)[1]
    assert meta["temperature"] == temperature and meta["calibrated_on"] == {"images": ["train/forged/1"], "count": 1}
    model = {**old["config"]["model"], "box_score_min": pytest.approx(scaled(0.05, 2.5))}
    assert meta["config"] == {**old["config"], "model": model} and meta["data"] == old["data"]
    assert meta["data"] == old["data"]
    probe.save(then, 2.0, ["train/forged/1"], tmp_path / "twice.safetensors")
    assert weights.read(tmp_path / "twice.safetensors")[1]["temperature"] == 5.0


def test_a_scaled_threshold_below_the_old_least_score_loses_nothing(healthy: Case, tmp_path: Path) -> None:
    """0.06 with T 0.5 is 0.004: a least score left at 0.05 would drop detections that were called before."""
    top = max(float(one.anatomy.prediction.scores.max()) for one in healthy.specimens())
    tensors, meta = weights.read(healthy.path)
    bias = tensors["roi_heads.box_predictor.cls_score.bias"]
    bias[1] -= np.log(top / (1 - top)) - np.log(0.15 / 0.85)  # so that the surest scores 0.15
    weights.write(tmp_path / "unsure.safetensors", tensors, meta)

    def opened(name: str) -> Case:
        return open_case(ScoresJob(weights=str(tmp_path / name), split="few", precision="float32"), Screen(None))

    unsure = opened("unsure.safetensors")
    case = replace(unsure, inference=replace(unsure.inference, score_threshold=0.06))
    probe.save(case, 0.5, [], tmp_path / "sharp.safetensors")
    then = opened("sharp.safetensors")
    least = then.model.roi_heads.score_thresh
    assert least == pytest.approx(scaled(0.05, 0.5)) and least < then.inference.score_threshold < 0.005
    faint = 0
    for one, other in zip(case.specimens(), then.specimens(), strict=True):
        before, after = one.anatomy.prediction, other.anatomy.prediction
        assert after.boxes == pytest.approx(before.boxes, abs=1e-3)
        faint += int((after.scores < 0.05).sum())
    assert faint > 0, "some would have been dropped"


def test_the_loaded_weights_are_not_overwritten(healthy: Case) -> None:
    before = healthy.path.read_bytes()
    with pytest.raises(InputError, match="that is the file that was loaded"):
        probe.save(healthy, 2.0, [], healthy.path)
    assert healthy.path.read_bytes() == before
    with pytest.raises(InputError, match=r"name a \.safetensors file"):
        ScoresJob(save=Path("model.pth"))


def test_the_option_saves_what_was_fitted(healthy: Case, tmp_path: Path) -> None:
    job = ScoresJob(save=tmp_path / "new.safetensors")
    case = replace(healthy, job=job)
    images = [seen(str(i), [0.99, 0.98, 0.97, 0.9], [0.9, 0.1, 0.6, 0.0]) for i in range(4)]
    found = probe.measure(case, images)
    assert found.saved == str(job.save)
    assert weights.read(job.save)[1]["temperature"] == pytest.approx(found.calibration.temperature)
    assert f"temperature saved in {job.save}" in "\n".join(probe.lines(found))


@pytest.mark.parametrize("scores", [[0.9, 0.1], [0.6, 0.4]])
def test_a_temperature_that_nothing_bounds_is_not_saved(healthy: Case, tmp_path: Path, scores: list[float]) -> None:
    case = replace(healthy, job=ScoresJob(save=tmp_path / "new.safetensors"))
    with pytest.raises(InputError, match="no temperature to save"):
        probe.measure(case, [seen(str(i), scores, [0.9, 0.0]) for i in range(2)])
    assert list(tmp_path.iterdir()) == []


def test_temperature_mends_overconfident_scores_on_images_it_did_not_see() -> None:
    """True margins are standard normal x 2, the classifier's are 4 times as large: T is 4, whichever half fits it."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, 20_000)
    forged = rng.random(20_000) < scores_of(true)
    found = calibrated(4 * true, forged, np.arange(20_000) % 2 == 0)
    assert found.temperature == pytest.approx(4, rel=0.05)
    assert found.error > 0.1 > 0.02 > found.held_out_error
    assert found.fitted_loss <= found.held_out_loss + 1e-3 < found.loss


def test_thresholds_with_known_answers() -> None:
    scores = np.array([0.9, 0.8, 0.4, 0.28, 0.2, 0.1])
    forged = np.array([True, True, True, False, False, False])
    used, best = cut_at(scores, forged, 0.5), best_cut(scores, forged, 0.05)
    assert (used.precision, used.recall, used.f1) == pytest.approx((1, 2 / 3, 0.8))
    assert (best.threshold, best.f1) == (0.34, 1.0)
    halves = np.arange(6) % 2 == 0  # of .9 .4 .2 the best cut is .3, of .8 .28 .1 it is .54: the .4 is missed
    assert held_out_f1(scores, forged, halves, 0.05) == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert np.isnan(held_out_f1(scores, forged, np.ones(6, bool), 0.05))


@pytest.mark.parametrize("high", [0.9999, 0.99712, 0.9971200001])
def test_a_threshold_can_be_followed_as_printed(high: float) -> None:
    scores, forged = np.array([high, 0.9971, 0.2]), np.array([True, False, False])
    cut = best_cut(scores, forged, 0.05)
    assert cut.f1 == 1 == cut_at(scores, forged, float(f"{cut.threshold}")).f1 and 0.9971 < cut.threshold < high


def test_no_threshold_below_the_models_least_score_is_advised() -> None:
    scores, forged = np.array([0.06, 0.03, 0.01]), np.array([True, True, False])
    assert (best_cut(scores, forged, 0.05).threshold, best_cut(scores, forged, 0.05).recall) == (0.055, 0.5)
    assert best_cut(scores, forged, 0.02).f1 == 1
    none = best_cut(scores, forged, 0.5)
    assert (none.threshold, none.f1) == (0.5, 0)
    found = summarised([seen("a", [0.06, 0.03, 0.01], [0.9, 0.9, 0.0])], 0.0, 0.05)
    assert found.used.threshold == 0.05 and found.used.recall == 0.5, "the model calls nothing below its least score"


def test_easy_ground_does_not_dilute_the_calibration_error() -> None:
    """Of 40 proposals scored .9 half are forged: an error of 0.4, whatever stands at .001 beside them."""
    ious = [0.9, 0.0] * 20
    few, many = (summarised([seen("a", [0.9] * 40 + [0.001] * n, ious + [0.0] * n)], 0.5, 0.05) for n in (0, 2000))
    assert few.calibration.error == many.calibration.error == pytest.approx(0.4)
    assert many.calibration.proposals == 40 and many.calibration.before.tolist() == pytest.approx(
        np.array([[0.9, 0.5, 40]])
    )
    assert "of the 40 proposals above the model's least score 0.05" in "\n".join(probe.lines(many))


def test_the_error_of_true_probabilities_stays_below_chance_in_19_of_20() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(60)
    bound = error_by_chance(scores, np.random.default_rng(0))
    above = np.mean([expected_error(scores, rng.random(60) < scores) > bound for _ in range(1000)])
    assert 0.02 < above < 0.09 and bound > 0.1, "60 proposals err by more than 0.1 by chance"


def test_the_verdict_by_hand() -> None:
    rng = np.random.default_rng(1)

    def told(scores: Callable[[], list[float]], ious: list[float]) -> str:
        return verdict(summarised([seen(str(i), scores(), ious) for i in range(8)], 0.5, 0.05))

    ious = [0.9, 0.6, 0.0, 0.0, 0.05, 0.0]
    fine = told(lambda: [0.99, 0.97, 0.01, 0.02, 0.01, 0.03], ious)
    assert fine.startswith("fine: the classifier separates") and "AUC 1.0000" in fine and "F1 1.000" in fine
    low = told(lambda: [0.4, 0.3, 0.01, 0.02, 0.01, 0.03], ious)
    assert "threshold is off: --inference.score-threshold 0.175 gives F1 1.000" in low and "0.5 gives 0.000" in low
    assert "does not separate" in told(lambda: list(rng.uniform(0.1, 0.9, 6)), ious)
    # Easy ground makes the AUC high, but each image holds one authentic proposal that scores best.
    many = [0.0] * 40
    hidden = told(lambda: [0.6, 0.7, *[0.001] * 39], [0.9, 0.0, *many[1:]])
    assert "above the best authentic one in only 0.0000" in hidden and "most of them are easy" in hidden
    assert "few forged proposals: only 0 of 8 regions" in told(lambda: [0.9, 0.8], [0.4, 0.0])
    unsure = told(lambda: [0.7, 0.7, 0.3, 0.3, 0.3, 0.3], ious)
    assert (
        "no probabilities: calibration error 0.300 over the 48 proposals that can become detections, and these"
        in unsure
    )
    # 2 of 12 of those scored .999 are authentic, 1 of 12 of those scored .001 forged: far too sure, but in order.
    sure = [seen(str(i), [0.999] * 12 + [0.001] * 12, [0.9] * 10 + [0.2] * 2 + [0.0] * 11 + [0.9]) for i in range(8)]
    overconfident = verdict(summarised(sure, 0.5, 0.05))
    assert "error 0.166 over the 96 proposals" in overconfident and "temperature near 4.29: --save" in overconfident
    few = verdict(summarised(sure[:7], 0.5, 0.05))
    assert few.startswith("fine: ") and few.endswith("; too few images to judge calibration")


def test_authentic_images_only(healthy: Case, tmp_path: Path) -> None:
    items = [record for record in healthy.split.named("all") if record.label == "authentic"][:2]
    found = measured(replace(healthy, items=items))
    assert probe.lines(found)[-1].startswith(
        "verdict: n/a: no forged region in these images; the best authentic score is 0."
    )
    assert np.isnan(found.auc.value) and plain(found)["auc"]["value"] is None
    assert np.isnan(found.calibration.temperature) and len(write(probe.PROBE, found, tmp_path)) == 4


def test_one_image_and_an_image_without_a_proposal(tmp_path: Path) -> None:
    for images in ([seen("a", [0.9, 0.2], [0.7, 0.0])], [seen("a", [], [])], [seen("a", [], [], regions=0)]):
        found = summarised(images, 0.5, 0.05)
        assert probe.lines(found)[-1].startswith("verdict: ") and len(write(probe.PROBE, found, tmp_path)) == 4
        assert found.auc.count == 1 and np.isnan(found.auc.low) and np.isnan(found.held_out_f1)
