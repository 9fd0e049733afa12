"""Reading truth masks, with every check: a wrong mask is refused here, never handed to a model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from forgery_rcnn.config import DataConfig, ModelConfig
from forgery_rcnn.data import images
from forgery_rcnn.data.drawn import Drawn
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import boxes_of

MOST = 2_000_000_000  # bytes, at one a pixel, that the components of one image may take
LIGHT = 192  # a mask image's white is at least this in every channel, its black at most 255 less this
ENDINGS = ("", "_mask", "_gt")  # of a mask's name after its image's stem; "" fits every name
SUFFIXES = (".npy", *images.EXTENSIONS)


def listed(folder: Path) -> dict[str, Path]:
    """The mask files of a folder by their stem, for `of_stem`: one look at a folder of thousands."""
    with os.scandir(folder) as entries:
        files = [Path(e.path) for e in entries if not e.name.startswith(".") and e.is_file()]
    rank = {suffix: number for number, suffix in enumerate(SUFFIXES)}
    there = sorted((rank[suffix], path) for path in files if (suffix := path.suffix.lower()) in rank)
    return {path.stem: path for _, path in reversed(there)}


def of_stem(there: dict[str, Path], stem: str) -> Path | None:
    """The mask of case `stem` in a folder that was `listed`: STEM.npy, or an image STEM.png, STEM_mask.png or STEM_gt.png, in
    this order; none = None."""
    return next((there[name] for ending in ENDINGS if (name := f"{stem}{ending}") in there), None)


def case_of(path: Path) -> str:
    """The case that a mask file is of, by its name: the inverse of `of_stem`.

    >>> case_of(Path("47_mask.png")), case_of(Path("47.npy"))
    ('47', '47')
    """
    ending = next(ending for ending in reversed(ENDINGS) if path.stem.endswith(ending))
    return path.stem.removesuffix(ending)


def is_black(path: Path) -> bool:
    """Whether a mask file marks nothing; transparency does not count. False for a file that cannot be read."""
    if path.suffix.lower() == ".npy":
        try:
            array = _from_npy(path)
        except InputError:
            return False
        return array.dtype.kind in "bui" and not array.any()
    try:
        with Image.open(path, formats=images.FORMATS) as image:
            grey = image if image.mode in ("1", "L", "RGB", "I;16", "I") else image.convert("RGB")
            extrema = np.array(grey.getextrema())
    except (*images.DAMAGED, Image.DecompressionBombError):
        return False
    return not extrema.any()


def black(paths: Sequence[Path]) -> set[Path]:
    """Those of the mask files that mark nothing, looked at in several threads."""
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # of large images and odd metadata, as in images.read
        return {path for path, nothing in zip(paths, pool.map(is_black, paths), strict=True) if nothing}


def stored_bytes(source: Path | Drawn) -> int:
    """How long a mask is where it is stored; 0 where there is no such file."""
    if isinstance(source, Drawn):
        return sum(len(text) for _, text in source.shapes)
    return source.stat().st_size if source.is_file() else 0


def read(
    path: Path | Drawn,
    size: tuple[int, int] | None = None,
    image_name: str = "",
    black: Literal["refused", "authentic"] = "refused",
) -> np.ndarray:
    """Mask file, or the shapes that a COCO file tells -> (N, H, W) bool, no channel empty, N >= 1.

    size: (H, W) of the image it belongs to, if known; the masks have it. black: what a mask is where nothing is set;
    of an authentic image N is 0.

    Raises InputError: file missing, truncated or pickled; another size than its image; values other than 0 and 1
    (.npy) or 0 and 255 (image); a malformed polygon or run length; nothing set.
    """
    if isinstance(path, Drawn):
        _check_size(path, path.size, size, image_name)  # before anything of a wrong size is drawn
        masks = path.draw()
    else:
        masks = _from_npy(path) if path.suffix.lower() == ".npy" else _from_image(path)
    if masks.ndim == 2:
        masks = masks[None]
    if masks.ndim != 3 or len(masks) == 0 or (size is None and masks.size == 0):
        height, width = size or ("H", "W")
        raise InputError(f"{path}: mask has shape {masks.shape}; expected (N, {height}, {width}) with N >= 1")
    if size == masks.shape[:2] != masks.shape[1:]:
        raise InputError(
            f"{path}: mask is {masks.shape}, its channels last; expected (N, {size[0]}, {size[1]}): np.moveaxis(mask, 2, 0)"
        )
    _check_size(path, masks.shape[1:], size, image_name)
    if masks.dtype.kind not in "bui":
        raise InputError(f"{path}: mask has dtype {masks.dtype}; save it as uint8 with 0 and 1")
    low, high = int(masks.min()), int(masks.max())
    if low < 0 or high > 1:
        hint = f" (divide by {high}?)" if low == 0 else ""
        raise InputError(f"{path}: mask holds values {low}..{high}; expected only 0 and 1{hint}")
    masks = masks.astype(bool)
    empty = np.flatnonzero(~masks.any(axis=(1, 2)))
    if empty.size == len(masks) and black == "authentic":
        return masks[:0]
    if empty.size == len(masks):
        raise InputError(
            f"{path}: mask is all zero; a forged image needs a marked region (or belongs under authentic/)"
        )
    if empty.size:
        raise InputError(f"{path}: mask channel {int(empty[0])} of {len(masks)} is all zero; take it out")
    return masks


def _check_size(source: Path | Drawn, found: tuple[int, ...], size: tuple[int, int] | None, image_name: str) -> None:
    if size is not None and found != size:
        raise InputError(
            f"{source}: mask is {found} but image {image_name} is {size[0]} x {size[1]}; "
            f"expected (N, {size[0]}, {size[1]})"
        )


def _from_npy(path: Path) -> np.ndarray:
    try:
        return np.lib.format.open_memmap(path, mode="r")  # np.load would unpickle, or open a renamed .npz
    except FileNotFoundError:
        raise InputError(f"{path}: no such mask file") from None
    except (ValueError, OSError, EOFError, SyntaxError, TypeError, OverflowError, TokenError) as error:
        if "magic string is not correct" in str(error) or "objects" in str(error):
            raise InputError(
                f"{path}: pickled or not a .npy array, refused; save it with np.save(..., allow_pickle=False)"
            ) from None
        raise InputError(f"{path}: truncated or damaged .npy file; fetch it again") from None


def _from_image(path: Path) -> np.ndarray:
    """Black and white, or nearly so (JPEG, softened edges). Transparency is ignored: black is often declared transparent."""
    pixels = images.read(path, alpha="ignored").pixels
    light = (pixels >= LIGHT).all(axis=2)
    between = int(np.count_nonzero(~light & ~(pixels <= 255 - LIGHT).all(axis=2)))
    if between:
        raise InputError(
            f"{path}: mask image holds {between} pixels neither black nor white; save it as 0 and 255 only"
        )
    if not light.any() and pixels.any():
        raise InputError(f"{path}: mask image holds values 0..{pixels.max()}; save it as black (0) and white (255)")
    return light[None]


Instances = Literal["channels", "components"]


@dataclass(frozen=True)
class Shown:
    """How training is shown a truth. long_side: px that images are scaled to, 0 = as they are; min_box: px there, shortest side of
    the box of an instance; instances: one per channel, or per 8-connected component of each."""

    long_side: int
    min_box: int
    instances: Instances

    def size(self, original: tuple[int, int]) -> tuple[int, int]:
        """(H, W) -> the (h, w) at which the model sees it."""
        return images.fitted_size(original, self.long_side) if self.long_side else original

    def least(self, original: tuple[int, int]) -> float:
        """(H, W) -> px there, the side of a box below which nothing is left that is large enough; half a pixel may count at either end."""
        size = self.size(original)
        if size == original:
            return self.min_box
        return (self.min_box - 1) / max(new / old for new, old in zip(size, original, strict=True))


def shown_to(model: ModelConfig, config: DataConfig) -> Shown:
    """-> how training shows this model the truth."""
    return Shown(model.scaled_to, config.min_box, config.instances)


def shown(masks: np.ndarray, how: Shown, name: object) -> np.ndarray:
    """(N, H, W) bool -> (M, h, w) bool, the instances at the model's size, without those that are too small or too thin to be left there.

    name: whose the masks are. Raises InputError for more components than MOST.
    """
    found = _numbered(masks, how, name)
    out = np.zeros((sum(len(numbers) for _, numbers, _ in found), *how.size(masks.shape[1:])), bool)
    kept = 0
    for plane in _planes(found, how, out.shape[1:]):
        out[kept] = plane
        kept += 1
    return out[:kept]


def counted(masks: np.ndarray, how: Shown, name: object) -> tuple[int, int]:
    """(N, H, W) bool -> how many instances are `shown`, and how many are not. Raises InputError as `shown` does."""
    found = _numbered(masks, how, name)
    kept = sum(1 for _ in _planes(found, how, how.size(masks.shape[1:])))
    return kept, sum(count for *_, count in found) - kept


def components(masks: np.ndarray, how: Shown, name: object) -> np.ndarray:
    """(N, H, W) bool -> (M, H, W) bool: every 8-connected component of every channel on its own, without those whose boxes are
    too small for the model's size. name: whose the masks are. Raises InputError for more of them than MOST."""
    found = _numbered(masks, replace(how, instances="components"), name)
    count = sum(len(numbers) for _, numbers, _ in found)
    _require_room(count, masks.shape[1:], name)
    out = np.zeros((count, *masks.shape[1:]), bool)
    planes = iter(out)
    for labels, numbers, _ in found:
        for number in numbers:
            np.equal(labels, number, out=next(planes))
    return out


def boxes(masks: np.ndarray, instances: Instances) -> np.ndarray:
    """(N, H, W) bool -> (M, 4) float32, `boxes_of` the channels or of their components, without a mask of each."""
    if instances == "channels":
        return boxes_of(masks)
    stats = [cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[2][1:, :4] for mask in masks]
    found = np.concatenate([*stats, np.zeros((0, 4), np.int32)]).astype(np.float32)
    found[:, 2:] += found[:, :2]
    return found


Numbered = tuple[np.ndarray, np.ndarray, int]
"""Of a channel: (H, W), the numbers of its instances from 1 on; (K,), of those that may be left at the model's size; how many there are."""


def _numbered(masks: np.ndarray, how: Shown, name: object) -> list[Numbered]:
    size, out = (masks.shape[1], masks.shape[2]), []
    for mask in masks:
        if how.instances == "components":
            _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
            sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].min(axis=1)
        else:
            labels, sides = mask, np.array([_shortest(mask)])
        out.append((labels, 1 + np.flatnonzero(sides >= how.least(size)), len(sides)))
    if how.instances == "components":
        _require_room(sum(len(numbers) for _, numbers, _ in out), how.size(size), name)
    return out


def _planes(found: list[Numbered], how: Shown, size: tuple[int, ...]) -> Iterator[np.ndarray]:
    """-> (h, w) bool, one after the other, the instances that are left."""
    for labels, numbers, _ in found:
        for number in numbers:
            plane = images.resized_mask(labels == number, (size[0], size[1]))
            if _shortest(plane) >= how.min_box:
                yield plane


def _shortest(mask: np.ndarray) -> int:
    """(H, W) bool -> px, the shortest side of its box."""
    x0, y0, x1, y1 = boxes_of(mask[None])[0].tolist()
    return int(min(x1 - x0, y1 - y0))


def _require_room(count: int, size: tuple[int, ...], name: object) -> None:
    if count * size[0] * size[1] > MOST:
        raise InputError(
            f"{name}: has {count:,} regions apart, too many for a mask of {size[0]} x {size[1]} px each; take the specks out, or train "
            "with --data.instances channels"
        )
