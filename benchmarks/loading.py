"""How many images a second the loader hands over, against the plain way, in one run on the same files.

PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE python benchmarks/loading.py docs/results/loading.md      (some 3 minutes; --quick: half)

Reading, decoding, augmenting (flips, quarter turns, colour) and collating in batches of 4 at 512 px, as `make_loader` does
it. *plain* is the pipeline that is written first: Pillow decodes, `np.load` reads the whole mask, torchvision's v2
transforms flip, change colours and resize the image and its masks at full size. The data: PNG images cut from scikit-image's
pictures, tiled; the long side log-normal around 800 px (300..2500), 3:4; 85 % RGB, the rest grey; 54 % forged, with 1 to 3
instances in an (N, H, W) uint8 `.npy`. All files are in the system's cache; worker processes have started before the clock.
*plain* and *first pass*, nothing decoded yet: the best of 3 passes, taken in turns. *second pass*: each worker process keeps
what it has decoded, and meets about its share of it again. *sixth pass*: nearly all is kept. Other work on the same cores
lowers every number.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import skimage
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.ops import masks_to_boxes
from torchvision.transforms import v2

from forgery_rcnn.config import DataConfig, ModelConfig
from forgery_rcnn.data import records
from forgery_rcnn.data.dataset import EpochSampler, ForgeryDataset, Item, collate, make_loader

SIDE, BATCH, OPERATIONS = 512, 4, ("flip", "rot90", "colour")
PICTURES = ("coffee.png", "camera.png", "astronaut.png", "gravel.png", "brick.png", "hubble_deep_field.jpg", "moon.png")
PICTURES += ("grass.png", "retina.jpg", "ihc.png", "cell.png", "rocket.jpg", "chelsea.png", "coins.png", "page.png")
LEVELS = (1, 6)  # of PNG compression
REPEATS = 3  # passes of plain and of the first kind, in turns; the best counts
GOAL = "60 images/s with 2 workers, first pass"


def picture(rng: np.random.Generator, source: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8: a view of the picture, mirrored on and on until it fills `size`."""
    both = np.concatenate([source, source[::-1]])
    both = np.concatenate([both, both[:, ::-1]], axis=1)
    times = [-(-2 * side // whole) for side, whole in zip(size, both.shape, strict=False)]
    y, x = (int(rng.integers(side)) for side in size)
    return np.ascontiguousarray(np.tile(both, (*times, 1))[y : y + size[0], x : x + size[1]])


def regions(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """(N, H, W) uint8, N 1 to 3: each a region and its copy, ellipses."""
    masks = np.zeros((rng.choice(3, p=(0.68, 0.26, 0.06)) + 1, *size), np.uint8)
    for mask in masks:
        axes = tuple(int(side * rng.uniform(0.03, 0.12)) for side in size[::-1])
        for _ in range(2):
            centre = tuple(int(rng.uniform(0.15, 0.85) * side) for side in size[::-1])
            cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    return masks


def build(root: Path, count: int, level: int) -> None:
    """A data root of `count` images, the same for every level of PNG compression."""
    rng = np.random.default_rng(0)
    folder = Path(skimage.__file__).parent / "data"
    sources = [np.asarray(Image.open(folder / name).convert("RGB")) for name in PICTURES]
    for name in ("train_images/authentic", "train_images/forged", "train_masks"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        long_side = int(np.clip(800 * np.exp(0.4 * rng.standard_normal()), 300, 2500))
        size = (long_side * 3 // 4, long_side) if rng.random() < 0.7 else (long_side, long_side * 3 // 4)
        image = Image.fromarray(picture(rng, sources[number % len(sources)], size))
        label = "forged" if rng.random() < 0.54 else "authentic"
        kept = image if rng.random() < 0.85 else image.convert("L")
        kept.save(root / f"train_images/{label}/{number}.png", compress_level=level)
        if label == "forged":
            np.save(root / f"train_masks/{number}.npy", regions(rng, size))


class Plain(ForgeryDataset):
    """The plain way: everything at full size, the resize last."""

    def __getitem__(self, item: tuple[int, int]) -> Item:
        index, seed = item
        torch.manual_seed(seed)
        record = self.items[index]
        image = tv_tensors.Image(v2.functional.pil_to_tensor(Image.open(record.image).convert("RGB")))
        truth = np.zeros((0, *image.shape[-2:]), np.uint8) if record.mask is None else np.load(record.mask)
        turns = [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomApply([v2.RandomRotation((90, 90), expand=True)]),
        ]
        colour = v2.RandomApply([v2.ColorJitter(brightness=0.2, contrast=0.2)])
        change = v2.Compose([*turns, colour, v2.Resize(size=None, max_size=SIDE)])
        image, masks = change(image, tv_tensors.Mask(torch.from_numpy(truth)))
        labels = torch.ones(len(masks), dtype=torch.int64)
        boxes = masks_to_boxes(masks) if len(masks) else torch.zeros(0, 4)
        return image, {"boxes": boxes, "labels": labels, "masks": masks}, record.key


def plain_loader(dataset: Plain, sampler: EpochSampler) -> DataLoader[Item]:
    """What torch's documentation shows."""
    workers = dataset.config.workers
    context = "spawn" if workers else None
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
        multiprocessing_context=context,
    )


class Feed:
    """A loader whose workers have started, and read a batch each, before the first pass is timed."""

    def __init__(self, dataset: ForgeryDataset) -> None:
        self.sampler = EpochSampler(len(dataset), BATCH, seed=0)
        self.loader = (plain_loader if isinstance(dataset, Plain) else make_loader)(dataset, self.sampler)
        self.passes = 0
        self.sampler.set(0, len(self.sampler) - max(1, dataset.config.workers))
        list(self.loader)

    def speed(self) -> float:
        """Images a second of the next pass."""
        self.passes += 1
        self.sampler.set(self.passes, 0)
        start = time.perf_counter()
        count = sum(len(batch[0]) for batch in self.loader)
        return count / (time.perf_counter() - start)


def rows(root: Path, level: int) -> list[str]:
    """The table's rows for one data set: 0, 1 and 2 workers."""
    items, out = records.scan(root), []
    for workers in (0, 1, 2):
        uncached, cached = (DataConfig(root=root, workers=workers, cache_mb=size) for size in (0, 2000))
        ways = [Feed(way(items, uncached, SIDE, OPERATIONS)) for way in (Plain, ForgeryDataset)]
        plain, first = np.max([[way.speed() for way in ways] for _ in range(REPEATS)], axis=0)  # in turns
        del ways
        feed = Feed(ForgeryDataset(items, cached, ModelConfig(image_size=SIDE), OPERATIONS))
        later = [feed.speed() for _ in range(6)]
        shown = f"{plain:.1f} | {first:.1f} | {later[1]:.1f} | {later[5]:.1f} | {first / plain:.1f}x | {later[5] / plain:.1f}x"
        out.append(f"| {level} | {workers} | {shown} |")
        print(out[-1], flush=True)
    return out


def main(argv: list[str]) -> int:
    """Print the table; write it where the first argument says."""
    torch.set_num_threads(1)
    count, table = (60 if "--quick" in argv else 120), []
    for level in LEVELS:
        with tempfile.TemporaryDirectory() as folder:
            build(Path(folder), count, level)
            table += rows(Path(folder), level)
    head = [
        "| PNG level | workers | plain | first pass | second pass | sixth pass | first over plain | sixth over plain |",
        "|" + "---:|" * 8,
    ]
    about = (__doc__ or "").split("\n\n")[2].strip()
    machine = f"Images a second; {count} images; 2 cores ({platform.machine()}), no GPU; torch {torch.__version__}. Asked: {GOAL}."
    text = "\n".join(["# Speed of loading", "", about, "", machine, "", *head, *table, ""])
    print(text)
    for path in [Path(word) for word in argv if not word.startswith("-")][:1]:
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
