"""The table, the JSON, the words and the page of what was found."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from forgery_rcnn import rle
from forgery_rcnn.matching import evidence, page
from forgery_rcnn.matching.evidence import Evidence, Link
from forgery_rcnn.matching.examined import Examined
from forgery_rcnn.matching.pairs import Pair

SIZE = 60, 90


def region(x0: int, y0: int, width: int, height: int, size: tuple[int, int] = SIZE) -> rle.Runs:
    return rle.runs_of(np.ones((height, width), bool), size, (x0, y0))


def pair(matrix: list[list[float]] | None = None, **changes: object) -> Pair:
    matrix = matrix or [[1, 0, 40], [0, 1, 20]]
    made = Pair(
        region(5, 6, 20, 10), region(45, 26, 20, 10), np.array(matrix, float), 12, 0.98, 1e-6, 0.9, "first", "keypoints", False
    )  # fmt: skip
    return replace(made, **changes)


def file(name: str, *pairs: Pair, notes: tuple[str, ...] = (), ignored: rle.Runs = rle.EMPTY) -> Examined:
    panels = np.array([[0, 0, 40, 60], [44, 0, 90, 60]])
    return Examined(name, SIZE, panels, ignored, pairs, (), notes)


def found(*links: Link, files: tuple[Examined, ...] = (), **more: object) -> Evidence:
    return Evidence("a folder", files, links, settings={"min_area": 100}, versions={"numpy": "2"}, **more)  # type: ignore[arg-type]


def one(name: str = "a.png", **changes: object) -> Evidence:
    made = pair(**changes)
    return found(Link(1, file(name, made), file(name, made), made, "pictures/01_a.png"), files=(file(name, made),))


def test_the_table_has_a_row_per_pair() -> None:
    (row,) = csv.DictReader(io.StringIO(evidence.to_csv(one())))
    assert list(row) == list(evidence.HEADER)
    assert [int(row[f"a_{edge}"]) for edge in ("x0", "y0", "x1", "y1", "area")] == [5, 6, 25, 16, 200]
    assert [int(row[f"b_{edge}"]) for edge in ("x0", "y0", "x1", "y1", "area")] == [45, 26, 65, 36, 200]
    assert (row["panel_a"], row["panel_b"], row["original"], row["mirrored"]) == ("1", "2", "a", "no")
    assert [float(row[f"matrix_{name}"]) for name in ("xx", "xy", "x", "yx", "yy", "y")] == [1, 0, 40, 0, 1, 20]
    assert float(row["chance"]) == 1e-6 and row["picture"] == "pictures/01_a.png"


def test_no_cell_is_a_formula_and_a_number_stays_one() -> None:
    text = evidence.to_csv(one("=cmd()|'x'!A1.png", matrix=[[-1.0, 0, 80], [0, 1, 0]]))
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["image_a"].startswith("'=") and float(row["matrix_xx"]) == -1.0 and row["mirrored"] == "yes"


def test_without_pairs_the_table_is_a_header() -> None:
    assert evidence.to_csv(found(files=(file("a.png"),))) == ",".join(evidence.HEADER) + "\n"


def test_json_holds_all_that_the_table_does_and_more() -> None:
    told = json.loads(evidence.to_json(replace(one(), refused=("b.png: empty",), unseen=2)))
    (linked,) = told["pairs"]
    assert {name: linked[name] for name in ("image_a", "a_x0", "b_y1", "inliers")} == {
        "image_a": "a.png", "a_x0": 5, "b_y1": 36, "inliers": 12
    }  # fmt: skip
    assert linked["matrix"] == [[1, 0, 40], [0, 1, 20]] and "90" not in linked["words"]
    assert told["images"][0]["pairs"] == [1] and told["images"][0]["panels"] == [[0, 0, 40, 60], [44, 0, 90, 60]]
    assert told["not_read"] == ["b.png: empty"] and told["not_looked_at"] == 2 and told["versions"] == {"numpy": "2"}


def test_json_has_no_nan() -> None:
    assert json.loads(evidence.to_json(one(correlation=float("nan"))))["pairs"][0]["correlation"] is None


def test_outlines_draw_the_region_again() -> None:
    mask = np.zeros(SIZE, bool)
    mask[10:30, 20:50] = True
    mask[15:20, 30:40] = False  # a hole
    mask[50:55, 80:90] = True  # a second part, at the border
    polygons = evidence.outlines_of(rle.runs_of(mask), SIZE)
    assert len(polygons) == 3
    drawn = np.zeros(SIZE, np.uint8)
    cv2.fillPoly(drawn, [np.array(polygon, np.int32) for polygon in polygons], 1)
    hole = np.zeros(SIZE, bool)
    hole[15:20, 30:40] = True
    assert np.array_equal(drawn.astype(bool) | hole, mask | hole)
    assert evidence.outlines_of(rle.EMPTY, SIZE) == []


@pytest.mark.parametrize(
    ("matrix", "original", "words"),
    [
        ([[1, 0, 40], [0, 1, 20]], "first", "B is a copy of A, correlation"),
        ([[0, 1, 0], [-1, 0, 90]], "second", "A is a copy of B, B turned by 90 degrees anticlockwise, correlation"),
        ([[0, -1, 90], [1, 0, 0]], "undecided", "A and B are the same, B turned by 90 degrees clockwise, correlation"),
        ([[-1, 0, 90], [0, 1, 0]], "undecided", "A and B are the same, B mirrored left to right, correlation"),
        ([[1, 0, 0], [0, -1, 60]], "undecided", "B mirrored top to bottom"),
        ([[1.2, 0, 0], [0, 1.2, 0]], "undecided", "A and B are the same, B 1.20 times as large, correlation"),
        ([[1.001, 0, 0], [0, 1, 0]], "undecided", "A and B are the same, correlation"),
    ],
)
def test_a_pair_in_words(matrix: list[list[float]], original: str, words: str) -> None:
    (link,) = one(matrix=matrix, original=original).links
    said = evidence.phrase(link)
    assert words in said and said.endswith("correlation 0.98, chance 1e-06")


def test_what_is_equal_is_said_to_be() -> None:
    same = one(original="first", told_by="pixels")
    assert evidence.phrase(same.links[0]) == "B is a copy of A, pixel for pixel, chance 1e-06"
    rows = [next(csv.DictReader(io.StringIO(evidence.to_csv(told)))) for told in (same, one())]
    assert [row["told_by"] for row in rows] == ["pixels", "likeness"]


def test_the_same_grain_is_said_too() -> None:
    said = one(original="first", told_by="grain")
    assert evidence.phrase(said.links[0]) == "B is a copy of A, with the same grain, correlation 0.98, chance 1e-06"
    rows = [next(csv.DictReader(io.StringIO(evidence.to_csv(told)))) for told in (said, one())]
    assert [row["told_by"] for row in rows] == ["grain", "likeness"]


def test_the_verdict_counts_images_pairs_and_the_rest() -> None:
    a, b, c = file("a.png"), file("b.png"), file("c.png")
    told = found(
        Link(1, a, a, pair()), Link(2, a, b, pair()), Link(3, a, b, pair()), files=(a, b, c), refused=("d",), unseen=4
    )
    assert told.verdict() == (
        "1 of 3 images holds a region twice, 1 pair of images shares a region, nothing found in 1; 1 could not be read; "
        "4 not looked at: stopped before"
    )
    assert [file.name for file in told.clean()] == ["c.png"]
    assert [link.number for link in told.within("a.png")] == [1]
    assert {names: len(links) for names, links in told.between().items()} == {("a.png", "b.png"): 2}


def test_a_region_between_panels_belongs_to_the_nearest() -> None:
    assert evidence.panel_of(file("a"), region(40, 5, 3, 3)) == 1
    assert evidence.panel_of(file("a"), region(60, 5, 9, 9)) == 2


class Text(HTMLParser):
    """What a page shows, where its pictures are, and which tags it has."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.said, self.pictures, self.tags = "", [], set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.pictures += [value for name, value in attrs if (tag, name) == ("img", "src")]

    def handle_data(self, data: str) -> None:
        self.said += " ".join(data.split()) + " "


def test_the_page_shows_pictures_and_says_what_was_left_out() -> None:
    clean = file("clean.png", notes=("first of 3 frames",), ignored=region(0, 0, 9, 60))
    made = one("a #1?.png")
    shown = Text(page.to_html(replace(made, files=(*made.files, clean), refused=("bad.png: empty",), unseen=3)))
    assert shown.pictures == ["pictures/01_a.png"]
    for words in (
        made.files[0].name,
        "B is a copy of A",
        "No two images share a region.",
        "Nothing found (1)",
        "clean.png",
        "Could not be read: bad.png: empty",
        "3 files: the search was stopped",
        "fewer than 100 pixels",
        "10.0 % of it, taken for text, lines or empty margin; first of 3 frames",
        "1 of 2 images holds a region twice",
    ):
        assert words in shown.said, words


def test_the_page_trusts_no_name() -> None:
    name = "<script>alert(1)</script>\n&.png"
    shown = Text(page.to_html(replace(one(name), folder=name, refused=(name,))))
    assert "script" not in shown.tags


def test_a_pair_that_was_not_drawn_has_no_picture() -> None:
    made = one()
    shown = Text(page.to_html(replace(made, links=(replace(made.links[0], picture=""),))))
    assert shown.pictures == [] and "B is a copy of A" in shown.said
