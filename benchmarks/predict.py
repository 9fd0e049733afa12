"""How much faster Mask R-CNN predicts than torchvision's own on the same weights, in one run on the same images.

PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=2 python benchmarks/predict.py docs/results/predict.md
(some 5 minutes; --quick: half; --weights NAME adds these; --gate NAME: weights of which the answers alone are compared)

*torchvision*: its MaskRCNN by its defaults (1,000 proposals, 100 detections, float32, every mask pasted into the whole image)
on the same backbone, width and frozen batch norm. *torch*: `predict` under autocast, 300 proposals (pretrained_final 1,000), 10 detections.
*OpenVINO*: the same through compiled networks. One image after the other, figures of the built-in sample, their long side
scaled to the model's size before the clock starts. The ways take turns after a round that warms up; the best of {ROUNDS}
counts. *wall*: ratio of seconds over torchvision; *processor*: of processor time, all threads, which other work on the same
cores disturbs less. *found*: regions in an image, torchvision's and here. Random weights make it 100 and 10; *nothing found*
has a score threshold that lets nothing pass, so that nobody has a mask to make. Missed is what both ratios are below.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import plain_detector
import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection import MaskRCNN as Torchvision
from torchvision.models.detection.roi_heads import paste_masks_in_image

from forgery_rcnn import metrics
from forgery_rcnn.config import BARE_PTH, DataConfig, InferenceConfig, ModelConfig
from forgery_rcnn.data import collection, records
from forgery_rcnn.engine.evaluate import seen
from forgery_rcnn.engine.precision import autocast, uses_bf16
from forgery_rcnn.inference import pipeline
from forgery_rcnn.instances import Prediction
from forgery_rcnn.models import compiled, weights, zoo
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from forgery_rcnn.models.paste import paste

ROUNDS, CPU = 3, torch.device("cpu")
GOALS = {"resnet50": (4.5, 5.5), "mobilenet_v3_large": (9.0, 11.0)}
LEAST_IOU, MOST_OF1, PASTE_GOAL = 0.99, 0.005, 500
Way = Callable[[np.ndarray], int]


def ways(model: MaskRCNN) -> tuple[dict[str, Way], Sequence[torch.nn.Module]]:
    """-> name -> predict one image and say how many regions there were; the RoI heads of both detectors."""
    its, through = (
        plain_detector.of(model).eval(),
        compiled.Compiled(model, "bf16" if uses_bf16(CPU, "auto") else "f32"),
    )

    def reference(pixels: np.ndarray) -> int:
        with autocast(CPU, "float32"), torch.inference_mode():
            return len(its([plain_detector.tensor(pixels)])[0]["masks"])

    found = {
        "torchvision": reference,
        "torch": lambda pixels: len(model.predict([pixels])[0].scores),
        "OpenVINO": lambda pixels: len(through.predict([pixels])[0].scores),
    }
    return found, (its.roi_heads, model.roi_heads)


def timed(work: Mapping[str, Way], pictures: Sequence[np.ndarray]) -> dict[str, tuple[float, float, int]]:
    """-> per way: the best round's seconds an image by the clock and of the processor; the most found in an image."""
    best: dict[str, list[tuple[float, float, int]]] = {name: [] for name in work}
    for _ in range(ROUNDS + 1):
        for name, way in work.items():
            wall, processor = time.perf_counter(), time.process_time()
            with autocast(CPU, "auto"):
                count = max(way(pixels) for pixels in pictures)
            spent = time.perf_counter() - wall, time.process_time() - processor
            best[name].append((spent[0] / len(pictures), spent[1] / len(pictures), count))
    return {name: tuple(min(column) for column in zip(*rounds[1:], strict=True)) for name, rounds in best.items()}


@contextmanager
def nothing_found(heads: Sequence[torch.nn.Module]) -> Iterator[None]:
    """While it lasts no score is high enough."""
    before = [one.score_thresh for one in heads]
    for one in heads:
        one.score_thresh = 2.0
    yield
    for one, value in zip(heads, before, strict=True):
        one.score_thresh = value


def speed(name: str, model: MaskRCNN, count: int) -> tuple[list[str], list[str]]:
    """The table's rows of one model, and what falls short of what is asked."""
    pictures = [pixels for pixels, _ in plain_detector.fitted(count, model.config.image_size)]
    work, heads = ways(model)
    rows = [("as they come", timed(work, pictures))]
    with nothing_found(heads):
        rows.append(("nothing found", timed(work, pictures)))
    out, missed = [], []
    for title, found in rows:
        base = found["torchvision"]
        shown = [f"{1000 * base[0]:.0f} ms"]
        for way, goal in zip(("torch", "OpenVINO"), GOALS.get(name, (0.0, 0.0)), strict=True):
            wall, processor = base[0] / found[way][0], base[1] / found[way][1]
            asked = f"{goal:g}x" if goal and title == "as they come" else ""
            shown += [f"{1000 * found[way][0]:.0f} ms", f"{wall:.1f}x", f"{processor:.1f}x", asked]
            if asked and max(wall, processor) < goal:
                missed.append(f"{name} {way} {wall:.1f}x")
        counts = f"{base[2]}, {found['torch'][2]}"
        out.append(f"| {name} | {model.config.image_size} | {title} | {counts} | {' | '.join(shown)} |")
        print(out[-1], flush=True)
    return out, missed


# ---- the same answer ------------------------------------------------------------------------------------------


def as_here(its: Torchvision, model: MaskRCNN) -> Callable[[np.ndarray], Prediction]:
    """torchvision's detections by its defaults, in float32, pasted as the package does."""

    def detect(fitted: Sequence[torch.Tensor], _: Sequence[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        with autocast(CPU, "float32"):
            batch = model.batched(fitted)
            features = its.backbone(batch.tensors)
            return its.roi_heads(features, its.rpn(batch, features)[0], batch.image_sizes)[0]

    def predict(pixels: np.ndarray) -> Prediction:
        with torch.no_grad():
            return model.predicted_by(detect, [pixels], InferenceConfig().mask_threshold)[0]

    return predict


def agreement(name: str, count: int) -> tuple[list[str], list[str]]:
    """Rows: per way the mean IoU with torchvision's regions over the images where either has one, and oF1's difference."""
    model = weights.load(name, BARE_PTH).model
    assert isinstance(model, MaskRCNN)
    through = compiled.Compiled(model, "bf16" if uses_bf16(CPU, "auto") else "f32")
    exact = compiled.Compiled(model, "f32")
    asked = {
        "torchvision": as_here(plain_detector.of(model).eval(), model),
        "torch": lambda pixels: model.predict([pixels])[0],
        "OpenVINO": lambda pixels: through.predict([pixels])[0],
        "OpenVINO, float32": lambda pixels: exact.predict([pixels])[0],
    }
    overlaps: dict[str, list[float]] = {way: [] for way in asked}
    scores: dict[str, list[float]] = {way: [] for way in asked}
    with autocast(CPU, "auto"):
        for record in gate_records(count):
            view = seen(record, DataConfig())
            found = {way: pipeline.selected(ask(view.pixels), InferenceConfig()) for way, ask in asked.items()}
            for way, one in found.items():
                instances = one.instances if len(one.instances) else None
                scores[way].append(metrics.image_score(instances, view.true))
                if len(one.instances) or len(found["torchvision"].instances):
                    overlaps[way].append(overlap(one, found["torchvision"]))
    rows, missed, base = [], [], float(np.mean(scores["torchvision"]))
    for way in list(asked)[1:]:
        iou, difference = float(np.mean(overlaps[way])), float(np.mean(scores[way])) - base
        of = f"{len(overlaps[way])} of {len(scores[way])}"
        shown = f"{iou:.4f} | {min(overlaps[way]):.4f} | {base:.4f} | {difference:+.4f}"
        rows.append(f"| {Path(name).name} | {way} | {of} | {shown} |")
        print(rows[-1], flush=True)
        if iou < LEAST_IOU or abs(difference) > MOST_OF1:
            missed.append(f"agreement of {way}: IoU {iou:.4f}, oF1 {difference:+.4f}")
    return rows, missed


def gate_records(count: int) -> list[records.Record]:
    """Of the built-in sample, forged and authentic in turns."""
    items = records.scan(collection.root_of(DataConfig()))
    sides = [[one for one in items if (one.label == "authentic") == side] for side in (False, True)]
    few = len(sides[1])
    return [*sides[0][: count - min(few, count // 4)], *sides[1][: count // 4]]


def overlap(one: Prediction, other: Prediction) -> float:
    """IoU of all that is marked."""
    a, b = one.instances.union(), other.instances.union()
    common = metrics.common_pixels(a, b)
    return common / max(1, int(a[:, 1].sum()) + int(b[:, 1].sum()) - common)


# ---- masks to run lengths -------------------------------------------------------------------------------------


def pasting(side: int) -> tuple[list[str], list[str]]:
    """Rows: survivors to run lengths (and heat map), against torchvision's paste of 100 masks."""
    rng = np.random.default_rng(0)
    centres, sides = (
        rng.uniform(0.1, 0.9, (100, 2)) * side,
        np.exp(rng.uniform(np.log(0.03), np.log(0.2), (100, 2))) * side,
    )
    boxes = np.clip(np.concatenate([centres - sides / 2, centres + sides / 2], 1), 0, side).astype(np.float32)
    grids = np.stack([cv2.GaussianBlur(rng.random((28, 28), np.float32), (0, 0), 4) for _ in range(100)])
    grids = np.clip((grids - grids.mean()) * 8 + 0.5, 0, 1)
    scores = np.linspace(1, 0.5, 100, dtype=np.float32)
    whole, its = torch.from_numpy(grids)[:, None], torch.from_numpy(boxes)
    plain = fastest(lambda: paste_masks_in_image(whole, its, (side, side)), 2)
    rows, missed = [], []
    for count in (5, 10):
        here = fastest(lambda n=count: paste(boxes[:n], boxes[:n], grids[:n], scores[:n], (side, side), 0.5), 30)
        asked = f"{PASTE_GOAL}x" if count == 5 else ""
        rows.append(
            f"| {side} x {side} | {count} | {1000 * plain:.0f} ms | {1000 * here:.2f} ms | {plain / here:,.0f}x | {asked} |"
        )
        print(rows[-1], flush=True)
        if asked and plain / here < PASTE_GOAL:
            missed.append(f"paste {plain / here:.0f}x")
    return rows, missed


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the best of `repeats`."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


# ---- where there is a GPU -------------------------------------------------------------------------------------


def on_gpu(model: MaskRCNN, batch: int = 8) -> str:
    """Images a second, and the share of what a large bf16 product reaches on the same GPU."""
    device = torch.device("cuda")
    model = model.to(device)
    pictures = [plain_detector.fitted(1, model.config.image_size)[0][0]] * batch
    with autocast(device, "bf16"):
        with FlopCounterMode(display=False) as counted:
            model.predict(pictures)
        torch.cuda.synchronize()
        spent = fastest(lambda: (model.predict(pictures), torch.cuda.synchronize()), 10)
    square = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    (square @ square).sum().item()
    peak = 2 * 8192**3 / fastest(lambda: ((square @ square), torch.cuda.synchronize()), 10)
    share = counted.get_total_flops() / spent / peak
    return f"{torch.cuda.get_device_name()}, {model.config.backbone}: {batch / spent:.0f} images/s, {share:.1%} of its bf16 peak"


def built(backbone: str) -> MaskRCNN:
    """Random weights at 512 px, norm as under pretrained ones."""
    torch.manual_seed(0)
    model = zoo.build(ModelConfig(backbone=backbone, image_size=512, norm="frozen_batch")).eval()
    assert isinstance(model, MaskRCNN)
    return model


def main(argv: list[str]) -> int:
    """Print the tables; write them where the first argument says. Returns 1 where something asked is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--weights", nargs="*", default=[])
    parser.add_argument("--gate", nargs="*", default=["pretrained_final"])
    job = parser.parse_args(argv)
    cv2.setNumThreads(torch.get_num_threads())
    tables: tuple[list[str], ...] = ([], [], [])
    missed = []
    models = [(name, lambda name=name: built(name)) for name in GOALS]
    models += [(Path(name).name, lambda name=name: weights.load(name, BARE_PTH).model) for name in job.weights]
    for name, make in models:
        found = speed(name, make(), 2 if job.quick else 4)
        tables[0].extend(found[0])
        missed += found[1]
    for at, found in ((1, agreement(name, 20 if job.quick else 40)) for name in [*job.gate, *job.weights]):
        tables[at].extend(found[0])
        missed += found[1]
    rows, short = pasting(2048)
    tables[2].extend(rows)
    missed += short
    text = page(tables, missed, [on_gpu(make()) for _, make in models] if torch.cuda.is_available() else [])
    print(text)
    if job.out is not None:
        job.out.write_text(text)
    return int(bool(missed))


def page(tables: Sequence[list[str]], missed: list[str], gpus: list[str]) -> str:
    """The three tables as Markdown."""
    about = (__doc__ or "").split("\n\n")[2].strip().format(ROUNDS=ROUNDS)
    machine = f"{torch.get_num_threads()} threads ({platform.machine()}), torch {torch.__version__}, "
    machine += f"{'bf16' if uses_bf16(CPU, 'auto') else 'float32'}. {'; '.join(gpus) or 'No GPU'}."
    columns = "torch | wall | processor | asked | OpenVINO | wall | processor | asked"
    speeds = [
        f"| model | px | regions | found | torchvision | {columns} |",
        "|---|---:|---|" + "---:|" * 10,
        *tables[0],
    ]
    gate = (
        "Regions above the thresholds, with those of torchvision by its defaults in float32, pasted alike; mean oF1 on the same "
        f"images. Asked: IoU {LEAST_IOU}, oF1 within {MOST_OF1}."
    )
    columns = "weights | way | images with a region | IoU | worst | oF1 of torchvision | difference"
    same = [f"| {columns} |", "|---|---|" + "---:|" * 5, *tables[1]]
    columns = "image | survivors | torchvision, 100 masks | here, to run lengths and heat map | ratio | asked"
    pastes = [f"| {columns} |", "|---|" + "---:|" * 5, *tables[2]]
    short = f"Missed: {'; '.join(missed)}." if missed else "Nothing asked is missed."
    parts = ["# Speed of prediction", about, machine, "\n".join(speeds), "## The same answer", gate, "\n".join(same)]
    return "\n\n".join([*parts, "## Masks to run lengths", "\n".join(pastes), short]) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
