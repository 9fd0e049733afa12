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
        pooled = [torch.zeros(2, width, side, side) for side in (7, model.config.mask_pool)]
        image = torch.zeros(1, 4 if model.config.stem == "similarity" else 3, 128, 192)
        self._encode = _Network(_Encoder(model.backbone, model.rpn.head), image, precision)
        self._box = _Network(nn.Sequential(heads.box_head, heads.box_predictor), pooled[0], precision)
        self._mask = _Network(nn.Sequential(heads.mask_head, heads.mask_predictor), pooled[1], precision)

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
        features = dict(zip(LEVELS, found, strict=False))
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
        """(B, C, h, w) -> levels '0'..'3', then of all five levels the scores, then the deltas."""
        levels = self.backbone(x)
        scores, deltas = self.head(list(levels.values()))
        return (*(levels[name] for name in LEVELS), *scores, *deltas)


class _Network:
    """A torch module compiled for any batch and image size."""

    def __init__(self, module: nn.Module, example: Tensor, precision: str) -> None:
        import openvino
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        # What openvino.convert_model does, less its reports to its makers (openvino-telemetry).
        front_end = FrontEndManager().load_by_framework("pytorch")
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns of sizes that torchvision makes Python numbers of
            decoder = TorchScriptPythonDecoder(module.eval(), example_input=example)  # has to outlive the conversion
            graph = front_end.convert(front_end.load(decoder))
        graph.inputs[0].get_node().set_partial_shape(openvino.PartialShape(_free(example)))
        graph.validate_nodes_and_infer_types()
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()

    def __call__(self, x: Tensor) -> list[Tensor]:
        """-> every output, float32; valid until the next call, of which the memory is."""
        seen = x.float().contiguous().numpy()
        found = self._request.infer([seen], share_inputs=True, share_outputs=True)
        return [torch.from_numpy(found[number]) for number in range(len(found))]


def _free(example: Tensor) -> list[int]:
    """The example's shape with any batch, and any image size where it is an image, not a grid of pooled features."""
    _, channels, height, width = example.shape
    return [-1, channels, *((height, width) if height == width else (-1, -1))]
