"""The whole bench in one page, opened in a real browser: every section and picture is there and rendered."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from debug.all import PROBES
from debug.case import Case
from debug.page import Section, embedded, html

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOOK = """<script>addEventListener("load", () => {
  const seen = (node) => { const r = node.getBoundingClientRect(); return r.width > 50 && r.height > 20; };
  const found = {
    title: document.title,
    sections: [...document.querySelectorAll("section")].filter(seen).map((s) => s.id),
    pictures: [...document.images].map((i) => [i.closest("section").id, i.complete && i.naturalWidth > 100 && seen(i)]),
    links: [...document.querySelectorAll("[src], [href]")].map((n) => (n.getAttribute("src") || n.getAttribute("href")).slice(0, 11)),
    wide: document.documentElement.scrollWidth > document.documentElement.clientWidth + 1,
  };
  const out = document.createElement("pre"); out.id = "seen"; out.textContent = JSON.stringify(found); document.body.append(out);
});</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:  # .ci/run sees to it that there is one
        pytest.skip(f"no browser to open the page in ({', '.join(BROWSERS)}): `apt-get install chromium`")
    return found


@pytest.fixture(scope="module")
def page(
    healthy_run: Path,
    run: Callable[..., subprocess.Popen[str]],
    finish: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """debug.all on the healthy run, on all 24 images of its data."""
    out = tmp_path_factory.mktemp("all")
    printed = finish(run("debug.all", "--weights", healthy_run, "--split", "all", "--count", "24", "--out", out))
    assert printed.splitlines()[-1].startswith("verdict: ")
    assert all(re.search(rf"^ +{probe.name} +verdict: ", printed, re.M) for probe in PROBES)
    return out / "report.html"


def seen_by(browser: str, page: Path, tmp_path: Path) -> dict:
    """Open the page in the browser, without a network -> what its eyes see."""
    copy = tmp_path / "page.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{LOOK}</body>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1300,900"]
    flags += [
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=20000",
    ]
    command = [browser, *flags, "--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    match = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.S)
    assert match, done.stderr[-2000:]
    return json.loads(unescape(match[1]))


def test_the_browser_sees_every_section_and_every_picture(browser: str, page: Path, tmp_path: Path) -> None:
    seen = seen_by(browser, page, tmp_path)
    assert seen["sections"] == [probe.name for probe in PROBES]
    assert {name for name, _ in seen["pictures"]} == set(seen["sections"]), "each has a picture"
    assert [name for name, rendered in seen["pictures"] if not rendered] == []
    assert not seen["wide"], "the page scrolls sideways"
    assert {link.partition(":")[0] if ":" in link else link[0] for link in seen["links"]} == {"data", "#"}


def test_the_browser_s_eyes_are_open(browser: str, page: Path, tmp_path: Path) -> None:
    """A picture with a hole in it, and a section that is hidden, are noticed."""
    text = page.read_text(encoding="utf-8")
    hurt = re.sub(r'src="data:image/png;base64,.{200}', 'src="data:image/png;base64,', text, count=1)
    hurt = hurt.replace('<section id="masks">', '<section id="masks" style="display: none">')
    (tmp_path / "hurt.html").write_text(hurt, encoding="utf-8")
    seen = seen_by(browser, tmp_path / "hurt.html", tmp_path)
    assert "masks" not in seen["sections"]
    assert not all(rendered for name, rendered in seen["pictures"] if name != "masks")


def test_the_page_says_at_which_size_images_are_seen(healthy: Case) -> None:
    model = copy.deepcopy(healthy.model)
    model.config = replace(model.config, fit="native")
    told = Section("oracle", "?", None, [], "fine", [])
    assert ", 128 px<" in html(healthy, [], [told])
    assert "unscaled images, trained on squares of 128 px" in html(replace(healthy, model=model), [], [told])


def test_every_probe_leaves_its_text_numbers_and_pictures(page: Path) -> None:
    for probe in PROBES:
        folder = page.parent / probe.name
        assert (folder / "report.txt").read_text(encoding="utf-8").splitlines()[-1].startswith("verdict: ")
        assert json.loads((folder / "report.json").read_text(encoding="utf-8"))
        pictures = [path for path in folder.iterdir() if path.suffix in (".png", ".gif")]
        assert pictures and all(embedded(path) in page.read_text(encoding="utf-8") for path in pictures)
