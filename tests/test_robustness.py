"""The robustness matrix: treatments do what they say, masks follow, differences are of the same images, nothing fitted on counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import robustness
from benchmarks.robustness import TREATMENTS, Case
from forgery_rcnn.data import images
from forgery_rcnn.inference import ensemble
from forgery_rcnn.instances import Instances
from forgery_rcnn.matching import finder
from tests.models.test_matcher import finding, pair


@pytest.fixture
def cases(shared_root: Path) -> list[Case]:
    return robustness.of_part([ensemble.load(("matcher",), robustness.BARE_PTH)], shared_root, "all", silent())


def silent() -> robustness.Screen:
    return robustness.Screen(None)


def test_treatments_change_pixels_and_size_as_they_say(cases: list[Case]) -> None:
    case = next(case for case in cases if case.label == "forged")
    plain = case.pixels().astype(int)
    changed = {}
    for name, treatment in TREATMENTS.items():
        pixels, truth = robustness.treated(case, treatment)
        again, _ = robustness.treated(case, treatment)
        assert np.array_equal(pixels, again) and pixels.dtype == np.uint8 and truth.size == pixels.shape[:2]
        share = truth.instances.areas().sum() / pixels[..., 0].size
        assert share == pytest.approx(case.true(plain.shape[:2]).areas().sum() / plain[..., 0].size, rel=0.05), name
        if pixels.shape == plain.shape:
            changed[name] = float(np.abs(pixels - plain).mean())
    height, width = plain.shape[:2]
    half, _ = robustness.treated(case, TREATMENTS["resized to 0.5"])
    assert half.shape == (round(height / 2), round(width / 2), 3) and changed["untouched"] == 0
    assert 0 < changed["JPEG 90"] < changed["JPEG 70"] < changed["JPEG 50"]
    assert changed["noise, 4 levels"] == pytest.approx(4 * np.sqrt(2 / np.pi), rel=0.1)


def test_an_instance_too_small_to_be_left_is_gone() -> None:
    masks = np.zeros((2, 40, 40), bool)
    masks[0, 3, 3] = masks[1, 10:30, 10:30] = True
    whole = Instances.from_masks(masks)
    case = Case("a", "forged", Path("none.png"), 0, lambda size: whole)
    object.__setattr__(case, "pixels", lambda: np.zeros((40, 40, 3), np.uint8))
    _, truth = robustness.treated(case, TREATMENTS["resized to 0.5"])
    assert truth.instances.areas().tolist() == [100]


def test_a_difference_is_paired_and_bold_only_where_enough_images_differ() -> None:
    groups = np.arange(24)
    base = dict.fromkeys(robustness.COLUMNS, np.linspace(0, 1, 24))
    worse = {name: values - 0.25 for name, values in base.items()}
    few = {name: np.where(groups < 9, values - 0.9, values) for name, values in base.items()}
    cells = robustness.line("x", worse, base, groups).split(" | ")
    assert cells[2] == "**-0.2500 [-0.2500, -0.2500]**"
    assert "**" not in robustness.line("x", few, base, groups)
    assert robustness.line("untouched", base, base, groups).split(" | ")[2] == ""
    halves = np.repeat([0, 1], 12)  # two sources: the interval knows no more than two witnesses
    values = np.where(halves == 0, 0.0, 1.0)
    assert (robustness.mean_of(values, halves).low, robustness.mean_of(values, groups).low > 0.2) == (0.0, True)


def test_the_page_is_written_without_images_fitted_on(
    cases: list[Case], shared_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable
) -> None:
    def find(pixels: np.ndarray, config: object) -> object:
        size = pixels.shape[:2]
        same = np.array_equal(pixels[40:70, 8:36], pixels[5:35, 40:68])
        return finding(*[pair((40, 5, 68, 35), (8, 40, 36, 70), 0.9, size)] * same, size=size)

    monkeypatch.setattr(finder, "find", find)
    page = tmp_path / "page.md"
    flags = [str(page), "matcher", "--data.root", str(shared_root), "--split", "all"]
    assert robustness.main([*flags, "--images", "6"]) == 0
    text = page.read_text()
    assert "6 images of root, split all, 3 of them forged" in text and text.count("\n| ") == 2 + len(TREATMENTS) - 1
    untouched, *others = [line.split(" | ") for line in text.splitlines() if line.startswith("| ") and "0." in line]
    assert untouched[1].startswith("1.0000") and others[0][2].startswith("-0.5000")  # no copy is exact any more
    digests = [robustness.held_out.digest(images.read(case.image).pixels) for case in cases[:4]]
    known = ensemble.load(("matcher",), robustness.BARE_PTH)
    monkeypatch.setitem(known.meta, "decision", {"images": digests})
    left = robustness.of_part([known], shared_root, "all", silent())
    assert {case.key for case in left} == {case.key for case in cases[4:]}
    assert robustness.main([*flags[:2], "--split", "test"]) == 2
