import numpy as np
import pytest

from forgery_rcnn.data.forge import annotate, furniture
from forgery_rcnn.data.forge.annotate import HEADINGS, Sheet


def sheet_of(shade: int) -> Sheet:
    return Sheet(np.full((60, 80, 3), shade, np.uint8), np.ones((60, 80), np.uint8))


@pytest.mark.parametrize(("shade", "ink"), [(0, 255), (90, 255), (180, 0), (255, 0)])
def test_readable_ink_stands_out(shade, ink):
    sheet = sheet_of(shade)
    sheet.stamp_readable(np.full((4, 6), 255, np.uint8), (10, 20))
    assert (sheet.canvas[20:24, 10:16] == ink).all()
    assert (sheet.canvas != shade).any(axis=2).sum() == 24


def test_on_motley_ground_ink_has_a_halo():
    sheet = sheet_of(0)
    sheet.canvas[:, ::2] = 255
    sheet.stamp_readable(np.full((4, 6), 255, np.uint8), (10, 20))
    assert len(np.unique(sheet.canvas[19, 9:17])) == 1 and (sheet.canvas[19, 10] != sheet.canvas[20, 10]).all()


def test_a_letter_on_a_patch_takes_the_corner():
    sheet = sheet_of(0)
    annotate.letter(sheet, (0, 0, 80, 60), furniture.text("A", 12), (255, 255, 255))
    assert (sheet.canvas[0, 0] == 255).all() and sheet.canvas[:20, :20].min() == 0 and not sheet.room[:15, :15].any()


@pytest.mark.parametrize("group", HEADINGS)
def test_words_keep_their_order_and_differ(group):
    for seed in range(5):
        found = annotate.words(group, 4, np.random.default_rng(seed))
        assert len(set(found)) == 4 and found == sorted(found, key=group.index)
