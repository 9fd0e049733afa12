"""What one file told: the pairs in it, and the features of its panels. Kept on disk, so that a second run need not look again."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
import scipy

from forgery_rcnn import rle, tables
from forgery_rcnn.data import images
from forgery_rcnn.errors import InputError
from forgery_rcnn.matching import compression, excuses, library
from forgery_rcnn.matching.keypoints import Keypoints
from forgery_rcnn.matching.pairs import Figure, Finding, Pair, gray_of
from forgery_rcnn.matching.signs import STEPS, as_levels
from forgery_rcnn.matching_config import MatchingConfig

COARSE = 0.5  # compression.scale from which copies of faint detail are no longer told from what is alike

Finder = Callable[[np.ndarray, MatchingConfig], Finding]


@dataclass(frozen=True)
class Examined:
    """One file. name: its path below the folder; size: (H, W); panels: (P, 4) int64 x0 y0 x1 y1, pixels; ignored: Runs of text
    and furniture; keypoints: of each panel; notes: what was decided or left out when it was read."""

    name: str
    size: tuple[int, int]
    panels: np.ndarray
    ignored: rle.Runs
    pairs: tuple[Pair, ...]
    keypoints: tuple[Keypoints, ...]
    notes: tuple[str, ...] = ()

    def figure(self, pixels: np.ndarray) -> Figure:
        """(H, W, 3) uint8, the file's -> the figure it was."""
        return Figure(pixels, gray_of(pixels), rle.mask_of(self.ignored, self.size), self.panels)


def examine(path: Path, name: str, config: MatchingConfig, per_panel: int, finder: Finder) -> Examined:
    """Look for pairs in a file, and describe its panels by at most `per_panel` features. Raises InputError: not to be read."""
    picture = images.read(path)
    finding = finder(picture.pixels, config)
    figure, notes = finding.figure, list(picture.notes)
    points = tuple(library.features(figure, box, per_panel, config.max_side) for box in figure.panels)
    if max(figure.size) > config.max_side:
        notes.append(f"searched at {config.max_side} of its {max(figure.size)} px")
    # Of the file's own pixels: a finding's figure may have been painted over.
    coarse = compression.scale(gray_of(picture.pixels))
    if coarse >= COARSE:
        quality = compression.quality(coarse)
        notes.append(f"compressed as by JPEG of quality {quality} or so: copies of faint detail may be missed")
    notes += [f"excused: {line}" for line in excuses.told(finding)]
    ignored = rle.runs_of(figure.ignored)
    return Examined(name, figure.size, figure.panels, ignored, finding.pairs, points, tuple(notes))


def key(path: Path, config: MatchingConfig, per_panel: int) -> str:
    """Names what is kept of a file: its content, the settings, and the code and libraries that looked. Raises OSError: not to be read."""
    digest = hashlib.sha256(json.dumps([asdict(config), per_panel]).encode())
    digest.update(_code())
    with open(path, "rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


@lru_cache
def _code() -> bytes:
    """Digest of what looks at a file: the reader, this package, the libraries' versions."""
    own = Path(__file__).parent
    read = (own.parent / "rle.py", own.parent / "data" / "images.py")
    digest = hashlib.sha256(repr([np.__version__, cv2.__version__, scipy.__version__, PIL.__version__]).encode())
    for source in sorted((*read, *(one for one in own.iterdir() if one.suffix in (".py", ".json")))):
        digest.update(source.read_bytes())
    return digest.digest()


def save(found: Examined, path: Path) -> None:
    """Write it, whole or not at all. Raises InputError when it cannot be written."""
    told = {
        "size": found.size,
        "notes": found.notes,
        "pairs": [{k: v for k, v in vars(pair).items() if not isinstance(v, np.ndarray)} for pair in found.pairs],
    }
    arrays = {"told": np.frombuffer(json.dumps(told).encode(), np.uint8), "panels": found.panels}
    arrays["ignored"] = found.ignored
    for i, pair in enumerate(found.pairs):
        arrays |= {f"{name}{i}": getattr(pair, name) for name in ("first", "second", "matrix")}
    for i, points in enumerate(found.keypoints):
        arrays[f"poses{i}"] = np.concatenate([points.xy, points.scale[:, None], points.angle[:, None]], axis=1)
        arrays[f"levels{i}"] = as_levels(points.descriptors)
    with tables.replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def load(path: Path, name: str) -> Examined | None:
    """What `save` wrote, for a file of this name; None where nothing whole is there."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _read(dict(arrays), name)
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _read(arrays: dict[str, np.ndarray], name: str) -> Examined:
    told: dict[str, Any] = json.loads(arrays["told"].tobytes())
    pairs = tuple(
        Pair(**{side: arrays[f"{side}{i}"] for side in ("first", "second", "matrix")}, **values)
        for i, values in enumerate(told["pairs"])
    )
    points = []
    for i in range(len(arrays["panels"])):
        poses = arrays[f"poses{i}"].astype(np.float32)
        descriptors = arrays[f"levels{i}"].astype(np.float32) / np.float32(STEPS)
        points.append(Keypoints(poses[:, :2], poses[:, 2], poses[:, 3], descriptors))
    size, notes = (int(told["size"][0]), int(told["size"][1])), tuple(told["notes"])
    return Examined(name, size, arrays["panels"], arrays["ignored"], pairs, tuple(points), notes)


def examined(path: Path, name: str, settings: tuple[MatchingConfig, int], kept: Path, finder: Finder) -> Examined:
    """The same as `examine`, from the folder `kept` where the file was looked at before. Raises InputError: not to be read."""
    config, per_panel = settings
    place = kept / f"{key(path, config, per_panel)}.npz"
    before = load(place, name)
    if before is not None:
        return before
    found = examine(path, name, config, per_panel, finder)
    try:
        save(found, place)
    except InputError as error:
        return replace(found, notes=(*found.notes, f"not kept for a second run: {error}"))
    return found
