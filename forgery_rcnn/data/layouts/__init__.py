"""The layouts in which data sets come, each read into the same records."""

from __future__ import annotations

from pathlib import Path

from forgery_rcnn.data.layouts import aaltoes, casia, coco, mediaeval, pairs, recodai, tianchi
from forgery_rcnn.data.layouts.record import Layout
from forgery_rcnn.errors import InputError, printable

LAYOUTS: dict[str, Layout] = {
    "recodai": recodai.LAYOUT,
    "aaltoes": aaltoes.LAYOUT,
    "mediaeval": mediaeval.TGIF,
    "mediaeval_val": mediaeval.VALIDATION,
    "tianchi": tianchi.LAYOUT,
    "casia": casia.LAYOUT,
    "coco": coco.LAYOUT,
    "pairs": pairs.LAYOUT,
}
SHOWN = 8  # names of what lies in a root that is not understood


def fitting(root: Path) -> list[str]:
    """The names of the layouts that a root may have; several only when none of them is to be preferred."""
    names = [name for name, layout in LAYOUTS.items() if layout.fits(root)]
    best = min((LAYOUTS[name].rank for name in names), default=0)
    return [name for name in names if LAYOUTS[name].rank == best]


def named(root: Path, name: str) -> Layout:
    """The layout called `name`; `auto`: the one that fits. Raises InputError listing what lies there and what is expected."""
    if name != "auto" and name not in LAYOUTS:
        raise InputError(f"no layout {name!r}; use auto or one of {', '.join(LAYOUTS)}")
    if name != "auto":
        if not LAYOUTS[name].fits(root):
            raise InputError(
                f"{root}: not in the layout {name}; found {_contents(root)}; expected {LAYOUTS[name].expected}"
            )
        return LAYOUTS[name]
    fits = fitting(root)
    if len(fits) == 1:
        return LAYOUTS[fits[0]]
    expected = "; ".join(f"{name}: {LAYOUTS[name].expected}" for name in fits or LAYOUTS)
    if fits:
        raise InputError(
            f"{root}: fits the layouts {', '.join(fits)}; found {_contents(root)}; choose with --data.layout ({expected})"
        )
    raise InputError(f"{root}: no known layout; found {_contents(root)}; expected {expected}")


def _contents(root: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in root.iterdir() if not path.name.startswith("."))
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ", ".join([*(printable(name, 40) for name in names[:SHOWN]), *more]) or "nothing"
