"""The truth for a folder of images, from masks, a solution CSV, or a whole data root."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from forgery_rcnn import submission
from forgery_rcnn.data import images, masks, records
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Instances
from forgery_rcnn.submission import Truth

Reader = Callable[[Path, tuple[int, int]], Instances | None]


def of_root(root: Path, cases: Collection[str]) -> dict[str, Truth]:
    """The truth of the images of a data root that carry these case ids.

    An id that occurs authentic and forged is read as what fits all of `cases`: where every case is a forged id, the
    forged images are meant. Raises InputError when the cases fit neither side.
    """
    found = records.scan(root)
    by_label = {label: {r.case_id: r for r in found if r.label == label} for label in ("forged", "authentic")}
    wanted = set(cases)
    sides = [label for label, side in by_label.items() if wanted == side.keys()]
    sides = sides or [label for label, side in by_label.items() if wanted <= side.keys()]
    if len(sides) == 2:
        raise InputError(
            f"{root}: all {len(wanted)} case ids occur authentic and forged; pass a solution CSV, or predict one whole folder"
        )
    if not sides and wanted <= by_label["forged"].keys() | by_label["authentic"].keys():
        both = wanted & by_label["forged"].keys() & by_label["authentic"].keys()
        if both:
            raise InputError(
                f"{root}: case id {sorted(both)[0]} occurs authentic and forged; pass a solution CSV that says which"
            )
        sides = ["forged", "authentic"]
    if not sides:
        known = by_label["forged"].keys() | by_label["authentic"].keys()
        raise InputError(
            f"{root}: {len(wanted - known)} case ids of the submission are not there ({sorted(wanted - known)[0]}, ...)"
        )
    return {r.case_id: _truth(r) for label in sides for r in by_label[label].values() if r.case_id in wanted}


def _truth(record: records.Record) -> Truth:
    size = images.header_size(record.image)
    if record.mask is None:
        return Truth(size, None)
    return Truth(size, Instances.from_masks(masks.read(record.mask, size, record.image.name)))


def reader(source: Path, files: Sequence[Path]) -> Reader:
    """A folder of masks or a solution CSV -> a function that gives the truth of one image file of size (H, W).

    None = authentic: so says the CSV, or the folder holds no mask of that stem. Raises InputError when the source knows
    none of `files`; the function raises it for a bad mask or a case without a row.
    """
    if source.is_dir():
        if not any(masks.find(source, path.stem) for path in files):
            raise InputError(
                f"--masks {source}: no mask for any of the {len(files)} images; expected e.g. {files[0].stem}.npy"
            )

        def from_folder(path: Path, size: tuple[int, int]) -> Instances | None:
            mask = masks.find(source, path.stem)
            return mask and Instances.from_masks(masks.read(mask, size, path.name))

        return from_folder
    truths = submission.read_solution(source)
    lacking = [path.stem for path in files if path.stem not in truths]
    if lacking:
        raise InputError(f"--masks {source}: no row for {len(lacking)} of {len(files)} images (first: {lacking[0]})")

    def from_csv(path: Path, size: tuple[int, int]) -> Instances | None:
        truth = truths[path.stem]
        if truth.instances is not None and truth.size != size:
            raise InputError(
                f"{source}: case {path.stem}: shape is {truth.size} but image {path.name} is {size[0]} x {size[1]}"
            )
        return truth.instances

    return from_csv
