"""Truth masks: what is accepted, and one line for everything that is not a mask of its image."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage

from forgery_rcnn.data import images, masks
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import boxes_of

SIZE = (9, 13)
MASKS = np.zeros((2, *SIZE), np.uint8)
MASKS[0, 2:5, 3:6] = MASKS[1, 6:, 8:] = 1


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


def changed(change: Callable[[np.ndarray], Any]) -> bytes:
    """MASKS after `change`, as a .npy file."""
    array = MASKS.copy()
    out = change(array)
    return npy(array if out is None else out)


def cleared(*channels: int) -> bytes:
    array = MASKS.copy()
    array[list(channels)] = 0
    return npy(array)


def read(folder: Path, content: bytes, name: str = "7.npy") -> np.ndarray:
    (folder / name).write_bytes(content)
    return masks.read(folder / name, SIZE, "7.png")


def image(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, ">i4", np.uint16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_0_and_1_are_read(dtype: Any, order: str, tmp_path: Path) -> None:
    found = read(tmp_path, npy(np.asarray(MASKS, dtype, order=order)))
    assert found.dtype == bool and np.array_equal(found, MASKS.astype(bool))


@pytest.mark.parametrize("content", [npy(MASKS), npy(MASKS.transpose(0, 2, 1))])
def test_without_a_size_the_file_gives_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "7.npy").write_bytes(content)
    found = masks.read(tmp_path / "7.npy")
    assert np.array_equal(found, np.load(tmp_path / "7.npy").astype(bool)) and found.dtype == bool


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy(MASKS[None]), "mask has shape (1, 2, 9, 13); expected (N, H, W) with N >= 1"),
        (npy(MASKS[:0]), "mask has shape (0, 9, 13); expected (N, H, W)"),
        (npy(MASKS * 0), "mask is all zero"),
        (cleared(1), "mask channel 1 of 2 is all zero"),
        (npy(MASKS * 255), "values 0..255"),
        (npy(MASKS[:, :0]), "mask has shape (2, 0, 13); expected (N, H, W)"),
    ],
)
def test_without_a_size_the_rest_is_still_checked(content: bytes, said: str, tmp_path: Path, refused) -> None:
    (tmp_path / "7.npy").write_bytes(content)
    with refused("7.npy", said):
        masks.read(tmp_path / "7.npy")


def test_a_plane_is_one_channel(tmp_path: Path) -> None:
    assert np.array_equal(read(tmp_path, npy(MASKS[0])), MASKS[:1].astype(bool))


def test_a_mask_is_not_tied_to_its_file(tmp_path: Path) -> None:
    found = read(tmp_path, npy(MASKS))
    (tmp_path / "7.npy").write_bytes(b"")
    found[0, 0, 0] = True
    assert found.sum() == MASKS.sum() + 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy(MASKS.transpose(0, 2, 1)), "mask is (13, 9) but image 7.png is 9 x 13; expected (N, 9, 13)"),
        (npy(MASKS[:, :-1]), "mask is (8, 13) but image 7.png is 9 x 13"),
        (npy(MASKS.transpose(1, 2, 0)), "mask is (9, 13, 2), its channels last; expected (N, 9, 13)"),
        (npy(MASKS[:, :0]), "mask is (0, 13) but"),
        (npy(np.zeros_like(MASKS)), "mask is all zero"),
        (npy(np.zeros(SIZE, bool)), "mask is all zero"),
        (cleared(0), "mask channel 0 of 2 is all zero"),
        (cleared(1), "mask channel 1 of 2 is all zero"),
        (npy(MASKS * 255), "values 0..255; expected only 0 and 1 (divide by 255?)"),
        (npy(MASKS * 2), "values 0..2; "),
        (npy(-MASKS.astype(np.int8)), "values -1..0; expected only 0 and 1"),
        (npy(MASKS.astype(np.int64) - 2**40), f"values {-(2**40)}"),
        (npy(MASKS.astype(np.float32)), "dtype float32; save it as uint8"),
        (npy(MASKS.astype(np.float64) * np.nan), "dtype float64"),
        (npy(MASKS.astype(complex)), "dtype complex128"),
        (npy(MASKS.astype("S1")), "dtype |S1"),
        (npy(MASKS[None]), "shape (1, 2, 9, 13); expected (N, 9, 13) with N >= 1"),
        (npy(MASKS[:0]), "shape (0, 9, 13)"),
        (npy(MASKS[0, 0]), "shape (13,)"),
        (npy(np.uint8(1)), "shape ()"),
        (npy(np.array([MASKS, None], object), allow_pickle=True), "pickled or not a .npy array, refused"),
        (pickle.dumps(MASKS), "pickled or not a .npy array, refused"),
        (npz(MASKS), "pickled or not a .npy array, refused"),
        (b"PK\x03\x04 but no zip file", "pickled or not a .npy array, refused"),
        (b"<html>\n404 not found\n</html>", "pickled or not a .npy array, refused"),
        (b"", "truncated or damaged"),
        (npy(MASKS)[:-1], "truncated or damaged"),
        (npy(MASKS)[:100], "truncated or damaged"),
        (npy(MASKS).replace(b"'fortran_order'", b"(fortran_order'"), "truncated or damaged"),
        (npy(MASKS).replace(b"(2, 9, 13)", b"(-2, 9,13)"), "truncated or damaged"),
        (npy(MASKS).replace(b"(2, 9, 13)", b"(2**9,  3)"), "truncated or damaged"),
    ],
)
def test_bad_arrays(content: bytes, said: str, tmp_path: Path, refused) -> None:
    with refused(f"{tmp_path / '7.npy'}: ", said):
        read(tmp_path, content)


@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")  # numpy's own, for headers as Python 2 wrote them
def test_flipped_bits_in_the_header_end_in_one_line(tmp_path: Path) -> None:
    rng, outcomes = np.random.default_rng(0), []
    for position in rng.permutation(128 * 8)[:300]:
        content = bytearray(npy(MASKS))
        content[position // 8] ^= 1 << (position % 8)
        try:
            outcomes.append(read(tmp_path, bytes(content)).shape)
        except InputError as error:
            assert "7.npy" in str(error) and len(str(error).splitlines()) == 1
    assert set(outcomes) <= {MASKS.shape} and len(outcomes) < 5


def test_no_file(tmp_path: Path, refused) -> None:
    for name in ("7.npy", "7.png"):
        with refused(f"{tmp_path / name}: no such"):
            masks.read(tmp_path / name, SIZE, "7.png")


@pytest.mark.parametrize(
    "values",
    [
        MASKS[0] * np.uint8(255),
        MASKS[0] > 0,
        np.repeat(MASKS[0][:, :, None] * np.uint8(255), 3, axis=2),
        MASKS[0].astype(np.uint16) * 65535,
    ],
    ids=["grey", "bilevel", "RGB", "16 bit"],
)
def test_black_and_white_images_are_masks(values: np.ndarray, tmp_path: Path) -> None:
    assert np.array_equal(read(tmp_path, image(values), "7_mask.png"), MASKS[:1].astype(bool))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (MASKS[0], "holds values 0..1; save it as black (0) and white (255)"),
        (MASKS[0] * np.uint8(128), "pixels neither black nor white"),
        (np.arange(117, dtype=np.uint8).reshape(SIZE), "holds 53 pixels neither black nor white"),
        (np.dstack([MASKS[0] * np.uint8(255)] + [np.zeros(SIZE, np.uint8)] * 2), "pixels neither black nor white"),
        (np.zeros(SIZE, np.uint8), "all zero"),
        (MASKS[0].T * np.uint8(255), "mask is (13, 9) but image 7.png is 9 x 13"),
    ],
    ids=["0 and 1", "0 and 128", "grey", "red", "black", "transposed"],
)
def test_bad_mask_images(values: np.ndarray, said: str, tmp_path: Path, refused) -> None:
    with refused("7.png: ", said):
        read(tmp_path, image(values), "7.png")


def test_off_white_edges_and_black_declared_transparent(tmp_path: Path) -> None:
    """Both occur in published sets: read over white, a transparent black would make the whole image forged."""
    values = np.repeat(MASKS[0][:, :, None] * np.uint8(255), 3, axis=2)
    values[MASKS[0] > 0] -= np.arange(int(MASKS[0].sum()), dtype=np.uint8)[:, None] % 40
    Image.fromarray(values).save(tmp_path / "7_gt.png", transparency=(0, 0, 0))
    assert np.array_equal(masks.read(tmp_path / "7_gt.png", SIZE, "7.png"), MASKS[:1].astype(bool))


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["7.npy", "7.png"], "7.npy"),
        (["7_gt.tif", "7_mask.png", "8.npy"], "7_mask.png"),
        (["7_gt.gif"], "7_gt.gif"),
        (["7.PNG"], "7.PNG"),
        (["7_GT.png"], None),
        ([".7.png", "8.png"], None),
        (["17.npy", "7.txt", "07.npy", "7_masks.png"], None),
    ],
)
def test_find(there: list[str], found: str | None, tmp_path: Path) -> None:
    for name in there:
        (tmp_path / name).touch()
    (tmp_path / "9.npy").mkdir()
    listed = masks.listed(tmp_path)
    assert masks.of_stem(listed, "7") == (found and tmp_path / found)
    assert masks.of_stem(listed, "9") is None


def palette(index: int) -> Image.Image:
    """A picture of one colour of a palette: white at 0, black at 1."""
    out = Image.new("P", SIZE[::-1], index)
    out.putpalette([255, 255, 255, 0, 0, 0])
    return out


@pytest.mark.parametrize(
    ("picture", "name", "black"),
    [
        (Image.new("L", (13, 9)), "7.png", True),
        (Image.new("L", (13, 9), 1), "7.png", False),
        (Image.fromarray(MASKS[0] * np.uint8(255)), "7.png", False),
        (Image.new("RGB", (13, 9)), "7.jpg", True),
        (Image.new("1", (13, 9)), "7.tif", True),
        (Image.new("1", (13, 9), 1), "7.bmp", False),
        (Image.new("I;16", (13, 9)), "7.png", True),
        (Image.new("RGBA", (13, 9), (0, 0, 0, 255)), "7.png", True),
        (Image.new("LA", (13, 9), (255, 0)), "7.png", False),
        (palette(1), "7.png", True),
        (palette(0), "7.gif", False),
    ],
)
def test_black_mask_images(picture: Image.Image, name: str, black: bool, tmp_path: Path) -> None:
    picture.save(tmp_path / name)
    assert masks.is_black(tmp_path / name) is black


@pytest.mark.parametrize(
    ("content", "black"),
    [
        (npy(MASKS), False),
        (npy(MASKS * 0), True),
        (npy(MASKS[0] > 5), True),
        (npy(np.zeros(SIZE)), False),
        (npy(MASKS)[:100], False),
        (npz(MASKS), False),
    ],
)
def test_black_arrays(content: bytes, black: bool, tmp_path: Path) -> None:
    (tmp_path / "7.npy").write_bytes(content)
    assert masks.is_black(tmp_path / "7.npy") is black


def test_damaged_masks_are_not_black(tmp_path: Path) -> None:
    content = image(np.zeros((99, 99), np.uint8))
    damaged = {"1.png": content[:60], "2.png": b"", "3.png": b"text", "4.png": content.replace(b"IDAT", b"IDAx")}
    for name, said in damaged.items():
        (tmp_path / name).write_bytes(said)
    (tmp_path / "5.png").write_bytes(content)
    (tmp_path / "6.png").mkdir()
    paths = [tmp_path / f"{number}.png" for number in range(1, 8)]
    assert masks.black(paths) == {tmp_path / "5.png"}


def test_many_masks_are_looked_at_at_once(tmp_path: Path) -> None:
    for number in range(40):
        Image.new("L", (20, 20), 255 * (number % 4 > 0)).save(tmp_path / f"{number}.png")
    assert masks.black(sorted(tmp_path.iterdir())) == {tmp_path / f"{number}.png" for number in range(0, 40, 4)}
    assert masks.black([]) == set()


EVERY = masks.Shown(0, 1, "components")


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(0, 3), st.integers(1, 8), st.integers(1, 8))))
def test_components_are_those_of_scipy(stack: np.ndarray) -> None:
    parts = masks.components(stack, EVERY, "x")
    assert parts.dtype == bool and parts.shape[1:] == stack.shape[1:]
    expected = []
    for channel in stack:
        labels, count = ndimage.label(channel, np.ones((3, 3)))
        expected += [(labels == number + 1).tobytes() for number in range(count)]
    assert sorted(part.tobytes() for part in parts) == sorted(expected)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(bool, st.tuples(st.integers(0, 3), st.integers(4, 24), st.integers(4, 24))),
    st.sampled_from(["channels", "components"]),
    st.integers(0, 30),
    st.integers(1, 4),
)
def test_shown_is_every_instance_resized_and_large_enough(
    stack: np.ndarray, instances: masks.Instances, long_side: int, min_box: int
) -> None:
    every = masks.components(stack, EVERY, "x") if instances == "components" else stack
    assert np.array_equal(masks.boxes(stack, instances), boxes_of(every))
    size = images.fitted_size(stack.shape[1:], long_side) if long_side else stack.shape[1:]
    resized = [images.resized_mask(mask, size) for mask in every]
    large = [mask for mask in resized if (boxes_of(mask[None])[0, 2:] - boxes_of(mask[None])[0, :2]).min() >= min_box]
    how = masks.Shown(long_side, min_box, instances)
    kept = masks.shown(stack, how, "x")
    assert kept.dtype == bool and kept.shape == (len(large), *size)
    assert masks.counted(stack, how, "x") == (len(large), len(every) - len(large))
    assert np.array_equal(kept, np.reshape(large, kept.shape))


def test_thin_lines_that_leave_no_pixel_are_lost() -> None:
    """Their boxes are large."""
    lines = np.zeros((1, 200, 200), bool)
    lines[0, np.arange(200), np.arange(200)] = True
    assert masks.counted(lines, masks.Shown(50, 2, "channels"), "x") == (0, 1)
    assert masks.counted(lines, masks.Shown(0, 2, "channels"), "x") == (1, 0)


def test_specks_without_number_take_no_memory_and_are_refused_by_name(refused, monkeypatch: pytest.MonkeyPatch) -> None:
    specks = np.zeros((1, 400, 400), bool)
    specks[0, ::4, ::4] = specks[0, 1::4, ::4] = specks[0, ::4, 1::4] = specks[0, 1::4, 1::4] = True
    assert len(masks.boxes(specks, "components")) == 10_000
    assert masks.counted(specks, masks.Shown(100, 3, "components"), "x") == (0, 10_000)
    monkeypatch.setattr(masks, "MOST", 10 * 400 * 400)
    for call in (
        lambda: masks.shown(specks, masks.Shown(0, 2, "components"), "case 7"),
        lambda: masks.counted(specks, masks.Shown(0, 2, "components"), "case 7"),
        lambda: masks.components(specks, EVERY, "case 7"),
    ):
        with refused("case 7: has", "regions apart", "--data.instances channels"):
            call()


def test_diagonal_neighbours_are_one_component() -> None:
    assert len(masks.components(np.eye(4, dtype=bool)[None], EVERY, "x")) == 1
    assert len(masks.components(np.array([[[1, 0, 1]], [[0, 1, 0]]], bool), EVERY, "x")) == 3
