"""CASIA v1 and v2: tampered and authentic images; a tampered one's name tells the authentic ones it was made of."""

from __future__ import annotations

import re

from forgery_rcnn.data.layouts.folders import Folders
from forgery_rcnn.data.layouts.record import Layout

_PICTURE = re.compile(r"(?:^Au_([a-z]{3})_|_([a-z]{3}))(\d{3,6})(?=_|$)", re.IGNORECASE)


def hosts(stem: str) -> tuple[str, ...]:
    """The pictures that a name tells, each once.

    >>> hosts("Tp_D_CND_M_N_ani00018_sec00096_00138"), hosts("Au_ani_00018")
    (('ani00018', 'sec00096'), ('ani00018',))
    """
    return tuple(sorted({f"{own or taken}{number}".lower() for own, taken, number in _PICTURE.findall(stem)}))


FOLDERS = Folders(
    images=("Tp", "Sp"),
    masks=("Gt", "GroundTruth", "CASIA 2 Groundtruth", "CASIA 1 Groundtruth", "CASIA2 GroundTruth Tp"),
    originals=("Au",),
    under=("",),
    black="bad",  # the folder says that it is tampered
    hosts=hosts,
)
LAYOUT = Layout("Au, Tp, Gt (or GroundTruth, CASIA 2 Groundtruth)", FOLDERS.fits, FOLDERS.scan)
