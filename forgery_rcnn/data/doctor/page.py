"""An examination as a page that opens anywhere, and as JSON."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from forgery_rcnn.data import images
from forgery_rcnn.data.doctor import cases
from forgery_rcnn.data.doctor.examine import Examination
from forgery_rcnn.data.doctor.findings import CHECKS, Finding
from forgery_rcnn.data.doctor.layout import Case
from forgery_rcnn.data.doctor.template import PAGE
from forgery_rcnn.errors import printable

SIDE = 160  # longer side of a thumbnail, pixels
PICTURED = 200  # thumbnails on a page
PICTURED_EACH = 12  # of one check
LISTED = 300  # findings of one check on the page; the JSON has all
NAMED = 20  # files of one finding on the page
OUTLINE = (255, 23, 68)  # red


def to_json(found: Examination) -> str:
    """The report for programs. Names are relative to the root; the order is stable."""
    listed = [
        {
            "check": finding.check,
            "severity": finding.severity,
            "files": [path.as_posix() for path in finding.files],
            "found": finding.found,
            "fix": CHECKS[finding.check].fix,
            "repair": finding.remedy,
        }
        for finding in found.findings
    ]
    report: dict[str, Any] = {"version": 1, "root": found.root.resolve().name, "verdict": found.verdict()}
    return json.dumps(report | {"counts": found.counts(), "findings": listed}, indent=1) + "\n"


def to_html(found: Examination) -> str:
    """The report for people: one file with pictures in it, no script, nothing fetched."""
    import jinja2

    by_check = defaultdict(list)
    for finding in found.findings:
        by_check[finding.check].append(finding)
    owners = {path: case for case in found.layout.cases for path in case.files()}
    left = PICTURED
    sections = []
    for name, members in by_check.items():
        pictures = [_thumbnail(found.root, finding, owners) for finding in members[: min(left, PICTURED_EACH)]]
        left -= sum(picture != "" for picture in pictures)
        shown = [
            {
                "files": [printable(path.as_posix(), 1000) for path in finding.files[:NAMED]],
                "more": max(0, len(finding.files) - NAMED),
                "found": printable(finding.found, 500),
                "remedy": finding.remedy,
                "picture": pictures[i] if i < len(pictures) else "",
            }
            for i, finding in enumerate(members[:LISTED])
        ]
        sections.append({"name": name, "check": CHECKS[name], "count": len(members), "findings": shown})
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(PAGE)
    root = printable(found.root.resolve().name)
    return page.render(root=root, verdict=found.verdict(), counts=found.counts(), sections=sections)


def _thumbnail(root: Path, finding: Finding, owners: dict[Path, Case]) -> str:
    """The image of a finding's first file with the mask's outline, or the mask itself, as a data URI; "" = neither."""
    path = finding.files[0]
    if path not in owners:
        return ""
    study = cases.study(root, owners[path])
    masks = None if study.reading is None else study.reading.masks
    shot = next((shot for shot in study.shots.values() if shot.path == path), None)
    if shot is None and study.marked in study.shots:
        shot = study.shots[study.marked]
    if shot is None:
        return "" if masks is None or not masks.size else _encoded(np.repeat(_small(_white(masks))[..., None], 3, 2))
    picture = np.ascontiguousarray(_small(shot.pixels))
    whose = study.shots.get(study.marked) if study.marked is not None else None
    if masks is not None and shot is whose and masks.shape[1:] == shot.size:
        borders, _ = cv2.findContours(_small(_white(masks)) // 128, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, borders, -1, OUTLINE, 1)
    return _encoded(picture)


def _white(masks: np.ndarray) -> np.ndarray:
    """(N, H, W) bool -> (H, W) uint8, 255 where any is set."""
    return masks.any(axis=0).astype(np.uint8) * np.uint8(255)


def _small(pixels: np.ndarray) -> np.ndarray:
    return images.resized(pixels, images.fitted_size(pixels.shape[:2], SIDE))


def _encoded(pixels: np.ndarray) -> str:
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
