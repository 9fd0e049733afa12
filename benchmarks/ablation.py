#!/usr/bin/env python3
"""What each forensic stem and the ImageNet start add to the detector, with equal budget and several seeds.

PYTHONPATH=. python benchmarks/ablation.py docs/results/stem_ablation.md --root data/corpus400 --size 192 --out runs/stems

The stage `full` of the recipe `forensic` for so many epochs, without mining, warmed up for 10 steps, from its ImageNet start,
squares of the unscaled image; all arms see the same squares in the same order. *separability*: held-out AUC of a linear probe
on the RoI features of forged regions against others, before and after training. *oF1*, *pixel AUC*, *image AUC*: on the
validation images (no host of the training images among them). Mean over the seeds, lowest and highest in brackets. *over rgb*:
mean difference from rgb of the same seed. An arm that is trained already in --out is not trained again; an interrupted one
goes on.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from forgery_rcnn.cli import command
from forgery_rcnn.config import RunConfig
from forgery_rcnn.data import collection
from forgery_rcnn.data.collection import Collection
from forgery_rcnn.engine import rivals, runlog
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.watch import Watch
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.recipes import CROPS_FULL, FORENSIC

ARMS: Mapping[str, Mapping[str, object]] = {
    "rgb": {"stems": ("rgb",)},
    **{f"rgb + {stem}": {"stems": ("rgb", stem)} for stem in ("srm", "bayar", "noise", "dct", "fft")},
    "all five": {"stems": ("rgb", "srm", "bayar", "noise", "dct", "fft")},
    "rgb, random start": {"stems": ("rgb",), "weights": "none", "norm": "auto"},
}


@dataclass(frozen=True)
class Row:
    """One arm with one seed."""

    before: float
    after: float
    of1: float
    pixel_auc: float
    image_auc: float
    flagged: float


def config(arm: str, seed: int, args: argparse.Namespace) -> RunConfig:
    """The run of an arm."""
    stage = replace(
        CROPS_FULL, epochs=args.epochs, evaluate_every=args.epochs, evaluate_images=8, mine_every=0, warmup_steps=10
    )
    model = replace(FORENSIC.model, image_size=args.size, **ARMS[arm])
    data = replace(FORENSIC.data, root=args.root)
    return replace(FORENSIC, data=data, model=model, stages=(stage,), seed=seed, probe_stages=0)


def row(arm: str, seed: int, data: Collection, args: argparse.Namespace) -> Row:
    """Trained, unless it is there already, and measured."""
    run, out = config(arm, seed, args), args.out / f"{arm.replace(' ', '-').replace(',', '')}-{seed}"
    kept = out / "row.json"
    if kept.is_file():
        return Row(**json.loads(kept.read_text()))
    run = replace(run, model=weights.settled(run.model))
    watch = Watch(data.split.validation, data.split, run.stages[0], run)
    torch.manual_seed(seed)
    fresh = zoo.build(run.model)
    weights.start(fresh)
    before = _separability(watch, fresh.eval(), run)
    told = rivals.measure(arm, run, "plain", data, out)
    after = _separability(watch, weights.load(str(out), run.model).model.eval(), run)
    found = Row(
        before, after, told.of1.value, told.pixel_auc_forged.value, told.image_auc.value, told.false_alarm_rate.value
    )
    kept.write_text(json.dumps(asdict(found)))
    return found


def _separability(watch: Watch, model: torch.nn.Module, run: RunConfig) -> float:
    with autocast(torch.device("cpu"), run.precision):
        return watch.separability(model, run.stages[0].epochs - 1).get("separability", float("nan"))


def lines(rows: Mapping[str, Sequence[Row]], trivial: float) -> list[str]:
    """The table."""
    out = [
        "| stems | separability before | after | oF1 | pixel AUC of forged | image AUC | authentic flagged "
        "| separability over rgb | pixel AUC over rgb |",
        "|---|---|---|---|---|---|---|---:|---:|",
    ]
    plain = rows["rgb"]
    for name, some in rows.items():
        cells = [_told([getattr(one, column) for one in some]) for column in Row.__dataclass_fields__]
        for pick in (lambda r: r.after, lambda r: r.pixel_auc):
            cells.append(_over(pick, some, plain) if name != "rgb" else "")
        out.append(f"| {name} | {' | '.join(cells)} |")
    return [*out, "", f"Calling every image authentic scores oF1 {trivial:.4f}."]


def _told(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.3f} [{min(values):.3f}, {max(values):.3f}]"


def _over(pick: Callable[[Row], float], some: Sequence[Row], plain: Sequence[Row]) -> str:
    gaps = [pick(one) - pick(other) for one, other in zip(some, plain, strict=False)]
    return f"{sum(gaps) / len(gaps):+.3f} [{min(gaps):+.3f}, {max(gaps):+.3f}]"


def parsed(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path, help="write the table here")
    parser.add_argument("--root", type=Path, required=True, help="made figures, as `make corpus` writes them")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--size", type=int, default=256, help="side of the squares, px")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> int:
    """Trains what is not trained yet, and writes the page after each seed."""
    args = parsed(argv)
    data = collection.open_checked(replace(FORENSIC.data, root=args.root), runlog.Screen(sys.stdout).bar)
    shown, seen = len(data.split.full), data.split.validation
    rows: dict[str, list[Row]] = {name: [] for name in args.arms}
    for seed in range(args.seeds):  # a page after each seed: what there is by then can be told
        for name in args.arms:
            rows[name].append(row(name, seed, data, args))
        text = ["# What each stem adds", "", (__doc__ or "").split("\n\n")[2].replace("\n", " "), ""]
        text += [
            f"{shown} training images, {args.epochs} epochs, squares of {args.size} px, {seed + 1} seeds, {len(seen)} validation images; "
            f"commit `{runlog.commit()}`, {platform.machine()}.",
            "",
            *lines(rows, rivals.trivial(seen)),
        ]
        args.page.write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(lines(rows, rivals.trivial(seen))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
