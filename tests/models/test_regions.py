"""From a heat map to regions, by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from forgery_rcnn.models.regions import MOST, closed, prediction


def heat(*rows: str) -> np.ndarray:
    """Tenths: "0", "5", "9"."""
    return np.array([[int(digit) for digit in row] for row in rows], np.float32) / 10


def test_regions_touch_at_corners_and_come_by_falling_score() -> None:
    found = prediction(heat("6000", "0600", "0000", "0097"), 0.3, 0.5)
    assert found.scores.tolist() == pytest.approx([0.8, 0.6])
    assert found.boxes.tolist() == [[2, 3, 4, 4], [0, 0, 2, 2]]
    assert found.instances.masks().astype(int).tolist() == [
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]],
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ]
    assert found.image_score == 0.3 and found.boxes.dtype == found.scores.dtype == np.float32


def test_a_pixel_at_the_threshold_belongs() -> None:
    assert prediction(heat("050"), 0.0, 0.5).instances.areas().tolist() == [1]
    assert len(prediction(heat("050"), 0.0, 0.51).instances) == 0


@pytest.mark.parametrize("regions", ["components", "one"])
@pytest.mark.parametrize("size", [(1, 1), (3, 7)])
def test_all_below_the_threshold_is_nothing(size: tuple[int, int], regions: str) -> None:
    heatmap = np.full(size, 0.4, np.float32)
    found = prediction(heatmap, 0.2, 0.5, 3, regions)
    assert found.heatmap is heatmap and found.image_score == 0.2
    assert len(found.instances) == 0 and found.instances.size == size
    assert found.boxes.shape == (0, 4) and found.scores.shape == (0,)


@pytest.mark.parametrize("regions", ["components", "one"])
def test_one_pixel_and_all_pixels(regions: str) -> None:
    one = prediction(np.float32([[0.7]]), 0.0, 0.5, 0, regions)
    assert one.boxes.tolist() == [[0, 0, 1, 1]] and one.scores.tolist() == pytest.approx([0.7])
    every = prediction(np.ones((3, 5), np.float32), 0.0, 0.5, 2, regions)
    assert every.boxes.tolist() == [[0, 0, 5, 3]] and every.instances.areas().tolist() == [15]
    assert every.scores.tolist() == [1.0]


def test_a_region_keeps_its_hole_and_what_lies_in_it() -> None:
    found = prediction(heat("77777", "70007", "70907", "70007", "77777"), 0.0, 0.5)
    assert found.instances.areas().tolist() == [1, 16]
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
    assert found.boxes.tolist() == [[2, 2, 3, 3], [0, 0, 5, 5]]


def test_all_as_one_region() -> None:
    found = prediction(heat("9000", "0000", "0570"), 0.0, 0.5, 0, "one")
    assert found.instances.areas().tolist() == [3] and found.boxes.tolist() == [[0, 0, 3, 3]]
    assert found.scores.tolist() == pytest.approx([0.7])


def test_near_regions_are_joined_and_score_by_what_was_above() -> None:
    """A gap of three pixels is closed from 3 on; the pixels in between belong, but do not count for the score."""
    heatmap = np.zeros((9, 21), np.float32)
    heatmap[2:7, 2:9], heatmap[2:7, 12:19] = 0.6, 0.8
    assert len(prediction(heatmap, 0.0, 0.5, 2).instances) == 2
    (score,) = (found := prediction(heatmap, 0.0, 0.5, 3)).scores
    assert score == pytest.approx(0.7)
    assert found.boxes.tolist() == [[2, 2, 19, 7]]
    mask = found.instances.masks()[0]
    assert mask[2:7, 2:9].all() and mask[2:7, 12:19].all() and mask[4, 9:12].all()


@pytest.mark.parametrize(("gap", "reach"), [(1, 2), (2, 2), (3, 4), (4, 4), (5, 6)])
def test_how_far_closing_reaches(gap: int, reach: int) -> None:
    """Sides up to an even number of pixels apart; corners less far, lines of two pixels not at all."""

    def joined(apart: int, down: int, thick: int) -> bool:
        heatmap = np.zeros((40, 60), np.float32)
        heatmap[5 : 5 + thick, 5:20] = heatmap[5 + down : 5 + down + thick, 20 + apart : 40] = 0.9
        return len(prediction(heatmap, 0.0, 0.5, gap).instances) == 1

    assert joined(reach, 0, 9) and not joined(reach + 1, 0, 9)
    assert not joined(reach, 9 + reach, 9) and not joined(1, 0, 2)


def test_closing_adds_nothing_at_the_border() -> None:
    mask = np.zeros((7, 12), np.uint8)
    mask[:, 2:4] = 1  # two pixels from the left border
    np.testing.assert_array_equal(closed(mask, 5), mask)
    np.testing.assert_array_equal(closed(np.ones((3, 4), np.uint8), 6), np.ones((3, 4), np.uint8))
    assert closed(mask, 0) is mask


def test_the_largest_regions_are_kept() -> None:
    heatmap = np.zeros((102, 101), np.float32)
    heatmap[::3, ::3] = 0.9  # 34 x 34 = 1,156 single pixels
    heatmap[101:, :2] = 0.6  # one of the last, and larger than all others
    found = prediction(heatmap, 0.0, 0.5)
    assert len(found.instances) == MOST == 1000
    assert found.instances.areas().tolist() == [1] * 999 + [2]
    assert found.scores[[0, -1]].tolist() == pytest.approx([0.9, 0.6])


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.floats(0, 1, width=32)),
    st.floats(0.1, 0.9),
)
def test_scipy_finds_the_same(heatmap: np.ndarray, threshold: float) -> None:
    labels, count = ndimage.label(heatmap >= threshold, np.ones((3, 3)))
    found = prediction(heatmap, 0.0, threshold)
    assert len(found.instances) == count
    assert (np.diff(found.scores) <= 0).all()
    for mask, score, box in zip(found.instances.masks(), found.scores, found.boxes.astype(int), strict=True):
        (label,) = set(labels[mask].tolist())
        np.testing.assert_array_equal(mask, labels == label)
        assert score == pytest.approx(heatmap[mask].mean(dtype=np.float64), abs=1e-6)
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_threads_are_left_as_they_were() -> None:
    before = cv2.getNumThreads()
    prediction(np.ones((4, 4), np.float32), 0.0, 0.5)
    assert cv2.getNumThreads() == before
