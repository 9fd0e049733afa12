"""What most layouts are: a folder of images, one of masks, perhaps one of originals, under names of their own."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from forgery_rcnn.data import images, masks
from forgery_rcnn.data.layouts.record import Record, in_order
from forgery_rcnn.errors import FileProblems, InputError, Problem, printable

Hosts = Callable[[str], tuple[str, ...]]
Unmarked = Literal["authentic", "bad"]
DRAWN = ".drawn"
"""Lies in a folder of pictures that a run drew of images: they are no figures to look at."""
# Figures come in these too, and nothing here reads them.
UNREAD = (".pdf", ".eps", ".svg", ".ai", ".psd", ".heic", ".avif", ".jp2", ".jfif", ".pptx", ".docx")


def image_files(folder: Path) -> list[Path]:
    """The image files right in `folder`, sorted by name. Raises InputError: no folder, no image, stems that occur twice."""
    if folder.is_file():
        raise InputError(f"{folder}: a file, not a folder; pass the folder that it is in, {folder.parent}")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in images.EXTENSIONS and not p.name.startswith("."))
    if not files:
        raise InputError(f"{folder}: no image in it; expected files ending in {', '.join(images.EXTENSIONS)}")
    seen: dict[str, Path] = {}
    clashes = []
    for path in files:
        first = seen.setdefault(path.stem, path)
        if first is not path:
            names = f"{printable(first.name)}, {printable(path.name)}"
            clashes.append(Problem(f"case id {printable(path.stem)!r} twice ({names}); rename one"))
    if clashes:
        raise FileProblems(folder, clashes)
    return files


def count_below(folder: Path, written: Iterable[Path]) -> int:
    """How many image files lie in folders below `folder`; hidden ones, and folders `written` by a run, are left out."""
    own, count = {path.resolve() for path in written}, 0
    for here, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".") and Path(here, name).resolve() not in own]
        if Path(here) != folder:
            count += sum(Path(f).suffix.lower() in images.EXTENSIONS and not f.startswith(".") for f in files)
    return count


def left_out(files: Iterable[Path]) -> str:
    """What is said of the files that hold figures and are not read, "" = there are none; hidden ones do not count.

    >>> left_out([Path("a.pdf"), Path("b.PDF"), Path("c.png"), Path("d.svg")])
    'left out, not read as images: 2 .pdf, 1 .svg'
    """
    found = Counter(path.suffix.lower() for path in files if not path.name.startswith("."))
    counts = ", ".join(f"{found[suffix]} {suffix}" for suffix in UNREAD if found[suffix])
    return f"left out, not read as images: {counts}" if counts else ""


def child(folder: Path, names: Sequence[str]) -> Path | None:
    """The folder in `folder` that has the first of these names; case, blanks and punctuation do not matter.

    Of two that differ only in these, the first in the alphabet.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError:  # no such folder, or not ours to look into
        return None
    there = {_plain(name): folder / name for name in sorted((e.name for e in entries if e.is_dir()), reverse=True)}
    return next((there[_plain(name)] for name in names if _plain(name) in there), None)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def inside(root: Path, name: str, where: str) -> Path:
    """A path that a file gives -> the same under `root`. Raises InputError where it is none, or leads out of `root`."""
    path = PurePosixPath(name)
    leads_out = path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable()
    if leads_out or PureWindowsPath(name).drive or not path.parts:
        raise InputError(f"{where}: path {printable(name)!r}; expected one inside the data root, parted by /")
    return root / path


def id_of(name: str) -> str:
    """A relative path -> an id that is a file name: its folders and stem.

    >>> id_of("coco/12.png")
    'coco__12'
    """
    return "__".join(PurePosixPath(name).with_suffix("").parts)


def no_hosts(stem: str) -> tuple[str, ...]:
    """The names of this layout tell nothing of where an image comes from."""
    return ()


@dataclass(frozen=True)
class Folders:
    """The folders' names, of each the first that is there, and the folders under which they may lie.

    originals: () = there are none; they have their forgery's case id where they have its stem.
    unmasked, black: what an image without a mask file, or with an all-black one, is; `bad` is met when the files are checked.
    hosts: an image's or original's stem -> the ids of the pictures in it.
    """

    images: tuple[str, ...]
    masks: tuple[str, ...]
    originals: tuple[str, ...] = ()
    under: tuple[str, ...] = ("", "train")
    unmasked: Unmarked = "bad"
    black: Unmarked = "authentic"
    hosts: Hosts = no_hosts

    def find(self, root: Path) -> list[Path] | None:
        """The folders of images, masks and, if any, originals; None = not all of them are there."""
        wanted = [names for names in (self.images, self.masks, self.originals) if names]
        for base in self.under:
            found = [child(root / base, names) for names in wanted]
            if all(found):
                return [folder for folder in found if folder]
        return None

    def fits(self, root: Path) -> bool:
        """Whether a root has these folders."""
        return self.find(root) is not None

    def scan(self, root: Path) -> list[Record]:
        """The records of a root that fits. Raises InputError: no image, one stem twice, masks that fit no image."""
        image_folder, mask_folder, *originals = self.find(root) or ()
        found = paired(image_files(image_folder), mask_folder, self.unmasked, self.black, self.hosts)
        authentic = {record.case_id for record in found if record.label == "authentic"}
        found += [
            Record(path.stem, "authentic", path, hosts=self.hosts(path.stem))
            for folder in originals
            for path in image_files(folder)
            if path.stem not in authentic  # an untouched image is its own original
        ]
        return in_order(found, root)


def paired(
    files: Sequence[Path],
    mask_folder: Path,
    unmasked: Unmarked,
    black: Unmarked = "authentic",
    hosts: Hosts = no_hosts,
) -> list[Record]:
    """Images and the masks of their stems -> records; `unmasked`, `black`: see Folders.

    Raises InputError: no mask fits; a mask of no image, where an image without one would be taken for authentic.
    """
    there = masks.listed(mask_folder)
    by_stem = {path.stem: masks.of_stem(there, path.stem) for path in files}
    if not any(by_stem.values()):
        raise InputError(
            f"{mask_folder}: no mask for any of the {len(files)} images; expected e.g. {files[0].stem}.png"
        )
    if unmasked == "authentic":
        extra = [p for stem, p in there.items() if stem not in by_stem and masks.case_of(p) not in by_stem]
        if extra:
            raise InputError(
                f"{extra[0]}: mask of no image in {files[0].parent} (of {len(extra)} such); rename it, or take it out"
            )
    empty = masks.black([path for path in by_stem.values() if path]) if black == "authentic" else set()
    found = []
    for path in files:
        mask = by_stem[path.stem]
        if mask in empty or (mask is None and unmasked == "authentic"):
            found.append(Record(path.stem, "authentic", path, hosts=hosts(path.stem)))
        else:
            mask = mask or mask_folder / f"{path.stem}.png"
            found.append(Record(path.stem, "forged", path, mask, hosts=hosts(path.stem)))
    return found
