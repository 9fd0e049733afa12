"""One case: its images, its twin and its mask looked at together, with all findings and what a repair would write."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from forgery_rcnn.data import content
from forgery_rcnn.data.content import Content
from forgery_rcnn.data.doctor import files, mask_checks, twins
from forgery_rcnn.data.doctor.files import Shot
from forgery_rcnn.data.doctor.findings import Finding
from forgery_rcnn.data.doctor.layout import Case, Label
from forgery_rcnn.data.doctor.mask_checks import Reading


@dataclass(frozen=True)
class Seen:
    """A readable image in short, to be compared with all others. digest: of its pixels."""

    path: Path
    digest: str
    content: Content
    alpha: bool


@dataclass
class Study:
    """Everything about one case. rewritten: what a repair writes in place of a file, images (H, W, 3) uint8 or masks
    (N, H, W) uint8 {0, 1}; marked: the image that the mask is of."""

    case: Case
    findings: list[Finding] = field(default_factory=list)
    shots: dict[Label, Shot] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    reading: Reading | None = None
    marked: Label | None = None
    rewritten: dict[Path, np.ndarray] = field(default_factory=dict)

    def note(self, check: str, path: Path, found: str) -> None:
        """Add a finding about one file."""
        self.findings.append(Finding(check, (path,), found))


def study(root: Path, case: Case) -> Study:
    """Look at every file of a case; never raises for a bad file."""
    out = Study(case)
    for label in case.images:
        _look(root, label, out)
    _find_mask(root, out)
    _upright(out)
    if out.reading is not None and out.marked in out.shots:
        _compare_mask(out.reading, out.shots[out.marked], _change(out), out)
    if "authentic" in out.shots and "forged" in out.shots:
        _compare_twins(out.shots["authentic"], out.shots["forged"], out)
    if out.reading is not None:
        out.findings += out.reading.findings
        if out.reading.mended and out.reading.masks is not None:
            out.rewritten[out.reading.path] = out.reading.masks.astype(np.uint8)
    for shot in out.shots.values():
        if any(finding.remedy == "rewritten" and shot.path in finding.files for finding in out.findings):
            out.rewritten[shot.path] = np.ascontiguousarray(shot.pixels)
    return out


def _look(root: Path, label: Label, out: Study) -> None:
    """Read the images of one side; of several only one that all agree on is kept."""
    paths = out.case.images[label]
    digests = set()
    for path in paths:
        shot = files.read(root, path)
        if isinstance(shot, Finding):
            out.findings.append(shot)
            continue
        out.findings += shot.findings
        digest = hashlib.sha256(repr(shot.size).encode() + shot.pixels.tobytes()).hexdigest()
        digests.add(digest)
        out.seen.append(Seen(path, digest, content.of(shot.pixels), shot.clear is not None))
        out.shots.setdefault(label, shot)
    same = len(digests) == 1 and label in out.shots
    for path in paths if len(paths) > 1 else ():
        if not same or path != out.shots[label].path:
            names = ", ".join(other.name for other in paths)
            out.note("case_twice", path, f"{names}: {'the same pixels' if same else 'different pictures'}")
    if len(paths) > 1 and not same:
        out.shots.pop(label, None)


def _find_mask(root: Path, out: Study) -> None:
    """Whose mask it is, and whether there is one where there must be."""
    case = out.case
    forged, authentic = case.images["forged"], case.images["authentic"]
    out.marked = "forged" if forged else "authentic" if authentic else None
    for path in case.masks[1:]:
        out.note("second_mask", path, f"{case.masks[0].name} is read")
    if not case.masks:
        for path in forged:
            out.note("missing_mask", path, f"no mask {case.case_id}.npy")
        return
    out.reading = mask_checks.read(root, case.masks[0])
    if out.marked is None:
        out.note("orphan_mask", case.masks[0], f"no image {case.case_id}")
        out.reading.findings = [f for f in out.reading.findings if f.check in ("unreadable", "picture_among_masks")]
        if out.reading.findings:
            out.findings.pop()
    elif not forged:
        out.note("forged_among_authentic", authentic[0], f"has the mask {case.masks[0].name} and no forged twin")


def _upright(out: Study) -> None:
    """Note EXIF orientations; where the mask was drawn on the picture as it is shown, turn the pixels."""
    shape = None if out.reading is None or out.reading.masks is None else out.reading.masks.shape[1:]
    for label, shot in out.shots.items():
        if shot.orientation == 1:
            continue
        drawn_on_it = shape == shot.size[::-1] and shape != shot.size and shot.orientation >= 5
        if drawn_on_it:
            turn = files.TURNS[shot.orientation]
            clear = None if shot.clear is None else turn(shot.clear)
            pixels = np.ascontiguousarray(turn(shot.pixels))
            out.shots[label] = Shot(shot.path, pixels, clear, shot.orientation, shot.findings)
        drawn = "the mask was drawn on the turned picture" if drawn_on_it else "the pixels' own grid is kept"
        out.note("exif_orientation", shot.path, f"EXIF orientation {shot.orientation}; {drawn}")


def _change(out: Study) -> np.ndarray | None:
    """(H, W) uint8 difference of the twins, None without two of one size or where nothing changed."""
    first, second = out.shots.get("authentic"), out.shots.get("forged")
    if first is None or second is None or first.size != second.size:
        return None
    change = twins.difference(first.pixels, second.pixels)
    return change if change.any() else None


def _compare_mask(reading: Reading, shot: Shot, change: np.ndarray | None, out: Study) -> None:
    """Size, content, and place of the mask on its image."""
    if reading.masks is None:
        return
    changed = None if change is None else twins.strong(change)
    height, width = shot.size
    found = f"mask is {reading.masks.shape[1:]}, image {shot.path.name} is {shot.size}"
    if reading.masks.shape[1:] == (width, height) != (height, width):
        reading.note("transposed_mask", found, np.ascontiguousarray(twins.turned(reading.masks, changed)))
    elif reading.masks.shape[1:] != shot.size:
        reading.note("size_mismatch", found, None)
    mask_checks.check_content(reading)
    if reading.masks is None:
        return
    if change is not None and changed is not None:
        _judge_by_twin(reading, change, changed, out.case)
    elif len(out.shots) == 1:
        _judge_alone(reading, out.case)
    out.findings += files.hidden_under(shot, reading.masks)


def _judge_alone(reading: Reading, case: Case) -> None:
    """What a mask's form says where neither a twin nor a manifest can."""
    assert reading.masks is not None
    if any(mask_checks.maybe_inverted(mask) for mask in reading.masks):
        share = f"{reading.masks.mean():.0%} of the image is marked, up to all four borders"
        reading.findings.append(Finding("maybe_inverted_mask", (reading.path,), share))
    elif not case.operations and twins.all_rectangles(reading.masks):
        reading.findings.append(Finding("rectangles", (reading.path,), "every region is an exact rectangle"))


def _judge_by_twin(reading: Reading, change: np.ndarray, changed: np.ndarray, case: Case) -> None:
    """What the change between the twins says about the mask."""
    assert reading.masks is not None
    wrong = [twins.inverted(mask, changed) for mask in reading.masks]
    if any(wrong):
        sound = reading.masks ^ np.array(wrong)[:, None, None]
        reading.note(
            "inverted_mask", f"the change lies in the complement of {sum(wrong)} of {len(wrong)} channels", sound
        )
    elif not case.operations & twins.REPLACING:
        faults = twins.faults(reading.masks, change, changed)
        reading.findings += [Finding(check, (reading.path,), text) for check, text in faults]


def _compare_twins(authentic: Shot, forged: Shot, out: Study) -> None:
    """Sizes, pixels and transparency of the two."""
    if authentic.size != forged.size:
        text = f"{forged.size}, its twin {authentic.path.as_posix()} is {authentic.size}"
        out.findings.append(Finding("twin_sizes", (forged.path, authentic.path), text))
        return
    if np.array_equal(authentic.pixels, forged.pixels):
        out.findings.append(Finding("identical_twins", (forged.path, authentic.path), "not one pixel differs"))
    out.findings += files.unlike(authentic, forged)
