"""What the doctor can find: the table of all checks, and one fault found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgery_rcnn.data.doctor.checks import OF_MASKS, SEVERITIES, Check, Remedy, Severity

CHECKS: dict[str, Check] = {
    "missing_folder": Check(
        "error",
        "a folder is missing, empty or closed",
        "Nothing can be read from it; training stops before its first step.",
        "put the files where the competition has them: train_images/{authentic,forged}, train_masks",
    ),
    "unreadable": Check(
        "error",
        "a file cannot be read",
        "A truncated picture or mask teaches the wrong thing where it does not stop the run.",
        "fetch or export the file again",
        "left out",
    ),
    "case_twice": Check(
        "error",
        "one case id, two images",
        "Nobody can tell which of the two the mask was drawn for.",
        "keep one file of each case id in a folder",
        "left out",
    ),
    **OF_MASKS,
    "identical_twins": Check(
        "error",
        "the forged image is its authentic twin",
        "The same pixels are called forged and authentic; the forgery was lost, or the file lies in the wrong folder.",
        "fetch the forged image again, or delete it and its mask",
        "left out",
    ),
    "twin_sizes": Check(
        "warning",
        "forged and authentic twin differ in size",
        "They cannot be compared, so the mask cannot be checked; probably they are no twins.",
        "give them different case ids, or export both at one size",
    ),
    "forged_among_authentic": Check(
        "error",
        "a forged image among the authentic ones",
        "It has a mask and no forged twin, so it lies in the wrong folder and is trained on as authentic.",
        "move it to train_images/forged",
        "moved",
    ),
    "mask_among_images": Check(
        "warning",
        "an image that looks like a mask",
        "A black and white blob is hardly a figure; it trains on nothing.",
        "move it to the masks, or put the figure in its place",
        "left out",
    ),
    "array_among_images": Check(
        "warning",
        "a .npy file in a folder of images",
        "It is not read there; a forged image may lack it as its mask.",
        "move it to train_masks or supplemental_masks",
        "left out",
    ),
    "duplicate_of_test": Check(
        "error",
        "a test image that is also trained on",
        "The score on it says nothing about new images.",
        "take its whole case out of the training data: its twin shows the same",
        "left out",
    ),
    "near_duplicate_of_test": Check(
        "warning",
        "a test image that nearly is a training image",
        "The score on it says little about new images.",
        "take the whole training case out; look at both first if you would keep it",
        "left out",
    ),
    "duplicate": Check(
        "warning",
        "the same image under several case ids",
        "One copy may train while another validates, unless a split groups images by content (this one does).",
        "keep one of them, or split by content",
    ),
    "near_duplicate": Check(
        "warning",
        "nearly the same image under several case ids",
        "One may train while the other validates, unless a split groups images by content (this one does).",
        "keep one of them, or split by content",
    ),
    "exif_orientation": Check(
        "warning",
        "an image with an EXIF orientation",
        "Viewers turn it, readers of pixels do not: masks drawn in a viewer lie elsewhere.",
        "save the pixels as they are shown if the mask was drawn so, else drop the tag",
        "rewritten",
    ),
    "bit_depth": Check(
        "warning",
        "more than 8 bits a pixel and channel",
        "Readers scale it differently: some cut the high byte, some stretch, some clip to white.",
        "save it with 8 bits",
        "rewritten",
    ),
    "colour_mode": Check(
        "note",
        "neither grey nor RGB",
        "Palette, bilevel and CMYK pictures are converted on reading; other readers give indices or other colours.",
        "save it as grey or RGB",
        "rewritten",
    ),
    "transparency": Check(
        "warning",
        "transparency that matters",
        "What is seen there depends on the background that a reader puts behind it.",
        "flatten the image over white",
        "rewritten",
    ),
    "stray_file": Check(
        "note",
        "a file that is not read",
        "It is in no folder of the layout, or of no known kind.",
        "move it where it belongs, or delete it",
    ),
    "unknown_folder": Check(
        "note",
        "a folder that is not read",
        "It is no part of the layout; images in it are not trained on.",
        "move its files where they belong, or delete it",
    ),
}

LEAKS = {"duplicate_of_test", "near_duplicate_of_test"}  # these cost the whole training case: its twin shows the same


@dataclass(frozen=True)
class Finding:
    """One fault. files: relative to the root, the faulty one first; found: in words; remedy: "" = as its check has it."""

    check: str
    files: tuple[Path, ...]
    found: str
    own_remedy: Remedy | Literal[""] = ""

    @property
    def severity(self) -> Severity:
        """How much it matters: that of its check."""
        return CHECKS[self.check].severity

    @property
    def remedy(self) -> Remedy:
        """What `--fix` does about the first file."""
        return self.own_remedy or CHECKS[self.check].remedy


def in_order(found: Sequence[Finding]) -> list[Finding]:
    """Errors first, then by check as listed above, then by file."""
    checks = list(CHECKS)
    return sorted(found, key=lambda f: (SEVERITIES.index(f.severity), checks.index(f.check), f.files, f.found))
