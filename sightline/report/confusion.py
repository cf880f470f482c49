"""Which classes are taken for which: rows are true classes, columns what was predicted."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.report.figure import BLUE, FAINT, GRID, INK, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COUNTS_UP_TO, NAMES_UP_TO = 30, 120
"""Largest numbers of classes with a count in each cell, and with a name at each row and column."""
NAME_LENGTH = 24


def draw_confusion(matrix: ArrayLike, class_names: Sequence[str], path: Path, title: str = "") -> None:
    """Draw a (K, K) matrix of counts into a PNG file; the colour of a cell is its share of the row.

    Raises `ValueError` when the matrix and the names do not fit, `StorageError` when `path` cannot be written.
    """
    counts = np.asarray(matrix)
    classes = len(class_names)
    if counts.shape != (classes, classes):
        raise ValueError(f"expected a ({classes}, {classes}) matrix for {classes} class names, got {counts.shape}")
    # A name needs 0.17 inches; without names a thousand classes must not make a picture of a thousand million pixels.
    cell = min(0.42, max(0.17 if classes <= NAMES_UP_TO else 0.0, 12 / classes))
    side = max(2.4, cell * classes)
    figure = new_figure(side, side, arranged=False)
    axes = figure.add_axes((0, 0, 1, 1))
    picture = axes.imshow(row_shares(counts), cmap=_colours(), vmin=0, vmax=1)
    _name_axes(axes, class_names, title, min(9.5, cell * 72 * 0.72))
    if classes <= COUNTS_UP_TO:
        _write_counts(axes, counts)
    height = min(1.0, 2.4 / side)
    bar = figure.colorbar(picture, cax=axes.inset_axes((1 + 0.15 / side, 1 - height, 0.13 / side, height)))
    bar.set_label("share of the true class", color=FAINT, fontsize=9)
    bar.ax.tick_params(colors=FAINT, labelsize=8, length=0)
    bar.outline.set_visible(False)
    save(figure, path)


def row_shares(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Each count as a share of its row, 0..1; a row without pictures stays 0.

    >>> row_shares(np.array([[3, 1], [0, 0]])).tolist()
    [[0.75, 0.25], [0.0, 0.0]]
    """
    totals = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    return shares


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("share", ["#ffffff", "#d5e3ed", BLUE, "#163c58"])


def _name_axes(axes: "Axes", class_names: Sequence[str], title: str, size: float) -> None:
    classes = len(class_names)
    if title:
        axes.set_title(title, loc="left", fontsize=11, color=INK, pad=9, parse_math=False)
    axes.set_xlabel("predicted class", color=FAINT, fontsize=9.5)
    axes.set_ylabel("true class", color=FAINT, fontsize=9.5)
    axes.tick_params(colors=INK, length=0, labelsize=size)
    for spine in axes.spines.values():
        spine.set_color(GRID)
    if classes > NAMES_UP_TO:
        return
    names = [name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 3] + "..." for name in class_names]
    upright = classes > 12 or max(map(len, names)) > 3
    axes.set_xticks(range(classes), names, rotation=90 if upright else 0)
    axes.set_yticks(range(classes), names)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        # "$" is a letter of a class name here, not the start of a formula.
        label.set_parse_math(False)
    axes.set_xticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.6)
    axes.tick_params(which="minor", length=0)


def _write_counts(axes: "Axes", counts: NDArray[Any]) -> None:
    shares = row_shares(counts)
    size = 9 if len(counts) <= 15 else 7
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else INK
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour, fontsize=size)
