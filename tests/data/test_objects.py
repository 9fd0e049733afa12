"""Objects drawn into a picture: where nothing is forged, many of them, grey in a grey picture."""

from __future__ import annotations

import numpy as np
import pytest

from forgery_rcnn.data import objects


@pytest.fixture
def clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """No blur and no noise over the whole picture: what changes is an object."""
    monkeypatch.setattr(objects, "LENS", (1e-3, 1e-3))
    monkeypatch.setattr(objects, "SENSOR", (0.0, 0.0))


def flat(level: int = 120) -> np.ndarray:
    return np.full((3, 160, 200), level, np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_forged_regions_and_their_surroundings_stay(clear: None, seed: int) -> None:
    masks = np.zeros((2, 160, 200), bool)
    masks[0, 60:90, 80:120] = masks[1, 0:5, 0:5] = True
    planes = flat()
    drawn = objects.drawn(planes, masks, np.random.default_rng(seed))
    assert (drawn[:, masks.any(axis=0)] == 120).all() and (planes == 120).all()
    near = np.zeros((160, 200), bool)
    near[57:93, 77:123] = True  # three of the AWAY pixels: outlines are soft
    assert (drawn[:, near] == 120).all()


def test_pictures_get_few_or_many_of_any_size(clear: None) -> None:
    none = np.zeros((0, 160, 200), bool)
    shares = [
        (objects.drawn(flat(), none, np.random.default_rng(seed)) != 120).any(axis=0).mean() for seed in range(40)
    ]
    assert min(shares) < 0.05 and max(shares) > 0.4 and np.count_nonzero(shares) > 35


@pytest.mark.parametrize("seed", range(6))
def test_a_grey_picture_stays_grey_and_a_coloured_one_gets_tints(seed: int) -> None:
    none = np.zeros((0, 160, 200), bool)
    grey = objects.drawn(flat(), none, np.random.default_rng(seed))
    assert grey.dtype == np.uint8 and grey.shape == (3, 160, 200) and (grey == grey[:1]).all()
    planes = flat()
    planes[0] += 20
    assert len(np.unique(objects.drawn(planes, none, np.random.default_rng(seed))[0].astype(int) - grey[0])) > 1


def test_pictures_of_any_size_are_taken() -> None:
    for size in ((1, 1), (1, 90), (7, 3)):
        for seed in range(6):
            planes = np.full((3, *size), 9, np.uint8)
            assert objects.drawn(planes, np.zeros((0, *size), bool), np.random.default_rng(seed)).shape == (3, *size)
