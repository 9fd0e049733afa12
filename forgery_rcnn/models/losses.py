"""Losses of a map of logits against a mask: pure functions, all with the same three arguments.

logits: (B, 1, h, w) float32; truth: the same shape, float32 {0, 1}; valid: the same, 1 where a pixel counts, 0 beside the
image. Each gives a scalar tensor that does not depend on what stands where valid is 0. `LOSSES` names them as settings do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
SMOOTH = 1e-5  # of the Dice term, as in MMFusion's README (Aaltoes 2025)
FALSE_ALARM, MISS = 0.3, 0.7  # Salehi et al., Tversky loss function, MLMI 2017: for regions much smaller than the rest
POSITIVES, FOCUS = 0.25, 2.0  # alpha and gamma of Lin et al., Focal Loss for Dense Object Detection, ICCV 2017
RIM, RIM_WEIGHT = 31, 5.0  # pixels, and what is added to a weight of 1: Wei et al., F3Net, AAAI 2020
EVERY, EACH = (0, 1, 2, 3), (1, 2, 3)  # axes summed over: of the whole batch, of each image


def bce(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Binary cross-entropy, mean over the valid pixels of all images."""
    return _mean(functional.binary_cross_entropy_with_logits(logits, truth, reduction="none"), valid)


def focal(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy times (1 - chance of the right answer) ** 2, times 0.25 on forged pixels and 0.75 on others; mean over
    the valid pixels, not the sum over positives of the paper, so that authentic images have one too."""
    return _mean(sigmoid_focal_loss(logits, truth, POSITIVES, FOCUS), valid)


def boundary(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Weighted mean of the cross-entropy over the valid pixels: 1 + 5 times the share of the 31 x 31 pixels around that are
    of the other kind, at most near 3.5 beside a straight rim and 6 on thin structures. Without a rim it is `bce`."""
    inside = _around(valid).clamp(min=1e-6)
    weight = (1 + RIM_WEIGHT * (_around(truth * valid) / inside - truth).abs()) * valid
    return _mean(functional.binary_cross_entropy_with_logits(logits, truth, reduction="none"), weight)


def dice(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """1 - soft Dice of each image, mean over images. An authentic image costs nearly 1 whatever little is predicted in it,
    so it teaches nothing (the smoothing is that small): `dice_batch` counts its false alarms, and so does `bce`."""
    return _tversky(logits, truth, valid, (0.5, 0.5), EACH)


def dice_batch(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """1 - soft Dice of all valid pixels of the batch taken together: large regions weigh more, false alarms in authentic
    images count as long as another image has a region."""
    return _tversky(logits, truth, valid, (0.5, 0.5), EVERY)


def tversky(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """As `dice_batch`, but a false alarm weighs 0.3 and a miss 0.7 where Dice has 0.5 for both."""
    return _tversky(logits, truth, valid, (FALSE_ALARM, MISS), EVERY)


def lovasz(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Lovász hinge of each image, mean over images: a convex stand-in for 1 - IoU; of an authentic image the hinge of its
    highest logit alone. Berman et al., The Lovász-Softmax loss, CVPR 2018."""
    from segmentation_models_pytorch.losses import BINARY_MODE, LovaszLoss  # 3 s, and few recipes ask for it

    ignored = -1
    return LovaszLoss(BINARY_MODE, per_image=True, ignore_index=ignored)(logits, truth.where(valid > 0, ignored))


def _mean(each: Tensor, weight: Tensor) -> Tensor:
    """Mean of the pixels' losses by their weights; 0 where no pixel counts."""
    return (each * weight).sum() / weight.sum().clamp(min=1)


def _tversky(logits: Tensor, truth: Tensor, valid: Tensor, weights: tuple[float, float], axes: Sequence[int]) -> Tensor:
    """1 - hits / (hits + weights[0] * false alarms + weights[1] * misses), mean over what `axes` leaves apart."""
    chance, truth = logits.sigmoid() * valid, truth * valid
    hits, said, true = (chance * truth).sum(axes), chance.sum(axes), truth.sum(axes)
    smooth = SMOOTH / 2  # the Dice fraction is twice this one above and below
    found = (hits + smooth) / (hits + weights[0] * (said - hits) + weights[1] * (true - hits) + smooth)
    return (1 - found).mean()


def _around(mask: Tensor) -> Tensor:
    """(B, 1, h, w) -> share of the 31 x 31 pixels around each that is set, nothing beyond the borders; rows, then columns."""
    rows = functional.avg_pool2d(mask, (RIM, 1), 1, (RIM // 2, 0))
    return functional.avg_pool2d(rows, (1, RIM), 1, (0, RIM // 2))


LOSSES: dict[str, Loss] = {
    "bce": bce,
    "dice": dice,
    "dice_batch": dice_batch,
    "focal": focal,
    "tversky": tversky,
    "lovasz": lovasz,
    "boundary": boundary,
}
