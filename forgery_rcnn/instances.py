"""The one type from model to submission: instances as runs, and a prediction made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.errors import InputError


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """(N, H, W) bool -> (N, 4) float32 x0 y0 x1 y1, pixels, x1 y1 exclusive. An empty mask gives a zero box.

    >>> boxes_of(np.array([[[0, 0, 0], [0, 1, 1]]], bool)).tolist()
    [[1.0, 1.0, 3.0, 2.0]]
    """
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if rows.size:
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


@dataclass(frozen=True)
class Instances:
    """N regions of one image of `size` = (H, W) pixels, each as column-major Runs (see rle). They may overlap."""

    size: tuple[int, int]
    runs: tuple[rle.Runs, ...] = ()

    @classmethod
    def from_masks(cls, masks: np.ndarray) -> Instances:
        """(N, H, W) bool or {0, 1} -> Instances."""
        if masks.ndim != 3:
            raise InputError(f"masks have shape {masks.shape}; expected (N, H, W)")
        return cls((int(masks.shape[1]), int(masks.shape[2])), tuple(rle.runs_of(mask) for mask in masks))

    def __len__(self) -> int:
        return len(self.runs)

    def masks(self) -> np.ndarray:
        """-> (N, H, W) bool."""
        out = np.zeros((len(self.runs), *self.size), bool)
        for mask, runs in zip(out, self.runs, strict=True):
            mask[:] = rle.mask_of(runs, self.size)
        return out

    def union(self) -> rle.Runs:
        """-> Runs of all pixels that any instance covers."""
        return rle.joined(np.concatenate(self.runs)) if self.runs else rle.EMPTY

    def areas(self) -> np.ndarray:
        """-> (N,) int64, pixels."""
        return np.array([int(runs[:, 1].sum()) for runs in self.runs], np.int64)

    def take(self, keep: Sequence[int] | np.ndarray) -> Instances:
        """The instances at these indices, in this order."""
        return Instances(self.size, tuple(self.runs[int(i)] for i in keep))


@dataclass(frozen=True)
class Prediction:
    """What a segmenter says of one image, in the original image's frame.

    instances: N regions; boxes: (N, 4) float32 x0 y0 x1 y1 pixels, exclusive, the detector's own, not tight to the
    masks; scores: (N,) float32 in 0..1, descending; heatmap: (H, W) float32 in 0..1, probability that a pixel is
    forged; image_score: 0..1, that the image is forged.
    """

    instances: Instances
    boxes: np.ndarray
    scores: np.ndarray
    heatmap: np.ndarray
    image_score: float

    def __post_init__(self) -> None:
        n = len(self.instances)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,) or self.heatmap.shape != self.instances.size:
            raise InputError(
                f"Prediction does not fit together: {n} instances of {self.instances.size}, boxes {self.boxes.shape}, "
                f"scores {self.scores.shape}, heatmap {self.heatmap.shape}"
            )

    def take(self, keep: Sequence[int] | np.ndarray) -> Prediction:
        """The same prediction with only these instances; heat map and image score stay."""
        index = np.asarray(keep, np.int64)
        return Prediction(
            self.instances.take(index), self.boxes[index], self.scores[index], self.heatmap, self.image_score
        )
