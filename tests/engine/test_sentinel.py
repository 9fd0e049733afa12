"""A collapse is seen, its cause named, and the run goes on or stops as it was told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forgery_rcnn import report
from forgery_rcnn.config import InferenceConfig, ModelConfig, RunConfig, Stage
from forgery_rcnn.data import records, splits
from forgery_rcnn.engine import sentinel
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.models import weights, zoo
from tests.engine.test_loop import STAGE, epochs, train, trainer

STILL = replace(STAGE, subset="few", epochs=4, lr=1e-12)


def square(side: int, at: int = 0) -> Instances:
    mask = np.zeros((1, 20, 20), bool)
    mask[0, at : at + side, at : at + side] = True
    return Instances.from_masks(mask)


def signs(*pairs: tuple[Instances | None, Instances | None]) -> list[str]:
    """(answer, truth) of each image -> signs."""
    size = (20, 20)
    rows = [report.image_row(str(i), Answer(size, a), Truth(size, t)) for i, (a, t) in enumerate(pairs)]
    return sentinel.signs(rows, report.summary(rows))


def test_signs_of_a_collapse() -> None:
    a, b = square(5), square(6, 3)
    silent = "no detection passes the threshold on any image"
    assert signs((None, a), (None, b), (None, None)) == [silent, "oF1 0.3333 is that of calling every image authentic"]
    assert signs((square(4), a), (b, None)) == ["every image is called forged"]
    assert signs(*[(a, b)] * 4)[:1] == ["every image gets the same answer"]
    assert signs((square(3, 12), a), (square(3, 15), a)) == [], (
        "all are flagged, all are forged: wrong is not collapsed"
    )
    whole = Instances.from_masks(np.ones((1, 20, 20), bool))
    assert "is that of calling every image forged" in signs((whole, a), (whole, None))[-1]


def test_an_answer_is_the_same_whatever_the_image_s_size() -> None:
    def row(height: int, width: int, case: str) -> report.ImageRow:
        answer, truth = (np.zeros((1, height, width), bool) for _ in range(2))
        answer[:, 2 : height // 2, 2 : width // 2] = truth[:, 4:9, 4:7] = True
        size, found, true = (height, width), Instances.from_masks(answer), Instances.from_masks(truth)
        return report.image_row(case, Answer(size, found), Truth(size, true))

    rows = [row(200 + 10 * i, 210 + 7 * i, str(i)) for i in range(4)]
    assert sentinel.signs(rows, report.summary(rows)) == ["every image gets the same answer"]
    assert sentinel.signs(rows[:3], report.summary(rows[:3])) == [], "three may do so by accident"


def test_what_is_no_collapse() -> None:
    a, b = square(5), square(6, 3)
    assert signs((a, a), (b, b)) == [], "all of them are forged"
    assert signs((a, a), (None, None)) == []
    assert signs((None, None), (None, None)) == [], "nothing is there to be found"
    assert signs((square(4), a)) == []


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentinel, "GRACE", 0)


def test_a_stage_has_time_to_begin(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinel, "GRACE", 12)  # four steps an epoch
    _, printed = train(trainer(shared_root, tmp_path, tiny_model, STILL, collapse_after=2))
    assert (
        printed.index("epoch   3/4") < printed.index("has collapsed: for 2 evaluations") < printed.index("epoch   4/4")
    )


def test_the_run_says_so_names_a_cause_and_goes_on(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    _, printed = train(trainer(shared_root, tmp_path, tiny_model, STILL, collapse_after=2))
    assert len(epochs(tmp_path)) == 4
    (said,) = [line for line in printed.splitlines() if "has collapsed:" in line]
    assert "for 2 evaluations" in said
    cause = printed.splitlines()[printed.splitlines().index(said) + 1]
    assert "likely cause: the" in cause and "regions at IoU 0.5" in cause and "debug.all --weights" in cause


def test_it_stops_when_told_and_goes_on_when_told(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    settings = {"collapse_after": 2, "on_collapse": "stop"}
    with pytest.raises(
        InputError, match=r"stage one stopped in epoch 2: collapsed for 2 .*--resume --on-collapse go_on"
    ):
        train(trainer(shared_root, tmp_path, tiny_model, STILL, **settings))
    assert len(epochs(tmp_path)) == 2
    train(trainer(shared_root, tmp_path, tiny_model, STILL, collapse_after=2), resume=True)
    assert len(epochs(tmp_path)) == 4


def test_never_is_never(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    _, printed = train(trainer(shared_root, tmp_path, tiny_model, STILL, collapse_after=0, on_collapse="stop"))
    assert "collapse" not in printed


def test_a_recovery_is_said(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = iter([["a sign"], ["a sign"], [], []])
    monkeypatch.setattr(sentinel, "signs", lambda *_: next(said))
    _, printed = train(trainer(shared_root, tmp_path, tiny_model, STILL, collapse_after=2))
    assert printed.index("for 2 evaluations a sign") < printed.index("stage one has recovered")


def test_images_for_the_cause_are_of_both_kinds(shared_root: Path, tiny_model: ModelConfig) -> None:
    found = records.scan(shared_root)
    labels = [record.label for record in splits.balanced(found, sentinel.LOOKED_AT)]
    assert labels.count("forged") == labels.count("authentic") == 4
    torch.manual_seed(0)
    model = zoo.build(weights.settled(tiny_model)).eval()
    config = RunConfig(inference=InferenceConfig(score_threshold=0.99), stages=(Stage(),))
    assert sentinel.cause(model, found, config).startswith("likely cause: the RPN (proposals); proposals reach 0% of 4")
    authentic = [record for record in found if record.label == "authentic"]
    assert sentinel.cause(model, authentic, config) == "the oracle's ladder blames no part"


@pytest.mark.parametrize(
    ("before", "signs", "limit", "now", "said"),
    [
        (0, [], 3, 0, ""),
        (1, ["a"], 3, 2, ""),
        (2, ["a", "b"], 3, 3, "has collapsed: for 3 evaluations a and b"),
        (3, ["a"], 3, 4, ""),
        (0, ["a"], 1, 1, "has collapsed: for 1 evaluation a"),
        (4, [], 3, 0, "has recovered: images get different answers again"),
        (2, [], 3, 0, ""),
        (9, ["a"], 0, 10, ""),
    ],
)
def test_a_collapse_is_said_once_and_its_end(before: int, signs: list[str], limit: int, now: int, said: str) -> None:
    assert sentinel.counted(before, signs, limit) == (now, said)
