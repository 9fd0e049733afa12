"""A head trained on vectors that are computed once is the head that is trained on images."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forgery_rcnn.config import DataConfig, DenseConfig, ModelConfig, RunConfig, Stage
from forgery_rcnn.data import records, splits
from forgery_rcnn.data.dataset import EpochSampler, ForgeryDataset, make_loader
from forgery_rcnn.engine import summaries
from forgery_rcnn.engine.distributed import World
from forgery_rcnn.engine.loop import Trainer
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.engine.stopping import Interrupted, StopSignal
from forgery_rcnn.models import zoo
from forgery_rcnn.models.convnext import Combined

pytestmark = pytest.mark.usefixtures("small_convnext")
MODEL = ModelConfig(
    arch="combined", backbone="convnext_tiny", image_size=64, fpn_width=8, dense=DenseConfig(mask_weight=0.0)
)
HEAD = Stage("classifier", "few", ("classifier",), epochs=3, batch_size=2, lr=1e-2, warmup_steps=0, best_by="loss")
COMPUTED = "stage classifier: 3 vectors computed once"


def trainer(root: Path, out: Path, stage: Stage = HEAD, model: ModelConfig = MODEL) -> Trainer:
    data = DataConfig(root, single="1", few=3)
    config = RunConfig(data, model, (stage,), precision="float32", tensorboard=False, watch=0, collapse_after=0)
    found = records.scan(root)
    return Trainer(config, splits.split(found, records.check(found, workers=0), data), records.fingerprint(found), out)


def train(one: Trainer, resume: bool = False, stop: StopSignal | None = None) -> str:
    printed = io.StringIO()
    world, stop = World(0, 1, torch.device("cpu")), StopSignal() if stop is None else stop
    one.run(world, Screen(printed), stop, resume, lambda *_: None)
    return printed.getvalue()


def numbers(out: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_s"} for line in lines]


@pytest.fixture(scope="module")
def trained(small_convnext: None, shared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, str]:
    one = trainer(shared_root, tmp_path_factory.mktemp("once") / "run")
    return one, train(one)


def test_the_same_weights_as_by_running_the_encoder(
    trained: tuple[Trainer, str], shared_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, printed = trained
    assert COMPUTED in printed
    monkeypatch.setattr(summaries, "suffice", lambda *_: False)
    other = trainer(shared_root, tmp_path)  # its frozen blocks are in eval mode: none is skipped at random
    assert "vectors" not in train(other)
    for name, tensor in other.state.model.state_dict().items():
        torch.testing.assert_close(one.state.model.state_dict()[name], tensor, atol=1e-5, rtol=1e-5)
    for line, same in zip(numbers(one.out), numbers(tmp_path), strict=True):
        assert line == pytest.approx(same, abs=1e-4)
    fresh = zoo.build(MODEL).classifier[1].weight
    assert (one.state.model.classifier[1].weight - fresh).abs().max() > 1e-3  # it has learnt something


def test_the_encoder_runs_once_for_each_image(
    shared_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    whole = Combined.levels
    monkeypatch.setattr(
        Combined, "levels", lambda self, batch, insides: (seen.append(len(batch)), whole(self, batch, insides))[1]
    )
    train(trainer(shared_root, tmp_path, replace(HEAD, evaluate_every=3, best_by="of1")))
    assert seen == [2, 1, *[1] * 3]  # three images in batches of two; then the only evaluation, one at a time


def interrupted(monkeypatch: pytest.MonkeyPatch, one: Trainer, method: str, call: int) -> None:
    """Train until the signal that comes during the given call of a method of the trainer."""
    stop, calls, whole = StopSignal(), [], getattr(Trainer, method)

    def counted(self: Trainer, *arguments: object) -> object:
        calls.append(method)
        if len(calls) == call:
            stop.ask(15)
        return whole(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, method, counted)
        with pytest.raises(Interrupted):
            train(one, stop=stop)
    assert len(calls) == call


@pytest.mark.parametrize(("method", "call"), [("_vectors", 1), ("_step", 3)])
def test_a_resumed_stage_gives_the_same_bytes(
    trained: tuple[Trainer, str],
    shared_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    call: int,
) -> None:
    """Stopped while the vectors are computed, and in the second epoch; both times they are computed anew."""
    interrupted(monkeypatch, trainer(shared_root, tmp_path), method, call)
    printed = train(trainer(shared_root, tmp_path), resume=True)
    assert "resuming" in printed
    assert COMPUTED in printed
    assert numbers(tmp_path) == numbers(trained[0].out)
    assert (tmp_path / "model.safetensors").read_bytes() == (trained[0].out / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "stage",
    [
        replace(HEAD, augment=("flip",)),
        replace(HEAD, trainable=("classifier", "backbone.7")),
        replace(HEAD, alternate_with=("classifier.0",), alternate_every=1),
        replace(HEAD, trainable=("all",)),
    ],
)
def test_stages_that_need_the_images(stage: Stage) -> None:
    with torch.device("meta"):
        model = zoo.build(MODEL)
    assert summaries.suffice(model, ["classifier.1.weight"], HEAD)
    moving = [n for n, _ in model.named_parameters() if stage.trainable == ("all",) or n.startswith(stage.trainable)]
    assert not summaries.suffice(model, moving, stage)


def test_images_cut_anew_each_time_are_needed() -> None:
    with torch.device("meta"):
        model = zoo.build(replace(MODEL, fit="native"))
    assert not summaries.suffice(model, ["classifier.1.weight"], HEAD)


@pytest.mark.parametrize("arch", ["combined", "attention_unet"])
def test_models_with_mask_losses_need_the_images(arch: str, tiny_model: ModelConfig) -> None:
    with torch.device("meta"):
        model = zoo.build(replace(tiny_model, arch=arch, backbone="convnext_tiny"))
    assert not summaries.suffice(model, ["classifier.1.weight"], HEAD)


def test_a_model_without_summaries_says_so(tiny_model: ModelConfig) -> None:
    with torch.device("meta"):
        model = zoo.build(replace(tiny_model, arch="attention_unet"))
    with pytest.raises(NotImplementedError, match="AttentionUNet trains no part on summaries"):
        model.summaries([])
    with pytest.raises(NotImplementedError, match="AttentionUNet trains no part on summaries"):
        model.losses_of_summaries(torch.zeros(0, 1), [])


class Means:
    """In place of a model: an image's summary is its mean."""

    device = torch.device("cpu")

    def eval(self) -> None:
        pass

    def summaries(self, images: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([image.float().mean((1, 2)) for image in images])


@pytest.mark.parametrize(("rank", "world"), [(0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("start", [0, 1])
def test_batches_are_those_of_the_loader(shared_root: Path, rank: int, world: int, start: int) -> None:
    """The same images in the same order on every rank, from the middle of an epoch too; without their masks."""
    items = records.scan(shared_root)
    dataset = ForgeryDataset(items, DataConfig(shared_root), MODEL)
    sampler = EpochSampler(len(items), 2, 7, rank, world)
    ticks: list[int] = []
    advance: Callable[[], None] = lambda: ticks.append(1)  # noqa: E731
    vectors = summaries.computed(Means(), dataset, sampler, "float32", advance)
    assert len(ticks) == -(-len(items) // 2)
    assert dataset._cache == {}
    sampler.set(3, start)
    got, expected = list(vectors), list(make_loader(dataset, sampler))
    assert [keys for *_, keys in got] == [keys for *_, keys in expected]
    assert len(got) == len(sampler) - start
    for (means, targets, _), (images, whole, _) in zip(got, expected, strict=True):
        torch.testing.assert_close(means, Means().summaries(images))
        assert [len(t["labels"]) for t in targets] == [len(t["masks"]) for t in whole]
        assert all(t.keys() == {"boxes", "labels"} for t in targets)
