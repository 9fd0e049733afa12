"""Regions that seams cut in pieces, and are one again."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgery_rcnn import rle
from forgery_rcnn.inference.seams import Piece, Window, agreeing, meeting, placed, whole
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


LEFT, RIGHT, FAR = Window(0, 0, 64, 64), Window(48, 0, 112, 64), Window(96, 0, 160, 64)


def piece(window: Window, score: float, *rectangles: tuple[int, int, int, int]) -> Piece:
    """Rectangles x0 y0 x1 y1 of an image of 64 x 160; the box is tight."""
    mask = np.zeros((1, 64, 160), bool)
    for x0, y0, x1, y1 in rectangles:
        mask[0, y0:y1, x0:x1] = True
    instances = Instances.from_masks(mask)
    return Piece(window, instances.runs[0], instances.boxes()[0].astype(np.float32), score)


def areas(*pieces: Piece) -> list[tuple[int, float]]:
    """-> pixels and score of each region, the same in whatever order the pieces come."""
    told = [
        [(int(found.runs[:, 1].sum()), found.score) for found in whole(order, (64, 160))]
        for order in (pieces, pieces[::-1])
    ]
    assert told[0] == told[1]
    return told[0]


A = (50, 10, 60, 50)  # 400 px, whole in LEFT and in RIGHT


def test_a_vague_candidate_does_not_enlarge_what_was_seen_whole() -> None:
    both = piece(LEFT, 0.95, A), piece(RIGHT, 0.94, A)
    vague = piece(RIGHT, 0.06, (52, 4, 112, 64))
    assert areas(*both) == [(400, 0.95)]
    assert areas(*both, vague) == [(400, 0.95), (3600, 0.06)]
    other = piece(RIGHT, 0.9, (64, 0, 112, 60))
    assert areas(*both, vague, other) == [(400, 0.95), (2880, 0.9), (3600, 0.06)]
    # of a piece that shows little else than the region nothing is left
    assert areas(*both, piece(RIGHT, 0.3, (50, 12, 66, 30))) == [(400, 0.95)]


def test_a_vague_candidate_does_not_enlarge_what_was_cut_off_either() -> None:
    """10 columns of 40 pixels, 4 of them beyond the first tile, and a second piece that lies in it and goes on."""
    cut, rest = piece(LEFT, 0.95, (58, 10, 64, 50)), piece(RIGHT, 0.8, (58, 10, 68, 50))
    assert areas(cut, rest) == [(400, 0.95)]
    assert areas(cut, rest, piece(RIGHT, 0.06, (60, 10, 112, 50))) == [(400, 0.95), (52 * 40, 0.06)]
    assert areas(cut, piece(RIGHT, 0.06, (58, 10, 112, 50))) == [(240, 0.95), (54 * 40, 0.06)]


@pytest.mark.parametrize(("score", "area"), [(0.9, 1600), (0.45, 1600), (0.44, 640)])
def test_the_end_of_a_region_need_not_be_as_sure_as_its_beginning(score: float, area: int) -> None:
    found = areas(piece(LEFT, 0.9, (48, 10, 64, 50)), piece(RIGHT, score, (48, 10, 88, 50)))
    assert found[0] == (area, 0.9)
    assert found[1:] == ([] if area == 1600 else [(1600, score)])


def test_a_region_goes_on_from_tile_to_tile_as_far_as_it_is_cut_off() -> None:
    parts = piece(LEFT, 0.6, (20, 10, 64, 20)), piece(RIGHT, 0.7, (48, 10, 112, 20))
    assert areas(*parts, piece(FAR, 0.5, (96, 10, 150, 20))) == [(1300, 0.7)]
    # the middle tile sees it end where the next one sees it go on: what is surer counts, the other stays apart
    ends = piece(RIGHT, 0.7, (48, 10, 108, 20))
    assert areas(parts[0], ends, piece(FAR, 0.5, (96, 10, 150, 20))) == [(880, 0.7), (540, 0.5)]


def test_a_neighbour_whose_mask_reaches_into_a_whole_region_stays_one_of_its_own() -> None:
    """20 x 20 pixels of it beyond the first tile, 8 x 20 within, all of them in the other region."""
    neighbour = piece(RIGHT, 0.8, (56, 10, 84, 30))
    region = piece(LEFT, 0.9, (30, 10, 62, 30))
    assert areas(region, neighbour) == [(640, 0.9), (560, 0.8)]


def test_of_two_views_of_a_whole_region_the_surer_gives_its_pixels() -> None:
    assert areas(piece(LEFT, 0.8, (50, 10, 62, 50)), piece(RIGHT, 0.9, (51, 10, 61, 50))) == [(400, 0.9)]


def test_a_box_that_ends_near_the_border_is_cut_off() -> None:
    """Within a 64th of the tile's side, 8 of 512 pixels; at the image's own border nothing is cut off."""
    size, tiles = (512, 900), (Window(0, 0, 512, 512), Window(388, 0, 900, 512))

    def found(end: int) -> list[int]:
        pieces = []
        for window, score, (x0, x1) in ((tiles[0], 0.9, (300, end)), (tiles[1], 0.8, (392, 600))):
            mask = np.zeros((1, *size), bool)
            mask[0, :40, x0:x1] = True
            instances = Instances.from_masks(mask)
            pieces.append(Piece(window, instances.runs[0], instances.boxes()[0].astype(np.float32), score))
        return [int(each.runs[:, 1].sum()) // 40 for each in whole(pieces, size)]

    assert found(505) == [300] and found(504) == [204]


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
