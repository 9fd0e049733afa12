"""A stain is told from what was drawn over a picture; channels beside their merge are excused, a panel that was used twice is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forgery_rcnn.data.forge import furniture as drawing
from forgery_rcnn.matching import channels, finder
from forgery_rcnn.matching_config import MatchingConfig
from tests.matching.planted import noise_texture, saved

SIDE, LEVELS = 200, 12.0
EVERYWHERE = np.ones((SIDE, SIDE), bool)
BLUE, GREEN, RED, WHITE = (np.float32(colour) for colour in ((0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1)))


def field(seed: int) -> np.ndarray:
    """(200, 200, 3) uint8, grey, levels from 40 to 210."""
    return np.clip(noise_texture(2, seed, SIDE), 40, 210)


def cells(seed: int, count: int = 14, grain: bool = True) -> np.ndarray:
    """(200, 200) float32 in 0..1: bright blobs on black, with grain or even."""
    rng = np.random.default_rng(seed)
    light = np.zeros((SIDE, SIDE), np.float32)
    for x, y, radius in zip(*rng.integers(20, SIDE - 20, (2, count)), rng.integers(8, 15, count), strict=True):
        cv2.circle(light, (int(x), int(y)), int(radius), float(rng.uniform(0.5, 0.9)), cv2.FILLED)
    light = cv2.GaussianBlur(light, (0, 0), 2)
    return np.clip(light * noise_texture(1.5, seed, SIDE)[..., 0] / 160, 0, 1).astype(np.float32) if grain else light


def shown(light: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.round(255 * light[..., None] * colour).astype(np.uint8)


def marked(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """With four arrows."""
    out, room = pixels.copy(), np.ones((SIDE, SIDE), np.uint8)
    for turn, corner in enumerate(((30, 40), (120, 30), (50, 130), (130, 120))):
        drawing.stamp(out, room, drawing.arrow(34, 1.3 * turn, "solid"), corner, colour)
    return out


def strip(*parts: np.ndarray, gap: int = 8, ground: int = 255) -> np.ndarray:
    rim = np.full((SIDE, gap, 3), ground, np.uint8)
    row = np.hstack([piece for part in parts for piece in (rim, part)] + [rim])
    return cv2.copyMakeBorder(row, gap, gap, 0, 0, cv2.BORDER_CONSTANT, value=(ground,) * 3)


def pairs(pixels: np.ndarray) -> int:
    return len(finder.find(pixels, MatchingConfig()).pairs)


QUALITIES = pytest.mark.parametrize("quality", [100, 90, 70])
COLOURS = pytest.mark.parametrize("colour", [(255, 255, 0), (235, 20, 20), (0, 220, 60), (255, 0, 255)])


@QUALITIES
@COLOURS
def test_arrows_of_one_colour_are_no_stain(quality: int, colour: tuple[int, int, int]) -> None:
    own, other = saved(field(0), quality), saved(marked(field(0), colour), quality)
    assert not channels.are_stained(own, other, EVERYWHERE, LEVELS, 0.002)
    assert not channels.are_stained(other, own, EVERYWHERE, LEVELS, 0.002)


@QUALITIES
@pytest.mark.parametrize("colour", [RED, GREEN])
@pytest.mark.parametrize("flat", [False, True])
def test_a_stain_is_one_where_it_shows(quality: int, colour: np.ndarray, flat: bool) -> None:
    """Of cells with grain and of even ones, also in red, whose lightness is low everywhere."""
    light, stain = cells(1), cells(2, count=3, grain=not flat)
    own, other = shown(light, BLUE), cv2.add(shown(light, BLUE), shown(stain, colour))
    sides, share = (saved(own, quality), saved(other, quality)), float((stain > 0.07).mean())
    assert channels.are_stained(*sides, EVERYWHERE, LEVELS, 0.6 * share)
    assert not channels.are_stained(*sides, EVERYWHERE, LEVELS, 1.5 * share)


def test_what_is_drawn_over_or_beyond_the_panel_does_not_count() -> None:
    light, stain = cells(1), cells(2)
    sides = shown(light, BLUE), cv2.add(shown(light, BLUE), shown(stain, GREEN))
    hidden = cv2.dilate((stain > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    for seen in (~hidden, ~EVERYWHERE):
        assert not channels.are_stained(*sides, seen, LEVELS, 0.0)
    assert not channels.is_merge(*sides, ~EVERYWHERE)


@QUALITIES
@pytest.mark.parametrize("dimmed", [1.0, 0.5])
def test_a_merge_holds_its_channels_in_whichever_colour(quality: int, dimmed: float) -> None:
    light, stain = cells(3), cells(4)
    merge = saved(cv2.convertScaleAbs(cv2.add(shown(light, BLUE), shown(stain, GREEN)), None, dimmed), quality)
    for channel in (shown(light, BLUE), shown(light, WHITE), shown(stain, GREEN)):
        channel = saved(channel, quality)
        assert channels.is_merge(merge, channel, EVERYWHERE) and channels.is_merge(channel, merge, EVERYWHERE)
    assert not channels.is_merge(saved(shown(cells(5), BLUE), quality), merge, EVERYWHERE)
    assert not channels.is_merge(saved(shown(light, BLUE), quality), saved(shown(light, BLUE), quality), EVERYWHERE)


@QUALITIES
@pytest.mark.parametrize(("gap", "ground"), [(8, 255), (8, 0), (0, 0)])
@pytest.mark.parametrize("colour", [BLUE, WHITE])
def test_channels_beside_their_merge_are_excused(quality: int, gap: int, ground: int, colour: np.ndarray) -> None:
    """Between white gutters, between black ones, which nothing tells from the pictures' ground, and without any."""
    light, stain = cells(6), cells(7, count=3)
    merge = cv2.add(shown(light, BLUE), shown(stain, GREEN))
    row = strip(shown(light, colour), shown(stain, GREEN), merge, gap=gap, ground=ground)
    assert pairs(saved(row, quality)) == 0
    if ground == 0:
        column = strip(*(np.swapaxes(part, 0, 1) for part in (shown(light, colour), merge)), gap=gap, ground=0)
        assert pairs(saved(np.swapaxes(column, 0, 1), quality)) == 0


@pytest.mark.parametrize("gap", [0, 8])
def test_a_channel_and_its_merge_across_a_black_grid_are_excused(gap: int) -> None:
    first, second, third = cells(13), cells(14, count=3), cells(15, count=3)
    parts = shown(first, BLUE), shown(second, GREEN), shown(third, RED)
    merge = cv2.add(cv2.add(parts[0], parts[1]), parts[2])
    rows = strip(*parts[:2], gap=gap, ground=0), strip(parts[2], merge, gap=gap, ground=0)
    assert pairs(saved(np.vstack(rows), 90)) == 0


@QUALITIES
@COLOURS
def test_a_panel_used_twice_with_arrows_is_not_excused(quality: int, colour: tuple[int, int, int]) -> None:
    figure = strip(field(8), field(9), marked(field(8), colour))
    assert pairs(saved(figure, quality)) > 0


@QUALITIES
@pytest.mark.parametrize("stained", [False, True])
def test_cells_copied_by_half_of_a_dark_picture_are_not_excused(quality: int, stained: bool) -> None:
    """Though the shift is that of a strip's parts, and a stain may lie beside: the half does not show all that the other does."""
    left, right = cells(10, count=20), cells(11, count=20)
    right[60:140, 60:140] = left[60:140, 60:140]
    stain = cells(12, count=3) * (right == 0) * stained
    right_half = cv2.add(shown(right, BLUE), shown(stain, GREEN))
    found = finder.find(saved(np.hstack([shown(left, BLUE), right_half]), quality), MatchingConfig())
    assert [one.reason for one in found.rejected if "channel" in one.reason] == []
    assert quality < 100 or found.pairs


@QUALITIES
def test_a_smear_copied_by_half_of_itself_is_not_excused(quality: int) -> None:
    """Everywhere light, so that each half shows all that the other does, and other hues besides."""
    rng = np.random.default_rng(16)
    smear = np.full((SIDE, 2 * SIDE, 3), (222, 216, 212), np.float32) + rng.normal(0, 4, (SIDE, 2 * SIDE, 1))
    smear += cv2.GaussianBlur(rng.normal(0, 60, smear.shape[:2]), (0, 0), 3)[..., None]
    for x, y in rng.integers(20, (2 * SIDE - 20, SIDE - 20), (24, 2)):
        cell = cv2.circle(np.zeros(smear.shape[:2], np.float32), (int(x), int(y)), 16, 1.0, cv2.FILLED)
        smear += cv2.GaussianBlur(cell, (0, 0), 2)[..., None] * ((-20, -50, -40) if x % 2 else (-90, -110, -40))
    smear[50:130, SIDE + 40 : SIDE + 130] = smear[50:130, 40:130]
    found = finder.find(saved(np.clip(np.round(smear), 0, 255).astype(np.uint8), quality), MatchingConfig())
    assert found.pairs, [one.reason for one in found.rejected]


def pasted(pixels: np.ndarray) -> np.ndarray:
    """A square moved within a picture."""
    out = pixels.copy()
    out[120:170, 130:180] = pixels[20:70, 30:80]
    return out


def coloured(seed: int) -> np.ndarray:
    """(200, 200, 3) uint8: every colour its own texture."""
    return np.clip(np.dstack([noise_texture(2, 10 * seed + n, SIDE)[..., 0] for n in range(3)]), 40, 210)


@QUALITIES
def test_a_patch_in_colour_is_no_stain(quality: int) -> None:
    """The picture as it was and with a square moved within it, side by side."""
    own = coloured(1)
    assert channels.is_replaced(own, pasted(own), EVERYWHERE) and channels.is_replaced(pasted(own), own, EVERYWHERE)
    found = finder.find(saved(strip(own, pasted(own)), quality), MatchingConfig()).pairs
    assert any(abs(abs(pair.matrix[0, 2]) - SIDE - 8) < 2 for pair in found)


@pytest.mark.parametrize("colour", [GREEN, RED, WHITE, np.float32((1, 0, 1))])
@pytest.mark.parametrize("under", [GREEN, WHITE, np.float32((0, 1, 1)), np.float32((1, 0, 1))])
def test_a_stain_or_shade_lets_through_what_lies_under_it(under: np.ndarray, colour: np.ndarray) -> None:
    own = shown(0.45 * cells(1, 60), under)
    added = np.clip(np.int16(own) + shown(cells(2, 5), colour), 0, 255).astype(np.uint8)
    assert not channels.is_replaced(own, added, EVERYWHERE) and not channels.is_replaced(added, own, EVERYWHERE)
    inside = np.zeros((SIDE, SIDE, 1), np.float32)
    cv2.circle(inside, (90, 110), 40, 1.0, cv2.FILLED)
    for share in (0.3, 0.5, 0.7):
        shaded = np.round(coloured(3) * (1 - share * inside) + 255 * share * inside * colour).astype(np.uint8)
        assert not channels.is_replaced(coloured(3), shaded, EVERYWHERE)


def shaded(pixels: np.ndarray, share: float, colour: np.ndarray) -> np.ndarray:
    """With three areas of one colour over it."""
    inside = np.zeros((*pixels.shape[:2], 1), np.float32)
    for at in ((50, 60), (140, 90), (90, 160)):
        cv2.ellipse(inside, at, (17, 12), 30.0, 0.0, 360.0, 1.0, cv2.FILLED)
    return np.round(pixels * (1 - share * inside) + 255 * share * inside * colour).astype(np.uint8)


@pytest.mark.parametrize("colour", [RED, np.float32((1, 0, 1)), np.float32((0, 1, 1))])
@pytest.mark.parametrize("quality", [100, 70])
def test_a_field_beside_its_segmentation_is_one_field(quality: int, colour: np.ndarray) -> None:
    for seed, share in ((2, 0.35), (4, 0.6)):
        assert pairs(saved(strip(field(seed), shaded(field(seed), share, colour)), quality)) == 0


def test_shades_under_jpeg_are_not_something_else_put_there() -> None:
    """Whose fine detail is not the same any more."""
    smooth = np.uint8(cv2.GaussianBlur(np.float32(coloured(5)), (0, 0), 3))
    page = saved(strip(smooth, shaded(smooth, 0.6, np.float32((1, 0, 1)))), 60)
    assert not channels.is_replaced(page[8:208, 8:208], page[8:208, 216:416], EVERYWHERE)


def test_what_was_recorded_twice_may_differ_in_places() -> None:
    """Each of the two with grain of its own, in colour: no picture with something put there."""
    grain = np.random.default_rng(3).normal(0, 6, (2, SIDE, SIDE, 3))
    sides = [
        np.uint8(np.clip(side + one, 0, 255))
        for side, one in zip((coloured(6), pasted(coloured(6))), grain, strict=True)
    ]
    found = finder.find(strip(*sides), MatchingConfig()).pairs
    assert not any(abs(abs(pair.matrix[0, 2]) - SIDE - 8) < 2 and abs(pair.matrix[1, 2]) < 2 for pair in found)
