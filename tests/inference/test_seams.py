"""Regions that seams cut in pieces, and are one again."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgery_rcnn import rle
from forgery_rcnn.inference.seams import Window, agreeing, meeting, placed
from forgery_rcnn.inference.tiling import tiled
from forgery_rcnn.inference_config import Tiling
from forgery_rcnn.instances import Instances, Prediction

SMALL = Tiling("auto", sides=(64,))
TILINGS = [SMALL, Tiling("auto", (64,), 0.0), Tiling("auto", (64,), 0.5, 8)]


def connected(pixels: np.ndarray) -> Prediction:
    """What a perfect model says: each connected part of the red pixels, its green the score in hundredths."""
    red = (pixels[:, :, 0] > 0).astype(np.uint8)
    count, labels = cv2.connectedComponents(red, connectivity=4)
    masks = np.stack([labels == label for label in range(count)])[1:] if count > 1 else np.zeros((0, *red.shape), bool)
    scores = np.float32([pixels[mask][:, 1].max() / 100 for mask in masks])
    order = np.argsort(-scores, kind="stable")
    instances = Instances.from_masks(masks)
    whole = Prediction(
        instances, instances.boxes().astype(np.float32), scores, red.astype(np.float32), float(scores.max(initial=0))
    )
    return whole.take(order)


def picture(size: tuple[int, int], *shapes: tuple[slice, slice]) -> np.ndarray:
    pixels = np.zeros((*size, 3), np.uint8)
    for at, (rows, columns) in enumerate(shapes):
        pixels[rows, columns] = 1, 90 - 10 * at, 0
    return pixels


def same_regions(found: Prediction, plain: Prediction) -> None:
    """The same masks, boxes and scores, in any order of equal scores."""
    told = [
        sorted((runs.tolist(), box.tolist(), float(score)) for runs, box, score in zip(*parts, strict=True))
        for parts in ((p.instances.runs, p.boxes, p.scores) for p in (found, plain))
    ]
    assert told[0] == told[1]
    assert (np.diff(found.scores) <= 0).all()
    assert found.boxes.dtype == found.scores.dtype == np.float32


@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize(
    "shapes",
    [
        [np.s_[20:40, 30:90]],  # over a vertical seam
        [np.s_[30:100, 20:40]],  # over a horizontal one
        [np.s_[40:90, 40:90]],  # over the corner of four tiles
        [np.s_[5:140, 3:190]],  # over all tiles
        [np.s_[40:41, 10:180]],  # a line of one pixel
        [np.s_[64:65, 64:65]],  # one pixel
        [np.s_[20:40, 30:62], np.s_[20:40, 66:100]],  # two on both sides of the first seam
        [np.s_[20:40, 30:90], np.s_[42:60, 30:90]],  # two side by side, both over the seam
        [np.s_[0:10, 0:10], np.s_[150:160, 190:200]],
        [],
    ],
)
def test_regions_come_back_whole_and_apart(shapes: list, tiling: Tiling) -> None:
    pixels = picture((160, 200), *shapes)
    same_regions(tiled(connected, pixels, tiling, "instances"), connected(pixels))


@pytest.mark.parametrize("tiling", TILINGS)
def test_a_horseshoe_whose_arms_lie_in_another_tile(tiling: Tiling) -> None:
    """One tile sees two arms, the other the whole bend."""
    pixels = picture((64, 150), np.s_[10:20, 20:120], np.s_[40:50, 20:120], np.s_[10:50, 20:30])
    pixels[:, :, 1:] = 50
    found = tiled(connected, pixels, tiling, "instances")
    same_regions(found, connected(pixels))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(10, 25), st.integers(10, 29)),
        min_size=1,
        max_size=8,
        unique_by=lambda r: r[:2],
    )
)
def test_blobs_in_their_own_cells_come_back(told: list[tuple[int, int, int, int]]) -> None:
    """Cells of 30 x 34 pixels with a gap between them: any two blobs are 5 or more pixels apart."""
    shapes = [np.s_[30 * r : 30 * r + h, 34 * c : 34 * c + w] for r, c, h, w in told]
    pixels = picture((160, 210), *shapes)
    same_regions(tiled(connected, pixels, SMALL, "instances"), connected(pixels))


def runs(*rectangles: tuple[int, int, int, int]) -> list[np.ndarray]:
    """x0 y0 x1 y1 in an image of 20 x 40."""
    out = []
    for x0, y0, x1, y1 in rectangles:
        mask = np.zeros((20, 40), bool)
        mask[y0:y1, x0:x1] = True
        out.append(rle.runs_of(mask))
    return out


def linked(a: list, b: list, first: list[float], second: list[float]) -> list[tuple[int, int]]:
    return sorted(agreeing([runs(*a), runs(*b)], [np.array(first), np.array(second)]))


def test_tiles_agree_from_half_an_overlap_on_one_to_one() -> None:
    assert linked([(0, 0, 10, 10)], [(0, 0, 10, 20)], [0.9], [0.95]) == [(0, 0)]  # IoU one half
    near = [(0, 0, 10, 10), (0, 0, 10, 9)]
    assert linked(near, near[::-1], [0.9, 0.8], [0.7, 0.6]) == [(0, 1), (1, 0)]


def test_a_piece_within_another_joins_it_unless_it_is_the_surer() -> None:
    large, small = [(0, 0, 30, 20)], [(0, 0, 10, 10)]
    assert linked(large, small, [0.9], [0.6]) == [(0, 0)]
    assert linked(small, large, [0.6], [0.9]) == [(0, 0)]
    assert linked(large, small, [0.1], [0.9]) == []  # else a vague instance would swallow it
    assert linked(small, large, [0.9], [0.1]) == []


def test_a_piece_whose_region_was_found_takes_no_other() -> None:
    """The region is seen by both tiles, and one of them sees a second one, which reaches into it by a line of pixels."""
    a, b = [(0, 0, 20, 20)], [(0, 0, 20, 20), (19, 0, 20, 20)]
    assert linked(a, b, [0.9], [0.9, 0.8]) == [(0, 0)]


def test_the_second_arm_of_a_horseshoe_joins_what_has_its_partner() -> None:
    bend, arms = [(0, 0, 20, 12)], [(0, 0, 20, 7), (0, 7, 20, 12)]
    assert linked(bend, arms, [0.9], [0.9, 0.8]) == [(0, 0), (0, 1)] == linked(bend, arms, [0.9], [0.8, 0.9])
    assert linked(arms, bend, [0.9, 0.8], [0.9]) == [(0, 0), (1, 0)]


def test_apart_or_nearly_so() -> None:
    assert linked([(0, 0, 10, 10)], [(10, 0, 20, 10)], [0.9], [0.9]) == []
    assert linked([(0, 0, 10, 10)], [(6, 0, 16, 10)], [0.9], [0.9]) == []  # 4 of 10 columns


def test_a_region_takes_its_best_score_and_the_hull_of_its_boxes() -> None:
    """Two tiles 0..64 and 36..100 of an image 100 wide; boxes that are not tight."""
    boxes = iter([([[19.5, 4, 64, 31]], [0.6]), ([[0, 5, 44.25, 30]], [0.8])])  # the second in its tile's frame

    def told(tile: np.ndarray) -> Prediction:
        mask = (tile[:, :, 0] > 0)[None]
        box, score = next(boxes)
        return Prediction(
            Instances.from_masks(mask), np.float32(box), np.float32(score), mask[0].astype(np.float32), score[0]
        )

    found = tiled(told, picture((64, 100), np.s_[5:30, 20:80]), SMALL, "instances")
    assert found.boxes.tolist() == [[19.5, 4, 80.25, 31]]
    assert found.scores.tolist() == np.float32([0.8]).tolist() and found.image_score == 0.8
    assert found.instances.boxes().tolist() == [[20, 5, 80, 30]] and found.instances.areas().tolist() == [25 * 60]


def test_where_tiles_meet() -> None:
    left = Window(0, 0, 10, 10)
    assert meeting(left, Window(7, 2, 20, 20)) == (Window(7, 2, 10, 10),) * 2
    beside, below = Window(10, 4, 20, 14), Window(3, 10, 13, 20)
    assert meeting(left, beside) == (Window(9, 4, 10, 10), Window(10, 4, 11, 10))
    assert meeting(beside, left) == (Window(10, 4, 11, 10), Window(9, 4, 10, 10))
    assert meeting(left, below) == (Window(3, 9, 10, 10), Window(3, 10, 10, 11))
    assert meeting(below, left) == (Window(3, 10, 10, 11), Window(3, 9, 10, 10))
    assert meeting(left, Window(10, 10, 20, 20)) is None  # a corner only
    assert meeting(left, Window(11, 0, 20, 10)) is None


def test_instances_move_with_their_tile() -> None:
    mask = np.array([[[0, 1], [1, 1]]], bool)
    found = Prediction(
        Instances.from_masks(mask), np.float32([[0.5, 0, 2, 2]]), np.float32([0.9]), np.zeros((2, 2), np.float32), 0.9
    )
    (piece,) = placed(found, Window(3, 1, 5, 3), (4, 6))
    by_hand = np.zeros((4, 6), bool)
    by_hand[1:3, 3:5] = mask[0]
    np.testing.assert_array_equal(piece.runs, rle.runs_of(by_hand))
    assert piece.box.tolist() == [3.5, 1, 5, 3] and piece.score == pytest.approx(0.9)
