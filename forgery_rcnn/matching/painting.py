"""Painting over what is no picture, so that it takes no part in a comparison: what was drawn over pictures, gutters between them."""

from __future__ import annotations

import cv2
import numpy as np

from forgery_rcnn.matching import furniture

THICKEST = 15  # px: flat areas up to so far across lie inside a letter or an arrow
PAINT = 4.0  # px, sigma of the blur that ink is painted over with
SOFT = 8  # px of a gutter beside a picture that JPEG makes uneven: a block


def drawn(gray: np.ndarray, ignored: np.ndarray, panels: np.ndarray) -> np.ndarray:
    """(H, W) float32 in 0..255, (H, W) bool as `furniture.mask` gives, (P, 4) int64 x0 y0 x1 y1 -> (H, W) bool, what was drawn over
    pictures, without flat areas in them, which may be pictures, and the gutters."""
    flat = furniture.flat(gray)
    return _strokes(flat, ignored) | _gutters(flat, panels)


def _gutters(flat: np.ndarray, panels: np.ndarray) -> np.ndarray:
    """What is flat between panels, up to them. Where a picture ends is a step as strong as anything that it shows, and alike all
    along: with it in a region, the region fits wherever it is moved along the step."""
    outside = np.ones(flat.shape, bool)
    for x0, y0, x1, y1 in panels.tolist():
        outside[y0:y1, x0:x1] = False
    if not outside.any():
        return outside
    return outside & (cv2.dilate(flat.view(np.uint8), np.ones((2 * SOFT + 1,) * 2, np.uint8)) > 0)


def _strokes(flat: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    found = (ignored & ~flat).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (THICKEST, THICKEST))
    # An arrow's inside is flat too, but lies between its outlines.
    return (cv2.morphologyEx(found, cv2.MORPH_CLOSE, disc) > 0) & ignored


def painted_over(gray: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """(H, W) float32, (H, W) bool -> (H, W) float32, the drawn pixels replaced by what lies around them, blurred: their outlines
    would correlate with those of any other letter."""
    if not drawn.any():
        return gray
    known = (~drawn).astype(np.float32)
    weight = cv2.GaussianBlur(known, (0, 0), PAINT)
    around = cv2.GaussianBlur(gray * known, (0, 0), PAINT) / np.maximum(weight, 1e-4)
    return np.where(drawn & (weight > 1e-3), around, gray).astype(np.float32)
