"""MediaEval 2025: both tasks' files by hand, round trips, and one Problem for everything that is wrong."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forgery_rcnn.errors import Problem
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.submission import archives, heatmaps, mediaeval

SIZE = (2, 3)
HEADER_A, HEADER_B = "image_id,prob,label,threshold", "image_id,prob,label,threshold,loc_threshold"
UNIT = st.floats(0, 1)
SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6))
MAPS = SHAPES.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
MASKS = SHAPES.flatmap(lambda shape: hnp.arrays(bool, (2, *shape)))
REGION = Instances.from_masks(np.array([[[1, 1, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 0]]], bool))


def truths(*ids: str, size: tuple[int, int] = SIZE) -> dict[str, Truth]:
    return {case: Truth(size, None) for case in ids}


def lines(path: Path, *rows: str, header: str = HEADER_A) -> Path:
    path.write_text("".join(f"{row}\n" for row in (header, *rows)), encoding="utf-8")
    return path


def split(found: Iterator[object]) -> tuple[dict[str, Answer], list[Problem]]:
    """-> answers by case id, problems; each problem's line is one line."""
    answers, problems = {}, []
    for one in found:
        if isinstance(one, Problem):
            assert len(str(one).splitlines()) == 1
            problems.append(one)
        else:
            assert isinstance(one, tuple)
            answers[one[0]] = one[1]
    return answers, problems


def said(problems: list[Problem]) -> list[tuple[str, int | None, str]]:
    return [(one.case_id, one.row, one.text) for one in problems]


def mask_of(found: Answer) -> np.ndarray:
    return Instances(found.size, () if found.instances is None else found.instances.runs).masks().any(axis=0)


# Task A


def test_a_as_the_competition_wants_it(tmp_path: Path) -> None:
    scores = {"x": 0.75, "y.2": 0.5, "=z": 0.25, "0": np.float32(0.7)}
    path = tmp_path / "we_2_constrained.zip"
    mediaeval.write_a(path, ((case, Answer(SIZE, None, score)) for case, score in scores.items()), 0.5)
    with zipfile.ZipFile(path) as zipped:
        assert zipped.namelist() == ["we_2_constrained.csv"]
        assert zipped.read("we_2_constrained.csv").decode().split("\n") == [
            HEADER_A,
            "x,0.75,1,0.5",
            "y.2,0.5,1,0.5",
            "'=z,0.25,0,0.5",
            "0,0.699999988079071,1,0.5",
            "",
        ]


@settings(max_examples=80, deadline=None)
@given(scores=st.lists(UNIT | st.floats(0, 1, width=32).map(np.float32), min_size=1, max_size=6), threshold=UNIT)
def test_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, scores: list[float | np.float32], threshold: float
) -> None:
    path = tmp_path_factory.mktemp("a") / "t_open.zip"
    answers = [(str(number), Answer(SIZE, None, score)) for number, score in enumerate(scores)]
    written = []
    for _ in range(2):
        mediaeval.write_a(path, iter(answers), threshold)
        written.append(path.read_bytes())
    assert written[0] == written[1]
    found, problems = split(mediaeval.read_a(path, truths(*(case for case, _ in answers))))
    assert not problems and [one.image_score for one in found.values()] == scores
    for one in found.values():
        assert one.size == SIZE and one.heatmap is None
        assert one.instances == (Instances(SIZE) if one.image_score >= threshold else None)


@pytest.mark.parametrize(
    "name", ["s.zip", "_open.zip", "t_open.csv", "t_open", "topen.zip", "t_open.zip.zip", "t_b.zip"]
)
def test_a_other_names(name: str, tmp_path: Path, refused) -> None:
    with refused(name, "TEAM_constrained.zip or TEAM_open.zip"):
        mediaeval.write_a(tmp_path / name, [("a", Answer(SIZE, None, 0.5))], 0.5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("score", "why"),
    [
        (math.nan, "needs image scores"),
        (1.01, "1.01; give"),
        (-0.5, "-0.5; give"),
        (math.inf, "inf"),
        (np.float32("nan"), "needs"),
    ],
)
def test_image_scores_that_cannot_be_written(score: float, why: str, tmp_path: Path, refused) -> None:
    answers = [("fine", Answer(SIZE, None, 0.5)), ("bad", Answer(SIZE, REGION, score))]
    with refused("case bad", why):
        mediaeval.write_a(tmp_path / "t_open.zip", answers, 0.5)
    with refused("case bad", why):
        mediaeval.write_b(tmp_path / "t_localization_masks.zip", answers, 0.5, 0.5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_thresholds_that_cannot_be_written(value: float, tmp_path: Path, refused) -> None:
    with refused("threshold is", str(value)):
        mediaeval.write_a(tmp_path / "t_open.zip", [], value)
    with refused("loc_threshold is", str(value)):
        mediaeval.write_b(tmp_path / "t_localization_masks.zip", [], 0.5, value)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("bad,x,1,0.5", "prob is 'x'"),
        ("bad,,1,0.5", "prob is ''"),
        ("bad,nan,1,0.5", "prob is 'nan'"),
        ("bad,inf,1,0.5", "prob is 'inf'"),
        ("bad,1.5,1,0.5", "prob is '1.5'"),
        ("bad,-0.5,0,0.5", "prob is '-0.5'"),
        ("bad,0_1,1,0.5", "prob is '0_1'"),
        ("bad,1e,1,0.5", "prob is '1e'"),
        ('bad,"0,9",1,0.5', "prob is '0,9'"),
        ("bad,0.9,2,0.5", "label is '2'; write 0 or 1"),
        ("bad,0.9,,0.5", "label is ''"),
        ("bad,0.9,true,0.5", "label is 'true'"),
        ("bad,0.9,1.0,0.5", "label is '1.0'"),
        ("bad,0.9,0,0.5", "label is 0, but prob is 0.9"),
        ("bad,0.4,1,0.5", "label is 1, but prob is 0.4"),
        ("bad,0.5,0,0.5", "label is 0, but prob is 0.5"),
        ("bad,0.9,1,", "threshold is ''"),
        ("bad,0.9,1,2", "threshold is '2'"),
        ("bad,0.9,1,0.6", "threshold is 0.6, in rows before it 0.5"),
        ("bad,0.9,1", "too few cells"),
    ],
)
def test_a_bad_rows(row: str, text: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "s.csv", "a,0.9,1,0.5", row, "b,.1,0,5e-1")
    answers, problems = split(mediaeval.read_a(path, truths("a", "bad", "b")))
    assert [*answers] == ["a", "b"] and answers["b"].image_score == 0.1
    ((case, line, found),) = said(problems)
    assert (case, line) == ("bad", 3) and text in found


def test_every_row_of_another_threshold_is_told(tmp_path: Path) -> None:
    path = lines(tmp_path / "s.csv", "a,x,1,0.1", "b,0.9,1,0.5", "c,0.9,1,0.6", "d,0.9,1,0.50", "e,0.9,1,0.7")
    answers, problems = split(mediaeval.read_a(path, truths(*"abcde")))
    assert [*answers] == ["b", "d"] and [one.case_id for one in problems] == ["a", "c", "e"]


def test_a_missing_unknown_and_double(tmp_path: Path) -> None:
    rows = [f"{case},0.9,1,0.5" for case in ("a", "a", "b.png", "")]
    answers, problems = split(mediaeval.read_a(lines(tmp_path / "s.csv", *rows), truths("a", "b", "c")))
    assert [*answers] == ["a"]
    assert [one.case_id for one in problems] == ["a", "b.png", "", "b", "c"]


def test_a_zip_holds_one_csv(tmp_path: Path, refused) -> None:
    data = f"\ufeff{HEADER_A}\r\na,1,1,0.5\r\n".encode()
    path = tmp_path / "s.zip"
    archives.write(path, [("readme.txt", b""), ("in/s.CSV", data)])
    answers, problems = split(mediaeval.read_a(path, truths("a")))
    assert answers["a"].image_score == 1 and not problems
    archives.write(path, [("1.csv", data), ("2.csv", data)])
    with refused("s.zip", "2 .csv files"):
        list(mediaeval.read_a(path, truths("a")))
    archives.write(path, [("1.txt", data)])
    with refused("s.zip", "0 .csv files"):
        list(mediaeval.read_a(path, truths("a")))


def test_a_other_files(tmp_path: Path, refused) -> None:
    archives.write(tmp_path / "s.zip", [("1.csv", b"image_id,prob\na,1\n")])
    with refused("s.zip: 1.csv", "no column label, threshold"):
        list(mediaeval.read_a(tmp_path / "s.zip", truths("a")))
    archives.write(tmp_path / "s.zip", [("1.csv", b"\xff\xfe\x00")])
    with refused("s.zip: 1.csv", "not a readable CSV"):
        list(mediaeval.read_a(tmp_path / "s.zip", truths("a")))
    with refused("none.csv: not readable (No such file"):
        list(mediaeval.read_a(tmp_path / "none.csv", truths("a")))
    (tmp_path / "t.csv").write_bytes((tmp_path / "s.zip").read_bytes()[:40])
    with refused("t.csv", "damaged, or not a zip file"):
        list(mediaeval.read_a(tmp_path / "t.csv", truths("a")))


@pytest.mark.parametrize("name", ["s.csv", "s.txt", "s.zip", "s"])
def test_a_csv_and_zip_of_any_name(name: str, tmp_path: Path) -> None:
    path = lines(tmp_path / name, "a,0.75,1,0.5")
    plain, problems = split(mediaeval.read_a(path, truths("a")))
    archives.write(path, [("s.csv", path.read_bytes())])
    assert not problems and split(mediaeval.read_a(path, truths("a"))) == (plain, []) and plain["a"].image_score == 0.75


# Task B


def npz(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, mask=array)
    return file.getvalue()


def npy(header: bytes, pixels: bytes = b"", version: bytes = b"\1\0") -> bytes:
    """An .npz whose array has this header, taken as it is."""
    return archives.packed(
        "a.npz", [("mask.npy", b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + pixels)]
    )


MAP = np.array([[0, 0.25, 0.5], [0.75, 1, 0]], np.float16)
GOOD = npz(MAP)


def masks_zip(path: Path, maps: Mapping[str, bytes], *rows: str) -> Path:
    table = "".join(f"{row}\n" for row in (HEADER_B, *rows)).encode()
    archives.write(path, [*((f"{case}.npz", data) for case, data in maps.items()), ("scores.csv", table)])
    return path


def test_b_as_the_competition_wants_it(tmp_path: Path) -> None:
    heatmap = np.array([[-0.5, 0.25, 0.5], [0.75, 1.5, 0]], np.float64)
    answers = {
        "soft": Answer(SIZE, REGION, 0.75, heatmap=heatmap),
        "hard": Answer(SIZE, REGION, 1.0),
        "low": Answer(SIZE, REGION, 0.25, heatmap=heatmap),
        "clean": Answer(SIZE, None, 0.75, heatmap=heatmap),
        "nowhere": Answer(SIZE, Instances(SIZE), 0.5),
        "edge": Answer(SIZE, REGION, np.float32(0.7)),
    }
    path = tmp_path / "t_localization_masks.zip"
    mediaeval.write_b(path, iter(answers.items()), 0.5, 0.25)
    union = [[1, 1, 1], [0, 0, 0]]
    maps = {
        "soft": [[0, 0.25, 0.5], [0.75, 1, 0]],
        "clean": [[0, 0.25, 0.5], [0.75, 1, 0]],
        "hard": union,
        "edge": union,
    }
    with zipfile.ZipFile(path) as zipped:
        assert zipped.namelist() == [*(f"{case}.npz" for case in answers), "scores.csv"]
        assert zipped.read("scores.csv").decode().split("\n")[:3] == [
            HEADER_B,
            "soft,0.75,1,0.5,0.25",
            "hard,1.0,1,0.5,0.25",
        ]
        for case in answers:
            with zipped.open(f"{case}.npz") as file, np.load(file) as arrays:
                assert arrays.files == ["mask"] and arrays["mask"].dtype == np.float16
                assert arrays["mask"].tolist() == maps.get(case, np.zeros(SIZE).tolist()), case


def test_b_label_and_map_agree_to_the_last_bit(tmp_path: Path) -> None:
    """0.7 as float32 lies below 0.7, though numpy calls them equal."""
    path = tmp_path / "t_localization_masks.zip"
    score = np.float32(0.7)
    assert float(score) < 0.7 <= score
    mediaeval.write_b(path, [("a", Answer(SIZE, REGION, score))], 0.7, 0.5)
    answers, problems = split(mediaeval.read_b(path, truths("a")))
    assert not problems and answers["a"].instances is None
    assert answers["a"].heatmap is not None and not answers["a"].heatmap.any()


@settings(max_examples=60, deadline=None)
@given(maps=st.lists(st.tuples(MAPS, UNIT), min_size=1, max_size=4), threshold=UNIT, loc_threshold=UNIT)
def test_b_round_trip_of_maps(
    tmp_path_factory: pytest.TempPathFactory,
    maps: list[tuple[np.ndarray, float]],
    threshold: float,
    loc_threshold: float,
) -> None:
    path = tmp_path_factory.mktemp("b") / "t_localization_masks.zip"
    answers = {
        str(number): Answer(heatmap.shape, Instances(heatmap.shape), score, heatmap=heatmap)
        for number, (heatmap, score) in enumerate(maps)
    }
    written = []
    for _ in range(2):
        mediaeval.write_b(path, iter(answers.items()), threshold, loc_threshold)
        written.append(path.read_bytes())
    assert written[0] == written[1]
    for size in (None, ANY_SIZE):
        known = {case: Truth(size or one.size, None) for case, one in answers.items()}
        found, problems = split(mediaeval.read_b(path, known))
        assert not problems and [*found] == [*answers]
        for one, (heatmap, score) in zip(found.values(), maps, strict=True):
            assert one.heatmap is not None and one.heatmap.dtype == np.float32 and one.size == heatmap.shape
            assert one.image_score == score and (one.instances is not None) == (score >= threshold)
            wanted = heatmap if score >= threshold else np.zeros_like(heatmap)
            assert np.abs(one.heatmap - wanted).max() <= 2.0**-12
            region = (one.heatmap >= loc_threshold) & (score >= threshold)
            assert np.array_equal(mask_of(one), region)
            assert one.instances is None or len(one.instances) == int(region.any())


@settings(max_examples=40, deadline=None)
@given(images=st.lists(MASKS, min_size=1, max_size=4))
def test_b_round_trip_of_regions(tmp_path_factory: pytest.TempPathFactory, images: list[np.ndarray]) -> None:
    path = tmp_path_factory.mktemp("b") / "t_localization_masks.zip"
    answers = {str(number): Instances.from_masks(masks) for number, masks in enumerate(images)}
    mediaeval.write_b(path, ((case, Answer(one.size, one, 1.0)) for case, one in answers.items()), 0.5, 0.5)
    found, problems = split(mediaeval.read_b(path, {case: Truth(one.size, None) for case, one in answers.items()}))
    assert not problems
    for case, masks in zip(answers, images, strict=True):
        assert found[case].instances is not None and np.array_equal(mask_of(found[case]), masks.any(axis=0))


@pytest.mark.parametrize("name", ["s.zip", "_localization_masks.zip", "t_localization_masks", "t_open.zip"])
def test_b_other_names(name: str, tmp_path: Path, refused) -> None:
    with refused(name, "TEAM_localization_masks.zip"):
        mediaeval.write_b(tmp_path / name, [], 0.5, 0.5)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(SIZE, REGION, 0.9, heatmap=np.full(SIZE, np.nan)), "NaN"),
        (Answer(SIZE, REGION, 0.9, heatmap=np.full(SIZE, np.inf)), "infinite"),
        (Answer(SIZE, REGION, 0.9, heatmap=np.zeros((3, 2))), "heat map is (3, 2), its image (2, 3)"),
        (Answer(ANY_SIZE, None, 0.1), "image size unknown"),
    ],
)
def test_b_what_cannot_be_written(answer: Answer, why: str, tmp_path: Path, refused) -> None:
    with refused("case bad", why):
        mediaeval.write_b(tmp_path / "t_localization_masks.zip", [("bad", answer)], 0.5, 0.5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", ["../a", "a/b", "a\\b", "a\0", ".", ""])
def test_b_case_ids_that_are_no_file_names(case: str, tmp_path: Path, refused) -> None:
    with refused("case id", repr(case)):
        mediaeval.write_b(tmp_path / "t_localization_masks.zip", [(case, Answer(SIZE, None, 0.1))], 0.5, 0.5)
    with refused("twice"):
        mediaeval.write_b(tmp_path / "t_localization_masks.zip", [("a", Answer(SIZE, None, 0.1))] * 2, 0.5, 0.5)
    assert list(tmp_path.iterdir()) == []


def test_b_is_written_image_by_image(tmp_path: Path) -> None:
    rng, sizes = np.random.default_rng(0), []

    def answers() -> Iterator[tuple[str, Answer]]:
        for number in range(3):
            yield str(number), Answer((200, 200), Instances((200, 200)), 1.0, heatmap=rng.random((200, 200)))
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))

    mediaeval.write_b(tmp_path / "t_localization_masks.zip", answers(), 0.5, 0.5)
    assert len(sizes) == 3 and 0 < sizes[0] < sizes[1] < sizes[2]


def array_of(header: str) -> bytes:
    return npy(header.encode(), bytes(12))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(npz(MAP.astype(np.float32)), "is float32, save it as float16", id="float32"),
        pytest.param(npz(MAP.astype(np.float64)), "is float64, save it as float16", id="float64"),
        pytest.param(npz((MAP > 0).astype(np.uint8)), "is uint8, save it as float16", id="uint8"),
        pytest.param(npz(MAP.astype(object)), "is object, save it as float16", id="pickled"),
        pytest.param(npz(MAP.T), "shape is (3, 2); save it as (2, 3)", id="turned"),
        pytest.param(npz(MAP[None]), "shape is (1, 2, 3)", id="three"),
        pytest.param(npz(MAP[0]), "shape is (3,)", id="one"),
        pytest.param(npz(MAP[0, 0]), "shape is ()", id="none"),
        pytest.param(npz(MAP * np.float16(np.nan)), "outside 0..1 or NaN", id="nan"),
        pytest.param(npz(MAP + np.float16(np.inf)), "outside 0..1 or NaN", id="inf"),
        pytest.param(npz(-MAP), "outside 0..1 or NaN", id="negative"),
        pytest.param(npz(MAP * np.float16(2)), "outside 0..1 or NaN", id="large"),
        pytest.param(archives.packed("", []), "holds 0 arrays", id="no array"),
        pytest.param(archives.packed("", [("a.npy", b""), ("b.npy", b"")]), "holds 2 arrays", id="two arrays"),
        pytest.param(
            archives.packed("", [(f"{n}", b"") for n in range(17)]), "17 members, at most 16", id="17 members"
        ),
        pytest.param(archives.packed("", [("mask.npy", b"")]), "not an array", id="empty member"),
        pytest.param(archives.packed("", [("mask.npy", b"text")]), "not an array", id="text"),
        pytest.param(b"", "not a zip file", id="empty file"),
        pytest.param(GOOD[:50], "not a zip file", id="cut"),
        pytest.param(array_of("{"), "not an array", id="header cut"),
        pytest.param(
            array_of("{'descr': '<f2', 'fortran_order': False, 'shape': (9, 9)}"), "shape is (9, 9)", id="size"
        ),
        pytest.param(
            array_of("{'descr': '<f2', 'fortran_order': False, 'shape': (-2, -3)}"), "shape is (-2, -3)", id="minus"
        ),
        pytest.param(
            array_of(f"{{'descr': '<f2', 'fortran_order': False, 'shape': (0x{'f' * 5000}, 3)}}"),
            "out of all bounds",
            id="huge",
        ),
        pytest.param(
            array_of(f"{{'descr': '<f2', 'fortran_order': False, 'shape': ({'1, ' * 900})}}"),
            "out of all bounds",
            id="deep",
        ),
        pytest.param(npy(b"", version=b"\3\0"), "not an array", id="version"),
        pytest.param(
            npy(b"{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3)}", bytes(11)),
            "11 bytes of pixels",
            id="short",
        ),
        pytest.param(
            npy(b"{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3)}", bytes(13)),
            "13 bytes of pixels",
            id="long",
        ),
    ],
)
def test_b_bad_maps(data: bytes, text: str, tmp_path: Path) -> None:
    path = masks_zip(tmp_path / "s.zip", {"good": GOOD, "bad": data}, "good,1,1,0.5,0.5", "bad,1,1,0.5,0.5")
    answers, problems = split(mediaeval.read_b(path, truths("good", "bad")))
    assert [*answers] == ["good"]
    ((case, _, found),) = said(problems)
    assert case == "bad" and text in found and "bad.npz" in found and "s.zip" not in found


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (3,)])
def test_b_a_map_without_pixels_of_an_image_of_unknown_size(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = masks_zip(tmp_path / "s.zip", {"a": npz(np.zeros(shape, np.float16))}, "a,1,1,0.5,0.5")
    answers, problems = split(mediaeval.read_b(path, truths("a", size=ANY_SIZE)))
    assert not answers and f"shape is {shape}; save it as (H, W) of the image" in problems[0].text


def test_b_a_damaged_member_is_a_problem_of_its_case(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("a.npz", b"content")
        zipped.writestr("b.npz", GOOD)
        zipped.writestr("scores.csv", f"{HEADER_B}\na,1,1,0.5,0.5\nb,1,1,0.5,0.5\n")
    path.write_bytes(path.read_bytes().replace(b"content", b"kontent"))
    answers, problems = split(mediaeval.read_b(path, truths("a", "b")))
    assert [*answers] == ["b"] and [one.case_id for one in problems] == ["a"]
    assert problems[0].text.startswith("member 'a.npz' is damaged")


def test_b_other_ways_to_save_a_map(tmp_path: Path) -> None:
    header = b"{'descr': '<f2', 'fortran_order': False, 'shape': (2L, 3L)}"  # as Python 2 wrote it
    ways = {
        "columns": npz(np.asfortranarray(MAP)),
        "big": npz(MAP.astype(">f2")),
        "python2": npy(header, MAP.tobytes()),
        "name": archives.packed("", [("other/name.npy", archives.unpacked(GOOD, "", heatmaps.NPZ).read("mask.npy"))]),
    }
    path = masks_zip(tmp_path / "s.zip", ways, *(f"{case},1,1,0.5,0.5" for case in ways))
    answers, problems = split(mediaeval.read_b(path, truths(*ways)))
    assert not problems and [*answers] == [*ways]
    for one in answers.values():
        assert one.heatmap is not None and one.heatmap.flags.c_contiguous and one.heatmap.dtype == "=f4"
        assert np.array_equal(one.heatmap, MAP) and np.array_equal(mask_of(one), MAP >= 0.5)


def test_b_hostile_zips_within_the_zip(tmp_path: Path) -> None:
    maps = {}
    for case, field, value in (
        ("up", "filename", "../mask.npy"),
        ("link", "external_attr", 0o120777 << 16),
        ("lie", "file_size", 5),
    ):
        file = io.BytesIO(GOOD)
        with zipfile.ZipFile(file, "a") as zipped:
            zipped.writestr("mask2.npy", b"long enough")
            setattr(zipped.filelist[0], field, value)
        maps[case] = file.getvalue()
    path = masks_zip(tmp_path / "s.zip", maps, *(f"{case},0,0,0.5,0.5" for case in maps))
    answers, problems = split(mediaeval.read_b(path, truths(*maps)))
    assert not answers and [one.case_id for one in problems] == ["up", "link", "lie"]
    assert "unsafe name" in problems[0].text and "plain files" in problems[1].text and "2 arrays" in problems[2].text


def test_b_missing_unknown_and_extra(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    table = f"{HEADER_B}\na,1,1,0.5,0.5\nno map,1,1,0.5,0.5\nextra,1,1,0.5,0.5\n".encode()
    members = [
        ("a.npz", GOOD),
        ("extra.npz", GOOD),
        ("no row.npz", GOOD),
        ("in/b.npz", GOOD),
        ("x.txt", b""),
        ("scores.csv", table),
    ]
    archives.write(path, members)
    answers, problems = split(mediaeval.read_b(path, truths("a", "no map", "no row")))
    assert [*answers] == ["a"]
    assert [(one.case_id, one.row) for one in problems] == [
        ("extra", 4),
        ("no row", None),
        ("", None),
        ("", None),
        ("extra", None),
        ("no map", None),
    ]
    assert "'in/b.npz'" in problems[2].text and "'x.txt'" in problems[3].text


def test_b_without_scores(tmp_path: Path) -> None:
    archives.write(tmp_path / "s.zip", [("a.npz", GOOD), ("b.npz", npz(MAP.T))])
    answers, problems = split(mediaeval.read_b(tmp_path / "s.zip", truths("a", "b")))
    assert not answers and [one.case_id for one in problems] == ["", "b"] and "no scores.csv" in problems[0].text


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("b,0.9,1,0.5,0.4", "loc_threshold is 0.4, in rows before it 0.5"),
        ("b,0.9,1,0.4,0.5", "threshold is 0.4, in rows before it 0.5"),
        ("b,0.9,0,0.5,0.5", "label is 0, but prob is 0.9"),
        ("b,0.9,1,0.5,x", "loc_threshold is 'x'"),
        ("b,0.9,1,0.5", "too few cells"),
    ],
)
def test_b_bad_rows(row: str, text: str, tmp_path: Path) -> None:
    path = masks_zip(tmp_path / "s.zip", {"a": GOOD, "b": GOOD}, "a,0.1,0,0.5,0.5", row)
    answers, problems = split(mediaeval.read_b(path, truths("a", "b")))
    assert [*answers] == ["a"] and answers["a"].instances is None
    ((case, line, found),) = said(problems)
    assert (case, line) == ("b", 3) and text in found


def test_b_what_is_no_such_file(tmp_path: Path, refused) -> None:
    with refused("none.zip", "not a readable zip"):
        list(mediaeval.read_b(tmp_path / "none.zip", truths("a")))
    archives.write(tmp_path / "s.zip", [("scores.csv", f"{HEADER_A}\na,1,1,0.5\n".encode())])
    with refused("s.zip: scores.csv", "no column loc_threshold"):
        list(mediaeval.read_b(tmp_path / "s.zip", truths("a")))


CHANGES = st.tuples(st.integers(0, 139), st.integers(0, 255), st.just(140)) | st.tuples(
    st.just(0), st.just(0x93), st.integers(0, 139)
)


@settings(max_examples=200, deadline=None)
@given(change=CHANGES)
def test_b_any_damage_is_one_problem(tmp_path_factory: pytest.TempPathFactory, change: tuple[int, int, int]) -> None:
    """One byte of the array's 140 changed, under a checksum that fits, or its end cut off."""
    data = bytearray(archives.unpacked(GOOD, "", heatmaps.NPZ).read("mask.npy"))
    at, value, length = change
    assert len(data) == 140
    data[at] = value
    bad = archives.packed("a.npz", [("mask.npy", bytes(data[:length]))])
    path = masks_zip(tmp_path_factory.mktemp("b") / "s.zip", {"a": bad}, "a,1,1,0.5,0.5")
    answers, problems = split(mediaeval.read_b(path, truths("a")))
    assert len(answers) + len(problems) == 1
    assert length == 140 or problems[0].case_id == "a"
