"""What the doctor checks: how much each fault matters, why, the fix, and what a repair does about it. Those of masks here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
Remedy = Literal["kept", "rewritten", "moved", "left out"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Check:
    """One kind of fault. remedy: what `--fix` does about a file that has it; "kept" = it takes a person."""

    severity: Severity
    title: str
    why: str
    fix: str
    remedy: Remedy = "kept"


OF_MASKS: dict[str, Check] = {
    "missing_mask": Check(
        "error",
        "a forged image without its mask",
        "A forged image without truth cannot be trained on or scored.",
        "add the mask as STEM.npy, or move the image to authentic/ if nothing in it was changed",
        "left out",
    ),
    "orphan_mask": Check(
        "warning",
        "a mask without its image",
        "Often the image was renamed or lost, and a forged image less is trained on.",
        "add the image, rename one of the two, or delete the mask",
        "left out",
    ),
    "second_mask": Check(
        "note",
        "more than one mask for an image",
        "Only the first is read (STEM.npy before images, STEM before STEM_mask).",
        "delete the one that is not meant",
        "left out",
    ),
    "size_mismatch": Check(
        "error",
        "mask and image differ in size",
        "The mask cannot be laid over the image; resizing it would be a guess.",
        "export the mask again at the image's size",
        "left out",
    ),
    "transposed_mask": Check(
        "error",
        "a mask with height and width exchanged",
        "The mask lies on its side: no pixel of it is where it belongs.",
        "save the mask as (N, height, width), e.g. mask.transpose(0, 2, 1)",
        "rewritten",
    ),
    "empty_mask": Check(
        "error",
        "a mask that marks nothing",
        "A forged image without a forged pixel teaches that forgeries are authentic.",
        "draw the mask, or move the image to authentic/",
        "left out",
    ),
    "empty_channel": Check(
        "error",
        "a mask channel that marks nothing",
        "An instance without a pixel has no box, and counts as missed in every score.",
        "take the empty channel out",
        "rewritten",
    ),
    "repeated_channel": Check(
        "error",
        "a mask channel twice",
        "One instance counts as two: the model learns to find it twice, and the score counts one of the two as missed.",
        "take the copy out",
        "rewritten",
    ),
    "full_mask": Check(
        "error",
        "a mask that marks everything",
        "It says nothing about where the forgery is.",
        "draw the mask anew",
        "left out",
    ),
    "inverted_mask": Check(
        "error",
        "an inverted mask",
        "It marks everything but what was changed: the model learns the opposite.",
        "save the complement of the mask",
        "rewritten",
    ),
    "maybe_inverted_mask": Check(
        "warning",
        "a mask that may be inverted",
        "It covers most of the image up to all four borders, and no authentic twin can tell whether that is right.",
        "look at it; save the complement if it marks the background",
    ),
    "non_binary_mask": Check(
        "error",
        "mask values other than 0 and 1",
        "Values such as 255 count as 255 instances in one code and as nothing in another; the reader refuses them.",
        "save the mask as uint8 with 0 and 1, one instance per channel",
        "rewritten",
    ),
    "mask_dtype": Check(
        "warning",
        "a mask of an odd data type",
        "The competition's masks are uint8; float masks are refused by the reader.",
        "save the mask as uint8 with 0 and 1",
        "rewritten",
    ),
    "flat_mask": Check(
        "note",
        "a 2-D mask",
        "It is read as one instance; code that expects (N, H, W) takes its rows for instances.",
        "save mask[None], shape (1, H, W)",
        "rewritten",
    ),
    "coloured_mask": Check(
        "error",
        "a mask image that is not black and white",
        "Where the region ends in it is a guess.",
        "save the region white (255) on black (0), without smoothing, as PNG or .npy",
        "left out",
    ),
    "picture_among_masks": Check(
        "error",
        "a picture among the masks",
        "It is no mask: most of its pixels are neither black nor white.",
        "move it to its image folder and add the mask",
        "left out",
    ),
    "boxy_mask": Check(
        "error",
        "a box around the region in place of the region",
        "The model learns to call untouched pixels forged, and the score is lost at every border.",
        "draw the region itself: the pixels that differ from the authentic twin",
    ),
    "rectangles": Check(
        "warning",
        "a mask of exact rectangles",
        "Pasted blots may be rectangles; boxes drawn around regions are too, and no authentic twin can tell.",
        "look at it; draw the region itself if these are boxes",
    ),
    "mask_misses_change": Check(
        "error",
        "most of the change lies outside the mask",
        "The mask belongs to another picture, or marks only a part: the model learns that forged pixels are authentic.",
        "draw the mask anew, or find the mask of this image",
    ),
    "replaced_panel": Check(
        "warning",
        "a whole panel changed, of which a part is marked",
        "Right where two panels share the marked part and one of them was replaced for it; else the mask is too small.",
        "look at it; mark the whole panel if all of it was forged",
    ),
    "change_beside_mask": Check(
        "warning",
        "a change beside the mask",
        "A region was probably forgotten or the mask shifted: the model learns that forged pixels are authentic.",
        "mark what differs from the authentic twin, or undo that change in the forged image",
    ),
    "unchanged_under_mask": Check(
        "error",
        "nothing changed under the mask, or under a channel",
        "The mask is shifted, turned, or of another picture.",
        "move the mask to where the forged image differs from its authentic twin",
    ),
}
