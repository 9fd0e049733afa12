"""The layers of docs and design: a file imports only from its own row or a lower one; the low rows know no torch."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "forgery_rcnn"
ROWS = {
    0: (
        "errors",
        "config",
        "data_config",
        "model_config",
        "inference_config",
        "matching_config",
        "instances",
        "rle",
        "tables",
    ),
    1: ("metrics", "ranking", "bootstrap", "average_precision", "calibration", "separability", "decision"),
    2: ("report", "contracts", "numbers", "strata", "compare", "model_card", "draw", "draw_maps", "draw_links"),
    3: ("data", "submission"),
    4: ("models", "matching"),
    5: ("inference",),
    6: ("engine",),
    7: ("recipes", "siblings", "cli", "commands"),
}
COMMANDS = 8  # python3 -m forgery_rcnn...
TORCH_IN_DATA = {"forgery_rcnn.data.augment", "forgery_rcnn.data.dataset"}
SCRIPTS = ("edarnn", "encode_submission", "scoring")
OUTSIDE = (*SCRIPTS, "debug", "benchmarks", "tests")  # row 8 and what stands around it: nothing imports these
SUBMISSIONS = ("recodai", "official", "aaltoes", "mediaeval", "tianchi", "formats")
HEAVY = ("torch", "torchvision", "pandas", "matplotlib", "cv2", "scipy", "tyro")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for path in (ROOT / PACKAGE).rglob("*.py")}
AROUND = {
    name_of(path): path for path in [*ROOT.glob("*.py"), *ROOT.glob("benchmarks/*.py"), *(ROOT / "debug").rglob("*.py")]
}


def imports(path: Path) -> set[str]:
    """Modules that a file imports, at its top or inside a function, a file of the package by its full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: line {node.lineno}: import by the full name"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & FILES.keys()) or {node.module}
    return found


IMPORTS = {name: imports(path) for name, path in {**FILES, **AROUND}.items()}


def row(module: str) -> int:
    """The row of a module of the package; the package itself, which holds nothing, is below all, its commands above."""
    parts = module.split(".")
    if parts[-1] == "__main__":
        return COMMANDS
    if parts == [PACKAGE]:
        return -1
    (found,) = [number for number, names in ROWS.items() if parts[1] in names] or [None]
    assert found is not None, f"{module} has no row: give it one in docs and here"
    return found


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_imports_from_its_own_row_or_below(name: str) -> None:
    above = {other for other in IMPORTS[name] & FILES.keys() if row(other) > row(name)}
    assert not above, f"{name} (row {row(name)}) imports {sorted(above)}"


@pytest.mark.parametrize("name", sorted(name for name in FILES if row(name) <= 3 and name not in TORCH_IN_DATA))
def test_low_rows_name_no_torch(name: str) -> None:
    tops = {other.split(".")[0] for other in IMPORTS[name]}
    assert not tops & {"torch", "torchvision", "timm", "segmentation_models_pytorch"}
    assert not IMPORTS[name] & TORCH_IN_DATA


def test_nothing_imports_the_scripts() -> None:
    assert set(SCRIPTS) <= AROUND.keys()
    users = {name: {other.split(".")[0] for other in found} & set(OUTSIDE) for name, found in IMPORTS.items()}
    users = {name: found - {"debug"} if name.startswith("debug") else found for name, found in users.items()}
    assert {name: used for name, used in users.items() if used} == {}


def test_no_import_goes_in_a_circle() -> None:
    order = list(TopologicalSorter({name: IMPORTS[name] & FILES.keys() for name in FILES}).static_order())
    assert (
        order.index("forgery_rcnn.errors") < order.index("forgery_rcnn.rle") < order.index("forgery_rcnn.engine.loop")
    )


def test_the_imports_are_really_seen() -> None:
    assert IMPORTS["forgery_rcnn.data.dataset"] >= {"torch", "forgery_rcnn.data.images", "forgery_rcnn.config"}
    assert "forgery_rcnn.engine.experiment" in IMPORTS["edarnn"]  # inside a function
    assert "scipy.optimize" in IMPORTS["forgery_rcnn.metrics"]
    assert FILES.keys() >= TORCH_IN_DATA


def loaded(*modules: str, cwd: Path = ROOT) -> dict[str, list[str]]:
    """Import these in a fresh process -> what that loaded, and what it left behind."""
    code = (
        f"import sys, json, logging; sys.path.insert(0, {str(ROOT)!r})\n"
        + "".join(f"import {name}\n" for name in modules)
        + "print(json.dumps({'modules': sorted(sys.modules), 'handlers': list(map(str, logging.root.handlers))}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_scoring_a_file_starts_without_the_heavy_libraries() -> None:
    """cv2, scipy and tyro come later too: scipy only where two instances meet two, cv2 only where pictures are read."""
    names = (
        "report",
        "numbers",
        "strata",
        "contracts",
        "compare",
        "bootstrap",
        *(f"submission.{name}" for name in SUBMISSIONS),
    )
    found = set(loaded(*(f"{PACKAGE}.{name}" for name in names))["modules"])
    assert found >= {"forgery_rcnn.metrics", "forgery_rcnn.submission.formats"}
    assert not found & set(HEAVY)


def test_reading_data_and_drawing_need_neither_torch_nor_pyplot() -> None:
    names = sorted(name for name in FILES if row(name) <= 3 and name not in TORCH_IN_DATA)
    found = set(loaded(*names)["modules"])
    assert found >= {"matplotlib.figure", "cv2"}
    assert not found & {"torch", "torchvision", "pandas", "matplotlib.pyplot"}


def test_importing_the_whole_package_does_nothing(tmp_path: Path) -> None:
    found = loaded(*sorted(FILES), cwd=tmp_path)
    assert not found["handlers"] and "torch" in found["modules"] and "matplotlib.pyplot" not in found["modules"]
    assert list(tmp_path.iterdir()) == []
