"""How much faster a training step of Mask R-CNN is than one of torchvision's reference loop, in one run on the same images.

PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=2 python benchmarks/train.py docs/results/train.md
(some 5 minutes; --quick: half)

A step is losses, backward, clipping, optimiser. *torchvision*: its MaskRCNN by its defaults (2,000 proposals, 512 RoI and 256
anchor samples, float32, SGD with momentum), everything moves. *unfrozen*: the package's step under autocast, 500 proposals, 128
RoI and 64 anchor samples, AdamW, everything moves. *frozen*: backbone and pyramid frozen, run without gradient. *cached*: the
same on features of the pyramid that were computed once, as engine.features does for images met again unchanged. Same backbone,
width, frozen batch norm and random weights, batches of {BATCH} figures of the built-in sample with their masks, scaled before
the clock starts. The ways take turns after a round that warms up; the best of {ROUNDS} counts. *wall*: ratio of seconds
over torchvision; *processor*: of processor time, all threads, which other work on the same cores disturbs less. Missed is what
both are below.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import plain_detector
import torch
from torch import Tensor, nn

from forgery_rcnn.config import HEADS, ModelConfig, Stage
from forgery_rcnn.engine import features, freezing, optimisers
from forgery_rcnn.engine.precision import autocast, uses_bf16
from forgery_rcnn.instances import boxes_of
from forgery_rcnn.models import zoo
from forgery_rcnn.models.mask_rcnn import MaskRCNN

ROUNDS, BATCH = 3, 2
GOALS = {"unfrozen": 2.5, "frozen": 5.0, "cached": 9.0}
Step = Callable[[], float]


def built(backbone: str) -> MaskRCNN:
    """Random weights at 512 px, norm as under pretrained ones."""
    torch.manual_seed(0)
    model = zoo.build(ModelConfig(backbone=backbone, image_size=512, norm="frozen_batch"))
    assert isinstance(model, MaskRCNN)
    return model


def batch() -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """(3, h, w) uint8 images and targets, of one size."""
    found = plain_detector.fitted(40, 512)
    sizes = [pixels.shape for pixels, _ in found]
    alike = max(set(sizes), key=sizes.count)
    chosen = [one for one in found if one[0].shape == alike][:BATCH]
    assert len(chosen) == BATCH, "no two figures of one size"
    images = [torch.from_numpy(pixels).permute(2, 0, 1).contiguous() for pixels, _ in chosen]
    targets = []
    for _, masks in chosen:
        labels, boxes = torch.ones(len(masks), dtype=torch.int64), torch.from_numpy(boxes_of(masks))
        targets.append({"boxes": boxes, "labels": labels, "masks": torch.from_numpy(masks).to(torch.uint8)})
    return images, targets


def reference(model: MaskRCNN, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]], device: str) -> Step:
    """A step of torchvision's references/detection/engine.py."""
    its = plain_detector.of(model).train().to(device)
    for parameter in its.parameters():
        parameter.requires_grad_()
    optimiser = torch.optim.SGD(its.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)

    def step() -> float:
        seen = [image.to(device).float() / 255 for image in images]
        losses = its(seen, [{name: value.to(device) for name, value in target.items()} for target in targets])
        loss = sum(losses.values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def ours(backbone: str, way: str, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]], device: str) -> Step:
    """A step as the loop does it, of a model of its own."""
    model = built(backbone).to(device)
    stage = Stage(trainable=HEADS) if way != "unfrozen" else Stage(lr=1e-4)
    moving = set(freezing.apply(model, stage.trainable))
    freezing.set_modes(model)
    parameters = [p for name, p in model.named_parameters() if name in moving]
    optimiser = optimisers.make(stage, parameters)
    losses_of: nn.Module | Callable = features.Losses(features.Kept(10**9), model) if way == "cached" else model.losses

    def step() -> float:
        with autocast(model.device, "auto"):
            losses = losses_of(images, targets)
        optimiser.zero_grad(set_to_none=True)
        loss = sum(losses.values())
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, stage.clip_norm)
        optimiser.step()
        return float(loss.detach())

    return step


def timed(steps: dict[str, Step]) -> dict[str, tuple[float, float]]:
    """-> per way: the best round's seconds a step by the clock and of the processor."""
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(ROUNDS + 1):
        for name, step in steps.items():
            wall, processor = time.perf_counter(), time.process_time()
            step()
            rounds[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return {name: tuple(min(column) for column in zip(*found[1:], strict=True)) for name, found in rounds.items()}


def measured(backbone: str, device: str) -> tuple[list[str], list[str]]:
    """The table's rows of one backbone, and what falls short of what is asked."""
    images, targets = batch()
    steps = {"torchvision": reference(built(backbone), images, targets, device)}
    steps |= {way: ours(backbone, way, images, targets, device) for way in GOALS}
    found, out, missed = timed(steps), [], []
    for way, (wall, processor) in found.items():
        ratios = found["torchvision"][0] / wall, found["torchvision"][1] / processor
        asked = GOALS.get(way, 0) if backbone == "resnet50" else 0
        shown = f"{wall:.2f} s | {BATCH / wall:.2f} | {ratios[0]:.1f}x | {ratios[1]:.1f}x | {f'{asked:g}x' if asked else ''}"
        out.append(f"| {backbone} | {device} | {way} | {shown} |")
        print(out[-1], flush=True)
        if asked and max(ratios) < asked:
            missed.append(f"{backbone} {way} {ratios[0]:.1f}x")
    return out, missed


def main(argv: list[str]) -> int:
    """Print the table; write it where the first argument says. Returns 1 where something asked is missed."""
    rows, missed = [], []
    backbones = ["resnet50"] if "--quick" in argv else ["resnet50", "mobilenet_v3_large"]
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        for backbone in backbones:
            found = measured(backbone, device)
            rows += found[0]
            missed += found[1]
    head = ["| backbone | device | way | a step | images/s | wall | processor | asked |", "|---|---|---|" + "---:|" * 5]
    about = (__doc__ or "").split("\n\n")[2].strip().format(ROUNDS=ROUNDS, BATCH=BATCH)
    kind = "bf16" if uses_bf16(torch.device("cpu"), "auto") else "float32"
    machine = f"512 px; {torch.get_num_threads()} threads ({platform.machine()}), torch {torch.__version__}, {kind}."
    short = f"Missed: {'; '.join(missed)}." if missed else "Nothing asked is missed."
    text = "\n".join(["# Speed of training", "", about, "", machine, "", *head, *rows, "", short, ""])
    print(text)
    for path in [Path(word) for word in argv if not word.startswith("-")][:1]:
        path.write_text(text)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
