"""Faults to plant in a clean root. Each function damages the root and returns the file that the doctor must name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

CASE = "10017"  # 384 x 512, RGB, two regions
FORGED, AUTHENTIC, MASK = (
    Path(f"train_images/forged/{CASE}.png"),
    Path(f"train_images/authentic/{CASE}.png"),
    Path(f"train_masks/{CASE}.npy"),
)
ALONE, ALONE_MASK = Path("supplemental_images/20005.png"), Path("supplemental_masks/20005.npy")


def pixels(root: Path, path: Path) -> np.ndarray:
    return np.asarray(Image.open(root / path).convert("RGB"))


def mask_becomes(change: Callable[[np.ndarray], np.ndarray], path: Path = MASK) -> Callable[[Path], Path]:
    def plant(root: Path) -> Path:
        np.save(root / path, change(np.load(root / path)))
        return path

    return plant


def mask_image(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], Path]:
    """The mask as PNG, (H, W) uint8 {0, 1} changed before it is saved."""

    def plant(root: Path) -> Path:
        union = np.load(root / MASK).any(axis=0).astype(np.uint8)
        (root / MASK).unlink()
        Image.fromarray(change(union)).save(root / MASK.with_suffix(".png"))
        return MASK.with_suffix(".png")

    return plant


def cut(path: Path) -> Callable[[Path], Path]:
    def plant(root: Path) -> Path:
        (root / path).write_bytes((root / path).read_bytes()[:900])
        return path

    return plant


def written(path: Path, data: bytes) -> Callable[[Path], Path]:
    def plant(root: Path) -> Path:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
        return path

    return plant


def gone(path: Path, named: Path) -> Callable[[Path], Path]:
    def plant(root: Path) -> Path:
        (root / path).unlink()
        return named

    return plant


def copied(source: Path, target: Path, named: Path) -> Callable[[Path], Path]:
    def plant(root: Path) -> Path:
        shutil.copyfile(root / source, root / target)
        return named

    return plant


def pickled(root: Path) -> Path:
    np.save(root / MASK, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return MASK


def both_gone(root: Path) -> Path:
    (root / AUTHENTIC).unlink()
    return gone(FORGED, MASK)(root)


def empty_channel(mask: np.ndarray) -> np.ndarray:
    return np.concatenate([mask, np.zeros_like(mask[:1])])


def boxed(mask: np.ndarray) -> np.ndarray:
    """Boxes around the whole of each channel's components, 15 pixels wider on every side."""
    out = np.zeros_like(mask)
    for channel, drawn in zip(mask, out, strict=True):
        count, _, stats, _ = cv2.connectedComponentsWithStats(channel)
        for x, y, width, height, _ in stats[1:count]:
            drawn[max(0, y - 15) : y + height + 15, max(0, x - 15) : x + width + 15] = 1
    return out


def one_box(mask: np.ndarray) -> np.ndarray:
    """One box for each channel."""
    return mask.any(axis=2, keepdims=True).astype(np.uint8) * mask.any(axis=1, keepdims=True)


def far_away(root: Path) -> Path:
    """A mask where the twins agree."""
    changed = (pixels(root, FORGED) != pixels(root, AUTHENTIC)).any(axis=2)
    mask = np.zeros_like(np.load(root / MASK)[:1])
    mask[0, 20:100, 20:100] = 1
    mask[0, cv2.dilate(changed.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0] = 0
    np.save(root / MASK, mask)
    return MASK


def channel_far_away(root: Path) -> Path:
    """One channel more, where the twins agree."""
    sound = np.load(root / MASK)
    far_away(root)
    np.save(root / MASK, np.concatenate([sound, np.load(root / MASK)]))
    return MASK


def a_region_missing(root: Path) -> Path:
    """A second change, smaller than the first, that no mask marks."""
    forged = pixels(root, FORGED).copy()
    free = cv2.dilate(np.load(root / MASK).any(axis=0).astype(np.uint8), np.ones((81, 81), np.uint8)) == 0
    row, column = (int(values[len(values) // 2]) for values in np.nonzero(free))
    cv2.circle(forged, (column, row), 8, (200, 30, 90), -1)
    Image.fromarray(forged).save(root / FORGED)
    return MASK


def panel_replaced(root: Path) -> Path:
    """A whole panel is new, and its corner, which was also seen elsewhere, is marked in both places."""
    forged = pixels(root, AUTHENTIC).copy()
    forged[60:220, 80:300] = np.random.default_rng(0).integers(0, 256, (160, 220, 3), np.uint8)
    mask = np.zeros((1, *forged.shape[:2]), np.uint8)
    mask[0, 60:120, 80:160] = mask[0, 300:360, 400:480] = 1
    Image.fromarray(forged).save(root / FORGED)
    np.save(root / MASK, mask)
    return MASK


def blob_in_place_of_a_panel(root: Path) -> Path:
    """The same, but what changed is round: a mask that is too small."""
    panel_replaced(root)
    forged = pixels(root, AUTHENTIC).copy()
    cv2.ellipse(forged, (190, 140), (110, 80), 0, 0, 360, (200, 30, 90), -1)
    Image.fromarray(forged).save(root / FORGED)
    return MASK


def part_only(root: Path) -> Path:
    """Only a corner of what was changed is marked."""
    change = (pixels(root, FORGED) != pixels(root, AUTHENTIC)).any(axis=2)
    row, column = (int(values.min()) for values in np.nonzero(change))
    mask = np.zeros_like(np.load(root / MASK)[:1])
    column = int(np.nonzero(change[row + 8])[0][0])
    mask[0, row : row + 20, column : column + 20] = 1
    mask[0, row, column] = 0
    np.save(root / MASK, mask)
    return MASK


def twin_of_other_size(root: Path) -> Path:
    Image.fromarray(pixels(root, AUTHENTIC)[:-8]).save(root / AUTHENTIC)
    return FORGED


def forged_in_the_wrong_folder(root: Path) -> Path:
    (root / AUTHENTIC).unlink()
    (root / FORGED).rename(root / AUTHENTIC)
    return AUTHENTIC


def twice(root: Path) -> Path:
    other = FORGED.with_suffix(".jpg")
    Image.fromarray(pixels(root, AUTHENTIC)).save(root / other)
    return other


def nearly_a_test_image(root: Path) -> Path:
    Image.fromarray(pixels(root, AUTHENTIC)[:, ::-1]).save(root / "test_images/30099.jpg", quality=80)
    return Path("test_images/30099.jpg")


def nearly_another(root: Path) -> Path:
    path = Path("train_images/authentic/4711.jpg")
    Image.fromarray(pixels(root, AUTHENTIC)).save(root / path, quality=30)
    return path


def looks_like_a_mask(root: Path) -> Path:
    shape = np.zeros((200, 240), np.uint8)
    shape[40:90, 60:140] = 255
    Image.fromarray(shape).save(root / "train_images/authentic/4711.png")
    return Path("train_images/authentic/4711.png")


def oriented(path: Path, value: int) -> Callable[[Path], Path]:
    def plant(root: Path) -> Path:
        exif = Image.Exif()
        exif[0x0112] = value
        Image.fromarray(pixels(root, path)).save(root / path, exif=exif)
        return path

    return plant


def drawn_on_the_turned_picture(root: Path) -> Path:
    """Orientation 6: a viewer shows the picture turned by 90 degrees clockwise; both twins carry the tag."""
    np.save(root / MASK, np.rot90(np.load(root / MASK), -1, (1, 2)))
    oriented(AUTHENTIC, 6)(root)
    return oriented(FORGED, 6)(root)


def sixteen_bit(root: Path) -> Path:
    grey = np.asarray(Image.open(root / ALONE).convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(root / ALONE)
    return ALONE


def sixteen_bit_colour(root: Path) -> Path:
    cv2.imwrite(str(root / ALONE), pixels(root, ALONE)[..., ::-1].astype(np.uint16) * 257)
    return ALONE


def palette(root: Path) -> Path:
    Image.open(root / ALONE).convert("RGB").quantize(64).save(root / ALONE)
    return ALONE


def see_through(root: Path) -> Path:
    """A quarter is transparent, away from the mask."""
    layer = np.dstack([pixels(root, ALONE), np.full(pixels(root, ALONE).shape[:2], 255, np.uint8)])
    layer[: len(layer) // 4, :, 3] = 0
    Image.fromarray(layer).save(root / ALONE)
    return ALONE


def see_through_mask(root: Path) -> Path:
    """Small, and right under the mask."""
    union = np.load(root / ALONE_MASK).any(axis=0)
    rows, columns = (part[: len(part) // 5] for part in np.nonzero(union))
    layer = np.dstack([pixels(root, ALONE), np.full(union.shape, 255, np.uint8)])
    layer[rows, columns, 3] = 0
    Image.fromarray(layer).save(root / ALONE)
    return ALONE


def inverted_alone(mask: np.ndarray) -> np.ndarray:
    return 1 - mask[:1]


def red(union: np.ndarray) -> np.ndarray:
    return np.dstack([union * 255, union * 0, union * 0])


def old_folder(root: Path) -> Path:
    return written(Path("old/9.png"), b"?")(root).parent


FAULTS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "image_cut": ("unreadable", cut(FORGED)),
    "mask_cut": ("unreadable", cut(MASK)),
    "image_empty": ("unreadable", written(FORGED, b"")),
    "no_image": ("unreadable", written(AUTHENTIC, b"hello, I am no image")),
    "pickled": ("unreadable", pickled),
    "odd_shape": ("unreadable", mask_becomes(lambda m: m[None])),
    "no_mask": ("missing_mask", gone(MASK, FORGED)),
    "no_image_of_a_mask": ("orphan_mask", both_gone),
    "two_masks": (
        "second_mask",
        copied(FORGED, MASK.with_name(f"{CASE}_mask.png"), MASK.with_name(f"{CASE}_mask.png")),
    ),
    "other_size": ("size_mismatch", mask_becomes(lambda m: m[:, :-5])),
    "transposed": ("transposed_mask", mask_becomes(lambda m: m.swapaxes(1, 2))),
    "turned": ("transposed_mask", mask_becomes(lambda m: np.rot90(m, 1, (1, 2)))),
    "transposed_without_twin": ("transposed_mask", mask_becomes(lambda m: m.swapaxes(1, 2), ALONE_MASK)),
    "all_zero": ("empty_mask", mask_becomes(np.zeros_like)),
    "a_channel_zero": ("empty_channel", mask_becomes(empty_channel)),
    "a_channel_twice": ("repeated_channel", mask_becomes(lambda m: np.concatenate([m, m[:1]]))),
    "all_set": ("full_mask", mask_becomes(np.ones_like)),
    "inverted": ("inverted_mask", mask_becomes(lambda m: 1 - m)),
    "inverted_without_twin": ("maybe_inverted_mask", mask_becomes(inverted_alone, ALONE_MASK)),
    "inverted_png": ("inverted_mask", mask_image(lambda u: (1 - u) * 255)),
    "255": ("non_binary_mask", mask_becomes(lambda m: m * 255)),
    "labels": ("non_binary_mask", mask_becomes(lambda m: m * np.arange(1, 9)[: len(m), None, None] + m)),
    "01_png": ("non_binary_mask", mask_image(lambda u: u)),
    "bool": ("mask_dtype", mask_becomes(lambda m: m > 0)),
    "float": ("mask_dtype", mask_becomes(lambda m: m.astype(np.float32))),
    "2d": ("flat_mask", mask_becomes(lambda m: m.max(axis=0))),
    "red_png": ("coloured_mask", mask_image(red)),
    "grey_png": ("picture_among_masks", mask_image(lambda u: u + 100)),
    "boxy": ("boxy_mask", mask_becomes(boxed)),
    "boxy_without_twin": ("rectangles", mask_becomes(one_box, ALONE_MASK)),
    "elsewhere": ("unchanged_under_mask", far_away),
    "channel_elsewhere": ("unchanged_under_mask", channel_far_away),
    "region_missing": ("change_beside_mask", a_region_missing),
    "panel": ("replaced_panel", panel_replaced),
    "blob": ("mask_misses_change", blob_in_place_of_a_panel),
    "part": ("mask_misses_change", part_only),
    "same_twins": ("identical_twins", copied(AUTHENTIC, FORGED, FORGED)),
    "twin_size": ("twin_sizes", twin_of_other_size),
    "wrong_folder": ("forged_among_authentic", forged_in_the_wrong_folder),
    "mask_like": ("mask_among_images", looks_like_a_mask),
    "npy_image": ("array_among_images", copied(MASK, FORGED.with_suffix(".npy"), FORGED.with_suffix(".npy"))),
    "test_copy": ("duplicate_of_test", copied(AUTHENTIC, Path("test_images/9.png"), AUTHENTIC)),
    "test_copy_forged": ("duplicate_of_test", copied(FORGED, Path("test_images/9.png"), FORGED)),
    "copy": ("duplicate", copied(AUTHENTIC, AUTHENTIC.with_stem("9"), AUTHENTIC)),
    "near_test": ("near_duplicate_of_test", nearly_a_test_image),
    "near": ("near_duplicate", nearly_another),
    "exif": ("exif_orientation", oriented(ALONE, 3)),
    "16_bit": ("bit_depth", sixteen_bit),
    "16_bit_colour": ("bit_depth", sixteen_bit_colour),
    "palette": ("colour_mode", palette),
    "transparent": ("transparency", see_through),
    "transparent_mask": ("transparency", see_through_mask),
    "stray": ("stray_file", written(Path("train_masks/notes.txt"), b"?")),
    "folder": ("unknown_folder", old_folder),
    "twice": ("case_twice", twice),
}
