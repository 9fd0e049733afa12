"""Keypoints: mirrored by permutation as the image is mirrored, no more than asked for, none where nothing is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forgery_rcnn.matching import keypoints


def texture(size: tuple[int, int], seed: int) -> np.ndarray:
    """(H, W) float32 in 0..255, soft grain with corners everywhere."""
    grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, size).astype(np.float32), (0, 0), 2.0)
    return np.clip(120 + 250 * grain, 0, 255).astype(np.float32)


def nothing_ignored(gray: np.ndarray) -> np.ndarray:
    return np.zeros(gray.shape, bool)


def found(gray: np.ndarray, limit: int = 500) -> keypoints.Keypoints:
    return keypoints.described(gray, nothing_ignored(gray), limit)


def test_descriptors_mirrored_by_permutation_are_those_of_the_mirrored_image() -> None:
    gray = texture((240, 700), 0)
    one, other = found(gray, 900), found(np.ascontiguousarray(gray[:, ::-1]), 900)
    there = one.xy * [-1, 1] + [gray.shape[1] - 1, 0]
    apart = np.linalg.norm(there[:, None] - other.xy[None], axis=2) + np.abs(one.scale[:, None] - other.scale[None])
    # A keypoint may have several directions: the mirrored one's is pi minus this one's.
    turn = np.abs((180 - one.angle[:, None] - other.angle[None] + 180) % 360 - 180)
    partner = np.argmin(apart + turn / 10, axis=1)
    rows = np.arange(len(one))
    matched = (apart[rows, partner] < 0.5) & (turn[rows, partner] < 3)
    alike = np.einsum("ij,ij->i", keypoints.mirrored(one.descriptors), other.descriptors[partner])[matched]
    plain = np.einsum("ij,ij->i", one.descriptors, other.descriptors[partner])[matched]
    assert matched.mean() > 0.8
    assert np.median(alike) > 0.99
    assert np.median(plain) < 0.9


def test_mirroring_twice_changes_nothing_and_mirroring_both_keeps_their_product() -> None:
    a, b = np.random.default_rng(0).random((2, 40, 128), np.float32)
    assert (keypoints.mirrored(keypoints.mirrored(a)) == a).all()
    assert np.allclose(keypoints.mirrored(a) @ b.T, a @ keypoints.mirrored(b).T, rtol=1e-5)


@pytest.mark.parametrize("limit", [0, 1, 37, 400])
def test_there_are_at_most_as_many_as_asked_for(limit: int) -> None:
    points = found(texture((300, 700), 1), limit)
    assert len(points) == limit
    assert points.descriptors.shape == (limit, 128)
    assert np.allclose(np.linalg.norm(points.descriptors, axis=1), 1, atol=1e-3)


def test_most_of_those_kept_are_the_strongest_and_some_are_spread() -> None:
    gray = texture((300, 900), 2)
    gray[:, 450:] = 120 + (gray[:, 450:] - 120) / 1.5
    kept, limit = found(gray, 300), 300
    weak = kept.xy[:, 0] > 460
    assert 0.02 * limit < weak.sum() < 0.3 * limit


def test_none_lies_in_what_is_ignored_and_the_rest_takes_its_place() -> None:
    gray = texture((300, 700), 3)
    gray[:, 350:] = 120 + (gray[:, 350:] - 120) / 3
    ignored = nothing_ignored(gray)
    ignored[:, :350] = True
    points = keypoints.described(gray, ignored, 200)
    assert len(points) == 200
    assert points.xy[:, 0].min() > 349


def test_all_ignored_gives_none() -> None:
    gray = texture((120, 130), 4)
    assert len(keypoints.described(gray, ~nothing_ignored(gray), 100)) == 0


def test_dim_images_have_keypoints_too() -> None:
    gray = texture((256, 256), 5)
    dim = np.round(10 + gray / 12)
    assert len(found(dim, 2000)) > 0.5 * len(found(gray, 2000))


@pytest.mark.parametrize("size", [(200, 240), (330, 400), (300, 700), (1100, 1300)])
def test_places_are_in_the_image_s_own_pixels(size: tuple[int, int]) -> None:
    """Whatever it is enlarged or made smaller by: a lone blob is where it is."""
    y, x = np.mgrid[: size[0], : size[1]]
    at = np.array([size[1] * 0.4, size[0] * 0.6])
    gray = np.float32(40 + 180 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 6.0**2)))
    points = found(gray)
    assert np.linalg.norm(points.xy - at, axis=1).min() < 0.3
    nearest = np.argmin(np.linalg.norm(points.xy - at, axis=1))
    assert 10 < points.scale[nearest] < 30


@pytest.mark.parametrize("level", [0.0, 3.0, 6.0])
def test_noise_is_measured_whatever_the_picture_s_edges(level: float) -> None:
    gray = np.full((200, 300), 60, np.float32)
    gray[:, 100:] += 100
    noisy = gray + np.random.default_rng(0).normal(0, level, gray.shape)
    assert keypoints.noise(np.float32(noisy)) == pytest.approx(level, rel=0.06)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 7), (90, 90)])
def test_images_without_detail_have_none(size: tuple[int, int]) -> None:
    points = found(np.full(size, 77, np.float32))
    assert len(points) == 0
    assert points.xy.shape == (0, 2)
    assert points.descriptors.shape == (0, 128)


def test_output_is_deterministic() -> None:
    gray = texture((300, 700), 6)
    once, again = found(gray), found(gray)
    assert all((getattr(once, name) == getattr(again, name)).all() for name in ("xy", "scale", "angle", "descriptors"))
