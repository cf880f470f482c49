"""What a check found, as one HTML page that needs nothing else: no scripts, and pictures inside.

Names of files and classes come from a data set that anybody may have made: every one is escaped.
"""

import base64
import html
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from sightline.data.annotations import ClassLabels
from sightline.data.counted import counted
from sightline.data.findings import Finding, grouped
from sightline.data.index import Index
from sightline.data.masks import Masks
from sightline.data.survey import Survey
from sightline.errors import ImageError
from sightline.files import write_atomic
from sightline.inference.draw import fitted
from sightline.inference.mask_pictures import overlay
from sightline.report.check_words import counts, facts, headline, verdict

SIDE = 200
"""Longer side of a picture on the page, in pixels."""
PICTURED = 24
"""Findings of a kind that have pictures."""
BESIDE = 6
"""Pictures of one finding, side by side."""
LISTED = 500
"""Findings of a kind that are on the page."""
MARK, DARK = "#D55E00", "#111111"
"""Colour of what is to be looked at; it is told from others with any kind of colour vision."""
_LEAST = 12
"""Sides below this, in pixels, are marked with a ring: the box itself could not be seen."""


def write_page(path: Path, result: dict[str, Any], survey: Survey | None, findings: Sequence[Finding]) -> None:
    """Write the page of a check; `result` is the same in figures. Raises `StorageError`."""
    index = survey.index if survey else None
    title = f"Check of {result['data']}"
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="{"error" if result["errors"] else "fine"} verdict">{_text(verdict(result))}</p>',
        f"<p>{_text(headline(result))}</p>",
    ]
    if survey is not None:
        parts += [_table(result), _facts(result)]
    parts += [f"<p>note: {_text(note)}</p>" for note in result["notes"]]
    parts += [_section(kind, held, result["kinds"][kind], index) for kind, held in grouped(findings).items()]
    start, end = _PAGE.replace("TITLE", _text(title), 1).split("\nBODY\n")
    page = "\n".join([start, *parts, end])
    write_atomic(path, page.encode(errors="backslashreplace"))


def _section(kind: str, findings: Sequence[Finding], row: dict[str, Any], index: Index | None) -> str:
    head = (
        f'<h2><span class="{row["level"]}">{row["level"]}</span> {_text(kind)} <small>{row["count"]:,}</small></h2>'
        f"<p>{_text(row['about'])}</p>"
    )
    cards = []
    for number, finding in enumerate(findings[:LISTED]):
        pictures = "".join(_figures(finding, index)) if index is not None and number < PICTURED else ""
        row_of = f'<div class="row">{pictures}</div>' if pictures else ""
        cards.append(f"<li>{row_of}{_text(finding.sentence)}</li>")
    more = len(findings) - LISTED
    rest = f"<p>... and {counted(more, 'more', 'more')}: sightline check --json has all.</p>" if more > 0 else ""
    first, others = cards[:PICTURED], cards[PICTURED:]
    hidden = (
        f"<details><summary>{len(others)} more</summary><ul>{''.join(others)}</ul>{rest}</details>" if others else ""
    )
    return f"<section>{head}<ul>{''.join(first)}</ul>{hidden}</section>"


def _figures(finding: Finding, index: Index) -> Iterator[str]:
    """The pictures that a finding is about, with their names, splits and classes."""
    for number, position in enumerate(finding.positions[:BESIDE]):
        caption = _text(_caption(index, position))
        try:
            image = index.source.image(position)
        except ImageError:
            yield f'<figure><div class="none">cannot be decoded</div><figcaption>{caption}</figcaption></figure>'
            continue
        picture = fitted(image, SIDE)
        if number == 0 and finding.box is not None:
            _mark(picture, finding.box, picture.width / image.shape[2])
        yield f'<figure><img alt="" src="{_data(picture)}"><figcaption>{caption}</figcaption></figure>'
        if isinstance(index.annotations, Masks) and finding.kind in ("empty mask", "one-class mask", "contradiction"):
            try:
                mask = index.annotations.target(position).mask
            except ImageError:
                continue
            shown = overlay(image, mask)
            shown.thumbnail((SIDE, SIDE))
            name = _text(index.annotations.source.name(position))
            yield f'<figure><img alt="" src="{_data(shown)}"><figcaption>{name}</figcaption></figure>'
    more = len(finding.positions) - BESIDE
    if more > 0:
        yield f"<figure><figcaption>and {more:,} more</figcaption></figure>"


def _caption(index: Index, position: int) -> str:
    split = next((name for name, held in index.splits.items() if position in held), "")
    label = ""
    if isinstance(index.annotations, ClassLabels):
        label = index.class_names[int(index.annotations.labels[position])]
    return " · ".join(part for part in (index.source.name(position), split, label) if part)


def _mark(picture: Image.Image, box: tuple[float, float, float, float], scale: float) -> None:
    """A frame around a box, or a ring where it is too small to be seen; what is outside is drawn at the edge."""
    left, right = (min(max(edge * scale, 0), picture.width - 1) for edge in sorted((box[0], box[2])))
    top, bottom = (min(max(edge * scale, 0), picture.height - 1) for edge in sorted((box[1], box[3])))
    draw = ImageDraw.Draw(picture)
    small = right - left < _LEAST or bottom - top < _LEAST
    x, y = (left + right) / 2, (top + bottom) / 2
    reach = max(_LEAST, (right - left) / 2, (bottom - top) / 2)
    edges = (x - reach, y - reach, x + reach, y + reach) if small else (left, top, right, bottom)
    for colour, width in ((DARK, 5), (MARK, 3)):
        (draw.ellipse if small else draw.rectangle)(edges, outline=colour, width=width)


def _data(picture: Image.Image) -> str:
    """The picture inside an address."""
    content = io.BytesIO()
    picture.convert("RGB").save(content, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def _table(result: dict[str, Any]) -> str:
    header, rows = counts(result)
    lines = ["".join(f"<th>{_text(cell)}</th>" for cell in header)]
    for name, *cells in rows:
        indent = ' class="inner"' if name.startswith(" ") else ""
        lines.append(f"<th{indent}>{_text(name.strip())}</th>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells))
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _facts(result: dict[str, Any]) -> str:
    lines = (f"<tr><th>{_text(name)}</th><td>{_text(line)}</td></tr>" for name, line in facts(result))
    return f'<table class="facts">{"".join(lines)}</table>'


def _text(value: str) -> str:
    return html.escape(value, quote=True)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 0; }
h2 small { color: #66727f; font-weight: normal; }
p { margin: .3rem 0 .8rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .15rem .9rem .15rem 0; text-align: right; font-weight: normal; }
th:first-child, .facts td { text-align: left; }
th.inner { padding-left: 1.2rem; }
tr:first-child th { color: #66727f; }
.facts tr th { color: #66727f; }
ul { list-style: none; padding: 0; margin: 0; }
li { padding: .5rem 0; border-top: 1px solid #eef1f4; overflow-wrap: anywhere; }
.row { display: flex; flex-wrap: wrap; gap: .8rem; margin: .3rem 0; }
figure { margin: 0; max-width: 200px; }
figure img { display: block; image-rendering: auto; }
figcaption { font-size: .75rem; color: #66727f; overflow-wrap: anywhere; }
.none { width: 200px; height: 100px; background: #eef1f4; color: #66727f; display: grid; place-items: center; font-size: .8rem; }
h2 span { font-size: .75rem; padding: .1rem .5rem; border-radius: .6rem; color: #fff; vertical-align: middle; }
.error { background: #b3261e; } .warning { background: #8a6100; }
.verdict { display: inline-block; color: #fff; padding: .2rem .8rem; border-radius: .4rem; }
.fine { background: #1b6e3c; }
summary { cursor: pointer; color: #66727f; padding: .5rem 0; }
@media (prefers-color-scheme: dark) {
  body { background: #15191d; color: #dde3e8; } li { border-color: #2a3138; } .none { background: #2a3138; }
}
</style>
</head>
<body>
BODY
</body>
</html>
"""
