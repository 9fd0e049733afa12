"""The strict mode answers as the official scorer does: its own recorded answers, and what pandas and numpy make of files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgery_rcnn import metrics, rle
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import ANY_SIZE, Instances, Truth
from forgery_rcnn.submission import official, recodai
from tests.official_vectors import VECTORS

SIZE = (8, 10)
RUNS = "[1, 3, 9, 3]"
CLEAN, FORGED = Truth(ANY_SIZE, None), Truth(SIZE, recodai.parse(RUNS, SIZE))


def vectors(kind: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in VECTORS[kind]]


def truth_of(annotation: str, shape: Any) -> Truth:
    size = ANY_SIZE if shape == "authentic" else tuple(json.loads(shape) if isinstance(shape, str) else shape)
    return Truth(size, recodai.parse(annotation, size))


def table(path: Path, header: str, rows: list[list[Any]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def submission(path: Path, *annotations: str) -> Path:
    return table(path, "case_id,annotation", [[f"row{n}", text] for n, text in enumerate(annotations)])


def test_every_vector_is_there() -> None:
    assert [len(VECTORS[kind]) for kind in ("decode", "image", "dataset")] == [34, 80, 10]


def close(score: float) -> Any:
    """The official F1 goes through precision and recall, which rounds elsewhere."""
    return pytest.approx(score, rel=0, abs=4e-16)


def check_refused(vector: dict[str, Any], message: str) -> None:
    """An error in both; in the official words where its author wrote them for the participant."""
    assert "error" in vector and len(message.splitlines()) == 1, message
    if vector["participant_visible"]:
        assert message == vector["message"]


# One run list


@pytest.mark.parametrize("vector", vectors("decode"))
def test_decode_vectors(vector: dict[str, Any]) -> None:
    size = tuple(vector["shape"])
    try:
        runs = official.decode(vector["rle"], size)
    except official.Rejected as error:
        check_refused(vector, str(error))
    else:
        assert rle.mask_of(runs, size).astype(int).tolist() == vector["mask"]


@pytest.mark.parametrize(
    ("text", "pixels"),
    [
        ("[-2, 1]", [1]),  # -3 counts from the end: pixel 1 of 4
        ("[-3, 2]", [0, 1]),
        ("[-2, 3]", []),  # pixel 1 up to pixel 0
        ("[-99, 97]", [0]),  # -100 is before the first pixel, -3 is pixel 1
        ("[0, 2]", []),
        ("[true, 1]", [0]),
        ('["2", "2"]', [1, 2]),
        ("[1.9, 1.9]", [0]),
        ("[1e0, 2]", [0, 1]),
        ("[1, 1, 1, 0]", None),  # equal starts: the second begins before the first ends
        ("[2, -5, 3, 1]", [2]),
        ("[4, 2147483647]", []),  # the end wraps around to below 0: before pixel 3
        ("[2, 2147483647, 3, 1]", [2]),  # and so overlaps nothing
        ("[1, 2147483647, 3, 1]", None),
        ("[-2, -2147483646]", [1, 2, 3]),  # the end wraps around to 2147483647
        ("[-2147483648, 1]", []),
        ("\n[1,\t2]\r", [0, 1]),
    ],
)
def test_decode_by_hand_on_two_by_two(text: str, pixels: list[int] | None) -> None:
    if pixels is None:
        with pytest.raises(official.Rejected, match=r"^Pixels must not be overlapping\.$"):
            official.decode(text, (2, 2))
    else:
        mask = rle.mask_of(official.decode(text, (2, 2)), (2, 2))
        assert np.flatnonzero(mask.T).tolist() == pixels


@pytest.mark.parametrize(
    "text",
    ["[1, 2147483648]", "[Infinity, 1]", "[1e300, 1]", '["x", 1]', '["1.5", 1]', "[[1], [2]]", "[[]]", "{}", '"12"']
    + ["[" * 100_000, "[1" + "0" * 5000 + ", 1]", "[1, 2];[3, 1]", "[1, null]", "true", "\ufeff[1, 1]", "٣", "", "\0"],
    ids=lambda text: text[:20],
)
def test_what_numpy_or_json_stumbles_over_is_one_short_line(text: str) -> None:
    with pytest.raises(official.Rejected) as caught:
        official.decode(text, (2, 2))
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 120


def as_python_slices(numbers: list[int], pixels: int) -> list[bool] | str:
    """The official decoder, written down again without numpy."""
    starts = numbers[0::2]
    if sorted(starts) != starts:
        return "ascending"
    if len(numbers) % 2:
        return "odd"
    ends = [start - 1 + length for start, length in zip(starts, numbers[1::2], strict=True)]
    if any(end > start - 1 for end, start in zip(ends, starts[1:], strict=False)):
        return "overlapping"
    image = [False] * pixels
    for start, end in zip(starts, ends, strict=True):
        for pixel in range(pixels)[start - 1 : end]:
            image[pixel] = True
    return image


numbers = st.lists(st.integers(-15, 15), max_size=8)


@given(numbers | numbers.map(lambda drawn: [x for pair in zip(sorted(drawn), drawn, strict=True) for x in pair]))
def test_decode_fills_as_python_slices_do(drawn: list[int]) -> None:
    expected = as_python_slices(drawn, 12)
    try:
        mask = rle.mask_of(official.decode(json.dumps(drawn), (3, 4)), (3, 4))
    except official.Rejected as error:
        assert isinstance(expected, str) and expected in str(error)
    else:
        assert mask.T.ravel().tolist() == expected


# One image


@pytest.mark.parametrize("vector", vectors("image"))
def test_image_vectors(vector: dict[str, Any]) -> None:
    truth = truth_of(vector["label"], vector["shape"])
    cell = None if vector["prediction"] == {"nan": True} else vector["prediction"]
    try:
        score = metrics.image_score(official.answer(cell, truth), truth.instances)
    except official.Rejected as error:
        check_refused(vector, str(error))
        with pytest.raises(official.Rejected):
            official.score([cell], [truth])
    else:
        assert score == official.score([cell], [truth]) == close(vector["score"])


@pytest.mark.parametrize("cell", [None, "", "Authentic", "rubbish", "[3, 1, 1, 1]", RUNS])
def test_nothing_but_the_word_counts_of_an_authentic_image(cell: str | None) -> None:
    assert official.answer(cell, CLEAN) == Instances(ANY_SIZE)
    assert official.score([cell], [CLEAN]) == 0
    assert official.answer("authentic", CLEAN) is official.answer("authentic", FORGED) is None


# Whole tables


@pytest.mark.parametrize("vector", vectors("dataset"))
def test_dataset_vectors(vector: dict[str, Any]) -> None:
    truths = [truth_of(annotation, shape) for _, annotation, shape in vector["solution"]]
    cells = [cell for _, cell in vector["submission"]]
    try:
        score = official.score(cells, truths, vector["submission_index"])
    except official.Rejected as error:
        check_refused(vector, str(error))
        if vector["error"] == "ValueError":
            assert str(error) == vector["message"]
    else:
        assert score == close(vector["score"])


BY_POSITION = [v for v in VECTORS["dataset"] if v["submission_index"] == list(range(len(v["submission"])))]


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in BY_POSITION])
def test_dataset_vectors_as_files(vector: dict[str, Any], tmp_path: Path, refused) -> None:
    mine = table(tmp_path / "s.csv", "case_id,annotation", vector["submission"])
    truths = recodai.read_solution(table(tmp_path / "t.csv", "case_id,annotation,shape", vector["solution"]))
    if "error" in vector:
        message = vector["message"] if vector["participant_visible"] else "AttributeError"
        with refused("s.csv: ", "the official scorer fails: ", message):
            official.read(mine, truths)
        return
    found = official.read(mine, truths)
    assert [case for case, _ in found] == list(truths)
    scores = [metrics.image_score(answer.instances, truths[case].instances) for case, answer in found]
    assert np.mean(scores) == close(vector["score"])


def test_rows_are_matched_by_position_whatever_their_ids(tmp_path: Path) -> None:
    truths = {"a": FORGED, "b": CLEAN}
    for ids in (["a", "b"], ["b", "a"], ["", ""], ["x", "x"]):
        path = table(tmp_path / "s.csv", "case_id,annotation", [[ids[0], RUNS], [ids[1], "authentic"]])
        (_, first), (_, second) = official.read(path, truths)
        assert metrics.image_score(first.instances, FORGED.instances) == 1 and second.instances is None
        assert (first.size, second.size) == (SIZE, ANY_SIZE)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ([0, 1, 2], ["x", "y", "z"]),
        ([2, 1, 0], ["z", "y", "x"]),
        ([1, 5, 0], ["z", "x", None]),
        (["0", "1", "2"], [None, None, None]),
        ([0.0, 1.0, 2.0], ["x", "y", "z"]),
        ([-1, 0, 1], ["y", "z", None]),
    ],
)
def test_cells_are_put_under_their_labels(index: list[Any], expected: list[str | None]) -> None:
    assert official.aligned(["x", "y", "z"], index, 3) == expected


def test_tables_of_other_lengths() -> None:
    assert official.aligned(["x"], [0], 3) == ["x", None, None]
    assert official.aligned(["x", "y"], [0, 1], 1) == ["x"]
    assert official.score(["authentic"], [CLEAN, CLEAN]) == 0.5
    with pytest.raises(official.Rejected, match="AttributeError"):
        official.score(["authentic"], [CLEAN, FORGED])


def test_duplicate_labels_are_refused_wherever_they_stand() -> None:
    for index in ([0, 0, 1], [0, 1, 9, 9]):
        with pytest.raises(official.Rejected, match=r"^cannot reindex on an axis with duplicate labels$"):
            official.score(["authentic"] * len(index), [CLEAN, CLEAN], index)


# Files


@pytest.mark.parametrize("missing", sorted(official.MISSING))
def test_missing_values_as_pandas_spells_them(missing: str, tmp_path: Path, refused) -> None:
    truths = {"a": CLEAN, "b": FORGED}
    (_, first), (_, second) = official.read(submission(tmp_path / "s.csv", missing, RUNS), truths)
    assert first.instances == Instances(ANY_SIZE) and metrics.image_score(second.instances, FORGED.instances) == 1
    with refused("s.csv: row 3: case b: the official scorer fails: ", "'float' object has no attribute 'split'"):
        official.read(submission(tmp_path / "s.csv", "authentic", missing), truths)


@pytest.mark.parametrize("text", ["-", "NAN", "none", "Null", " nan", "<na>"])
def test_other_spellings_are_text(text: str, tmp_path: Path, refused) -> None:
    with refused("s.csv: row 2: case b: ", text, "cannot be read (JSONDecodeError)"):
        official.read(submission(tmp_path / "s.csv", text), {"b": FORGED})


def test_the_list_of_missing_values() -> None:
    """Of pandas' documentation of read_csv, na_values."""
    documented = (
        " , #N/A, #N/A N/A, #NA, -1.#IND, -1.#QNAN, -NaN, -nan, 1.#IND, 1.#QNAN, <NA>, N/A, NA, NULL, NaN, None, "
        "n/a, nan, null"
    )
    assert {text.strip() for text in documented.split(",")} == official.MISSING


def test_a_quote_before_a_cell_is_no_list(tmp_path: Path, refused) -> None:
    with refused("row 2"):
        official.read(submission(tmp_path / "s.csv", "'\t" + RUNS), {"a": FORGED})


def test_a_row_that_is_short_or_not_there(tmp_path: Path, refused) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f'case_id,annotation\na,"{RUNS}"\n\nb\n')
    with refused("s.csv: row 4: case b: the official scorer fails: no annotation"):
        official.read(path, {"a": FORGED, "b": FORGED})
    path.write_text(f'case_id,annotation\na,"{RUNS}"\n')
    with refused("s.csv: case b: the official scorer fails: no annotation"):
        official.read(path, {"a": FORGED, "b": FORGED})
    assert [answer.instances for _, answer in official.read(path, {"a": CLEAN, "b": CLEAN})] == [
        Instances(ANY_SIZE)
    ] * 2


@pytest.mark.parametrize("truth", [FORGED, CLEAN])
def test_a_row_with_more_cells_than_the_header_fails_the_file(truth: Truth, tmp_path: Path, refused) -> None:
    """pandas: Expected 2 fields in line 3, saw 3; also where the row is beyond the solution."""
    path = tmp_path / "s.csv"
    for last in ("b,[1, 4]", "b,authentic,"):
        path.write_text(f"case_id,annotation\na,authentic\n{last}\n")
        for truths in ({"a": CLEAN, "b": truth}, {"a": CLEAN}):
            with refused("s.csv: row 3: case b: the official scorer fails: more cells in this row than the header"):
                official.read(path, truths)


def test_rows_beyond_the_solution_are_not_looked_at(tmp_path: Path) -> None:
    found = official.read(submission(tmp_path / "s.csv", "authentic", "rubbish"), {"a": CLEAN})
    assert [(case, answer.instances) for case, answer in found] == [("a", None)]


def test_the_first_bad_cell_fails_the_file(tmp_path: Path, refused) -> None:
    truths = {"a": CLEAN, "b": FORGED, "c": FORGED}
    with refused("s.csv: row 3: case b: the official scorer fails: Submitted values must be in ascending order."):
        official.read(submission(tmp_path / "s.csv", "rubbish", "[9, 2, 1, 2]", "rubbish"), truths)


def test_what_the_checked_mode_refuses_is_scored(tmp_path: Path) -> None:
    """Clipped, truncated, empty; the same file has a problem in every row for the checked mode."""
    cells = ["[75, 500]", "[1.9, 3, 9, 3.2]", "[1, 0, 1, 3, 9, 3]", '["1", 3, 9, 3]']
    truths = {f"row{n}": FORGED for n in range(len(cells))}
    path = submission(tmp_path / "s.csv", *cells)
    scores = [metrics.image_score(answer.instances, FORGED.instances) for _, answer in official.read(path, truths)]
    assert scores == [0, 1, 1, 1]
    assert [found.row for found in recodai.read(path, truths)] == [2, 3, 4, 5]


def test_no_file_and_no_table(tmp_path: Path, refused) -> None:
    with refused("none.csv", "No such file"):
        official.read(tmp_path / "none.csv", {"a": CLEAN})
    (tmp_path / "s.csv").write_text("id,annotation\na,authentic\n")
    with refused("s.csv: no column case_id"):
        official.read(tmp_path / "s.csv", {"a": CLEAN})


def test_rejections_are_not_input_errors() -> None:
    """So that nothing that catches InputError takes a cell the official scorer fails on for one bad row."""
    assert not issubclass(official.Rejected, InputError)
