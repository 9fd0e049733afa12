import numpy as np

from forgery_rcnn.data.forge import captions
from forgery_rcnn.data.forge.captions import MASSES, Frame


def test_a_frame_has_room_for_the_longest_name_or_no_text_at_all():
    for seed in range(20):
        frame = captions.free((200, 500), ("p53", "α-tubulin"), "130 kDa", np.random.default_rng(seed))
        assert frame.left + frame.right < 250 and (frame.left + frame.right > 30 or frame.top == 0)


def test_a_narrow_panel_has_no_text():
    assert captions.free((300, 60), ("α-tubulin",), "130 kDa", np.random.default_rng(3)).left == 0


def test_every_protein_is_written_beside_its_strip_only():
    for protein in MASSES:
        pixels = np.full((60, 300, 3), 255, np.uint8)
        captions.name(pixels, Frame(90, 80, 0, 11), (10, 50), protein)
        assert (pixels[:, :90] < 99).any() and (pixels[:, 220:] < 99).any() and (pixels[:, 90:220] == 255).all()
