"""Scoring a model on records: answers beside the truth, in the original frame, one image at a time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forgery_rcnn.config import DataConfig, InferenceConfig, MatchingConfig, ModelConfig, to_dict
from forgery_rcnn.data import records
from forgery_rcnn.engine import evaluate
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.inference.ensemble import Ensemble, Member
from forgery_rcnn.instances import Instances, Prediction, boxes_of
from forgery_rcnn.models import matcher, zoo
from forgery_rcnn.report import image_row
from tests.conftest import make_root


class Oracle:
    """Stands in for a segmenter: finds the square that every forged figure of the tiny root has, in every image."""

    gives, sees = "instances", "parts"

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def predict(self, images: Sequence[np.ndarray], threshold: float) -> list[Prediction]:
        self.seen += [image.shape for image in images]
        return [self.found(image.shape[:2]) for image in images]

    def found(self, size: tuple[int, int]) -> Prediction:
        masks = np.zeros((2, *size), bool)
        masks[0, 40:70, 8:36] = masks[0, 5:35, 40:68] = masks[1, :4, :4] = True
        return Prediction(
            Instances.from_masks(masks), boxes_of(masks), np.float32([0.9, 0.2]), masks[0].astype(np.float32), 0.7
        )


@pytest.fixture
def items(shared_root: Path) -> list[records.Record]:
    found = {record.key: record for record in records.scan(shared_root)}
    return [found["train/forged/2"], found["train/authentic/3"]]


def test_answers_stand_beside_their_truth(items: list[records.Record]) -> None:
    oracle = Oracle()
    found = evaluate.answers(oracle, items, DataConfig(), InferenceConfig(score_threshold=0.5))
    assert oracle.seen == []  # nothing is predicted before it is asked for
    key, answer, truth = next(found)
    assert (key, oracle.seen) == ("train/forged/2", [(88, 80, 3)])
    assert answer.size == truth.size == truth.instances.size == (88, 80)
    assert np.array_equal(truth.instances.masks(), np.load(items[0].mask).astype(bool))
    assert np.array_equal(answer.instances.masks(), truth.instances.masks())
    assert answer.scores.tolist() == np.float32([0.9]).tolist() and answer.image_score == 0.7
    assert answer.boxes.shape == (1, 4) and answer.heatmap.shape == (88, 80)
    key, answer, truth = next(found)
    assert (key, truth.size, truth.instances) == ("train/authentic/3", (80, 96), None)
    assert len(answer.instances) == 1
    assert list(found) == []


def test_rows_are_those_of_the_answers(items: list[records.Record]) -> None:
    how, steps = (DataConfig(), InferenceConfig(score_threshold=0.1)), []
    rows = evaluate.evaluate(Oracle(), items, *how, lambda: steps.append(1))
    assert [row.of1 for row in rows] == [0.5, 0] and len(steps) == 2
    assert [row.pixel_auc for row in rows] == [1, pytest.approx(np.nan, nan_ok=True)]
    assert repr(rows) == repr([image_row(*found) for found in evaluate.answers(Oracle(), items, *how)])
    assert evaluate.evaluate(Oracle(), [], *how) == []


def test_what_only_its_own_root_has_stays_with_it(tiny_root: Path, tmp_path: Path) -> None:
    rows = [f"{case},{'validation' if case > 4 else 'train'}" for case in range(1, 7)]
    (tmp_path / "split.csv").write_text("\n".join(["case_id,part", *rows]) + "\n")
    images, masks = tiny_root / "train_images/forged", tiny_root / "train_masks"
    told = DataConfig(images, masks=masks, layout="pairs", split_file=tmp_path / "split.csv", folds=2)
    matched = matcher.built(MatchingConfig())
    member = Member(matched, InferenceConfig(), 1.0, Path("w"), {"config": {"data": to_dict(told)}})
    same = evaluate._read_as(member, images.parent / "forged", True)
    assert same == replace(told, skip_bad=True)
    other = evaluate._read_as(member, make_root(tmp_path / "other"), False)
    assert other == DataConfig(tmp_path / "other", folds=2)
    sample = evaluate._read_as(replace(member, meta={}), None, False)
    assert sample == DataConfig()


def test_a_split_that_is_drawn_anew_is_said(tiny_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    """The very files in another place may not have their split file there."""
    told = DataConfig(tmp_path / "moved", split_file=tmp_path / "split.csv", folds=2, single="1")
    known = records.fingerprint(records.scan(tiny_root))
    meta = {"config": {"data": to_dict(told)}, "data": known}
    member = Member(zoo.build(tiny_model), InferenceConfig(), 1.0, Path("w"), meta)
    printed = io.StringIO()
    found = Ensemble((member,), "mean", member.config, member.path, meta)
    evaluate.opened(found, tiny_root, False, "validation", Screen(printed))
    assert "the split is drawn anew and may hold images they know" in printed.getvalue()
