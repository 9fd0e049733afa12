"""COCO: a JSON file with images and annotations; an image without annotation is authentic, each annotation an instance.

Every category counts as forged.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from forgery_rcnn.data.drawn import Drawn
from forgery_rcnn.data.layouts.folders import id_of, inside
from forgery_rcnn.data.layouts.pairs import FOLDERS
from forgery_rcnn.data.layouts.record import Layout, Record, in_order
from forgery_rcnn.errors import InputError, printable
from forgery_rcnn.instances import MAX_PIXELS

KEYS = (b'"images"', b'"annotations"')
LOOKED_AT = 20  # images, to tell in which folder they lie


def _sources(root: Path) -> list[Path]:
    """The COCO files of a root, by a look for their keys."""
    candidates = [*root.glob("*.json"), *root.glob("annotations/*.json")]
    return sorted(path for path in candidates if path.is_file() and _has_keys(path))


def _has_keys(path: Path) -> bool:
    try:
        text = path.read_bytes()
    except OSError:
        return False
    return all(key in text for key in KEYS)


def _fits(root: Path) -> bool:
    return bool(_sources(root))


def _scan(root: Path) -> list[Record]:
    """Raises InputError naming the file and what is malformed, unknown, twice, or outside the root.

    A case id that several files give to images of their own tells their folders too.
    """
    told = [_of_file(root, source) for source in _sources(root)]
    found = [record for each in told for record in each]
    listed = Counter(record.image for record in found)
    for image in (record.image for record in found if listed[record.image] > 1):
        name = printable(image.relative_to(root).as_posix())
        raise InputError(f"{root}: several of its JSON files list image {name}; leave it in one, or part their folders")
    givers = Counter(case for each in told for case in {record.case_id for record in each})
    return in_order([_by_path(record, root) if givers[record.case_id] > 1 else record for record in found], root)


def _by_path(record: Record, root: Path) -> Record:
    return replace(record, case_id=id_of(record.image.relative_to(root).as_posix()))


def _of_file(root: Path, source: Path) -> list[Record]:
    listed, annotations = _lists(source)
    shapes: dict[str, list[tuple[str, str]]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    names: dict[str, str] = {}
    for entry in listed:
        number = _number(entry.get("id"), f"{source}: an image")
        if number in names:
            raise InputError(f"{source}: image id {number} twice; give each image its own")
        names[number], sizes[number], shapes[number] = _name(entry, source), _size(entry, source, number), []
    for entry in annotations:
        number = _number(entry.get("image_id"), f"{source}: annotation {printable(str(entry.get('id')), 40)}")
        if number not in shapes:
            raise InputError(
                f"{source}: annotation {printable(str(entry.get('id')), 40)} is of unknown image_id {number}"
            )
        shapes[number].append((printable(str(entry.get("id")), 40), json.dumps(entry.get("segmentation"))))
    folder = _folder(root, source, list(names.values()))
    found = []
    for number, name in names.items():
        image, case = inside(folder, name, str(source)), id_of(name)
        mask = Drawn(source, name, sizes[number], tuple(shapes[number])) if shapes[number] else None
        found.append(Record(case, "forged" if mask else "authentic", image, mask))
    _check_twice(source, list(names.values()))
    return found


def _lists(source: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    try:
        values = json.loads(source.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{source}: not a readable JSON file ({str(error).splitlines()[0]})") from None
    parts = [values.get(name) if isinstance(values, dict) else None for name in ("images", "annotations")]
    for part in parts:
        if not isinstance(part, list) or not all(isinstance(entry, dict) for entry in part):
            raise InputError(f"{source}: not a COCO file; expected lists of objects under images and annotations")
    if not parts[0]:
        raise InputError(f"{source}: no image in it; expected one object per image under images")
    return parts[0], parts[1]


def _number(value: Any, what: str) -> str:
    """An image's id as text: some files write 1, others "1"."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(f"{what} has image id {printable(str(value), 40)}; expected a whole number")
    return printable(str(value), 40)


def _name(entry: dict[str, Any], source: Path) -> str:
    name = entry.get("file_name")
    if not isinstance(name, str):
        raise InputError(
            f"{source}: image {printable(str(entry.get('id')), 40)} has file_name {printable(str(name))!r}; expected a path"
        )
    inside(source.parent, name, str(source))
    return name


def _size(entry: dict[str, Any], source: Path, number: str) -> tuple[int, int]:
    sides = [entry.get("height"), entry.get("width")]
    height, width = (int(side) if isinstance(side, float) and side.is_integer() else side for side in sides)
    if type(height) is not int or type(width) is not int or min(height, width) < 1 or height * width > MAX_PIXELS:
        shown = printable(f"{sides[0]} x {sides[1]}", 40)
        raise InputError(
            f"{source}: image {number} has height x width {shown}; expected whole numbers, {MAX_PIXELS:,} pixels at most"
        )
    return height, width


def _folder(root: Path, source: Path, names: list[str]) -> Path:
    """The folder below which the images lie: beside the file or in the root, right there or one folder down.

    Of several, one that the file is named after, as train of instances_train.json, else the first that is right there,
    else one called images. Raises InputError: none, or several that nothing tells apart.
    """
    near = [source.parent, root, *(p for base in (source.parent, root) for p in sorted(base.iterdir()) if p.is_dir())]
    there = {folder: sum((folder / name).is_file() for name in names[:LOOKED_AT]) for folder in near}
    most = max(there.values())
    if not most:
        raise InputError(f"{source}: image {printable(names[0])} is neither in {root} nor in a folder of it")
    full = [folder for folder, count in there.items() if count == most]
    preferred = (
        [folder for folder, count in there.items() if count and _words(folder.name) in _words(source.stem)],
        [folder for folder in full if folder in (source.parent, root)][:1],
        [folder for folder in full if folder.name.lower() in FOLDERS.images],
    )
    best = next(filter(None, preferred), full)
    if len(best) > 1:
        shown = " and ".join(printable(folder.relative_to(root).as_posix()) for folder in best)
        raise InputError(
            f"{source}: image {printable(names[0])} may be that of {shown}; name the file after its folder, or give paths"
        )
    return best[0]


def _words(name: str) -> str:
    """_instances_train_ of instances-train: one name stands in another as whole words."""
    plain = re.sub(r"[\W_]+", "_", name).strip("_").lower()
    return f"_{plain}_"


def _check_twice(source: Path, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{source}: file_name {printable(name)!r} twice; put its annotations under one image id")
        seen.add(name)


LAYOUT = Layout("annotations.json, *.json or annotations/*.json in COCO's form, images", _fits, _scan)
