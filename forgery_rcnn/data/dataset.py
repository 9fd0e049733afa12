"""Records -> what a segmenter trains on: fitted, augmented, checked targets. The loader's workers run this file."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import tv_tensors

from forgery_rcnn.config import DataConfig, ModelConfig
from forgery_rcnn.data import distort, images, masks, records
from forgery_rcnn.data.augment import augment, cued
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import boxes_of

Target = dict[str, torch.Tensor]
Draw = tuple[int, int] | tuple[int, int, distort.Spot]
"""Number of a record, seed, and where in its image to look (x, y): the sampler knows of a false alarm there."""
Item = tuple[torch.Tensor, Target, str]
Batch = tuple[list[torch.Tensor], list[Target], list[str]]


def target_of(truth: np.ndarray, min_box: int) -> Target:
    """(N, h, w) bool -> boxes (M, 4) float32 x0 y0 x1 y1 exclusive, labels (M,) int64 all 1, masks (M, h, w) uint8.

    M <= N: an instance of which augmentation leaves a box with a side below `min_box` pixels is left out.
    """
    boxes = boxes_of(truth)
    keep = np.flatnonzero((boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= min_box)
    return {
        "boxes": torch.from_numpy(boxes[keep].reshape(-1, 4)),
        "labels": torch.ones(len(keep), dtype=torch.int64),
        "masks": torch.from_numpy(truth[keep].astype(np.uint8)),
    }


def check_target(target: Target, size: tuple[int, int], name: str) -> None:
    """Raise InputError where torchvision would train on nonsense in silence: sizes, values, boxes, labels."""
    boxes, labels, truth = target["boxes"], target["labels"], target["masks"]
    if truth.shape[1:] != size:
        raise InputError(
            f"{name}: target masks are {tuple(truth.shape)}, image is {size}; expected (N, {size[0]}, {size[1]})"
        )
    if not len(boxes) == len(labels) == len(truth):
        raise InputError(
            f"{name}: {len(boxes)} boxes, {len(labels)} labels, {len(truth)} masks; expected as many of each"
        )
    if len(boxes) == 0:
        return
    odd = truth.max() > 1 if truth.dtype == torch.uint8 else ((truth != 0) & (truth != 1)).any()
    if odd:
        raise InputError(f"{name}: target mask holds {truth.min()}..{truth.max()}; expected only 0 and 1")
    if (labels != 1).any():
        raise InputError(f"{name}: labels {labels.tolist()}; every instance is class 1, forged")
    inside = (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= size[1]).all() and (boxes[:, 3] <= size[0]).all()
    if not inside or (boxes[:, 2:] <= boxes[:, :2]).any() or not torch.isfinite(boxes).all():
        raise InputError(f"{name}: a box is empty or outside the {size[0]} x {size[1]} image: {boxes.tolist()}")


class ForgeryDataset(Dataset[Item]):
    """Item (index, seed) -> image (3, h, w) uint8 at the model's size, Target, record key. The seed fixes the augmentation. An
    instance below config.min_box before it is no target after it either.

    With model.fit native, an image is a square of model.image_size out of the unscaled one, at a place that the seed fixes
    too; a side that is shorter is taken whole. A share config.crops_on_forged of them holds a forged pixel where there is
    one; item (index, seed, spot) holds the pixel `spot`. Only what of a mask lies in the square counts, and no instance of
    which that is too little (config.min_part), so a forged image may well give an authentic item.
    """

    def __init__(
        self, items: Sequence[records.Record], config: DataConfig, model: ModelConfig, operations: Sequence[str] = ()
    ) -> None:
        """`operations` are the names that augment knows."""
        self.items = list(items)
        self.config = config
        self.model = model
        self.operations = operations
        side = model.image_size
        self._largest = (side, side) if model.fit == "native" else None
        self._cache: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self.items)

    def fitted(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """-> (h, w, 3) uint8 and (N, h, w) bool at the model's size; decoded once, then kept while memory allows."""
        if index in self._cache:
            return self._cache[index]
        loaded = records.load(self.items[index])
        how = masks.shown_to(self.model, self.config)
        small = masks.shown(loaded.masks, how, self.items[index].mask)
        pixels = cued(loaded.pixels, loaded.masks, self.config)
        pair = images.resized(pixels, images.model_size(loaded.pixels.shape[:2], self.model)), small
        self._cached_bytes += pair[0].nbytes + small.nbytes
        if self._cached_bytes <= self.config.cache_mb * 1_000_000:
            self._cache[index] = pair
        return pair

    def __getitem__(self, item: Draw) -> Item:
        index, seed, *spots = item
        pixels, truth = self.fitted(index)
        rng = np.random.default_rng(seed)
        spot = None
        if self._largest is not None:
            spot = spots[0] if spots else _forged_spot(truth, self.config.crops_on_forged, rng)
        # cv2.split: a fifth of the time that torch takes to copy a permuted image
        planes = pixels.transpose(2, 0, 1) if self._largest else np.stack(cv2.split(pixels))
        pair = tv_tensors.Image(torch.from_numpy(planes)), tv_tensors.Mask(torch.from_numpy(truth))
        changed, masks_changed = augment(*pair, self.operations, rng, self._largest, self.config.elastic, spot)
        left = masks_changed.numpy()
        if self.config.min_part and self._largest is not None:
            left = left[_enough(truth, left, self.config.min_part)]
        target = target_of(left, self.config.min_box)
        key = self.items[index].key
        check_target(target, tuple(changed.shape[-2:]), key)
        return changed.as_subclass(torch.Tensor).contiguous(), target, key


def _forged_spot(truth: np.ndarray, share: float, rng: np.random.Generator) -> distort.Spot | None:
    """(N, H, W) bool -> with probability `share` a random pixel (x, y) of a random instance; None without one."""
    if not share or rng.random() >= share or not truth.any():  # no draw at all where the setting is off
        return None
    held = truth[rng.choice(np.flatnonzero(truth.any(axis=(1, 2))))]
    y, x = divmod(int(rng.choice(np.flatnonzero(held))), held.shape[1])
    return x, y


def _enough(truth: np.ndarray, left: np.ndarray, share: float) -> np.ndarray:
    """(N, H, W), (N, h, w) bool, what a square left of the first -> (N,) bool: at least `share` of it, or of the square."""
    return left.sum(axis=(1, 2)) >= share * np.minimum(truth.sum(axis=(1, 2)), left.shape[1] * left.shape[2])


def collate(items: Sequence[Item]) -> Batch:
    """Items of several sizes -> lists of images, targets, keys."""
    batch_images, targets, keys = zip(*items, strict=True)
    return list(batch_images), list(targets), list(keys)


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (index, seed), fixed by (seed, epoch) and what is favoured, sharded over `world` ranks; can start midway.

    Every rank gets the same number of full batches: the order is continued from its own beginning to fill the last. An
    epoch stays as long where some images are favoured: these come up `factor` times as often as the others, each time
    with one of their spots.
    """

    def __init__(self, count: int, batch_size: int, seed: int, rank: int = 0, world: int = 1, repeats: int = 1) -> None:
        """`repeats`: how often each of the `count` comes up in an epoch."""
        self.count, self.total = count, count * repeats
        self.batch_size, self.seed = min(batch_size, max(1, -(-self.total // world))), seed
        self.rank, self.world = rank, world
        self.epoch, self.start = 0, 0
        self.favoured: Mapping[int, Sequence[distort.Spot]] = {}
        self.factor = 1.0

    def __len__(self) -> int:
        """Batches in a whole epoch, on each rank."""
        return -(-self.total // (self.batch_size * self.world))

    def set(self, epoch: int, start: int) -> None:
        """Next iteration: this epoch, from its batch number `start`."""
        self.epoch, self.start = epoch, start

    def favour(self, spots: Mapping[int, Sequence[distort.Spot]], factor: float) -> None:
        """From the next iteration on: number of a record -> where in it to look (x, y), one place or more."""
        self.favoured, self.factor = spots, factor

    def __iter__(self) -> Iterator[list[Draw]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(self.total) % self.count
        total = len(self) * self.batch_size * self.world
        seeds = rng.integers(0, 2**62, total)
        if self.favoured:
            order = self._weighted(order, rng)
        order = np.resize(order, total)
        pairs = [self._draw(int(i), int(s)) for i, s in zip(order, seeds, strict=True)]
        batches = [pairs[at : at + self.batch_size] for at in range(0, total, self.batch_size)]
        yield from batches[self.rank :: self.world][self.start :]

    def _weighted(self, order: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(total,) every number as often as any -> (total,): each as often as its weight says, rounded up or down, in a new order."""
        weights = np.array([self.factor if int(index) in self.favoured else 1.0 for index in order])
        ends = np.cumsum(weights) / weights.sum() * self.total
        picks = np.searchsorted(ends, np.arange(self.total) + rng.random(), side="right")
        return rng.permutation(order[np.minimum(picks, self.total - 1)])

    def _draw(self, index: int, seed: int) -> Draw:
        spots = self.favoured.get(index)
        return (index, seed, spots[seed % len(spots)]) if spots else (index, seed)


def _quiet(worker: int) -> None:
    """A loader process decodes with one thread, as torch computes in it with one: there are as many as were asked for.
    Signals to the whole group are the trainer's to handle: it ends its loaders, or they end with it."""
    cv2.setNumThreads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


_loading: weakref.WeakSet[multiprocessing.process.BaseProcess] = weakref.WeakSet()


@atexit.register
def _end_loaders() -> None:
    """Whoever still holds a loader when the process ends would wait for ever: multiprocessing asks by SIGTERM, then joins."""
    for process in _loading:
        process.kill()


class _Loader(DataLoader[Item]):
    """Of what a loader process met, the one line that was said there: torch hands over its whole traceback as the message."""

    def __iter__(self) -> Iterator[Any]:
        others = set(multiprocessing.active_children())
        batches = super().__iter__()
        _loading.update(set(multiprocessing.active_children()) - others)
        try:
            yield from batches
        except InputError as error:
            raise InputError(str(error).rstrip().rpartition("InputError: ")[2]) from None


def make_loader(dataset: ForgeryDataset, sampler: Iterable[list[Draw]]) -> DataLoader[Item]:
    """A loader whose workers live as long as it does and hand over whole batches, those of (index, seed) in `sampler`."""
    workers = dataset.config.workers
    return _Loader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_quiet,
        persistent_workers=workers > 0,
        multiprocessing_context="spawn" if workers else None,
    )
