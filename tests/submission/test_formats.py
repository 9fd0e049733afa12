"""Each format is recognised by what is in its file, comes back through the reader found, and junk is refused in one line."""

from __future__ import annotations

import math
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from forgery_rcnn.errors import InputError, Problem
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.submission import formats
from forgery_rcnn.submission.formats import FORMATS, Format, Settings, detect

SIZES = {"10": (4, 5), "b-2": (3, 7), "c": (6, 2), "none": (2, 2)}


def answer(size: tuple[int, int], *boxes: tuple[int, int, int, int], score: float) -> Answer:
    """Regions y0:y1, x0:x1, and a heat map that is 0.75 on them and 0.25 elsewhere."""
    masks = np.zeros((len(boxes), *size), bool)
    for mask, (y0, y1, x0, x1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    heatmap = np.where(masks.any(axis=0), 0.75, 0.25).astype(np.float32)
    return Answer(size, Instances.from_masks(masks) if boxes else None, score, heatmap=heatmap)


ANSWERS = {
    "b-2": answer(SIZES["b-2"], (0, 1, 0, 7), score=0.5),
    "10": answer(SIZES["10"], (0, 2, 0, 2), (1, 4, 1, 3), score=0.75),
    "c": answer(SIZES["c"], (5, 6, 1, 2), score=1.0),
    "none": answer(SIZES["none"], score=0.25),
}
TRUTHS = {case: Truth(size, None) for case, size in SIZES.items()}
EACH = [pytest.param(name, id=name) for name in FORMATS]


def written(name: str, folder: Path, settings: Settings | None = None) -> Path:
    settings = settings or Settings()
    path = folder / name / FORMATS[name].filename(settings)
    FORMATS[name].write(path, ANSWERS.items(), settings)
    return path


def read(path: Path, layout: Format | None = None) -> dict[str, Answer]:
    out = {}
    for found in (layout or detect(path)).read(path, TRUTHS):
        assert not isinstance(found, Problem), found
        out[found[0]] = found[1]
    return out


def union(found: Answer) -> np.ndarray:
    return np.zeros(found.size, bool) if found.instances is None else found.instances.masks().any(axis=0)


@pytest.mark.parametrize("name", EACH)
def test_a_written_file_is_recognised_and_comes_back(name: str, tmp_path: Path) -> None:
    path = written(name, tmp_path)
    assert [inner.name for inner in path.parent.iterdir()] == [path.name]
    assert detect(path) is FORMATS[name]
    back = read(path)
    assert back.keys() == ANSWERS.keys()
    for case, expected in ANSWERS.items():
        assert back[case].size == expected.size
        assert (back[case].instances is None) == (expected.instances is None)
        if FORMATS[name].says == "where":
            assert (union(back[case]) == union(expected)).all(), case
        else:
            assert expected.instances is None or len(back[case].instances) == 0


def test_what_each_format_keeps(tmp_path: Path) -> None:
    backs = {name: read(written(name, tmp_path)) for name in FORMATS}
    kept = {name: [len(back[case].instances or ()) for case in ANSWERS] for name, back in backs.items()}
    one = [1, 1, 1, 0]
    assert kept == {"recodai": [1, 2, 1, 0], "aaltoes": one, "mediaeval_a": [0] * 4, "mediaeval_b": one, "tianchi": one}
    scores = {name: [back[case].image_score for case in ANSWERS] for name, back in backs.items()}
    expected = [found.image_score for found in ANSWERS.values()]
    assert scores["mediaeval_a"] == scores["mediaeval_b"] == expected
    assert all(math.isnan(score) for name in ("recodai", "aaltoes", "tianchi") for score in scores[name])
    assert (backs["mediaeval_b"]["10"].heatmap == ANSWERS["10"].heatmap).all()
    assert not backs["mediaeval_b"]["none"].heatmap.any()  # zeros where its score says clean
    assert [name for name, layout in FORMATS.items() if layout.says == "whether"] == ["mediaeval_a"]


@pytest.mark.parametrize("name", EACH)
def test_the_same_answers_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    first, second = written(name, tmp_path / "1"), written(name, tmp_path / "2")
    assert first.read_bytes() == second.read_bytes()


def test_settings_are_written() -> None:
    settings = Settings(team="a_B-9", run="open", threshold=0.8, loc_threshold=0.9)
    names = {name: layout.filename(settings) for name, layout in FORMATS.items()}
    assert names == {
        "recodai": "submission.csv",
        "aaltoes": "submission.csv",
        "mediaeval_a": "a_B-9_open.zip",
        "mediaeval_b": "a_B-9_localization_masks.zip",
        "tianchi": "prediction_result.zip",
    }


def test_thresholds_reach_the_file(tmp_path: Path) -> None:
    strict = replace(Settings(), threshold=0.9, loc_threshold=0.9)
    for name in ("mediaeval_a", "mediaeval_b"):
        back = read(written(name, tmp_path, strict))
        assert [case for case, found in back.items() if found.instances is not None] == ["c"]
    assert not union(back["c"]).any()  # no pixel of the map reaches 0.9


# Recognition


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("case_id,annotation\n1,authentic\n", "recodai"),
        ("\ufeffannotation,case_id\r\n", "recodai"),
        ("\ufeffImageId,EncodedPixels\r\n", "aaltoes"),
        ('EncodedPixels,"ImageId"\n', "aaltoes"),
        ("image_id,prob,label,threshold\n", "mediaeval_a"),
    ],
)
def test_csv_files_by_their_header(content: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "any.txt").write_text(content)
    assert detect(tmp_path / "any.txt") is FORMATS[name]


@pytest.mark.parametrize(
    ("members", "name"),
    [
        (["a.npz"], "mediaeval_b"),
        (["scores.csv"], "mediaeval_b"),
        (["scores.csv", "x.png"], "mediaeval_b"),
        (["team_open.csv"], "mediaeval_a"),
        (["prediction_result/images/1.PNG"], "tianchi"),
        (["1.png", "__MACOSX/1.npz"], "tianchi"),
        ([], "mediaeval_a"),
    ],
)
def test_zips_by_their_members(members: list[str], name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "any", "w") as archive:
        for member in members:
            archive.writestr(member, b"")
    assert detect(tmp_path / "any") is FORMATS[name]


def test_unpacked_folders_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(written("tianchi", tmp_path)) as archive:
        archive.extractall(tmp_path / "out")
    expected = read(written("tianchi", tmp_path))
    for folder in ("out", "out/prediction_result", "out/prediction_result/images"):
        assert detect(tmp_path / folder) is FORMATS["tianchi"]
        back = read(tmp_path / folder)
        assert back.keys() == expected.keys()
        assert all((union(back[case]) == union(expected[case])).all() for case in back)


def test_the_csv_of_task_a_is_read_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(written("mediaeval_a", tmp_path)) as archive:
        archive.extractall(tmp_path)
    assert detect(tmp_path / "team_constrained.csv") is FORMATS["mediaeval_a"]
    assert read(tmp_path / "team_constrained.csv").keys() == ANSWERS.keys()


# Junk


def said(path: Path) -> list[str]:
    """What a user meets: the one error, or the problems of an answerless file."""
    try:
        found = list(detect(path).read(path, {"1": TRUTHS["10"]}))
    except InputError as error:
        return [str(error)]
    assert all(isinstance(one, Problem) for one in found)
    return [str(one) for one in found]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "no column case_id, annotation"),
        (b"\n", "no column case_id, annotation"),
        (b"\0" * 100, "no column case_id, annotation"),
        (b"hello,world\n1,2\n", "no column case_id, annotation"),
        (b'"', "no column case_id, annotation"),
        (b"x" * 2_000_000, "no column case_id, annotation"),
        (b"PK\x03\x04 not a zip at all", "damaged, or not a zip file"),
        (b"PK\x05\x06" + b"\xff" * 18, "damaged, or not a zip file"),
        (b"\xff\xfeI\0m\0", "not a readable CSV file"),
        (bytes(range(256)) * 100, "not a readable CSV file"),
    ],
    ids=[
        "empty",
        "blank line",
        "NULs",
        "other table",
        "quote",
        "one long line",
        "zip head",
        "zip tail",
        "UTF-16",
        "bytes",
    ],
)
def test_junk_files_are_one_line(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(content)
    (message,) = said(tmp_path / "junk")
    assert message.startswith(f"{tmp_path / 'junk'}: ") and expected in message
    assert len(message.splitlines()) == 1 and len(message) < 400


def test_a_picture_is_one_line(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)).save(tmp_path / "1.png")
    (message,) = said(tmp_path / "1.png")
    assert len(message.splitlines()) == 1 and "1.png: not a readable CSV file" in message


def test_empty_folders_and_zips(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (message,) = said(tmp_path / "empty")
    assert "empty: no PNG masks in it" in message
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    (message,) = said(tmp_path / "empty.zip")
    assert "empty.zip: 0 .csv files in it" in message
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../1.png", b"")
    (message,) = said(tmp_path / "bad.zip")
    assert "bad.zip: member '../1.png' has an unsafe name" in message


@pytest.mark.parametrize("name", ["mediaeval_a", "mediaeval_b", "tianchi"])
def test_a_zip_cut_off_is_called_so(name: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(written(name, tmp_path).read_bytes()[:-30])
    (message,) = said(tmp_path / "s.csv")
    assert "s.csv: damaged, or not a zip file" in message and "CSV" not in message


@pytest.mark.parametrize("name", ["recodai", "aaltoes"])
def test_a_zip_around_a_csv(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.write(written(name, tmp_path), "in/submission.csv")
    (message,) = said(tmp_path / "s.zip")
    assert message.startswith(f"{tmp_path / 's.zip'}: a {FORMATS[name].title} ")
    assert message.endswith("unpack it and give the CSV itself")


@pytest.mark.parametrize(("sign", "called"), [(";", "';'"), ("\t", "tabs")])
@pytest.mark.parametrize(
    "header", ["case_id,annotation", "\ufeffImageId,EncodedPixels", '"image_id","prob","label","threshold"']
)
def test_other_separators(header: str, sign: str, called: str, tmp_path: Path) -> None:
    text = header.replace(",", sign) + "\r\n1,2\r\n"
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    assert said(tmp_path / "s.csv") == [f"{tmp_path / 's.csv'}: separated by {called}, use ','"]
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("s.csv", text)
    assert said(tmp_path / "s.zip") == [f"{tmp_path / 's.zip'}: s.csv: separated by {called}, use ','"]


def test_no_file(tmp_path: Path, refused) -> None:
    with refused("none.csv: not readable (No such file or directory)"):
        detect(tmp_path / "none.csv")


# What is left of an answer


UNIT = st.floats(0, 1) | st.floats(0, 1, width=32).map(np.float32)


@st.composite
def any_answer(draw: st.DrawFn) -> Answer:
    size = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    masks = draw(st.none() | hnp.arrays(bool, st.tuples(st.integers(0, 3), *map(st.just, size))))
    values = st.floats(-0.5, 1.5, width=32) | st.sampled_from([0.0, 0.25, 0.5, 1.0])
    heatmap = draw(st.none() | hnp.arrays(np.float32, size, elements=values))
    instances = None if masks is None else Instances.from_masks(masks)
    count = 0 if masks is None else len(masks)
    return Answer(size, instances, draw(UNIT), np.ones(count, np.float32), np.ones((count, 4), np.float32), heatmap)


@pytest.mark.parametrize("name", EACH)
@options(max_examples=60, deadline=None)
@given(answers=st.lists(any_answer(), min_size=1, max_size=3), threshold=UNIT, loc_threshold=UNIT)
def test_expressed_is_what_comes_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, answers: list[Answer], threshold: float, loc_threshold: float
) -> None:
    layout, chosen = FORMATS[name], Settings(threshold=float(threshold), loc_threshold=float(loc_threshold))
    path = tmp_path_factory.mktemp("expressed") / layout.filename(chosen)
    given_ = {str(number): one for number, one in enumerate(answers)}
    layout.write(path, given_.items(), chosen)
    back = dict(layout.read(path, {case: Truth(one.size, None) for case, one in given_.items()}))
    assert [*back] == [*given_]
    for case, one in given_.items():
        found, read_ = layout.expressed(one, chosen), back[case]
        assert found.size == read_.size and (found.instances is None) == (read_.instances is None)
        if found.instances is not None:
            assert found.instances.size == read_.instances.size
            assert np.array_equal(found.instances.masks(), read_.instances.masks())
        if name == "recodai":  # what was not lost in the regions is kept, though its file has no place for it
            assert found.heatmap is one.heatmap and found.image_score == one.image_score
            continue
        assert np.array_equal(found.image_score, read_.image_score, equal_nan=True)
        assert (found.heatmap is None) == (read_.heatmap is None) == (name != "mediaeval_b")
        assert found.heatmap is None or np.array_equal(found.heatmap, read_.heatmap)
        assert found.scores is None and found.boxes is None


@pytest.mark.parametrize("name", ["mediaeval_a", "mediaeval_b"])
def test_what_cannot_be_written_cannot_be_expressed(name: str, refused) -> None:
    with refused("no image score"):
        FORMATS[name].expressed(Answer((2, 2), None), Settings())


# Settings


@pytest.mark.parametrize("name", ["threshold", "loc_threshold"])
@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_thresholds_outside_0_to_1_are_refused(name: str, value: float, refused) -> None:
    with refused(f"{name} is {value}; choose a number from 0 to 1"):
        Settings(**{name: value})


@pytest.mark.parametrize("value", [0, 1, 0.25])
def test_thresholds_within_are_taken(value: float) -> None:
    assert (Settings(threshold=value).threshold, Settings(loc_threshold=value).loc_threshold) == (value, value)


@pytest.mark.parametrize("team", ["", " ", "a b", "a/b", "../a", "a.b", "a\n", "a\0", "C:"])
def test_team_names_that_are_no_part_of_a_file_name(team: str, refused) -> None:
    with refused("team ", "use letters, digits, - and _ only"):
        Settings(team=team)


def test_formats_have_titles_and_a_fixed_order() -> None:
    assert list(formats.FORMATS) == ["recodai", "aaltoes", "mediaeval_a", "mediaeval_b", "tianchi"]
    assert len({layout.title for layout in formats.FORMATS.values()}) == 5
