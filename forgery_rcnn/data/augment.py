"""Paired augmentation: image and masks through the same torchvision v2 operations, chosen by a generator."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as v2

from forgery_rcnn.config import DataConfig
from forgery_rcnn.data import distort, masks, objects

Pair = tuple[tv_tensors.Image, tv_tensors.Mask]
PAINT = (255, 0, 255)
GREY = (0.2989, 0.587, 0.114)  # shares of red, green and blue, torchvision's


def augment(
    image: tv_tensors.Image,
    masks: tv_tensors.Mask,
    names: Sequence[str],
    rng: np.random.Generator,
    largest: tuple[int, int] | None = None,
    elastic: tuple[float, float] = (1.0, 50.0),
    spot: distort.Spot | None = None,
) -> Pair:
    """(3, H, W) uint8 image and (N, H, W) bool masks -> the same, changed alike. Each named operation has probability 0.5.

    stretch: height and width times a factor of 0.90..1.09 each; scale: both times the same factor of 0.7..1.4; flip:
    left-right and top-bottom, each on its own; rot90: one quarter turn (H and W change places); elastic: warped by a smooth
    random field; objects: many of a kind, not forged, drawn beside what is (data.objects); colour: brightness and contrast
    within 20 %; salt_pepper: some forged pixels black or white; noise: normal noise everywhere; jpeg: saved as JPEG, last
    of all (data.distort has the numbers).
    `largest` = (h, w): where the image, stretched, is larger, a window of that size is cut out of it at a random place;
    None = its own size. `spot` = (x, y): a pixel of the image that the window is to hold. A smaller one is not filled up: a
    batch does that, and knows what it has added.
    elastic: alpha and sigma, pixels, of the operation of this name.
    The same generator state gives the same result.
    """
    pair: Pair = (image, masks)
    factors = rng.uniform(*distort.STRETCH, 2) if "stretch" in names and rng.random() < 0.5 else None
    if "scale" in names and rng.random() < 0.5:
        factors = (1 if factors is None else factors) * np.exp(rng.uniform(*np.log(distort.SCALE))) * np.ones(2)
    if factors is not None or largest:
        size = (int(image.shape[-2]), int(image.shape[-1]))
        pair = _cut(pair, (1.0, 1.0) if factors is None else factors.tolist(), largest or size, rng, spot)
    if "flip" in names and rng.random() < 0.5:
        pair = _both(v2.horizontal_flip, pair)
    if "flip" in names and rng.random() < 0.5:
        pair = _both(v2.vertical_flip, pair)
    if "rot90" in names and rng.random() < 0.5:
        pair = _both(_quarter_turn, pair)
    if "elastic" in names and rng.random() < 0.5:
        planes, layers = pair[0].contiguous().numpy(), pair[1].numpy()
        pair = _pair(*distort.elastic(planes, layers, *elastic, rng))
    if "objects" in names and rng.random() < 0.5:
        pair = (_image(objects.drawn(pair[0].numpy(), pair[1].numpy(), rng)), pair[1])
    if "colour" in names and rng.random() < 0.5:
        brightness, contrast = rng.uniform(0.8, 1.2, 2)
        pair = (_coloured(pair[0], brightness, contrast), pair[1])
    if "salt_pepper" in names and rng.random() < 0.5:
        pair = (_image(distort.salted(pair[0].numpy(), pair[1].numpy(), rng)), pair[1])
    if "noise" in names and rng.random() < 0.5:
        pair = (_image(distort.noisy(pair[0].numpy(), rng)), pair[1])
    if "jpeg" in names and rng.random() < 0.5:
        pair = (_image(distort.compressed(pair[0].numpy(), rng)), pair[1])
    return pair


def _cut(
    pair: Pair,
    factors: Sequence[float],
    largest: tuple[int, int],
    rng: np.random.Generator,
    spot: distort.Spot | None,
) -> Pair:
    """See distort.cut; fast where the image is a view of (H, W, 3) pixels: the rest of them is never copied."""
    pixels, layers = distort.cut(pair[0].permute(1, 2, 0).numpy(), pair[1].numpy(), factors, largest, rng, spot)
    return _pair(np.stack(cv2.split(pixels)), layers)


def _image(planes: np.ndarray) -> tv_tensors.Image:
    return tv_tensors.Image(torch.from_numpy(planes))


def _pair(planes: np.ndarray, layers: np.ndarray) -> Pair:
    return _image(planes), tv_tensors.Mask(torch.from_numpy(layers))


def _both(operation, pair: Pair) -> Pair:
    return operation(pair[0]), operation(pair[1])


def _quarter_turn(tensor: torch.Tensor) -> torch.Tensor:
    """Lossless quarter turn, anticlockwise; v2.rotate would go through an interpolation grid."""
    return tv_tensors.wrap(torch.rot90(tensor, 1, (-2, -1)).contiguous(), like=tensor)


def _coloured(image: tv_tensors.Image, brightness: float, contrast: float) -> tv_tensors.Image:
    """(3, H, W) uint8 -> the same with its levels times `brightness`, then `contrast` times as far from their mean grey.

    torchvision's adjust_brightness and adjust_contrast, to within a level, through one table of 256 levels.
    """
    planes = image.contiguous().numpy()
    levels = np.clip(np.arange(256) * brightness, 0, 255).astype(np.uint8)
    counts = [cv2.calcHist([plane], [0], None, [256], [0, 256]).ravel() for plane in planes]
    mean = sum(share * (count @ levels) for share, count in zip(GREY, counts, strict=True)) / planes[0].size
    table = np.clip(contrast * levels + (1 - contrast) * mean, 0, 255).astype(np.uint8)
    changed = cv2.LUT(planes.reshape(-1, planes.shape[2]), table).reshape(planes.shape)
    return tv_tensors.wrap(torch.from_numpy(changed), like=image)


def cued(pixels: np.ndarray, truth: np.ndarray, config: DataConfig) -> np.ndarray:
    """(H, W, 3) uint8, (N, H, W) bool -> the pixels as config.cue shows them to a model."""
    return paint_boxes(pixels, masks.boxes(truth, config.instances)) if config.cue == "painted_boxes" else pixels


def paint_boxes(pixels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8, (N, 4) x0 y0 x1 y1, true boxes -> a copy with them drawn around the instances, just outside.

    The oracle of the seed's 2 x 2 experiment: with the boxes painted in, a box error can no longer be the cause.
    """
    painted = pixels.copy()
    for x0, y0, x1, y1 in boxes.astype(int).tolist():
        for ring in range(max(1, max(pixels.shape) // 256)):  # OpenCV's thick lines would run over the region
            cv2.rectangle(painted, (x0 - 1 - ring, y0 - 1 - ring), (x1 + ring, y1 + ring), PAINT)
    return painted
