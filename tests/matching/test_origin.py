"""Which side was there first: named where traces tell, and never the wrong one for certain."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from benchmarks.planting import Planted, plant
from forgery_rcnn.matching import origin
from forgery_rcnn.matching.pairs import gray_of, inverse
from tests.matching.planted import blot, noise_texture, picture

HOSTS = {
    "broad": lambda: noise_texture(5, 1, 320),
    "broader": lambda: noise_texture(8, 2, 320),
    "middling": lambda: noise_texture(3, 3, 320),
    "blot": lambda: blot(4),
    "coffee": lambda: picture("coffee.png")[:300, :380],
    "moon": lambda: picture("moon.png")[40:340, 40:340],
    "ihc": lambda: picture("ihc.png")[:320, :320],
}
SWAPPED = {"first": "second", "second": "first", "undecided": "undecided"}


@cache
def planted() -> tuple[tuple[str, Planted], ...]:
    """4 in each host: shifted, mirrored, turned, scaled; recompressed or not."""
    made = []
    for name, host in HOSTS.items():
        for number, transform in enumerate(("shift", "mirror", "turn", "scale")):
            treatment = "jpeg 95" if number % 2 else "none"
            done = plant(host(), transform, treatment, "rich", 0.08, np.random.default_rng((5, number)))
            if done is not None:
                made.append((f"{name} {transform}", done))
    return tuple(made)


def cut(mask: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """(H, W) bool -> (h, w) bool and x0 y0, with a margin."""
    y, x = np.nonzero(mask)
    x0, y0 = max(int(x.min()) - 3, 0), max(int(y.min()) - 2, 0)
    return mask[y0 : y.max() + 3, x0 : x.max() + 2], (x0, y0)


def forward(done: Planted) -> str:
    return origin.original(gray_of(done.pixels), *cut(done.first), done.matrix)


def backward(done: Planted) -> str:
    return origin.original(gray_of(done.pixels), *cut(done.second), inverse(done.matrix))


def test_what_was_pasted_is_named_in_most_cases_and_next_to_never_wrongly() -> None:
    """The original is the first region; then, with the two exchanged, the second."""
    answers = [(name, forward(done), SWAPPED[backward(done)]) for name, done in planted()]
    assert len(answers) >= 24
    said = [(name, answer) for name, *both in answers for answer in both]
    wrong = [name for name, answer in said if answer == "second"]
    right = [name for name, answer in said if answer == "first"]
    assert len(wrong) <= 0.04 * len(said), wrong
    assert len(right) >= 0.5 * len(said), len(right)


def test_exchanging_the_regions_does_not_turn_the_answer_round() -> None:
    contradictions = [
        name for name, done in planted() if {forward(done), SWAPPED[backward(done)]} == {"first", "second"}
    ]
    assert contradictions == []


DISC = np.zeros((60, 60), np.uint8)
cv2.circle(DISC, (30, 30), 26, 1, -1)
DISC = DISC > 0


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1, y]])


def on(gray: np.ndarray, part: np.ndarray, *places: tuple[int, int]) -> np.ndarray:
    """A disc of a picture at x y of another."""
    gray = gray.copy()
    for x, y in places:
        gray[y : y + 60, x : x + 60][DISC] = part[DISC]
    return gray


def texture(broad: float, seed: int, side: int) -> np.ndarray:
    return noise_texture(broad, seed, side)[..., 0].astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("strength", [1.0, 0.8])
def test_a_hard_seam_is_the_copys(seed: int, strength: float) -> None:
    gray = texture(6, seed, 260)
    gray = on(gray, 128 + strength * (gray[30:90, 20:80] - 128), (150, 170))
    assert origin.original(gray, DISC, (20, 30), shift(130, 140)) == "first"
    assert origin.original(gray, DISC, (150, 170), shift(-130, -140)) == "second"
    assert origin.seam(gray, DISC, (20, 30), shift(130, 140)) > 0
    assert origin.seam(gray, DISC, (150, 170), shift(-130, -140)) < 0


def test_two_copies_of_a_third_are_undecided_but_for_few() -> None:
    """Both were pasted: neither was there first, and only their surroundings differ."""
    answers = []
    for seed in range(24):
        gray = on(texture(6, seed, 260), texture(6, 50 + seed, 60), (20, 30), (150, 170))
        answers.append(origin.original(gray, DISC, (20, 30), shift(130, 140)))
    assert answers.count("undecided") >= 18


@pytest.mark.parametrize("kind", ["the whole is copied", "flat", "nothing was pasted"])
def test_without_a_trace_it_is_undecided(kind: str) -> None:
    half = texture(5, 1, 200)
    gray = np.concatenate([half, half], axis=1)
    mask, corner, matrix = DISC, (40, 50), shift(200, 0)
    if kind == "flat":
        gray = np.full_like(gray, 77)
    if kind == "nothing was pasted":
        gray, matrix = texture(5, 2, 400)[:200], shift(150, 60)
    assert origin.original(gray, mask, corner, matrix) == "undecided"


@pytest.mark.parametrize("mask", [np.ones((3, 3), bool), np.ones((1, 1), bool), np.zeros((20, 20), bool)], ids=str)
def test_too_small_a_region_is_undecided(mask: np.ndarray) -> None:
    gray = on(texture(6, 3, 260), np.full((60, 60), 250, np.float32), (150, 170))
    assert origin.original(gray, mask, (160, 180), shift(-100, -100)) == "undecided"
    assert origin.seam(gray, mask, (160, 180), shift(-100, -100)) == 0


@pytest.mark.parametrize("corner", [(0, 0), (200, 200)])
def test_a_region_whose_outline_is_the_images_border_is_answered(corner: tuple[int, int]) -> None:
    gray = texture(4, 4, 260)
    other = 200 - corner[0], 200 - corner[1]
    matrix = shift(other[0] - corner[0], other[1] - corner[1])
    assert origin.original(gray, np.ones((60, 60), bool), corner, matrix) in SWAPPED
    out = origin.original(gray, np.ones((260, 260), bool), (0, 0), shift(0, 0))
    assert out == "undecided"


@pytest.mark.parametrize("seed", range(3))
def test_what_was_resampled_is_softer(seed: int) -> None:
    """Blurred into its place, so that only the missing grain tells."""
    rng = np.random.default_rng(seed)
    gray = cv2.GaussianBlur(rng.normal(0, 1, (260, 260)), (0, 0), 12).astype(np.float32)
    gray = 120 + 20 * gray / gray.std() + rng.normal(0, 4, gray.shape).astype(np.float32)
    turn = np.radians(17)
    linear = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    matrix = np.column_stack([linear, np.array([180, 190]) - linear @ [60, 70]])
    mask = np.zeros(gray.shape, np.float32)
    mask[40:100, 30:90] = DISC
    alpha = cv2.GaussianBlur(cv2.warpAffine(mask, matrix, (260, 260)), (0, 0), 2)
    gray = gray + alpha * (cv2.warpAffine(gray, matrix, (260, 260), flags=cv2.INTER_LINEAR) - gray)
    there = cv2.warpAffine(mask, matrix, (260, 260)) > 0.5
    assert origin.softness(gray, *cut(mask > 0), matrix) > 0
    assert origin.softness(gray, *cut(there), inverse(matrix)) < 0
    assert origin.original(gray, *cut(mask > 0), matrix) != "second"
    assert origin.original(gray, *cut(there), inverse(matrix)) != "first"


def test_what_was_moved_by_whole_pixels_is_not_asked_for_softness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "softness", lambda *_: 100.0)
    monkeypatch.setattr(origin, "seam", lambda *_: 0.0)
    gray = texture(4, 5, 260)
    assert origin.original(gray, DISC, (20, 30), shift(130, 140)) == "undecided"
    assert origin.original(gray, DISC, (20, 30), shift(130.5, 140)) == "first"


@pytest.mark.parametrize(
    ("evidence", "answer"), [(50, "first"), (-50, "second"), (0.5, "undecided"), (-0.5, "undecided")]
)
def test_little_evidence_is_none(monkeypatch: pytest.MonkeyPatch, evidence: float, answer: str) -> None:
    monkeypatch.setattr(origin, "seam", lambda *_: float(evidence))
    assert origin.original(texture(4, 6, 260), DISC, (20, 30), shift(130, 140)) == answer
