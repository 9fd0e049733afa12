"""Files written whole or not at all: through a temporary file beside them, flushed to disk and renamed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write PATH. NaN is refused."""
    text = json.dumps(values, indent=1, allow_nan=False)
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def replace(path: Path, fill: Callable[[Path], object]) -> str:
    """Fill a temporary file beside `path`, flush it, rename it over `path`; -> its sha256. Cleans up on failure."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as the umask leaves it; safetensors' files are their owner's alone
        fill(temporary)
        temporary.chmod(mode)
        with open(temporary, "rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return digest


def sweep(folder: Path) -> None:
    """Remove the temporary files that `replace` could not, in processes that were killed."""
    for path in folder.glob(".*.tmp"):
        number = path.name.split(".")[-2]
        if number.isdecimal() and not _runs(int(number)):
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
