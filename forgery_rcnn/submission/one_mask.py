"""What a format can say that has one mask per image: a region, or nothing forged."""

from __future__ import annotations

import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.instances import Answer, Instances


def union(answer: Answer) -> rle.Runs:
    """-> Runs of all that is forged; none where the image is authentic."""
    return rle.EMPTY if answer.instances is None else answer.instances.union()


def answer_of(runs: rle.Runs, size: tuple[int, int], heatmap: np.ndarray | None = None) -> Answer:
    """Runs of one mask -> one region, or authentic where no pixel is set."""
    return Answer(size, Instances(size, (runs,)) if len(runs) else None, heatmap=heatmap)


def expressed(answer: Answer) -> Answer:
    """What is left of an answer in such a file: one region at most, no scores, boxes or heat map."""
    return answer_of(union(answer), answer.size)
