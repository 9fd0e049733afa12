"""The checked mode of Recod.ai/LUC: it accepts only what the official scorer reads the same way, and says what is wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forgery_rcnn import metrics, rle
from forgery_rcnn.errors import FileProblems, InputError, Problem
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.submission import official, recodai
from tests.official_vectors import STRICTER, VECTORS

SIZE = (4, 5)
TRUTHS = {
    "1": Truth(SIZE, None),
    "2": Truth(SIZE, Instances(SIZE, (np.array([[0, 3]]), np.array([[5, 2]])))),
}


def vectors(kind: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in VECTORS[kind]]


def text(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(path: Path, header: str, rows: list[list[Any]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def same(a: Instances | None, b: Instances | None) -> bool:
    if a is None or b is None:
        return a is b
    return (
        a.size == b.size
        and len(a) == len(b)
        and all(np.array_equal(mine, theirs) for mine, theirs in zip(a.runs, b.runs, strict=True))
    )


def split(path: Path, truths: Mapping[str, Truth]) -> tuple[dict[str, Instances | None], list[Problem]]:
    """-> what was read by case id, and the problems, each of them one line."""
    answers, problems = {}, []
    for found in recodai.read(path, truths):
        if isinstance(found, Problem):
            assert len(str(found).splitlines()) == 1
            problems.append(found)
        else:
            assert found[1].size == truths[found[0]].size
            answers[found[0]] = found[1].instances
    return answers, problems


def check_agrees(cell: str, size: tuple[int, int]) -> bool:
    """Whether `parse` accepts the cell; if so the official decoder must read the same masks, and else `_quick` be silent."""
    quick = recodai._quick(cell, size)
    try:
        mine = recodai.parse(cell, size)
    except InputError as error:
        assert quick is None
        assert len(str(error).splitlines()) == 1
        return False
    if cell == "authentic":
        assert mine is None
        return True
    assert mine is not None
    parts = cell.split(";")
    assert same(mine, Instances(size, tuple(official.decode(part, size) for part in parts)))
    if quick is not None:
        assert same(Instances(size, quick), Instances(size, tuple(rle.decode(p, size, rle.RECODAI) for p in parts)))
        assert all(runs.dtype == np.int64 and runs.shape[1:] == (2,) for runs in quick)
    return True


# Cells


def test_the_vectors_are_there() -> None:
    assert [len(VECTORS[kind]) for kind in ("decode", "image", "dataset")] == [34, 80, 10]
    assert {v["name"] for v in VECTORS["decode"]} >= STRICTER


@pytest.mark.parametrize("vector", vectors("decode"))
def test_decode_vectors(vector: dict[str, Any], refused) -> None:
    size = tuple(vector["shape"])
    if ("error" in vector and vector["name"] != "authentic") or vector["name"] in STRICTER:
        with refused():
            recodai.parse(vector["rle"], size)
        return
    found = recodai.parse(vector["rle"], size)
    if vector["name"] == "authentic":
        assert found is None
    else:
        assert found is not None and found.masks().astype(int).tolist() == [vector["mask"]]


@pytest.mark.parametrize("vector", vectors("image"))
def test_image_vectors(vector: dict[str, Any], refused) -> None:
    size = ANY_SIZE if vector["shape"] == "authentic" else tuple(vector["shape"])
    truth = recodai.parse(vector["label"], size)
    cell = "" if vector["prediction"] == {"nan": True} else vector["prediction"]
    stricter = cell in ("", "Authentic", "authentic ") or vector["name"] == "prediction out of range is clipped"
    if "error" in vector or stricter:
        with refused():
            recodai.parse(cell, size)
    else:
        assert metrics.image_score(recodai.parse(cell, size), truth) == pytest.approx(vector["score"], rel=0, abs=4e-16)


lists = st.lists(st.integers(-2, 30), max_size=8).map(json.dumps)
ascending = st.lists(st.integers(1, 4), max_size=10).map(
    lambda steps: json.dumps([x for i, n in enumerate(steps[1::2]) for x in (1 + sum(steps[: 2 * i + 1]), n)])
)
words = st.sampled_from(
    ["authentic", "[]", "", " ", "-", "[1,2]", "[1, 2]\t", "[01, 2]", "[1 2]", "[1.0, 2]", "[1, 2]]"]
)
mutations = st.lists(
    st.tuples(st.integers(0, 80), st.sampled_from([*',;[]0123-. \t"e\n', "", ", ", "];[", "00", "\ufeff", "١"])),
    max_size=4,
)


def mutated(cell: str, changes: list[tuple[int, str]], cut: int) -> str:
    """The cell with texts put in at places, each in place of `cut` characters."""
    for place, inserted in changes:
        place %= len(cell) + 1
        cell = cell[:place] + inserted + cell[place + cut :]
    return cell


@settings(max_examples=600, deadline=None)
@given(st.lists(ascending | lists | words, min_size=1, max_size=4), mutations, st.integers(0, 1))
def test_what_is_accepted_the_official_scorer_reads_alike(parts: list[str], changes: list[Any], cut: int) -> None:
    check_agrees(mutated(";".join(parts), changes, cut), SIZE)


def test_random_damage_to_good_cells() -> None:
    """Many cheap examples: a seeded generator, one or two characters of a good cell changed. Both verdicts occur often."""
    rng = np.random.default_rng(0)
    signs = [*",;[]0123456789-. \t", "", ", ", "];[", "];", ";["]
    accepted = 0
    for _ in range(6000):
        masks = rng.random((int(rng.integers(1, 4)), *SIZE)) < rng.choice([0.1, 0.5, 0.9])
        changes = [(int(rng.integers(0, 200)), str(rng.choice(signs))) for _ in range(int(rng.integers(0, 3)))]
        cell = mutated(recodai.annotation_of(Instances.from_masks(masks)), changes, int(rng.integers(0, 2)))
        accepted += check_agrees(cell, SIZE)
    assert 1500 < accepted < 4500


stacks = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)).flatmap(lambda n: hnp.arrays(bool, n))


@given(stacks)
def test_a_written_cell_comes_back_and_is_quick_unless_a_mask_is_empty(masks: np.ndarray) -> None:
    instances = Instances.from_masks(masks)
    cell = recodai.annotation_of(instances)
    assert check_agrees(cell, instances.size) and same(recodai.parse(cell, instances.size), instances)
    assert (recodai._quick(cell, instances.size) is not None) == masks.any(axis=(1, 2)).all()


def test_long_cells_of_many_masks_are_quick() -> None:
    masks = np.random.default_rng(0).random((5, 300, 201)) < 0.3
    instances = Instances.from_masks(masks)
    cell = recodai.annotation_of(instances)
    assert len(cell) > 500_000
    quick = recodai._quick(cell, instances.size)
    assert quick is not None and same(Instances(instances.size, quick), instances)
    for damaged in (
        cell + ";",
        cell[:-1],
        cell.replace(", ", ",", 1),
        "[0, 1, " + cell[1:],
        cell.replace(";", "; ", 1),
    ):
        assert recodai._quick(damaged, instances.size) is None
        check_agrees(damaged, instances.size)


@pytest.mark.parametrize(
    ("cell", "quick"),
    [
        ("[1, 20]", True),
        ("[20, 1]", True),
        ("[1, 1];[1, 1]", True),
        ("[19, 1];[1, 2]", True),  # a second mask may begin before the first
        ("[1, 2, 3, 1]", False),  # touching runs are joined
        ("[1,2]", False),
        (" [1, 2]", False),
        ("[1, 2] ; [4, 1]", False),
        ("[]", False),
        ("[];[1, 2]", False),
        ("[1, 2];[]", False),
    ],
)
def test_good_cells(cell: str, quick: bool) -> None:
    assert check_agrees(cell, SIZE)
    assert (recodai._quick(cell, SIZE) is not None) == quick


def test_numbers_past_31_bits_are_refused_in_images_of_any_size(refused) -> None:
    for cell in ("[2147483648, 1]", "[1, 2147483648]", "[1, 2];[3, 2147483648]"):
        with refused("run list holds '2147483648'; use whole numbers from 1 to 2^31 - 1, e.g. [1, 2, 4, 1]"):
            recodai.parse(cell, ANY_SIZE)
    assert recodai._quick("[1, 2147483647]", ANY_SIZE) is not None


def test_touching_runs_are_one() -> None:
    (runs,) = recodai.parse("[1, 2, 3, 1, 5, 2]", SIZE).runs
    assert runs.tolist() == [[0, 3], [4, 2]]


BAD_CELLS = {
    "": "'' is no answer; write authentic, or run lists like [1, 2, 4, 1] with ';' between",
    "nan": "'nan' is no answer; write authentic",
    "NaN": "'NaN' is no answer; write authentic",
    "None": "'None' is no answer; write authentic",
    "-": "'-' is no answer; write authentic",
    "  ": "'  ' is no answer; write authentic",
    "Authentic": "'Authentic': the scorer knows only 'authentic', in lower case without blanks",
    "authentic ": "'authentic ': the scorer knows only 'authentic'",
    "AUTHENTIC": "'AUTHENTIC': the scorer knows only 'authentic'",
    "authentic;[1, 3]": "instance 1 of 2: 'authentic' is not a run list",
    "[1, 3];": "the cell ends with ';'; take it away",
    "[1, 3]; ": "the cell ends with ';'; take it away",
    ";": "the cell ends with ';'; take it away",
    ";[1, 3]": "instance 1 of 2: '' is not a run list",
    "[1, 3];;[5, 1]": "instance 2 of 3: '' is not a run list",
    "[1, 3],[5, 1]": "'[1, 3],[5, 1]' is not a run list; write e.g. [1, 2, 4, 1]",
    "1 3 5 1": "'1 3 5 1' is not a run list; write e.g. [1, 2, 4, 1]",
    "[1, 2, 3]": "odd count of numbers (3)",
    "[9]": "odd count of numbers (1)",
    "[5, 1, 1, 1]": "runs are not ascending at start 1; sort them",
    "[1, 3];[5, 1, 1, 1]": "instance 2 of 2: runs are not ascending at start 1",
    "[1, 3, 3, 2]": "runs are overlapping at start 3",
    "[2, 1, 2, 1]": "runs are overlapping at start 2",
    "[19, 3]": "a run ends at pixel 21, past the last pixel 20 of a 4 x 5 image",
    "[21, 1]": "a run ends at pixel 21, past the last pixel 20",
    "[1, 0]": "run length 0 found",
    "[1, 3];[5, -2]": "instance 2 of 2: run length -2 found",
    "[0, 2]": "run start 0 found; starts count from 1",
    "[-1, 2]": "run start -1 found; starts count from 1",
    "[1.0, 2]": "run list holds '1.0'; use whole numbers from 1 to 2^31 - 1, e.g. [1, 2, 4, 1]",
    "[1, 2.5]": "run list holds '2.5'",
    "[1e0, 2]": "run list holds '1.0'",
    "[true, 2]": "run list holds 'true'",
    '["1", 2]': "run list holds '\"1\"'",
    "[null, 2]": "run list holds 'null'",
    "[NaN, 2]": "run list holds 'NaN'",
    "[[1, 2]]": "run list holds '[1, 2]'",
    "[2147483648, 1]": "run list holds '2147483648'; use whole numbers from 1 to 2^31 - 1, e.g. [1, 2, 4, 1]",
    "[1, 99999999999999999999]": "run list holds '99999999999999999999'",
    "[1, 18446744073709551617]": "run list holds '18446744073709551617'",  # 2^64 + 1
    "[9223372036854775807, 9223372036854775807]": "run list holds '9223372036854775807'",  # the end would be -3
    "5": "'5' is not a run list",
    "{}": "'{}' is not a run list",
}


@pytest.mark.parametrize(("cell", "said"), BAD_CELLS.items())
def test_bad_cells(cell: str, said: str, refused) -> None:
    with refused(said):
        recodai.parse(cell, SIZE)


@pytest.mark.parametrize(
    "cell", ["[" * 100_000, "[1" + "0" * 5000 + ", 1]", "[1, 2] " * 9999, '["' + "x" * 9999 + '"]']
)
def test_long_nonsense_is_said_shortly(cell: str) -> None:
    with pytest.raises(InputError) as caught:
        recodai.parse(cell, SIZE)
    assert len(str(caught.value)) < 150


def test_a_long_blank_cell_is_said_shortly() -> None:
    with pytest.raises(InputError) as caught:
        recodai.parse(" " * 9999, SIZE)
    assert len(str(caught.value)) < 150


def test_no_instance_is_authentic() -> None:
    assert recodai.annotation_of(None) == recodai.annotation_of(Instances(SIZE)) == "authentic"
    assert recodai.parse("authentic", SIZE) is None


# Submissions


# The official scorer aligns rows by their position or index and fills gaps; here rows go by case id, one for each image.
BY_CASE_ID = {"rows are matched by position/index, not by id": 5 / 6}
FAULTY = {"missing row, authentic label": "1", "extra row is ignored": "9"}


@pytest.mark.parametrize("vector", vectors("dataset"))
def test_official_submissions(vector: dict[str, Any], tmp_path: Path) -> None:
    mine = table(tmp_path / "s.csv", "case_id,annotation", vector["submission"])
    truths = recodai.read_solution(table(tmp_path / "t.csv", "case_id,annotation,shape", vector["solution"]))
    answers, problems = split(mine, truths)
    if "error" in vector or vector["name"] in FAULTY:
        assert [problem.case_id for problem in problems] == [FAULTY.get(vector["name"], problems[0].case_id)]
        return
    assert not problems
    score = np.mean([metrics.image_score(answers[case], truth.instances) for case, truth in truths.items()])
    assert score == pytest.approx(BY_CASE_ID.get(vector["name"], vector["score"]), abs=1e-15)


def test_all_that_is_wrong_comes_at_once(tmp_path: Path) -> None:
    truths = dict.fromkeys("abcdefgh", TRUTHS["2"])
    path = text(
        tmp_path / "s.csv",
        "\ufeffcase_id,annotation\r\n"  # row 1
        "a,Authentic\r\n"
        "\r\n"
        'b,"[1, 3];[6, 2]"\r\n'  # row 4
        "c\r\n"
        "b,authentic\r\n"  # row 6
        ",authentic\r\n"
        'd.png,"[1, 3]"\r\n'  # row 8
        'e,"[1,\r\n 99]"\r\n'  # rows 9 and 10
        "x,authentic\r\n"
        'f,"[1, 3"\r\n'
        "h,[1, 3]\r\n",
    )
    answers, problems = split(path, truths)
    assert list(answers) == ["b"] and same(answers["b"], TRUTHS["2"].instances)
    assert [(found.row, found.case_id) for found in problems] == [
        (2, "a"),
        (5, "c"),
        (6, "b"),
        (7, ""),
        (8, "d.png"),
        (10, "e"),
        (11, "x"),
        (12, "f"),
        (13, "h"),
        (None, "d"),
        (None, "g"),
    ]
    for found, said in zip(
        problems,
        ["'Authentic'", "too few cells", "occurs twice (first in row 4)", "no case id", "unknown case id; write 'd'"]
        + [
            "a run ends at pixel 99",
            "unknown case id; take",
            "'[1, 3' has no closing ]; put double quotes",
            "more cells in this row than the header has; put double quotes",
            "nothing for this case id",
        ]
        + ["nothing for this case id"],
        strict=True,
    ):
        assert said in found.text, found
    message = str(FileProblems(path, problems))
    assert message.splitlines()[0] == f"{path}: 11 problems:" and len(message.splitlines()) == 12
    assert "\n  row 6: case b: this case id occurs twice (first in row 4)" in message


def test_the_first_twenty_of_many_problems_are_shown(tmp_path: Path) -> None:
    path = table(tmp_path / "s.csv", "case_id,annotation", [[n, "-"] for n in range(30)])
    answers, problems = split(path, {str(n): TRUTHS["1"] for n in range(40)})
    message = str(FileProblems(path, problems)).splitlines()
    assert not answers and len(problems) == 40
    assert message[0].endswith("s.csv: 40 problems; the first 20:") and len(message) == 21
    assert message[20].startswith("  row 21: case 19: '-' is no answer")


@pytest.mark.parametrize(("cell", "said"), BAD_CELLS.items())
def test_a_bad_cell_in_a_file_is_one_problem_with_its_place(cell: str, said: str, tmp_path: Path) -> None:
    path = table(tmp_path / "s.csv", "case_id,annotation", [["1", "authentic"], ["2", cell]])
    answers, (problem,) = split(path, TRUTHS)
    assert answers == {"1": None}
    assert (problem.row, problem.case_id) == (3, "2") and said in problem.text


@pytest.mark.parametrize("case", ["x\ny", "x" * 99_999], ids=["two lines", "long"])
def test_any_case_id_makes_one_short_line(case: str, tmp_path: Path) -> None:
    path = table(
        tmp_path / "s.csv", "case_id,annotation", [["1", "authentic"], ["2", "authentic"], [case, "authentic"]]
    )
    (problem,) = (found for found in recodai.read(path, TRUTHS) if isinstance(found, Problem))
    assert len(str(problem).splitlines()) == 1 and len(str(problem)) < 400


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
    assert split(text(tmp_path / "s.csv", content), TRUTHS) == ({"1": None, "2": None}, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column case_id, annotation; expected case_id,annotation"),
        (b"case_id,annotation\n", "no rows"),
        (b"id,annotation\n1,authentic\n", "no column case_id;"),
        (b"case_id;annotation\n1;authentic\n", "no column case_id, annotation"),
        pytest.param(bytes(range(256)) * 20, "not a readable CSV file", id="bytes"),
        pytest.param(b"case_id,annotation\n1,\x00\xff\xfe\n", "not a readable CSV file", id="bytes in a cell"),
        pytest.param("case_id,annotation\n".encode("utf-16"), "not a readable CSV file", id="UTF-16"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a readable CSV file", id="PNG"),
    ],
)
def test_what_is_no_submission(content: bytes, said: str, tmp_path: Path, refused) -> None:
    with refused("s.csv: ", said):
        list(recodai.read(text(tmp_path / "s.csv", content), TRUTHS))


# Solutions


def test_a_solution_names_all_its_bad_rows(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t.csv",
        "case_id,annotation,shape",
        [
            ["a", "authentic", ""],
            ["b", "[1, 3]", ""],
            ["a", "[1, 3]", "[4, 5]"],
            ["c", "", "[4, 5]"],
            ["d", "authentic"],
            ["e", "[1", " 3]", "[4, 5]"],
        ],
    )
    with pytest.raises(FileProblems) as caught:
        recodai.read_solution(path)
    assert [(found.row, found.case_id) for found in caught.value.problems] == [
        (3, "b"),
        (4, "a"),
        (5, "c"),
        (6, "d"),
        (7, "e"),
    ]
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}: 5 problems:"
    for line, said in zip(
        lines[1:],
        ["shape '' is not [H, W]", "occurs twice", "'' is no answer", "too few cells", "more cells in this row"],
        strict=True,
    ):
        assert said in line


@pytest.mark.parametrize("shape", ["", "authentic"])
def test_authentic_truth_needs_no_shape(shape: str, tmp_path: Path) -> None:
    path = text(tmp_path / "t.csv", f"case_id,annotation,shape\n7,authentic,{shape}\n")
    assert recodai.read_solution(path) == {"7": Truth(ANY_SIZE, None)}


@pytest.mark.parametrize(
    ("annotation", "shape", "said"),
    [
        ("[1, 2]", "authentic", "shape 'authentic' is not [H, W]; write e.g. [512, 640]"),
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
    path = table(tmp_path / "t.csv", "case_id,annotation,shape", [["7", annotation, shape]])
    with refused("t.csv: row 2: case 7: ", said):
        recodai.read_solution(path)


def test_solution_needs_a_shape_column(tmp_path: Path, refused) -> None:
    with refused("t.csv: no column shape"):
        recodai.read_solution(text(tmp_path / "t.csv", "case_id,annotation\n1,authentic\n"))


def test_a_solution_needs_case_ids(tmp_path: Path, refused) -> None:
    with refused("t.csv: row 2: "):
        recodai.read_solution(text(tmp_path / "t.csv", "case_id,annotation,shape\n,authentic,\n"))


def test_a_forged_image_is_not_of_the_unknown_size(tmp_path: Path, refused) -> None:
    path = table(tmp_path / "t.csv", "case_id,annotation,shape", [["1", "[1, 5]", json.dumps(ANY_SIZE)]])
    with refused("t.csv: row 2: case 1: shape "):
        recodai.read_solution(path)


def test_kinds_are_read_where_they_stand(tmp_path: Path) -> None:
    path = text(tmp_path / "t.csv", 'kind,case_id,annotation,shape\ncopy-move,a,"[1, 3]","[4, 5]"\n,b,authentic,\n')
    assert {case: truth.kind for case, truth in recodai.read_solution(path).items()} == {"a": "copy-move", "b": ""}


@pytest.mark.parametrize("read", [lambda path: list(recodai.read(path, TRUTHS)), recodai.read_solution])
def test_no_file_and_a_folder(read: Any, tmp_path: Path, refused) -> None:
    with refused("none.csv: ", "No such file"):
        read(tmp_path / "none.csv")
    with refused(f"{tmp_path}: ", "Is a directory"):
        read(tmp_path)


# Writing


def test_file_as_the_competition_wants_it(tmp_path: Path) -> None:
    answers = {"b": None, "a": TRUTHS["2"].instances, "c": Instances(SIZE)}
    recodai.write(tmp_path / "new" / "s.csv", ((case, Answer(SIZE, found)) for case, found in answers.items()))
    assert (tmp_path / "new" / "s.csv").read_bytes() == (
        b'case_id,annotation\nb,authentic\na,"[1, 3];[6, 2]"\nc,authentic\n'
    )
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["s.csv"]  # no temporary file left


def test_solution_file(tmp_path: Path) -> None:
    recodai.write_solution(tmp_path / "t.csv", TRUTHS)
    assert (tmp_path / "t.csv").read_text() == (
        'case_id,annotation,shape\n1,authentic,"[4, 5]"\n2,"[1, 3];[6, 2]","[4, 5]"\n'
    )
    kinds = {"1": TRUTHS["1"], "2": Truth(SIZE, TRUTHS["2"].instances, "=splice")}
    recodai.write_solution(tmp_path / "k.csv", kinds)
    assert (tmp_path / "k.csv").read_text() == (
        'case_id,annotation,shape,kind\n1,authentic,"[4, 5]",\n2,"[1, 3];[6, 2]","[4, 5]",\'=splice\n'
    )


RISKY = [
    "=1+1",
    "-5",
    "'@x",
    "''=x",
    "+a",
    "\tb",
    "'plain",
    "a,b",
    'say "x"',
    "two\nlines",
    " blanks ",
    "ünï códe",
    "图像",
    "🔬",
]
case_ids = st.sampled_from(RISKY) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1, max_size=6
)


@settings(deadline=None)
@given(
    st.dictionaries(
        case_ids, st.tuples(st.none() | stacks, st.sampled_from(["", "splice", *RISKY])), min_size=1, max_size=5
    )
)
def test_solution_and_answers_round_trip(tmp_path_factory: pytest.TempPathFactory, images: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    truths = {
        case: Truth((6, 6), None, kind) if masks is None else Truth(masks.shape[1:], Instances.from_masks(masks), kind)
        for case, (masks, kind) in images.items()
    }
    recodai.write_solution(folder / "t.csv", truths)
    recodai.write(folder / "s.csv", ((case, Answer(truth.size, truth.instances)) for case, truth in truths.items()))
    back = recodai.read_solution(folder / "t.csv")
    read = dict(recodai.read(folder / "s.csv", back))
    assert list(back) == list(read) == list(truths)
    for case, truth in truths.items():
        assert (back[case].size, back[case].kind) == (truth.size, truth.kind)
        assert same(back[case].instances, truth.instances) and same(read[case].instances, truth.instances)


def test_every_risky_case_id_comes_back(tmp_path: Path) -> None:
    recodai.write(tmp_path / "s.csv", ((case, Answer(SIZE, None)) for case in RISKY))
    with (tmp_path / "s.csv").open(newline="") as file:
        written = [row[0] for row in csv.reader(file)][1:]
    assert not [cell for cell in written if cell[0] in "=+-@\t\r"]
    answers, problems = split(tmp_path / "s.csv", dict.fromkeys(RISKY, TRUTHS["1"]))
    assert list(answers) == RISKY and not problems


def test_cells_far_longer_than_the_csv_default(tmp_path: Path) -> None:
    mask = np.indices((400, 401)).sum(axis=0) % 2 == 0
    truths = {"1": Truth(mask.shape, Instances.from_masks(np.array([mask, ~mask])))}
    recodai.write(tmp_path / "s.csv", [("1", Answer(mask.shape, truths["1"].instances))])
    recodai.write_solution(tmp_path / "t.csv", truths)
    assert (tmp_path / "s.csv").stat().st_size > 10 * 131_072
    assert same(split(tmp_path / "s.csv", truths)[0]["1"], truths["1"].instances)
    assert same(recodai.read_solution(tmp_path / "t.csv")["1"].instances, truths["1"].instances)


@pytest.mark.parametrize(
    "write",
    [lambda path: recodai.write(path, [("1", Answer(SIZE, None))]), lambda path: recodai.write_solution(path, TRUTHS)],
)
def test_what_cannot_be_written_leaves_nothing_behind(write: Any, tmp_path: Path, refused) -> None:
    (tmp_path / "s.csv").mkdir()
    with refused("s.csv: cannot be written"):
        write(tmp_path / "s.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]
    text(tmp_path / "out", "a file")
    with refused("out"):
        write(tmp_path / "out" / "s.csv")
