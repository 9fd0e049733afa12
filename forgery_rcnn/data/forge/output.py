"""A made figure on disk: its files, and its lines of the manifest."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from forgery_rcnn import tables
from forgery_rcnn.data.forge.figure import Figure
from forgery_rcnn.data.layouts.record import DRAWN

COLUMNS = (
    *("case_id", "part", "label", "instance", "operation", "parameters", "transform", "source", "targets"),
    *("hosts", "treatment", "seed", "sha256", "sha256_authentic", "sha256_mask"),
)
# 19 ms and 0.84 MB a megapixel; Pillow takes 132 ms and 0.59 MB.
QUICK = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
QUICK += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
Row = dict[str, Any]
_ORDERS = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}  # of OpenCV's encoder, by channels


def save(path: Path, array: np.ndarray) -> str:
    """Write (H, W), (H, W, 3) RGB or (H, W, 4) RGBA uint8 as PNG, anything as .npy, whole or not at all -> sha256."""
    data = _npy(array) if path.suffix == ".npy" else _png(array)
    with tables.replacing(path) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _png(pixels: np.ndarray) -> bytes:
    ordered = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, _ORDERS[pixels.shape[2]])
    _, data = cv2.imencode(".png", ordered, QUICK)
    return data.tobytes()


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def rows(figure: Figure, common: Row, label: str) -> list[Row]:
    """Lines of the manifest, `common` in each: one per instance; one with operation "none" for an authentic label."""
    every: Row = {
        **common,
        "label": label,
        "hosts": ";".join(figure.hosts) or f"{DRAWN}{common['case_id']}",
        "treatment": _json(figure.treatment),
    }
    if label == "authentic":
        return [{**every, "operation": "none"}]
    return [
        {
            **every,
            "instance": number,
            "operation": step.operation,
            "parameters": _json(step.parameters),
            "transform": _json([np.round(matrix, 4).tolist() for matrix in step.matrices]),
            "source": _json(step.source.polygon() if step.source else []),
            "targets": _json([target.polygon() for target in step.targets]),
        }
        for number, step in enumerate(figure.steps)
    ]


def write_manifest(path: Path, found: list[Row]) -> None:
    """The lines of all figures, as a CSV file."""
    tables.write(path, COLUMNS, ([row.get(column, "") for column in COLUMNS] for row in found))


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
