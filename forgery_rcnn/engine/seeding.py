"""Every random number of a run comes from (seed, where we are), never from where a generator was left.

So a resumed run needs no generator's state: step 57 of stage 2 draws the same numbers whoever computes it.
"""

from __future__ import annotations

import numpy as np
import torch


def mixed(*numbers: int) -> int:
    """Non-negative whole numbers -> one well-mixed seed below 2^63."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def seed_step(*position: int) -> None:
    """Seed torch's generators (samplers in RPN and RoI heads, dropout) for one step at this position of the run."""
    torch.manual_seed(mixed(*position))
