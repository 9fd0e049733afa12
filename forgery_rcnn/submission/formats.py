"""The five file formats by name: what each file is called, how it is written and read, and how a file is recognised."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Answer, Truth
from forgery_rcnn.submission import aaltoes, archives, mediaeval, recodai, tianchi
from forgery_rcnn.submission.cases import Read

Answers = Iterable[tuple[str, Answer]]


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
    """`says`: where, or only whether an image is forged; `masks`: how a reader made them binary."""

    title: str
    filename: Callable[[Settings], str]
    write: Callable[[Path, Answers, Settings], None]
    read: Callable[[Path, Mapping[str, Truth]], Iterator[Read]]
    says: Literal["where", "whether"] = "where"
    masks: str = "masks as submitted"


FORMATS = {
    "recodai": Format(
        "Recod.ai/LUC CSV case_id,annotation",
        lambda settings: "submission.csv",
        lambda path, answers, settings: recodai.write(path, answers),
        recodai.read,
    ),
    "aaltoes": Format(
        "Aaltoes 2025 CSV ImageId,EncodedPixels",
        lambda settings: "submission.csv",
        lambda path, answers, settings: aaltoes.write(path, answers),
        aaltoes.read,
    ),
    "mediaeval_a": Format(
        "MediaEval 2025 task A zip",
        lambda settings: f"{settings.team}_{settings.run}.zip",
        lambda path, answers, settings: mediaeval.write_a(path, answers, settings.threshold),
        mediaeval.read_a,
        says="whether",
        masks="no masks",
    ),
    "mediaeval_b": Format(
        "MediaEval 2025 task B zip",
        lambda settings: f"{settings.team}_localization_masks.zip",
        lambda path, answers, settings: mediaeval.write_b(path, answers, settings.threshold, settings.loc_threshold),
        mediaeval.read_b,
        masks="maps >= loc_threshold where prob >= threshold",
    ),
    "tianchi": Format(
        "Tianchi PNG masks in prediction_result/images/",
        lambda settings: "prediction_result.zip",
        lambda path, answers, settings: tianchi.write(path, answers),
        tianchi.read,
        masks="masks >= 127.5 of 255",
    ),
}


def detect(path: Path) -> Format:
    """The format of an existing file or folder, by its header or its members. Raises InputError when it is none of them."""
    if path.is_dir():
        return FORMATS["tianchi"]
    try:
        if zipfile.is_zipfile(path):
            with archives.opened(path) as archive:
                names = archive.names
            if any(name.endswith(".npz") or name == "scores.csv" for name in names):
                return FORMATS["mediaeval_b"]
            return FORMATS["tianchi" if any(name.lower().endswith(".png") for name in names) else "mediaeval_a"]
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
            header = next(csv.reader([file.readline(10_000)]), [])
    except (OSError, csv.Error) as error:
        raise InputError(f"{path}: not readable ({getattr(error, 'strerror', None) or error})") from None
    if "ImageId" in header:
        return FORMATS["aaltoes"]
    return FORMATS["mediaeval_a" if "prob" in header else "recodai"]  # recodai's reader says what it misses
