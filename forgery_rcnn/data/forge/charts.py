"""Drawn charts: flow cytometry, bars with errors, lines with markers. Nothing in them is ever forged."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from forgery_rcnn.data.forge import furniture
from forgery_rcnn.data.forge.furniture import SHIFT, Colour
from forgery_rcnn.data.forge.scene import Box

INK: Colour = (20, 20, 20)
PALETTES: tuple[tuple[Colour, ...], ...] = (
    ((30, 30, 30), (150, 150, 150), (255, 255, 255), (90, 90, 90)),
    ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40)),
    ((0, 0, 0), (200, 30, 30), (30, 60, 190), (20, 140, 60)),
    ((230, 75, 53), (77, 187, 213), (0, 160, 135), (60, 84, 136)),
)
GROUPS = ("Ctrl", "siRNA", "WT", "KO", "Veh", "Dox", "Sham", "Low", "High", "IL-6", "NC", "OE")
MEASURES = {
    "Relative expression": (1.5, 2, 4, 6), "Cell viability (%)": (120, 150), "Fold change": (2, 5, 8, 12),
    "Tumor volume (mm³)": (500, 800), "Positive cells (%)": (20, 60, 100), "OD 450 nm": (1, 1.5, 2, 3),
    "Intensity (a.u.)": (60, 300),
}  # fmt: skip
"""Names of left axes and values they may end at."""
MARKERS = ("FITC-A", "PE-A", "APC-A", "CD4", "CD8", "CD44", "Annexin V", "PI", "FSC-A", "SSC-A", "CD25", "GFP")


class Axes(NamedTuple):
    """Where data is drawn: the box inside the axes, the capitals' height, the axes' line width, all in px."""

    box: Box
    em: int
    line: int


def chart(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(h, w) -> (h, w, 3) uint8 RGB, a chart with axes, ticks and labels on white."""
    h, w = size
    pixels = np.full((h, w, 3), 255, np.uint8)
    em = int(np.clip(round(rng.uniform(0.035, 0.045) * min((h * w) ** 0.5, 1.25 * h, 1.25 * w)), 6, 60))
    line = max(1, round(em / 8))
    axes = Axes((round(5.2 * em), round(2.2 * em), w - round(1.4 * em), h - round(3.6 * em)), em, line)
    draw = (_flow, _bars, _lines)[rng.choice(3, p=(0.35, 0.4, 0.25))]
    draw(pixels, axes, rng)
    return pixels


def _write(pixels: np.ndarray, words: str, em: int, at: tuple[float, float], anchor: tuple[float, float]) -> None:
    """Writes words so that `anchor`, in shares of their width and height, comes to lie at x y."""
    _set(pixels, furniture.fitted(words, em, pixels.shape[1]), at, anchor)


def _set(pixels: np.ndarray, alpha: np.ndarray, at: tuple[float, float], anchor: tuple[float, float]) -> None:
    h, w = alpha.shape
    # Words that would leave the chart move in.
    x = int(np.clip(round(at[0] - anchor[0] * w), 0, max(0, pixels.shape[1] - w)))
    y = int(np.clip(round(at[1] - anchor[1] * h), 0, max(0, pixels.shape[0] - h)))
    furniture.stamp(pixels, np.zeros(pixels.shape[:2], np.uint8), alpha, (x, y), INK)


def _titles(pixels: np.ndarray, axes: Axes, below: str, beside: str) -> None:
    """Writes the names of the axes, each as large as fits."""
    x0, y0, x1, y1 = axes.box
    alpha = furniture.fitted(below, axes.em, x1 - x0)
    _set(pixels, alpha, ((x0 + x1) / 2, pixels.shape[0] - 0.3 * axes.em), (0.5, 1))
    alpha = np.rot90(furniture.fitted(beside, axes.em, pixels.shape[0] - 4))
    _set(pixels, alpha, (0.3 * axes.em, (y0 + y1) / 2), (0, 0.5))


def _ticks(pixels: np.ndarray, axes: Axes, top: float) -> None:
    """Draws the left and lower axis and 4..6 round numbers from 0 to `top` on the left one."""
    x0, y0, x1, y1 = axes.box
    cv2.line(pixels, (x0, y0 - axes.em // 2), (x0, y1), INK, axes.line)
    cv2.line(pixels, (x0, y1), (x1, y1), INK, axes.line)
    power = 10.0 ** np.floor(np.log10(top / 3))
    step = next(step for step in power * np.array([1, 2, 2.5, 5, 10]) if top / step <= 6)
    for value in np.arange(0, top + 1e-9, step):
        y = round(y1 - value / top * (y1 - y0))
        cv2.line(pixels, (x0 - axes.em // 2, y), (x0, y), INK, axes.line)
        _write(pixels, f"{value:g}", round(0.85 * axes.em), (x0 - 0.75 * axes.em, y), (1, 0.5))


def _bars(pixels: np.ndarray, axes: Axes, rng: np.random.Generator) -> None:
    """Groups of 1..3 bars with errors; stars and brackets over some."""
    x0, y0, x1, y1 = axes.box
    palette = PALETTES[rng.integers(len(PALETTES))]
    groups = int(np.clip((x1 - x0) // (4.2 * axes.em), 2, rng.integers(2, 7)))
    series = int(rng.integers(1, 4)) if groups < 5 else 1
    measure = str(rng.choice(list(MEASURES)))
    top = float(rng.choice(MEASURES[measure]))
    values, errors = rng.uniform(0.15, 0.72, (groups, series)), rng.uniform(0.02, 0.1, (groups, series))
    _ticks(pixels, axes, top)
    pitch = (x1 - x0) / groups
    wide = pitch * rng.uniform(0.5, 0.75) / series
    names = rng.choice(GROUPS, groups, replace=False)
    for group in range(groups):
        middle = x0 + (group + 0.5) * pitch
        _set(
            pixels, furniture.fitted(str(names[group]), axes.em, int(pitch - 3)), (middle, y1 + 0.7 * axes.em), (0.5, 0)
        )
        for number in range(series):
            left = middle + (number - series / 2) * wide
            high = y1 - values[group, number] * (y1 - y0)
            error = errors[group, number] * (y1 - y0)
            colour = palette[(number if series > 1 else group) % len(palette)]
            corners = (round(left), round(high)), (round(left + wide) - 1, y1)
            cv2.rectangle(pixels, *corners, colour, -1)
            cv2.rectangle(pixels, *corners, INK, axes.line)
            _error(pixels, axes, (left + wide / 2, high), error)
            if group and rng.random() < 0.35:
                stars = "*" * int(rng.integers(1, 4))
                alpha = furniture.fitted(stars, axes.em, int(wide) + axes.em // 2)
                _set(pixels, alpha, (left + wide / 2, high - error - 0.3 * axes.em), (0.5, 1))
    _titles(pixels, axes, "", measure)


def _error(pixels: np.ndarray, axes: Axes, at: tuple[float, float], error: float) -> None:
    """An error bar of +- `error` px around x y."""
    x, cap = round(at[0]), max(1, axes.em // 3)
    low, high = round(at[1] + error), round(at[1] - error)
    cv2.line(pixels, (x, low), (x, high), INK, axes.line)
    for y in (low, high):
        cv2.line(pixels, (x - cap, y), (x + cap, y), INK, axes.line)


def _lines(pixels: np.ndarray, axes: Axes, rng: np.random.Generator) -> None:
    """2..4 curves over time with markers, errors and a legend."""
    x0, y0, x1, y1 = axes.box
    palette = [colour for colour in PALETTES[rng.integers(1, len(PALETTES))] if sum(colour) < 640]
    count, points = int(rng.integers(2, 5)), int(np.clip((x1 - x0) // (2.4 * axes.em), 3, rng.integers(4, 9)))
    measure = str(rng.choice(list(MEASURES)))
    _ticks(pixels, axes, float(rng.choice(MEASURES[measure])))
    x = np.linspace(x0 + axes.em, x1 - axes.em, points)
    for number, value in enumerate(x):
        cv2.line(pixels, (round(value), y1), (round(value), y1 + axes.em // 2), INK, axes.line)
        _write(pixels, str(number * 3), round(0.85 * axes.em), (value, y1 + 0.75 * axes.em), (0.5, 0))
    names = rng.choice(GROUPS, count, replace=False)
    for number in range(count):
        rise = np.linspace(0, 1, points) ** rng.uniform(0.6, 2.2) * rng.uniform(0.1, 0.65)
        y = y1 - (0.1 + rise + rng.normal(0, 0.015, points)) * (y1 - y0)
        colour = palette[number % len(palette)]
        curve = np.round(np.stack([x, y], axis=1) * 2**SHIFT).astype(np.int32)
        cv2.polylines(pixels, [curve], False, colour, 2 * axes.line - 1, cv2.LINE_AA, SHIFT)
        for at in zip(x, y, strict=True):
            _error(pixels, axes, at, rng.uniform(0.2, 1.0) * axes.em)
            _marker(pixels, at, 0.42 * axes.em, number, colour)
        level = y0 + (1.7 * number - 0.8) * axes.em
        _marker(pixels, (x0 + 1.3 * axes.em, level), 0.42 * axes.em, number, colour)
        _write(pixels, str(names[number]), round(0.85 * axes.em), (x0 + 2.3 * axes.em, level), (0, 0.5))
    _titles(pixels, axes, str(rng.choice(("Time (h)", "Days", "Dose (µM)", "Time (min)"))), measure)


def _marker(pixels: np.ndarray, at: tuple[float, float], radius: float, kind: int, colour: Colour) -> None:
    """A disc, square, triangle or diamond around x y."""
    turns, start = {0: (24, 0.0), 1: (4, 0.785), 2: (3, -1.571), 3: (4, 0.0)}[kind % 4]
    angle = start + np.linspace(0, 2 * np.pi, turns, endpoint=False)
    points = np.array(at) + 1.15 * radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    cv2.fillPoly(pixels, [np.round(points * 2**SHIFT).astype(np.int32)], colour, cv2.LINE_AA, SHIFT)


def _flow(pixels: np.ndarray, axes: Axes, rng: np.random.Generator) -> None:
    """Events of a flow cytometer, coloured by density or black, in four quadrants with their shares."""
    x0, y0, x1, y1 = axes.box
    w, h = x1 - x0, y1 - y0
    clouds = int(rng.integers(2, 5))
    total = min(6000, w * h // 5)  # dots of a small plot must not fill it
    share = rng.dirichlet(np.full(clouds, 1.2))
    events = [
        rng.normal(rng.uniform(0.18, 0.8, 2), rng.uniform(0.04, 0.13, 2), (int(part * total) + 20, 2)) for part in share
    ]
    points = np.concatenate([*events, rng.uniform(0, 1, (150, 2))])
    points = points[((points > 0.01) & (points < 0.99)).all(axis=1)]
    scale = min(1.0, 320 / max(w, h))  # a dot is a pixel of a plot of at most this size
    columns, rows = max(1, round(w * scale)), max(1, round(h * scale))
    cells = (points * (columns, rows)).astype(int)
    counts = np.bincount(cells[:, 1] * columns + cells[:, 0], minlength=rows * columns)
    counts = counts.reshape(rows, columns).astype(np.float32)
    density = cv2.GaussianBlur(counts, (0, 0), (rows * columns) ** 0.5 / 70)
    level = np.clip(255 * (density / np.percentile(density[counts > 0], 98)) ** 0.7, 0, 255).astype(np.uint8)
    coloured = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    if rng.random() < 0.3:
        coloured[:] = INK
    plot = np.where((counts > 0)[..., None], coloured, 255).astype(np.uint8)[::-1]
    pixels[y0:y1, x0:x1] = cv2.resize(plot, (w, h), interpolation=cv2.INTER_LINEAR)
    _gates(pixels, axes, points, rng)
    _decades(pixels, axes)
    below, beside = rng.choice(MARKERS, 2, replace=False)
    _titles(pixels, axes, str(below), str(beside))


def _decades(pixels: np.ndarray, axes: Axes) -> None:
    """Draws logarithmic ticks and powers of ten along both axes."""
    x0, y0, x1, y1 = axes.box
    w, h = x1 - x0, y1 - y0
    for decade in range(5):
        at = 0.06 + 0.22 * decade
        for minor in (0.0, 0.3, 0.48, 0.6, 0.7, 0.78, 0.85, 0.9, 0.95):
            reach = axes.em // 2 if not minor else axes.em // 4
            x, y = round(x0 + (at + 0.22 * minor) * w), round(y1 - (at + 0.22 * minor) * h)
            if x < x1:
                cv2.line(pixels, (x, y1), (x, y1 + reach), INK, axes.line)
                cv2.line(pixels, (x0 - reach, y), (x0, y), INK, axes.line)
        for anchor, spot in (
            ((0.5, 0.0), (x0 + at * w, y1 + 0.75 * axes.em)),
            ((1.0, 0.5), (x0 - 0.75 * axes.em, y1 - at * h)),
        ):
            _power(pixels, decade, round(0.75 * axes.em), spot, anchor)


def _power(pixels: np.ndarray, decade: int, em: int, at: tuple[float, float], anchor: tuple[float, float]) -> None:
    """Writes 10 to the power of `decade`."""
    base, raised = furniture.text("10", em), furniture.text(str(decade), max(4, round(0.65 * em)))
    lift = raised.shape[0] // 2
    alpha = np.zeros((base.shape[0] + lift, base.shape[1] + raised.shape[1] + 1), np.uint8)
    alpha[lift:, : base.shape[1]] = base
    alpha[: raised.shape[0], base.shape[1] + 1 :] = raised
    _set(pixels, alpha, at, anchor)


def _gates(pixels: np.ndarray, axes: Axes, points: np.ndarray, rng: np.random.Generator) -> None:
    """Draws the plot's frame, its quadrants and the share of the (N, 2) points in each."""
    x0, y0, x1, y1 = axes.box
    gate = rng.uniform(0.4, 0.6, 2)
    x, y = round(x0 + gate[0] * (x1 - x0)), round(y1 - gate[1] * (y1 - y0))
    cv2.rectangle(pixels, (x0, y0), (x1, y1), INK, axes.line)
    cv2.line(pixels, (x, y0), (x, y1), INK, axes.line)
    cv2.line(pixels, (x0, y), (x1, y), INK, axes.line)
    right, upper = points[:, 0] > gate[0], points[:, 1] > gate[1]
    gap = 0.4 * axes.em
    corners = (
        (x0 + gap, y0 + gap, 0, 0),
        (x1 - gap, y0 + gap, 1, 0),
        (x0 + gap, y1 - gap, 0, 1),
        (x1 - gap, y1 - gap, 1, 1),
    )
    for number, (cx, cy, ax, ay) in enumerate(corners):
        inside = (right == (ax == 1)) & (upper == (ay == 0))
        name = f"Q{number + 1} " if x1 - x0 > 24 * axes.em else ""
        _write(pixels, f"{name}{100 * inside.mean():.1f}%", round(0.85 * axes.em), (cx, cy), (ax, ay))
