"""Memory for a very large image: 12,000 x 12,000 pixels, cut into tiles, through a model of each kind.

PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE python benchmarks/large.py docs/results/large.md     (some 6 minutes)

The picture: a figure of the built-in sample, repeated. Small models with random weights, so that regions are found
everywhere: a map is cut where a fifth of its pixels is above, and every candidate of Mask R-CNN counts. Tiles of 1,024 px,
a quarter of it in common, each scaled to 256 px. Each line is a process of its own, from its start to the answer, the
picture (412 MiB), libraries and model included; *before* is its peak before the prediction. Asked: below 4 GiB.

encode_submission.py: the command itself, on the picture as a JPEG, with the first model and its threshold and else as it
comes: the file is read, the answer encoded and written, an overlay drawn. As the system counts it, after it has ended.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from forgery_rcnn.config import DenseConfig, InferenceConfig, ModelConfig, Tiling, to_dict
from forgery_rcnn.data import images, sample
from forgery_rcnn.inference import pipeline, tiling
from forgery_rcnn.models import weights, zoo

SIDE, LIMIT = 12_000, 4096  # pixels, MiB
FORGED = 0.2  # share of the pixels that a map calls forged
TILES = Tiling("auto", (1024,))
# From random weights nothing is sure: every candidate counts.
CONFIG = InferenceConfig(score_threshold=0.0, max_instances=1000, tiling=TILES)
MODELS = {
    "attention_unet": ModelConfig("attention_unet", dense=DenseConfig(widths=(8, 16, 32, 64, 128))),
    "mask_rcnn": ModelConfig(
        fpn_width=64, box_hidden=64, mask_hidden=32, rpn_proposals=100, mask_pool=7, box_score_min=0.0
    ),
}
CASES = {
    "attention_unet": ("attention_unet", CONFIG),
    "attention_unet, eight views": ("attention_unet", replace(CONFIG, views=("eight",))),
    "attention_unet, not tiled": ("attention_unet", replace(CONFIG, tiling=Tiling("off"))),
    "mask_rcnn": ("mask_rcnn", CONFIG),
    "mask_rcnn, not tiled": ("mask_rcnn", replace(CONFIG, tiling=Tiling("off"))),
}
COMMAND = Path(__file__).resolve().parents[1] / "encode_submission.py"
TILED = ("--inference.tiling.mode", "auto", "--inference.tiling.sides", "1024")
COMMANDS = {
    "encode_submission.py": (),
    "encode_submission.py, tiled": TILED,
    "encode_submission.py, tiled, --overlays 0": (*TILED, "--overlays", "0"),
}


def picture() -> np.ndarray:
    """(SIDE, SIDE, 3) uint8: a figure of the sample, side by side with itself."""
    source = images.read(sorted((sample.default_root() / "train_images" / "forged").glob("*.png"))[0]).pixels
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    for y in range(0, SIDE, source.shape[0]):
        for x in range(0, SIDE, source.shape[1]):
            place = out[y : y + source.shape[0], x : x + source.shape[1]]
            place[:] = source[: place.shape[0], : place.shape[1]]
    return out


def peak() -> int:
    """The most memory this process has had so far, MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(case: str) -> dict[str, float]:
    """One prediction in this process."""
    arch, config = CASES[case]
    torch.manual_seed(0)
    model, pixels = zoo.build(MODELS[arch]).eval(), picture()
    before, began = peak(), time.perf_counter()
    candidates = pipeline.candidates(model, pixels, config)
    told = {"before": before, "candidates": peak(), "seconds of candidates": time.perf_counter() - began}
    if model.gives == "map":  # a random map lies on one side of any threshold chosen beforehand
        level = float(np.quantile(candidates.heatmap[::50, ::50], 1 - FORGED))
        config = replace(config, mask_threshold=level)
    found = pipeline.finished(candidates, pixels, config, model.gives)
    forged = float(np.count_nonzero(candidates.heatmap >= config.mask_threshold) / candidates.heatmap.size)
    return told | {
        "peak": peak(),
        "seconds": time.perf_counter() - began,
        "tiles": len(tiling.tiles(pixels.shape[:2], config.tiling)),
        "regions": len(found.instances),
        "runs": sum(len(runs) for runs in found.instances.runs),
        "forged": forged,
    }


def apart(case: str) -> dict[str, float]:
    """The same in a fresh process: peaks never fall."""
    command = [sys.executable, __file__, "--case", case]
    done = subprocess.run(command, env=os.environ, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def prepare(folder: Path) -> None:
    """The picture as a file, and weights of the first model with their threshold."""
    pixels, config = picture(), InferenceConfig(score_threshold=0.0, tiling=Tiling("off"))
    (folder / "images").mkdir()
    Image.fromarray(pixels).save(folder / "images" / "large.jpg", quality=90)
    torch.manual_seed(0)
    model = zoo.build(MODELS["attention_unet"]).eval()
    tile = pixels[:1024, :1024]
    level = float(np.quantile(pipeline.candidates(model, tile, config).heatmap, 1 - FORGED))
    meta = {
        "config": {"model": to_dict(MODELS["attention_unet"])},
        "thresholds": to_dict(replace(config, mask_threshold=level)),
    }
    weights.write(folder / "model.safetensors", model.state_dict(), meta)


def commanded(case: str) -> dict[str, float]:
    """One run of the command in a process of its own: its peak, MiB, and seconds."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: a child's peak begins with its parent's.
        subprocess.run([sys.executable, __file__, "--prepare", name], check=True)
        options = ["--images", f"{name}/images", "--weights", f"{name}/model.safetensors", "--out", f"{name}/out"]
        began = time.perf_counter()
        with open(folder / "said.txt", "w") as said:
            process = subprocess.Popen([sys.executable, str(COMMAND), *options, *COMMANDS[case]], stdout=said)
            _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{case}: ended with {process.returncode}")
        told = (folder / "said.txt").read_text()
        drawn = len(list((folder / "out" / "overlays").glob("*.png")))
    regions = len(re.findall(r"\d\.\d\d", told.split("scores ")[1].split("|")[0]))
    return {"peak": round(used.ru_maxrss / 1024), "seconds": seconds, "drawn": drawn, "regions": regions}


def main(report: Path) -> None:
    """Measure every case and write the report."""
    lines = [
        "# Memory for a very large image",
        "",
        *(__doc__ or "").split("\n\n", 2)[2].strip().splitlines(),
        "",
        f"torch {torch.__version__}, {os.cpu_count()} cores; other work on them makes the seconds longer.",
        "",
        f"| model | tiles | before, MiB | peak, MiB | below {LIMIT} | seconds | forged | regions | their runs |",
        "|---|---:|---:|---:|---|---:|---:|---:|---:|",
    ]
    for case in CASES:
        told = apart(case)
        lines.append(
            f"| {case} | {told['tiles']} | {told['before']} | {told['peak']} | {'yes' if told['peak'] < LIMIT else 'NO'} | "
            f"{told['seconds']:.0f} | {100 * told['forged']:.1f} % | {told['regions']} | {told['runs']:,} |"
        )
        print(lines[-1], flush=True)
    lines += [
        "",
        f"| command | peak, MiB | below {LIMIT} | seconds | regions | pictures |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for case in COMMANDS:
        lines.append(_commanded(case))
        print(lines[-1], flush=True)
    report.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _commanded(case: str) -> str:
    told = commanded(case)
    return (
        f"| {case} | {told['peak']} | {'yes' if told['peak'] < LIMIT else 'NO'} | {told['seconds']:.0f} | "
        f"{told['regions']} | {told['drawn']} |"
    )


if __name__ == "__main__":
    if sys.argv[1] == "--case":
        print(json.dumps(measure(sys.argv[2])))
    elif sys.argv[1] == "--prepare":
        prepare(Path(sys.argv[2]))
    elif sys.argv[1] == "--command":
        print(_commanded(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
