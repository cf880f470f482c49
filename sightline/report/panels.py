"""Panels of a figure in which a pixel of the picture is a pixel of the file, and what is drawn on them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sightline.inference.colours import ink_on
from sightline.inference.overlay import Pixels, as_seen
from sightline.report.figure import DPI, FAINT, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 480
"""Longer side of a picture in the figure, in pixels; small ones are enlarged by whole numbers and come out a little smaller."""
GAP, BAR, BAR_TEXT = 24, 16, 46
"""Space between panels, width of a colour bar, and of what is written beside it, in pixels."""
ROW_GAP = 52
"""Space between rows of panels, in which the titles of the lower ones stand, in pixels."""
NARROWEST = 300
"""Width that a panel's title needs, in pixels."""
NAME_LENGTH = 24


def panels(shown: Pixels, count: int, title: str, columns: int | None = None) -> "tuple[Figure, list[Axes]]":
    """A figure with `count` panels of the size of `shown`, in rows of `columns`; in a single row without."""
    height, width = shown.shape[:2]
    columns = columns or count
    rows = math.ceil(count / columns)
    across, down = columns * (max(width, NARROWEST) + GAP + BAR + BAR_TEXT), rows * (height + ROW_GAP) - ROW_GAP
    figure = new_figure(across / DPI, down / DPI, arranged=False)
    axes = []
    for number in range(count):
        row, column = divmod(number, columns)
        bottom = down - row * (height + ROW_GAP) - height
        axes.append(figure.add_axes((column / columns, bottom / down, width / across, height / down)))
    figure.text(0, 1 + 44 / down, title, fontsize=14, color=INK, va="bottom", parse_math=False)
    return figure, axes


def show(axes: "Axes", pixels: Pixels, title: str) -> None:
    """A picture and its title; the axes count its pixels from the upper left corner."""
    axes.imshow(pixels, interpolation="nearest", extent=(0, pixels.shape[1], pixels.shape[0], 0))
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=9.5, color=FAINT, pad=7, parse_math=False)


def frame(
    axes: "Axes",
    box: Sequence[float],
    *,
    colour: str = INK,
    width: float = 1.2,
    dashed: bool = False,
    clipped: bool = False,
) -> None:
    """A box (left, top, right, bottom) as a coloured line on a white or dark one, to be seen on any picture.

    `colour` is written #rrggbb, `width` is in points. What lies outside of the panel is drawn unless `clipped`.
    """
    from matplotlib.patches import Rectangle

    left, top, right, bottom = box
    for line, points, style in (
        (ink_on(colour), width + 1.6, "solid"),
        (colour, width, (0, (3, 2)) if dashed else "solid"),
    ):
        outline = Rectangle((left, top), right - left, bottom - top, fill=False, clip_on=clipped, linestyle=style)
        outline.set(edgecolor=line, linewidth=points)
        axes.add_patch(outline)


def colour_bar(axes: "Axes", name: str, shown: Pixels, label: str = "") -> None:
    """From 0 to 1, in the colours that the map has over the picture."""
    place = axes.inset_axes((1 + 10 / shown.shape[1], 0, BAR / shown.shape[1], 1))
    place.imshow(as_seen(table(name)[::-1], shown)[:, None], aspect="auto", extent=(0, 1, 0, 1))
    place.set_xticks([])
    place.set_yticks([0, 0.5, 1])
    place.yaxis.tick_right()
    place.yaxis.set_label_position("right")
    place.set_ylabel(label, color=FAINT, fontsize=8)
    place.tick_params(colors=FAINT, labelsize=8, length=0)
    for spine in place.spines.values():
        spine.set_visible(False)


def table(name: str) -> Pixels:
    """The 256 colours of one of matplotlib's perceptually uniform maps, (256, 3)."""
    import matplotlib

    colours: Pixels = (matplotlib.colormaps[name](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    return colours


def short(name: str) -> str:
    """A name, or the beginning of a long one."""
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 3] + "..."
