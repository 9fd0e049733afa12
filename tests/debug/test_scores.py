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
from forgery_rcnn.calibration import scores_of
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
    assert probe.lines(spoilt)[-1].startswith("verdict: the classifier ") and "F1 0." in probe.lines(spoilt)[-1]
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
    assert meta["config"] == old["config"] and meta["data"] == old["data"]
    probe.save(then, 2.0, ["train/forged/1"], tmp_path / "twice.safetensors")
    assert weights.read(tmp_path / "twice.safetensors")[1]["temperature"] == 5.0


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
    scores = np.array([0.9, 0.8, 0.4, 0.3, 0.2, 0.1])
    forged = np.array([True, True, True, False, False, False])
    used, best = cut_at(scores, forged, 0.5), best_cut(scores, forged)
    assert (used.precision, used.recall, used.f1) == pytest.approx((1, 2 / 3, 0.8))
    assert (best.threshold, best.f1) == pytest.approx((0.35, 1.0))
    halves = np.arange(6) % 2 == 0  # of .9 .4 .2 the best cut is .3, of .8 .3 .1 it is .55: the .4 is missed
    assert held_out_f1(scores, forged, halves) == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert np.isnan(held_out_f1(scores, forged, np.ones(6, bool)))


def test_the_verdict_by_hand() -> None:
    rng = np.random.default_rng(1)

    def told(scores: Callable[[], list[float]], ious: list[float]) -> str:
        return verdict(summarised([seen(str(i), scores(), ious) for i in range(8)], 0.5, 0.05))

    ious = [0.9, 0.6, 0.0, 0.0, 0.05, 0.0]
    fine = told(lambda: [0.99, 0.97, 0.01, 0.02, 0.01, 0.03], ious)
    assert fine.startswith("fine: the classifier separates") and "AUC 1.0000" in fine and "F1 1.000" in fine
    low = told(lambda: [0.4, 0.3, 0.01, 0.02, 0.01, 0.03], ious)
    assert "threshold is off: --inference.score-threshold 0.17 gives F1 1.000" in low and "0.5 gives 0.000" in low
    assert "does not separate" in told(lambda: list(rng.uniform(0.1, 0.9, 6)), ious)
    # Easy ground makes the AUC high, but each image holds one authentic proposal that scores best.
    many = [0.0] * 40
    hidden = told(lambda: [0.6, 0.7, *[0.001] * 39], [0.9, 0.0, *many[1:]])
    assert "above the best authentic one in only 0.0000" in hidden and "most of them are easy" in hidden
    assert "few forged proposals: only 0 of 8 regions" in told(lambda: [0.9, 0.8], [0.4, 0.0])
    unsure = told(lambda: [0.7, 0.7, 0.3, 0.3, 0.3, 0.3], ious)
    assert "no probabilities: calibration error 0.300, and these images give no temperature that mends it" in unsure
    # 2 of 12 of those scored .999 are authentic, 1 of 12 of those scored .001 forged: far too sure, but in order.
    sure = [seen(str(i), [0.999] * 12 + [0.001] * 12, [0.9] * 10 + [0.2] * 2 + [0.0] * 11 + [0.9]) for i in range(4)]
    overconfident = verdict(summarised(sure, 0.5, 0.05))
    assert "calibration error 0.124, 0.042 on held-out images with a temperature near 3.55" in overconfident


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
