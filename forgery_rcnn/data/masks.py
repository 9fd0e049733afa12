"""Reading truth masks, with every check: a wrong mask is refused here, never handed to a model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tokenize import TokenError
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from forgery_rcnn.data import images
from forgery_rcnn.data.drawn import Drawn
from forgery_rcnn.errors import InputError

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


def components(masks: np.ndarray) -> np.ndarray:
    """(N, H, W) bool -> (M, H, W) bool: every 8-connected component of every channel on its own, M >= N."""
    out = []
    for mask in masks:
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        out.extend(labels == number for number in range(1, count))
    return np.stack(out) if out else masks[:0]
