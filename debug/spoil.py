"""Ways to break one part of a detector on purpose: what a probe says then is how one learns to read it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from forgery_rcnn.models.mask_rcnn import MaskRCNN


@torch.no_grad()  # not by .data: models.pyramid keeps products of the weights until their versions change
def scrambled(*parts: nn.Module) -> None:
    """Deal each tensor's values anew, with a fixed seed."""
    order = torch.Generator().manual_seed(1)
    for part in parts:
        for tensor in part.parameters():
            flat = tensor.flatten()
            deal = torch.randperm(flat.numel(), generator=order).to(flat.device)
            tensor.copy_(flat[deal].view_as(tensor))


@torch.no_grad()
def _regressor(model: MaskRCNN) -> None:
    for tensor in model.roi_heads.box_predictor.bbox_pred.parameters():
        tensor.zero_()


@torch.no_grad()
def _dead(model: MaskRCNN) -> None:
    model.roi_heads.box_head.fc7.bias.fill_(-100.0)


BREAKS: dict[str, Callable[[MaskRCNN], None]] = {
    "proposals": lambda model: scrambled(model.rpn),
    "boxes": _regressor,
    "scores": lambda model: scrambled(model.roi_heads.box_predictor.cls_score),
    "masks": lambda model: scrambled(model.roi_heads.mask_head, model.roi_heads.mask_predictor),
    "encoder": lambda model: scrambled(model.backbone),
    "units": _dead,
}
"""Part -> what spoils it. The first four are those of anatomy.PARTS; boxes are zeroed, so that none is moved; units puts
every unit of the last box layer to sleep; the others' weights are dealt anew."""
WORDS = {
    "proposals": "the RPN's weights dealt anew",
    "boxes": "the box regressor's weights set to zero",
    "scores": "the classifier's weights dealt anew",
    "masks": "the mask head's weights dealt anew",
    "encoder": "the encoder's weights dealt anew",
    "units": "the last layer of the box head put to sleep by a bias of -100",
}
