"""The twin finder as a model: regions, scores, evidence and proposals worked out by hand; in ensembles and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import edarnn
import encode_submission
from forgery_rcnn import rle
from forgery_rcnn.config import BARE_PTH, InferenceConfig, MatchingConfig, ModelConfig, Tiling
from forgery_rcnn.inference import ensemble, pipeline
from forgery_rcnn.matching import finder
from forgery_rcnn.matching.pairs import Figure, Finding, Pair, gray_of
from forgery_rcnn.models import matcher, weights, zoo
from forgery_rcnn.models.anatomy import dissect
from tests.models.test_anatomy import built
from tests.models.test_segmenters import batch, pictures

SIZE = (60, 80)
Box = tuple[int, int, int, int]


def runs(box: Box, size: tuple[int, int] = SIZE) -> rle.Runs:
    mask = np.zeros(size, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return rle.runs_of(mask)


def pair(first: Box, second: Box, score: float, size: tuple[int, int] = SIZE, chance: float = 1e-4) -> Pair:
    matrix = np.float64([[1, 0, second[0] - first[0]], [0, 1, second[1] - first[1]]])
    sides = runs(first, size), runs(second, size)
    return Pair(*sides, matrix, 99, 0.875, chance, score, "undecided", "keypoints", between_panels=True)


def finding(*pairs: Pair, size: tuple[int, int] = SIZE) -> Finding:
    pixels = np.zeros((*size, 3), np.uint8)
    panels = np.array([[0, 0, size[1], size[0]]])
    return Finding(Figure(pixels, gray_of(pixels), np.zeros(size, bool), panels), pairs)


SOURCE, COPY, OTHER_COPY = (5, 5, 15, 15), (30, 5, 40, 15), (5, 40, 15, 50)
APART = (50, 20, 56, 26), (60, 40, 66, 46)


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[int, ...]]]:
    """finds(*pairs) makes the twin finder answer with these, in the image's frame; -> the shapes of what it is shown."""

    def say(*pairs: Pair) -> list[tuple[int, ...]]:
        asked: list[tuple[int, ...]] = []

        def find(pixels: np.ndarray, config: MatchingConfig) -> Finding:
            asked.append(pixels.shape)
            return finding(*pairs, size=pixels.shape[:2])

        monkeypatch.setattr(finder, "find", find)
        return asked

    return say


def conftests(pixels: np.ndarray, config: MatchingConfig) -> Finding:
    """A finder that knows how conftest makes its forgeries: whether one region is the other."""
    size, same = pixels.shape[:2], np.array_equal(pixels[40:70, 8:36], pixels[5:35, 40:68])
    return finding(*[pair((40, 5, 68, 35), (8, 40, 36, 70), 0.9, size)] * same, size=size)


def test_a_source_and_its_copies_are_one_instance_with_the_best_score() -> None:
    found = matcher.matched(finding(pair(*APART, 0.5), pair(SOURCE, COPY, 0.25), pair(SOURCE, OTHER_COPY, 0.75)))
    assert found.scores.tolist() == [0.75, 0.5] and found.image_score == 0.75
    assert found.instances.areas().tolist() == [300, 72]
    assert found.boxes.tolist() == [[5, 5, 40, 50], [50, 20, 66, 46]]
    assert (found.heatmap[7, 7], found.heatmap[7, 35], found.heatmap[22, 52], found.heatmap[0, 0]) == (
        0.75,
        0.75,
        0.5,
        0,
    )
    named = dict(zip(matcher.EVIDENCE, found.evidence.T, strict=True))
    assert named["log2_pairs"].tolist() == [1, 0] and named["log10_inliers"].tolist() == [2, 2]
    assert named["correlation"].tolist() == [0.875] * 2 and named["between_panels"].tolist() == [1, 1]
    np.testing.assert_allclose(named["log10_chance"], -4)


def test_nothing_found_is_an_authentic_image_and_no_chance_is_no_infinity() -> None:
    found = matcher.matched(finding())
    assert (len(found.instances), found.image_score, found.heatmap.max(), found.evidence.shape) == (0, 0, 0, (0, 5))
    certain = matcher.matched(finding(pair(SOURCE, COPY, 1.0, chance=0.0)))
    assert certain.evidence[0, 0] == -12


def test_it_is_asked_once_about_the_whole_image(finds: Callable) -> None:
    asked = finds(pair(SOURCE, COPY, 0.9, (300, 200)))
    config = InferenceConfig(views=("eight",), tiling=Tiling("auto", sides=(64,)))
    (image,) = pictures((300, 200))
    found = pipeline.predict_image(matcher.built(MatchingConfig()), image, config)
    assert asked == [(300, 200, 3)] and found.scores.tolist() == pytest.approx([0.9])


def test_proposals_are_both_regions_and_their_union() -> None:
    assert matcher.proposals(finding(pair(SOURCE, OTHER_COPY, 0.9))).tolist() == [
        [5, 5, 15, 15],
        [5, 40, 15, 50],
        [5, 5, 15, 50],
    ]
    assert matcher.proposals(finding()).shape == (0, 4)


@pytest.fixture
def run(tiny_model: ModelConfig, tmp_path: Path) -> Path:
    """A run's folder with weights of a detector that knows nothing."""
    from forgery_rcnn.config import RunConfig, to_dict

    model = built(replace(tiny_model, box_score_min=0.0))
    weights.write(
        tmp_path / "run/model.safetensors", model.state_dict(), {"config": to_dict(RunConfig(model=model.config))}
    )
    return tmp_path / "run"


def test_its_name_needs_no_file_and_joins_others(run: Path, finds: Callable, tmp_path: Path) -> None:
    finds(pair((5, 5, 30, 30), (40, 5, 65, 30), 0.75, (70, 90)))
    (image,) = pictures((70, 90))
    alone = ensemble.load(("matcher",), BARE_PTH)
    assert alone.predict(image).scores.tolist() == [0.75] and str(alone.path) == "matcher"
    both = ensemble.load(("matcher", str(run)), BARE_PTH)
    assert both.gives == "instances" and len(both.merged(both.candidates(image)).scores) > 1
    strict = replace(both.members[0], model=matcher.built(MatchingConfig(min_area=900)))
    members = [(ensemble.source_of(member), 1.0) for member in (strict, both.members[1])]
    (tmp_path / "both").mkdir()
    ensemble.write(tmp_path / "both/ensemble.json", members, "mean", InferenceConfig())
    again = ensemble.load((str(tmp_path / "both"),), BARE_PTH)
    assert again.members[0].model.config.matching.min_area == 900
    np.testing.assert_array_equal(
        again.predict(image).scores, both.over(lambda _: InferenceConfig()).predict(image).scores
    )


def test_a_stored_finder_with_impossible_settings_is_refused(tmp_path: Path, refused: Callable) -> None:
    told = {"members": [{"matching": {"min_area": 0}, "weight": 1}], "rule": "mean", "thresholds": {}}
    (tmp_path / "ensemble.json").write_text(json.dumps(told))
    with refused("ensemble.json: matching.min_area is 0"):
        ensemble.load((str(tmp_path),), BARE_PTH)


def test_scripts_take_it_and_training_refuses_it(
    finds: Callable, shared_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = finds(pair((8, 8, 30, 30), (40, 8, 62, 30), 0.9, (64, 64)))
    images = shared_root / "train_images/forged"
    assert encode_submission.main(["--images", str(images), "--weights", "matcher", "--out", str(tmp_path)]) == 0
    assert len(asked) == len(list(images.iterdir()))
    for words in (["matcher"], ["full", "--model.arch", "matcher"]):
        assert edarnn.main(words) != 0
        assert "learns nothing; use it with encode_submission.py --weights matcher" in capsys.readouterr().err


def test_an_object_that_the_rpn_misses_is_detected(tiny_model: ModelConfig, finds: Callable) -> None:
    """With one proposal, and a box head that knows nothing, only what is proposed beside it can be found elsewhere."""
    config = replace(tiny_model, rpn_proposals=1, box_score_min=0.0, detections=100)
    region, twin = (50, 30, 74, 58), (10, 30, 34, 58)
    (image,) = pictures((80, 96))
    finds(pair(region, twin, 0.9, (80, 96)))
    plain, fed = built(config), built(replace(config, extra_proposals="matcher"))
    fed.load_state_dict(plain.state_dict())
    for box in (region, twin):
        assert _iou(plain.predict([image])[0].boxes, box) < 0.5 < _iou(fed.predict([image])[0].boxes, box)


def _iou(boxes: np.ndarray, box: Box) -> float:
    from torchvision.ops import box_iou

    return float(box_iou(torch.from_numpy(boxes), torch.tensor([box]).float()).max())


def test_dissect_equals_the_model_with_proposals_of_the_matcher(tiny_model: ModelConfig, finds: Callable) -> None:
    model = built(replace(tiny_model, extra_proposals="matcher", box_score_min=0.0))
    finds(pair((60, 20, 120, 60), (5, 20, 55, 60), 0.9, (70, 130)))
    (image,) = pictures((70, 130))
    opened, plain = dissect(model, image), model.predict([image])[0]
    np.testing.assert_array_equal(opened.prediction.boxes, plain.boxes)
    np.testing.assert_array_equal(opened.prediction.heatmap, plain.heatmap)
    assert opened.proposal_objectness[-3:].tolist() == [0, 0, 0]
    scale = 96 / 130
    np.testing.assert_allclose(
        opened.proposals.boxes[-3], [60 * scale, 20 * 52 / 70, 120 * scale, 60 * 52 / 70], rtol=1e-5
    )


def test_training_asks_the_matcher_only_where_that_is_said(tiny_model: ModelConfig, finds: Callable) -> None:
    asked = finds(pair((5, 5, 30, 30), (40, 5, 62, 30), 0.9, (96, 80)))
    images, targets = batch()
    for extra, times in (("matcher", 0), ("matcher_always", 1)):
        losses = built(replace(tiny_model, extra_proposals=extra)).train().losses(images[:1], targets[:1])
        assert all(torch.isfinite(loss) for loss in losses.values()) and len(asked) == times


def test_only_mask_rcnn_takes_proposals_and_stems(refused: Callable) -> None:
    with refused("model.extra_proposals matcher", "not attention_unet"):
        ModelConfig(arch="attention_unet", extra_proposals="matcher")
    assert "matcher" in zoo.CONSTRUCTORS


def test_an_exact_copy_is_found() -> None:
    """The whole way, nothing faked."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(40, 215, (50, 60)).astype(np.float32)
    gray = cv2.resize(coarse, (360, 300), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 4, (300, 360))
    pixels = np.repeat(np.clip(gray, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    pixels[180:270, 230:330] = pixels[30:120, 40:140]
    (found,) = matcher.built(MatchingConfig()).predict([pixels])
    truth = np.zeros((300, 360), bool)
    truth[180:270, 230:330] = truth[30:120, 40:140] = True
    assert len(found.scores) == 1 and found.image_score >= 0.5
    mask = found.instances.masks()[0]
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8
