"""Why a classifier said what it said, over the picture that it was said of."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from sightline.inference.draw import fitted
from sightline.inference.explain import Cam, ClassMap
from sightline.inference.overlay import Pixels, as_seen, cam_over, cells_over, levels
from sightline.report.figure import DPI, FAINT, INK, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 480
"""Longer side of a picture in the figure, in pixels; small ones are enlarged by whole numbers and come out a little smaller."""
GAP, BAR, BAR_TEXT = 24, 16, 46
"""Space between panels, width of a colour bar, and of what is written beside it, in pixels."""
NARROWEST = 300
"""Width that a panel's title needs, in pixels."""
NAME_LENGTH, CLASSES_NAMED = 24, 8

# Okabe and Ito's colours, which people with any kind of colour vision tell apart; violet for their black.
CLASS_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#7A5195")
OTHER_COLOUR = "#B0B7BF"


def draw_cam(cam: Cam, picture: Tensor, class_names: Sequence[str], path: Path) -> None:
    """Draw Grad-CAM over the (3, H, W) uint8 `picture`, with the picture beside it, into a PNG file.

    Raises `StorageError` when `path` cannot be written.
    """
    shown = np.asarray(fitted(picture, SIDE))
    height, width = shown.shape[:2]
    cam = cam.scaled(height / picture.shape[1], width / picture.shape[2])
    figure, (left, right) = _panels(shown, 2, _title(cam, class_names))
    whole = np.allclose(cam.seen, (0, 0, width, height))
    _show(left, shown, "the picture" if whole else "framed: what the network sees")
    if not whole:
        _frame(left, cam.seen)
    cells = f"{cam.values.shape[0]} x {cam.values.shape[1]} cells"
    speaks = bool(cam.values.any())
    _show(
        right,
        cam_over(shown, cam, _table("inferno")),
        f"Grad-CAM at {cam.stage}, {cells}" if speaks else f"nothing at {cam.stage} speaks for this class",
    )
    _colour_bar(right, "inferno", shown, "strongest cell = 1")
    save(figure, path)


def draw_class_map(found: ClassMap, picture: Tensor, class_names: Sequence[str], path: Path) -> None:
    """Draw what the classifier says of each window of the (3, H, W) uint8 `picture` into a PNG file.

    Three panels: the picture with the window that is surest of the class, the probability of the class in each cell, and each
    cell's most probable class. Raises `StorageError` when `path` cannot be written.
    """
    shown = np.asarray(fitted(picture, SIDE))
    found = found.scaled(shown.shape[0] / picture.shape[1], shown.shape[1] / picture.shape[2])
    own = found.probabilities[found.label]
    figure, (left, middle, right) = _panels(shown, 3, _title(found, class_names))
    row, column = divmod(int(own.argmax()), own.shape[1])
    y, x = found.down.first + row * found.down.step, found.across.first + column * found.across.step

    _show(left, shown, f"one of {own.numel()} windows, and its middle")
    _frame(left, _around(y, x, *found.window), dashed=True)
    left.plot(x, y, "o", markersize=5, markerfacecolor="white", markeredgecolor=INK)

    name = _short(class_names[found.label])
    _show(middle, cells_over(shown, found, _table("viridis")[levels(own)]), f"probability of {name}")
    _frame(middle, _around(y, x, found.down.step, found.across.step))
    _colour_bar(middle, "viridis", shown)

    winners: list[list[int]] = found.probabilities.argmax(0).tolist()
    counted = Counter(label for line in winners for label in line).most_common()
    colours = {label: OTHER_COLOUR for label, _ in counted}
    colours.update((label, colour) for colour, (label, _) in zip(CLASS_COLOURS, counted, strict=False))
    painted = np.array([[_rgb(colours[label]) for label in line] for line in winners], dtype=np.uint8)
    _show(right, cells_over(shown, found, painted), "most probable class of each cell")
    entries = [(colours[label], _short(class_names[label]), cells) for label, cells in counted[:CLASSES_NAMED]]
    if rest := counted[CLASSES_NAMED:]:
        entries.append((OTHER_COLOUR, f"{len(rest)} others", sum(cells for _, cells in rest)))
    _legend(right, entries, shown)
    save(figure, path)


def _title(found: Cam | ClassMap, class_names: Sequence[str]) -> str:
    said = found.prediction
    title = f"{_short(class_names[found.label])}: {said.probabilities[found.label]:.0%}"
    if found.label == said.label:
        return title
    return f"{title}   (predicted is {_short(class_names[said.label])}: {said.score:.0%})"


def _short(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 3] + "..."


def _around(y: float, x: float, height: float, width: float) -> tuple[float, float, float, float]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[n : n + 2], 16) for n in (1, 3, 5))


def _table(name: str) -> Pixels:
    """The 256 colours of one of matplotlib's perceptually uniform maps, (256, 3)."""
    import matplotlib

    table: Pixels = (matplotlib.colormaps[name](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    return table


def _panels(shown: Pixels, count: int, title: str) -> "tuple[Figure, list[Axes]]":
    """A figure with `count` panels in a row, in which a pixel of the picture is a pixel of the file."""
    height, width = shown.shape[:2]
    step = max(width, NARROWEST) + GAP + BAR + BAR_TEXT
    figure = new_figure(count * step / DPI, height / DPI, arranged=False)
    axes = [figure.add_axes((number / count, 0, width / (count * step), 1)) for number in range(count)]
    figure.text(0, 1 + 44 / height, title, fontsize=14, color=INK, va="bottom", parse_math=False)
    return figure, axes


def _show(axes: "Axes", pixels: Pixels, title: str) -> None:
    axes.imshow(pixels, interpolation="nearest", extent=(0, pixels.shape[1], pixels.shape[0], 0))
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=9.5, color=FAINT, pad=7, parse_math=False)


def _frame(axes: "Axes", box: tuple[float, float, float, float], dashed: bool = False) -> None:
    """A dark line on a light one, to be seen on any picture."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = box
    for colour, width, style in (("white", 2.8, "solid"), (INK, 1.2, (0, (3, 2)) if dashed else "solid")):
        outline = Rectangle((left, top), right - left, bottom - top, fill=False, clip_on=False, linestyle=style)
        outline.set(edgecolor=colour, linewidth=width)
        axes.add_patch(outline)


def _colour_bar(axes: "Axes", name: str, shown: Pixels, label: str = "") -> None:
    """From 0 to 1, in the colours that the map has over the picture."""
    place = axes.inset_axes((1 + 10 / shown.shape[1], 0, BAR / shown.shape[1], 1))
    place.imshow(as_seen(_table(name)[::-1], shown)[:, None], aspect="auto", extent=(0, 1, 0, 1))
    place.set_xticks([])
    place.set_yticks([0, 0.5, 1])
    place.yaxis.tick_right()
    place.yaxis.set_label_position("right")
    place.set_ylabel(label, color=FAINT, fontsize=8)
    place.tick_params(colors=FAINT, labelsize=8, length=0)
    for spine in place.spines.values():
        spine.set_visible(False)


def _legend(axes: "Axes", entries: Sequence[tuple[str, str, int]], shown: Pixels) -> None:
    """Beside the panel: (colour, class, number of cells)."""
    from matplotlib.patches import Patch

    colours = as_seen(np.array([_rgb(colour) for colour, _, _ in entries]), shown) / 255
    patches = [
        Patch(color=tuple(colour), label=f"{name}  ({cells})")
        for colour, (_, name, cells) in zip(colours, entries, strict=True)
    ]
    place: dict[str, Any] = {
        "loc": "upper left",
        "bbox_to_anchor": (1.01, 1.0),
        "borderaxespad": 0,
        "alignment": "left",
    }
    legend = axes.legend(handles=patches, frameon=False, fontsize=9, labelcolor=INK, title="class (cells)", **place)
    legend.get_title().set_fontsize(8.5)
    legend.get_title().set_color(FAINT)
    for text in legend.get_texts():
        text.set_parse_math(False)
