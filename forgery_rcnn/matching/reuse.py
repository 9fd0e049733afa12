"""Whole panels that occur twice: every pair of panels in the eight turns and mirrors, at thumbnail size first.

Thumbnails are squares whatever the panel's shape, so that a panel that was stretched, or cropped a little, still fits; what
correlates is refined to an affine motion (enhanced correlation coefficient, Evangelidis & Psarakis 2008).
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np
from scipy import fft

from forgery_rcnn.matching.pairs import Figure, Hypothesis

COARSE, FINE = 28, 128  # pixels of a thumbnail's sides, to look with and to refine with
REACH = 12  # coarse pixels that panels may be moved against each other: two of five of their sides
TRANSFORM = 40  # coarse pixels, COARSE + REACH: no motion wraps around
LEAST_SIDE = 24  # pixels of a panel
LEAST_SHOWN = 0.3  # of a panel must not be furniture
LEAST_DETAIL = 1.2  # grey levels of deviation at thumbnail size; a flatter panel correlates with anything
CELL = 5.0  # coarse pixels that vary together: what counts as one observation
LEAST_EVIDENCE = 4.5  # deviations above chance to be refined, of about 3,000 motions per pair
MOST_REFINED = 24  # motions, best first
SCALES = (0.86, 0.93, 1.0, 1.08, 1.17)  # that refining begins with
LEAST_CORRELATION = (
    0.6  # of fine detail after refining; copies have 0.78 and more, other panels up to 0.8 at their luckiest
)
FINE_DETAIL = 4.0  # pixels of a fine thumbnail: what is blurred by so much is not detail, and alike in many panels
MOST_STRETCH = 1.7  # of one thumbnail against the other, either way
LEAST_OVERLAP = 0.25  # of the smaller thumbnail
SEEDS = 6  # in each direction


class Thumbnail(NamedTuple):
    """A panel as a square. detail: (S, S) float32, band-passed, 0 where not shown; shown: (S, S) float32 in 0..1."""

    detail: np.ndarray
    shown: np.ndarray


def hypotheses(figure: Figure) -> list[Hypothesis]:
    """Figure -> motions of whole panels, or large parts, onto other ones, found by "panels"; best first. Deterministic."""
    boxes = [box for box in figure.panels.tolist() if min(box[2] - box[0], box[3] - box[1]) >= LEAST_SIDE]
    coarse = [thumbnail(figure, box, COARSE) for box in boxes]
    usable = [
        n for n, small in enumerate(coarse) if small.shown.mean() >= LEAST_SHOWN and _deviation(small) >= LEAST_DETAIL
    ]
    pairs = list(combinations(usable, 2))
    if not pairs:
        return []
    fine = {n: thumbnail(figure, boxes[n], FINE) for n in usable}
    found: dict[tuple[int, int], tuple[float, np.ndarray]] = {}
    for evidence, pair, start in _candidates(coarse, pairs):
        if evidence < LEAST_EVIDENCE:
            break
        refined = _refined(fine[pair[0]], fine[pair[1]], start)
        if refined is not None and refined[0] > found.get(pair, (LEAST_CORRELATION,))[0]:
            found[pair] = refined
    ranked = sorted(found.items(), key=lambda item: -item[1][0])
    made = (_hypothesis(figure, boxes[a], boxes[b], motion) for (a, b), (_, motion) in ranked)
    return [hypothesis for hypothesis in made if hypothesis is not None]


def thumbnail(figure: Figure, box: list[int], side: int) -> Thumbnail:
    """A panel's box -> side x side pixels of its detail, without furniture and slow shading."""
    window = slice(box[1], box[3]), slice(box[0], box[2])
    shown = (~figure.ignored[window]).astype(np.float32)
    share = cv2.resize(shown, (side, side), interpolation=cv2.INTER_AREA)
    level = cv2.resize(figure.gray[window] * shown, (side, side), interpolation=cv2.INTER_AREA) / np.maximum(
        share, 1e-3
    )
    share[share < 0.25] = 0
    around = [cv2.GaussianBlur(plane, (0, 0), side / 5) for plane in (level * share, share)]
    grain = [cv2.GaussianBlur(plane, (0, 0), max(0.5, side / 100)) for plane in (level * share, share)]
    detail = grain[0] / np.maximum(grain[1], 1e-3) - around[0] / np.maximum(around[1], 1e-3)
    return Thumbnail((detail * (share > 0)).astype(np.float32), share)


def _deviation(small: Thumbnail) -> float:
    return float(np.sqrt((small.detail**2 * small.shown).sum() / max(1.0, float(small.shown.sum()))))


def _turned(square: np.ndarray, number: int) -> np.ndarray:
    """(S, S), 0..7 -> one of the eight symmetries: mirrored for 4 and up, then turned by so many quarters."""
    return np.rot90(square[:, ::-1] if number >= 4 else square, number % 4)


def _symmetry(number: int, side: int) -> np.ndarray:
    """0..7 -> (3, 3), the motion of `_turned` in pixels of a square of this side."""
    mirror = np.array([[-1.0, 0, side - 1], [0, 1, 0], [0, 0, 1]])
    quarter = np.array([[0.0, 1, 0], [-1, 0, side - 1], [0, 0, 1]])
    return np.linalg.matrix_power(quarter, number % 4) @ (mirror if number >= 4 else np.eye(3))


def _candidates(
    coarse: list[Thumbnail], pairs: list[tuple[int, int]]
) -> list[tuple[float, tuple[int, int], np.ndarray]]:
    """-> evidence, pair, and (3, 3) motion of the first FINE thumbnail onto the second; best first."""
    first, second = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    moved = {n: np.stack([_spectra(coarse[n], turn) for turn in range(8)]) for n in first}
    still = {n: _spectra(coarse[n], 0) for n in second}
    found = []
    for a, b in pairs:
        turns, evidence = _evidence(moved[a], still[b])
        for turn, plane in zip(turns.tolist(), evidence, strict=True):
            y, x = np.unravel_index(int(np.argmax(plane)), plane.shape)
            shift = np.eye(3)
            shift[:2, 2] = np.array([x - REACH, y - REACH]) * (FINE / COARSE)
            found.append((float(plane[y, x]), (a, b), shift @ _symmetry(turn, FINE)))
    return sorted(found, key=lambda item: (-item[0], item[1]))[:MOST_REFINED]


def _spectra(small: Thumbnail, turn: int) -> np.ndarray:
    """-> (3, T, T // 2 + 1) complex64: of the detail, its square, and where it is shown."""
    detail, shown = _turned(small.detail, turn), _turned((small.shown > 0).astype(np.float32), turn)
    return fft.rfft2(np.stack([detail, detail**2, shown]).astype(np.float32), (TRANSFORM, TRANSFORM))


def _evidence(moved: np.ndarray, still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(8, 3, ...), (3, ...) spectra -> the two likeliest of the turns, and (2, 2 REACH + 1, 2 REACH + 1) evidence per motion y x."""
    product = _planes(moved[:, 0].conj() * still[0])
    turns = np.argsort(-product.max(axis=(1, 2)), kind="stable")[:2]
    own = moved[turns].conj()
    one, other, overlap = (_planes(own[:, i] * still[j]) for i, j in ((1, 2), (2, 1), (2, 2)))
    energy = np.sqrt(np.maximum(one, 0) * np.maximum(other, 0))
    enough = (overlap > LEAST_OVERLAP * COARSE**2) & (energy > 1e-3)
    correlation = np.where(enough, product[turns] / np.maximum(energy, 1e-3), 0)
    return turns, np.arctanh(np.clip(correlation, -0.99, 0.99)) * np.sqrt(np.maximum(overlap, 0) / CELL)


def _planes(spectra: np.ndarray) -> np.ndarray:
    """(n, T, T // 2 + 1) -> (n, 2 REACH + 1, 2 REACH + 1), correlations at motions of at most REACH, y x."""
    near = np.arange(-REACH, REACH + 1)
    return fft.irfft2(spectra, (TRANSFORM, TRANSFORM))[:, near[:, None], near]


def _refined(first: Thumbnail, second: Thumbnail, start: np.ndarray) -> tuple[float, np.ndarray] | None:
    """-> correlation and (3, 3) motion of the first thumbnail onto the second; None where nothing fits."""
    centre = np.array([[1.0, 0, (FINE - 1) / 2], [0, 1, (FINE - 1) / 2], [0, 0, 1]])
    starts = [start @ centre @ np.diag([scale, scale, 1]) @ np.linalg.inv(centre) for scale in SCALES]
    ranked = sorted(starts, key=lambda motion: -_agreement(first, second, motion, 3.0))
    mask = (second.shown > 0).astype(np.uint8)
    sharp = [
        small._replace(detail=small.detail - cv2.GaussianBlur(small.detail, (0, 0), FINE_DETAIL))
        for small in (first, second)
    ]
    found = []
    for motion in ranked[:2]:
        try:
            stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
            warp = motion[:2].astype(np.float32)
            for blur in (9, 3):
                _, warp = cv2.findTransformECC(first.detail, second.detail, warp, cv2.MOTION_AFFINE, stop, mask, blur)
        except cv2.error:  # what ECC says where it does not converge
            continue
        refined = np.vstack([warp.astype(np.float64), [0, 0, 1]])
        stretch = np.linalg.svd(refined[:2, :2], compute_uv=False)
        if stretch[1] > 1 / MOST_STRETCH and stretch[0] < MOST_STRETCH:
            found.append((_agreement(*sharp, refined, 0.0), refined))
    return max(found, key=lambda item: item[0]) if found else None


def _agreement(first: Thumbnail, second: Thumbnail, motion: np.ndarray, blur: float) -> float:
    """-> correlation of the detail that the two share under a motion, blurred by so many pixels; -1 where it is too little."""
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    planes = [cv2.warpAffine(plane, motion[:2], (FINE, FINE), flags=how) for plane in second]
    common = (planes[1] > 0.5) & (first.shown > 0.5)
    if common.mean() < LEAST_OVERLAP:
        return -1.0
    details = [cv2.GaussianBlur(plane, (0, 0), blur) if blur else plane for plane in (first.detail, planes[0])]
    one, other = (plane[common] - plane[common].mean() for plane in details)
    return float((one * other).sum() / max(1e-6, float(np.sqrt((one**2).sum() * (other**2).sum()))))


def _hypothesis(figure: Figure, first: list[int], second: list[int], motion: np.ndarray) -> Hypothesis | None:
    """Motion of thumbnails -> of the figure's pixels, with places inside both boxes; None where fewer than four are."""
    matrix = (np.linalg.inv(_square(second)) @ motion @ _square(first))[:2]
    x0, y0, x1, y1 = first
    xs, ys = (np.linspace(low, high - 1, 2 * SEEDS + 1)[1::2] for low, high in ((x0, x1), (y0, y1)))
    seeds = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    places = seeds @ matrix[:, :2].T + matrix[:, 2]
    inside = ((places >= second[:2]) & (places <= np.array(second[2:]) - 1)).all(axis=1)
    shown = ~figure.ignored[np.rint(seeds[:, 1]).astype(int), np.rint(seeds[:, 0]).astype(int)]
    chosen = inside & shown if np.count_nonzero(inside & shown) >= 4 else inside
    if np.count_nonzero(chosen) < 4:
        return None
    return Hypothesis(matrix, np.float32(seeds[chosen]), np.float32(places[chosen]), "panels")


def _square(box: list[int]) -> np.ndarray:
    """A box -> (3, 3), figure's pixels to those of its FINE thumbnail; centres of pixels are whole numbers in both."""
    scale = FINE / (box[2] - box[0]), FINE / (box[3] - box[1])
    return np.array(
        [[scale[0], 0, (0.5 - box[0]) * scale[0] - 0.5], [0, scale[1], (0.5 - box[1]) * scale[1] - 0.5], [0, 0, 1]]
    )
