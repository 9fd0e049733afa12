"""The recipes of the four sibling systems: each as published, and, as NAME_smoke, in a size that a test can run."""

from __future__ import annotations

from dataclasses import replace

from forgery_rcnn.config import DataConfig, DenseConfig, InferenceConfig, ModelConfig, RunConfig, Stage, Tiling
from forgery_rcnn.inference_config import VIEW_SETS

# Attention U-Net and MMFusion (Aaltoes 2025): 256 px, batches of 16, Adam 1e-3, cosine over 50 epochs.
AALTOES = Stage(
    "full",
    "full",
    augment=("flip", "rot90", "elastic"),
    epochs=50,
    batch_size=16,
    optimiser="adam",
    lr=1e-3,
    weight_decay=0.0,
    best_by="loss",
)
# One mask per image, of every pixel at or above 0.5, however small its region: what the averaged map says.
FIVE_VIEWS = InferenceConfig(min_area=0, regions="one", views=("five",))
FOLDS_10 = DataConfig(folds=10)  # a tenth validates
# Combined model (MediaEval 2025): the classifier's head, then the last stages; batches that one GPU of 16 GB holds.
CONVNEXT = ModelConfig(arch="combined", backbone="convnext_base", weights="imagenet")
# Evaluating runs the encoder, training the head on vectors does not.
HEAD = Stage(
    "classifier", "full", ("classifier",), epochs=10, batch_size=64, lr=1e-3, best_by="image_auc", evaluate_every=5
)
LAST_STAGES = Stage(
    "finetuned",
    "full",
    ("backbone.6", "backbone.7", "classifier"),
    augment=("flip", "rot90"),
    epochs=10,
    batch_size=16,
    lr=1e-4,
    best_by="image_auc",
)
LOCALISE = replace(LAST_STAGES, name="localise", trainable=("all",), epochs=20, best_by="loss")
# Tianchi "Forgeries and Forensics" track 2, rank 3: crops of 512 px, Adam 1e-4, binary cross-entropy.
SE_RESNEXT = ModelConfig(
    arch="scse_unet",
    backbone="se_resnext50_32x4d",
    weights="imagenet",
    image_size=512,
    fit="native",
    dense=DenseConfig(mask_losses=("bce",)),
)
CROPS = Stage(
    "full",
    "full",
    augment=("flip", "rot90", "stretch", "salt_pepper", "noise"),
    epochs=60,
    batch_size=8,
    optimiser="adam",
    lr=1e-4,
    weight_decay=0.0,
    best_by="dice",
)
EIGHT_VIEWS_TILED = replace(FIVE_VIEWS, views=("eight",), tiling=Tiling("auto"))


def _unet(arch: str, **dense: str) -> RunConfig:
    model = ModelConfig(arch=arch, dense=DenseConfig(**dense))
    return RunConfig(FOLDS_10, model, (AALTOES,), FIVE_VIEWS)


SYSTEMS: dict[str, RunConfig] = {
    "attention_unet": _unet("attention_unet"),
    "fft_unet": _unet("fft_unet", window="local"),
    "fft_unet_rgb": _unet("fft_unet", branches="rgb"),
    "fft_unet_fft": _unet("fft_unet", branches="fft", window="local"),
    "fft_unet_whole": _unet("fft_unet", window="hann"),  # one spectrum of the whole image, as most read the README
    "combined_a": RunConfig(model=replace(CONVNEXT, dense=DenseConfig(mask_weight=0.0)), stages=(HEAD, LAST_STAGES)),
    "combined_b": RunConfig(model=CONVNEXT, stages=(LOCALISE,)),
    "scse_unet": RunConfig(DataConfig(folds=4), SE_RESNEXT, (CROPS,), EIGHT_VIEWS_TILED, fold_runs=(0, 1, 2, 3)),
}
SMALL = {
    "attention_unet": {"widths": (8, 16, 32, 64, 128)},
    "fft_unet": {"widths": (8, 16, 32, 64, 128)},
    "combined": {"backbone": "convnext_tiny", "weights": "none"},
    "scse_unet": {"backbone": "resnet18", "weights": "none", "image_size": 128},
}


def smoke(run: RunConfig) -> RunConfig:
    """The same recipe with a small model from random weights, one epoch a stage; of several folds and views two."""
    small = {"image_size": 96, "widths": run.model.dense.widths, **SMALL[run.model.arch]}
    dense = replace(run.model.dense, widths=small.pop("widths"))
    stages = tuple(replace(stage, epochs=1, batch_size=4) for stage in run.stages)
    views = [view for name in run.inference.views for view in VIEW_SETS.get(name, (name,))][:2]
    inference = replace(run.inference, views=tuple(views))
    model = replace(run.model, dense=dense, **small)
    return replace(run, model=model, stages=stages, inference=inference, fold_runs=run.fold_runs[:2])


SYSTEMS |= {f"{name}_smoke": smoke(run) for name, run in tuple(SYSTEMS.items())}
