"""Instances and predictions: boxes, unions, areas, and that parts which do not fit together are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forgery_rcnn import rle
from forgery_rcnn.instances import Instances, Prediction, boxes_of

light = settings(max_examples=50, deadline=None)
sides = st.integers(1, 9)
stacks = st.tuples(st.integers(0, 4), sides, sides).flatmap(lambda shape: hnp.arrays(bool, shape))


def three() -> np.ndarray:
    """(3, 4, 5): an L, nothing, and a row that crosses the L."""
    masks = np.zeros((3, 4, 5), bool)
    masks[0, 1:4, 1] = masks[0, 3, 1:4] = masks[2, 2] = True
    return masks


def prediction(**changed: Any) -> Prediction:
    parts = {
        "instances": Instances.from_masks(three()),
        "boxes": np.arange(12, dtype=np.float32).reshape(3, 4),
        "scores": np.array([0.9, 0.5, 0.1], np.float32),
        "heatmap": np.full((4, 5), 0.3, np.float32),
        "image_score": 0.7,
    }
    return Prediction(**{**parts, **changed})


@light
@given(stacks)
def test_a_box_is_tight_and_exclusive(masks: np.ndarray) -> None:
    boxes = boxes_of(masks)
    assert boxes.dtype == np.float32 and boxes.shape == (len(masks), 4)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
        inner = mask[y0:y1, x0:x1]
        assert inner.sum() == mask.sum()
        if mask.any():
            assert inner[0].any() and inner[-1].any() and inner[:, 0].any() and inner[:, -1].any()
        else:
            assert (x0, y0, x1, y1) == (0, 0, 0, 0)


@light
@given(stacks)
def test_masks_survive_the_round_trip(masks: np.ndarray) -> None:
    found = Instances.from_masks(masks.astype(np.uint8))
    assert len(found) == len(masks)
    assert found.masks().shape == masks.shape and np.array_equal(found.masks(), masks)
    assert found.areas().dtype == np.int64 and found.areas().tolist() == masks.sum(axis=(1, 2)).tolist()
    assert np.array_equal(rle.mask_of(found.union(), found.size), masks.any(axis=0))


@light
@given(stacks)
def test_boxes_of_runs_are_those_of_the_masks(masks: np.ndarray) -> None:
    boxes = Instances.from_masks(masks).boxes()
    assert boxes.dtype == np.int64 and boxes.shape == (len(masks), 4)
    assert np.array_equal(boxes, boxes_of(masks).astype(np.int64))


@pytest.mark.parametrize(
    ("pixels", "box"),
    [
        ([], [0, 0, 0, 0]),
        ([(3, 0), (0, 1)], [0, 0, 2, 4]),
        ([(3, 2), (0, 3), (1, 3)], [2, 0, 4, 4]),
        ([(2, 1), (3, 1)], [1, 2, 2, 4]),
        ([(3, 0), (0, 1), (2, 4)], [0, 0, 5, 4]),
        ([(3, 4)], [4, 3, 5, 4]),
        ([(0, 0), (1, 0), (2, 0), (3, 0)], [0, 0, 1, 4]),
    ],
    ids=["nothing", "wraps", "wraps further", "ends at the border", "wraps, then more", "last pixel", "a whole column"],
)
def test_a_run_may_go_on_in_the_next_column(pixels: list[tuple[int, int]], box: list[int]) -> None:
    mask = np.zeros((4, 5), bool)
    for row, column in pixels:
        mask[row, column] = True
    found = Instances.from_masks(np.stack([three()[0], mask, three()[1], three()[2]]))
    assert found.boxes().tolist() == [[1, 1, 4, 4], box, [0, 0, 0, 0], [0, 2, 5, 3]]
    assert Instances.from_masks(mask[None]).boxes().tolist() == [box]


def test_measures_of_nothing_and_beyond_32_bits() -> None:
    assert Instances((4, 5)).boxes().shape == (0, 4) and Instances((4, 5)).boxes().dtype == np.int64
    assert Instances((4, 5)).areas().shape == (0,) and Instances((4, 5)).areas().dtype == np.int64
    assert Instances((4, 5), (rle.EMPTY, rle.EMPTY)).areas().tolist() == [0, 0]
    huge = Instances((2**26, 2**26), (np.array([[2**40 + 5, 2**50]]), rle.EMPTY))
    assert huge.areas().tolist() == [2**50, 0]
    assert huge.boxes().tolist() == [[2**14, 0, 2**14 + 2**24 + 1, 2**26], [0, 0, 0, 0]]


def test_size_is_plain_integers() -> None:
    assert Instances.from_masks(three()).size == (4, 5)
    assert all(type(side) is int for side in Instances.from_masks(three()).size)


def test_take_selects_and_orders() -> None:
    found = Instances.from_masks(three())
    assert np.array_equal(found.take(np.array([2, 0])).masks(), three()[[2, 0]])
    assert found.take([]).masks().shape == (0, 4, 5)


@pytest.mark.parametrize("shape", [(4, 5), (1, 2, 4, 5), (5,)])
def test_masks_need_three_axes(shape: tuple[int, ...], refused) -> None:
    with refused(str(shape), "(N, H, W)"):
        Instances.from_masks(np.zeros(shape))


@pytest.mark.parametrize(
    "changed",
    [
        {"boxes": np.zeros((2, 4), np.float32)},
        {"boxes": np.zeros((3, 5), np.float32)},
        {"scores": np.zeros((3, 1), np.float32)},
        {"scores": np.zeros(4, np.float32)},
        {"heatmap": np.zeros((5, 4), np.float32)},
        {"heatmap": np.zeros((1, 4, 5), np.float32)},
        {"instances": Instances((4, 5))},
    ],
    ids=lambda changed: " ".join(f"{k} {getattr(v, 'shape', 'none')}" for k, v in changed.items()),
)
def test_parts_of_a_prediction_must_fit(changed: dict[str, Any], refused) -> None:
    with refused("does not fit together"):
        prediction(**changed)


def test_take_of_a_prediction_keeps_rows_together() -> None:
    whole = prediction()
    part = whole.take([2, 0])
    assert np.array_equal(part.instances.masks(), three()[[2, 0]])
    assert part.boxes[:, 0].tolist() == [8, 0] and part.scores.tolist() == whole.scores[[2, 0]].tolist()
    assert part.heatmap is whole.heatmap and part.image_score == 0.7


def test_take_nothing() -> None:
    part = prediction().take([])
    assert len(part.instances) == 0 and part.boxes.shape == (0, 4) and part.scores.shape == (0,)
