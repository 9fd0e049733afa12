from itertools import combinations

import numpy as np
import pytest

from forgery_rcnn.data.forge.page import MOST, SMALLEST, Spaces, divide

SPACES = Spaces(gutter=5, band=14, top=20, left=16)


@pytest.mark.parametrize("size", [(260, 130), (150, 320), (400, 600), (1500, 300), (2000, 2000)])
def test_panels_are_large_enough_and_a_gutter_apart(size):
    for seed in range(30):
        page = divide(size, SPACES, np.random.default_rng(seed))
        assert page is not None and 2 <= len(page.boxes) <= MOST
        assert all(min(x1 - x0, y1 - y0) >= SMALLEST for x0, y0, x1, y1 in page.boxes)
        assert all(x0 >= 5 and y0 >= 19 and x1 <= size[1] - 5 and y1 <= size[0] - 5 for x0, y0, x1, y1 in page.boxes)
        for a, b in combinations(page.boxes, 2):
            assert a[2] + 5 <= b[0] or b[2] + 5 <= a[0] or a[3] + 5 <= b[1] or b[3] + 5 <= a[1]
        if page.even:
            assert len({len(row) for row in page.rows}) == 1
            assert all(x0 >= 21 and y0 >= 39 for x0, y0, *_ in page.boxes)


@pytest.mark.parametrize("size", [(64, 74), (150, 170), (90, 4000), (1, 1)])
def test_a_page_too_small_for_two_is_not_divided(size):
    assert divide(size, Spaces(gutter=2), np.random.default_rng(0)) is None


def test_rows_and_columns_differ_from_figure_to_figure():
    shapes = {tuple(map(len, divide((600, 800), SPACES, np.random.default_rng(s)).rows)) for s in range(40)}
    assert len(shapes) > 12
