"""One process or several: rank, size, device, and what they must do together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from forgery_rcnn.errors import InputError

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class World:
    """This process among those that train together; rank 0 writes and prints."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def gathered(self, rows: list[T]) -> list[T]:
        """Every rank's rows, one after the other, on every rank."""
        if self.size == 1:
            return rows
        boxes: list[Any] = [None] * self.size
        dist.all_gather_object(boxes, rows)
        return [row for box in boxes for row in box]

    def any(self, flag: bool) -> bool:
        """True on every rank when it is true on one."""
        if self.size == 1:
            return flag
        found = torch.tensor([int(flag)], device=self.device)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found.item())

    def alike(self, model: M) -> M:
        """The model with rank 0's buffers on every rank: each has seen other images, and batch norm keeps count of them."""
        if self.size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)
        return model

    def wait(self) -> None:
        """Until every rank has come here."""
        if self.size > 1:
            dist.barrier()


def device_of(name: str) -> torch.device:
    """auto, cpu, cuda, cuda:N -> a device that exists. Raises InputError otherwise."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device {name!r}: use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise InputError(f"device {name!r}: {torch.cuda.device_count()} GPUs are visible here; use --device cpu")
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r}: use auto, cpu, cuda or cuda:N")
    return device


@contextmanager
def joined(device_name: str) -> Iterator[World]:
    """The world that torchrun's environment describes (gloo on CPU, NCCL on GPUs), or a world of one."""
    device = device_of(device_name)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()
