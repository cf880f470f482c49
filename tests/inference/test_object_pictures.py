"""Pictures with boxes: lines where the boxes are, plates that can be read, and pairs side by side."""

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.inference.colours import CLASS_COLOURS, class_colour, ink_on, rgb
from sightline.inference.object_pictures import (
    SIDE,
    TEXT_HEIGHT,
    Comparison,
    _plates,
    _shared,
    detection_sheet,
    draw_objects,
)
from sightline.structures import DetectionPrediction, DetectionTarget

NAMES = [f"c{number}" for number in range(10)]


def grey(height: int, width: int) -> torch.Tensor:
    return torch.full((3, height, width), 128, dtype=torch.uint8)


def where(picture: Image.Image, label: int) -> np.ndarray:
    """(H, W) bool: pixels in the colour of a class."""
    return (np.asarray(picture) == rgb(class_colour(label))).all(-1)


def extent(mask: np.ndarray) -> tuple[int, ...]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def said(boxes: list[list[float]], scores: list[float], labels: list[int]) -> DetectionPrediction:
    return DetectionPrediction(
        boxes=torch.tensor(boxes).view(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels, dtype=torch.int64),
    )


@pytest.mark.parametrize(("height", "width", "factor"), [(100, 120, 4), (600, 800, 1), (480, 300, 1), (7, 9, 54)])
def test_a_box_is_drawn_around_its_pixels(height, width, factor) -> None:
    box = torch.tensor([[width / 3, height / 3, width, height * 2 / 3]]).round()
    drawn = draw_objects(grey(height, width), box, torch.tensor([1]), NAMES)
    assert drawn.size == (width * factor, height * factor)
    left, top, right, bottom = (int(side) * factor for side in box[0])
    line = where(drawn, 1)
    line[:top] = False  # the plate is above
    assert extent(line) == (left, top, right, bottom)
    assert not line[(top + bottom) // 2, (left + right) // 2]


def test_small_pictures_stay_sharp() -> None:
    image = torch.randint(0, 2, (3, 6, 8), dtype=torch.uint8) * 255
    drawn = np.asarray(draw_objects(image, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), NAMES))
    assert (drawn == image.permute(1, 2, 0).numpy().repeat(60, 0).repeat(60, 1)).all()


def test_the_best_lies_on_top() -> None:
    boxes = torch.tensor([[50.0, 50.0, 400.0, 400.0]] * 3)
    drawn = draw_objects(grey(500, 500), boxes, torch.tensor([0, 1, 2]), NAMES, torch.tensor([0.3, 0.9, 0.5]))
    sides = [where(drawn, label)[200, :] for label in range(3)]
    assert [bool(side.any()) for side in sides] == [False, True, False]


def test_plates_stay_inside_and_apart() -> None:
    """Boxes at all edges and over them, with room for each plate."""
    places = [(-50, -50, 90, 90), (400, -20, 700, 90), (500, 400, 900, 900), (-9, 420, 60, 479), (200, 200, 300, 300)]
    places += [(200, 200, 310, 290), (205, 195, 300, 300), (639, 100, 640, 101)]
    plates = _plates([tuple(max(0, side) for side in place) for place in places], [(70, 18)] * 8, (640, 480))
    for number, (left, top, right, bottom) in enumerate(plates):
        assert 0 <= left < right <= 640
        assert 0 <= top < bottom <= 480
        assert (right - left, bottom - top) == (70, 18)
        assert not any(_shared(plates[number], other) for other in plates[:number])
    assert plates[4] == (200, 182, 270, 200)


@pytest.mark.parametrize("name", ["a name that goes on and on " * 9, "", "猫", "two\nlines"])
def test_any_name_any_box_any_picture(name) -> None:
    boxes = torch.tensor([[-9.0, -9.0, 900.0, 900.0], [3.2, 3.4, 3.3, 3.5], [-9.0, -9.0, -5.0, -5.0]])
    for height, width in ((1, 1), (2, 700), (700, 2), (40, 50)):
        drawn = draw_objects(grey(height, width), boxes, torch.zeros(3, dtype=torch.int64), [name], torch.rand(3))
        assert max(drawn.size) >= 480
        assert where(drawn, 0).any()


def test_a_long_name_leaves_room_for_its_score() -> None:
    box, label = torch.tensor([[10.0, 300.0, 400.0, 400.0]]), torch.tensor([0])
    drawn = [
        where(draw_objects(grey(500, 500), box, label, ["word " * 60], torch.tensor([score])), 0)
        for score in (0.11, 0.88)
    ]
    assert extent(drawn[0])[2] == 400
    assert (drawn[0] != drawn[1]).any()


def test_unequal_columns_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"expected boxes \(n, 4\) with as many labels and scores, got \(2, 4\), 1 labels"
    ):
        draw_objects(grey(9, 9), torch.zeros(2, 4), torch.tensor([0]), NAMES)
    with pytest.raises(ValueError, match="1 labels and 2 scores"):
        draw_objects(grey(9, 9), torch.zeros(1, 4), torch.tensor([0]), NAMES, torch.rand(2))


def test_ink_can_be_read_on_every_colour() -> None:
    assert len(set(CLASS_COLOURS)) == 8
    for colour in CLASS_COLOURS:
        brightness = [sum(rgb(value)) for value in (colour, ink_on(colour))]
        assert abs(brightness[0] - brightness[1]) > 200


def test_what_was_found_stands_beside_what_is_there() -> None:
    found = said([[10, 30, 60, 80], [10, 30, 60, 80]], [0.9, 0.2], [0, 1])
    there = DetectionTarget.of(torch.tensor([[100.0, 30.0, 160.0, 80.0]]), torch.tensor([2]))
    sheet = detection_sheet([Comparison(image=grey(120, 240), prediction=found, target=there, title="one")], NAMES)
    assert sheet.size == (2 * SIDE + 3 * 16, TEXT_HEIGHT + 240 + 2 * 16)
    below = 16 + TEXT_HEIGHT + 60
    lines = [where(sheet, label) for label in range(3)]
    for line in lines:
        line[:below] = False
    assert extent(lines[0]) == (16 + 20, below, 16 + 120, below + 100)
    assert not lines[1].any()
    assert extent(lines[2]) == (32 + SIDE + 200, below, 32 + SIDE + 320, below + 100)
    all_found = detection_sheet(
        [Comparison(image=grey(120, 240), prediction=found, target=None, title="one")], NAMES, threshold=0.1
    )
    assert all_found.width == SIDE + 2 * 16
    assert where(all_found, 1).any()


def test_crowds_are_named_and_pictures_of_all_shapes_fit() -> None:
    yes, no = torch.tensor([True]), torch.tensor([False])
    box, nothing = torch.tensor([[1.0, 1.0, 9.0, 9.0]]), said([], [], [])
    plates = []
    for crowd, difficult in ((no, no), (yes, no), (no, yes)):
        there = DetectionTarget(
            boxes=box, labels=torch.tensor([0]), crowd=crowd, difficult=difficult, areas=torch.ones(1)
        )
        row = Comparison(image=grey(10, 12), prediction=nothing, target=there, title="x")
        plates.append(int(where(detection_sheet([row], NAMES), 0).sum()))
    assert plates[0] < min(plates[1:])
    rows = [
        Comparison(image=grey(*size), prediction=nothing, target=None if number % 2 else there, title="t" * 400)
        for number, size in enumerate([(5, 900), (900, 5), (300, 400), (30, 30), (1, 1)])
    ]
    assert detection_sheet(rows, NAMES).width == 2 * (2 * SIDE + 16) + 3 * 16
    assert detection_sheet(rows, NAMES, columns=5).width == 5 * (2 * SIDE + 16) + 6 * 16
    for wrong, columns in (([], None), (rows, 0)):
        with pytest.raises(ValueError, match="expected at least one"):
            detection_sheet(wrong, NAMES, columns=columns)
