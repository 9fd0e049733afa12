"""Text around the strips of a blot and the lanes of a gel: proteins, masses, treatments, sizes of a ladder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgery_rcnn.data.forge import furniture

TARGETS = {
    "p53": "53", "Bcl-2": "26", "Bax": "21", "p-Akt": "60", "Akt": "60", "p-ERK": "44", "ERK1/2": "42", "Cas-3": "35",
    "PARP": "116", "STAT3": "88", "p21": "21", "E-cad": "135", "Vim": "57", "HIF-1α": "120", "Cyclin D1": "36",
    "p65": "65", "LC3-II": "14", "p-STAT3": "88", "Flag": "55", "HA": "70",
}  # fmt: skip
LOADING = {"β-actin": "42", "GAPDH": "36", "α-tubulin": "50", "Actin": "42", "Tubulin": "50", "Histone H3": "17"}
MASSES = TARGETS | LOADING
"""Masses of the proteins in kDa."""


@dataclass(frozen=True)
class Frame:
    """Where text goes: pixels left free at the left, right and top of the drawn area, and the capitals' height."""

    left: int
    right: int
    top: int
    em: int


def free(size: tuple[int, int], names: tuple[str, ...], mass: str, rng: np.random.Generator) -> Frame:
    """(h, w) -> the frame of a panel, or on some panels one without text.

    It has room for the longest name at the left and for `mass` at the right ("" for none), or for names at the right.
    """
    h, w = size
    em = int(np.clip(round(0.032 * (h * w) ** 0.5), 7, 48))
    widest = max(furniture.text(word, em).shape[1] for word in names) + 10
    second = furniture.text(mass, em).shape[1] + 10 if mass else 0
    if widest + second > 0.45 * w or rng.random() < 0.35:
        return Frame(0, 0, 0, em)
    sides = [(widest, 0), (0, widest), (widest, second)] if mass else [(widest, 0)]
    left, right = sides[rng.integers(len(sides))]
    return Frame(left, right, round(1.8 * em) if rng.random() < 0.5 and h > 8 * em else 0, em)


def name(pixels: np.ndarray, frame: Frame, rows: tuple[int, int], protein: str) -> None:
    """Write, in place, a strip's protein on one side and, where both are free, its mass on the other."""
    middle, w = sum(rows) // 2, pixels.shape[1]
    if frame.left:
        alpha = furniture.text(protein, frame.em)
        _ink(pixels, alpha, (frame.left - 5 - alpha.shape[1], middle - alpha.shape[0] // 2))
    if frame.right:
        words = f"{MASSES[protein]} kDa" if frame.left else protein
        alpha = furniture.text(words, frame.em)
        _ink(pixels, alpha, (w - frame.right + 5, middle - alpha.shape[0] // 2))


def head(pixels: np.ndarray, frame: Frame, edges: np.ndarray, words: tuple[str, ...]) -> None:
    """Write, in place, a word over each lane; edges: (n + 1,) int px, the lanes' borders."""
    pitch = int(np.diff(edges).min())
    for word, a, b in zip(words, edges[:-1], edges[1:], strict=False):
        alpha = furniture.fitted(word, frame.em, pitch - 2)
        x, y = frame.left + int(a + b - alpha.shape[1]) // 2, (frame.top - alpha.shape[0]) // 2
        _ink(pixels, alpha, (x, y))


def ladder(pixels: np.ndarray, frame: Frame, words: tuple[str, ...], levels: np.ndarray) -> None:
    """Write, in place, words left of a gel's first lane; levels: (n,) shares of the gel's height."""
    for word, level in zip(words, levels, strict=True):
        alpha = furniture.text(word, frame.em)
        y = frame.top + round(level * (pixels.shape[0] - frame.top)) - alpha.shape[0] // 2
        _ink(pixels, alpha, (frame.left - 4 - alpha.shape[1], y))


def _ink(pixels: np.ndarray, alpha: np.ndarray, corner: tuple[int, int]) -> None:
    furniture.stamp(pixels, np.zeros(pixels.shape[:2], np.uint8), alpha, corner, (0, 0, 0))
