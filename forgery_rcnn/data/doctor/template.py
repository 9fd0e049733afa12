"""The page of a report, for jinja2 with autoescape."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ root }}: what is wrong with it</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 2.2rem 0 .3rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid #e4e4e4 }
td.number { text-align: right; font-variant-numeric: tabular-nums }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere }
img { display: block; max-width: 160px; border: 1px solid #ccc }
.error { color: #b00020 } .warning { color: #8a5a00 } .note { color: #555 }
.verdict { padding: .7rem 1rem; background: #f5f5f5; border-left: 4px solid #888 }
</style></head><body>
<h1>{{ root }}</h1>
<p class="verdict">{{ verdict }}</p>
<p>{{ counts.images }} images ({{ counts.readable_images }} readable, {{ counts.images_with_alpha }} with transparency),
{{ counts.masks }} masks, {{ counts.cases }} cases.</p>
{% if sections %}
<table>
<tr><th>Check</th><th>What</th><th>Severity</th><th>Found</th></tr>
{% for section in sections %}
<tr><td><a href="#{{ section.name }}"><code>{{ section.name }}</code></a></td><td>{{ section.check.title }}</td>
<td class="{{ section.check.severity }}">{{ section.check.severity }}</td><td class="number">{{ section.count }}</td></tr>
{% endfor %}
</table>
{% else %}
<p>Nothing was found.</p>
{% endif %}
{% for section in sections %}
<h2 id="{{ section.name }}"><span class="{{ section.check.severity }}">{{ section.check.severity }}</span>:
{{ section.check.title }} ({{ section.count }})</h2>
<p>{{ section.check.why }}<br><b>Fix:</b> {{ section.check.fix }}.</p>
<table>
<tr><th>File</th><th>Found</th><th>With --fix</th><th></th></tr>
{% for finding in section.findings %}
<tr><td>{% for file in finding.files %}<code>{{ file }}</code><br>{% endfor %}
{% if finding.more %}and {{ finding.more }} more{% endif %}</td>
<td>{{ finding.found }}</td><td>{{ finding.remedy }}</td>
<td>{% if finding.picture %}<img src="{{ finding.picture }}" alt="">{% endif %}</td></tr>
{% endfor %}
</table>
{% if section.count > section.findings | length %}
<p>{{ section.count - section.findings | length }} more are in report.json.</p>
{% endif %}
{% endfor %}
</body></html>
"""
