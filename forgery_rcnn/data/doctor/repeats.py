"""Images that show the same under different case ids, within the training set and across its borders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from forgery_rcnn.data import content
from forgery_rcnn.data.doctor.cases import Seen
from forgery_rcnn.data.doctor.findings import Finding

SHOWN = 6  # names in a finding's text
Key = tuple[str, str]  # part and case id


def find(seen: Sequence[Seen], keys: Mapping[Path, Key], hosts: Mapping[Key, frozenset[str]]) -> list[Finding]:
    """All readable images, and the part and case id of each file -> one finding for every group of the same picture.

    Twins share a case id, so they are no repeats; nor are training images that a manifest says are of one host: every
    split keeps them together. Of what shows the same as a test image every training image is a
    finding of its own, because each is left out by a repair.
    """
    by_digest = defaultdict(list)
    for i, image in enumerate(seen):
        by_digest[image.digest].append(i)
    found: list[Finding] = []
    for members in by_digest.values():
        if len({keys[seen[i].path] for i in members}) > 1:
            found += _exact([seen[i].path for i in members], keys)
    one_each = [members[0] for members in by_digest.values()]
    owners = [keys[seen[i].path] for i in one_each]
    alike = content.near_duplicates([seen[i].content for i in one_each], owners)
    pairs = [
        (i, j) for i, j in alike if "test" in (owners[i][0], owners[j][0]) or not hosts[owners[i]] & hosts[owners[j]]
    ]
    groups = defaultdict(list)
    for place, group in enumerate(content.joined(len(one_each), pairs)):
        groups[group].append(by_digest[seen[one_each[place]].digest])
    for group in groups.values():
        if len(group) > 1:
            found += _near([[seen[i].path for i in members] for members in group], keys)
    return found


def _exact(paths: Sequence[Path], keys: Mapping[Path, Key]) -> list[Finding]:
    tests = [path for path in paths if keys[path][0] == "test"]
    others = [path for path in paths if keys[path][0] != "test"]
    found = [Finding("duplicate_of_test", (path, *tests), f"the pixels of {_named(tests)}") for path in others if tests]
    if len({keys[path] for path in others}) > 1:
        found.append(Finding("duplicate", tuple(others), f"the same pixels: {_named(others)}"))
    if not others:
        found.append(Finding("duplicate", tuple(tests), f"the same pixels: {_named(tests)}"))
    return found


def _near(copies: Sequence[Sequence[Path]], keys: Mapping[Path, Key]) -> list[Finding]:
    """Pictures that show the same, each with its exact copies."""
    tests = [path for paths in copies for path in paths if keys[path][0] == "test"]
    new = [paths for paths in copies if not set(paths) & set(tests)]  # the others are exact copies of a test image
    found = [
        Finding("near_duplicate_of_test", (path, *tests), f"shows the same as {_named(tests)}")
        for paths in new
        for path in paths
        if tests
    ]
    alike = [paths[0] for paths in new] or [paths[0] for paths in copies]
    if len({keys[path] for path in alike}) > 1:
        found.append(Finding("near_duplicate", tuple(alike), f"these show the same: {_named(alike)}"))
    return found


def _named(paths: Sequence[Path]) -> str:
    shown = ", ".join(path.as_posix() for path in paths[:SHOWN])
    return shown + (f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else "")
