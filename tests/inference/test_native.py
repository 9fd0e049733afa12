"""A detector that sees images unscaled: whole up to a tile's size, in tiles above, regions whole across their borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from forgery_rcnn.config import InferenceConfig, ModelConfig, Tiling
from forgery_rcnn.inference import pipeline
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from forgery_rcnn.recipes import RECIPES

TILED = InferenceConfig(tiling=Tiling("auto", sides=(128,)))


@pytest.fixture(scope="module")
def knowing(tiny_model: ModelConfig) -> MaskRCNN:
    """Its heads know the truth: a box and a full mask for each of the two colours in the image they are shown, whatever
    part of it that is. The way there and back is the model's own."""

    def detect(images: Sequence[Tensor], extra: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        out = []
        for image in images:
            boxes = []
            for channel in (0, 1):
                at = torch.nonzero(image[channel] > 200)
                if len(at):
                    (y0, x0), (y1, x1) = at.min(dim=0).values.tolist(), (at.max(dim=0).values + 1).tolist()
                    boxes.append([x0, y0, x1, y1])
            found = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
            grids, scores = torch.ones(len(boxes), 1, 14, 14), torch.linspace(0.9, 0.8, len(boxes))
            out.append({"boxes": found, "masks": grids, "scores": scores})
        return out

    torch.manual_seed(0)
    model = zoo.build(weights.settled(replace(tiny_model, fit="native", image_size=64))).eval()
    model.detect = detect
    return model


@pytest.mark.parametrize("size", [(128, 100), (200, 300), (500, 129), (400, 420)])
def test_regions_over_tile_borders_are_whole(knowing: MaskRCNN, size: tuple[int, int]) -> None:
    """Of one tile, of two rows, of a strip: a wide region over several tiles, and a small one."""
    pixels = np.zeros((*size, 3), np.uint8)
    wide, small = (slice(20, size[0] - 10), slice(8, size[1] - 6)), (slice(5, 15), slice(40, 80))
    pixels[wide][..., 0] = pixels[small][..., 1] = 255
    found = pipeline.predict_image(knowing, pixels, TILED)
    assert found.instances.size == size and len(found.scores) == 2
    masks = found.instances.masks()
    order = np.argsort(-masks.sum(axis=(1, 2)))
    for mask, box, where in zip(masks[order], found.boxes[order], (wide, small), strict=True):
        true = np.zeros(size, bool)
        true[where] = True
        assert (mask & true).sum() / (mask | true).sum() > 0.8  # masks lie half a pixel off, by design
        np.testing.assert_allclose(box, [where[1].start, where[0].start, where[1].stop, where[0].stop], atol=0.01)


def test_the_shipped_detector_s_recipe_cuts_only_what_is_larger_than_a_megapixel() -> None:
    from forgery_rcnn.inference.tiling import tiles

    recipe = RECIPES["forensic"]
    assert recipe.model.fit == "native" and recipe.data.crops_on_forged == 0.5
    assert len(tiles((1024, 1024), recipe.inference.tiling)) == 1
    cut = tiles((3000, 4000), recipe.inference.tiling)
    assert len(cut) <= 20 and {(w.x1 - w.x0, w.y1 - w.y0) for w in cut} == {(1024, 1024)}
    assert len(tiles((700, 3000), recipe.inference.tiling)) == 4
