"""The command: a folder in, evidence out; what cannot be read costs a line."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from forgery_rcnn import rle
from forgery_rcnn.data.layouts import folders
from forgery_rcnn.matching import examined, excuses, finder, folder
from forgery_rcnn.matching.__main__ import main
from forgery_rcnn.matching.between import Held
from forgery_rcnn.matching.examined import Examined
from forgery_rcnn.matching.library import Candidate
from forgery_rcnn.matching.pairs import Figure, Finding, Hypothesis, Pair, Rejected, gray_of
from forgery_rcnn.matching_config import MatchingConfig

SIDE = 128


def speckled(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = sum(cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), s) * s for s in (1.5, 3.0, 6.0))
    return np.repeat(np.clip(128 + 45 * noise / noise.std(), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def within(pixels: np.ndarray, config: MatchingConfig) -> Finding:
    """Stands for the finder: a pair wherever the first pixel is black."""
    size = pixels.shape[:2]
    figure = Figure(pixels, gray_of(pixels), np.zeros(size, bool), np.array([[0, 0, size[1], size[0]]]))
    if pixels[0, 0].any():
        return Finding(figure, ())
    runs = [rle.runs_of(np.ones((20, 20), bool), size, corner) for corner in ((5, 5), (60, 65))]
    matrix = np.array([[1.0, 0, 55], [0, 1, 60]])
    return Finding(figure, (Pair(*runs, matrix, 20, 0.97, 1e-7, 0.95, "undecided", "keypoints", False),))


def across(figure: Figure, hypotheses: list, config: MatchingConfig) -> Finding:
    """Stands for the verifier: whatever has many matches holds, over the box of its places."""
    pairs = []
    for hypothesis in hypotheses[:1]:
        runs = []
        for places in (hypothesis.first, hypothesis.second):
            low, high = places.min(axis=0).astype(int), places.max(axis=0).astype(int) + 1
            runs.append(rle.runs_of(np.ones((high - low)[::-1], bool), figure.size, (int(low[0]), int(low[1]))))
        if len(hypothesis.first) > 12:
            pairs.append(Pair(*runs, hypothesis.matrix, len(places), 0.9, 1e-9, 0.9, "first", "keypoints", True))
    return Finding(figure, tuple(pairs))


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "find", within)
    monkeypatch.setattr(folder, "VERIFIER", across)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    shown = speckled(0)
    shown[0, 0] = 0
    Image.fromarray(shown).save(root / "twice.png")
    Image.fromarray(speckled(1)).save(root / "clean.png")
    turned = speckled(2, SIDE, SIDE + 40)
    turned[:120, 10:130] = np.rot90(shown)[:120, :120]
    Image.fromarray(turned).save(root / "sub/=turned.jpg", quality=90)
    return root


def run(root: Path, out: Path, *more: str) -> int:
    return main([str(root), "--out", str(out), "--workers", "1", *more])


def test_a_folder_gives_a_table_json_pictures_and_a_page(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(images, out) == 0
    rows = list(csv.DictReader((out / "pairs.csv").read_text().splitlines()))
    assert [(row["image_a"], row["image_b"]) for row in rows] == [
        ("twice.png", "twice.png"),
        ("sub/=turned.jpg", "twice.png"),
    ]
    assert float(rows[1]["turn_degrees"]) == pytest.approx(-90, abs=3)
    assert all((out / row["picture"]).stat().st_size > 1000 for row in rows)
    html = (out / "index.html").read_text()
    assert all(f'src="{row["picture"]}"' in html for row in rows) and "clean.png" in html
    told = json.loads((out / "pairs.json").read_text())
    assert [image["image"] for image in told["images"]] == ["clean.png", "sub/=turned.jpg", "twice.png"]
    assert told["settings"]["max_chance"] == MatchingConfig().max_chance and "OpenCV" in told["versions"]
    said = capsys.readouterr().out
    assert "clean.png: nothing found" in said
    assert said.splitlines()[-1] == (
        "verdict: 1 of 3 images holds a region twice, 1 pair of images shares a region, nothing found in 1"
    )


def test_a_bad_file_costs_a_line(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (images / "empty.png").write_bytes(b"")
    (images / "text.tif").write_text("no image")

    def stumbling(pixels: np.ndarray, config: MatchingConfig) -> Finding:
        if pixels.shape[1] != SIDE:
            raise ValueError("singular\nmatrix")
        return within(pixels, config)

    monkeypatch.setattr(finder, "find", stumbling)
    assert run(images, tmp_path / "out", "--between", "off") == 1
    said = capsys.readouterr()
    errors = [line for line in said.out.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3 and "empty.png" in errors[0] and "=turned.jpg: could not be examined" in errors[1]
    assert "3 could not be read" in said.out.splitlines()[-1] and said.err == ""
    assert "Could not be read: " in (tmp_path / "out/index.html").read_text()


def test_a_second_run_looks_at_new_files_only(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def counted(pixels: np.ndarray, config: MatchingConfig) -> Finding:
        seen.append(pixels.shape)
        return within(pixels, config)

    monkeypatch.setattr(finder, "find", counted)
    out = tmp_path / "out"
    run(images, out)
    first = {name: (out / name).read_bytes() for name in ("pairs.csv", "pairs.json", "index.html")}
    run(images, out)
    assert len(seen) == 3
    assert first == {name: (out / name).read_bytes() for name in first}
    for kept in list((out / "kept").iterdir())[:1]:
        kept.write_bytes(kept.read_bytes()[:100])  # half written by something that was killed
    run(images, out)
    assert len(seen) == 4
    run(images, out, "--matching.min-area", "300")
    assert len(seen) == 7


def test_ctrl_c_leaves_what_is_done(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(pixels: np.ndarray, config: MatchingConfig) -> Finding:
        os.kill(os.getpid(), signal.SIGINT)
        return within(pixels, config)

    monkeypatch.setattr(finder, "find", interrupted)
    assert threading.current_thread() is threading.main_thread()
    assert run(images, tmp_path / "out") == 130
    told = json.loads((tmp_path / "out/pairs.json").read_text())
    assert len(told["images"]) == 1 and told["not_looked_at"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing"], "no such folder of images"),
        (["empty"], "no image in it"),
        (["in", "--out", "in"], "is the folder of images itself"),
        (["pictures/in", "--out", "."], "its pictures would be drawn among the images"),
        (["in", "--workers", "0"], "--workers is 0"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    images: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(images.parent)
    Path("empty").mkdir()
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_pictures_of_an_earlier_run_are_not_looked_at(images: Path) -> None:
    out = images / "report"
    (out / "pictures").mkdir(parents=True)
    Image.fromarray(speckled(3)).save(out / "pictures/01_a.png")
    assert [path.name for path in folder.listed(images, out).images] == ["clean.png", "=turned.jpg", "twice.png"]


def test_a_folder_is_no_image_and_another_report_s_pictures_are_not_looked_at(images: Path) -> None:
    (images / "folder.png").mkdir()
    (images / "old/pictures").mkdir(parents=True)
    (images / "mine/pictures").mkdir(parents=True)
    (images / "old/pairs.json").write_text("{}")
    for name in ("old", "mine"):
        Image.fromarray(speckled(3)).save(images / name / "pictures/01_a.png")
    found = [path.relative_to(images).as_posix() for path in folder.listed(images, images / "new").images]
    assert found == ["clean.png", "mine/pictures/01_a.png", "sub/=turned.jpg", "twice.png"]


def test_overlays_of_a_submission_are_not_looked_at(images: Path) -> None:
    """Whatever the format of the submission beside them."""
    for name, marked in (("answers", True), ("mine", False)):
        (images / name / "overlays").mkdir(parents=True)
        Image.fromarray(speckled(3)).save(images / name / "overlays/a.png")
        if marked:
            (images / name / "overlays" / folders.DRAWN).touch()
    found = [path.relative_to(images).as_posix() for path in folder.listed(images, images / "new").images]
    assert found == ["clean.png", "mine/overlays/a.png", "sub/=turned.jpg", "twice.png"]


def test_what_could_not_be_looked_at_is_said(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (images / "figures.pdf").write_bytes(b"%PDF")
    (images / "gone.png").symlink_to("nowhere.png")
    (images / "linked").symlink_to(tmp_path)
    walk = os.walk

    def closed(top: Path, onerror: Callable[[OSError], None]) -> Iterator[tuple[str, list[str], list[str]]]:
        for place, below, names in walk(top):
            if Path(place).name == "sub":
                onerror(PermissionError(13, "Permission denied", place))
            else:
                yield place, below, names

    monkeypatch.setattr(folder.os, "walk", closed)
    assert run(images, tmp_path / "out", "--between", "off") == 1
    said = capsys.readouterr().out.splitlines()
    assert "note: left out, not read as images: 1 .pdf" in said
    errors = [line for line in said if line.startswith("error: ")]
    assert (
        len(errors) == 3
        and "linked: a link to a folder, not followed" in errors[0]
        and "gone.png: a link that leads to no file" in errors[1]
        and "sub: cannot be read (Permission denied)" in errors[2]
    )
    page = (tmp_path / "out/index.html").read_text()
    assert "1 .pdf" in page and "gone.png: a link that leads to no file" in page
    assert json.loads((tmp_path / "out/pairs.json").read_text())["left_out"].endswith("1 .pdf")


def test_a_place_that_cannot_be_written_is_told_first_and_a_cache_that_cannot_costs_a_note(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(finder, "find", lambda *_: pytest.fail("looked"))
        assert run(images, tmp_path / "file/out") == 2
    assert "cannot be written" in capsys.readouterr().err
    (tmp_path / "out").mkdir()
    (tmp_path / "out/kept").write_text("")
    assert run(images, tmp_path / "out") == 0
    told = json.loads((tmp_path / "out/pairs.json").read_text())
    assert len(told["pairs"]) == 2 and "not kept for a second run" in told["images"][0]["left_out"][-1]


def test_images_of_one_field_are_named_and_not_counted(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor are they among those that have nothing in common with any other."""

    def excused(figure: Figure, proposed: Sequence[Hypothesis], config: MatchingConfig) -> Finding:
        many, few = (Hypothesis(np.eye(2, 3), np.zeros((k, 2)), np.zeros((k, 2)), "keypoints") for k in (50, 49))
        return Finding(figure, (), (Rejected(many, excuses.FIELDS[1]), Rejected(few, excuses.FIELDS[2])))

    monkeypatch.setattr(folder, "VERIFIER", excused)
    assert run(images, tmp_path / "out") == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert "0 pairs of images share a region, 1 pair taken for one field, shown twice, nothing found in 1" in said
    told = json.loads((tmp_path / "out/pairs.json").read_text())["excused"]
    assert told == [{"image_a": "sub/=turned.jpg", "image_b": "twice.png", "why": [excuses.FIELDS[1]]}]
    page = (tmp_path / "out/index.html").read_text()
    assert "One field, shown twice (1)" in page and "Nothing found (1)" in page


def test_a_name_in_another_encoding_costs_a_line(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / os.fsdecode(b"caf\xe9.png")).write_bytes((images / "clean.png").read_bytes())
    assert run(images, tmp_path / "out", "--between", "off") == 1
    assert "is not UTF-8; rename the file" in capsys.readouterr().out
    assert (tmp_path / "out/index.html").is_file()


def test_every_pair_has_a_number_of_its_own(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where two candidates of the same panels end at one motion, which counts once."""

    def pair(x: int) -> Pair:
        runs = [rle.runs_of(np.ones((20, 20), bool), (SIDE, SIDE), (x, y)) for y in (5, 60)]
        return Pair(*runs, np.eye(2, 3), 20, 0.9, 1e-9, 0.9, "undecided", "keypoints", True)

    def sides(files: Sequence[Examined]) -> tuple[list[folder.Sides], int]:
        clean, turned, twice = files
        between = [(clean, twice), (clean, twice), (turned, twice)]
        return [
            folder.Sides(two, (0, 0), Candidate(0, 1, np.eye(2, 3), np.zeros((0, 2)), np.zeros((0, 2)), 0.0))
            for two in between
        ], 3

    monkeypatch.setattr(folder, "candidates", sides)
    monkeypatch.setattr(
        folder,
        "verified",
        lambda *_: iter(Held(pairs, ()) for pairs in ([pair(5)], [pair(5), pair(50)], [pair(5), pair(90)])),
    )
    assert run(images, tmp_path / "out") == 0
    rows = list(csv.DictReader((tmp_path / "out/pairs.csv").read_text().splitlines()))
    assert sorted(row["pair"] for row in rows) == ["1", "2", "3", "4", "5"]
    pictures = {(row["image_a"], row["image_b"]): row["picture"] for row in rows}
    assert len(pictures) == len({*pictures.values()}) == 3


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    pixels = speckled(4)
    pixels[0, 0] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = examined.examine(tmp_path / "a.png", "a.png", MatchingConfig(), 50, within)
    examined.save(found, tmp_path / "kept.npz")
    again = examined.load(tmp_path / "kept.npz", "b.png")
    assert again is not None and again.name == "b.png" and again.size == found.size and again.notes == found.notes
    for name in ("first", "second", "matrix"):
        assert np.array_equal(getattr(again.pairs[0], name), getattr(found.pairs[0], name))
    assert (again.pairs[0].chance, again.pairs[0].original) == (1e-7, "undecided")
    (mine,), (other,) = found.keypoints, again.keypoints
    assert np.array_equal(mine.xy, other.xy) and np.abs(mine.descriptors - other.descriptors).max() < 0.002
    assert examined.load(tmp_path / "missing.npz", "a") is None


def test_processes_give_the_same(images: Path, tmp_path: Path) -> None:
    """The real finder: stand-ins do not reach other processes."""
    task = folder.Task(images, tmp_path / "kept", MatchingConfig(), 60)
    files = folder.listed(images, tmp_path).images
    names = [found.name for found in folder.looked_at(task, files, 2) if not isinstance(found, str)]
    assert names == ["clean.png", "sub/=turned.jpg", "twice.png"]
