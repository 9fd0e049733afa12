"""The page that an editor opens first: what was found, with pictures, and what was not looked at."""

from __future__ import annotations

from urllib.parse import quote

from forgery_rcnn.errors import printable
from forgery_rcnn.matching import library
from forgery_rcnn.matching.evidence import Evidence, Link, chance, left_out, relation

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ folder }}: regions that occur twice</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin: 2.4rem 0 .4rem } h3 { font-size: 1rem; margin: 1.6rem 0 .3rem }
table { border-collapse: collapse }
th, td { text-align: left; vertical-align: top; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #e4e4e4 }
td.number { text-align: right; font-variant-numeric: tabular-nums }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere }
img { display: block; max-width: 100%; border: 1px solid #ccc; margin: .5rem 0 }
.verdict { padding: .7rem 1rem; background: #f5f5f5; border-left: 4px solid #888 }
.small { color: #555; font-size: 13px }
</style></head><body>
<h1>{{ folder }}: regions that occur twice</h1>
<p class="verdict">{{ verdict }}</p>
<p>A pair below says that two regions show the same thing. It does not say why: a copy made to deceive, an honest mistake
and a repetition that the legend explains look alike. Look at each picture, and ask for the original data.</p>
{% for title, empty, sections in parts %}
<h2>{{ title }}</h2>
{% if not sections %}
<p>{{ empty }}</p>
{% endif %}
{% for section in sections %}
<h3>{% for name in section.names %}<code>{{ name }}</code>{% if not loop.last %} and {% endif %}{% endfor %}</h3>
<table>
<tr><th>Pair</th><th>What</th><th>Pixels, A and B</th><th>Correlation</th><th>Chance</th><th>Sure</th></tr>
{% for row in section.rows %}
<tr><td class="number">{{ row.number }}</td><td>{{ row.words }}</td><td class="number">{{ row.areas }}</td>
<td class="number">{{ row.correlation }}</td><td class="number">{{ row.chance }}</td><td class="number">{{ row.score }}</td></tr>
{% endfor %}
</table>
{% if section.picture %}
<a href="{{ section.picture }}"><img src="{{ section.picture }}" alt="both regions outlined and joined" loading="lazy"></a>
{% endif %}
{% endfor %}
{% endfor %}
<p class="small">Correlation: how alike the detail of the two regions is, 1 = the same. Chance: how often two regions of this size
and look agree as well by accident, over all places that were looked at. Sure: 0 to 1. In a picture the regions of
pair 7 are 7A and 7B, each outlined, corresponding places joined by lines. The same pairs, with places and motions in numbers, are in
<a href="pairs.csv">pairs.csv</a> and <a href="pairs.json">pairs.json</a>.</p>
{% if excused %}
<h2>One field, shown twice ({{ excused | length }})</h2>
<p>These images are alike as channels, exposures or enlargements of one field are, and are not counted as reuse. Whether they are meant
so, their legends say.</p>
<ul>{% for a, b, why in excused %}<li><code>{{ a }}</code> and <code>{{ b }}</code>: {{ why }}</li>
{% endfor %}</ul>
{% endif %}
<h2>Nothing found ({{ clean | length }})</h2>
{% if clean %}
<p>In these images no region was found twice{% if not unheld %}, and none that another image has{% endif %}.
That is no proof that they are untouched.</p>
<ul>{% for file in clean %}<li><code>{{ file }}</code></li>
{% endfor %}</ul>
{% else %}
<p>There is no such image.</p>
{% endif %}
<h2>Not looked at</h2>
<ul>
{% for line in refused %}<li>Could not be read: {{ line }}</li>
{% endfor %}
{% if unseen %}<li>{{ unseen }} files: the search was stopped before it came to them.</li>
{% endif %}
{% if unheld %}<li>Reuse between images: {{ unheld }}.</li>
{% endif %}
{% if other_formats %}<li>Files {{ other_formats }}.</li>
{% endif %}
<li>Of a panel, other images' panels beyond the {{ partners }} that are most like it.</li>
<li>Text, arrows, scale bars, axes and empty margins: they repeat for good reasons.</li>
<li>Regions of fewer than {{ min_area }} pixels; places without detail, and regular patterns, in which any part looks like any other.</li>
<li>Anything but repetition: retouching, splicing from a source that is not in this folder, images made by a program.</li>
</ul>
{% if notes %}
<table>
<tr><th>Image</th><th>What of it was left out, or decided</th></tr>
{% for name, words in notes %}
<tr><td><code>{{ name }}</code></td><td>{{ words }}</td></tr>
{% endfor %}
</table>
{% endif %}
<p class="small">{% for name, version in versions.items() %}{{ name }} {{ version }}{% if not loop.last %}, {% endif %}{% endfor %}</p>
</body></html>
"""


def to_html(found: Evidence) -> str:
    """The report for people: no script, nothing fetched but the pictures beside it."""
    import jinja2

    inside = [_section([file.name], links) for file in found.files if (links := found.within(file.name))]
    across = [_section(list(names), links) for names, links in found.between().items()]
    parts = [
        ("The same region twice in one image", "No image holds a region twice.", inside),
        (
            "The same region in two images",
            "No two images share a region." if not found.unheld else f"{found.unheld.capitalize()}.",
            across,
        ),
    ]
    notes = [(printable(file.name), "; ".join(words)) for file in found.files if (words := left_out(file))]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(PAGE).render(
        folder=printable(found.folder),
        verdict=found.verdict(),
        parts=parts,
        clean=[printable(file.name) for file in found.clean()],
        excused=[(printable(a), printable(b), "; ".join(why)) for (a, b), why in found.excused.items()],
        refused=[printable(line, 500) for line in found.refused],
        unseen=found.unseen,
        other_formats=found.left_out,
        partners=library.KEPT,
        unheld=found.unheld,
        min_area=found.settings.get("min_area", 0),
        notes=notes,
        versions=found.versions,
    )


def _section(names: list[str], links: list[Link]) -> dict[str, object]:
    told = [
        {
            "number": link.number,
            "words": relation(link),
            "areas": f"{int(link.pair.first[:, 1].sum()):,}, {int(link.pair.second[:, 1].sum()):,}",
            "correlation": "equal" if link.pair.told_by == "pixels" else f"{link.pair.correlation:.2f}",
            "chance": chance(link.pair.chance),
            "score": f"{link.pair.score:.2f}",
        }
        for link in links
    ]
    return {"names": [printable(name) for name in names], "rows": told, "picture": quote(links[0].picture)}
