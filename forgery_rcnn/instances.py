"""The one type from model to submission: instances as runs, and the predictions, answers and truths made of them."""

from __future__ import annotations

import math
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
        counts = np.cumsum([0, *(len(runs) for runs in self.runs)])
        before = np.concatenate([[0], np.cumsum(np.concatenate([rle.EMPTY, *self.runs])[:, 1])])
        return np.diff(before[counts])

    def boxes(self) -> np.ndarray:
        """-> (N, 4) int64 x0 y0 x1 y1, pixels, x1 y1 exclusive, tight; an instance of no pixel gives a zero box."""
        boxes, height = np.zeros((len(self.runs), 4), np.int64), self.size[0]
        some = [i for i, runs in enumerate(self.runs) if len(runs)]
        if not some:
            return boxes
        first = np.cumsum([0, *(len(self.runs[i]) for i in some[:-1])])
        starts, lengths = np.concatenate([self.runs[i] for i in some]).T
        left = starts // height
        top = starts - left * height
        bottom = top + lengths
        boxes[some, 0], boxes[some, 1] = left[first], np.minimum.reduceat(top, first)
        boxes[some, 3] = np.maximum.reduceat(bottom, first)
        ends = np.array([int(self.runs[i][-1].sum()) for i in some], np.int64)
        boxes[some, 2] = (ends - 1) // height + 1
        wraps = np.array(some)[boxes[some, 3] > height]  # a run goes on at the top of the next column
        boxes[wraps, 1], boxes[wraps, 3] = 0, height
        return boxes

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


MAX_PIXELS = 178_956_970  # of the largest image that is read: where Pillow refuses by itself
ANY_SIZE = (2**26, 2**26)  # stands in where nothing gives an image's size: of an authentic one it does not matter


@dataclass(frozen=True)
class Answer:
    """What a submission says of one image of `size` = (H, W); what its format cannot say stays unknown.

    instances: None = authentic; an Instances of no region = forged, nobody says where. image_score: 0..1 that it is
    forged, NaN = unknown. scores: (N,) float32, boxes: (N, 4) float32 x0 y0 x1 y1 pixels exclusive, of the instances;
    heatmap: (H, W) float 0..1, probability that a pixel is forged; each None = unknown.
    """

    size: tuple[int, int]
    instances: Instances | None
    image_score: float = math.nan
    scores: np.ndarray | None = None
    boxes: np.ndarray | None = None
    heatmap: np.ndarray | None = None


@dataclass(frozen=True)
class Truth:
    """What is true of one image: its (H, W), its instances (None = authentic), and how it was forged, where known."""

    size: tuple[int, int]
    instances: Instances | None
    kind: str = ""
