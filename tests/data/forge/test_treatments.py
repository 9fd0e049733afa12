"""Treatments: size kept, the same for both twins, and each leaves the trace that it is named after."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import JpegPresets

from forgery_rcnn.data.forge import treatments

LUMA = tuple(range(8, 72))
TABLES = ((LUMA, tuple(range(16, 80))),)


def picture(size: tuple[int, int] = (75, 110)) -> np.ndarray:
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, size[1])[None, :, None] * np.array([1, 0.7, 0.4])
    return np.clip(ramp + rng.normal(0, 12, (*size, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", treatments.TREATMENTS)
@pytest.mark.parametrize("size", [(75, 110), (64, 64), (3, 5)])
def test_size_is_kept_and_the_settings_decide_all(name: str, size: tuple[int, int]) -> None:
    draw, apply = treatments.TREATMENTS[name]
    for seed in range(6):
        settings = draw(TABLES, np.random.default_rng(seed))
        once, again = (apply(picture(size), settings) for _ in range(2))
        assert once.shape == (*size, 3) and once.dtype == np.uint8 and np.array_equal(once, again)


def blockiness(pixels: np.ndarray, column: int) -> float:
    """How much larger steps across columns 8k + column are than others."""
    steps = np.abs(np.diff(pixels[..., 1].astype(int), axis=1)).mean(axis=0)
    return float(steps[column::8].mean() / np.delete(steps, np.arange(column, len(steps), 8)).mean())


@pytest.mark.parametrize("shift", [0, 3, 5])
def test_the_jpeg_grid_lies_where_it_is_shifted_to(shift: int) -> None:
    smooth = np.repeat(np.linspace(0, 255, 160).astype(np.uint8)[None], 120, axis=0)
    pixels = np.repeat(smooth[..., None], 3, axis=2)
    out = treatments.jpeg(pixels, {"shift": [0, shift], "subsampling": "4:4:4", "quality": 10})
    ratios = [blockiness(out, column) for column in range(8)]
    assert int(np.argmax(ratios)) == (7 - shift) % 8


def test_jpeg_uses_the_tables_it_is_given() -> None:
    coarse = {"shift": [0, 0], "subsampling": "4:4:4", "tables": [[90] * 64, [90] * 64]}
    fine = {**coarse, "tables": [[1] * 64, [1] * 64]}
    pixels = picture()
    errors = [np.abs(treatments.jpeg(pixels, settings).astype(int) - pixels).mean() for settings in (coarse, fine)]
    assert errors[0] > 8 and errors[1] < 1.5


def test_all_sources_of_tables_are_drawn() -> None:
    drawn = [treatments.draw_jpeg(TABLES, np.random.default_rng(seed)) for seed in range(80)]
    assert {next(key for key in ("tables", "preset", "quality") if key in each) for each in drawn} == {
        "tables",
        "preset",
        "quality",
    }
    assert {each["preset"] for each in drawn if "preset" in each} <= set(JpegPresets.presets)
    assert any(each["shift"] == [0, 0] for each in drawn) and any(each["shift"] != [0, 0] for each in drawn)
    assert all("tables" not in treatments.draw_jpeg((), np.random.default_rng(seed)) for seed in range(40))


def test_chroma_loses_colour_detail_and_keeps_brightness() -> None:
    pixels = picture()
    out = treatments.chroma(pixels, {"down": 2})
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs((out - pixels.astype(float)) @ luma).mean() < 2 < np.abs(out - pixels.astype(float)).mean()


def test_some_figures_get_none_some_several_and_order_is_kept() -> None:
    drawn = [[name for name, _ in treatments.drawn(TABLES, np.random.default_rng(seed))] for seed in range(200)]
    order = list(treatments.TREATMENTS)
    assert all(names == sorted(names, key=order.index) for names in drawn)
    assert 0.2 < np.mean([not names for names in drawn]) < 0.55 and max(map(len, drawn)) >= 2


def test_twins_stay_twins() -> None:
    before, after = picture((160, 160)), picture((160, 160))
    after[40:70, 40:70] = 255 - after[40:70, 40:70]
    steps = [("noise", {"sigma": 4.0, "seed": 3}), ("jpeg", {"shift": [1, 2], "subsampling": "4:2:0", "quality": 75})]
    difference = np.abs(treatments.treated(before, steps).astype(int) - treatments.treated(after, steps)).max(axis=2)
    assert difference[44:66, 44:66].mean() > 40
    difference[40 - 16 : 70 + 16, 40 - 16 : 70 + 16] = 0  # a block of subsampled colour
    assert difference.max() == 0
