"""The combined model: parts and sizes, pooling beside padding, with and without the segmentation branch, summaries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from torch.nn import functional

from forgery_rcnn.config import DenseConfig, InferenceConfig, ModelConfig
from forgery_rcnn.data.dataset import target_of
from forgery_rcnn.engine import freezing
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference import pipeline
from forgery_rcnn.models import zoo
from forgery_rcnn.models.convnext import BACKBONES, Combined
from forgery_rcnn.siblings import SYSTEMS

SMALL = ModelConfig(arch="combined", backbone="convnext_tiny", image_size=64, fpn_width=8)
WHETHER = DenseConfig(mask_weight=0.0)


def built(config: ModelConfig) -> Combined:
    """With the blocks at full strength: at their first scale of 1e-6 no place would hear of another."""
    torch.manual_seed(0)
    model = zoo.build(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("layer_scale"):
            torch.nn.init.ones_(parameter)
    return model


@pytest.fixture(scope="module")
def classifier() -> Combined:
    return built(replace(SMALL, dense=WHETHER))


@pytest.fixture(scope="module")
def combined() -> Combined:
    return built(SMALL)


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def batch() -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """Three images of three sizes, none a multiple of 32 both ways; the second is authentic."""
    generator = torch.Generator().manual_seed(1)
    sizes = ((64, 41), (20, 64), (64, 64))
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator) for size in sizes]
    truths = [np.zeros((count, *size), bool) for count, size in zip((1, 0, 2), sizes, strict=True)]
    for truth in truths:
        truth[:, 5:15, 10:30] = True
    return images, [target_of(truth, 2) for truth in truths]


# torchvision's counts (28,589,128 and 88,591,464) less its 1000 classes, c x 1000 + 1000, plus one logit, c + 1; the decoder at
# width 256: norms 2 c and 1 x 1 convolutions 256 c + 256 of four levels, 3 x (256 x 256 x 9 + 256 + 512), the head 257.
@pytest.mark.parametrize(
    ("backbone", "encoder", "decoder"),
    [("convnext_tiny", 27_820_897, 2_144_577), ("convnext_base", 87_567_489, 2_268_417)],
)
def test_parameters(backbone: str, encoder: int, decoder: int) -> None:
    for dense, expected in ((WHETHER, encoder), (DenseConfig(), encoder + decoder)):
        with torch.device("meta"):
            model = zoo.build(ModelConfig(arch="combined", backbone=backbone, dense=dense))
        assert sum(p.numel() for p in model.parameters()) == expected


def test_an_unknown_backbone_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'resnet18': combined needs one of convnext_tiny, .*convnext_large$"):
        zoo.build(replace(SMALL, backbone="resnet18"))


def test_a_failed_download_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network\nat all")

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(InputError, match=r"^model.weights: convnext_tiny ImageNet cannot .*--model.weights none$"):
        zoo.build(replace(SMALL, weights="imagenet"))


def test_the_pretrained_model_is_taken_over_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an image that needs no padding our vector, normalised, is what torchvision's 1000-class layer would be given."""
    torch.manual_seed(3)
    whole = torchvision.models.convnext_tiny().eval()
    torch.nn.init.normal_(whole.classifier[0].weight)
    torch.nn.init.normal_(whole.classifier[0].bias)
    asked = []
    monkeypatch.setattr(
        torchvision.models, "get_model", lambda name, weights: (asked.append((name, weights.name)), whole)[1]
    )
    model = zoo.build(replace(SMALL, weights="imagenet", dense=WHETHER)).eval()
    assert asked == [("convnext_tiny", "IMAGENET1K_V1")]
    image = batch()[0][2]
    normal = torchvision.transforms.v2.functional.normalize(image / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    expected = whole.classifier[:2](whole.avgpool(whole.features(normal[None])))
    torch.testing.assert_close(model.classifier[0](model.summaries([image])), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["combined_a", "combined_b", "combined_a_smoke", "combined_b_smoke"])
def test_the_recipes_name_parts_that_exist(name: str) -> None:
    run = SYSTEMS[name]
    with torch.device("meta"):
        model = zoo.build(replace(run.model, weights="none"))
    first = freezing.apply(model, run.stages[0].trainable, run.stages[0].frozen)
    if name.startswith("combined_a"):
        assert first == ["classifier.0.weight", "classifier.0.bias", "classifier.1.weight", "classifier.1.bias"]
        last = {part.rsplit(".", 1)[0][:10] for part in freezing.apply(model, run.stages[1].trainable)}
        assert last == {"backbone.6", "backbone.7", "classifier"}
        assert [stage.lr for stage in run.stages] == [1e-3, 1e-4]
    else:
        assert len(first) == len(list(model.parameters()))


# Batches


def test_an_images_vector_does_not_depend_on_its_batch(classifier: Combined) -> None:
    images, _ = batch()
    alone = torch.cat([classifier.summaries([image]) for image in images])
    torch.testing.assert_close(classifier.summaries(images), alone, atol=1e-5, rtol=1e-4)
    plain = classifier.forward(classifier.batched(images)[0])[1]  # taken for images without padding
    valid = classifier.within(*classifier.batched(images))[1]
    assert (plain - valid).abs()[:2].max() > 1e-3  # so the mask is what does it


def test_mask_logits_do_not_depend_on_the_batch(combined: Combined) -> None:
    """But for two pixels at an image's edge, across which the last enlargement interpolates."""
    images, _ = batch()
    together = combined.within(*combined.batched(images))[0]
    for image, found in zip(images, together, strict=True):
        h, w = (side - 2 for side in image.shape[1:])
        alone = combined.within(*combined.batched([image]))[0][0]
        torch.testing.assert_close(found[:, :h, :w], alone[:, :h, :w], atol=1e-4, rtol=1e-4)


def test_cells_count_by_the_share_that_the_image_covers(classifier: Combined) -> None:
    """(40, 32) pixels are one whole cell and a quarter of one: weights 4/5 and 1/5, the other column none."""
    features = torch.arange(4.0).view(1, 1, 2, 2)  # rows 0 1, 2 3
    valid = torch.zeros(1, 1, 64, 64)
    valid[..., :40, :32] = 1
    assert classifier.pooled(features, valid).item() == pytest.approx(0.8 * 0 + 0.2 * 2)


# Branches


def test_without_segmentation_branch_only_the_image_is_judged(classifier: Combined) -> None:
    assert not [name for name, _ in classifier.named_parameters() if name.startswith("decoder")]
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    found = pipeline.predict_image(classifier, pixels, InferenceConfig(mask_threshold=0.0, min_area=0))
    assert found.heatmap.shape == (50, 70)
    assert not found.heatmap.any()
    logit = classifier.within(*classifier.batched([torch.from_numpy(pixels).permute(2, 0, 1)]))[1]
    assert 0 < found.image_score < 1
    assert logit.shape == (1,)
    (found,) = classifier.predict([pixels])
    assert len(found.instances) == 0


def test_its_only_loss_is_the_cross_entropy_of_the_image(classifier: Combined) -> None:
    images, targets = batch()
    losses = classifier.losses(images, targets)
    logits = torch.cat([classifier.within(*classifier.batched([image]))[1] for image in images])
    assert losses.keys() == {"loss_image"}
    chance = logits.sigmoid()
    expected = -(chance[0].log() + (1 - chance[1]).log() + chance[2].log()) / 3
    assert losses["loss_image"].item() == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_losses_of_both_branches(combined: Combined, monkeypatch: pytest.MonkeyPatch, weight: float) -> None:
    """Cross-entropy + mask_weight x (BCE + Dice), each from the logits."""
    dense = DenseConfig(mask_weight=weight)
    monkeypatch.setattr(combined, "config", replace(combined.config, dense=dense))
    images, targets = batch()
    images, targets = images[2:], targets[2:]  # fills its batch: no padding in the means
    mask, image = combined.within(*combined.batched(images))
    truth = torch.zeros(1, 1, 64, 64)
    truth[..., 5:15, 10:30] = 1
    chance = mask.sigmoid()
    dice = 1 - 2 * (chance * truth).sum() / (chance.sum() + truth.sum())
    losses = combined.losses(images, targets)
    assert losses.keys() == {"loss_image", "loss_bce", "loss_dice"}
    assert losses["loss_image"].item() == pytest.approx(functional.softplus(-image).item(), abs=1e-5)
    bce = functional.binary_cross_entropy(chance, truth)
    assert losses["loss_bce"].item() == pytest.approx(weight * bce.item(), abs=1e-5)
    assert losses["loss_dice"].item() == pytest.approx(weight * dice.item(), abs=1e-4)


# Summaries


def test_losses_of_summaries_are_those_of_images(classifier: Combined) -> None:
    images, targets = batch()
    vectors = classifier.summaries(images)
    assert vectors.shape == (3, 768)
    assert vectors.dtype == torch.float32
    short = [{"labels": target["labels"]} for target in targets]
    one, other = classifier.losses(images, targets), classifier.losses_of_summaries(vectors, short)
    assert one.keys() == other.keys()
    assert one["loss_image"].item() == pytest.approx(other["loss_image"].item(), abs=1e-6)


def test_only_the_classifier_alone_is_trained_on_summaries(classifier: Combined, combined: Combined) -> None:
    assert classifier.summary_parts == ("classifier",)
    assert combined.summary_parts == ()


def test_every_backbone_that_is_named_exists() -> None:
    assert set(BACKBONES) <= set(torchvision.models.list_models())
