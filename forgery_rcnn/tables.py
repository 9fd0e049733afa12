"""CSV tables: rows with their line in the file, and cells that no spreadsheet takes for a formula."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from forgery_rcnn.errors import InputError, printable

# A spreadsheet runs a cell that begins so as a formula. One quote before it makes it text; a cell that begins with such
# quotes already gets one more, so that reading takes exactly one away again.
_RISKY = re.compile(r"'*[=+\-@\t\r]")


def safe(cell: object) -> object:
    """What is written for a cell: text that begins with = + - @ gets a quote before it; numbers stay numbers.

    >>> [safe(cell) for cell in ("=1+1", "a=1", "'@b", -0.5)]
    ["'=1+1", 'a=1', "''@b", -0.5]
    """
    return f"'{cell}" if isinstance(cell, str) and _RISKY.match(cell) else cell


def plain(cell: str) -> str:
    """The inverse of `safe` for text.

    >>> plain("'=1+1"), plain("'a"), plain("-1")
    ('=1+1', "'a", '-1')
    """
    return cell[1:] if cell.startswith("'") and _RISKY.match(cell) else cell


def checked(cell: str) -> str:
    """-> the cell. Raises InputError for text that no UTF-8 file can hold: a file's name in another encoding."""
    try:
        cell.encode()
    except UnicodeEncodeError:
        raise InputError(f"{printable(cell)}: this name is not UTF-8; rename the file") from None
    return cell


TOO_FEW = "too few cells in this row; write one for every column of the header"
TOO_MANY = "more cells in this row than the header has; put double quotes around a cell that holds commas"


@dataclass(frozen=True)
class Row:
    """One record: the file's line on which it ends (the header is line 1), and column -> cell ("" where it is short).

    fault: what is wrong with the number of its cells, and the fix; "" = nothing.
    """

    line: int
    cells: dict[str, str]
    fault: str = ""


def read(
    path: Path, columns: tuple[str, ...], optional: tuple[str, ...] = (), unquoted: Callable[[str], str] = plain
) -> Iterator[Row]:
    """The rows of a CSV file, one at a time, each cell as `unquoted` gives it back.

    Raises InputError: not a CSV, a column missing, no row.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield from parse(file, str(path), columns, optional, unquoted)
    except OSError as error:
        raise InputError(f"{path}: not a readable CSV file ({error.strerror or error})") from None


def parse(
    lines: Iterable[str],
    name: str,
    columns: tuple[str, ...],
    optional: tuple[str, ...] = (),
    unquoted: Callable[[str], str] = plain,
) -> Iterator[Row]:
    """The same from lines of text that are called `name` in messages. Further columns are ignored."""
    csv.field_size_limit(2**31 - 1)  # a large mask's cell is far longer than the default 128 KiB
    reader = csv.reader(lines)
    try:
        header = next(reader, [])
        lacking = [column for column in columns if column not in header]
        if lacking:
            raise InputError(f"{name}: no column {', '.join(lacking)}; expected {','.join(columns)}")
        places = [(column, header.index(column)) for column in (*columns, *optional) if column in header]
        least, count = max(place for column, place in places if column in columns), 0
        for cells in reader:
            if cells:
                count += 1
                found = {column: unquoted(cells[place]) if place < len(cells) else "" for column, place in places}
                fault = TOO_FEW if len(cells) <= least else TOO_MANY if len(cells) > len(header) else ""
                yield Row(reader.line_num, found, fault)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{name}: not a readable CSV file ({error})") from None
    if not count:
        raise InputError(f"{name}: no rows in it; expected one per image")


def write(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file whole or not at all; every cell safe. Raises InputError when it cannot be written."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        _write(file, header, rows)


def save(path: Path, told: str) -> None:
    """Write a text file whole or not at all. Raises InputError when it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_text(told, encoding="utf-8", newline="")


def text(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """The same as text."""
    file = io.StringIO()
    _write(file, header, rows)
    return file.getvalue()


def _write(file: TextIO, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    writer, careful = (csv.writer(file, lineterminator="\n", quoting=how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    writer.writerow(header)
    for row in rows:
        cells = [safe(cell) for cell in row]
        # A lone carriage return ends a line for readers, and is not quoted by itself.
        (careful if any("\r" in cell for cell in cells if isinstance(cell, str)) else writer).writerow(cells)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place at the end; on any error it is removed and `path` untouched."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def require_writable(path: Path) -> None:
    """Make the folder of `path`. Raises InputError where it cannot be made, or `path` not be written: before hours of work."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        reason = "it is a folder" if path.is_dir() else ""
    if reason:
        raise InputError(f"{path}: cannot be written ({reason}); choose a place that can be")
