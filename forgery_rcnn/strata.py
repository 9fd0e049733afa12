"""The same numbers by what the images are like: forged area, instances, size, kind of forgery."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.errors import printable
from forgery_rcnn.numbers import Scored, intervals, trivial
from forgery_rcnn.report import ImageRow

FEWEST = 10  # images: an interval from fewer would claim too much


def strata(rows: Sequence[ImageRow]) -> dict[str, dict[str, list[int]]]:
    """-> what is told apart -> stratum -> indices of its images; strata without an image are left out."""
    told: Mapping[str, Callable[[ImageRow], str]] = {
        "forged area": _area,
        "true instances": lambda row: "3 or more" if row.true_instances > 2 else str(row.true_instances),
        "longer side": _side,
        "kind": lambda row: row.kind or ("authentic" if row.label == "authentic" else "unknown"),
    }
    out: dict[str, dict[str, list[int]]] = {}
    for title, name_of in told.items():
        groups: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(name_of(row), []).append(index)
        out[title] = dict(sorted(groups.items(), key=lambda group: _first_number(group[0])))
    if not any(row.kind for row in rows):
        del out["kind"]
    return out


def _area(row: ImageRow) -> str:
    """The forged share of the image; the borders are near the quartiles of the competition's training set."""
    if row.label == "authentic":
        return "authentic"
    share = 100 * row.true_pixels / (row.height * row.width)
    return next(
        (f"{low} to {high} %" for low, high in ((0, 0.5), (0.5, 2), (2, 7), (7, 15)) if share < high), "15 % and more"
    )


def _side(row: ImageRow) -> str:
    side = max(row.height, row.width)
    if not side:
        return "unknown"
    borders = ((0, 256), (256, 512), (512, 1024), (1024, 2048))
    return next((f"{low} to {high - 1} px" for low, high in borders if side < high), "2048 px and more")


def _first_number(name: str) -> tuple[float, str]:
    """Sorts `2 to 7 %` before `15 % and more`, and words before both."""
    head = re.match(r"\d+(\.\d+)?(?= |$)", name, re.ASCII)
    return (float(head[0]) if head else -1.0), name


def by_stratum(scored: Scored, how: Resampling) -> dict[str, dict[str, dict[str, Any]]]:
    """-> what is told apart -> stratum -> its images, all its numbers (with intervals from 10 images on), trivial baselines."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for title, groups in strata(scored.rows).items():
        for name, index in groups.items():
            part = scored.only(index)
            out.setdefault(title, {})[name] = {
                "images": len(index),
                "numbers": intervals(part, how if len(index) >= FEWEST else Resampling(0)),
                "baselines": trivial(part),
            }
    return out


def lines(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """What `by_stratum` gives -> one table per kind of stratum, oF1 beside its trivial baselines."""
    table = []
    for title, groups in found.items():
        table.append(
            f"by {title:<17} images  oF1 [95 % interval]       Dice     IoU    everything called authentic    forged"
        )
        for name, part in groups.items():
            numbers, alike = part["numbers"], part["baselines"]
            table.append(
                f"  {printable(name):<18}{part['images']:>7}  {numbers['of1']!s:<24}{numbers['dice'].value:>7.4f}"
                f"{numbers['iou'].value:>8.4f}{alike['authentic']['of1']:>31.4f}{alike['forged']['of1']:>10.4f}"
            )
    return table
