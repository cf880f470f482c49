"""Why a classifier said what it said, over the picture that it was said of."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from sightline.inference.colours import CLASS_COLOURS, rgb
from sightline.inference.draw import fitted
from sightline.inference.explain import Cam, ClassMap
from sightline.inference.overlay import Pixels, as_seen, cam_over, cells_over, levels
from sightline.report.figure import FAINT, INK, save
from sightline.report.panels import SIDE, colour_bar, frame, panels, short, show, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLASSES_NAMED = 8
OTHER_COLOUR = "#B0B7BF"


def draw_cam(cam: Cam, picture: Tensor, class_names: Sequence[str], path: Path) -> None:
    """Draw Grad-CAM over the (3, H, W) uint8 `picture`, with the picture beside it, into a PNG file.

    Raises `StorageError` when `path` cannot be written.
    """
    shown = np.asarray(fitted(picture, SIDE))
    height, width = shown.shape[:2]
    cam = cam.scaled(height / picture.shape[1], width / picture.shape[2])
    figure, (left, right) = panels(shown, 2, _title(cam, class_names))
    whole = np.allclose(cam.seen, (0, 0, width, height))
    show(left, shown, "the picture" if whole else "framed: what the network sees")
    if not whole:
        frame(left, cam.seen)
    cells = f"{cam.values.shape[0]} x {cam.values.shape[1]} cells"
    speaks = bool(cam.values.any())
    show(
        right,
        cam_over(shown, cam, table("inferno")),
        f"Grad-CAM at {cam.stage}, {cells}" if speaks else f"nothing at {cam.stage} speaks for this class",
    )
    colour_bar(right, "inferno", shown, "strongest cell = 1")
    save(figure, path)


def draw_class_map(found: ClassMap, picture: Tensor, class_names: Sequence[str], path: Path) -> None:
    """Draw what the classifier says of each window of the (3, H, W) uint8 `picture` into a PNG file.

    Three panels: the picture with the window that is surest of the class, the probability of the class in each cell, and each
    cell's most probable class. Raises `StorageError` when `path` cannot be written.
    """
    shown = np.asarray(fitted(picture, SIDE))
    found = found.scaled(shown.shape[0] / picture.shape[1], shown.shape[1] / picture.shape[2])
    own = found.probabilities[found.label]
    figure, (left, middle, right) = panels(shown, 3, _title(found, class_names))
    row, column = divmod(int(own.argmax()), own.shape[1])
    y, x = found.down.first + row * found.down.step, found.across.first + column * found.across.step

    show(left, shown, f"one of {own.numel()} windows, and its middle")
    frame(left, _around(y, x, *found.window), dashed=True)
    left.plot(x, y, "o", markersize=5, markerfacecolor="white", markeredgecolor=INK)

    name = short(class_names[found.label])
    show(middle, cells_over(shown, found.down, found.across, table("viridis")[levels(own)]), f"probability of {name}")
    frame(middle, _around(y, x, found.down.step, found.across.step))
    colour_bar(middle, "viridis", shown)

    winners: list[list[int]] = found.probabilities.argmax(0).tolist()
    counted = Counter(label for line in winners for label in line).most_common()
    colours = {label: OTHER_COLOUR for label, _ in counted}
    colours.update((label, colour) for colour, (label, _) in zip(CLASS_COLOURS, counted, strict=False))
    painted = np.array([[rgb(colours[label]) for label in line] for line in winners], dtype=np.uint8)
    show(right, cells_over(shown, found.down, found.across, painted), "most probable class of each cell")
    entries = [(colours[label], short(class_names[label]), cells) for label, cells in counted[:CLASSES_NAMED]]
    if rest := counted[CLASSES_NAMED:]:
        entries.append((OTHER_COLOUR, f"{len(rest)} others", sum(cells for _, cells in rest)))
    _legend(right, entries, shown)
    save(figure, path)


def _title(found: Cam | ClassMap, class_names: Sequence[str]) -> str:
    said = found.prediction
    title = f"{short(class_names[found.label])}: {said.probabilities[found.label]:.0%}"
    if found.label == said.label:
        return title
    return f"{title}   (predicted is {short(class_names[said.label])}: {said.score:.0%})"


def _around(y: float, x: float, height: float, width: float) -> tuple[float, float, float, float]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _legend(axes: "Axes", entries: Sequence[tuple[str, str, int]], shown: Pixels) -> None:
    """Beside the panel: (colour, class, number of cells)."""
    from matplotlib.patches import Patch

    colours = as_seen(np.array([rgb(colour) for colour, _, _ in entries]), shown) / 255
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
