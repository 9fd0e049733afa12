"""What the difference between a forged image and its authentic twin says about the mask.

Both may have been saved as JPEG with the same settings: that spreads weak differences up to 16 pixels around the change.
A copy-move's source is in the mask and unchanged, so no test asks for change in all of a mask.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

STRONG = 6.0  # grey levels that a neighbourhood of 5 x 5 changed in the mean
RECOMPRESSED = 0.5  # grey levels by which half of the image differs where only one twin was compressed again
WEAK = 3  # grey levels of a single changed pixel, its neighbours agreeing
SPREAD = 16  # pixels around a change that JPEG blocks touch
OUTSIDE = 0.5  # more of the change than this outside the mask is wrong
INVERTED = 0.25  # least share of the complement that changed; a copy-move's region is half of its mask
RECTANGLE = 0.98  # share of its box that a drawn rectangle fills
FILLED = 0.85  # a change that fills less of its rectangle is not itself one
EDGE, EDGE_CHANGED = (
    2,
    0.2,
)  # pixels; a drawn rectangle's edge, where less than this share differs at all, was never forged
PANEL = 0.95  # share of its box that the convex hull of a replaced panel fills, and of the change outside that it is
REPLACING = {"overlap"}  # operations that change a whole panel, of which only the part that is seen twice is marked
QUIET = 0.01  # share of the image that differs away from mask and change where neither twin was compressed again
LEAST = 64  # pixels of a component whose form is judged


def difference(authentic: np.ndarray, forged: np.ndarray) -> np.ndarray:
    """Two (H, W, 3) uint8 -> (H, W) uint8, the largest difference of a channel, medians of 3 x 3."""
    return cv2.medianBlur(cv2.absdiff(authentic, forged).max(axis=2), 3)


def strong(change: np.ndarray) -> np.ndarray:
    """(H, W) uint8 difference -> (H, W) bool, where something was changed for certain.

    Where one twin was recompressed the whole image differs a little; what is well above that counts.
    """
    smooth = cv2.blur(change.astype(np.float32), (5, 5))
    middle, noise = np.quantile(smooth, (0.5, 0.8))
    return smooth > max(STRONG, 3 * noise if middle >= RECOMPRESSED else 0)


def inverted(mask: np.ndarray, changed: np.ndarray) -> bool:
    """(H, W) bool each -> whether the complement of a mask over half of the image fits the change."""
    if mask.mean() <= 0.5 or mask.all():
        return False
    density = np.mean(changed[~mask])
    return bool(density > INVERTED and density > 4 * np.mean(changed[mask]))


def faults(masks: np.ndarray, change: np.ndarray, changed: np.ndarray) -> list[tuple[str, str]]:
    """(N, H, W) bool, (H, W) uint8 difference and where it is strong -> names of checks and what was found."""
    if (fault := misplaced(masks, change, changed)) is not None:
        return [fault]
    found = []
    if areas := beside(masks.any(axis=0), change, changed):
        text = f"changed components more than {SPREAD} pixels from the mask: {len(areas)} with {sum(areas)} pixels"
        found.append(("change_beside_mask", text))
    if shares := boxes(masks, change):
        text = f"rectangles of which the change fills {', '.join(f'{share:.0%}' for share in shares[:5])}"
        found.append(("boxy_mask", text))
    return found


def misplaced(masks: np.ndarray, change: np.ndarray, changed: np.ndarray) -> tuple[str, str] | None:
    """As `faults`, of the mask's place: None where it fits or nothing clearly changed."""
    total = np.count_nonzero(changed)
    if not total:
        return None
    union = masks.any(axis=0)
    if not (changed & union).any():
        return "unchanged_under_mask", f"{total} changed pixels, none of them under the mask"
    if (channel := unchanged(masks, change)) is not None:
        return "unchanged_under_mask", f"nothing changed under channel {channel} of {len(masks)}"
    outside = np.count_nonzero(changed & ~near(union)) / total
    if outside <= OUTSIDE:
        return None
    if replaced(masks, changed):
        return "replaced_panel", f"{outside:.0%} of a changed rectangle lie outside the marked rectangles"
    return "mask_misses_change", f"{outside:.0%} of the changed pixels lie more than {SPREAD} pixels outside"


def near(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool -> the mask and what JPEG blocks spread its change to."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * SPREAD + 1, 2 * SPREAD + 1), np.uint8)) > 0


def unchanged(masks: np.ndarray, change: np.ndarray) -> int | None:
    """(N, H, W) bool, (H, W) uint8 difference -> the first channel without even a faint change, None if all have some."""
    faint = change > 4 * float(np.median(change))
    return next((i for i, mask in enumerate(masks) if not (faint & mask).any()), None)


def beside(mask: np.ndarray, change: np.ndarray, changed: np.ndarray) -> list[int]:
    """(H, W) mask, difference and where it is strong -> areas of the changed components of which no pixel is near the mask.

    None where the rest of the image differs too: there one twin was compressed again.
    """
    rest = change[~near(mask | changed)]
    if rest.size and np.count_nonzero(rest) > QUIET * rest.size:
        return []
    _, labels, found, _ = cv2.connectedComponentsWithStats(changed.astype(np.uint8), connectivity=8)
    touched = np.bincount(labels[near(mask)], minlength=len(found)) > 0
    return [int(area) for area in found[1:, cv2.CC_STAT_AREA][~touched[1:]] if area >= LEAST]


def replaced(masks: np.ndarray, changed: np.ndarray) -> bool:
    """(N, H, W), (H, W) bool -> whether the change outside is one rectangle of which exact rectangles mark a part.

    Where one panel of a pair that overlaps was replaced, all of it changed, and what the two share is marked.
    """
    drawn = [mask for mask in masks if all_rectangles(mask[None])]
    if not drawn:
        return False
    _, labels, found, _ = cv2.connectedComponentsWithStats(changed.astype(np.uint8), connectivity=8)
    outside = np.bincount(labels[changed & ~near(masks.any(axis=0))], minlength=len(found))
    largest = int(outside.argmax())
    _, _, width, height, _ = found[largest].tolist()
    panel = labels == largest
    hull = cv2.contourArea(cv2.convexHull(cv2.findNonZero(panel.astype(np.uint8))))
    whole = hull >= PANEL * (width - 1) * (height - 1) and outside[largest] >= PANEL * outside.sum()
    return bool(whole and any((panel & mask).any() for mask in drawn))


def turned(masks: np.ndarray, changed: np.ndarray | None) -> np.ndarray:
    """(N, W, H) bool -> (N, H, W): transposed, or turned another way if the change lies there for certain."""
    ways = [masks.swapaxes(1, 2), np.rot90(masks, 1, (1, 2)), np.rot90(masks, -1, (1, 2))]
    ways.append(np.rot90(masks.swapaxes(1, 2), 2, (1, 2)))
    if changed is None:
        return ways[0]
    return max(ways, key=lambda way: np.count_nonzero(way.any(axis=0) & changed))  # the first of equals


def boxes(masks: np.ndarray, change: np.ndarray) -> list[float]:
    """(N, H, W) bool, (H, W) uint8 difference -> of every rectangle drawn around a change, the share that changed.

    A change is measured by its convex hull: flat parts inside it may look unchanged. A region that was forged as a
    rectangle differs up to its edge, however faintly; a rectangle drawn around a region does not.
    """
    weak = (change > max(WEAK, 4 * float(np.median(change)))).astype(np.uint8)
    shares = []
    for area, (y, x), mask in rectangles(masks):
        inside = weak[y, x] & mask
        points = cv2.findNonZero(inside)
        if points is None or np.count_nonzero(inside) < LEAST // 4 or _edge_changed(change[y, x]) > EDGE_CHANGED:
            continue
        hull = cv2.fillConvexPoly(np.zeros_like(inside), cv2.convexHull(points), 1)
        if (share := np.count_nonzero(hull & mask) / area) < FILLED:
            shares.append(share)
    return shares


def _edge_changed(change: np.ndarray) -> float:
    """(h, w) uint8 difference -> share of the EDGE outermost pixels where there is any."""
    inner = change[EDGE:-EDGE, EDGE:-EDGE]
    return float((np.count_nonzero(change) - np.count_nonzero(inner)) / max(1, change.size - inner.size))


def rectangles(masks: np.ndarray) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray]]:
    """(N, H, W) bool -> of every component that is a near-perfect rectangle: pixels, place, (h, w) uint8 mask there."""
    for mask in masks:
        count, labels, boxes_and_areas, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        for number in range(1, count):
            x, y, width, height, area = boxes_and_areas[number].tolist()
            if area >= LEAST and area >= RECTANGLE * width * height:
                place = slice(y, y + height), slice(x, x + width)
                yield area, place, (labels[place] == number).astype(np.uint8)


def all_rectangles(masks: np.ndarray) -> bool:
    """(N, H, W) bool -> whether every component is an exact rectangle."""
    for mask in masks:
        _, _, found, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        _, _, width, height, area = found[1:].T
        if (area != width * height).any():
            return False
    return True
