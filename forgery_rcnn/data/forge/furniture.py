"""Letters, labels, scale bars, arrows and frames of a figure, each an alpha to be stamped on the canvas.

An alpha is (h, w) uint8, 0 = nothing, 255 = ink. Stamping takes the room away under the ink and MARGIN px around it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN = 3  # pixels around furniture where no forgery may lie
SHIFT = 4  # OpenCV's sub-pixel bits
Face = Literal["plain", "bold", "round", "heavy", "slanted"]
Colour = tuple[int, int, int]
FACES: tuple[Face, ...] = ("plain", "bold", "round", "heavy", "slanted")
BUILT_IN: dict[Face, tuple[str, int]] = {"round": ("sans", 400), "heavy": ("sans", 700), "slanted": ("italic", 500)}
HEADS = ("solid", "head", "chevron")
Head = Literal["solid", "head", "chevron"]


@lru_cache(maxsize=8)
def _built_in(name: str) -> cv2.FontFace:
    return cv2.FontFace(name)


@lru_cache(maxsize=64)
def _scalable(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=512)
def text(words: str, height: int, face: Face = "plain") -> np.ndarray:
    """Words in capitals of `height` px -> (h, w) uint8 alpha, cropped to the ink, read-only.

    Pillow's font lacks Greek: words with other than ASCII letters are drawn in OpenCV's.
    """
    size = max(6, round(height / 0.72))
    alpha = np.zeros((2 * size + 8, (len(words) + 2) * size + 8), np.uint8)
    if face in BUILT_IN or not words.isascii():
        name, weight = BUILT_IN.get(face, ("uni", 500))
        cv2.putText(alpha, words, (size // 2, size + size // 2), (255,), _built_in(name), size, weight)
    else:
        page = Image.fromarray(alpha)
        stroke = size / 26 if face == "bold" else 0
        ImageDraw.Draw(page).text((size // 2, size // 4), words, 255, _scalable(size), stroke_width=stroke)
        alpha = np.array(page)
    x, y, w, h = cv2.boundingRect(alpha)
    alpha = alpha[y : y + h, x : x + w].copy()
    alpha.flags.writeable = False
    return alpha


def fitted(words: str, height: int, width: int, face: Face = "plain") -> np.ndarray:
    """Words -> (h, w) uint8 alpha at most `width` px wide: capitals shrink to 6 px, and what still is too wide is empty."""
    alpha = text(words, height, face)
    if alpha.shape[1] > width:
        alpha = text(words, max(6, height * width // alpha.shape[1]), face)
    return alpha if alpha.shape[1] <= width else alpha[:0, :0]


def scale_bar(length: int, thickness: int, words: str, height: int, face: Face = "plain") -> np.ndarray:
    """A horizontal bar of length x thickness px with words centred above it ("" for none) -> (h, w) uint8 alpha."""
    bar = np.full((thickness, length), 255, np.uint8)
    if not words:
        return bar
    label = text(words, height, face)
    gap = max(2, height // 3)
    alpha = np.zeros((label.shape[0] + gap + thickness, max(length, label.shape[1])), np.uint8)
    x = (alpha.shape[1] - label.shape[1]) // 2
    alpha[: label.shape[0], x : x + label.shape[1]] = label
    x = (alpha.shape[1] - length) // 2
    alpha[-thickness:, x : x + length] = bar
    return alpha


def arrow(length: int, turn: float, head: Head = "solid") -> np.ndarray:
    """An arrow of `length` px that points along `turn` radians (0 right, clockwise) -> (h, w) uint8 alpha."""
    side = length + 8
    alpha, along = np.zeros((side, side), np.uint8), np.array([np.cos(turn), np.sin(turn)])
    across = np.array([-along[1], along[0]])
    tip, tail = side / 2 + along * length / 2, side / 2 - along * length / 2
    reach = {"solid": 0.42, "head": 0.95, "chevron": 0.4}[head] * length
    spread = {"solid": 0.2, "head": 0.4, "chevron": 0.26}[head] * length
    wings = tip - reach * along + spread * np.array([across, -across])
    thickness = max(1, round(length / 11))
    if head != "head":
        end = tip - along * (0.8 * reach if head == "solid" else thickness / 2)
        cv2.line(alpha, _fixed(tail), _fixed(end), (255,), thickness, cv2.LINE_AA, SHIFT)
    if head == "chevron":
        for wing in wings:
            cv2.line(alpha, _fixed(tip), _fixed(wing), (255,), thickness, cv2.LINE_AA, SHIFT)
    else:
        corners = np.array([_fixed(point) for point in (tip, *wings)], np.int32)
        cv2.fillPoly(alpha, [corners], (255,), cv2.LINE_AA, SHIFT)
    x, y, w, h = cv2.boundingRect(alpha)
    return alpha[y : y + h, x : x + w]


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """(x, y) float -> OpenCV's fixed point."""
    x, y = np.round(point * 2**SHIFT).astype(int).tolist()
    return x, y


def frame(size: tuple[int, int], thickness: int, dash: int = 0) -> np.ndarray:
    """The outline of a rectangle of `size` = (h, w) px, dashes of `dash` px or solid for 0 -> (h, w) uint8 alpha."""
    h, w = size
    alpha = np.full(size, 255, np.uint8)
    if dash:
        rows, columns = (np.arange(side) // dash % 2 == 0 for side in size)
        alpha[:thickness] = alpha[h - thickness :] = np.where(columns, 255, 0)
        alpha[:, :thickness] = alpha[:, w - thickness :] = np.where(rows, 255, 0)[:, None]
    alpha[thickness : h - thickness, thickness : w - thickness] = 0
    return alpha


def stamp(canvas: np.ndarray, room: np.ndarray, alpha: np.ndarray, corner: tuple[int, int], colour: Colour) -> None:
    """Blend colour into canvas (H, W, 3) where alpha lies with its upper left corner x y; no room there any more.

    Both arrays change in place; what lies outside of them is cut off.
    """
    if alpha.size == 0:
        return
    alpha = np.pad(alpha, MARGIN)  # so that the room taken is not cut at the alpha's border
    x, y = corner[0] - MARGIN, corner[1] - MARGIN
    (h, w), (height, width) = alpha.shape, room.shape
    rows, columns = slice(max(y, 0), min(y + h, height)), slice(max(x, 0), min(x + w, width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    grown = cv2.dilate(alpha, np.ones((2 * MARGIN + 1,) * 2, np.uint8))
    inner = slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x)
    room[rows, columns][grown[inner] > 0] = 0
    below, share = canvas[rows, columns], alpha[inner][..., None] / np.float32(255)
    canvas[rows, columns] = np.rint(below + share * (np.array(colour, np.float32) - below)).astype(np.uint8)
