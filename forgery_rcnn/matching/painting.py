"""Painting over what was drawn on pictures, so that it takes no part in a comparison."""

from __future__ import annotations

import cv2
import numpy as np

from forgery_rcnn.matching import furniture

THICKEST = 15  # px: flat areas up to so far across lie inside a letter or an arrow
PAINT = 4.0  # px, sigma of the blur that ink is painted over with


def drawn(gray: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """(H, W) float32 in 0..255, (H, W) bool as `mask` gives -> (H, W) bool, what was drawn over pictures, without flat areas, which
    may be pictures."""
    found = (ignored & ~furniture.flat(gray)).astype(np.uint8)
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
