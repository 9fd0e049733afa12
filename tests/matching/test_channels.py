"""A stain is told from what was drawn over a picture; channels beside their merge are excused, a panel that was used twice is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forgery_rcnn.data.forge import furniture as drawing
from forgery_rcnn.matching import channels, finder
from forgery_rcnn.matching_config import MatchingConfig
from tests.matching.planted import noise_texture

SIDE, LEVELS = 200, 12.0
EVERYWHERE = np.ones((SIDE, SIDE), bool)
BLUE, GREEN, WHITE = (np.float32(colour) for colour in ((0, 0, 1), (0, 1, 0), (1, 1, 1)))


def field(seed: int) -> np.ndarray:
    """(200, 200, 3) uint8, grey, levels from 40 to 210."""
    return np.clip(noise_texture(2, seed, SIDE), 40, 210)


def cells(seed: int, count: int = 14) -> np.ndarray:
    """(200, 200) float32 in 0..1: bright grainy blobs on black."""
    rng = np.random.default_rng(seed)
    light = np.zeros((SIDE, SIDE), np.float32)
    for x, y, radius in zip(*rng.integers(20, SIDE - 20, (2, count)), rng.integers(8, 15, count), strict=True):
        cv2.circle(light, (int(x), int(y)), int(radius), float(rng.uniform(0.5, 0.9)), cv2.FILLED)
    light = cv2.GaussianBlur(light, (0, 0), 2) * noise_texture(1.5, seed, SIDE)[..., 0].astype(np.float32) / 160
    return np.clip(light, 0, 1)


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


def saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    """As JPEG, colours at half the size; 100 is lossless here."""
    if quality == 100:
        return pixels
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def pairs(pixels: np.ndarray) -> int:
    return len(finder.find(pixels, MatchingConfig()).pairs)


QUALITIES = pytest.mark.parametrize("quality", [100, 90, 70])
COLOURS = pytest.mark.parametrize("colour", [(255, 255, 0), (235, 20, 20), (0, 220, 60), (255, 0, 255)])


@QUALITIES
@COLOURS
def test_arrows_of_one_colour_are_no_stain(quality: int, colour: tuple[int, int, int]) -> None:
    own, other = saved(field(0), quality), saved(marked(field(0), colour), quality)
    assert channels.stained(own, other, EVERYWHERE, LEVELS) < 0.002
    assert channels.stained(other, own, EVERYWHERE, LEVELS) < 0.002


@QUALITIES
def test_a_stain_is_counted_where_it_shows(quality: int) -> None:
    light, stain = cells(1), cells(2, count=3)
    own, other = shown(light, BLUE), cv2.add(shown(light, BLUE), shown(stain, GREEN))
    share = channels.stained(saved(own, quality), saved(other, quality), EVERYWHERE, LEVELS)
    assert share == pytest.approx((stain > 0.07).mean(), rel=0.35)


def test_what_is_drawn_over_or_beyond_the_panel_does_not_count() -> None:
    light, stain = cells(1), cells(2)
    sides = shown(light, BLUE), cv2.add(shown(light, BLUE), shown(stain, GREEN))
    hidden = cv2.dilate((stain > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert channels.stained(*sides, ~hidden, LEVELS) == 0
    assert channels.stained(*sides, ~EVERYWHERE, LEVELS) == 0


@QUALITIES
def test_a_merge_shows_all_of_its_channel_in_whichever_colour(quality: int) -> None:
    light, stain = cells(3), cells(4)
    merge = saved(cv2.add(shown(light, BLUE), shown(stain, GREEN)), quality)
    for channel in (shown(light, BLUE), shown(light, WHITE), shown(stain, GREEN)):
        channel = saved(channel, quality)
        assert channels.shows_all(merge, channel, EVERYWHERE) and channels.shows_all(channel, merge, EVERYWHERE)
    assert not channels.shows_all(saved(shown(cells(5), BLUE), quality), merge, EVERYWHERE)


@QUALITIES
@pytest.mark.parametrize("ground", [255, 0])
@pytest.mark.parametrize("colour", [BLUE, WHITE])
def test_channels_beside_their_merge_are_excused(quality: int, ground: int, colour: np.ndarray) -> None:
    """Between white gutters, and between black ones, which nothing tells from the pictures' ground."""
    light, stain = cells(6), cells(7, count=3)
    merge = cv2.add(shown(light, BLUE), shown(stain, GREEN))
    figure = strip(shown(light, colour), shown(stain, GREEN), merge, ground=ground)
    assert pairs(saved(figure, quality)) == 0


@QUALITIES
@COLOURS
def test_a_panel_used_twice_with_arrows_is_not_excused(quality: int, colour: tuple[int, int, int]) -> None:
    figure = strip(field(8), field(9), marked(field(8), colour))
    assert pairs(saved(figure, quality)) > 0


@QUALITIES
def test_cells_copied_by_half_of_a_dark_picture_are_not_excused(quality: int) -> None:
    """Though the shift is that of a strip's parts, and a stain lies beside: the half does not show all that the other does."""
    left, right = cells(10, count=20), cells(11, count=20)
    right[60:140, 60:140] = left[60:140, 60:140]
    stain = cells(12, count=3)
    right_half = cv2.add(shown(right, BLUE), shown(stain * (right == 0), GREEN))
    found = finder.find(saved(np.hstack([shown(left, BLUE), right_half]), quality), MatchingConfig())
    assert [one.reason for one in found.rejected if "channels" in one.reason] == []
    assert quality < 100 or found.pairs
