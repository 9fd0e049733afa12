"""How pasted content meets what was there. Each function: target and content (h, w, 3) uint8, mask (h, w) bool -> new target."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

REACH = 3  # pixels around its mask that a blend may touch
LARGEST_POISSON = 250_000  # pixels; a larger region takes seconds

Blend = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def hard(target: np.ndarray, content: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixel for pixel."""
    return np.where(mask[..., None], content, target)


def feathered(target: np.ndarray, content: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Softened within REACH pixels of the outline; half opaque right on it."""
    return mixed(target, content, soft(mask, rng.uniform(0.5, 1.1)))


def alpha(target: np.ndarray, content: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Feathered and not quite opaque: what was there shines through."""
    return mixed(target, content, soft(mask, rng.uniform(0.5, 1.1)) * np.float32(rng.uniform(0.75, 0.95)))


def poisson(target: np.ndarray, content: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Perez et al. 2003: the content's gradients under the target's colours. Feathered where the region is too large."""
    if mask.size > LARGEST_POISSON or min(mask.shape) < 8:
        return feathered(target, content, mask, rng)
    # A border of 2, because OpenCV places the mask's box by its centre and leaves out a mask at the edge.
    ringed = [cv2.copyMakeBorder(array, 2, 2, 2, 2, cv2.BORDER_REPLICATE) for array in (content, target)]
    inside = cv2.copyMakeBorder(mask.astype(np.uint8) * 255, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    x, y, width, height = cv2.boundingRect(inside)
    cloned = cv2.seamlessClone(ringed[0], ringed[1], inside, (x + width // 2, y + height // 2), cv2.NORMAL_CLONE)
    return hard(target, cloned[2:-2, 2:-2], mask, rng)


BLENDS: dict[str, Blend] = {"hard": hard, "feathered": feathered, "alpha": alpha, "poisson": poisson}
SHARES = {"hard": 0.3, "feathered": 0.4, "alpha": 0.12, "poisson": 0.18}


def drawn(rng: np.random.Generator) -> str:
    """The name of a blend."""
    return str(rng.choice(list(SHARES), p=list(SHARES.values())))


def soft(mask: np.ndarray, sigma: float) -> np.ndarray:
    """(h, w) bool -> (h, w) float32 opacity: 1 inside, 0 beyond REACH pixels of the mask."""
    opacity = cv2.GaussianBlur(mask.astype(np.float32), (2 * REACH + 1,) * 2, sigma)
    opacity[opacity < 0.02] = 0
    return opacity


def mixed(target: np.ndarray, content: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 twice, (h, w) float32 0..1 -> (h, w, 3) uint8."""
    part = target + opacity[..., None] * (content.astype(np.float32) - target)
    return np.clip(np.rint(part), 0, 255).astype(np.uint8)
