"""Two processes train together: torchrun, gloo, DistributedDataParallel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from forgery_rcnn.models import weights


def test_torchrun_with_two_processes(
    run: Callable, finish: Callable, tiny_flags: list[str], shared_root: Path, tmp_path: Path
) -> None:
    recipe = [
        "three_stages",
        "--stages.0.epochs=1",
        "--stages.1.epochs=2",
        "--stages.1.alternate-every=1",
        "--stages.2.epochs=1",
    ]
    recipe += ["--stages.1.alternate-with", "backbone", "--stages.1.trainable", "rpn", "roi_heads"]
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    out = tmp_path / "run"
    printed = finish(run("edarnn.py", *recipe, *tiny_flags, "--data.root", shared_root, "--out", out, before=torchrun))
    assert printed.count("stage 3/3") == 1, "rank 0 alone prints"
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines] == ["one", "few", "few", "full"]
    assert all(0 < line["loss"] < 100 for line in lines)
    tensors, meta = weights.read(out / "model.safetensors")
    assert meta["world"] == 2
    assert all(torch.isfinite(t).all() for t in tensors.values())
