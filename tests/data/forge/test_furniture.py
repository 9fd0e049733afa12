import numpy as np
import pytest

from forgery_rcnn.data.forge import furniture


@pytest.mark.parametrize("face", furniture.FACES)
@pytest.mark.parametrize("words", ["A", "β-actin", "50 µm", "siRNA-2"])
def test_text_is_cropped_to_its_ink_and_about_as_high_as_asked(face, words):
    alpha = furniture.text(words, 20, face)
    assert alpha.dtype == np.uint8 and alpha.max() > 200
    assert alpha[0].any() and alpha[-1].any() and alpha[:, 0].any() and alpha[:, -1].any()
    assert 15 <= alpha.shape[0] <= 32


def test_fitted_text_is_never_too_wide():
    assert furniture.fitted("Control", 20, 60).shape[1] <= 60
    assert furniture.fitted("Control", 20, 5).size == 0


def test_scale_bar_is_as_long_and_thick_as_asked():
    assert furniture.scale_bar(50, 3, "", 9).shape == (3, 50)
    labelled = furniture.scale_bar(50, 3, "50 µm", 9)
    assert (labelled[-3:] == 255).sum() == 150 and labelled[:-3].any()


@pytest.mark.parametrize("head", furniture.HEADS)
@pytest.mark.parametrize("turn", [0.0, 0.8, -2.5, 3.1])
def test_an_arrow_has_its_length_and_is_not_cut_off(head, turn):
    alpha = furniture.arrow(30, turn, head)
    assert alpha.max() == 255 and 20 <= np.hypot(*alpha.shape) <= 48
    assert max(alpha.shape) < 38


def test_a_dashed_frame_has_gaps_and_an_empty_inside():
    solid, dashed = furniture.frame((40, 60), 2), furniture.frame((40, 60), 2, 5)
    assert (solid[:2] == 255).all() and not solid[2:-2, 2:-2].any()
    assert 0 < dashed[0].sum() < solid[0].sum()


def test_stamp_takes_room_around_its_ink_only():
    canvas, room = np.zeros((40, 50, 3), np.uint8), np.ones((40, 50), np.uint8)
    furniture.stamp(canvas, room, np.full((2, 4), 255, np.uint8), (20, 10), (255, 0, 0))
    assert (canvas[10:12, 20:24] == (255, 0, 0)).all() and canvas.sum() == 8 * 255
    assert not room[7:15, 17:27].any() and (room == 0).sum() == 80


@pytest.mark.parametrize("corner", [(-3, -3), (48, 38), (200, 5), (5, -90)])
def test_stamp_cuts_off_what_lies_outside(corner):
    canvas, room = np.zeros((40, 50, 3), np.uint8), np.ones((40, 50), np.uint8)
    furniture.stamp(canvas, room, np.full((6, 6), 255, np.uint8), corner, (9, 9, 9))
    assert not room[(canvas > 0).any(axis=2)].any()


def test_stamp_of_nothing_changes_nothing():
    canvas, room = np.zeros((4, 5, 3), np.uint8), np.ones((4, 5), np.uint8)
    furniture.stamp(canvas, room, np.zeros((0, 3), np.uint8), (1, 1), (9, 9, 9))
    assert not canvas.any() and room.all()
