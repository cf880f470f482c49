"""What all figures share: colours, quiet axes, and saving. Figures are objects; matplotlib's global state is not touched."""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#1f2933", "#66727f", "#e3e7eb"
BLUE, PALE_BLUE, ORANGE = "#2f6f9f", "#b5cfe0", "#d9822b"
DPI = 150
"""Dots per inch: a figure of 9 inches has 1350 pixels."""


def new_figure(width: float, height: float, *, arranged: bool = True) -> "Figure":
    """An empty figure, its size in inches; its axes arranged to fill it, or else left where they are put."""
    # Here and not above: a training imports this file long before it draws.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained" if arranged else None)
    FigureCanvasAgg(figure)
    return figure


def quiet(axes: "Axes", title: str, x: str, y: str) -> None:
    """Give the axes their words and take away what carries nothing."""
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xlabel(x, fontsize=9.5, color=FAINT)
    axes.set_ylabel(y, fontsize=9.5, color=FAINT)
    axes.tick_params(colors=FAINT, labelsize=9, length=0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(GRID)


def save(figure: "Figure", path: Path) -> None:
    """Write the figure as PNG in one atomic step. Raises `StorageError` when it cannot be written."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        # A class name in a script that the font does not have shows as boxes in the picture; people see that for themselves.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(content, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.12)
    write_atomic(path, content.getvalue())
