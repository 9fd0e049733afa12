"""Content: the same picture is found through flips, turns, scale, compression; another of the same layout is not."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from forgery_rcnn.data import content


def field(seed: int, size: tuple[int, int] = (200, 260)) -> np.ndarray:
    """(H, W, 3) uint8: smooth random structure, another one for every seed."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(size), 6)
    scaled = 127 + 90 * noise / np.abs(noise).max()
    return np.repeat(scaled.astype(np.uint8)[..., None], 3, axis=2)


def figure(panels: list[np.ndarray]) -> np.ndarray:
    """Four panels in one layout: wide white gutters, which alone make the hashes agree."""
    canvas = np.full((460, 580, 3), 255, np.uint8)
    for number, panel in enumerate(panels):
        y, x = 20 + 220 * (number // 2), 20 + 280 * (number % 2)
        canvas[y : y + 200, x : x + 260] = panel // 4
    return canvas


def compressed(pixels: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file))


def tilted(pixels: np.ndarray, degrees: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(pixels, turn, (width, height), borderMode=cv2.BORDER_REFLECT)


CHANGES = {
    "itself": lambda p: p,
    "compressed": compressed,
    "half the size": lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "brighter": lambda p: np.clip(p * 1.2 + 15, 0, 255).astype(np.uint8),
    "cropped by 3 %": lambda p: np.ascontiguousarray(p[6:-6, 8:-8]),
    "cropped and mirrored": lambda p: np.ascontiguousarray(p[6:-6, -8:8:-1]),
    "tilted": lambda p: tilted(p, 2.5),
    "mirrored": lambda p: np.ascontiguousarray(p[:, ::-1]),
    "turned": lambda p: np.ascontiguousarray(np.rot90(p)),
    "mirrored and turned": lambda p: np.ascontiguousarray(np.rot90(p[::-1], 3)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_same_picture_is_found_again(name: str) -> None:
    pixels = [field(0), CHANGES[name](field(0)), *(field(seed) for seed in range(1, 12))]
    assert content.near_duplicates([content.of(each) for each in pixels]) == [(0, 1)]


def test_figures_of_one_layout_are_different_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "BITS", 64)  # the hash lets every pair through: the tiles alone decide
    figures = [content.of(figure([field(seed) for seed in seeds])) for seeds in (range(4), range(4, 8), range(4))]
    assert content.near_duplicates(figures) == [(0, 2)]


def test_two_flat_images_are_one_only_when_equally_bright() -> None:
    dark, bright = (content.of(np.full((90, 90, 3), level, np.uint8)) for level in (10, 200))
    assert content.near_duplicates([dark, dark, bright]) == [(0, 1)]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 3)])
def test_the_smallest_images_have_content_too(size: tuple[int, int]) -> None:
    found = content.of(np.zeros((*size, 3), np.uint8))
    assert len(found.thumbnail) == content.SIDE**2 and len(found.hashes) == 8


def test_none_and_one_have_no_pairs() -> None:
    assert content.near_duplicates([]) == content.near_duplicates([content.of(field(0))]) == []


def test_pairs_far_apart_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "BLOCK", (3, 4))
    contents = [content.of(field(seed)) for seed in range(8)]
    assert content.near_duplicates([*contents, contents[1]]) == [(1, 8)]


def test_groups_follow_links_in_any_order() -> None:
    assert content.joined(6, [(5, 4), (0, 4), (2, 1)]) == [0, 1, 1, 3, 0, 0]
    assert content.joined(0, []) == []
    labels = [["x"], [], ["y"], ["x", "y"]]
    assert content.joined(4, content.sharing(labels)) == [0, 1, 0, 0]
