"""Pictures of what a finder missed or found in vain: the image, and beside it truth, found pairs and what was dropped."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from matching_cases import Scene, contours
from PIL import Image

from forgery_rcnn import rle
from forgery_rcnn.data.images import fitted_size, resized, resized_mask
from forgery_rcnn.matching.pairs import Finding, parts_of

SIDE, LINE = 760, 15  # pixels: longer side of a picture; height of a line of text
TRUTH, FIRST, SECOND = (0, 200, 0), (235, 40, 40), (40, 90, 255)
SHOWN = 8  # pairs and dropped motions described at most


def described(finding: Finding) -> list[str]:
    """-> a line for each pair and for each motion that was dropped, the first few."""
    lines = []
    for number, pair in enumerate(finding.pairs[:SHOWN], 1):
        parts, area = parts_of(pair.matrix), int(pair.first[:, 1].sum())
        lines.append(
            f"{number}: {pair.found_by} score {pair.score:.2f} corr {pair.correlation:.2f} chance {pair.chance:.1e} "
            f"{pair.inliers} inliers {area} px turn {parts.turn:.0f} scale {parts.scale:.2f}{' mirrored' * parts.mirrored}"
        )
    for dropped in finding.rejected[:SHOWN]:
        parts, at = parts_of(dropped.hypothesis.matrix), dropped.hypothesis.first.mean(axis=0)
        lines.append(
            f"- {dropped.hypothesis.found_by} x {len(dropped.hypothesis.first)} at {at[0]:.0f},{at[1]:.0f} turn {parts.turn:.0f} "
            f"scale {parts.scale:.2f}{' mirrored' * parts.mirrored}: {dropped.reason}"
        )
    return lines


def picture(scene: Scene, finding: Finding, lines: list[str]) -> np.ndarray:
    """-> (h, w, 3) uint8: the image, the image with outlines (truth green, first red, second blue), text below."""
    size = fitted_size(scene.pixels.shape[:2], SIDE)
    plain = resized(scene.pixels, size)
    marked = plain.copy()
    cv2.drawContours(marked, contours(resized_mask(scene.truth, size)), -1, TRUTH, 2)
    ignored = resized_mask(finding.figure.ignored, size)
    marked[ignored] = (0.6 * marked[ignored] + 0.4 * np.array([255, 230, 0])).astype(np.uint8)
    for number, pair in enumerate(finding.pairs, 1):
        middles = []
        for runs, colour in ((pair.first, FIRST), (pair.second, SECOND)):
            side = resized_mask(rle.mask_of(runs, finding.figure.size), size)
            cv2.drawContours(marked, contours(side), -1, colour, 1)
            y, x = np.nonzero(side)
            middles.append((int(x.mean()), int(y.mean())) if len(x) else (0, 0))
        cv2.line(marked, *middles, (255, 255, 0), 1, cv2.LINE_AA)
        cv2.putText(marked, str(number), middles[0], cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 0), 2, cv2.LINE_AA)
    both = np.hstack([plain, np.full((size[0], 6, 3), 255, np.uint8), marked])
    text = np.full((LINE * len(lines) + 8, max(both.shape[1], 1100), 3), 255, np.uint8)
    both = np.pad(both, ((0, 0), (0, text.shape[1] - both.shape[1]), (0, 0)), constant_values=255)
    for row, line in enumerate(lines):
        cv2.putText(text, line[:190], (4, LINE * (row + 1)), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([both, text])


def save(folder: Path, name: str, scene: Scene, finding: Finding, title: str) -> None:
    """Write one PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(scene, finding, [title, *described(finding)])).save(folder / f"{name}.png")
