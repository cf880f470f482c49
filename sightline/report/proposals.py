"""How a detector came to its detections, over the picture: reference boxes, objectness, proposals, detections."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from sightline.inference.colours import class_colour
from sightline.inference.draw import fitted
from sightline.inference.object_pictures import draw_objects
from sightline.inference.overlay import Pixels, cells_over, levels
from sightline.inference.proposals import Level, Proposals
from sightline.ops.boxes import area
from sightline.report.figure import FAINT, INK, save
from sightline.report.panels import SIDE, colour_bar, frame, panels, show, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

THRESHOLD = 0.5
"""Detections with a lower score are not drawn."""
MOST_LEVELS = 4
"""So many maps of a pyramid are drawn: those with the highest objectness."""
FARTHEST = 2.0
"""The panel with the reference boxes shows at most a field of so many times the picture's sides."""


def draw_proposals(found: Proposals, picture: Tensor, class_names: Sequence[str], path: Path) -> None:
    """Draw how `found` came about over the (3, H, W) uint8 `picture` into a PNG file.

    Panels in the order of events: the reference boxes of the cell with the highest objectness (with a pyramid those of the
    cell next to it on each level), the objectness of the cells of each level, the best proposals, and the detections with a
    score of at least `THRESHOLD`. Raises `StorageError` when `path` cannot be written.
    """
    shown = np.asarray(fitted(picture, SIDE))
    said = found.detections
    kept = said.scores >= THRESHOLD
    drawn = draw_objects(picture, said.boxes[kept], said.labels[kept], class_names, scores=said.scores[kept], side=SIDE)
    sides = _sides(found)
    found = found.scaled(shown.shape[0] / picture.shape[1], shown.shape[1] / picture.shape[2])
    numbers = _levels_shown(found.levels)
    count = len(numbers) + 3
    figure, axes = panels(shown, count, "From reference boxes to detections", columns=math.ceil(count / 2))
    _draw_references(axes[0], found, shown, sides)
    for panel, number in zip(axes[1:], numbers, strict=False):
        _draw_objectness(panel, found, number, shown)
    _draw_best(axes[-2], found, shown)
    show(axes[-1], np.asarray(drawn), f"4   {int(kept.sum())} detections, score {THRESHOLD:.2f} or more")
    save(figure, path)


def _levels_shown(every: Sequence[Level]) -> list[int]:
    """Positions, finest first."""
    likeliest = sorted(range(len(every)), key=lambda number: -float(every[number].objectness.max()))
    return sorted(likeliest[:MOST_LEVELS])


def _sides(found: Proposals) -> list[float]:
    """Of the squares with the reference boxes' areas, for each level and size, in pixels."""
    every = [level.references[:, size] for level in found.levels for size in range(level.references.shape[1])]
    return [float(area(boxes).sqrt().mean()) for boxes in every]


def _draw_references(axes: "Axes", found: Proposals, shown: Pixels, sides: Sequence[float]) -> None:
    boxes = found.references_there()
    ratios, sizes = boxes[0].shape[:2]
    show(axes, shown, f"1   {ratios * sizes} reference boxes {'on each level' if len(boxes) > 1 else 'of a cell'}")
    groups = [level[:, size] for level in boxes for size in range(sizes)]  # (T, 4) each, of one size
    for number, group in reversed(list(enumerate(groups))):
        for box in group.tolist():
            frame(axes, box, colour=class_colour(number), clipped=True)
    y, x = found.centre
    axes.plot(x, y, "o", markersize=5, markerfacecolor="white", markeredgecolor=INK)
    _look_at(axes, np.concatenate([group.numpy() for group in groups]), shown)
    _legend(axes, [(class_colour(number), f"{side:.0f}") for number, side in enumerate(sides)])


def _draw_objectness(axes: "Axes", found: Proposals, number: int, shown: Pixels) -> None:
    level = found.levels[number]
    best = level.best()
    painted = cells_over(shown, level.down, level.across, table("viridis")[levels(best)])
    show(axes, painted, f"2   objectness on {level.name}, {best.shape[0]} x {best.shape[1]} cells")
    colour_bar(axes, "viridis", shown)
    if number == found.place[0]:
        (y, x), down, across = found.centre, level.down.step / 2, level.across.step / 2
        frame(axes, (x - across, y - down, x + across, y + down), clipped=True)


def _draw_best(axes: "Axes", found: Proposals, shown: Pixels) -> None:
    show(axes, shown, f"3   the best {len(found.boxes)} of {found.proposed} proposals")
    colours = table("viridis")[levels(found.objectness)]
    for box, colour in reversed(list(zip(found.boxes.tolist(), colours.tolist(), strict=True))):
        frame(axes, box, colour="#{:02x}{:02x}{:02x}".format(*colour), clipped=True)
    colour_bar(axes, "viridis", shown)


def _look_at(axes: "Axes", boxes: Any, shown: Pixels) -> None:
    """Widen the panel's field to hold the boxes (n, 4) too, as far as `FARTHEST` allows."""
    height, width = shown.shape[:2]
    left, top = (min(0.0, float(boxes[:, corner].min())) for corner in (0, 1))
    right, bottom = max(width, float(boxes[:, 2].max())), max(height, float(boxes[:, 3].max()))
    zoom = min(FARTHEST, max((right - left) / width, (bottom - top) / height))
    axes.set_xlim(*_field(left, right, width, zoom))
    axes.set_ylim(*reversed(_field(top, bottom, height, zoom)))


def _field(start: float, end: float, length: float, zoom: float) -> tuple[float, float]:
    """`zoom` times `length` around the middle of start..end, moved to hold 0..length."""
    first = (start + end - length * zoom) / 2
    first = min(0.0, max(first, length - length * zoom))
    return first, first + length * zoom


def _legend(axes: "Axes", entries: Sequence[tuple[str, str]]) -> None:
    """Beside the panel: (colour, side in pixels)."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour, linewidth=2.5, label=side) for colour, side in entries]
    legend = axes.legend(
        handles=lines,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0,
        frameon=False,
        fontsize=8,
        handlelength=0.8,
        handletextpad=0.5,
        labelcolor=INK,
        title="side, px",
        alignment="left",
    )
    legend.get_title().set_fontsize(8)
    legend.get_title().set_color(FAINT)
