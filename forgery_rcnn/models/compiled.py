"""Mask R-CNN's networks compiled by OpenVINO, for prediction on a processor. An extra: pip install .[openvino]

Three networks are compiled, each once for all sizes: backbone, pyramid and RPN head; box head; mask head. What lies between
them (anchors, proposals, RoI pooling, suppression, pasting) is the torch model's own.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import maskrcnn_inference
from torchvision.models.detection.rpn import concat_box_prediction_layers

from forgery_rcnn.errors import InputError, require
from forgery_rcnn.instances import Prediction
from forgery_rcnn.models.mask_rcnn import LEVELS, MaskRCNN, joined
from forgery_rcnn.models.segmenter import Segmenter
from forgery_rcnn.models.stems import channels

PACKAGE = "openvino"


def check() -> None:
    """Raises InputError unless OpenVINO is installed."""
    there = importlib.util.find_spec(PACKAGE) is not None
    require(
        there, "--backend openvino: the package openvino is not installed; pip install '.[openvino]', or leave it out"
    )


class Compiled(Segmenter):
    """A Mask R-CNN that predicts through OpenVINO; it cannot be trained, nor taken apart by anatomy and the probes.

    precision: what the networks compute in, bf16 or f32. Raises InputError where OpenVINO is missing.
    """

    def __init__(self, model: MaskRCNN, precision: str) -> None:
        super().__init__(model.config)
        check()
        require(model.device.type == "cpu", f"--backend openvino: for processors, not {model.device}; use --device cpu")
        self.model = model.eval()
        heads, width = model.roi_heads, model.config.fpn_width
        box, mask = (torch.zeros(2, width, side, side) for side in (7, model.config.mask_pool))
        image = torch.zeros(1, sum(channels.COUNTS[stem] for stem in model.config.stems), 128, 192)
        self._encode = _Network(_Encoder(model.backbone, model.rpn.head), image, (-1, -1), precision)
        self._box = _Network(_Head(heads.box_head, heads.box_predictor), box, (7, 7), precision)
        self._mask = _Network(_Head(heads.mask_head, heads.mask_predictor), mask, tuple(mask.shape[2:]), precision)

    def losses(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Raises InputError: compiled networks have no gradient."""
        raise InputError("--backend openvino: only predicts; train with --backend torch")

    @torch.no_grad()
    def predict(self, images: Sequence[np.ndarray], mask_threshold: float = 0.5) -> list[Prediction]:
        """See Segmenter; equal to the torch model's but for rounding."""
        return self.model.predicted_by(self._detect, images, mask_threshold)

    def _detect(self, images: Sequence[Tensor], extra: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """As MaskRCNN.detect."""
        batch, heads = self.model.batched(images), self.model.roi_heads
        found = self._encode(batch.tensors)
        features = {name: level.permute(0, 3, 1, 2) for name, level in zip(LEVELS, found, strict=False)}
        proposals = joined(self._proposals(batch, found[len(LEVELS) :]), extra)
        logits, deltas = self._box(heads.box_roi_pool(features, proposals, batch.image_sizes))
        detections = heads.postprocess_detections(logits, deltas, proposals, batch.image_sizes)
        out = [dict(zip(("boxes", "scores", "labels"), parts, strict=True)) for parts in zip(*detections, strict=True)]
        pooled = heads.mask_roi_pool(features, detections[0], batch.image_sizes)
        grids = self._mask(pooled)[0] if len(pooled) else pooled.new_zeros((0, 2, 1, 1))
        masks = maskrcnn_inference(grids, detections[2])
        return [one | {"masks": mask} for one, mask in zip(out, masks, strict=True)]

    def _proposals(self, batch: ImageList, found: Sequence[Tensor]) -> list[Tensor]:
        """What the RPN head gives, per level first all scores, then all deltas -> (P, 4) per image, as RegionProposalNetwork."""
        rpn, half = self.model.rpn, len(found) // 2
        scores, deltas = list(found[:half]), list(found[half:])
        counts = [level[0].numel() for level in scores]
        anchors = rpn.anchor_generator(batch, scores)
        logits, flat = concat_box_prediction_layers(scores, deltas)
        moved = rpn.box_coder.decode(flat, anchors).view(len(anchors), -1, 4)
        return rpn.filter_proposals(moved, logits, batch.image_sizes, counts)[0]


class _Encoder(nn.Module):
    """Backbone, pyramid and RPN head as one network."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, h, w, C) -> levels '0'..'3', (B, h', w', C') each; then of all five levels the scores, then the deltas,
        (B, A, h', w') each."""
        levels = self.backbone(x.permute(0, 3, 1, 2))
        scores, deltas = self.head(list(levels.values()))
        return (*(levels[name].permute(0, 2, 3, 1) for name in LEVELS), *scores, *deltas)


class _Head(nn.Module):
    """A box or mask head with its predictor as one network."""

    def __init__(self, head: nn.Module, predictor: nn.Module) -> None:
        super().__init__()
        self.head, self.predictor = head, predictor

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(R, side, side, C) -> what the predictor gives."""
        return self.predictor(self.head(x.permute(0, 3, 1, 2)))


class _Network:
    """A torch module that takes channels last, compiled for any batch and one size of grid or, where that is -1, any."""

    def __init__(self, module: nn.Module, example: Tensor, grid: tuple[int, int], precision: str) -> None:
        import openvino
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        # What openvino.convert_model does, less its reports to its makers (openvino-telemetry).
        front_end, example = FrontEndManager().load_by_framework("pytorch"), _last(example)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns of sizes that torchvision makes Python numbers of
            decoder = TorchScriptPythonDecoder(module.eval(), example_input=example)  # has to outlive the conversion
            graph = front_end.convert(front_end.load(decoder))
        graph.inputs[0].get_node().set_partial_shape(openvino.PartialShape([-1, *grid, example.shape[-1]]))
        graph.validate_nodes_and_infer_types()
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()

    def __call__(self, x: Tensor) -> list[Tensor]:
        """(B, C, h, w), best channels-last in memory -> every output, float32; valid until the next call, whose memory it is."""
        found = self._request.infer([_last(x).numpy()], share_inputs=True, share_outputs=True)
        return [torch.from_numpy(found[number]) for number in range(len(found))]


def _last(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h, w, C) float32; no copy of a float32 channels-last tensor."""
    return x.float().permute(0, 2, 3, 1).contiguous()
