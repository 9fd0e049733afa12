"""Mask R-CNN through OpenVINO against the torch model; skipped where the extra is not installed, but for what is said then."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference import backends, ensemble
from forgery_rcnn.models import compiled, weights, zoo
from forgery_rcnn.models.mask_rcnn import MaskRCNN

needed = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is an extra")


def model_of(config: ModelConfig) -> MaskRCNN:
    """Random weights whose boxes pass the score threshold."""
    torch.manual_seed(0)
    model = zoo.build(config).eval()
    assert isinstance(model, MaskRCNN)
    torch.nn.init.normal_(model.roi_heads.box_predictor.cls_score.weight, std=0.3)
    return model


def pictures() -> list[np.ndarray]:
    """Of three shapes, two of which are fitted to the same size."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((90, 128), (45, 64), (150, 100))]


@needed
@pytest.mark.parametrize(
    "other",
    [
        {"norm": "group"},
        {"norm": "frozen_batch"},
        {"backbone": "mobilenet_v3_large", "fpn_width": 160},  # whose finest level is computed in parts (pyramid)
    ],
)
def test_equals_the_torch_model_in_float32(tiny_model: ModelConfig, other: dict[str, object]) -> None:
    model = model_of(replace(tiny_model, **other))
    model.predict(pictures())
    ours = compiled.Compiled(model, "f32")
    found, expected = ours.predict(pictures()), model.predict(pictures())
    assert sum(len(one.scores) for one in expected) >= 3
    for one, other in zip(found, expected, strict=True):
        assert one.heatmap.shape == other.heatmap.shape
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-3)


@needed
def test_an_earlier_prediction_outlives_the_next(tiny_model: ModelConfig) -> None:
    ours = compiled.Compiled(model_of(tiny_model), "f32")
    first, second, _ = pictures()
    before = ours.predict([first])[0]
    kept = before.heatmap.copy(), before.boxes.copy()
    ours.predict([second])
    assert np.array_equal(before.heatmap, kept[0]) and np.array_equal(before.boxes, kept[1])


@needed
def test_nothing_found_gives_an_empty_prediction(tiny_model: ModelConfig) -> None:
    model = model_of(tiny_model)
    model.roi_heads.score_thresh = 1.0
    found = compiled.Compiled(model, "f32").predict(pictures()[:1])[0]
    assert len(found.instances) == 0 and found.image_score == 0 and not found.heatmap.any()


@needed
def test_it_cannot_be_trained(tiny_model: ModelConfig) -> None:
    with pytest.raises(InputError, match="--backend torch"):
        compiled.Compiled(model_of(tiny_model), "f32").losses([], [])


def test_without_the_package_the_error_names_it(tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "PACKAGE", "openvino_that_is_not_there")
    with pytest.raises(InputError, match=r"pip install '\.\[openvino\]'"):
        compiled.Compiled(model_of(tiny_model), "f32")


def saved(folder: Path, model: torch.nn.Module, config: ModelConfig) -> str:
    """Weights on disk, by name."""
    from forgery_rcnn.config import RunConfig, to_dict

    path = folder / "model.safetensors"
    weights.write(path, model.state_dict(), {"config": to_dict(RunConfig(model=config))})
    return str(path)


def test_a_model_that_gives_a_map_is_refused(tmp_path: Path) -> None:
    config = ModelConfig(arch="attention_unet", image_size=64)
    config = replace(config, dense=replace(config.dense, widths=(4, 8)))
    found = ensemble.load((saved(tmp_path, zoo.build(config), config),), config, None)
    with pytest.raises(InputError, match="it is for mask_rcnn: use --backend torch"):
        backends.on(found, "openvino", "float32")


@needed
def test_an_ensemble_predicts_through_it(tmp_path: Path, tiny_model: ModelConfig) -> None:
    model = model_of(tiny_model)
    found = ensemble.load((saved(tmp_path, model, tiny_model),), tiny_model, None)
    assert backends.on(found, "torch", "float32") is found
    through: Callable = backends.on(found, "openvino", "float32").predict
    picture = pictures()[0]
    np.testing.assert_allclose(through(picture).heatmap, found.predict(picture).heatmap, atol=1e-3)
