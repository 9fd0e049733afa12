import cv2
import numpy as np
import pytest

from forgery_rcnn.data.forge import repeats


@pytest.fixture
def panel():
    coarse = np.random.default_rng(0).integers(20, 235, (14, 18, 3), np.uint8)
    return cv2.resize(coarse, (180, 140), interpolation=cv2.INTER_CUBIC)


def alike(one, two):
    return np.corrcoef(one.mean(axis=2).ravel(), two.mean(axis=2).ravel())[0, 1]


def test_an_exposure_shows_the_same_field_but_no_pixel_for_pixel_copy(panel):
    for seed in range(5):
        again = repeats.exposure(panel, np.random.default_rng(seed))
        assert again.shape == panel.shape and again.dtype == np.uint8
        assert alike(panel, again) > 0.85 and (again == panel).all(axis=2).mean() < 0.1


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_last_of_three_or_more_channels_is_their_merge(panel, count):
    found = repeats.channels(panel, count, np.random.default_rng(1))
    assert len(found) == count and all(one.shape == panel.shape for one in found)
    if count > 2:
        assert (found[-1] == repeats.merged(found[:-1])).all()
    tints = [one.reshape(-1, 3).mean(axis=0) for one in found]
    assert np.abs(tints[0] / tints[0].max() - tints[1] / tints[1].max()).max() > 0.2


def test_an_inset_changes_a_corner_and_a_frame_only(panel):
    kept = panel.copy()
    for seed in range(8):
        out = repeats.inset(panel, np.random.default_rng(seed))
        share = (out != panel).any(axis=2).mean()
        assert out.shape == panel.shape and 0.03 < share < 0.4
    assert (panel == kept).all()


def test_zoom_enlarges_what_its_frame_holds(panel):
    target = (190, 0, 330, 120)
    framed, large, (x0, y0, x1, y1) = repeats.zoom(panel, target, (255, 0, 0), np.random.default_rng(2))
    assert framed.shape == panel.shape and large.shape == (120, 140, 3)
    origin = cv2.resize(panel[y0:y1, x0:x1], (140, 120), interpolation=cv2.INTER_CUBIC)
    assert (origin[3:-3, 3:-3] == large[3:-3, 3:-3]).all()
    assert (framed[y0, x0] == (255, 0, 0)).all() and (large[0, 0] == (255, 0, 0)).all()


def test_repeats_follow_their_seed(panel):
    for draw in (repeats.exposure, repeats.inset):
        first, again, other = (draw(panel, np.random.default_rng(seed)) for seed in (4, 4, 5))
        assert first.tobytes() == again.tobytes() != other.tobytes()


def test_frames_are_never_black_on_black_or_white_on_white():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert max(repeats.visible(np.zeros((9, 9, 3), np.uint8), rng)) > 100
        assert min(repeats.visible(np.full((9, 9, 3), 255, np.uint8), rng)) < 100
        assert repeats.visible(np.full((9, 9, 3), 255, np.uint8), rng) != (255, 255, 0)
