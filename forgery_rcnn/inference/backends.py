"""What the networks of an ensemble run on: torch, or OpenVINO for the Mask R-CNNs in it (an extra)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from forgery_rcnn.errors import require
from forgery_rcnn.inference.members import Ensemble, Member
from forgery_rcnn.models import compiled
from forgery_rcnn.models.mask_rcnn import MaskRCNN

Backend = Literal["torch", "openvino"]


def on(found: Ensemble, backend: Backend, precision: Literal["bf16", "float32"]) -> Ensemble:
    """The same ensemble, predicting through `backend`, whose networks compute in `precision`; under torch autocast says that.

    Members without a network stay as they are. Raises InputError where OpenVINO is missing, or a member is neither.
    """
    if backend == "torch":
        return found
    return replace(found, members=tuple(_compiled(member, precision) for member in found.members))


def _compiled(member: Member, precision: Literal["bf16", "float32"]) -> Member:
    if member.model.learns == "nothing":
        return member
    fits = isinstance(member.model, MaskRCNN)
    arch = member.model.config.arch
    require(fits, f"--backend openvino: {member.path} is of {arch}; it is for mask_rcnn: use --backend torch")
    return replace(member, model=compiled.Compiled(member.model, {"bf16": "bf16", "float32": "f32"}[precision]))
