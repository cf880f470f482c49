"""The table of a network's layers: a row for each layer, or a row for each part as the papers' tables have them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.report.architecture import IMAGES, Architecture
from sightline.report.blocks import Part, repeats, sections, steps, trunk, words


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table; numbers are those of one image."""

    name: str
    """Path of the module in the network; of the first and the last of several alike."""
    what: str
    """Its layers in words."""
    output: str
    """Channels, height and width of its output, or the length of a vector."""
    parameters: int
    multiply_adds: int
    auxiliary: bool = False
    """Whether it is part of a classifier that helps in training alone."""


def grouped(architecture: Architecture) -> list[Row]:
    """A row for each step and each block, one for several alike in a row; auxiliary classifiers last.

    After the trunk of a segmenter or detector a row is a module: a step of an expanding path, a layer of a neck or a head.

    >>> import torch
    >>> from sightline.models import create_model
    >>> from sightline.report.architecture import trace
    >>> with torch.device("meta"):
    ...     row = grouped(trace(create_model("resnet34"), 224))[6]
    >>> row.name, row.what
    ('layer3.1 to 5', '5 x (3x3 conv, 256 > 3x3 conv, 256 + input)')
    """
    chain = trunk(architecture)
    rows = [_row(group) for group in repeats(chain) if group[0].end.main.kind != IMAGES]
    for step in steps(chain, sides=False):
        if step.side:
            what = " > ".join(words(part) for part in step.side)
            rows.append(_summed(step.side[0].name.partition(".")[0], what, step.side, auxiliary=True))
    rows += [_summed(section.name, section.what, section.steps) for section in sections(architecture)]
    return rows


def shape(output: Sequence[int]) -> str:
    """An output as the tables have it.

    >>> shape((64, 112, 112)), shape((1000,))
    ('64 x 112 x 112', '1000')
    """
    return " x ".join(map(str, output))


def _row(group: Sequence[Part]) -> Row:
    """The row of parts that look alike."""
    first, final = group[0].name, group[-1].name
    if len(group) == 1:
        return _summed(first, words(group[0]), group)
    return _summed(f"{first} to {final.rpartition('.')[2]}", f"{len(group)} x ({words(group[0])})", group)


def _summed(name: str, what: str, chain: Sequence[Part], *, auxiliary: bool = False) -> Row:
    layers = [layer for step in steps(chain, sides=False) for layer in step.layers]
    return Row(
        name=name,
        what=what,
        output=shape(chain[-1].end.output),
        parameters=sum(layer.parameters for layer in layers),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        auxiliary=auxiliary,
    )
