"""What some submissions hold beside the answers, as a command line gives it; None = as stored with the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forgery_rcnn.submission import formats


@dataclass(frozen=True)
class Written:
    """What some formats write beside the answers. `team` and `run` name MediaEval's files."""

    team: str = "team"
    run: Literal["constrained", "open"] = "constrained"
    threshold: float | None = None
    """An image is forged from this image score on (MediaEval); default the stored image_threshold, or 0.5 where
    that is 0 and was not fitted to such calls. An image that it calls forged, though it is below image_threshold, has its
    whole heat map in MediaEval task B's file, and no region in any other."""
    loc_threshold: float | None = None
    """A pixel is forged from this probability on (MediaEval task B); default the stored mask_threshold. The regions of weights
    that give instances are written as 0 and 1."""

    def __post_init__(self) -> None:
        self.settings((0.5, 0.5))  # what is wrong is said before anything is read

    def settings(self, stored: tuple[float, float]) -> formats.Settings:
        """stored: what counts where `threshold` and `loc_threshold` are not given, see Ensemble.thresholds."""
        threshold = stored[0] if self.threshold is None else self.threshold
        loc_threshold = stored[1] if self.loc_threshold is None else self.loc_threshold
        return formats.Settings(self.team, self.run, threshold, loc_threshold)
