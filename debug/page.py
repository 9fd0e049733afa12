"""The page of all probes: one HTML file, pictures inside, nothing fetched, no script."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debug.case import Case
from forgery_rcnn.config import ModelConfig

MEDIA = {".png": "image/png", ".gif": "image/gif"}


@dataclass(frozen=True)
class Section:
    """What one probe found: its report (None = it could not tell), its printed lines without the verdict, the verdict,
    its pictures' files."""

    name: str
    question: str
    report: Any
    lines: list[str]
    verdict: str
    pictures: list[Path]


def html(case: Case, sections: list[Section], headline: list[Section]) -> str:
    """The page; the verdicts of `headline` head it, the first one's is its title."""
    import jinja2

    forged = sum(record.label == "forged" for record in case.items)
    facts = {
        "weights": case.path.name if case.run is None else f"{case.run.name}/{case.path.name}",
        "model": f"{case.model.config.arch}, {case.model.config.backbone}, {_input(case.model.config)}",
        "images": f"{len(case.items)}, {forged} of them forged",
        "thresholds": f"score {case.inference.score_threshold}, mask {case.inference.mask_threshold}",
    }
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["embedded"] = embedded
    return environment.from_string(TEMPLATE).render(
        facts=facts, sections=sections, headline=headline, problems=case.problems
    )


def _input(config: ModelConfig) -> str:
    """At which size the model sees images."""
    side = f"{config.image_size} px"
    return side if config.fit == "long_side" else f"unscaled images, trained on squares of {side}"


def embedded(path: Path) -> str:
    """A picture's file -> a data: address."""
    return f"data:{MEDIA[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ headline[0].verdict }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.4em; } h2 { margin: 2.2em 0 .2em; border-top: 1px solid #ccc; padding-top: 1em; }
.verdict { background: #eef3fb; border-left: 4px solid #1e88e5; padding: .6em 1em; }
pre { overflow-x: auto; background: #f6f6f6; padding: .8em; font-size: 12px; line-height: 1.4; }
table { border-collapse: collapse; } td, th { text-align: left; vertical-align: top; padding: .25em 1.2em .25em 0; }
figure { margin: 1em 0; } figcaption { color: #555; font-size: 13px; } img { max-width: 100%; height: auto; background: #fff; }
a { color: #1565c0; } .problems { color: #b71c1c; }
.verdict p { margin: .3em 0; }
</style>
</head>
<body>
<h1>Which part of the detector fails?</h1>
<div class="verdict"><p><strong>{{ headline[0].verdict }}</strong></p>
{% for s in headline[1:] %}<p><a href="#{{ s.name }}">{{ s.name }}</a>: {{ s.verdict }}</p>
{% endfor %}</div>
<table>{% for name, value in facts.items() %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}</table>
{% if problems %}<div class="problems"><p>Left out, because they could not be read:</p>
<ul>{% for line in problems %}<li>{{ line }}</li>{% endfor %}</ul></div>{% endif %}
<h2>In short</h2>
<table>
<tr><th>probe</th><th>question</th><th>verdict</th></tr>
{% for s in sections %}<tr><td><a href="#{{ s.name }}">{{ s.name }}</a></td><td>{{ s.question }}</td><td>{{ s.verdict }}</td></tr>
{% endfor %}</table>
{% for s in sections %}
<section id="{{ s.name }}">
<h2>{{ s.name }}</h2>
<p>{{ s.question }}</p>
<p class="verdict">{{ s.verdict }}</p>
{% for path in s.pictures %}<figure><img alt="{{ s.name }}: {{ path.stem }}" src="{{ path | embedded }}">
<figcaption>{{ path.stem.replace("_", " ") }}</figcaption></figure>
{% endfor %}<pre>{{ s.lines | join("\n") }}</pre>
</section>
{% endfor %}
</body>
</html>
"""
