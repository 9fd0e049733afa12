"""Two processes train together: torchrun, gloo, DistributedDataParallel."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from forgery_rcnn.config import ModelConfig, RunConfig, from_dict
from forgery_rcnn.data import collection
from forgery_rcnn.engine import validation
from forgery_rcnn.engine.evaluate import evaluate
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


def test_batch_norm_is_the_same_on_every_rank_when_scored(
    run: Callable, finish: Callable, shared_root: Path, tmp_path: Path
) -> None:
    """Each rank has seen other images: the scores that are stored must be those of the weights that are stored."""
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    flags = [
        "--data.root",
        shared_root,
        "--data.folds",
        "2",
        "--model.dense.widths",
        "4",
        "8",
        "--model.image-size",
        "64",
    ]
    flags += ["--data.single", "1", "--no-tensorboard", "--stages.0.epochs", "2", "--stages.0.lr", "0.05"]
    flags += ["--precision", "float32", "--device", "cpu"]
    finish(run("edarnn.py", "attention_unet_smoke", *flags, "--out", tmp_path, before=torchrun))
    found = weights.load(str(tmp_path), ModelConfig())
    config = from_dict(RunConfig, found.meta["config"])
    split = collection.open_checked(config.data, lambda *_: nullcontext(lambda: None)).split
    rows = evaluate(found.model, split.validation, config.data, validation.plain(config.inference))
    measured = validation.measured(rows)
    stored = found.meta["scores"]
    assert {name: stored[name] for name in validation.SCORES} == pytest.approx(
        {name: measured[name] for name in validation.SCORES}, abs=1e-6
    )
    scores = [row.image_score for row in rows]
    assert len(set(scores)) > 1
