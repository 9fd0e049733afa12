"""The data card: what a data set holds, and what saying the same of every image would score on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forgery_rcnn.data.records import Facts, Record
from forgery_rcnn.data.splits import Split

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


@dataclass(frozen=True)
class DataCard:
    """Counts and distributions. Areas in per cent of the image; sizes in pixels (H, W)."""

    root: str
    fingerprint: str
    images: int
    authentic: int
    forged: int
    supplemental: int
    authentic_with_forged_twin: int
    sizes: tuple[tuple[int, int], ...]
    modes: dict[str, int]
    notes: dict[str, int]
    instances_per_image: dict[int, int]
    forged_area: tuple[float, ...]
    smallest_instance: int
    lost_at_training_size: int
    baseline_all_authentic: float
    baseline_all_authentic_validation: float | None
    split: dict[str, int]
    groups: int
    skipped: tuple[str, ...]


def measure(
    root: Path,
    records: Sequence[Record],
    facts: Sequence[Facts],
    split: Split,
    skipped: Sequence[str],
    fingerprint: str,
) -> DataCard:
    """Records and the facts of their check -> DataCard."""
    forged = [fact for record, fact in zip(records, facts, strict=True) if record.label == "forged"]
    authentic_ids = {r.case_id for r in records if r.label == "authentic"}
    train = [r for r in records if r.part == "train"]
    authentic = sum(r.label == "authentic" for r in train)
    validation = split.validation
    return DataCard(
        root=root.name,
        fingerprint=fingerprint,
        images=len(records),
        authentic=authentic,
        forged=len(train) - authentic,
        supplemental=len(records) - len(train),
        authentic_with_forged_twin=len(authentic_ids & {r.case_id for r in train if r.label == "forged"}),
        sizes=tuple(fact.size for fact in facts),
        modes=dict(Counter(fact.mode for fact in facts).most_common()),
        notes=dict(Counter(note for fact in facts for note in fact.notes).most_common()),
        instances_per_image=dict(sorted(Counter(len(fact.areas) for fact in forged).items())),
        forged_area=tuple(100 * fact.forged_pixels / (fact.size[0] * fact.size[1]) for fact in forged),
        smallest_instance=min((area for fact in forged for area in fact.areas), default=0),
        lost_at_training_size=sum(fact.lost for fact in forged),
        baseline_all_authentic=authentic / len(train) if train else 0.0,
        baseline_all_authentic_validation=sum(r.label == "authentic" for r in validation) / len(validation)
        if validation
        else None,
        split={
            "single": len(split.single),
            "few": len(split.few),
            "full": len(split.full),
            "validation": len(validation),
        },
        groups=split.groups,
        skipped=tuple(skipped),
    )


def lines(card: DataCard) -> list[str]:
    """The card as it is printed."""
    heights, widths = zip(*card.sizes, strict=True)
    area = " / ".join(f"{q:.2f}" for q in np.quantile(card.forged_area, QUANTILES))
    validation = card.baseline_all_authentic_validation
    out = [
        f"data card of {card.root} (fingerprint {card.fingerprint})",
        f"  images            {card.images}: {card.forged} forged, {card.authentic} authentic "
        f"({card.authentic_with_forged_twin} of these also occur forged), {card.supplemental} supplemental forged",
        f"  sizes             {len(set(card.sizes))} different; "
        f"height {min(heights)}..{max(heights)}, width {min(widths)}..{max(widths)} px",
        f"  modes             {', '.join(f'{mode} {count}' for mode, count in card.modes.items())}",
        f"  instances / image {', '.join(f'{n}: {count}' for n, count in card.instances_per_image.items())}",
        f"  forged area       {area} % of the image at q10/25/50/75/90/99; smallest instance {card.smallest_instance} px",
        f"  split             {', '.join(f'{name} {count}' for name, count in card.split.items())}; "
        f"{card.groups} groups (by case id, host and content)",
        f"  all-authentic     scores oF1 {card.baseline_all_authentic:.4f} on the training mix"
        + (f", {validation:.4f} on the validation split" if validation is not None else ""),
    ]
    if card.lost_at_training_size:
        out.append(
            f"  too small         {card.lost_at_training_size} instances vanish at the model's input size, not trained on"
        )
    out += [f"  read as           {note}: {count} files" for note, count in card.notes.items()]
    return out + [f"  skipped           {line}" for line in card.skipped]


def as_json(card: DataCard) -> dict[str, Any]:
    """The card as plain values, sizes and areas summed up."""
    values = asdict(card)
    values["sizes"] = {f"{h}x{w}": count for (h, w), count in Counter(card.sizes).most_common()}
    values["forged_area"] = {f"q{round(q * 100)}": float(np.quantile(card.forged_area, q)) for q in QUANTILES}
    return values
