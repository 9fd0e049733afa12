"""Aaltoes 2025: row-major runs by hand, round trips, and one Problem for everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forgery_rcnn import draw, report
from forgery_rcnn.errors import Problem
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.submission import aaltoes

SIZE = (2, 3)
MASKS = hnp.arrays(bool, st.tuples(st.integers(0, 3), st.integers(1, 7), st.integers(1, 9)))


def answer(*rows: str) -> Answer:
    """Masks drawn as text, one per argument: "#.. .##" -> that region of a 2 x 3 image."""
    masks = [[[sign == "#" for sign in row] for row in mask.split()] for mask in rows]
    return Answer(SIZE, Instances.from_masks(np.array(masks)))


def truths(*ids: str, size: tuple[int, int] = SIZE) -> dict[str, Truth]:
    return {case: Truth(size, None) for case in ids}


def table(path: Path, *lines: str, header: str = "ImageId,EncodedPixels") -> Path:
    path.write_text("".join(f"{line}\n" for line in (header, *lines)), encoding="utf-8")
    return path


def union(found: Answer) -> np.ndarray:
    return Instances(found.size, () if found.instances is None else found.instances.runs).masks().any(axis=0)


def test_the_file_as_the_competition_wants_it(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    given_ = [
        ("7", answer("#.. ##.")),
        ("clean", Answer(SIZE, None)),
        ("no region", Answer(SIZE, Instances(SIZE))),
        ("empty region", answer("... ...")),
        ("last pixel", answer("... ..#")),
        ("two", answer("##. ...", ".## ...")),
        ("unknown size", Answer(ANY_SIZE, None)),
        ("=1+1", answer("### ###")),
    ]
    aaltoes.write(path, iter(given_))
    assert path.read_bytes().decode().split("\n") == [
        "ImageId,EncodedPixels",
        "7,1 1 4 2",
        "clean,",
        "no region,",
        "empty region,",
        "last pixel,6 1",
        "two,1 3",
        "unknown size,",
        "'=1+1,1 6",
        "",
    ]


@settings(max_examples=60, deadline=None)
@given(images=st.lists(MASKS, max_size=5).filter(bool))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, images: list[np.ndarray]) -> None:
    folder = tmp_path_factory.mktemp("aaltoes")
    answers = {str(number): Instances.from_masks(masks) for number, masks in enumerate(images)}
    known = {case: Truth(found.size, None) for case, found in answers.items()}
    for name in ("1.csv", "2.csv"):
        aaltoes.write(folder / name, ((case, Answer(found.size, found)) for case, found in answers.items()))
    assert (folder / "1.csv").read_bytes() == (folder / "2.csv").read_bytes()
    found = dict(aaltoes.read(folder / "1.csv", known))
    assert [*found] == [*answers]
    for case, masks in zip(found, images, strict=True):
        assert np.array_equal(union(found[case]), masks.any(axis=0))
        instances = found[case].instances
        assert (instances is None) == (not masks.any()) and (instances is None or len(instances) == 1)
        assert np.isnan(found[case].image_score) and found[case].heatmap is None


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("1", "odd count"),
        ("1 7", "past the last pixel 6"),
        ("7 1", "past the last pixel 6"),
        ("0 1", "count from 1"),
        ("1 0", "at least 1"),
        ("4 1 1 1", "not ascending"),
        ("1 3 2 1", "overlapping"),
        ("1 x", "holds 'x'; use whole numbers from 1 to 2^53 - 1, e.g. 1 2 4 1"),
        ("1 1.0", "whole numbers"),
        ("1 -1", "whole numbers"),
        ('"[1, 2]"', "whole numbers"),
        ("authentic", "whole numbers"),
        (f"1 {2**70}", "whole numbers"),
    ],
)
@pytest.mark.parametrize("size", [SIZE, ANY_SIZE])
def test_bad_cells(cell: str, said: str, size: tuple[int, int], tmp_path: Path) -> None:
    path = table(tmp_path / "s.csv", "good,1 1", f"bad,{cell}")
    found = list(aaltoes.read(path, truths("good", "bad", size=size)))
    assert len(found) == 2 and found[0][0] == "good"
    if size == ANY_SIZE and "past" in said:
        assert found[1][0] == "bad"
    else:
        assert isinstance(found[1], Problem) and (found[1].case_id, found[1].row) == ("bad", 3)
        assert said in found[1].text and len(str(found[1]).splitlines()) == 1


def test_missing_unknown_double_and_short_rows(tmp_path: Path) -> None:
    path = table(tmp_path / "s.csv", "a,", "a,1 1", "b", "c.png,1 1", ",1 1", "d,2 2")
    found = list(aaltoes.read(path, truths("a", "b", "c", "d")))
    assert [found[0][0], found[5][0]] == ["a", "d"]
    problems = [one for one in found if isinstance(one, Problem)]
    assert [(one.case_id, one.row) for one in problems] == [("a", 3), ("b", 4), ("c.png", 5), ("", 6), ("c", None)]


def test_nothing_of_an_image_of_unknown_size_is_placed(tmp_path: Path) -> None:
    """Such an image is authentic: all that counts is how much was marked; no array of its size is made."""
    far = " ".join(f"{number * 2**40 + 1} 5" for number in range(9))
    found = dict(aaltoes.read(table(tmp_path / "s.csv", "a,", f"b,{far}"), truths("a", "b", size=ANY_SIZE)))
    assert found["a"].instances is None and found["b"].instances.union()[:, 1].sum() == 9 * 5
    picture = draw.comparison(np.zeros((4, 4, 3), np.uint8), None, {"found": (found["b"].instances, 0.0)}, "b")
    assert picture.axes[1].get_xlabel() == "its regions do not fit the image: not drawn"
    row = report.image_row("b", found["b"], Truth(ANY_SIZE, None))
    assert (row.dice, row.answer) == (0.0, "forged")


def test_blanks_alone_are_an_empty_mask(tmp_path: Path) -> None:
    found = dict(aaltoes.read(table(tmp_path / "s.csv", 'a,"  "', "b, 2  1 "), truths("a", "b")))
    assert found["a"].instances is None and union(found["b"]).ravel().tolist() == [0, 1, 0, 0, 0, 0]


def test_other_files(tmp_path: Path, refused) -> None:
    for path, said in (
        (table(tmp_path / "1.csv", "a,authentic", header="case_id,annotation"), "no column ImageId, EncodedPixels"),
        (table(tmp_path / "2.csv"), "no rows"),
        (tmp_path / "none.csv", "not a readable CSV file"),
    ):
        with refused(path.name, said):
            list(aaltoes.read(path, truths("a")))
