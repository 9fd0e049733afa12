"""torchvision's Mask R-CNN with a background/forged head, as its four visible parts: backbone, rpn, roi_heads, masks.

Parameters are named as in torchvision (backbone.body, backbone.fpn, rpn.head, roi_heads.box_head, ...), so its COCO
weights and checkpoints trained elsewhere load. He et al., Mask R-CNN, ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.data import images as reader
from forgery_rcnn.instances import Prediction
from forgery_rcnn.matching import finder
from forgery_rcnn.models import backbones, contrast, matcher
from forgery_rcnn.models.paste import paste
from forgery_rcnn.models.roi_pool import RoIPool
from forgery_rcnn.models.segmenter import Segmenter

CLASSES = 2  # background (authentic) and forged
LEVELS = ["0", "1", "2", "3"]
Detect = Callable[[Sequence[Tensor], Sequence[Tensor]], list[dict[str, Tensor]]]
Output = Tensor | list["Output"] | tuple["Output", ...]


class Anchors(AnchorGenerator):
    """torchvision's, always float32: it takes the features' type, and in bf16 an anchor beyond 256 px lies on a grid of
    2 px, beyond 512 px of 4."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """-> (A, 4) float32 per image; of the feature maps only the sizes count."""
        sizes = [level.new_empty((1, 1, *level.shape[-2:]), dtype=torch.float32) for level in feature_maps]
        return super().forward(image_list, sizes)


class MaskRCNN(Segmenter):
    """Region proposals, a box head that calls each forged or not, and a mask head on those called forged."""

    coordinators = ("", "rpn", "roi_heads")

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        backbone = backbones.build(config)
        detector = detection.MaskRCNN(
            backbone,
            rpn_anchor_generator=Anchors(
                tuple((side,) for side in config.anchor_sizes),
                (tuple(config.aspect_ratios),) * len(config.anchor_sizes),
            ),
            rpn_pre_nms_top_n_train=2 * config.rpn_proposals_train,
            rpn_post_nms_top_n_train=config.rpn_proposals_train,
            rpn_pre_nms_top_n_test=2 * config.rpn_proposals,
            rpn_post_nms_top_n_test=config.rpn_proposals,
            rpn_batch_size_per_image=config.rpn_batch,
            box_roi_pool=RoIPool(LEVELS, 7, 2),
            box_head=TwoMLPHead(config.fpn_width * 7 * 7, config.box_hidden),
            box_predictor=FastRCNNPredictor(config.box_hidden, CLASSES),
            box_score_thresh=config.box_score_min,
            box_nms_thresh=config.box_nms,
            box_detections_per_img=config.detections,
            box_batch_size_per_image=config.roi_batch,
            mask_roi_pool=RoIPool(LEVELS, config.mask_pool, 2),
            mask_head=MaskRCNNHeads(config.fpn_width, (config.mask_hidden,) * 4, dilation=1),
            mask_predictor=MaskRCNNPredictor(config.mask_hidden, config.mask_hidden, CLASSES),
        )
        self.transform, self.backbone = detector.transform, detector.backbone
        self.rpn, self.roi_heads = detector.rpn, detector.roi_heads
        # Boxes decoded from bf16 outputs would lie on a grid of 1-4 pixels, and scores would tie.
        for part in (self.rpn.head, self.roi_heads.box_predictor, self.roi_heads.mask_predictor):
            part.register_forward_hook(_in_float32)
        self.to(memory_format=torch.channels_last)

    def batched(self, images: Sequence[Tensor]) -> ImageList:
        """(3, h, w) uint8 images -> normalised, zero-padded (B, C, h', w') float32 channels-last, h' and w' multiples of 32;
        C is 3, or the channels of config.stems, each 0 beyond the image."""
        levels = [image.to(self.device).float() for image in images]
        normal = [self.transform.normalize(image / 255) for image in levels]
        stem = getattr(self.backbone, "stem", None)
        if stem is not None:
            normal = [stem.seen(image, colours) for image, colours in zip(levels, normal, strict=True)]
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        batch = self.transform.batch_images(normal, size_divisible=32)
        return ImageList(batch.contiguous(memory_format=torch.channels_last), sizes)

    def losses(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """-> loss_objectness, loss_rpn_box_reg, loss_classifier, loss_box_reg, loss_mask; also loss_separability where
        config.separability_weight is above 0, in train mode."""
        batch = self.batched(images)
        return self.losses_of(self.backbone(batch.tensors), batch, images, targets)

    def losses_of(
        self,
        features: dict[str, Tensor],
        batch: ImageList,
        images: Sequence[Tensor],
        targets: Sequence[dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """The same from what the backbone makes of the batch: levels '0'..'3', 'pool' -> (B, fpn_width, h'/4.., w'/4..). Of the
        batch only the sizes count."""
        targets = [{name: value.to(self.device) for name, value in target.items()} for target in targets]
        proposals, rpn_losses = self.rpn(batch, features, targets)
        if self.config.extra_proposals == "matcher_always":
            seen = [image.permute(1, 2, 0).contiguous().cpu().numpy() for image in images]
            proposals = joined(proposals, [self.extra(pixels, pixels.shape[:2]) for pixels in seen])
        _, roi_losses = self.roi_heads(features, proposals, batch.image_sizes, targets)
        losses = rpn_losses | roi_losses
        if self.config.separability_weight > 0 and self.training:
            boxes = [target["boxes"] for target in targets]
            held_out = contrast.loss_of(self.roi_heads.box_roi_pool, features, batch.image_sizes, boxes)
            losses["loss_separability"] = self.config.separability_weight * held_out
        return losses

    @torch.no_grad()  # in inference mode autocast would convert every weight anew for every image
    def predict(self, images: Sequence[np.ndarray], mask_threshold: float = 0.5) -> list[Prediction]:
        """See Segmenter. Images of one fitted size share a batch: padding would change group norm's statistics."""
        return self.predicted_by(self.detect, images, mask_threshold)

    def predicted_by(self, detect: Detect, images: Sequence[np.ndarray], mask_threshold: float) -> list[Prediction]:
        """What `predict` gives, detections made by `detect` in the place of the model's own method."""
        sizes = [reader.model_size(image.shape[:2], self.config) for image in images]
        out: dict[int, Prediction] = {}
        for size in dict.fromkeys(sizes):
            members = [i for i, s in enumerate(sizes) if s == size]
            fitted = [torch.from_numpy(reader.resized(images[i], size)).permute(2, 0, 1) for i in members]
            extra = [self.extra(images[i], size) for i in members]
            for i, found in zip(members, detect(fitted, extra), strict=True):
                parts = found["boxes"], found["masks"][:, 0], found["scores"]
                out[i] = in_original_frame(*parts, images[i].shape[:2], size, mask_threshold)
        return [out[i] for i in range(len(images))]

    def extra(self, pixels: np.ndarray, fitted: tuple[int, int]) -> Tensor:
        """(H, W, 3) uint8 in the original frame -> (K, 4) float32 boxes in the frame of the `fitted` size (h, w), proposals
        beside the RPN's; none where config.extra_proposals says so."""
        if self.config.extra_proposals == "none":
            return torch.zeros((0, 4), device=self.device)
        boxes = matcher.proposals(finder.find(pixels, self.config.matching))
        return torch.from_numpy(boxes / scale_of(pixels.shape[:2], fitted)).to(self.device)

    def detect(self, images: Sequence[Tensor], extra: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """(3, h, w) uint8 images of one fitted size, (K, 4) proposals beside the RPN's -> of each boxes (D, 4), scores (D,),
        labels (D,) and masks (D, 1, M, M), probabilities; in the fitted frame."""
        batch = self.batched(images)
        features = self.backbone(batch.tensors)
        proposals, _ = self.rpn(batch, features)
        detections, _ = self.roi_heads(features, joined(proposals, extra), batch.image_sizes)
        return detections


def joined(proposals: Sequence[Tensor], extra: Sequence[Tensor]) -> list[Tensor]:
    """Of each image (P, 4) boxes and (K, 4) more -> (P + K, 4), the more at the end."""
    return [torch.cat([own, more]) for own, more in zip(proposals, extra, strict=True)]


def _in_float32(module: nn.Module, inputs: object, output: Output) -> Output:
    """Forward hook: a tensor, or any nesting of lists and tuples of tensors, as float32."""
    if isinstance(output, Tensor):
        return output.float()
    return type(output)(_in_float32(module, inputs, part) for part in output)


def in_original_frame(
    boxes: Tensor,
    grids: Tensor,
    scores: Tensor,
    original: tuple[int, int],
    fitted: tuple[int, int],
    mask_threshold: float,
) -> Prediction:
    """(D, 4) boxes at the `fitted` size, (D, M, M) mask probabilities, (D,) scores -> Prediction at the `original`
    size; both sizes (h, w)."""
    scale = scale_of(original, fitted)
    # torchvision's mask targets come from roi_align without `aligned`: half an input pixel up and left of the truth.
    # Undoing it raises the Dice that a perfect 28 x 28 grid can reach from 0.950 to 0.967 (docs/lab.md).
    at = boxes.float().cpu().numpy() * scale
    return paste(
        at, at + scale / 2, grids.float().cpu().numpy(), scores.float().cpu().numpy(), original, mask_threshold
    )


def scale_of(original: tuple[int, int], fitted: tuple[int, int]) -> np.ndarray:
    """Two sizes (h, w) -> (4,) float32: what takes a box x0 y0 x1 y1 from the `fitted` frame to the `original` one."""
    return np.float32([original[1] / fitted[1], original[0] / fitted[0]] * 2)
