"""What the model trains on: targets, their last check, the order of an epoch, and the loader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from forgery_rcnn.config import DataConfig, ModelConfig
from forgery_rcnn.data import images, records
from forgery_rcnn.data.augment import PAINT
from forgery_rcnn.data.dataset import (
    EpochSampler,
    ForgeryDataset,
    Target,
    check_target,
    collate,
    make_loader,
    target_of,
)
from forgery_rcnn.instances import boxes_of

light = settings(max_examples=40, deadline=None)
stacks = hnp.arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 8), st.integers(1, 8)))


def rectangle(y0: int, x0: int, y1: int, x1: int, size: tuple[int, int] = (12, 16)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def dataset(root: Path, operations: tuple[str, ...] = (), image_size: int = 64, **config: Any) -> ForgeryDataset:
    return ForgeryDataset(records.scan(root), DataConfig(**config), ModelConfig(image_size=image_size), operations)


def same(a: Any, b: Any) -> bool:
    """Two items: image, target, key."""
    return torch.equal(a[0], b[0]) and a[2] == b[2] and all(torch.equal(a[1][k], b[1][k]) for k in a[1])


@light
@given(stacks, st.integers(1, 4))
def test_targets_hold_the_instances_large_enough(masks: np.ndarray, min_box: int) -> None:
    target = target_of(masks, min_box)
    check_target(target, masks.shape[1:], "any")
    boxes = boxes_of(masks)
    kept = [i for i, (x0, y0, x1, y1) in enumerate(boxes) if min(x1 - x0, y1 - y0) >= min_box]
    assert target["boxes"].dtype == torch.float32 and target["boxes"].tolist() == boxes[kept].tolist()
    assert target["labels"].dtype == torch.int64 and target["labels"].tolist() == [1] * len(kept)
    assert target["masks"].dtype == torch.uint8 and np.array_equal(target["masks"].numpy(), masks[kept])


def test_lines_one_pixel_wide_are_left_out() -> None:
    masks = np.stack([rectangle(2, 3, 9, 4), rectangle(2, 3, 3, 9), rectangle(2, 3, 4, 5), rectangle(0, 0, 0, 0)])
    assert target_of(masks, 2)["boxes"].tolist() == [[3, 2, 5, 4]]
    assert target_of(masks, 1)["boxes"].tolist() == [[3, 2, 4, 9], [3, 2, 9, 3], [3, 2, 5, 4]]


def sound() -> Target:
    return target_of(np.stack([rectangle(2, 3, 9, 8), rectangle(0, 0, 12, 16)]), 1)


def boxes(*changed: float) -> dict[str, torch.Tensor]:
    return {"boxes": torch.tensor([[3.0, 2, 8, 9], changed])}


NONSENSE: dict[str, tuple[dict[str, torch.Tensor], str]] = {
    "transposed": ({"masks": sound()["masks"].transpose(1, 2)}, "(2, 16, 12), image is (12, 16); expected (N, 12, 16)"),
    "another size": ({"masks": sound()["masks"][:, 1:]}, "(2, 11, 16)"),
    "an axis more": ({"masks": sound()["masks"][:, None]}, "(2, 1, 12, 16)"),
    "0 and 255": ({"masks": sound()["masks"] * 255}, "holds 0..255"),
    "0 and -1": ({"masks": -sound()["masks"].to(torch.int8)}, "holds -1..0"),
    "one half": ({"masks": sound()["masks"] * 0.5}, "holds 0.0..0.5"),
    "a mask less": ({"masks": sound()["masks"][:1]}, "2 boxes, 2 labels, 1 masks"),
    "a label less": ({"labels": torch.ones(1, dtype=torch.int64)}, "2 boxes, 1 labels"),
    "no box": ({"boxes": torch.zeros(0, 4)}, "0 boxes"),
    "label 0": ({"labels": torch.tensor([1, 0])}, "labels [1, 0]"),
    "label 2": ({"labels": torch.tensor([2, 1])}, "labels [2, 1]"),
    "empty box": (boxes(0, 0, 0, 0), "a box is empty or outside the 12 x 16 image"),
    "no width": (boxes(5, 2, 5, 9), "a box is empty"),
    "turned round": (boxes(8, 9, 3, 2), "a box is empty"),
    "x and y swapped": (boxes(0, 0, 12, 16), "outside the 12 x 16 image"),
    "negative": (boxes(-1, 0, 4, 4), "outside"),
    "not a number": (boxes(float("nan"), 0, 4, 4), "outside"),
    "infinite": (boxes(0, 0, float("inf"), 4), "outside"),
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_refused_before_the_model_sees_it(kind: str, refused) -> None:
    """torchvision would train on most of these in silence."""
    changed, said = NONSENSE[kind]
    check_target(sound(), (12, 16), "train/forged/7")
    with refused("train/forged/7: ", said):
        check_target({**sound(), **changed}, (12, 16), "train/forged/7")


def test_a_single_instance_is_checked_too(refused) -> None:
    target = target_of(rectangle(2, 3, 9, 8)[None], 1)
    for changed in ({"masks": target["masks"] * 255}, {"boxes": torch.zeros(1, 4)}, {"labels": torch.tensor([0])}):
        with refused("any: "):
            check_target({**target, **changed}, (12, 16), "any")


def test_an_authentic_image_has_an_empty_target() -> None:
    target = target_of(np.zeros((0, 12, 16), bool), 2)
    check_target(target, (12, 16), "any")
    assert target["boxes"].shape == (0, 4) and target["masks"].shape == (0, 12, 16)


def test_item_is_the_fitted_image_with_its_boxes(shared_root: Path) -> None:
    items = dataset(shared_root)
    assert len(items) == 12
    for index, record in enumerate(items.items):
        image, target, key = items[index, 0]
        loaded = records.load(record)
        size = images.fitted_size(loaded.pixels.shape[:2], 64)
        assert key == record.key and image.dtype == torch.uint8 and type(image) is torch.Tensor
        assert np.array_equal(image.permute(1, 2, 0).numpy(), images.resized(loaded.pixels, size))
        assert target["masks"].shape == (len(loaded.masks), *size)
        if len(loaded.masks):  # source and copy are one instance, in one box
            scale = size[0] / loaded.pixels.shape[0]
            assert target["boxes"][0].tolist() == pytest.approx((boxes_of(loaded.masks)[0] * scale).tolist(), abs=1)


@pytest.mark.parametrize("cache_mb", [0, 100])
def test_index_and_seed_fix_the_item(cache_mb: int, shared_root: Path) -> None:
    operations = ("flip", "rot90", "colour")
    items, fresh = (dataset(shared_root, operations, cache_mb=mb) for mb in (cache_mb, 100))
    first = [items[index, 7] for index in range(12)]
    for image, target, _ in (items[index, 8] for index in range(12)):
        image.zero_(), target["masks"].zero_()  # the cache must not hand out its own arrays
    assert all(same(items[index, 7], first[index]) and same(fresh[index, 7], first[index]) for index in range(12))
    assert any(not same(items[index, 9], first[index]) for index in range(12))


def test_files_are_decoded_once_while_memory_allows(shared_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    load = records.load
    monkeypatch.setattr(records, "load", lambda record: read.append(record.key) or load(record))
    for cache_mb, times in ((100, 1), (0, 3)):
        items = dataset(shared_root, cache_mb=cache_mb)
        for _ in range(3):
            _ = items[0, 0], items[11, 0]
        assert len(read) == 2 * times
        read.clear()


def test_components_split_source_and_copy(shared_root: Path) -> None:
    for kind, count in (("channels", 1), ("components", 2)):
        items = dataset(shared_root, instances=kind)
        assert [len(items[index, 0][1]["boxes"]) for index in range(6, 12)] == [count] * 6


def test_painted_boxes_are_in_the_picture_of_forged_images_alone(shared_root: Path) -> None:
    items = dataset(shared_root, cue="painted_boxes", image_size=96)
    painted = [(items[i, 0][0].permute(1, 2, 0).numpy() == PAINT).all(axis=2).any() for i in (0, 3, 6, 9)]
    assert painted == [False, False, True, True]


def test_region_that_shrinks_to_nothing_is_left_out(tiny_root: Path) -> None:
    Image.new("RGB", (400, 400)).save(tiny_root / "train_images/forged/1.png")
    masks = np.zeros((2, 400, 400), np.uint8)
    masks[0, :, 200:202] = masks[1, 100:200, 100:200] = 1
    np.save(tiny_root / "train_masks/1.npy", masks)
    image, target, _ = dataset(tiny_root)[6, 0]
    assert image.shape == (3, 64, 64) and target["boxes"].tolist() == [[16, 16, 32, 32]]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_thin_images(size: tuple[int, int], tiny_root: Path) -> None:
    Image.new("RGB", size[::-1]).save(tiny_root / "train_images/forged/1.png")
    np.save(tiny_root / "train_masks/1.npy", np.ones((1, *size), np.uint8))
    image, target, _ = dataset(tiny_root, ("flip", "rot90"), min_box=1)[6, 3]
    assert max(image.shape) == 64 and target["boxes"].tolist() == [[0, 0, image.shape[2], image.shape[1]]]


def test_bad_mask_names_its_file(tiny_root: Path, refused) -> None:
    np.save(tiny_root / "train_masks/1.npy", np.ones((1, 96, 95), np.uint8))
    with refused("1.npy: mask is (96, 95)"):
        _ = dataset(tiny_root)[6, 0]


def epoch(sampler: EpochSampler, number: int, start: int = 0) -> list[list[tuple[int, int]]]:
    sampler.set(number, start)
    return list(sampler)


counts = st.integers(1, 40)


@light
@given(counts, st.integers(1, 9), st.integers(1, 4), st.integers(0, 5))
def test_ranks_share_an_epoch_that_covers_everything(count: int, batch_size: int, world: int, number: int) -> None:
    samplers = [EpochSampler(count, batch_size, 3, rank, world) for rank in range(world)]
    shares = [epoch(sampler, number) for sampler in samplers]
    assert {len(share) for share in shares} == {len(sampler) for sampler in samplers}  # or a rank would wait for ever
    batches = [batch for share in shares for batch in share]
    assert len({len(batch) for batch in batches}) == 1 and len(batches[0]) <= batch_size
    drawn = [index for batch in batches for index, _ in batch]
    assert set(drawn) == set(range(count))
    assert len(drawn) - count < len(batches[0]) * world  # no more than the last batches are filled up
    assert max(map(drawn.count, drawn)) <= -(-len(drawn) // count)
    assert len({seed for batch in batches for _, seed in batch}) == len(drawn)


@light
@given(counts, st.integers(1, 9), st.integers(1, 3), st.integers(0, 20))
def test_starting_midway_is_the_tail_of_the_epoch(count: int, batch_size: int, world: int, start: int) -> None:
    for rank in range(world):
        whole = epoch(EpochSampler(count, batch_size, 3, rank, world), 4)
        assert epoch(EpochSampler(count, batch_size, 3, rank, world), 4, start) == whole[start:]


def test_epochs_and_seeds_differ_and_repeat() -> None:
    orders = [epoch(EpochSampler(12, 4, seed), number) for seed in (0, 1) for number in (0, 1)]
    assert all(orders[i] != orders[j] for i in range(4) for j in range(i))
    torch.manual_seed(1), np.random.seed(1)
    assert epoch(EpochSampler(12, 4, 0), 0) == orders[0]


def test_a_set_smaller_than_the_batch_makes_one_batch_of_itself() -> None:
    (batch,) = epoch(EpochSampler(3, 8, 0), 0)
    assert sorted(index for index, _ in batch) == [0, 1, 2]
    shares = [epoch(EpochSampler(3, 8, 0, rank, 2), 0) for rank in range(2)]
    assert [[len(batch) for batch in share] for share in shares] == [[2], [2]]


def test_collate_keeps_sizes_apart(shared_root: Path) -> None:
    items = dataset(shared_root)
    found, targets, keys = collate([items[6, 0], items[7, 0]])
    assert [tuple(image.shape) for image in found] == [(3, 64, 64), (3, 64, 58)]
    assert keys == ["train/forged/1", "train/forged/2"] and [len(target["boxes"]) for target in targets] == [1, 1]


def test_a_worker_process_hands_over_the_same_batches(shared_root: Path) -> None:
    epochs = []
    for workers in (0, 1):
        items = dataset(shared_root, ("flip", "rot90", "colour"), workers=workers)
        sampler = EpochSampler(len(items), 5, seed=1)
        loader = make_loader(items, sampler)
        sampler.set(2, 1)
        epochs.append([pair for batch in loader for pair in zip(*batch, strict=True)])
        del loader
    assert len(epochs[0]) == 10
    assert all(same(a, b) for a, b in zip(*epochs, strict=True))


def test_a_file_that_goes_bad_is_one_line_from_a_worker_too(tiny_root: Path, refused) -> None:
    items = dataset(tiny_root, workers=1)
    (tiny_root / "train_images/forged/1.png").write_bytes(b"")
    with refused("train_images/forged/1.png"):
        list(make_loader(items, EpochSampler(len(items), 5, seed=1)))


def test_a_process_that_still_holds_a_loader_ends(shared_root: Path) -> None:
    """Its workers ignore SIGTERM, by which multiprocessing asks them at exit."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from forgery_rcnn.config import DataConfig, ModelConfig\n"
        "from forgery_rcnn.data import records\n"
        "from forgery_rcnn.data.dataset import EpochSampler, ForgeryDataset, make_loader\n"
        "items = ForgeryDataset(records.scan(Path(sys.argv[1])), DataConfig(workers=1), ModelConfig(image_size=64), ())\n"
        "held = iter(make_loader(items, EpochSampler(len(items), 5, seed=1)))\n"
        "assert next(held)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(shared_root)], check=True, timeout=60)


def native(root: Path, operations: tuple[str, ...] = (), **config: Any) -> ForgeryDataset:
    model = ModelConfig(arch="scse_unet", image_size=64, fit="native")
    return ForgeryDataset(records.scan(root), DataConfig(**config), model, operations)


def test_native_items_are_squares_of_the_unscaled_image(shared_root: Path) -> None:
    items = native(shared_root, min_box=1)
    begins = set()
    for index in (0, 3, 6, 9):  # 96 x 96 and 96 x 80 pixels
        loaded = records.load(items.items[index])
        for seed in range(8):
            image, target, _ = items[index, seed]
            assert image.shape == (3, 64, 64) and image.is_contiguous() and type(image) is torch.Tensor
            windows = np.lib.stride_tricks.sliding_window_view(loaded.pixels, (64, 64), (0, 1))
            ((y, x),) = np.argwhere((windows == image.numpy()).all(axis=(2, 3, 4)))  # one place, exact pixels
            part = loaded.masks[:, y : y + 64, x : x + 64]
            assert np.array_equal(target["masks"].numpy().astype(bool), part[part.any(axis=(1, 2))])
            begins.add((int(y), int(x)))
    assert len(begins) > 12


def test_a_native_image_smaller_than_the_square_is_whole(tiny_root: Path) -> None:
    for size in ((40, 90), (1, 1), (64, 64)):
        pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(tiny_root / "train_images/forged/1.png")
        np.save(tiny_root / "train_masks/1.npy", np.ones((1, *size), np.uint8))
        image, target, _ = native(tiny_root, min_box=1)[6, 5]
        width = min(64, size[1])
        assert image.shape == (3, size[0], width) and target["masks"].all() and len(target["masks"]) == 1
        if size[1] <= 64:
            assert np.array_equal(image.permute(1, 2, 0).numpy(), pixels)


def test_masks_outside_the_square_are_gone(tiny_root: Path) -> None:
    Image.new("RGB", (400, 400)).save(tiny_root / "train_images/forged/1.png")
    masks = np.zeros((2, 400, 400), np.uint8)
    masks[0, 10:30, 10:30] = masks[1, 370:390, 370:390] = 1
    np.save(tiny_root / "train_masks/1.npy", masks)
    items = native(tiny_root, cache_mb=0)
    counts = [len(items[6, seed][1]["boxes"]) for seed in range(60)]
    assert set(counts) == {0, 1}  # the two are too far from each other for one square


def detector(root: Path, operations: tuple[str, ...] = (), **config: Any) -> ForgeryDataset:
    model = ModelConfig(image_size=64, fit="native")
    return ForgeryDataset(records.scan(root), DataConfig(**config), model, operations)


def planted(root: Path, *boxes: tuple[int, int, int, int]) -> None:
    """Image 6 of the root: 400 x 300 pixels that tell their place, one instance of each box x0 y0 x1 y1."""
    y, x = np.mgrid[:300, :400]
    Image.fromarray(np.stack([x % 256, y % 256, x // 256 + 16 * (y // 256)], axis=2).astype(np.uint8)).save(
        root / "train_images/forged/1.png"
    )
    masks = np.zeros((len(boxes), 300, 400), np.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = 1
    np.save(root / "train_masks/1.npy", masks)


def corner(image: torch.Tensor) -> tuple[int, int]:
    """Where in the planted image a square begins, x and y."""
    red, green, blue = image[:, 0, 0].tolist()
    return red + 256 * (blue % 16), green + 256 * (blue // 16)


def test_a_share_of_the_squares_holds_a_forged_pixel(tiny_root: Path) -> None:
    """At random one square in ten shows the region; the far corner one too, which most squares that hold it reach over."""
    planted(tiny_root, (150, 100, 170, 120), (396, 296, 400, 300))
    for share, least, most in ((0.0, 5, 25), (0.5, 35, 75), (1.0, 100, 100)):
        items = detector(tiny_root, crops_on_forged=share)
        found = [items[6, seed][1]["boxes"] for seed in range(100)]
        assert least <= sum(len(boxes) > 0 for boxes in found) <= most, share
    seen = {len(items[6, seed][1]["boxes"]) and corner(items[6, seed][0]) == (336, 236) for seed in range(30)}
    assert seen == {False, True}, "both regions get their turn"
    authentic = items[0, 3]
    assert authentic[0].shape == (3, 64, 64) and len(authentic[1]["boxes"]) == 0
    assert same(items[6, 3], detector(tiny_root, crops_on_forged=1.0)[6, 3])


def test_a_square_holds_the_spot_that_is_asked_for(tiny_root: Path) -> None:
    planted(tiny_root, (150, 100, 170, 120))
    items = detector(tiny_root, crops_on_forged=1.0)
    for spot in ((0, 0), (399, 299), (200, 150), (399, 5)):
        corners = [corner(items[6, seed, spot][0]) for seed in range(20)]
        assert all(x <= spot[0] < x + 64 and y <= spot[1] < y + 64 for x, y in corners), spot
        assert all(0 <= x <= 336 and 0 <= y <= 236 for x, y in corners)
    inner = [corner(items[6, seed, (200, 150)][0]) for seed in range(20)]
    assert all(8 <= 200 - x < 56 and 8 <= 150 - y < 56 for x, y in inner) and len(set(inner)) > 15
    assert same(items[6, 1, (200, 150)], items[6, 1, (200, 150)])


def test_an_instance_of_which_too_little_is_left_is_left_out(tiny_root: Path) -> None:
    """20 x 20: from 16 pixels of 400 on it counts at a share of 0.04; one that fills the square always does."""
    planted(tiny_root, (150, 100, 170, 120))
    parts: dict[float, list[int]] = {}
    for share in (0.0, 0.04, 1.0):
        items = detector(tiny_root, crops_on_forged=1.0, min_part=share, min_box=1)
        masks = [items[6, seed, (115 + seed // 40, 90 + seed % 40)][1]["masks"] for seed in range(600)]
        parts[share] = [int(mask.sum()) for mask in masks if len(mask)]
    assert 0 < min(parts[0.0]) < 16 <= min(parts[0.04]) < 100
    assert set(parts[1.0]) == {400} and len(parts[1.0]) < len(parts[0.04]) < len(parts[0.0])
    planted(tiny_root, (0, 0, 400, 300))
    items = detector(tiny_root, min_part=0.9)
    assert all(len(items[6, seed][1]["boxes"]) == 1 for seed in range(5))


def test_scaled_squares(tiny_root: Path) -> None:
    """Half of them by a factor of 0.7..1.4, in both directions the same: a square's side then shows 46..91 pixels."""
    planted(tiny_root, (0, 0, 400, 300))
    items = detector(tiny_root, ("scale",))
    spans = []
    for seed in range(60):
        image = items[6, seed, (128, 128)][0].float()
        assert image.shape == (3, 64, 64)
        spans.append([float(image[0, 32, 50] - image[0, 32, 14]) / 36, float(image[1, 50, 32] - image[1, 14, 32]) / 36])
    found = np.array([span for span in spans if all(0 < side < 2 for side in span)])  # none that runs over 255
    np.testing.assert_allclose(found[:, 0], found[:, 1], atol=0.06)
    assert 0.3 < np.isclose(found[:, 0], 1, atol=1e-6).mean() < 0.7
    assert 1 / 1.4 - 0.05 < found.min() < 0.8 and 1.25 < found.max() < 1 / 0.7 + 0.05


def test_each_image_comes_up_as_often_as_asked_for() -> None:
    sampler = EpochSampler(5, 4, seed=1, repeats=6)
    assert len(sampler) == 8
    drawn = [item for batch in epoch(sampler, 0) for item in batch]
    counts = np.bincount([index for index, _ in drawn], minlength=5)
    assert len(drawn) == 32 and counts.min() >= 6 and counts.sum() == 32  # the last batch is filled up
    assert len({seed for _, seed in drawn}) == 32
    assert epoch(EpochSampler(1, 4, seed=1, repeats=8), 0)[1][0][0] == 0
    assert epoch(sampler, 0, start=3) == epoch(sampler, 0)[3:]


def test_favoured_records_come_up_more_often_at_their_spots() -> None:
    sampler = EpochSampler(100, 4, seed=1)
    plain = [number for batch in epoch(sampler, 3) for number, *_ in batch]
    spots = {7: [(1, 2), (3, 4)], 20: [(5, 6)]}
    sampler.favour(spots, 4.0)
    drawn = [item for number in range(3, 9) for batch in epoch(sampler, number) for item in batch]
    assert len(drawn) == 6 * len(plain), "an epoch stays as long"
    counts = np.bincount([item[0] for item in drawn], minlength=100)
    assert all(18 <= counts[number] <= 24 for number in spots), "4 / 1.06 times in each epoch"
    others = np.delete(counts, [7, 20])
    assert others.max() <= 6 and others.sum() == 600 - counts[7] - counts[20]
    assert {item[2] for item in drawn if item[0] == 7} == set(spots[7])
    assert all(len(item) == 2 for item in drawn if item[0] not in spots)
    assert len({item[1] for item in drawn}) == len(drawn)
    again = EpochSampler(100, 4, seed=1)
    again.favour(spots, 4.0)
    assert epoch(again, 3, start=5) == epoch(sampler, 3)[5:]
    sampler.favour({}, 4.0)
    assert [number for batch in epoch(sampler, 3) for number, *_ in batch] == plain


def test_native_stretching_fills_the_square_and_the_cache_stays(tiny_root: Path) -> None:
    Image.new("RGB", (150, 130), (9, 9, 9)).save(tiny_root / "train_images/forged/1.png")
    np.save(tiny_root / "train_masks/1.npy", np.ones((1, 130, 150), np.uint8))
    items = native(tiny_root, ("flip", "rot90", "stretch", "salt_pepper", "noise"))
    for seed in range(30):
        image, target, _ = items[6, seed]
        assert image.shape == (3, 64, 64) and target["masks"].all()
        image.zero_(), target["masks"].zero_()
    pixels, truth = items.fitted(6)
    assert pixels.shape == (130, 150, 3) and (pixels == 9).all() and truth.all()
    assert same(items[6, 3], native(tiny_root, items.operations)[6, 3])
