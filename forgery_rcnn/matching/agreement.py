"""How well an image agrees with itself under a motion, pixel by pixel: the second region is brought onto the first and compared.

Two bands are compared apart. Form (structures of some pixels) tells which regions look alike; detail (grain, noise, edges to
the pixel) tells whether they are the same: two alike objects have the one in common, a copy has both.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from forgery_rcnn.matching.pairs import parts_of

FORM = (1.2, 5.0)  # px: Gaussian sigmas whose difference is the band
DETAIL = (0.0, 1.2)
MIDDLE = (0.6, 2.2)
WINDOW = 2.5  # px, sigma of the neighbourhood that a correlation is of: about 80 pixels count
FLOOR = {"form": 0.3, "middle": 0.15, "detail": 0.15}
SAME_SIDE = 7  # px
SHARPER = 1.15  # from this scale on the larger region is blurred before it is shrunk


@dataclass(frozen=True)
class Agreement:
    """Of the window `corner` = (x0, y0) of the first region's frame, all (h, w) float32.

    form, middle, detail: local correlations -1..1, 0 where there is nothing to compare; energy, contrast: the lesser standard
    deviation of detail and of form, in levels; inside: bool, where the motion stays in the image and neither side is ignored.
    """

    corner: tuple[int, int]
    form: np.ndarray
    middle: np.ndarray
    detail: np.ndarray
    energy: np.ndarray
    contrast: np.ndarray
    inside: np.ndarray


Box = tuple[int, int, int, int]


def compared(gray: np.ndarray, ignored: np.ndarray, matrix: np.ndarray, box: Box) -> Agreement:
    """(H, W) float32, (H, W) bool, motion first -> second, x0 y0 x1 y1 of the first region's frame -> how they agree there.

    The motion must not shrink much (scale of 0.9 or more): pass the inverse and the other region's box instead.
    """
    first, second, inside = aligned(gray, ignored, matrix, box)
    maps = {}
    for name, (low, high) in {"form": FORM, "middle": MIDDLE, "detail": DETAIL}.items():
        a, b = band(first, low, high), band(second, low, high)
        maps[name], energy = correlation(a, b, FLOOR[name])
        if name == "form":
            contrast = energy
    same = _same(first, second)
    for values in maps.values():
        values[same] = 1
        values[~inside] = 0
    return Agreement(box[:2], **maps, energy=energy, contrast=contrast, inside=inside)


def _same(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """-> (h, w) bool, where all around is equal and not of one level: a lossless copy, however faint its detail."""
    around = np.ones((SAME_SIDE, SAME_SIDE), np.uint8)
    equal = cv2.erode((np.abs(first - second) < 0.25).astype(np.uint8), around) > 0
    return equal & (cv2.dilate(first, around) - cv2.erode(first, around) >= 1)


def aligned(
    gray: np.ndarray, ignored: np.ndarray, matrix: np.ndarray, box: Box
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> (h, w) float32 of the first region's box, (h, w) float32 of what the motion brings there, (h, w) bool, where both are
    in the image and not ignored."""
    x0, y0, x1, y1 = box
    size, local = (x1 - x0, y1 - y0), from_corner(matrix, (x0, y0))
    source, inner, scale = gray, local, parts_of(matrix).scale
    if scale > SHARPER:
        source, inner = _cut_and_blurred(gray, local, size, 0.5 * np.sqrt(scale**2 - 1))
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
    second = cv2.warpAffine(source, inner, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    known = brought((~ignored).astype(np.uint8), matrix, box)
    return gray[y0:y1, x0:x1], second, (known > 0) & ~ignored[y0:y1, x0:x1]


def brought(values: np.ndarray, matrix: np.ndarray, box: Box) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8, motion first -> second, x0 y0 x1 y1 of the first region's frame -> (h, w) or (h, w, 3) uint8, what the
    motion brings there, to the nearest pixel; 0 beyond the image."""
    x0, y0, x1, y1 = box
    local, flags = from_corner(matrix, (x0, y0)), cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST
    return cv2.warpAffine(values, local, (x1 - x0, y1 - y0), flags=flags)


def from_corner(matrix: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """(2, 3) motion -> the same for x y that are counted from a corner x0 y0 of the first region's frame."""
    return np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ corner])


def _cut_and_blurred(
    gray: np.ndarray, local: np.ndarray, size: tuple[int, int], sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Blur only what the motion reaches. -> the cut of the image, and the motion into it."""
    low, high = _reached(gray, local, size, 8)
    if (high - low).min() < 1:
        return gray, local
    cut = cv2.GaussianBlur(gray[low[1] : high[1], low[0] : high[0]], (0, 0), sigma)
    return cut, np.column_stack([local[:, :2], local[:, 2] - low])


def _reached(gray: np.ndarray, local: np.ndarray, size: tuple[int, int], margin: int) -> tuple[np.ndarray, np.ndarray]:
    """-> (2,) x y and (2,) x y exclusive, the part of the image that a motion takes a window of this width and height to, and
    `margin` px around."""
    corners = np.array([[0, 0], [size[0], 0], [0, size[1]], size]) @ local[:, :2].T + local[:, 2]
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + margin + 1, [gray.shape[1], gray.shape[0]])
    return low, high


def band(gray: np.ndarray, low: float, high: float) -> np.ndarray:
    """(h, w) float32 -> (h, w) float32, what lies between two Gaussian blurs."""
    return (cv2.GaussianBlur(gray, (0, 0), low) if low else gray) - cv2.GaussianBlur(gray, (0, 0), high)


def local(values: np.ndarray) -> np.ndarray:
    """(h, w) float32 -> (h, w) float32, means over WINDOW."""
    return cv2.GaussianBlur(values, (0, 0), WINDOW)


def correlation(a: np.ndarray, b: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Two bands (h, w) float32 -> local correlation in -1..1, and the lesser standard deviation of the two, in levels.

    `floor` is a variance added to both: neighbourhoods without content correlate with nothing.
    """
    aa, bb = local(a * a), local(b * b)
    return local(a * b) / np.sqrt((aa + floor) * (bb + floor)), np.sqrt(np.minimum(aa, bb))


def refined(gray: np.ndarray, matrix: np.ndarray, mask: np.ndarray, corner: tuple[int, int], blur: int) -> np.ndarray:
    """The motion, adjusted so that the pixels of `mask`, (h, w) bool at `corner`, correlate best under a blur of side `blur`, odd;
    as it was where that fails.

    Enhanced correlation coefficient (Evangelidis & Psarakis 2008).
    """
    # Only the mask and what the blur reaches around it.
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return matrix
    top, left = max(int(rows[0]) - blur, 0), max(int(columns[0]) - blur, 0)
    mask = mask[top : rows[-1] + blur + 1, left : columns[-1] + blur + 1]
    corner = corner[0] + left, corner[1] + top
    (x0, y0), (height, width) = corner, mask.shape
    # Only what the motion reaches, give or take: OpenCV filters all of the image that it is given.
    low, high = _reached(gray, from_corner(matrix, corner), (width, height), 16)
    if (high - low).min() < 1:
        return matrix
    scene = np.ascontiguousarray(gray[low[1] : high[1], low[0] : high[0]])
    template = np.ascontiguousarray(gray[y0 : y0 + height, x0 : x0 + width])
    start = matrix.copy()
    start[:, 2] += matrix[:, :2] @ [x0, y0] - low
    masks = mask.astype(np.uint8), np.ones(scene.shape, np.uint8)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 1e-4)
    try:
        _, found = cv2.findTransformECCWithMask(
            template, scene, *masks, start.astype(np.float32), cv2.MOTION_AFFINE, criteria, blur
        )
    except cv2.error:  # no texture to go by, or it ran away
        return matrix
    found = found.astype(np.float64)
    found[:, 2] += low - found[:, :2] @ [x0, y0]
    ys, xs = np.nonzero(mask)
    at = np.stack([xs[:: max(1, len(xs) // 200)] + x0, ys[:: max(1, len(xs) // 200)] + y0], axis=1)
    drift = np.linalg.norm(at @ (found - matrix)[:, :2].T + (found - matrix)[:, 2], axis=1).max(initial=0)
    return found if np.isfinite(found).all() and drift < 8 else matrix


def exact(matrix: np.ndarray, centre: np.ndarray) -> np.ndarray | None:
    """The nearest motion by whole pixels with a symmetry of the square, where one lies within 3 % and so copies without
    resampling; centre: (2,) x y of the region, which stays where it went. Else None."""
    linear = np.round(matrix[:, :2])
    if np.abs(matrix[:, :2] - linear).max() > 0.03 or abs(abs(np.linalg.det(linear)) - 1) > 1e-6:
        return None
    shift = np.round(matrix[:, :2] @ centre + matrix[:, 2] - linear @ centre)
    return np.column_stack([linear, shift])
