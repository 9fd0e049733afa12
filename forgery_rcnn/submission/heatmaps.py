"""MediaEval's heat maps: (H, W) float16 in 0..1, probability that a pixel is forged, the one array of an .npz."""

from __future__ import annotations

import io
import math
import warnings
from tokenize import TokenError

import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import ANY_SIZE, MAX_PIXELS, Answer
from forgery_rcnn.submission import archives, one_mask

NPZ = archives.Limits(members=16, member_bytes=512 * 2**20, total_bytes=512 * 2**20)  # one array is asked for
# Bytes that the header of an array, or what a zip needs beside its member, may take; numpy stops at 10,000.
HEAD = 2**14
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGED = (ValueError, KeyError, SyntaxError, TypeError, OverflowError, TokenError, RecursionError, MemoryError)


def of(answer: Answer, label: int) -> np.ndarray:
    """-> (H, W) float16: the heat map, else the regions as 0 and 1; all zero where the label says clean.

    Raises InputError: size unknown or too large, heat map of another size or not finite.
    """
    if math.prod(answer.size) > MAX_PIXELS:
        raise InputError(f"image size unknown or above {MAX_PIXELS:,} pixels; give the image's own size")
    if not label:
        return np.zeros(answer.size, np.float16)
    if answer.heatmap is None:
        return rle.mask_of(one_mask.union(answer), answer.size).astype(np.float16)
    if answer.heatmap.shape != answer.size:
        raise InputError(f"heat map is {answer.heatmap.shape}, its image {answer.size}; resize the map")
    if not np.isfinite(answer.heatmap).all():
        raise InputError("heat map holds NaN or infinite values; give probabilities in 0..1")
    return np.clip(answer.heatmap, 0, 1).astype(np.float16)


def packed(name: str, values: np.ndarray) -> bytes:
    """(H, W) float16 -> the bytes of an .npz that is called `name` in messages."""
    array = io.BytesIO()
    np.lib.format.write_array(array, values, allow_pickle=False)
    return archives.packed(name, [("mask.npy", array.getvalue())])


def read(archive: archives.Archive, name: str, size: tuple[int, int]) -> np.ndarray:
    """The .npz `name` of a zip -> (H, W) float32 in 0..1, of `size` unless that is unknown. Nothing is ever unpickled.

    Nothing is unpacked that is too long for such a map. Raises InputError (one line: .npz, what was found, fix).
    """
    # A map that was saved as float64 is let in, to be told what it is.
    most = HEAD + (2 * MAX_PIXELS if size == ANY_SIZE else 8 * math.prod(size))
    wanted = "(H, W) of the image" if size == ANY_SIZE else size
    if archive.size(name) > most:
        raise InputError(f"{name} is {archive.size(name):,} bytes, too long for a map; save one float16 array {wanted}")
    inner = archives.unpacked(archive.read(name), name, NPZ)
    if len(inner.names) != 1:
        raise InputError(f"{name} holds {len(inner.names)} arrays; save exactly one")
    member = inner.names[0]
    shape, order, dtype, begin = _header(inner.head(member, HEAD), name)
    if dtype.kind != "f" or dtype.itemsize != 2:
        raise InputError(f"{name} is {dtype.name}, save it as float16")
    if not _fits(shape, size):
        found = shape if len(shape) < 5 and all(abs(side) <= 2**32 for side in shape) else "out of all bounds"
        raise InputError(f"{name}: shape is {found}; save it as {wanted}")
    pixels = inner.size(member) - begin
    if pixels != 2 * math.prod(shape):
        raise InputError(f"{name}: {pixels:,} bytes of pixels for shape {shape}, damaged; save it anew")
    values = np.frombuffer(inner.read(member), dtype, offset=begin).reshape(shape, order=order)
    values = values.astype(np.float32, order="C")
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise InputError(f"{name}: map holds values outside 0..1 or NaN; save probabilities in 0..1")
    return values


def _fits(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    if size != ANY_SIZE:
        return shape == size
    return len(shape) == 2 and min(shape) >= 1 and math.prod(shape) <= MAX_PIXELS


def _header(head: bytes, name: str) -> tuple[tuple[int, ...], str, np.dtype, int]:
    """The begin of an .npy -> shape, order C or F, dtype, and where its pixels begin."""
    content = io.BytesIO(head)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 2's headers and old names of types
            shape, fortran, dtype = _HEADERS[np.lib.format.read_magic(content)](content)
    except _DAMAGED:
        raise InputError(f"{name}: not an array in it, or damaged; save it with np.savez_compressed") from None
    return shape, "F" if fortran else "C", dtype, content.tell()
