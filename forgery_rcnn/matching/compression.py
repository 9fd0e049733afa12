"""How coarsely a figure was saved as JPEG, told from its pixels: what that took away no copy can show any more.

After JPEG the coefficients of 8 x 8 blocks lie at multiples of the table's steps, but for the rounding of pixels: Fan & de
Queiroz, Identification of bitmap compression history, IEEE Transactions on Image Processing 12, 2003. Blocks are counted from the
figure's corner, where a saved figure's begin; one that was scaled or cut afterwards, or not on a block's edge, shows nothing.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

BLOCK = 8
LUMA = {
    **{(0, 1): 11, (1, 0): 12, (1, 1): 12, (0, 2): 10, (2, 0): 14},
    **{(1, 2): 14, (2, 1): 13, (2, 2): 16, (0, 3): 16, (3, 0): 14},
}
"""Row and column of a low frequency -> its step in the example table for luma of ITU-T T.81, Annex K."""
STEPS = np.arange(2, 61)  # levels, looked for
FEWEST = 12  # coefficients beyond half a step: fewer tell none
REGULAR = (
    0.5  # mean cosine of their places between multiples of a step, from which they lie there: 1 exactly, 0 anywhere
)
MOST = 6000  # blocks that are looked at


def scale(gray: np.ndarray) -> float:
    """(H, W) float32 luma in levels -> by how much the luma table of its last JPEG is coarser than the example table, e.g. 1.0 at
    libjpeg's quality 50, 0.4 at 80, 0.2 at 90; 0.0 where no steps are seen, as in what was never compressed. The median over ten
    low frequencies, as in text and charts some lie at multiples of anything."""
    height, width = (side // BLOCK * BLOCK for side in gray.shape)
    blocks = gray[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).swapaxes(1, 2)
    blocks = blocks.reshape(-1, BLOCK, BLOCK)
    if not len(blocks):
        return 0.0
    waves = fft.dctn(blocks[:: -(-len(blocks) // MOST)], axes=(1, 2), norm="ortho")
    found = [_step(np.abs(waves[:, row, column])) / usual for (row, column), usual in LUMA.items()]
    return float(np.median(found))


def _step(sizes: np.ndarray) -> int:
    """(N,) sizes of one frequency's coefficients -> the largest step whose multiples they are, 0 = none."""
    regular = np.zeros(len(STEPS))
    for at, step in enumerate(STEPS):
        beyond = sizes[sizes > step / 2]
        if len(beyond) >= FEWEST:
            regular[at] = np.cos(2 * np.pi / step * beyond).mean()
    if regular.max() <= REGULAR:
        return 0
    at = int(np.flatnonzero(regular > REGULAR)[-1])
    while at and regular[at - 1] > regular[at]:  # steps a little too large fit nearly as well
        at -= 1
    return int(STEPS[at])


def quality(coarser: float) -> int:
    """What `scale` tells, above 0 -> libjpeg's quality of that table.

    >>> quality(0.4), quality(1.0), quality(2.5)
    (80, 50, 20)
    """
    return round(100 - 50 * coarser if coarser <= 1 else 50 / coarser)
