"""Training the last part of a model on what the frozen rest says of each image, computed once a stage.

Where nothing below the trained part moves and images are not augmented, every epoch would compute the same again. The
stage then goes over the vectors in the order of the images it would have gone over. They are kept in memory only: a
resumed run computes them anew, in the same batches, and gets the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from forgery_rcnn.config import Stage
from forgery_rcnn.data.dataset import EpochSampler, ForgeryDataset, Target, make_loader
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.models.segmenter import Segmenter

Batch = tuple[Tensor, list[Target], list[str]]


class Vectors:
    """Every image's summary and target, in the batches that `sampler` asks for: (B, D) float32, targets, keys."""

    def __init__(
        self, summaries: Tensor, targets: Sequence[Target], keys: Sequence[str], sampler: EpochSampler
    ) -> None:
        self.summaries, self.targets, self.keys, self.sampler = summaries, targets, keys, sampler

    def __iter__(self) -> Iterator[Batch]:
        for pairs in self.sampler:
            at = [number for number, *_ in pairs]
            yield self.summaries[at], [self.targets[i] for i in at], [self.keys[i] for i in at]


def suffice(model: Segmenter, moving: Sequence[str], stage: Stage) -> bool:
    """Whether a stage that moves these parameters can do with summaries."""
    parts = tuple(f"{part}." for part in model.summary_parts)
    same = (
        not stage.augment and not stage.alternate_with and model.config.fit != "native"
    )  # which cuts another square each time
    return same and all(name.startswith(parts) for name in moving)


def computed(
    model: Segmenter, dataset: ForgeryDataset, sampler: EpochSampler, precision: str, advance: Callable[[], None]
) -> Vectors:
    """Run the frozen part on every image of `dataset` once, in the order of the images; puts the model in eval mode.

    The targets' masks, which would fill the memory, are not kept. `advance` is called after each batch.
    """
    model.eval()
    uncached = replace(dataset.config, cache_mb=0)  # no picture is looked at twice
    once = ForgeryDataset(dataset.items, uncached, dataset.model)
    out: list[Tensor] = []
    targets, keys = [], []
    with autocast(model.device, precision):
        for images, found, names in make_loader(once, in_order(len(once), sampler.batch_size)):
            out.append(model.summaries(images).float().cpu())
            targets += [{name: value for name, value in target.items() if name != "masks"} for target in found]
            keys += names
            advance()
    return Vectors(torch.cat(out), targets, keys, sampler)


def in_order(count: int, size: int) -> list[list[tuple[int, int]]]:
    """(index, seed) of every image once, in batches; nothing is augmented, so all seeds are the same.

    >>> in_order(3, 2)
    [[(0, 0), (1, 0)], [(2, 0)]]
    """
    return [[(index, 0) for index in range(at, min(at + size, count))] for at in range(0, count, size)]
