"""Drawings of proposals: whole, and true to the pixel whatever the picture and the detector are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.inference.proposals import Level, Proposals
from sightline.ops.cells import Cells
from sightline.report.proposals import _levels_shown, draw_proposals
from sightline.structures import DetectionPrediction

YELLOW = [round(0.6 * value + 0.4 * 128) for value in (253, 231, 37)]
"""The end of viridis over a grey of 128."""


def level(cells: tuple[int, int], step: float, highest: tuple[int, int] | None = None) -> Level:
    objectness = torch.zeros(*cells, 3, 2)
    if highest is not None:
        objectness[highest] = 1.0
    half = torch.tensor([step, 2 * step])
    references = torch.stack([-half, -half, half, half], dim=1).expand(3, 2, 4)
    return Level(
        name="c4", objectness=objectness, references=references, down=Cells(0.0, step), across=Cells(0.0, step)
    )


def found(
    height: int, width: int, *levels: Level, place: tuple[int, int, int] = (0, 0, 0), count: int = 0
) -> Proposals:
    scores = torch.linspace(1, 0, count)
    boxes = torch.tensor([0.2, 0.2, 0.6, 0.8]).expand(count, 4) * torch.tensor([width, height, width, height])
    return Proposals(
        size=(height, width),
        levels=levels,
        place=place,
        boxes=boxes,
        objectness=scores,
        origins=torch.zeros(count, 4, dtype=torch.int64),
        proposed=count,
        detections=DetectionPrediction(boxes=boxes, scores=scores, labels=torch.zeros(count, dtype=torch.int64)),
    )


def grey(height: int, width: int) -> torch.Tensor:
    return torch.full((3, height, width), 128, dtype=torch.uint8)


def drawing(seen: Proposals, path: Path, names: tuple[str, ...] = ("cat",)) -> np.ndarray:
    draw_proposals(seen, grey(int(seen.size[0]), int(seen.size[1])), names, path)
    drawn = np.asarray(Image.open(path).convert("RGB")).astype(int)
    for line in (drawn[:8], drawn[-8:], drawn[:, :8], drawn[:, -8:]):
        assert (line == 255).all(), "what reaches the edge may have been cut off"
    return drawn


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_a_cell_is_where_its_reference_boxes_are_centred(scale, tmp_path) -> None:
    """Cell (2, 3) of a map with steps of 80 pixels, in a picture that is drawn with 320 x 480 pixels."""
    height, width, step = 320 // scale, 480 // scale, 80 / scale
    drawn = drawing(found(height, width, level((4, 6), step, (2, 3)), place=(0, 1, 1)), tmp_path / "p.png")
    last = np.argwhere((drawn == 128).all(-1)).max(0)  # the corner of the last panel, below the map
    top, left = last[0] - 319 - 320 - 52, last[1] - 479
    rows, columns = np.nonzero((abs(drawn[top : top + 320, left : left + 480] - YELLOW) <= 1).all(-1))
    assert (rows.min(), rows.max()) == (120, 199)
    assert (columns.min(), columns.max()) == (200, 279)


def test_the_levels_with_the_highest_objectness_are_drawn() -> None:
    low, high = level((3, 4), 50), level((3, 5), 40, (1, 1))
    assert _levels_shown([low, low]) == [0, 1]
    assert _levels_shown([low, high, low, high, low, high]) == [0, 1, 3, 5]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width", "count"),
    [
        (1, 1, 0),
        *(pytest.param(*shape, marks=pytest.mark.slow) for shape in ((700, 30, 30), (30, 900, 0), (900, 1200, 30))),
    ],
)
def test_pictures_of_any_shape_are_drawn_whole(height, width, count, tmp_path) -> None:
    """Reference boxes that are far larger than the picture, and long names."""
    levels = [level((3, 2), max(height, width) * 2.0), *[level((1, 1), 3.0, (0, 0))] * (4 if count else 1)]
    drawn = drawing(
        found(height, width, *levels, place=(1, 0, 0), count=count), tmp_path / "p.png", ("$x_1$ 猫 " * 40,)
    )
    assert drawn.shape[1] < 2400
