"""Run-length codes: the official scorer's answers, a naive reference, and everything that is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forgery_rcnn import rle
from forgery_rcnn.errors import InputError
from forgery_rcnn.rle import AALTOES, EMPTY, RECODAI, RleDialect, decode, encode, joined, mask_of, runs_of, turned
from tests.official_vectors import STRICTER, VECTORS

light = settings(max_examples=60, deadline=None)
sides = st.integers(1, 12)
masks = sides.flatmap(lambda h: sides.flatmap(lambda w: hnp.arrays(bool, (h, w))))


def naive_runs(mask: np.ndarray) -> list[list[int]]:
    """Pixel by pixel, down each column in turn."""
    runs: list[list[int]] = []
    for index, pixel in enumerate(mask.T.ravel()):
        if pixel and runs and sum(runs[-1]) == index:
            runs[-1][1] += 1
        elif pixel:
            runs.append([index, 1])
    return runs


def named(vectors: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


@pytest.mark.parametrize("vector", named(VECTORS["encode"]))
def test_official_encodings(vector: dict[str, Any]) -> None:
    masks = [np.array(mask) == vector["fg_val"] for mask in vector["masks"]]
    found = [encode(runs_of(mask), mask.shape, RECODAI) for mask in masks]
    assert ";".join(found) == vector["rle"]


@pytest.mark.parametrize("vector", named([v for v in VECTORS["decode"] if "mask" in v and v["name"] not in STRICTER]))
def test_official_decodings(vector: dict[str, Any]) -> None:
    size = tuple(vector["shape"])
    assert mask_of(decode(vector["rle"], size, RECODAI), size).tolist() == np.array(vector["mask"], bool).tolist()


@pytest.mark.parametrize("vector", named([v for v in VECTORS["decode"] if "error" in v or v["name"] in STRICTER]))
def test_official_errors_and_what_only_we_refuse(vector: dict[str, Any], refused) -> None:
    with refused():
        decode(vector["rle"], tuple(vector["shape"]), RECODAI)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2, 3]", "odd count of numbers (3)"),
        ("[3, 1, 1, 1]", "not ascending at start 1"),
        ("[1, 3, 3, 1]", "overlapping at start 3"),
        ("[1, 2, 4, 1, 3, 1]", "not ascending at start 3"),
        ("[1, 1, 2, 2, 3, 1]", "overlapping at start 3"),
        ("[1, 2, 4, 0]", "length 0"),
        ("[1, -2]", "length -2"),
        ("[0, 1]", "start 0"),
        ("[4, 2]", "pixel 5, past the last pixel 4 of a 2 x 2"),
        ("[1.0, 1]", "'1.0'"),
        ("[1, true]", "'true'"),
        ("[1, null]", "'null'"),
        ("[1, Infinity]", "'Infinity'"),
        ('["1", 2]', """holds '"1"'; use whole numbers from 1 to 2^31 - 1, e.g. [1, 2, 4, 1]"""),
        ('[1, {"a": [2]}]', """'{"a": [2]}'"""),
        ("[1, 1e3]", "'1000.0'"),
        (f"[1, {2**31}]", f"'{2**31}'; use whole numbers from 1 to 2^31 - 1"),
        (f"[1, {2**31 - 1}]", f"pixel {2**31 - 1}, past the last pixel 4"),
        (f"[{-(2**70)}, 1]", "2^31"),
        ('{"1": 2}', "not a run list"),
        ('"[1, 2]"', "not a run list"),
        ("[1,\n2", "not a run list"),
        ("[" * 100_000, "not a run list"),
        ("[" + "9" * 5000 + ", 1]", "not a run list"),
        ("x" * 10_000, "…"),
        ("", "''"),
    ],
)
def test_refusal_says_what_is_wrong_in_a_short_line(text: str, said: str, refused) -> None:
    with refused(said):
        decode(text, (2, 2), RECODAI)
    with pytest.raises(InputError) as caught:
        decode(text, (2, 2), RECODAI)
    assert len(str(caught.value)) < 140


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2 3", "odd count of numbers (3)"),
        ("3 1 1 1", "not ascending at start 1"),
        ("1 3 3 1", "overlapping at start 3"),
        ("1 0", "length 0"),
        ("0 1", "start 0"),
        ("6 2", "pixel 7, past the last pixel 6 of a 2 x 3"),
        ("1.0 1", "'1.0'"),
        ("-1 1", "holds '-1'; use whole numbers from 1 to 2^53 - 1"),
        ("1,2", "holds '1,2'; use whole numbers from 1 to 2^53 - 1, e.g. 1 2 4 1"),
        ("[1, 2]", "holds '[1,'; use whole numbers from 1 to 2^53 - 1, e.g. 1 2 4 1"),
        ("authentic", "'authentic'"),
        ("\u0661 1", "'\u0661'"),
        (f"1 {2**53}", "from 1 to 2^53 - 1"),
        ("9" * 5000 + " 1", "not a run list; write e.g. 1 2 4 1"),
    ],
)
def test_refusals_of_the_row_major_dialect(text: str, said: str, refused) -> None:
    with refused(said):
        decode(text, (2, 3), AALTOES)


@light
@given(masks)
def test_runs_are_those_of_the_naive_reference(mask: np.ndarray) -> None:
    runs = runs_of(mask)
    assert runs.dtype == np.int64 and runs.shape == (len(runs), 2)
    assert runs.tolist() == naive_runs(mask)


@pytest.mark.parametrize("dialect", [RECODAI, AALTOES], ids=lambda dialect: dialect.name)
@light
@given(masks)
def test_mask_to_runs_to_text_and_back(dialect: RleDialect, mask: np.ndarray) -> None:
    runs = decode(encode(runs_of(mask), mask.shape, dialect), mask.shape, dialect)
    assert runs.dtype == np.int64 and runs.tolist() == naive_runs(mask)
    back = mask_of(runs, mask.shape)
    assert back.dtype == bool and back.flags["C_CONTIGUOUS"]
    assert np.array_equal(back, mask)


@light
@given(masks)
def test_row_major_text_is_that_of_the_naive_encoder(mask: np.ndarray) -> None:
    """Pixel by pixel, along each row in turn, which is down each column of the transposed mask."""
    expected = " ".join(f"{start + 1} {length}" for start, length in naive_runs(mask.T))
    assert encode(runs_of(mask), mask.shape, AALTOES) == expected


@light
@given(masks)
def test_turned_is_the_transposed_mask_and_its_own_inverse(mask: np.ndarray) -> None:
    size = mask.shape
    other = turned(runs_of(mask), size)
    assert other.tolist() == naive_runs(mask.T)
    assert turned(other, size[::-1]).tolist() == naive_runs(mask)


@pytest.mark.parametrize("block", [1, 5, 12, 30])
@light
@given(mask=masks)
def test_turned_by_blocks_of_columns(block: int, mask: np.ndarray) -> None:
    expected = turned(runs_of(mask), mask.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rle, "BLOCK", block)
        found = turned(runs_of(mask), mask.shape)
    assert found.dtype == np.int64 and found.tolist() == expected.tolist() == naive_runs(mask.T)


def test_turned_draws_no_block_that_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs far apart in a large image, one of them over the border of two blocks."""
    drawn = []
    monkeypatch.setattr(rle, "mask_of", lambda runs, size: drawn.append(size) or mask_of(runs, size))
    step = rle.BLOCK // 30_000 * 30_000
    runs = np.array([[5, 3], [50 * step - 1, 2]])
    assert turned(turned(runs, (30_000, 30_000)), (30_000, 30_000)).tolist() == runs.tolist()
    assert drawn[:3] == [(30_000, 1)] * 3 and all(height * width <= rle.BLOCK for height, width in drawn)


@pytest.mark.parametrize("share", [0.002, 0.02, 0.5, 0.98])
def test_runs_of_noise_and_of_regions(share: float) -> None:
    """Many turns are found in the transposed image, few are sorted: both must give the same."""
    mask = np.random.default_rng(0).random((60, 90)) < share
    turns = int((np.diff(np.pad(mask, ((1, 1), (0, 0))).astype(int), axis=0) != 0).sum())
    assert (8 * turns > 61 * 90) == (share == 0.5)  # one case lies well on the other side
    assert runs_of(mask).tolist() == naive_runs(mask)


def test_noise_in_one_band_and_a_region_in_the_next() -> None:
    """Every band of rows is coded alone; runs of one column come from several bands."""
    rng = np.random.default_rng(1)
    mask = np.zeros((40, 30), bool)
    mask[2:9, 5:25] = rng.random((7, 20)) < 0.5
    mask[10:20, 3:28] = True
    mask[21, 29] = mask[39] = mask[0, :4] = True
    assert runs_of(mask).tolist() == naive_runs(mask)
    assert runs_of(mask, (50, 40), (6, 7)).tolist() == naive_runs(np.pad(mask, ((7, 3), (6, 4))))


banded = masks.flatmap(lambda mask: hnp.arrays(bool, mask.shape[0]).map(lambda rows: mask & rows[:, None]))


@light
@given(banded)
def test_bands_of_rows_join_to_the_whole(mask: np.ndarray) -> None:
    assert runs_of(mask).tolist() == naive_runs(mask)


@light
@given(masks, st.sampled_from([np.uint8, np.int64, np.float32]), st.booleans())
def test_runs_ignore_dtype_and_memory_layout(mask: np.ndarray, dtype: type, flipped: bool) -> None:
    other = np.asfortranarray(mask.astype(dtype) * 200)
    if flipped:
        mask, other = mask[::-1, ::-1], other[::-1, ::-1]
    assert runs_of(other).tolist() == naive_runs(mask)


@light
@given(masks, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_crop_at_a_corner_is_the_mask_in_its_place(crop: np.ndarray, x0: int, y0: int, right: int, below: int) -> None:
    whole = np.pad(crop, ((y0, below), (x0, right)))
    assert runs_of(crop, whole.shape, (x0, y0)).tolist() == naive_runs(whole)


@light
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=12))
def test_joined_is_the_union(pairs: list[tuple[int, int]]) -> None:
    line = np.zeros((50, 1), bool)
    for start, length in pairs:
        line[start : start + length] = True
    runs = joined(np.array(pairs, np.int64).reshape(-1, 2))
    assert runs.tolist() == naive_runs(line)


@pytest.mark.parametrize(
    ("mask", "runs"),
    [
        (np.zeros((3, 4)), []),
        (np.ones((3, 4)), [[0, 12]]),
        (np.ones((1, 1)), [[0, 1]]),
        (np.eye(3)[:, ::-1], [[2, 1], [4, 1], [6, 1]]),
        (np.pad(np.ones((1, 1)), ((2, 0), (3, 0))), [[11, 1]]),
        (np.zeros((0, 4)), []),
        (np.zeros((4, 0)), []),
    ],
    ids=["empty", "full", "one of one", "antidiagonal", "last pixel", "no row", "no column"],
)
def test_edge_masks(mask: np.ndarray, runs: list[list[int]]) -> None:
    assert runs_of(mask).tolist() == runs
    assert np.array_equal(mask_of(runs_of(mask), mask.shape), mask.astype(bool))


def test_touching_runs_of_a_file_are_joined() -> None:
    assert decode("[1, 2, 3, 1, 5, 1]", (3, 2), RECODAI).tolist() == [[0, 3], [4, 1]]


def test_indices_beyond_32_bits() -> None:
    """65536 x 65536: the last pixel, and a run that ends there."""
    size = (2**16, 2**16)
    corner = runs_of(np.ones((2, 2)), size, (2**16 - 2, 2**16 - 2))
    assert corner.tolist() == [[2**32 - 2**16 - 2, 2], [2**32 - 2, 2]]
    text = encode(corner, size, AALTOES)
    assert text == f"{2**32 - 2**16 - 1} 2 {2**32 - 1} 2"
    assert decode(text, size, AALTOES).tolist() == corner.tolist()


def test_indices_beyond_31_bits_are_refused_where_the_scorer_has_32(refused) -> None:
    size = (2**16, 2**16)
    text = encode(runs_of(np.ones((1, 1)), size, (2**16 - 1, 0)), size, RECODAI)
    with refused("2^31"):
        decode(text, size, RECODAI)
    last = np.array([[2**31 - 2, 1]])
    assert decode(encode(last, size, RECODAI), size, RECODAI).tolist() == last.tolist()


def test_empty_is_the_empty_list() -> None:
    assert (encode(EMPTY, (1, 1), RECODAI), encode(EMPTY, (1, 1), AALTOES)) == ("[]", "")
    assert decode(" [ ] ", (1, 1), RECODAI).shape == decode(" ", (1, 1), AALTOES).shape == (0, 2)


def test_a_cut_and_a_placed_crop_by_hand() -> None:
    mask = np.array([[1, 0, 0, 0], [1, 1, 0, 1], [0, 1, 0, 1]], bool)
    found = rle.cut(runs_of(mask), (3, 4), (1, 1, 4, 3))
    assert mask_of(found, (2, 3)).tolist() == mask[1:3, 1:4].tolist()
    placed = rle.cut(runs_of(mask), (3, 4), (-2, -1, 5, 4))  # at column 2, row 1 of an image of 5 x 7
    assert mask_of(placed, (5, 7)).tolist() == np.pad(mask, ((1, 1), (2, 1))).tolist()


@light
@given(masks, st.tuples(*[st.integers(-5, 14)] * 2), st.tuples(*[st.integers(1, 14)] * 2))
def test_a_cut_is_that_of_the_mask(mask: np.ndarray, corner: tuple[int, int], sides: tuple[int, int]) -> None:
    (x0, y0), (height, width) = corner, sides
    around = np.pad(mask, 40)[y0 + 40 : y0 + 40 + height, x0 + 40 : x0 + 40 + width]
    found = rle.cut(runs_of(mask), mask.shape, (x0, y0, x0 + width, y0 + height))
    np.testing.assert_array_equal(found, runs_of(around))
