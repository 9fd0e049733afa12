"""False alarms on authentic images: which images are looked at, what is remembered, and that training goes there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forgery_rcnn.config import DataConfig, InferenceConfig, ModelConfig, Stage
from forgery_rcnn.data import records
from forgery_rcnn.data.dataset import EpochSampler
from forgery_rcnn.engine import mining
from forgery_rcnn.engine.mining import alarms, due, favour, looked_at, renewed
from forgery_rcnn.engine.scorer import Scorer
from forgery_rcnn.engine.stopping import Interrupted, StopSignal
from forgery_rcnn.instances import Instances, Prediction
from forgery_rcnn.models.segmenter import Segmenter
from tests.engine.test_loop import epochs, train, trainer


class Bright(Segmenter):
    """Calls the brightest 8 x 8 square of an image forged, twice, the second time unsurely."""

    def losses(self, images, targets):
        raise NotImplementedError

    def predict(self, images, mask_threshold=0.5):
        out = []
        for image in images:
            y, x = np.unravel_index(np.argmax(image[::8, ::8].sum(axis=2, dtype=int)), image[::8, ::8].shape[:2])
            mask = np.zeros((2, *image.shape[:2]), bool)
            mask[:, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8] = True
            boxes = np.float32([[8 * x, 8 * y, 8 * x + 8, 8 * y + 8]] * 2)
            scores, heat = np.float32([0.9, 0.3]), mask[0].astype(np.float32)
            out.append(Prediction(Instances.from_masks(mask), boxes, scores, heat, 0.9))
        return out


def test_alarms_are_the_sure_instances_of_the_images_asked_for(shared_root: Path) -> None:
    items = records.scan(shared_root)
    asked = [0, 3]
    model = Bright(ModelConfig())
    found = alarms(model, items, asked, DataConfig(), InferenceConfig())
    assert [number for number, _, _ in found] == asked, "one each: the unsure one is below the threshold"
    for number, x, y in found:
        pixels = records.load(items[number]).pixels[::8, ::8].sum(axis=2, dtype=int)
        assert pixels[y // 8, x // 8] == pixels.max() and (x % 8, y % 8) == (4, 4)
    both = InferenceConfig(score_threshold=0.2, regions="one")
    assert len(alarms(model, items, asked, DataConfig(), both)) == 4, "each at its own place"
    assert alarms(model, items, asked, DataConfig(), InferenceConfig(score_threshold=0.95)) == []


def test_only_authentic_images_are_looked_at(shared_root: Path) -> None:
    items = records.scan(shared_root)
    authentic = {index for index, record in enumerate(items) if record.label == "authentic"}
    assert set(looked_at(items, 100, 0)) == authentic
    drawn = [looked_at(items, 3, seed) for seed in range(5)]
    assert all(len(numbers) == 3 and set(numbers) < authentic and numbers == sorted(numbers) for numbers in drawn)
    assert len(set(map(tuple, drawn))) > 1 and drawn[2] == looked_at(items, 3, 2)
    assert looked_at([record for record in items if record.label == "forged"], 3, 0) == []


def test_an_image_has_the_alarms_of_the_last_look() -> None:
    before = [[1, 5, 5], [4, 0, 9]]
    now = renewed(before, [1, 2], [[2, 7, 7], [2, 3, 3]])
    assert now == [[2, 3, 3], [2, 7, 7], [4, 0, 9]]
    assert renewed(now, [1, 2], [[2, 7, 7], [2, 3, 3]]) == now


def test_when_it_is_due() -> None:
    stage = Stage(epochs=6, mine_every=2)
    assert [due(stage, epoch) for epoch in range(6)] == [False, True, False, True, False, False]
    assert not any(due(Stage(epochs=6), epoch) for epoch in range(6))


def test_the_sampler_is_told_of_every_alarm() -> None:
    sampler = EpochSampler(9, 2, 0)
    favour(sampler, [[1, 5, 6], [1, 7, 8], [4, 0, 9]], 3.0)
    assert sampler.favoured == {1: [(5, 6), (7, 8)], 4: [(0, 9)]} and sampler.factor == 3.0


def test_a_look_that_is_interrupted_comes_again_and_changes_nothing(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while images are looked at, and while they are scored right after: both as if nothing had happened."""
    stage = Stage("full", epochs=3, batch_size=4, evaluate_every=1, warmup_steps=0, mine_every=1, mine_images=4)
    settings = {"inference": InferenceConfig(score_threshold=0.0, min_area=0), "watch": 0}

    def made(out: Path):
        return trainer(shared_root, out, replace(tiny_model, box_score_min=0.0), stage, **settings)

    whole, _ = train(made(tmp_path / "whole"))
    seen = []
    monkeypatch.setattr(mining, "renewed", lambda *a: (seen.append(renewed(*a)), seen[-1])[1])
    for method in ("mine", "evaluate"):
        stop, own = StopSignal(), getattr(Scorer, method)
        with monkeypatch.context() as patch:
            patch.setattr(Scorer, method, lambda *a, stop=stop, own=own: (stop.ask(15), own(*a))[1])
            with pytest.raises(Interrupted):
                train(made(tmp_path / method), stop=stop)
        again, printed = train(made(tmp_path / method), resume=True)
        assert "false alarms on" in printed and seen[-1]
        assert again.read_bytes() == whole.read_bytes()
        losses = [[line["loss"] for line in epochs(tmp_path / name)] for name in (method, "whole")]
        assert losses[0] == losses[1] and torch.tensor(losses[0]).isfinite().all()
