"""How much faster an epoch of a head is on vectors computed once than by running the frozen encoder, in one run.

PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE python benchmarks/summaries.py docs/results/summaries.md      (some 3 minutes; --quick: 2)

The stage `classifier` of recipe combined_a at its own sizes, ConvNeXt-B at 256 px in batches of 64 (one step an epoch on
these images), and in batches of 16; random weights, which cost what trained ones do. An epoch is what the loop does in one:
the loader's batches, losses, backward, clipping, AdamW. *encoder* reads fitted images that are kept in memory already, and
runs the frozen encoder without gradient; *vectors* reads what was computed once. *once*: computing them, decoding
included. The images: of the built-in sample. Best of {ENCODER} each, of {VECTORS} epochs on vectors, in turns; same
threads, same precision. *stage*: all epochs of the recipe's stage by the encoder, over computing the vectors once and as
many epochs on them. Evaluations, which run the whole model on the validation images either way, are left out of all
columns. Other work on the same cores slows the encoder more than the head.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from forgery_rcnn.config import DataConfig, Stage
from forgery_rcnn.data import collection, records
from forgery_rcnn.data.dataset import EpochSampler, ForgeryDataset, make_loader
from forgery_rcnn.engine import freezing, optimisers, summaries
from forgery_rcnn.engine.precision import autocast, uses_bf16
from forgery_rcnn.models import zoo
from forgery_rcnn.models.segmenter import Segmenter
from forgery_rcnn.siblings import SYSTEMS

ENCODER, VECTORS = 2, 20
GOAL = 200


def epoch(model: Segmenter, stage: Stage, batches: object, losses_of: Callable[..., dict], precision: str) -> float:
    """Seconds of one pass over `batches`, each an optimiser step."""
    moving = set(freezing.apply(model, stage.trainable))
    freezing.set_modes(model)
    parameters = [p for name, p in model.named_parameters() if name in moving]
    optimiser = optimisers.make(stage, parameters)
    start = time.perf_counter()
    for seen, targets, _ in batches:
        with autocast(model.device, precision):
            losses = losses_of(seen, targets)
        optimiser.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(parameters, stage.clip_norm)
        optimiser.step()
    return time.perf_counter() - start


def measured(count: int, batch_size: int, precision: str) -> tuple[float, float, float]:
    """-> seconds of: an epoch by the encoder, an epoch on vectors, computing the vectors."""
    run = SYSTEMS["combined_a"]
    stage = replace(run.stages[0], batch_size=batch_size)
    torch.manual_seed(0)
    model = zoo.build(replace(run.model, weights="none"))
    items = records.scan(collection.root_of(DataConfig()))
    items = items[:: max(1, len(items) // count)][:count]
    dataset = ForgeryDataset(items, DataConfig(), run.model)
    sampler = EpochSampler(len(items), stage.batch_size, 0)
    for index in range(len(dataset)):
        dataset.fitted(index)
    model.summaries([dataset[0, 0][0]])  # warm
    slow, fast, once = [], [], []
    for _ in range(ENCODER):
        start = time.perf_counter()
        vectors = summaries.computed(model, dataset, sampler, precision, lambda: None)
        once.append(time.perf_counter() - start)
        slow.append(epoch(model, stage, make_loader(dataset, sampler), model.losses, precision))
        fast += [epoch(model, stage, vectors, model.losses_of_summaries, precision) for _ in range(VECTORS // ENCODER)]
    return min(slow), min(fast), min(once)


def main(argv: list[str]) -> int:
    """Print the table; write it where the first argument says. Returns 1 where the goal is missed."""
    count, epochs, rows, ratios = (24 if "--quick" in argv else 40), SYSTEMS["combined_a"].stages[0].epochs, [], []
    for batch_size in (64, 16):
        slow, fast, once = measured(count, batch_size, "auto")
        ratios.append(slow / fast)
        whole = epochs * slow / (once + epochs * fast)
        shown = f"{slow:.2f} s | {1000 * fast:.2f} ms | {ratios[-1]:.0f}x | {once:.2f} s | {whole:.1f}x"
        rows.append(f"| {min(batch_size, count)} | {-(-count // min(batch_size, count))} | {shown} |")
        print(rows[-1], flush=True)
    head = ["| batch | steps | encoder | vectors | ratio | once | stage |", "|" + "---:|" * 7]
    about = (__doc__ or "").split("\n\n")[2].strip().format(ENCODER=ENCODER, VECTORS=VECTORS)
    kind = "bf16" if uses_bf16(torch.device("cpu"), "auto") else "float32"
    machine = f"{count} images, {epochs} epochs a stage; {torch.get_num_threads()} threads ({platform.machine()}), no GPU, {kind}; "
    machine += f"torch {torch.__version__}. Asked: {GOAL}x an epoch."
    text = "\n".join(["# Training a head on vectors computed once", "", about, "", machine, "", *head, *rows, ""])
    print(text)
    for path in [Path(word) for word in argv if not word.startswith("-")][:1]:
        path.write_text(text)
    return int(min(ratios) < GOAL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
