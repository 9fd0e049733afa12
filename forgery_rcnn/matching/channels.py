"""What tells the channels of one field and their merge from a panel that was used twice.

A stain varies within and fades out; what was drawn over a picture has one lightness, which JPEG keeps at full size though it halves
the colours, and ends within a pixel or two. Light of a stain only adds, a dye only takes away: what takes one colour's place
by another lies over the picture. And a merge shows everything that its channel does, and something in another hue.
"""

from __future__ import annotations

import cv2
import numpy as np

from forgery_rcnn.matching.pairs import gray_of

ACROSS = 5  # px, of which tint, hue and light are means
STRONG = (0.9, 0.5)  # quantile of a component's differences, and the part of it from which a pixel is of its core
CONTRAST = 50.0  # levels between a mark and its ground, at least
RINGS = (2, 6)  # px out from a core: where a mark is over, and where its ground begins
REPLACED = 16.0  # levels that one plane loses and another gains, in the middle of a core, where something lies over the picture
SAME, SHARP = {"added": 0.5, "replaced": 0.4}, {"added": 0.9, "replaced": 0.75}
"""By what a mark does to the picture: share of its core that has one lightness, and how much of its contrast is there at the first ring."""
LEVELS, EVEN = 12.0, 0.12  # off the middle lightness, at most, and as a part of it
SHADE = {"least": 40, "levels": 0.4, "alike": 0.8}
"""Pixels within, deviation of their lightness on either side, and how far it correlates, from which what lies under shows through."""
LARGEST_MARK = 0.06  # of what both panels show
LEAST = 9  # px; a smaller component is noise
LIT = {"levels": 32.0, "part": 0.25, "black": 0.3}
"""Levels, and part of a channel's lightest, from which it shows something there; share of it that is darker: it shines on black."""
MISSING = (0.4, 0.05)  # a channel's light of which a merge shows less, and share of what is lit that may be so
FILLED = 4.0  # levels of deviation from which a plane shows something
CHANGED = {"least": 64, "kept": 0.5, "every": 0.5, "detail": 0.4, "under": 0.5}
"""Pixels that are others, at least; share of what is lit that is kept, at least; of the others, that differ in each colour; levels of
detail there, at least, and the part of one side's that goes on into the other's, at most."""
HUE, FOREIGN = 0.95, 0.003  # cosine between two hues that are one; share of a merge that must have another


def are_stained(own: np.ndarray, other: np.ndarray, seen: np.ndarray, levels: float, least: float) -> bool:
    """2 x (h, w, 3) uint8, laid on each other, and (h, w) bool, where both show the field -> whether they differ in colour by more than so
    many levels in at least such a share of it, marks aside."""
    tint = np.abs(_blurred((_colour(own) - _colour(other)) * seen[..., None])).max(axis=2) > levels
    _, labels, found, _ = cv2.connectedComponentsWithStats(tint.astype(np.uint8), connectivity=8)
    numbers = np.flatnonzero(found[1:, cv2.CC_STAT_AREA] >= LEAST) + 1
    numbers = numbers[np.argsort(-found[numbers, cv2.CC_STAT_AREA], kind="stable")]
    shown = int(seen.sum())
    wanted, left = max(least * shown, LEAST), int(found[numbers, cv2.CC_STAT_AREA].sum())
    for number in numbers:
        if left < wanted or wanted <= 0:
            break
        x, y, width, height, area = found[number].tolist()
        reach = max(RINGS)
        window = np.s_[max(y - reach, 0) : y + height + reach, max(x - reach, 0) : x + width + reach]
        left -= area
        if not _is_mark(own[window], other[window], labels[window] == number, LARGEST_MARK * shown):
            wanted -= area
    return wanted <= 0


def is_replaced(own: np.ndarray, other: np.ndarray, seen: np.ndarray) -> bool:
    """The same of two panels -> whether they are one picture but for some places, where each shows detail of its own in every colour. What
    lies under a stain, or an area shaded over, still shows through."""
    planes = [n for n in range(3) if seen.any() and min(side[..., n][seen].std() for side in (own, other)) >= FILLED]
    sides = [np.float32(side[..., planes]) for side in (own, other)]
    differ = [np.abs(_blurred(first - second)) > REPLACED for first, second in zip(*map(_planes, sides), strict=True)]
    apart = seen & np.any(differ, axis=0)
    lit = seen & (np.maximum(own, other).max(axis=2) >= LIT["levels"])
    if not planes or apart.sum() < CHANGED["least"] or (lit & ~apart).sum() < CHANGED["kept"] * lit.sum():
        return False
    if min(plane[apart].mean() for plane in differ) < CHANGED["every"]:
        return False
    _, parts, stats, _ = cv2.connectedComponentsWithStats(apart.astype(np.uint8), connectivity=8)
    for number in np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= SHADE["least"]) + 1:
        x, y, width, height = stats[number, :4].tolist()
        window = np.s_[max(y - ACROSS, 0) : y + height + ACROSS, max(x - ACROSS, 0) : x + width + ACROSS]
        if _is_shade(own[window], other[window], parts[window] == number):
            apart[window][parts[window] == number] = False
    within = _inside(apart) & (np.maximum(own, other).max(axis=2) < 255)  # saturated, nothing shows through
    details = ([(plane - _blurred(plane))[within] for plane in _planes(side)] for side in sides)
    return within.sum() >= CHANGED["least"] and all(
        _are_apart(first, second) for first, second in zip(*details, strict=True)
    )


def _are_apart(first: np.ndarray, second: np.ndarray) -> bool:
    """2 x (K,) float32, one colour's detail at the same places -> whether each side has some, and none goes on into the other."""
    energies = float(first @ first), float(second @ second)
    if min(energies) < CHANGED["detail"] ** 2 * len(first):
        return False
    return float(first @ second) < CHANGED["under"] * min(energies)


def is_merge(own: np.ndarray, other: np.ndarray, seen: np.ndarray) -> bool:
    """The same of two panels -> whether one of them is dark and the other shows all that shines there, and much in another hue."""
    colours = [_blurred(np.float32(side)) for side in (own, other)]
    return any(_holds(channel, merge, seen) for channel, merge in (colours, colours[::-1]))


def _holds(channel: np.ndarray, merge: np.ndarray, seen: np.ndarray) -> bool:
    """2 x (h, w, 3) float32 and (h, w) bool."""
    light, lighter = channel.max(axis=2), merge.max(axis=2)
    if not seen.any():
        return False
    lit = seen & (light >= max(LIT["levels"], LIT["part"] * float(np.quantile(light[seen], 0.99))))
    if not lit.any() or (light[seen] < LIT["levels"]).mean() < LIT["black"]:
        return False
    part, most = MISSING
    if (lighter < part * light)[lit].mean() > most:
        return False
    hue = channel[lit].mean(axis=0)
    foreign = [
        (side @ hue < HUE * np.linalg.norm(hue) * np.linalg.norm(side, axis=2)) & (side.max(axis=2) >= LIT["levels"])
        for side in (channel, merge)
    ]
    return bool((foreign[1] & ~foreign[0])[seen].mean() >= FOREIGN)


def _blurred(values: np.ndarray) -> np.ndarray:
    return cv2.blur(values, (ACROSS, ACROSS))


def _planes(values: np.ndarray) -> list[np.ndarray]:
    return [values[..., n] for n in range(values.shape[2])]


def _colour(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 -> (h, w, 3) float32, without lightness."""
    values = np.float32(pixels)
    return values - values.mean(axis=2, keepdims=True)


def _is_mark(own: np.ndarray, other: np.ndarray, tinted: np.ndarray, largest: float) -> bool:
    """2 x (h, w, 3) uint8 and (h, w) bool, one component of what differs -> whether it is drawn over one of them."""
    differ = np.float32(own) - other
    apart = np.abs(differ).max(axis=2)
    quantile, part = STRONG
    core = tinted & (apart >= part * np.quantile(apart[tinted], quantile))
    if core.sum() > largest or _is_shade(own, other, core):
        return False
    near, far = (_grown(core, reach) & ~_grown(core, reach - 1) for reach in RINGS)
    if not (near.any() and far.any()):
        return False
    both_ways = np.minimum(differ[core].max(axis=1), -differ[core].min(axis=1))
    replaced = bool(np.median(both_ways) >= REPLACED)
    return any(_is_drawn(side, core, near, far, replaced) for side in (own, other))


def _is_shade(own: np.ndarray, other: np.ndarray, core: np.ndarray) -> bool:
    """2 x (h, w, 3) uint8 and (h, w) bool -> whether the same lights and shadows show within, on both sides: an area shaded over, as a
    segmentation is."""
    within = _inside(core)
    if within.sum() < SHADE["least"]:
        return False
    lights = [_blurred(gray_of(side))[within] for side in (own, other)]
    if min(float(light.std()) for light in lights) < SHADE["levels"]:
        return False
    return float(np.corrcoef(*lights)[0, 1]) >= SHADE["alike"]


def _is_drawn(side: np.ndarray, core: np.ndarray, near: np.ndarray, far: np.ndarray, replaced: bool) -> bool:
    """(h, w, 3) uint8, (h, w) bool and two rings around it -> whether the core has one lightness and ends at once."""
    lightness, apart = gray_of(side)[core], np.abs(side - np.median(side[core], axis=0)).max(axis=2)
    middle = float(np.median(lightness))
    off, contrasts = np.abs(lightness - middle), (float(apart[near].mean()), float(apart[far].mean()))
    if contrasts[0] < CONTRAST:
        return False
    # Of a stain in red or blue, whose lightness is low anyway, more is asked than of what cannot be one.
    ways = [("added", min(LEVELS, EVEN * middle))] + ([("replaced", LEVELS)] if replaced else [])
    return any(
        (off <= levels).mean() >= SAME[way] and contrasts[0] >= SHARP[way] * contrasts[1] for way, levels in ways
    )


def _inside(mask: np.ndarray) -> np.ndarray:
    """A mask without the places whose mean reaches over its outline, which is detail too."""
    return cv2.erode(mask.astype(np.uint8), np.ones((2 * ACROSS - 1,) * 2, np.uint8)) > 0


def _grown(mask: np.ndarray, reach: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
