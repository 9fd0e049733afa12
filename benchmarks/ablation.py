#!/usr/bin/env python3
"""What each forensic stem and the start add to the detector, with equal budget and several seeds.

PYTHONPATH=. python benchmarks/ablation.py docs/results/stem_ablation.md --root data/corpus400 --size 192 --out runs/stems
PYTHONPATH=. python benchmarks/ablation.py docs/results/stem_retrained.md --root data/corpus --out runs/retrained --start
  pretrained_final --images 600 --seen 100 --watch 48

A stage over the full set for so many epochs, without mining, warmed up for 10 steps, squares of the unscaled image; all arms
see the same squares in the same order. *separability*: held-out AUC of a linear probe on the RoI features of forged regions
against others. *oF1*, *Dice*, *pixel AUC*, *image AUC*: of validation images (no host of the training images among them). Mean
over the seeds, lowest and highest in brackets. *over*: mean difference from the first arm, same seed. An arm that is trained
already in --out is not trained again; an interrupted one goes on.

From an ImageNet start the stage is `full` of the recipe `forensic`. From weights (--start) it is the recipe's last, with their
thresholds, on validation images that these were not fitted on. A stem that an arm lacks is taken out of the weights, one that
they lack starts at 0: *before* is with no training after that. The weights have known their own stems for 16 epochs, others not.
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
from forgery_rcnn.config import RunConfig, to_dict
from forgery_rcnn.data import collection, splits
from forgery_rcnn.data.collection import Collection
from forgery_rcnn.engine import held_out, rivals, runlog
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.watch import Watch
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.recipes import CROPS_FULL, CROPS_OBJECTS, FORENSIC

STEMS = ("srm", "bayar", "noise", "dct", "fft")
ARMS: Mapping[str, Mapping[str, object]] = {
    "rgb": {"stems": ("rgb",)},
    **{f"rgb + {stem}": {"stems": ("rgb", stem)} for stem in STEMS},
    "all five": {"stems": ("rgb", *STEMS)},
    "rgb, random start": {"stems": ("rgb",), "weights": "none", "norm": "auto"},
}
OWN = FORENSIC.model.stems
RETRAINED: Mapping[str, Mapping[str, object]] = {
    " + ".join(OWN): {},
    "rgb": {"stems": ("rgb",)},
    **{f"without {stem}": {"stems": tuple(s for s in OWN if s != stem)} for stem in OWN if stem != "rgb"},
    **{f"with {stem}": {"stems": (*OWN, stem)} for stem in STEMS if stem not in OWN},
}
SCORES = {
    "of1": "oF1",
    "dice_forged": "Dice of forged",
    "pixel_auc_forged": "pixel AUC of forged",
    "image_auc": "image AUC",
    "false_alarm_rate": "authentic flagged",
}
"""Of rivals.NUMBERS, and their headings."""
BOTH = ("of1", "image_auc")  # shown before training as well


@dataclass(frozen=True)
class Standing:
    """An arm at one time. scores: by the names of SCORES."""

    separability: float
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """One arm with one seed."""

    before: Standing
    after: Standing


def config(arm: str, seed: int, args: argparse.Namespace) -> RunConfig:
    """The run of an arm."""
    known = RETRAINED[arm] | {"weights": args.start} if args.start else ARMS[arm]
    model = weights.settled(replace(FORENSIC.model, image_size=args.size, **known))
    stage = replace(
        CROPS_OBJECTS if args.start else CROPS_FULL,
        epochs=args.epochs,
        evaluate_every=args.epochs,
        evaluate_images=8,
        mine_every=0,
        warmup_steps=10,
    )
    return replace(
        FORENSIC,
        data=replace(FORENSIC.data, root=args.root),
        model=model,
        stages=(stage,),
        inference=weights.fitted(model) or FORENSIC.inference,
        seed=seed,
        watch=args.watch,
        probe_stages=0,
    )


def row(arm: str, seed: int, data: Collection, args: argparse.Namespace, known: Standing | None) -> Row:
    """Trained, unless it is there already, and measured. known: how it stands before, where no seed decides that."""
    run, out = config(arm, seed, args), args.out / f"{arm.replace(' ', '-').replace(',', '')}-{seed}"
    kept = out / "row.json"
    if kept.is_file():
        return Row(*(Standing(**at) for at in json.loads(kept.read_text()).values()))
    before = known or _fresh(run, data, out / "before")
    told = rivals.measure(arm, run, "plain", data, out)
    scores = {name: getattr(told, name).value for name in SCORES}
    found = Row(before, Standing(_separability(run, data, out), scores))
    kept.write_text(json.dumps(asdict(found)))
    return found


def _fresh(run: RunConfig, data: Collection, folder: Path) -> Standing:
    """A run before it begins; its weights are left in `folder`."""
    torch.manual_seed(run.seed)
    model = zoo.build(run.model)
    weights.start(model)
    stored = {"config": to_dict(run), "thresholds": to_dict(run.inference)}
    weights.write(folder / "model.safetensors", model.state_dict(), stored)
    told = rivals.scored(run, "plain", data, folder)
    return Standing(_separability(run, data, folder), {name: told[name].value for name in SCORES})


def _separability(run: RunConfig, data: Collection, folder: Path) -> float:
    """Of the weights in a folder."""
    watch = Watch(data.split.validation, data.split, run.stages[0], run)
    with autocast(torch.device("cpu"), run.precision):
        model = weights.load(str(folder), run.model).model
        return watch.separability(model, run.stages[0].epochs - 1).get("separability", float("nan"))


def lines(rows: Mapping[str, Sequence[Row]], trivial: float) -> list[str]:
    """The table; the first arm is the one that others are compared with."""
    told = {
        f"{title} before": lambda r, name=name: r.before.scores[name] for name, title in SCORES.items() if name in BOTH
    }
    told = {"separability before": lambda r: r.before.separability, "after": lambda r: r.after.separability} | told
    told |= {title: lambda r, name=name: r.after.scores[name] for name, title in SCORES.items()}
    over = {"separability": told["after"], "oF1": told["oF1"], "pixel AUC": told[SCORES["pixel_auc_forged"]]}
    first = next(iter(rows))
    headings = [*told, *(f"{title} over {first}" for title in over)]
    out = [f"| arm | {' | '.join(headings)} |", f"|---|{'---|' * len(headings)}"]
    for name, some in rows.items():
        cells = [_told([pick(one) for one in some]) for pick in told.values()]
        cells += [_over(pick, some, rows[first]) if name != first else "" for pick in over.values()]
        out.append(f"| {name} | {' | '.join(cells)} |")
    return [*out, "", f"Calling every image authentic scores oF1 {trivial:.4f}."]


def _told(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.3f} [{min(values):.3f}, {max(values):.3f}]"


def _over(pick: Callable[[Row], float], some: Sequence[Row], plain: Sequence[Row]) -> str:
    gaps = [pick(one) - pick(other) for one, other in zip(some, plain, strict=False)]
    return f"{sum(gaps) / len(gaps):+.3f} [{min(gaps):+.3f}, {max(gaps):+.3f}]"


def opened(args: argparse.Namespace) -> Collection:
    """The figures, as many of them as are asked for; of the validation images those that --start was not fitted on."""
    data = collection.open_checked(replace(FORENSIC.data, root=args.root), runlog.Screen(sys.stdout).bar)
    shown, seen = data.split.full, data.split.validation
    if args.start:
        seen = [member.record for member in held_out.of_part(seen, data, 0.5)[1]]
    shown = splits.balanced(shown, args.images) if args.images else shown
    seen = splits.balanced(seen, args.seen) if args.seen else seen
    return replace(data, split=replace(data.split, single=[], few=[], full=shown, validation=seen))


def parsed(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path, help="write the table here")
    parser.add_argument("--root", type=Path, required=True, help="made figures, as `make corpus` writes them")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--size", type=int, default=256, help="side of the squares, px")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--start", help="weights to go on from, in place of ImageNet's")
    parser.add_argument("--images", type=int, default=0, help="training images, half of them authentic; 0: all")
    parser.add_argument("--seen", type=int, default=0, help="validation images, half of them authentic; 0: all")
    parser.add_argument(
        "--watch", type=int, default=16, help="forged validation images whose features are asked for separability"
    )
    parser.add_argument("--arms", nargs="+", choices={**ARMS, **RETRAINED}, help="some of the arms")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> int:
    """Trains what is not trained yet, and writes the page after each seed."""
    args = parsed(argv)
    data = opened(args)
    shown, seen = len(data.split.full), data.split.validation
    arms = RETRAINED if args.start else ARMS
    rows: dict[str, list[Row]] = {name: [] for name in arms if not args.arms or name in args.arms}
    for seed in range(args.seeds):  # a page after each seed: what there is by then can be told
        for name, done in rows.items():
            known = done[0].before if args.start and done else None  # nothing is drawn there
            done.append(row(name, seed, data, args, known))
        text = [
            "# What each stem adds",
            "",
            *(part.replace("\n", " ") + "\n" for part in (__doc__ or "").strip().split("\n\n")[2:]),
        ]
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
