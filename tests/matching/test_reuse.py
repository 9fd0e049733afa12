"""Whole panels that occur twice: found in any turn, resized, cropped; others are left."""

import cv2
import numpy as np
import pytest

from forgery_rcnn.matching import reuse
from forgery_rcnn.matching.pairs import Figure, gray_of, inverse
from tests.matching.test_panels import picture

SIDE, GAP = 180, 10


def figure(pictures: list[np.ndarray]) -> Figure:
    """Pictures side by side on white, their boxes known."""
    width = sum(each.shape[1] + GAP for each in pictures) - GAP
    page, boxes, x = np.full((max(each.shape[0] for each in pictures), width, 3), 255, np.uint8), [], 0
    ignored = np.ones(page.shape[:2], bool)
    for each in pictures:
        h, w = each.shape[:2]
        page[:h, x : x + w], ignored[:h, x : x + w] = each, False
        boxes.append((x, 0, x + w, h))
        x += w + GAP
    return Figure(page, gray_of(page), ignored, np.array(boxes))


def field(seed: int) -> np.ndarray:
    return picture((SIDE, SIDE), seed)


@pytest.mark.parametrize("number", range(8))
def test_every_symmetry(number: int) -> None:
    first = field(1)
    second = np.ascontiguousarray(np.rot90(first[:, ::-1] if number >= 4 else first, number % 4))
    found = reuse.hypotheses(figure([first, field(2), second]))
    assert len(found) == 1
    (one,) = found
    assert one.found_by == "panels" and one.matrix.shape == (2, 3) and one.matrix.dtype == np.float64
    assert one.first.shape == one.second.shape and len(one.first) >= 25 and one.first.dtype == np.float32
    side, shift = SIDE - 1, 2 * (SIDE + GAP)
    square = np.array([[0, 0], [side, 0], [0, 40], [60, side]], float)
    turned = square * [-1, 1] + [side, 0] if number >= 4 else square
    for _ in range(number % 4):
        turned = np.stack([turned[:, 1], side - turned[:, 0]], axis=1)
    moved = square @ one.matrix[:, :2].T + one.matrix[:, 2]
    assert np.abs(moved - turned - [shift, 0]).max() < 1.5


@pytest.mark.parametrize("crop", [0, 12, 24])
def test_cropped_resized_with_other_levels(crop: int) -> None:
    first = field(5)
    part = first[crop // 2 :, crop:]
    size = (200, 170)
    second = np.clip(0.8 * cv2.resize(part, size, interpolation=cv2.INTER_AREA) + 30, 0, 255).astype(np.uint8)
    found = reuse.hypotheses(figure([field(6), first, second]))
    assert len(found) == 1
    back = inverse(found[0].matrix)
    corners = np.array([[0, 0], [199, 0], [0, 169], [199, 169]], float) + [2 * (SIDE + GAP), 0]
    scale = np.array([part.shape[1] / size[0], part.shape[0] / size[1]])
    expected = (corners - [2 * (SIDE + GAP), 0] + 0.5) * scale - 0.5 + [SIDE + GAP + crop, crop // 2]
    assert np.abs(corners @ back[:, :2].T + back[:, 2] - expected).max() < 3


@pytest.mark.parametrize("seed", range(6))
def test_different_pictures_give_none(seed: int) -> None:
    assert reuse.hypotheses(figure([field(100 + 4 * seed + n) for n in range(4)])) == []


def test_flat_or_ignored_panels_give_none() -> None:
    blank = np.full((SIDE, SIDE, 3), 90, np.uint8)
    assert reuse.hypotheses(figure([blank, blank, field(1)])) == []
    twins = figure([field(1), field(1)])
    assert reuse.hypotheses(twins)
    assert reuse.hypotheses(Figure(twins.pixels, twins.gray, np.ones_like(twins.ignored), twins.panels)) == []


def test_letters_do_not_hide_it_and_answers_are_repeatable() -> None:
    made = figure([field(1), field(1), field(3)])
    made.gray[10:40, 10:40], made.ignored[10:40, 10:40] = 255, True
    found, again = reuse.hypotheses(made), reuse.hypotheses(made)
    assert len(found) == 1
    assert np.array_equal(found[0].matrix, again[0].matrix)
    x, y = found[0].first.astype(int).T
    assert not made.ignored[y, x].any()


def test_one_panel_or_tiny_ones() -> None:
    assert reuse.hypotheses(figure([field(1)])) == []
    tiny = field(1)[:12, :12]
    assert reuse.hypotheses(figure([tiny, tiny])) == []
