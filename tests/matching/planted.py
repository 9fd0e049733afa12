"""Copies planted in the pictures of scikit-image's wheel and in drawn textures, and pictures that hold no copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import cv2
import numpy as np
from PIL import Image

from benchmarks import planting
from benchmarks.planting import Planted, Texture, likeness, plant
from forgery_rcnn import rle
from forgery_rcnn.matching.pairs import Finding

SIDE = 480  # longer side of a host, pixels
LIKE = 0.6  # correlation of a region with its copy at least: below it the treatment has left little to find


def picture(name: str) -> np.ndarray:
    """A file of skimage.data -> (h, w, 3) uint8, its longer side 480 at most."""
    image = Image.open(str(files("skimage") / "data" / name)).convert("RGB")
    scale = min(1.0, SIDE / max(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def noise_texture(broad: float, seed: int, side: int = 400) -> np.ndarray:
    """(side, side, 3) uint8: smooth noise, features of about `broad` pixels, with a scanner's grain."""
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), broad)
    grey = 128 + 40 * field / field.std() + rng.normal(0, 1.5, (side, side))
    return np.repeat(np.clip(np.round(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    """(h, w, 3) uint8 as JPEG; 100 is lossless here."""
    return pixels if quality == 100 else planting.saved(pixels, quality)


def blot(seed: int) -> np.ndarray:
    """(300, 420, 3) uint8: soft dark bands of different width and strength on a light ground with grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:300, :420].astype(np.float64)
    grey = 205 + 8 * cv2.GaussianBlur(rng.standard_normal((300, 420)), (0, 0), 20) * 30
    for row in (60, 130, 205, 255):
        for lane in range(7):
            wide, tall = rng.uniform(14, 22), rng.uniform(4, 9)
            bent = row + rng.uniform(-5, 5) + rng.uniform(-0.15, 0.15) * (x - 35 - 58 * lane)
            grey -= rng.uniform(30, 150) * np.exp(
                -(((x - 35 - 58 * lane - rng.uniform(-4, 4)) / wide) ** 4) - ((y - bent) / tall) ** 2
            )
    grey += rng.normal(0, 2.0, grey.shape)
    return np.repeat(np.clip(np.round(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


# Not grass.png and gravel.png: they are synthesised textures, with patches in them that really occur twice.
HOSTS: dict[str, Callable[[], np.ndarray]] = {
    name.split(".")[0]: lambda name=name: picture(name)
    for name in ("astronaut.png", "coffee.png", "chelsea.png", "ihc.png", "rocket.jpg", "retina.jpg", "camera.png",
                   "moon.png", "hubble_deep_field.jpg", "motorcycle_left.png", "coins.png")
}  # fmt: skip
HOSTS |= {
    "fine noise": lambda: noise_texture(1.5, 1),
    "broad noise": lambda: noise_texture(5, 2),
    "broad noise, another": lambda: noise_texture(7, 3),
    "blot": lambda: blot(4),
    "blot, another": lambda: blot(5),
}


@dataclass(frozen=True)
class Forgery:
    """What is planted where. share: of the image, region and copy together."""

    host: str
    transform: str
    treatment: str
    share: float
    texture: Texture

    def __str__(self) -> str:
        return f"{self.host}: {self.transform}, {self.treatment}, {self.texture}"


RICH = tuple(
    Forgery(host, transform, treatment, share, "rich")
    for host, transform, treatment, share in (
        ("astronaut", "shift", "none", 0.06),
        ("coffee", "shift", "jpeg 70", 0.08),
        ("chelsea", "shift", "noise 6", 0.10),
        ("ihc", "shift", "jpeg 85", 0.03),
        ("rocket", "turn", "none", 0.06),
        ("motorcycle_left", "turn", "jpeg 70", 0.10),
        ("astronaut", "turn", "jpeg 85", 0.05),
        ("fine noise", "turn", "noise 6", 0.06),
        ("camera", "scale", "none", 0.08),
        ("coffee", "scale", "jpeg 95", 0.10),
        ("ihc", "scale", "noise 3", 0.06),
        ("hubble_deep_field", "scale", "jpeg 85", 0.08),
        ("motorcycle_left", "mirror", "none", 0.05),
        ("retina", "mirror", "jpeg 95", 0.12),
        ("chelsea", "mirror", "jpeg 85", 0.08),
        ("fine noise", "mirror", "noise 3", 0.06),
        ("ihc", "all", "none", 0.08),
        ("coins", "all", "jpeg 95", 0.10),
        ("astronaut", "all", "noise 3", 0.10),
        ("fine noise", "all", "jpeg 85", 0.08),
    )
)
SMOOTH = tuple(
    Forgery(host, transform, treatment, share, "smooth")
    for host, transform, treatment, share in (
        ("moon", "shift", "none", 0.08),
        ("retina", "shift", "jpeg 85", 0.12),
        ("broad noise", "shift", "jpeg 70", 0.10),
        ("blot", "shift", "jpeg 95", 0.06),
        ("blot, another", "mirror", "noise 3", 0.06),
        ("broad noise", "turn", "jpeg 85", 0.10),
        ("broad noise, another", "scale", "noise 3", 0.12),
        ("coffee", "shift", "noise 3", 0.10),
        ("broad noise, another", "mirror", "jpeg 95", 0.12),
        ("blot", "turn", "none", 0.06),
    )
)


@cache
def made(forgery: Forgery) -> Planted:
    """The same forgery gives the same pixels. The first seed is taken that leaves something to find."""
    pixels = HOSTS[forgery.host]()
    for seed in range(20):
        rng = np.random.default_rng((7, seed))
        done = plant(pixels, forgery.transform, forgery.treatment, forgery.texture, forgery.share, rng)
        if done is not None and likeness(done.pixels, done.union, done.matrix) >= LIKE:
            return done
    raise AssertionError(f"{forgery}: no seed leaves something to find; use another host or a milder treatment")


def mask_of(finding: Finding) -> np.ndarray:
    """-> (H, W) bool: regions and copies of all pairs."""
    sides = [side for pair in finding.pairs for side in (pair.first, pair.second)]
    return rle.mask_of(rle.joined(np.concatenate(sides)) if sides else rle.EMPTY, finding.figure.size)


def f1(found: np.ndarray, truth: np.ndarray) -> float:
    """Of pixels; (H, W) bool twice."""
    return 2 * np.count_nonzero(found & truth) / max(np.count_nonzero(found) + np.count_nonzero(truth), 1)


def gray(values: np.ndarray) -> np.ndarray:
    """(H, W) of any kind in 0..255 -> (H, W, 3) uint8."""
    return np.repeat(np.clip(np.round(values), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def page_of_text() -> np.ndarray:
    """(360, 480, 3) uint8: lines of drawn words, many letters and some words alike."""
    page = np.full((360, 480, 3), 255, np.uint8)
    for line in range(14):
        words = ["lane", "control", "actin", "anti-tubulin", "mutant", "lane control", "37 kDa"]
        text = " ".join(words[(line + k) % len(words)] for k in range(4))
        cv2.putText(page, text, (8, 24 + 24 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
    return page


def grid_of_glyphs() -> np.ndarray:
    """(320, 320, 3) uint8: one drawn mark, 8 x 8 times."""
    page = np.full((320, 320, 3), 245, np.uint8)
    for y in range(20, 320, 40):
        for x in range(20, 320, 40):
            cv2.circle(page, (x, y), 10, (60, 60, 60), 2, cv2.LINE_AA)
            cv2.line(page, (x - 5, y + 4), (x + 6, y - 5), (160, 30, 30), 2, cv2.LINE_AA)
    return page


def figure_with_furniture() -> np.ndarray:
    """(400, 520, 3) uint8: four different panels with frames, letters, scale bars and arrows that are all alike."""
    page = np.full((400, 520, 3), 255, np.uint8)
    for number, (y, x) in enumerate(((10, 10), (10, 265), (205, 10), (205, 265))):
        page[y : y + 185, x : x + 245] = noise_texture(3, 20 + number)[:185, :245]
        cv2.rectangle(page, (x, y), (x + 244, y + 184), (0, 0, 0), 2)
        cv2.putText(
            page, "ABCD"[number], (x + 8, y + 26), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2, cv2.LINE_AA
        )
        cv2.rectangle(page, (x + 170, y + 165), (x + 230, y + 171), (255, 255, 255), -1)
        cv2.putText(page, "50 um", (x + 172, y + 158), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        cv2.arrowedLine(page, (x + 60, y + 110), (x + 95, y + 80), (255, 255, 0), 2, cv2.LINE_AA, tipLength=0.3)
    return page


_Y, _X = np.mgrid[:300, :300]
PERIODIC: dict[str, Callable[[], np.ndarray]] = {
    "flat": lambda: gray(np.full((200, 260), 128)),
    "all black": lambda: gray(np.zeros((200, 260))),
    "all white": lambda: gray(np.full((200, 260), 255)),
    "ramp": lambda: gray(np.tile(np.linspace(0, 255, 300), (200, 1))),
    "noise": lambda: gray(np.random.default_rng(0).uniform(0, 255, (256, 256))),
    "faint noise": lambda: gray(np.random.default_rng(1).normal(200, 3, (256, 256))),
    "checkerboard": lambda: gray(255 * ((_Y // 20 + _X // 20) % 2)),
    "stripes": lambda: gray(127 + 100 * np.sin(_X / 5)),
    "noisy stripes": lambda: gray(127 + 100 * np.sin((_X + 0.3 * _Y) / 5) + np.random.default_rng(2).normal(0, 6, _X.shape)),
    "weave": lambda: gray(127 + 60 * np.sin(_X / 4) + 60 * np.sin(_Y / 6)),
    "text": page_of_text,
    "glyphs": grid_of_glyphs,
    "furniture": figure_with_furniture,
    "brick": lambda: picture("brick.png"),
    "scanned page": lambda: picture("page.png"),
    "chessboard": lambda: picture("chessboard_GRAY.png"),
}  # fmt: skip
"""Pictures that repeat in a legitimate way, or hold nothing."""
