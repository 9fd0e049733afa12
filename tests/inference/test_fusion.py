"""A detector and the twin finder as one: regions and features worked out by hand, fitted, stored, scored, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edarnn
import encode_submission
import scoring
from forgery_rcnn.config import BARE_PTH, MatchingConfig, ModelConfig, RunConfig, to_dict
from forgery_rcnn.engine import fusing
from forgery_rcnn.inference import ensemble, fusion
from forgery_rcnn.inference.fusion import FEATURES, UNSEEN, Fusion
from forgery_rcnn.instances import Instances, Prediction
from forgery_rcnn.matching import finder
from forgery_rcnn.models import matcher, weights
from tests.conftest import make_root
from tests.models.test_anatomy import built
from tests.models.test_matcher import Box, conftests, finding, pair, runs

SIZE = (60, 80)
SOURCE, COPY, ELSEWHERE = (5, 5, 15, 15), (30, 5, 40, 15), (60, 40, 70, 50)
COUNT = len(FEATURES)
PLAIN = Fusion((0.0,) * COUNT, (1.0,) * COUNT, (1.0, 2.0, *[0.0] * (COUNT - 2)), -1.0, 1.0, 0.0)


def detected(*found: tuple[Box, float]) -> Prediction:
    boxes = np.float32([box for box, _ in found]).reshape(-1, 4)
    scores = np.float32([score for _, score in found])
    heatmap = np.zeros(SIZE, np.float32)
    return Prediction(Instances(SIZE, tuple(runs(box) for box, _ in found)), boxes, scores, heatmap, 0.9)


def test_a_detection_in_a_matched_region_is_evidence_for_it_and_others_stand_alone() -> None:
    twins = matcher.matched(finding(pair(SOURCE, COPY, 0.75)))
    found, features = fusion.candidates(detected((ELSEWHERE, 0.9), (COPY, 0.5), (COPY, 0.25)), twins)
    assert found.instances.areas().tolist() == [200, 100] and found.boxes[1].tolist() == [60, 40, 70, 50]
    told = dict(zip(FEATURES, features.T, strict=True))
    assert told["detector"].tolist() == pytest.approx([0, np.log(9)], abs=1e-6)
    assert told["matcher"].tolist() == pytest.approx([np.log(3), 0])
    np.testing.assert_allclose(told["log10_area_if_matched"], [np.log10(200 / 4800), 0])
    assert told["matched"].tolist() == [1, 0] and told["overlap"].tolist() == [0.5, 0]
    np.testing.assert_allclose(told["log10_chance"], [-4, 0])
    np.testing.assert_allclose(told["log10_area"], np.log10([200 / 4800, 100 / 4800]))


@pytest.mark.parametrize(("detections", "pairs"), [(0, 0), (2, 0), (0, 1), (2, 1)])
def test_either_side_may_see_nothing(detections: int, pairs: int) -> None:
    seen = detected(*[(ELSEWHERE, 0.9), ((40, 40, 50, 50), 0.1)][:detections])
    found = PLAIN.scored(seen, matcher.matched(finding(*[pair(SOURCE, COPY, 0.75)][:pairs])))
    strong, weak, unseen = np.log(9), np.log(1 / 9), np.log(UNSEEN / (1 - UNSEEN))
    logits = [unseen + 2 * np.log(3) - 1] * pairs + [strong - 1, weak - 1][:detections]
    np.testing.assert_allclose(found.scores, np.sort(1 / (1 + np.exp(-np.array(logits))))[::-1], rtol=1e-4)
    assert found.image_score == pytest.approx(max(found.scores, default=0))
    assert found.heatmap.max() == pytest.approx(found.image_score) and found.heatmap.shape == SIZE


def test_numbers_come_back_from_json_and_others_are_refused(refused: Callable) -> None:
    told = json.loads(json.dumps(PLAIN.as_json()))
    assert fusion.from_json(told, "x") == PLAIN
    for wrong, said in (
        ({}, "not what `edarnn.py fusion` writes"),
        ({**told, "features": ["detector"]}, "of other features"),
        ({**told, "scale": [0.0] * COUNT}, "numbers that cannot be used"),
        ({**told, "mean": [0.0]}, "numbers that cannot be used"),
        ({**told, "weights": "abc"}, "not what"),
    ):
        with refused("x: its", said):
            fusion.from_json(wrong, "x")


def made(rng: np.random.Generator, count: int) -> list[fusing.Seen]:
    """Images with one detection and one match each; true is what has a high correlation, whatever the detector thinks."""
    out = []
    for number in range(count):
        forged = number % 2 == 0
        twin = replace(pair(SOURCE, COPY, 0.5), correlation=float(rng.normal(0.9 if forged else 0.6, 0.08)))
        seen = detected((ELSEWHERE, float(rng.uniform())))
        truth = Instances(SIZE, matcher.matched(finding(twin)).instances.runs) if forged else None
        out.append(fusing.seen(seen, matcher.matched(finding(twin)), truth))
    return out


def test_the_regression_finds_what_tells_and_is_calibrated() -> None:
    images = made(np.random.default_rng(0), 120)
    found = fusing.fit(images, np.array_split(np.arange(120), 5))
    heavy = FEATURES[int(np.argmax(np.abs(found.fusion.weights)))]
    assert heavy in ("correlation", "matched", "log10_area") and (found.regions, found.true) == (240, 60)
    scores = np.concatenate(found.scores)
    labels = np.concatenate([image.labels() for image in images])
    assert scores[labels].mean() > 0.8 and scores[~labels].mean() < 0.1
    assert scores.mean() == pytest.approx(labels.mean(), abs=0.02)
    assert fusing.fit(images, np.array_split(np.arange(120), 5)).fusion == found.fusion


def test_scores_of_a_fold_know_nothing_of_it() -> None:
    """Labels that are chance: scores fitted on the images themselves would look better than chance."""
    rng = np.random.default_rng(1)
    images = [replace(image, features=rng.normal(size=image.features.shape)) for image in made(rng, 60)]
    labels = np.concatenate([image.labels() for image in images])
    scores = np.concatenate(fusing.fit(images, np.array_split(np.arange(60), 5)).scores)
    assert abs(scores[labels].mean() - scores[~labels].mean()) < 0.1


def test_too_few_regions_are_refused(refused: Callable) -> None:
    with refused("of 8 regions of 4 images 2 are true", "use more images"):
        fusing.fit(made(np.random.default_rng(0), 4), np.array_split(np.arange(4), 2))


@pytest.fixture
def run(tiny_model: ModelConfig, tmp_path: Path) -> Path:
    model = built(replace(tiny_model, box_score_min=0.0))
    weights.write(
        tmp_path / "run/model.safetensors", model.state_dict(), {"config": to_dict(RunConfig(model=model.config))}
    )
    return tmp_path / "run"


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "find", conftests)


def test_the_whole_way_from_fitting_to_scores(
    run: Path, twins: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = make_root(tmp_path / "root", cases=12), tmp_path / "fused"
    assert (
        edarnn.main(["fusion", "--weights", str(run), "--data.root", str(root), "--split", "all", "--out", str(out)])
        == 0
    )
    said = capsys.readouterr().out
    assert "regions, 6 of them true" in said and "verdict: " in said
    told = json.loads((out / "ensemble.json").read_text())
    assert told["rule"] == "fused" and len(told["fitted"]["images"]) == 12
    assert told["decision"]["images"] == told["fitted"]["images"] and told["decision"]["false_alarms"] == 0.05
    assert told["members"][1]["matching"]["min_area"] == 100
    images = root / "train_images/forged"
    flags = ["--images", str(images), "--masks", str(root / "train_masks"), "--weights", str(out)]
    assert encode_submission.main([*flags, "--out", str(tmp_path / "sub")]) == 0
    assert "12 images, 12 forged, 0 authentic" in capsys.readouterr().out
    assert scoring.main(["--weights", str(out), "--data.root", str(root), "--split", "full"]) == 2
    assert "its thresholds were fitted on" in capsys.readouterr().err
    other = make_root(tmp_path / "other", cases=5, seed=7)
    assert scoring.main(["--weights", str(out), "--data.root", str(other), "--split", "full"]) == 0
    assert edarnn.main(["fit", "--weights", str(out), "--data.root", str(other), "--split", "all", "--share", "1"]) == 0
    again = json.loads((out / "ensemble.json").read_text())
    assert again["fusion"] == told["fusion"] and set(again["fitted"]["images"]) > set(told["fitted"]["images"])


def test_what_is_no_fusion_is_refused(run: Path, tmp_path: Path, refused: Callable) -> None:
    path = tmp_path / "ensemble.json"
    members = [(run / "model.safetensors", 1.0), (MatchingConfig(), 1.0)]
    ensemble.write(path, members, "fused", fusion=PLAIN.as_json())
    assert ensemble.load((str(path),), BARE_PTH).fusion == PLAIN
    with refused("ensemble.json: its members are fused", "name it alone"):
        ensemble.load((str(path),), BARE_PTH, "vote")
    with refused("name it alone, without --rule"):
        ensemble.load((str(path), str(run)), BARE_PTH)
    ensemble.write(path, members[:1], "fused", fusion=PLAIN.as_json())
    with refused("ensemble.json: a fusion needs one matcher"):
        ensemble.load((str(path),), BARE_PTH)
    ensemble.write(path, members, "fused")
    with refused("ensemble.json: its `fusion` is not what"):
        ensemble.load((str(path),), BARE_PTH)


def test_a_matcher_alone_is_no_side_of_a_fusion(capsys: pytest.CaptureFixture[str]) -> None:
    assert edarnn.main(["fusion", "--weights", "matcher"]) == 2
    assert "matcher: a fusion is of a detector" in capsys.readouterr().err
