"""MediaEval's maps: what is too long for one is told before it is unpacked."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from forgery_rcnn.instances import ANY_SIZE
from forgery_rcnn.submission import archives, heatmaps

SIZE = (200, 300)


def npz(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, mask=array)
    return file.getvalue()


def npy(shape: tuple[int, int], length: int) -> bytes:
    """An .npz whose array says this shape, and has so many bytes of pixels."""
    header = f"{{'descr': '<f2', 'fortran_order': False, 'shape': {shape}}}".encode()
    data = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(length)
    return archives.packed("a.npz", [("mask.npy", data)])


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Grows by the count of bytes whenever some of a member are unpacked."""
    counts: list[int] = []
    true = zipfile.ZipExtFile._read1

    def counted(self: zipfile.ZipExtFile, n: int) -> bytes:
        data = true(self, n)
        counts.append(len(data))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", counted)
    yield counts


def read(tmp_path: Path, data: bytes, size: tuple[int, int]) -> np.ndarray:
    archives.write(tmp_path / "s.zip", [("a.npz", data)])
    with archives.opened(tmp_path / "s.zip") as archive:
        return heatmaps.read(archive, "a.npz", size)


@pytest.mark.parametrize("size", [SIZE, ANY_SIZE])
def test_what_is_packed_is_read(size: tuple[int, int], tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(SIZE).astype(np.float16)
    found = read(tmp_path, heatmaps.packed("a.npz", values), size)
    assert found.dtype == np.float32 and np.array_equal(found, values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_of_another_type_is_told_as_such(dtype: type, tmp_path: Path, refused) -> None:
    values = np.random.default_rng(0).random(SIZE).astype(dtype)
    with refused(f"a.npz is {np.dtype(dtype).name}, save it as float16"):
        read(tmp_path, npz(values), SIZE)


@pytest.mark.parametrize("size", [SIZE, ANY_SIZE])
def test_a_long_array_in_a_short_npz(size: tuple[int, int], tmp_path: Path, unpacked: list[int], refused) -> None:
    data = npy(SIZE, 2**26)
    with refused("a.npz: 67,108,864 bytes of pixels for shape (200, 300), damaged"):
        read(tmp_path, data, size)
    assert sum(unpacked) < 2 * len(data) + 2 * heatmaps.HEAD


@pytest.mark.parametrize("shape", [(2**14, 2**13), (2**13, 2**14)])
def test_a_shape_that_is_not_the_image(shape: tuple[int, int], tmp_path: Path, unpacked: list[int], refused) -> None:
    data = npy(shape, 2**28)
    with refused(f"shape is {shape}; save it as (2000, 300)"):
        read(tmp_path, data, (2000, 300))
    assert sum(unpacked) < 2 * len(data) + 2 * heatmaps.HEAD


def test_an_npz_longer_than_any_map(tmp_path: Path, unpacked: list[int], refused) -> None:
    with refused("a.npz is 1,000,000 bytes, too long for a map; save one float16 array (200, 300)"):
        read(tmp_path, bytes(1_000_000), SIZE)
    assert not unpacked
    with refused("a.npz: damaged, or not a zip file"):
        read(tmp_path, bytes(1_000_000), ANY_SIZE)


def test_sides_are_judged_together_where_no_size_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unpacked: list[int], refused
) -> None:
    monkeypatch.setattr(heatmaps, "MAX_PIXELS", 60_000)
    assert read(tmp_path, npy(SIZE, 120_000), ANY_SIZE).shape == SIZE
    unpacked.clear()
    with refused("a.npz: shape is (201, 300); save it as (H, W) of the image"):
        read(tmp_path, npy((201, 300), 120_600), ANY_SIZE)
    with refused("a.npz is 140,000 bytes, too long for a map; save one float16 array (H, W) of the image"):
        read(tmp_path, bytes(140_000), ANY_SIZE)
    assert sum(unpacked) < 3 * heatmaps.HEAD
