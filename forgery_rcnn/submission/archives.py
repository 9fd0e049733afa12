"""Zip files: equal contents give equal bytes, and nothing is read from one before all of its members were judged."""

from __future__ import annotations

import contextlib
import copy
import io
import re
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from forgery_rcnn import tables
from forgery_rcnn.errors import InputError
from forgery_rcnn.rle import shortened

LEVEL = 6
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say
_MODE = (stat.S_IFREG | 0o644) << 16
_UNIX = 3
_ENCRYPTED = 0x2041  # flag bits: encrypted, strongly encrypted, masked headers
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile bounds what one read unpacks for these two only
_ROW_BYTES = 512  # of the list of members, for each: 46, its name and its extra fields
_LONGEST = 240  # bytes of a case id in a file name; file systems stop at 255
_DROPPINGS = ("__MACOSX", ".DS_Store")
_SIGNATURES = (b"PK\3\4", b"PK\5\6")  # of the first member, or of the end where there is none
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError, MemoryError)


@dataclass(frozen=True)
class Limits:
    """What a zip may hold: how many members, and bytes unpacked, of one member and as declared of all together."""

    members: int
    member_bytes: int
    total_bytes: int


# The longest member that makes sense is a float16 map of the largest image read, 178,956,970 pixels = 358 MB. Members are
# read one at a time, so the total bounds time and not memory: 20,000 maps of 1.7 million pixels.
LIMITS = Limits(members=100_000, member_bytes=512 * 2**20, total_bytes=64 * 2**30)


class Archive:
    """A zip whose members were all judged. names: those that are files, without macOS's droppings, in the zip's order."""

    def __init__(self, name: str, zipped: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> None:
        self.names = tuple(members)
        self._name, self._zipped, self._members = name, zipped, members

    def size(self, name: str) -> int:
        """Bytes that a member unpacks to, as the zip declares; `read` gives that many or refuses."""
        return self._members[name].file_size

    def head(self, name: str, count: int) -> bytes:
        """At most the first `count` bytes of a member; no more is unpacked or checked. Raises InputError: damaged."""
        info = copy.copy(self._members[name])
        info.file_size += 2**20  # zipfile would cut a longer stream at the declared size and not say so
        try:
            with self._zipped.open(info) as stream:
                return stream.read(count)
        except _DAMAGED as error:
            raise InputError(
                f"{self._name}: member {shortened(name, 120)} is damaged ({_reason(error)}); pack the zip anew"
            ) from None

    def read(self, name: str) -> bytes:
        """A member's bytes. Raises InputError: damaged, wrong checksum, longer or shorter than its header says."""
        declared = self.size(name)
        data = self.head(name, declared + 1)
        if len(data) != declared:
            more = "more" if len(data) > declared else "less"
            raise InputError(
                f"{self._name}: member {shortened(name, 120)} unpacks to {more} than the {declared:,} bytes that "
                "its header says; pack the zip anew"
            )
        return data


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does, damaged or not. Raises InputError when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(4) in _SIGNATURES
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror or error})") from None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """A zip file, to be read member by member. Raises InputError (one line: zip, member, fix) unless all of it is safe."""
    try:
        file = _Source(open(path, "rb", buffering=0))
    except OSError as error:
        raise InputError(
            f"{path}: not a readable zip file ({error.strerror or error}); give the path of a zip"
        ) from None
    with file:
        yield _judged(file, str(path), LIMITS)


def unpacked(data: bytes, name: str, limits: Limits) -> Archive:
    """A zip inside another, e.g. an .npz, that is called `name` in messages. Raises InputError like `opened`."""
    return _judged(_Source(io.BytesIO(data)), name, limits)


def write(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """(name, content) one at a time, in the given order, -> a zip file, whole or not at all.

    Equal members give equal bytes wherever zlib is the same. Raises InputError: unsafe or double name, cannot be written.
    """
    with tables.replacing(path) as temporary, open(temporary, "wb") as file:
        _pack(file, str(path), members)


def packed(name: str, members: Iterable[tuple[str, bytes]]) -> bytes:
    """The same in memory, e.g. an .npz that is called `name` in messages."""
    file = io.BytesIO()
    _pack(file, name, members)
    return file.getvalue()


def file_name(case: str, suffix: str) -> str:
    """Case id -> the name of its file. Raises InputError where that would be unsafe or could not be read back.

    >>> file_name("10017", ".png")
    '10017.png'
    """
    fault = _unsafe(case) or ("it holds '/'" if "/" in case else None)
    if fault is None:
        try:
            fault = "it is too long" if len(case.encode()) > _LONGEST else None
        except UnicodeEncodeError:
            fault = "it is not valid Unicode"
    if fault:
        raise InputError(f"case id {shortened(case)} cannot be a file name: {fault}; rename the image")
    return case + suffix


class _Source(io.BufferedReader):
    """ZipFile reads the list of members in one piece and makes an object of each; this refuses a piece too long for that."""

    longest = sys.maxsize

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.longest:
            raise zipfile.BadZipFile(f"its list of members takes {size:,} bytes, at most {self.longest:,} are read")
        return super().read(size)


def _judged(file: _Source, name: str, limits: Limits) -> Archive:
    try:
        file.longest = limits.members * _ROW_BYTES
        zipped = zipfile.ZipFile(file)
        file.longest = sys.maxsize
    except _DAMAGED as error:
        raise InputError(f"{name}: damaged, or not a zip file ({_reason(error)}); pack it anew") from None
    infos = zipped.infolist()
    if len(infos) > limits.members:
        raise InputError(f"{name}: {len(infos):,} members, at most {limits.members:,} are read; pack fewer files")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        stored = info.orig_filename.removesuffix("/")
        fault = _fault(info, limits) or (stored in members and "occurs twice; keep one") or None
        if fault:
            raise InputError(f"{name}: member {shortened(info.orig_filename, 120)} {fault}")
        members[stored] = info
    total = sum(info.file_size for info in infos)
    if total > limits.total_bytes:
        raise InputError(
            f"{name}: unpacks to {total:,} bytes, at most {limits.total_bytes:,} are read; pack fewer files"
        )
    kept = {key: info for key, info in members.items() if not info.is_dir() and not set(key.split("/")) & {*_DROPPINGS}}
    return Archive(name, zipped, kept)


def _fault(info: zipfile.ZipInfo, limits: Limits) -> str | None:
    """What is wrong with a member, and the fix; None = nothing."""
    name = info.orig_filename  # `filename` is cut at a NUL
    unsafe = _unsafe(name.removesuffix("/"))
    if unsafe:
        return f"has an unsafe name ({unsafe}); pack plain files, with names relative to the top and / between folders"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if name.endswith("/") else stat.S_IFREG):
        return "is a link or another special file; pack plain files only"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted; pack it without a password"
    if info.compress_type not in _METHODS:
        return f"is compressed by method {info.compress_type}; pack it with deflate"
    if info.file_size > limits.member_bytes:
        return f"unpacks to {info.file_size:,} bytes, at most {limits.member_bytes:,} are read; make it smaller"
    return None


def _unsafe(name: str) -> str | None:
    """What is unsafe about a relative file name; None = nothing."""
    if not name:
        return "it is empty"
    for sign, said in (("\0", "it holds a NUL"), ("\\", "it holds a backslash")):
        if sign in name:
            return said
    if name.startswith("/"):
        return "it is absolute"
    if re.match("[A-Za-z]:", name):
        return "it begins with a drive letter"
    odd = {"", ".", ".."}.intersection(name.split("/"))
    return f"a part of it is {min(odd)!r}" if odd else None


def _pack(file: BinaryIO | io.BytesIO, archive: str, members: Iterable[tuple[str, bytes]]) -> None:
    written: set[str] = set()
    with zipfile.ZipFile(file, "w") as zipped:
        for name, data in members:
            fault = _unsafe(name) or ("it occurs twice" if name in written else None)
            if fault:
                raise InputError(f"{archive}: member {shortened(name, 120)} is not packed: {fault}; rename it")
            written.add(name)
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr, info.compress_type = _UNIX, _MODE, zipfile.ZIP_DEFLATED
            zipped.writestr(info, data, compresslevel=LEVEL)


def _reason(error: BaseException) -> str:
    text = str(error)
    return text.splitlines()[0] if text else type(error).__name__
