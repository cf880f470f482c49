"""The key of a drawing: what its colours, lines and bold words stand for."""

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.report.blocks import Block, Part, Step, label, steps
from sightline.report.layout import SMALL
from sightline.report.shapes import Box, Line, Shape, Word, moved, text_width

SIGN, GAP = 18.0, 6.0
"""Width of a box or a line in the key; room between it and its words."""
APART, ROW = 9.0, 18.0
"""Room between entries; height of a row of them."""

COLOURS = {
    "conv": "convolution: window, channels, /stride",
    "max pool": "pooling",
    "LRN": "local response normalisation",
    "linear": "linear layer: outputs",
    "concat": "concatenation in depth: channels",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A sign and its words, from (0, 0) to the right; y = 0 is their middle."""

    width: float
    shapes: tuple[Shape, ...]


def key(chain: Sequence[Part]) -> list[Entry]:
    """An entry for each sign that the drawing of these parts has."""
    every = list(steps(chain))
    kinds = {"max pool" if "pool" in step.main.kind else step.main.kind for step in every}
    entries = [
        entry(Box(x=0, y=-6, width=SIGN, height=12, kind=kind), text + _not_drawn(every, kind))
        for kind, text in COLOURS.items()
        if kind in kinds
    ]
    bypasses = {
        _through(part.branches[part.bypass]): None
        for part in chain
        if isinstance(part, Block) and part.bypass is not None
    }
    for through in sorted(bypasses):
        line = Line(points=((0, 0), (SIGN, 0)), arrow=True, dashed=bool(through))
        entries.append(entry(line, f"bypass{through}"))
    stages = [layer.stage for step in every for layer in step.layers if layer.stage]
    if stages:
        entries.append(entry(Word(x=0, y=0, text=stages[0], size=SMALL, bold=True), "name of a feature map"))
    if any(step.side for step in every):
        aux = Word(x=0, y=0, text="aux", size=SMALL, bold=True)
        entries.append(entry(aux, "classifier that helps in training alone"))
    return entries


def in_rows(entries: Sequence[Entry], y: float, width: float, margin: float) -> tuple[list[Shape], float]:
    """Entries from `y` on in rows that fit a page of this width, with a margin at both sides; and where they end."""
    shapes: list[Shape] = []
    x = margin
    for one in entries:
        if x > margin and x + one.width > width - margin:
            x, y = margin, y + ROW
        shapes += [moved(shape, x, y) for shape in one.shapes]
        x += one.width + APART
    return shapes, y + APART


def entry(sign: Box | Line | Word, text: str) -> Entry:
    """A sign that begins at (0, 0), and what it stands for."""
    start = GAP + (text_width(sign.text, sign.size, bold=True) if isinstance(sign, Word) else SIGN)
    words = Word(x=start, y=0, text=text, size=SMALL)
    return Entry(width=start + text_width(text, SMALL), shapes=(sign, words))


def _not_drawn(every: Sequence[Step], kind: str) -> str:
    """What follows layers of a kind and has no box of its own."""
    followers = {layer.kind for step in every if step.main.kind == kind for layer in step.layers[1:]}
    named = [kind for kind in ("batch norm", "ReLU") if kind in followers]
    return f" ({' and '.join(named)} not drawn)" if named else ""


def _through(bypass: Sequence[Part]) -> str:
    """Nothing for an identity, else the window and the kind of its step."""
    return "".join(f" through a {label(step).partition(',')[0]}" for step in bypass if isinstance(step, Step))
