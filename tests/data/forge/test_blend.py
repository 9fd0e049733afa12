"""Blends: content arrives where it should, and nothing beyond the blend's reach changes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forgery_rcnn.data.forge import blend


def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smooth target and content (90, 120, 3) uint8, and a blob."""
    rng = np.random.default_rng(seed)
    pictures = [
        cv2.resize(rng.integers(30, 220, (9, 12, 3)).astype(np.uint8), (120, 90), interpolation=cv2.INTER_CUBIC)
        for _ in range(2)
    ]
    mask = cv2.ellipse(np.zeros((90, 120), np.uint8), (60, 45), (35, 22), 20, 0, 360, 1, -1) > 0
    return pictures[0], pictures[1], mask


@pytest.mark.parametrize("name", blend.BLENDS)
@pytest.mark.parametrize("seed", range(4))
def test_nothing_beyond_its_reach_changes(name: str, seed: int) -> None:
    target, content, mask = scene(seed)
    out = blend.BLENDS[name](target.copy(), content, mask, np.random.default_rng(seed))
    far = cv2.dilate(mask.astype(np.uint8), np.ones((2 * blend.REACH + 1,) * 2)) == 0
    assert out.dtype == np.uint8 and out.shape == target.shape
    assert np.array_equal(out[far], target[far])
    assert np.abs(out[mask].astype(int) - target[mask]).mean() > 5


@pytest.mark.parametrize("name", blend.BLENDS)
def test_content_equal_to_the_target_changes_nothing(name: str) -> None:
    target, _, mask = scene(1)
    out = blend.BLENDS[name](target.copy(), target, mask, np.random.default_rng(0))
    assert np.abs(out.astype(int) - target).max() <= 1


def test_hard_is_the_content_itself() -> None:
    target, content, mask = scene(2)
    out = blend.hard(target, content, mask, np.random.default_rng(0))
    assert np.array_equal(out[mask], content[mask]) and np.array_equal(out[~mask], target[~mask])


@pytest.mark.parametrize("name", ["feathered", "alpha", "poisson"])
def test_the_middle_follows_the_content(name: str) -> None:
    """Detail of the content, at its place: a shift by two pixels correlates less."""
    target, content, mask = scene(3)
    rng = np.random.default_rng(5)
    content = np.clip(content + rng.normal(0, 25, (90, 120, 1)), 0, 255).astype(np.uint8)
    out = blend.BLENDS[name](target, content, mask, rng)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((11, 11))) > 0

    def detail(pixels: np.ndarray) -> np.ndarray:
        grey = pixels.astype(np.float32).mean(axis=2)
        return grey - cv2.GaussianBlur(grey, (0, 0), 2)

    def likeness(shift: int) -> float:
        return float(np.corrcoef(detail(out)[inner], np.roll(detail(content), shift, axis=1)[inner])[0, 1])

    assert likeness(0) > 0.95 and abs(likeness(2)) < 0.5


def test_a_mask_at_the_very_edge_of_its_rectangle_is_cloned_in_place() -> None:
    target, content, _ = scene(4)
    mask = np.zeros((90, 120), bool)
    mask[:60, :50] = True
    out = blend.poisson(target, content, mask, np.random.default_rng(0))
    assert np.array_equal(out[~mask], target[~mask]) and (out[mask] != target[mask]).any()


def test_what_is_too_large_for_poisson_is_feathered(monkeypatch: pytest.MonkeyPatch) -> None:
    target, content, mask = scene(0)
    monkeypatch.setattr(blend, "LARGEST_POISSON", 10)
    out = blend.poisson(target, content, mask, np.random.default_rng(1))
    assert np.array_equal(out, blend.feathered(target, content, mask, np.random.default_rng(1)))


def test_shares_name_every_blend() -> None:
    assert blend.SHARES.keys() == blend.BLENDS.keys() and sum(blend.SHARES.values()) == pytest.approx(1)
    drawn = {blend.drawn(np.random.default_rng(seed)) for seed in range(60)}
    assert drawn == set(blend.BLENDS)
