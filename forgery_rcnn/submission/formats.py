"""The five file formats by name: what each file is called, how it is written and read, and how a file is recognised."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from forgery_rcnn import tables
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Answer, Truth
from forgery_rcnn.submission import aaltoes, archives, mediaeval, one_mask, recodai, tianchi
from forgery_rcnn.submission.cases import Read

Answers = Iterable[tuple[str, Answer]]
_HEAD = 10_000  # bytes, in which a header ends
_TELLING = {"ImageId": "aaltoes", "prob": "mediaeval_a", "case_id": "recodai"}  # columns that one format only has


@dataclass(frozen=True)
class Settings:
    """What some formats write beside the answers. `team` and `run` name MediaEval's files."""

    team: str = "team"
    run: Literal["constrained", "open"] = "constrained"
    threshold: float = 0.5
    """An image is forged from this image score on (MediaEval)."""
    loc_threshold: float = 0.5
    """A pixel is forged from this probability on (MediaEval task B)."""

    def __post_init__(self) -> None:
        if self.run not in ("constrained", "open"):
            raise InputError(f"run is {self.run!r}; choose constrained or open")
        for name in ("threshold", "loc_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; choose a number from 0 to 1")
        if not self.team or not all(sign.isalnum() or sign in "-_" for sign in self.team):
            raise InputError(f"team {self.team!r} is to be part of a file name; use letters, digits, - and _ only")


@dataclass(frozen=True)
class Format:
    """`expressed`: what such a file can say of an answer, as reading back what was written gives it, InputError where it
    cannot be written; `checked`: a case id, InputError where it cannot be; `says`: where, or only whether an image is
    forged; `masks`: how a reader made them binary."""

    title: str
    filename: Callable[[Settings], str]
    write: Callable[[Path, Answers, Settings], None]
    read: Callable[[Path, Mapping[str, Truth]], Iterator[Read]]
    expressed: Callable[[Answer, Settings], Answer]
    says: Literal["where", "whether"] = "where"
    checked: Callable[[str], str] = tables.checked
    masks: str = "masks as submitted"


def _listed(answer: Answer) -> Answer:
    """Recod.ai's file has a list of regions; a forgery that nobody can place is authentic there."""
    return answer if answer.instances is None or len(answer.instances) else replace(answer, instances=None)


def _as_file(case: str) -> str:
    return archives.file_name(case, ".png")


FORMATS = {
    "recodai": Format(
        "Recod.ai/LUC CSV case_id,annotation",
        lambda settings: "submission.csv",
        lambda path, answers, settings: recodai.write(path, answers),
        recodai.read,
        lambda answer, settings: _listed(answer),
    ),
    "aaltoes": Format(
        "Aaltoes 2025 CSV ImageId,EncodedPixels",
        lambda settings: "submission.csv",
        lambda path, answers, settings: aaltoes.write(path, answers),
        aaltoes.read,
        lambda answer, settings: one_mask.expressed(answer),
    ),
    "mediaeval_a": Format(
        "MediaEval 2025 task A zip",
        lambda settings: f"{settings.team}_{settings.run}.zip",
        lambda path, answers, settings: mediaeval.write_a(path, answers, settings.threshold),
        mediaeval.read_a,
        lambda answer, settings: mediaeval.expressed_a(answer, settings.threshold),
        says="whether",
        masks="no masks",
    ),
    "mediaeval_b": Format(
        "MediaEval 2025 task B zip",
        lambda settings: f"{settings.team}_localization_masks.zip",
        lambda path, answers, settings: mediaeval.write_b(path, answers, settings.threshold, settings.loc_threshold),
        mediaeval.read_b,
        lambda answer, settings: mediaeval.expressed_b(answer, settings.threshold, settings.loc_threshold),
        checked=_as_file,
        masks="maps >= loc_threshold where prob >= threshold",
    ),
    "tianchi": Format(
        "Tianchi PNG masks in prediction_result/images/",
        lambda settings: "prediction_result.zip",
        lambda path, answers, settings: tianchi.write(path, answers),
        tianchi.read,
        lambda answer, settings: one_mask.expressed(answer),
        checked=_as_file,
        masks="masks >= 127.5 of 255",
    ),
}


def detect(path: Path) -> Format:
    """The format of an existing file or folder, by its header or its members, never by its name.

    Raises InputError (one line: file, fix): unreadable, an unsafe or damaged zip, a zip around a format that is a CSV,
    another separator than the comma. What is none of the formats is given to the reader that says what it misses.
    """
    if path.is_dir():
        return FORMATS["tianchi"]
    if archives.is_zip(path):
        return _zipped(path)
    try:
        with open(path, "rb") as file:
            header = _header(str(path), file.read(_HEAD))
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror or error})") from None
    return FORMATS[next((name for column, name in _TELLING.items() if column in header), "recodai")]


def _zipped(path: Path) -> Format:
    with archives.opened(path) as archive:
        names = archive.names
        if any(name.endswith(".npz") or name == mediaeval.SCORES for name in names):
            return FORMATS["mediaeval_b"]
        if any(name.lower().endswith(".png") for name in names):
            return FORMATS["tianchi"]
        inside = [name for name in names if name.lower().endswith(".csv")]
        header = _header(f"{path}: {inside[0]}", archive.head(inside[0], _HEAD)) if len(inside) == 1 else []
    for column in ("case_id", "ImageId"):
        if column in header:
            title = FORMATS[_TELLING[column]].title
            raise InputError(f"{path}: a {title} is not read from a zip; unpack it and give the CSV itself")
    return FORMATS["mediaeval_a"]  # whose reader says what it misses


def _header(name: str, head: bytes) -> list[str]:
    """The begin of a CSV -> its columns. Raises InputError: separated by something else than commas."""
    line = re.split("[\r\n]", head.decode("utf-8-sig", errors="replace"), maxsplit=1)[0]
    columns = next(csv.reader([line]), [])
    for sign, called in ((";", "';'"), ("\t", "tabs")):
        if not {*columns} & {*_TELLING} and {*next(csv.reader([line], delimiter=sign), [])} & {*_TELLING}:
            raise InputError(f"{name}: separated by {called}, use ','")
    return columns
