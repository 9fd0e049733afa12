"""Submission and solution files: round trips, alignment by case id, and one line for everything that is wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forgery_rcnn import metrics, submission
from forgery_rcnn.instances import Instances
from forgery_rcnn.submission import ANY_SIZE, Truth

DATASETS = json.loads((Path(__file__).parent / "of1_vectors.json").read_text())["dataset"]
# The official scorer aligns rows by their position or index and fills gaps; we go by case id and want one row per image.
BY_CASE_ID = {"rows are matched by position/index, not by id": 5 / 6}
REFUSED = {"missing row, authentic label", "extra row is ignored"}

TRUTHS = {
    "1": Truth((4, 5), None),
    "2": Truth((4, 5), Instances((4, 5), (np.array([[0, 3]]), np.array([[5, 2]])))),
}


def text(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(path: Path, header: str, lines: list[list[Any]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *lines])
    return path


def same(a: Instances | None, b: Instances | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.size == b.size and np.array_equal(a.masks(), b.masks())


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in DATASETS])
def test_official_submissions(vector: dict[str, Any], tmp_path: Path, refused) -> None:
    mine = rows(tmp_path / "s.csv", "case_id,annotation", vector["submission"])
    truths = submission.read_solution(rows(tmp_path / "t.csv", "case_id,annotation,shape", vector["solution"]))
    if "error" in vector or vector["name"] in REFUSED:
        with refused("s.csv"):
            submission.answers(mine, truths)
        return
    answers = submission.answers(mine, truths)
    score = np.mean([metrics.image_score(answers[case], truth.instances) for case, truth in truths.items()])
    assert score == pytest.approx(BY_CASE_ID.get(vector["name"], vector["score"]), abs=1e-12)


stacks = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)).flatmap(lambda n: hnp.arrays(bool, n))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | stacks, min_size=1, max_size=5))
def test_solution_and_answers_round_trip(tmp_path_factory: pytest.TempPathFactory, images: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    truths = {
        f"case {i}": Truth((6, 6), None) if masks is None else Truth(masks.shape[1:], Instances.from_masks(masks))
        for i, masks in enumerate(images)
    }
    submission.write_solution(folder / "t.csv", truths)
    submission.write(folder / "s.csv", {case: truth.instances for case, truth in truths.items()})
    back = submission.read_solution(folder / "t.csv")
    answers = submission.answers(folder / "s.csv", back)
    assert list(back) == list(answers) == list(truths)
    for case, truth in truths.items():
        assert back[case].size == truth.size and same(back[case].instances, truth.instances)
        assert same(answers[case], truth.instances)


def test_file_as_the_competition_wants_it(tmp_path: Path) -> None:
    submission.write(tmp_path / "new" / "s.csv", {"b": None, "a": TRUTHS["2"].instances, "c": Instances((4, 5))})
    assert (tmp_path / "new" / "s.csv").read_bytes() == (
        b'case_id,annotation\nb,authentic\na,"[1, 3];[6, 2]"\nc,authentic\n'
    )
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["s.csv"]  # no temporary file left


def test_solution_file(tmp_path: Path) -> None:
    submission.write_solution(tmp_path / "t.csv", TRUTHS)
    assert (tmp_path / "t.csv").read_text() == (
        'case_id,annotation,shape\n1,authentic,"[4, 5]"\n2,"[1, 3];[6, 2]","[4, 5]"\n'
    )


def test_cells_far_longer_than_the_csv_default(tmp_path: Path) -> None:
    mask = np.indices((400, 401)).sum(axis=0) % 2 == 0
    truth = {"1": Truth(mask.shape, Instances.from_masks(mask[None]))}
    submission.write(tmp_path / "s.csv", {"1": truth["1"].instances})
    assert (tmp_path / "s.csv").stat().st_size > 5 * 131_072
    assert same(submission.answers(tmp_path / "s.csv", truth)["1"], truth["1"].instances)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfcase_id,annotation\r\n2,authentic\r\n1,authentic\r\n",
        b'annotation,note,"case_id"\nauthentic,"a, b",1\nauthentic,,2\n',
        b"case_id,annotation\n\n1,authentic\n\n2,authentic",
    ],
    ids=["BOM and CRLF", "more columns, other order", "blank lines, no last newline"],
)
def test_harmless_variants_are_read(content: bytes, tmp_path: Path) -> None:
    assert submission.answers(text(tmp_path / "s.csv", content), TRUTHS) == {"1": None, "2": None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column case_id, annotation; expected case_id,annotation"),
        (b"case_id,annotation\n", "no rows"),
        (b"id,annotation\n1,authentic\n", "no column case_id;"),
        (b"case_id;annotation\n1;authentic\n", "no column case_id, annotation"),
        (b"case_id,annotation\n1,authentic\n2,authentic\n1,authentic\n", "row 4: case id '1' occurs twice"),
        (b"case_id,annotation\n1,authentic\n2\n", "row 3: case 2: too few cells"),
        (b"case_id,annotation\n1,authentic\n", "1 case ids are missing (2)"),
        (b"case_id,annotation\n1,authentic\n2,authentic\n9,authentic\n", "1 case ids are unknown (9)"),
        (b"case_id,annotation\n1,Authentic\n2,authentic\n", "case 1: 'Authentic': the scorer knows only 'authentic'"),
        (b"case_id,annotation\n1,authentic \n2,authentic\n", "case 1: 'authentic '"),
        (b"case_id,annotation\n1,\n2,authentic\n", "case 1: '' is not a run list"),
        (b'case_id,annotation\n1,authentic\n2,"[1, 3];"\n', "case 2: '' is not a run list"),
        (b'case_id,annotation\n1,authentic\n2,"authentic;[1, 3]"\n', "case 2: 'authentic' is not a run list"),
        (b'case_id,annotation\n1,authentic\n2,"[1,\n 21]"\n', "case 2: a run ends at pixel 21"),
        pytest.param(bytes(range(256)) * 20, "not a readable CSV file", id="bytes"),
        pytest.param(b"case_id,annotation\n1,\x00\xff\xfe\n", "not a readable CSV file", id="bytes in a cell"),
        pytest.param("case_id,annotation\n".encode("utf-16"), "not a readable CSV file", id="UTF-16"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a readable CSV file", id="PNG"),
    ],
)
def test_bad_submissions(content: bytes, said: str, tmp_path: Path, refused) -> None:
    with refused("s.csv: ", said):
        submission.answers(text(tmp_path / "s.csv", content), TRUTHS)


def test_many_missing_ids_are_counted_not_listed(tmp_path: Path, refused) -> None:
    truths = {str(case): Truth((2, 2), None) for case in range(100)}
    with refused("99 case ids are missing (1, 10, 11, 12, 13, …)"):
        submission.answers(text(tmp_path / "s.csv", "case_id,annotation\n0,authentic\n"), truths)


@pytest.mark.parametrize("read", [submission.read, submission.read_solution])
def test_no_file_and_a_folder(read: Any, tmp_path: Path, refused) -> None:
    with refused("none.csv: ", "No such file"):
        read(tmp_path / "none.csv")
    with refused(f"{tmp_path}: ", "Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize("shape", ["", "authentic"])
def test_authentic_truth_needs_no_shape(shape: str, tmp_path: Path) -> None:
    path = text(tmp_path / "t.csv", f"case_id,annotation,shape\n7,authentic,{shape}\n")
    assert submission.read_solution(path) == {"7": Truth(ANY_SIZE, None)}


@pytest.mark.parametrize(
    ("annotation", "shape", "said"),
    [
        ("[1, 2]", "authentic", "shape 'authentic' is not [H, W]"),
        ("[1, 2]", "", "shape '' is not [H, W]"),
        ("[1, 2]", "[4]", "[H, W]"),
        ("[1, 2]", "[4, 5, 3]", "[H, W]"),
        ("[1, 2]", "(4, 5)", "[H, W]"),
        ("[1, 2]", "[0, 5]", "[H, W]"),
        ("[1, 2]", "[-4, 5]", "[H, W]"),
        ("[1, 2]", "[4.5, 5]", "[H, W]"),
        ("[1, 2]", '["4", "5"]', "[H, W]"),
        ("[1, 2]", "[NaN, 5]", "[H, W]"),
        ("[1, 2]", "[Infinity, 5]", "[H, W]"),
        ("[1, 2]", "[true, 5]", "[H, W]"),
        ("[1, 2]", "[1e300, 5]", "[H, W]"),
        ("[1, 2]", "[null, 5]", "[H, W]"),
        ("[1, 2]", '{"4": 4, "5": 5}', "[H, W]"),
        pytest.param("[1, 2]", "[" * 100_000, "…", id="nested"),
        ("authentic", "4 x 5", "[H, W]"),
        ("[20, 2]", "[4, 5]", "past the last pixel 20"),
        ("AUTHENTIC", "[4, 5]", "'AUTHENTIC'"),
    ],
)
def test_bad_solutions(annotation: str, shape: str, said: str, tmp_path: Path, refused) -> None:
    path = rows(tmp_path / "t.csv", "case_id,annotation,shape", [["7", annotation, shape]])
    with refused("t.csv: case 7: ", said):
        submission.read_solution(path)


def test_solution_needs_a_shape_column(tmp_path: Path, refused) -> None:
    with refused("t.csv: no column shape"):
        submission.read_solution(text(tmp_path / "t.csv", "case_id,annotation\n1,authentic\n"))


@pytest.mark.parametrize("write", [submission.write, lambda path, _: submission.write_solution(path, TRUTHS)])
def test_what_cannot_be_written_leaves_nothing_behind(write: Any, tmp_path: Path, refused) -> None:
    (tmp_path / "s.csv").mkdir()
    with refused("s.csv: cannot be written"):
        write(tmp_path / "s.csv", {"1": None})
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]


def test_a_file_in_the_way_of_the_folder(tmp_path: Path, refused) -> None:
    text(tmp_path / "out", "a file")
    with refused("out"):
        submission.write(tmp_path / "out" / "s.csv", {"1": None})
