from itertools import combinations, count

import numpy as np
import pytest

from forgery_rcnn.data.forge import annotate, layout
from forgery_rcnn.data.forge.annotate import Sheet
from forgery_rcnn.data.forge.page import MOST, SMALLEST
from forgery_rcnn.data.forge.scene import Box, Panel, Scene

SIZES = [(64, 74), (90, 400), (128, 210), (300, 260), (420, 560), (900, 300), (130, 1500)]


def view_of(seed: int):
    """A view of smooth noise, each under a host id of its own."""
    rng, numbers = np.random.default_rng(seed), count()

    def view(size: tuple[int, int]) -> tuple[np.ndarray, str]:
        h, w = size
        coarse = rng.integers(0, 256, (h // 8 + 1, w // 8 + 1, 3), np.uint8)
        return np.ascontiguousarray(coarse.repeat(8, axis=0).repeat(8, axis=1)[:h, :w]), f"host{next(numbers)}"

    return view


def composed(size: tuple[int, int], seed: int) -> Scene:
    return layout.compose(size, view_of(seed), np.random.default_rng(seed))


def apart(a: Box, b: Box) -> bool:
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@pytest.mark.parametrize("size", SIZES)
def test_a_scene_of_any_size_keeps_its_contract(size):
    for seed in range(25):
        scene = composed(size, seed)
        assert scene.canvas.shape == (*size, 3) and scene.canvas.dtype == np.uint8
        assert scene.room.shape == size and scene.room.dtype == np.uint8
        assert 1 <= len(scene.panels) <= MOST and scene.room.any()
        assert all(apart(a.box, b.box) for a, b in combinations(scene.panels, 2))
        for panel in scene.panels:
            x0, y0, x1, y1 = panel.box
            assert 0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]
            assert len(scene.panels) == 1 or min(x1 - x0, y1 - y0) >= SMALLEST
            assert (panel.kind == "image") == panel.host.startswith("host")


def test_room_lies_in_its_panel_off_its_border_and_never_in_charts():
    kinds = set()
    for seed in range(60):
        scene = composed((420, 640), seed)
        outside = scene.room.copy()
        for number, panel in enumerate(scene.panels, start=1):
            x0, y0, x1, y1 = panel.box
            inner = scene.room[y0 + layout.BORDER : y1 - layout.BORDER, x0 + layout.BORDER : x1 - layout.BORDER]
            assert set(np.unique(inner)) <= {0, number}
            assert panel.kind != "chart" or not inner.any()
            outside[y0 + layout.BORDER : y1 - layout.BORDER, x0 + layout.BORDER : x1 - layout.BORDER] = 0
            kinds.add(panel.kind)
        assert not outside.any()
    assert kinds == {"image", "blot", "gel", "chart"}


def test_lanes_lie_in_their_panel_and_hold_its_room():
    found = 0
    for seed in range(40):
        scene = composed((420, 640), seed)
        for number, panel in enumerate(scene.panels, start=1):
            x0, y0, x1, y1 = panel.box
            rest = scene.room == number
            for a, b, c, d in panel.lanes:
                assert x0 <= a < c <= x1 and y0 <= b < d <= y1
                rest[b:d, a:c] = False
                found += 1
            assert bool(panel.lanes) == (panel.kind in ("blot", "gel"))
            assert not panel.lanes or not rest.any()
    assert found > 100


def test_the_bare_canvas_differs_where_furniture_lies_only():
    furnished = 0
    for seed in range(30):
        scene = composed((300, 420), seed)
        scene = layout.decorate(scene, np.random.default_rng(seed)) if seed % 2 else scene
        assert not scene.room[scene.ink].any()
        furnished += bool(scene.ink.any())
    assert 15 < furnished < 30


def test_no_furniture_lies_on_room(monkeypatch):
    """Whatever the furniture changes has no room, nor have the 3 pixels around it."""
    changed = []

    def recorded(self: Sheet, alpha: np.ndarray, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
        before = self.canvas.copy()
        stamp(self, alpha, corner, colour)
        changed.append((before != self.canvas).any(axis=2))

    stamp = Sheet.stamp
    monkeypatch.setattr(Sheet, "stamp", recorded)
    total = 0
    for seed in range(40):
        changed.clear()
        scene = composed((360, 500), seed)
        for mask in changed:
            rows, columns = np.nonzero(mask)
            total += len(rows)
            for dy, dx in ((0, 0), (3, 0), (-3, 0), (0, 3), (0, -3), (3, 3)):
                y, x = np.clip(rows + dy, 0, 359), np.clip(columns + dx, 0, 499)
                assert not scene.room[y, x].any()
    assert total > 10000


def test_decorate_changes_only_what_loses_its_room_and_not_its_argument():
    changed = 0
    for seed in range(40):
        plain = composed((90, 120) if seed % 4 == 0 else (150, 165), seed)
        kept = plain.canvas.copy(), plain.room.copy()
        scene = layout.decorate(plain, np.random.default_rng(seed))
        different = (scene.canvas != plain.canvas).any(axis=2)
        changed += different.any()
        assert not scene.room[different].any() and scene.panels == plain.panels
        assert (plain.canvas == kept[0]).all() and (plain.room == kept[1]).all()
    assert 2 <= changed < 20


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    first, again, other = composed((300, 420), 5), composed((300, 420), 5), composed((300, 420), 6)
    assert first.canvas.tobytes() == again.canvas.tobytes() and first.room.tobytes() == again.room.tobytes()
    assert first.panels == again.panels
    assert first.canvas.tobytes() != other.canvas.tobytes()


def test_panels_that_repeat_one_another_have_no_room():
    """The trial view never shows a host twice: what is shown twice is a legitimate twin."""
    twins = 0
    for seed in range(80):
        scene = composed((420, 560), seed)
        hosts = [panel.host for panel in scene.panels]
        for number, panel in enumerate(scene.panels, start=1):
            if panel.host and hosts.count(panel.host) > 1:
                assert not (scene.room == number).any()
                twins += 1
    assert twins > 8


def test_hosts_are_those_the_view_named():
    seen: set[str] = set()
    inner = view_of(3)

    def view(size: tuple[int, int]) -> tuple[np.ndarray, str]:
        pixels, host = inner(size)
        assert pixels.shape[:2] == size
        seen.add(host)
        return pixels, host

    for seed in range(20):
        seen.clear()
        assert set(layout.compose((350, 450), view, np.random.default_rng(seed)).hosts) == seen


def test_scatter_leaves_a_figure_without_images_alone():
    sheet = Sheet(np.zeros((50, 60, 3), np.uint8), np.ones((50, 60), np.uint8))
    annotate.scatter(sheet, (Panel((0, 0, 60, 50), "chart"),), 9, "plain", np.random.default_rng(0))
    assert not sheet.canvas.any() and sheet.room.all()


def test_the_largest_size_works():
    scene = composed((3888, 3888), 1)
    assert scene.canvas.shape == (3888, 3888, 3) and len(scene.panels) >= 2 and scene.room.any()
