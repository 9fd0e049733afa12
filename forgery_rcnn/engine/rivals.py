"""Several systems on the same split with the same budget, each trained and measured in a process of its own."""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from forgery_rcnn import numbers
from forgery_rcnn.bootstrap import Interval, Resampling
from forgery_rcnn.config import RunConfig, to_dict
from forgery_rcnn.data import records, worker
from forgery_rcnn.data.collection import Collection
from forgery_rcnn.engine import checkpoints, experiment, runlog, validation
from forgery_rcnn.engine.distributed import device_of
from forgery_rcnn.engine.evaluate import seen
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference import pipeline
from forgery_rcnn.instances import Answer, Truth
from forgery_rcnn.models import weights

WARM = 2  # images predicted before the clock starts
NUMBERS = ("of1", "dice", "dice_forged", "pixel_auc_forged", "image_auc", "false_alarm_rate")
"""Of numbers.intervals, in a Result under the same name."""


@dataclass(frozen=True)
class Result:
    """One system. Rates in images per second, memory: the process's peak in MiB, on a GPU its own peak."""

    name: str
    parameters: int
    of1: Interval
    dice: Interval
    dice_forged: Interval
    pixel_auc_forged: Interval
    image_auc: Interval
    false_alarm_rate: Interval
    train_rate: float
    train_memory: float
    predict_rate: float
    predict_memory: float


def measure(name: str, run: RunConfig, inference: Literal["plain", "recipe"], data: Collection, out: Path) -> Result:
    """Train the run in OUT unless it is there already, then predict its validation split; -> what came of it.

    inference: plain is one view without refinement, recipe what the run's own settings say.

    Raises InputError when one of the two processes does not end well, or OUT holds a run with other settings or data.
    """
    run = replace(run, model=weights.settled(run.model))
    done, notes = out / "model.json", out / "training.json"
    if done.is_file():
        mine = {"config": to_dict(run), "data": data.fingerprint, "world": 1}
        checkpoints.require_same_run(json.loads(done.read_text()), mine, done)
    else:
        notes.write_text(json.dumps(_apart(_train, name, run, data, out)))
    trained = json.loads(notes.read_text()) if notes.is_file() else {"memory": math.nan}  # it was stopped just before
    told = _apart(_predict, run, inference, data, out)
    found = _intervals(told.pop("numbers"))
    rates = [rate for line in runlog.read_log(out / "log.jsonl") if (rate := line["images_per_s"]) is not None]
    rate = float(np.median(rates or [math.nan]))
    return Result(name, train_rate=rate, train_memory=trained["memory"], **found, **told)


def scored(run: RunConfig, inference: Literal["plain", "recipe"], data: Collection, out: Path) -> dict[str, Interval]:
    """What the weights in OUT score on the validation split, in this process: NUMBERS by name."""
    return _intervals(_predict(run, inference, data, out)["numbers"])


def _intervals(told: dict[str, dict[str, float]]) -> dict[str, Interval]:
    return {name: Interval(**value) for name, value in told.items()}


def _apart(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Call `work` in a fresh process, so that its memory is its own; -> what it returns."""
    context = get_context("spawn")
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=_answered, args=(its, work, arguments))
    process.start()
    its.close()
    try:
        found = mine.recv()
    except EOFError:
        found = ""
    finally:
        process.join()
    if isinstance(found, dict):
        return found
    reason = found or f"its process ended with status {process.exitcode}; -9 is for want of memory"
    raise InputError(f"{work.__name__.strip('_')}: {reason}")


def _answered(pipe: Any, work: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> None:
    worker.with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))  # a training saves itself and leaves
    try:
        answer: dict[str, Any] | str = work(*arguments)
    except InputError as error:
        answer = str(error)
    with contextlib.suppress(BrokenPipeError):  # whoever asked was stopped meanwhile
        pipe.send(answer)


def _memory() -> float:
    """MiB: this process's peak, or what its GPU held at most."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes


def _train(name: str, run: RunConfig, data: Collection, out: Path) -> dict[str, Any]:
    status = experiment.train(name, run, data, out, runlog.Screen(sys.stdout), resume=True)
    if status:
        raise InputError(f"{out}: stopped; go on with the same command")
    return {"memory": _memory()}


def _predict(run: RunConfig, inference: Literal["plain", "recipe"], data: Collection, out: Path) -> dict[str, Any]:
    found = weights.load(str(out), run.model)
    model = found.model.to(device_of(run.device))
    # Not those that are stored: `fit` may have changed them since, on the very images.
    settings = validation.plain(run.inference) if inference == "plain" else run.inference
    items, spent = data.split.validation or data.split.full, [0.0]

    def answers() -> Iterator[tuple[str, Answer, Truth]]:
        for number, record in enumerate([*items[:WARM], *items]):
            view = seen(record, run.data)
            began = time.perf_counter()
            prediction = pipeline.predict_image(model, view.pixels, settings)
            if number >= WARM:
                spent[0] += time.perf_counter() - began
                yield record.key, pipeline.answer(prediction), Truth(view.pixels.shape[:2], view.true)

    with autocast(model.device, run.precision):
        told = numbers.intervals(numbers.collect(answers()), Resampling())
    return {
        "numbers": {name: asdict(told[name]) for name in NUMBERS},
        "parameters": sum(p.numel() for p in model.parameters()),
        "predict_rate": len(items) / spent[0],
        "predict_memory": _memory(),
    }


def trivial(items: Sequence[records.Record]) -> float:
    """oF1 of calling every image authentic."""
    return sum(record.label == "authentic" for record in items) / max(len(items), 1)


def lines(results: Sequence[Result]) -> list[str]:
    """The table as Markdown, the best oF1 first."""
    out = [
        "| system | oF1 | Dice | Dice of forged | pixel AUC of forged | image AUC | authentic flagged | parameters | training "
        "| prediction | memory: training, prediction |",
        "|---|---|---|---|---|---|---|---:|---:|---:|---:|",
    ]
    for r in sorted(results, key=lambda result: -result.of1.value):
        scores = " | ".join(str(getattr(r, name)) for name in NUMBERS)
        out.append(
            f"| {r.name} | {scores} | {r.parameters / 1e6:.1f} M | {_told(r.train_rate, '.1f', '/s')} "
            f"| {r.predict_rate:.1f}/s | {_told(r.train_memory, ',.0f', '')}, {r.predict_memory:,.0f} MiB |"
        )
    return out


def _told(value: float, form: str, unit: str) -> str:
    """A number that an interruption may have lost."""
    return "n/a" if math.isnan(value) else f"{value:{form}}{unit}"
