import numpy as np
import pytest

from forgery_rcnn.data.forge import charts


@pytest.mark.parametrize("size", [(96, 96), (96, 500), (600, 100), (300, 400), (1300, 1300)])
def test_any_size_is_drawn_on_white(size):
    for seed in range(9):
        pixels = charts.chart(size, np.random.default_rng(seed))
        assert pixels.shape == (*size, 3) and pixels.dtype == np.uint8
        assert (pixels == 255).all(axis=2).mean() > 0.3 and (pixels < 60).all(axis=2).any()


def test_the_seed_alone_decides():
    first, again, other = (charts.chart((200, 300), np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert first.tobytes() == again.tobytes() != other.tobytes()
