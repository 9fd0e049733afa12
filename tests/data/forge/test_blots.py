from itertools import combinations

import cv2
import numpy as np
import pytest

from forgery_rcnn.data.forge import blots

DRAWN = {"blot": blots.blot, "gel": blots.gel}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("size", [(96, 96), (96, 700), (400, 100), (120, 400), (1300, 1100)])
def test_any_size_has_whole_lanes_inside(name, size):
    for seed in range(6):
        pixels, lanes = DRAWN[name](size, np.random.default_rng(seed))
        assert pixels.shape == (*size, 3) and pixels.dtype == np.uint8 and len(lanes) >= 3
        for x0, y0, x1, y1 in lanes:
            assert 0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]
            assert all(type(value) is int for value in (x0, y0, x1, y1))


@pytest.mark.parametrize("name", DRAWN)
def test_the_seed_alone_decides(name):
    first, again, other = (DRAWN[name]((120, 300), np.random.default_rng(seed))[0] for seed in (4, 4, 5))
    assert first.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize("name", DRAWN)
def test_no_lane_repeats_another(name):
    for seed in range(12):
        pixels, lanes = DRAWN[name]((140, 420), np.random.default_rng(seed))
        for a, b in combinations(lanes, 2):
            size = min(a[2] - a[0], b[2] - b[0]), min(a[3] - a[1], b[3] - b[1])
            one, two = (pixels[y : y + size[1], x : x + size[0], 0] for x, y, *_ in (a, b))
            inner = np.ascontiguousarray(two[3:-3, 2:-2])  # free to move a little against the other
            assert cv2.matchTemplate(np.ascontiguousarray(one), inner, cv2.TM_CCOEFF_NORMED).max() < 0.999


def test_a_blot_is_dark_bands_on_light_film_and_a_gel_the_reverse():
    medians = {
        name: [np.median(draw((150, 400), np.random.default_rng(s))[0]) for s in range(20)]
        for name, draw in DRAWN.items()
    }
    assert np.median(medians["blot"]) > 150 and np.median(medians["gel"]) < 100
