"""Every run by name. A recipe is a value; `edarnn.py NAME --stages.0.epochs 20 ...` changes what it does not suit."""

from __future__ import annotations

from forgery_rcnn.config import (
    EVERYTHING,
    HEADS,
    MASK_HEAD,
    Arm,
    DataConfig,
    ModelConfig,
    RunConfig,
    Stage,
)

# From random weights everything has to move; the seed's schedule below starts from COCO and moves less.
ONE = Stage("one", subset="single", epochs=60, batch_size=1, evaluate_every=10, schedule="cosine")
FEW = Stage("few", subset="few", epochs=60, batch_size=1, evaluate_every=10, schedule="cosine")
FULL = Stage("full", subset="full", epochs=20, batch_size=4, lr=3e-4, evaluate_every=1, patience=8)

# The seed's learning rates and freezing (FACTS: S3), for COCO-pretrained weights.
COCO = ModelConfig(backbone="resnet50", weights="coco")
SEED_ONE = Stage(
    "one",
    "single",
    HEADS,
    epochs=600,
    batch_size=1,
    optimiser="sgd",
    lr=5e-3,
    schedule="step",
    step_epochs=200,
    evaluate_every=25,
)
SEED_FEW = Stage(
    "few",
    "few",
    HEADS,
    alternate_with=("backbone",),
    alternate_every=5,
    epochs=100,
    optimiser="sgd",
    lr=1e-3,
    schedule="constant",
    evaluate_every=10,
)
SEED_FULL = Stage(
    "full",
    "full",
    ("backbone.body.layer4", "roi_heads.box_predictor"),
    epochs=20,
    batch_size=4,
    optimiser="sgd",
    lr=1e-4,
    schedule="step",
)

DEMO_STAGES = (
    Stage("one", subset="single", epochs=40, batch_size=1, evaluate_every=20),
    Stage(
        "few",
        subset="few",
        trainable=HEADS,
        alternate_with=("backbone",),
        alternate_every=4,
        epochs=16,
        batch_size=1,
        evaluate_every=8,
    ),
    Stage("full", subset="full", trainable=EVERYTHING, epochs=3, batch_size=2),
)

RECIPES: dict[str, RunConfig] = {
    "demo": RunConfig(stages=DEMO_STAGES),
    "overfit_one": RunConfig(data=DataConfig(augment=()), stages=(ONE,)),
    "overfit_few": RunConfig(data=DataConfig(augment=()), stages=(FEW,)),
    "full": RunConfig(stages=(FULL,), ema_decay=0.998),
    "three_stages": RunConfig(stages=(ONE, FEW, FULL)),
    "two_by_two": RunConfig(
        data=DataConfig(augment=()),
        stages=(ONE, Stage("winner", subset="single", epochs=60, batch_size=1, evaluate_every=10)),
        arms=(
            Arm("free-plain"),
            Arm("frozen-plain", frozen=MASK_HEAD),
            Arm("free-painted", cue="painted_boxes"),
            Arm("frozen-painted", frozen=MASK_HEAD, cue="painted_boxes"),
        ),
    ),
    "seed_three_stages": RunConfig(model=COCO, stages=(SEED_ONE, SEED_FEW, SEED_FULL)),
}
DEFAULT = "demo"
