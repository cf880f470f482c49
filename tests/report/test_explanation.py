"""Drawings of explanations: readable, whole, and true to the pixel whatever the picture and the names are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.inference.colours import CLASS_COLOURS
from sightline.inference.explain import Cam, ClassMap
from sightline.ops.cells import Cells
from sightline.report.explanation import draw_cam, draw_class_map
from sightline.structures import ClassificationPrediction

PALE = round(0.35 * 128 + 0.65 * 255)
"""What a grey of 128 becomes where there is no map over it."""
NAMES = [f"class {n}" for n in range(12)]


def said(label: int = 0) -> ClassificationPrediction:
    return ClassificationPrediction(torch.eye(12)[label])


def cam(values: torch.Tensor, side: float, seen: tuple[float, float, float, float], label: int = 0) -> Cam:
    """Cells of `side` pixels from the upper left corner of `seen`."""
    down, across = Cells(seen[1] + side / 2, side), Cells(seen[0] + side / 2, side)
    return Cam(label=label, prediction=said(), stage="c5", values=values, down=down, across=across, seen=seen)


def class_map(height: int, width: int, cells: tuple[int, int]) -> ClassMap:
    """Windows that overlap by half; each cell is sure of one of twelve classes."""
    steps = height / (cells[0] + 1), width / (cells[1] + 1)
    labels = torch.arange(cells[0] * cells[1]).view(cells) % 12
    return ClassMap(
        label=0,
        prediction=said(),
        probabilities=torch.nn.functional.one_hot(labels, 12).permute(2, 0, 1).float(),
        down=Cells(steps[0], steps[0]),
        across=Cells(steps[1], steps[1]),
        window=(2 * steps[0], 2 * steps[1]),
        size=64,
    )


def grey(height: int, width: int) -> torch.Tensor:
    return torch.full((3, height, width), 128, dtype=torch.uint8)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def nothing_is_cut(drawn: np.ndarray) -> bool:
    """White all around: what reaches the edge may have been cut off."""
    return all((line == 255).all() for line in (drawn[:8], drawn[-8:], drawn[:, :8], drawn[:, -8:]))


def panel_of(drawn: np.ndarray, number: int, height: int, width: int) -> np.ndarray:
    """The pixels of a panel, the first of which shows a grey picture."""
    plain = (drawn == 128).all(-1)
    top, left = np.flatnonzero(plain.any(1)).min(), np.flatnonzero(plain.any(0)).min()
    left += number * (width + 24 + 16 + 46)
    return drawn[top : top + height, left : left + width]


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_the_heat_is_in_the_file_where_it_is_in_the_picture(tmp_path, scale) -> None:
    """A hot cell in a picture that is drawn with 240 x 480 pixels: found at the same place in the panel."""
    values = torch.zeros(5, 5)
    values[3, 1] = 1
    seen = (140 / scale, 20 / scale, 340 / scale, 220 / scale)
    draw_cam(cam(values, 40 / scale, seen), grey(240 // scale, 480 // scale), NAMES, tmp_path / "c.png")
    drawn = pixels(tmp_path / "c.png")
    assert nothing_is_cut(drawn)
    shown = panel_of(drawn, 0, 240, 480)
    assert (shown[[0, 0, -1, -1], [0, -1, 0, -1]] == 128).all()
    panel = panel_of(drawn, 1, 240, 480)
    covered = (panel != PALE).any(-1)
    assert covered[20:220, 140:340].all()
    assert covered.sum() == 200 * 200
    heat = panel.sum(-1) * covered
    y, x = np.nonzero(heat == heat.max())
    assert (y.mean() + 0.5, x.mean() + 0.5) == (20 + 3.5 * 40, 140 + 1.5 * 40)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), *(pytest.param(*shape, marks=pytest.mark.slow) for shape in ((600, 40), (30, 900), (900, 1200)))],
)
def test_pictures_of_any_shape_are_drawn_whole(height, width, tmp_path) -> None:
    side = min(height, width) / 4
    draw_cam(cam(torch.rand(3, 3), side, (0, 0, 3 * side, 3 * side)), grey(height, width), NAMES, tmp_path / "c.png")
    draw_class_map(class_map(height, width, (3, 4)), grey(height, width), NAMES, tmp_path / "d.png")
    for name in ("c.png", "d.png"):
        drawn = pixels(tmp_path / name)
        assert nothing_is_cut(drawn)
        assert drawn.shape[1] > 600


@pytest.mark.slow
def test_long_names_strange_names_and_another_class_fit(tmp_path) -> None:
    names = ["a name that goes on and on without an end " * 3, "$x_1$ \\frac", "猫", *NAMES[3:]]
    draw_cam(cam(torch.rand(7, 7), 60, (0, 30, 420, 450), label=1), grey(480, 420), names, tmp_path / "c.png")
    assert nothing_is_cut(pixels(tmp_path / "c.png"))
    draw_class_map(class_map(480, 420, (4, 4)), grey(480, 420), names, tmp_path / "d.png")
    drawn = pixels(tmp_path / "d.png")
    assert nothing_is_cut(drawn)
    assert drawn.shape[1] < 2200


def test_nothing_that_speaks_for_a_class_is_drawn_without_heat(tmp_path) -> None:
    draw_cam(cam(torch.zeros(3, 3), 20, (0, 0, 60, 60)), grey(60, 60), NAMES, tmp_path / "c.png")
    assert nothing_is_cut(pixels(tmp_path / "c.png"))


@pytest.mark.slow
def test_each_cell_has_the_colour_of_its_class_and_the_legend_too(tmp_path) -> None:
    """Two classes in 1 x 2 cells of 100 pixels, 50 from the edge, in a picture of 200 x 300 that is drawn with 320 x 480."""
    draw_class_map(class_map(200, 300, (1, 2)), grey(200, 300), NAMES, tmp_path / "d.png")
    drawn = pixels(tmp_path / "d.png")
    pale = (drawn == PALE).all(-1)
    rows, columns = np.flatnonzero(pale.any(1)), np.flatnonzero(pale.any(0))
    assert rows.max() - rows.min() + 1 == 320
    panel = drawn[rows.min() : rows.max() + 1, columns.max() - 479 : columns.max() + 1]  # the last one
    for number, colour in enumerate(CLASS_COLOURS[:2]):
        mixed = [round(0.6 * int(colour[n : n + 2], 16) + 0.4 * 128) for n in (1, 3, 5)]
        rows, columns = np.nonzero((abs(panel - mixed) <= 1).all(-1))
        assert (rows.min(), rows.max()) == (80, 239)
        assert (columns.min(), columns.max()) == (80 + 160 * number, 239 + 160 * number)
        everywhere = (abs(drawn - mixed) <= 1).all(-1).sum()
        assert everywhere - len(rows) > 100
