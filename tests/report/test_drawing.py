"""Drawings are looked at by people; what can be measured about them is measured here, for every network."""

from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
import torch
from PIL import ImageFont

from sightline.models import create_model
from sightline.report.architecture import Architecture, Layer, trace
from sightline.report.layout import FONT, two_lines
from sightline.report.page import _cuts, draw
from sightline.report.shapes import Box, Drawing, Line, Word, text_width
from sightline.report.svg import to_svg

Rectangle = tuple[float, float, float, float]
SVG = "{http://www.w3.org/2000/svg}"
# A wide font that every machine with matplotlib has: words that fit in it fit in Helvetica and Arial.
FONTS = {
    bold: ImageFont.truetype(
        Path(matplotlib.get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf"), 100
    )
    for bold in (False, True)
}


def measured(text: str, size: float, *, bold: bool = False) -> float:
    return FONTS[bold].getlength(text) * size / 100


def faults(drawing: Drawing) -> list[str]:
    """Everything that overlaps, sticks out, or does not fit."""
    boxes = [shape for shape in drawing.shapes if isinstance(shape, Box) and shape.kind != "frame"]
    frames = [shape for shape in drawing.shapes if isinstance(shape, Box) and shape.kind == "frame"]
    words = [shape for shape in drawing.shapes if isinstance(shape, Word)]
    lines = [shape for shape in drawing.shapes if isinstance(shape, Line)]
    solid = [(rectangle(shape), str(shape)) for shape in (*boxes, *words)]
    found = [f"overlap: {a} and {b}" for (one, a), (other, b) in combinations(solid, 2) if cross(one, other)]
    for frame in frames:
        for box in boxes:
            inside = frame.x < box.x < frame.x + frame.width and frame.y < box.y < frame.y + frame.height
            if cross(rectangle(frame), rectangle(box)) and not (inside and within(rectangle(box), rectangle(frame))):
                found.append(f"half in a frame: {box}")
        found += [f"in a frame: {word}" for word in words if cross(rectangle(frame), rectangle(word))]
    for box in boxes:
        for text in box.words:
            if measured(text, FONT) > box.width - 4:
                found.append(f"too long: {text!r} in {box}")
    page = (0.0, 0.0, drawing.width, drawing.height)
    every = [rectangle(shape) for shape in (*boxes, *frames, *words)]
    every += [piece for line in lines for piece in pieces(line)]
    found += [f"outside: {one}" for one in every if not within(one, page)]
    for line in lines:
        found += [f"{line} crosses {text}" for piece in pieces(line) for one, text in solid if cross(piece, one)]
    across, down = [], []
    for line in lines:
        for piece in pieces(line):
            (down if piece[2] - piece[0] == 2 else across).append(piece)
    found += [f"lines cross: {one} and {other}" for one in across for other in down if cross(one, other)]
    return found


def rectangle(shape: Box | Word) -> Rectangle:
    if isinstance(shape, Box):
        return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
    width = measured(shape.text, shape.size, bold=shape.bold)
    left = shape.x - {"start": 0, "middle": width / 2, "end": width}[shape.anchor]
    return left, shape.y - shape.size / 2, left + width, shape.y + shape.size / 2


def pieces(line: Line) -> list[Rectangle]:
    """The straight pieces of a line, two pixels wide, without their ends: those may touch."""
    found = []
    for (x, y), (to_x, to_y) in zip(line.points, line.points[1:], strict=False):
        assert x == to_x or y == to_y, "lines go straight down or across"
        if y != to_y:
            found.append((x - 1, min(y, to_y) + 1, x + 1, max(y, to_y) - 1))
        elif x != to_x:
            found.append((min(x, to_x) + 1, y - 1, max(x, to_x) - 1, y + 1))
    return found


def cross(one: Rectangle, other: Rectangle) -> bool:
    return all(min(one[n + 2], other[n + 2]) - max(one[n], other[n]) > 0.3 for n in (0, 1))


def within(one: Rectangle, other: Rectangle) -> bool:
    return one[0] >= other[0] and one[1] >= other[1] and one[2] <= other[2] and one[3] <= other[3]


def test_nothing_overlaps_and_every_word_fits(backbone, traced) -> None:
    assert faults(draw(traced(backbone), backbone, "what it costs")) == []


@pytest.mark.parametrize(
    ("name", "arguments", "size"),
    [
        ("resnet18", {"stem": "small", "num_classes": 10}, 32),
        ("alexnet", {"num_classes": 100_000}, 256),  # a pool with windows of several sizes
        pytest.param("googlenet", {"auxiliary": False}, 64, marks=pytest.mark.slow),
        pytest.param("googlenet_2014", {"stem": "small"}, 32, marks=pytest.mark.slow),
        pytest.param("inception_v3", {"in_channels": 4}, 75, marks=pytest.mark.slow),
    ],
)
def test_so_it_is_with_other_arguments_and_sizes(name, arguments, size) -> None:
    with torch.device("meta"):
        drawing = draw(trace(create_model(name, **arguments), size), name, "what it costs")
    assert faults(drawing) == []


def test_every_step_is_reached_by_an_arrow(backbone, traced) -> None:
    """All but the images; the boxes of the key have no words."""
    shapes = draw(traced(backbone), backbone, "").shapes
    boxes = [shape for shape in shapes if isinstance(shape, Box) and shape.words]
    ends = [shape.points[-1] for shape in shapes if isinstance(shape, Line) and shape.arrow]
    unreached = [box for box in boxes if not any(touches(box, x, y) for x, y in ends)]
    assert [box.kind for box in unreached] == ["images"]


def touches(box: Box, x: float, y: float) -> bool:
    return box.x - 0.1 <= x <= box.x + box.width + 0.1 and box.y - 0.1 <= y <= box.y + box.height + 0.1


def shown(drawing: Drawing, kind: str) -> list[Box]:
    return [shape for shape in drawing.shapes if isinstance(shape, Box) and shape.kind == kind and shape.words]


def test_the_nine_modules_and_both_auxiliary_classifiers_are_seen(traced) -> None:
    drawing = draw(traced("googlenet_2014"), "googlenet_2014", "")
    bars = shown(drawing, "concat")
    assert [bar.words[0].partition(":")[0] for bar in bars] == [
        f"inception{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    ]
    arrows = [shape.points[-1] for shape in drawing.shapes if isinstance(shape, Line) and shape.arrow]
    assert all(sum(touches(bar, *end) for end in arrows) == 4 for bar in bars)
    assert {"aux1", "aux2"} <= {shape.text for shape in drawing.shapes if isinstance(shape, Word)}
    assert len(shown(drawing, "linear")) == 1 + 2 * 2


def test_bypasses_are_seen_and_dashed_where_they_are_projected(traced) -> None:
    drawing = draw(traced("resnet18"), "resnet18", "")
    around = [shape for shape in drawing.shapes if isinstance(shape, Line) and shape.arrow and len(shape.points) == 4]
    pluses = shown(drawing, "add")
    assert len(pluses) == 8
    assert [line.dashed for line in around] == [False, False, True, False, True, False, True, False]
    assert all(any(touches(plus, *line.points[-1]) for plus in pluses) for line in around)


@pytest.mark.slow
def test_many_blocks_that_look_alike_are_drawn_once_with_their_number(traced) -> None:
    drawing = draw(traced("resnet152"), "resnet152", "")
    words = [shape.text for shape in drawing.shapes if isinstance(shape, Word)]
    assert [text for text in words if text.startswith("x ")] == ["x 2", "x 7", "x 35", "x 2"]
    assert len(shown(drawing, "add")) == 8
    assert {"c1", "c2", "c3", "c4", "c5"} <= set(words)


def test_sizes_stand_where_they_change(traced) -> None:
    words = [shape for shape in draw(traced("resnet18"), "", "").shapes if isinstance(shape, Word)]
    sizes = [word.text for word in words if word.anchor == "end" and not word.bold]
    assert sizes == ["224 x 224", "112 x 112", "56 x 56", "28 x 28", "14 x 14", "7 x 7", "1 x 1"]


@pytest.mark.parametrize("text", ["3x3 conv, 64", "11x11 conv, 96, /4", "MMMMWWWW", "@%&#", "images, 100000 channels"])
@pytest.mark.parametrize("bold", [False, True])
def test_words_are_taken_for_at_least_as_wide_as_they_are(text, bold) -> None:
    assert text_width(text, 11, bold=bold) >= measured(text, 11, bold=bold)


@pytest.mark.parametrize("name", ["3x3 conv, 128", "5x5 avg pool, /3", "linear, 1000", "LRN"])
def test_two_lines_lose_no_word(name) -> None:
    assert " ".join(two_lines(name)).replace(",", "") == name.replace(",", "")


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_columns_hold_everything_in_order(count) -> None:
    heights = [30.0, 10.0, 10.0, 50.0, 10.0, 10.0]
    cuts = _cuts(heights, (2,), count)
    assert len(cuts) <= count
    assert [n for start, end in cuts for n in range(start, end)] == list(range(6))


def test_an_operation_that_is_not_known_is_drawn_too() -> None:
    layers = (
        Layer(name="", kind="images", inputs=(), output=(3, 8, 8)),
        Layer(name="gate", kind="conv", inputs=(0,), output=(3, 8, 8), kernel=(1, 1), stride=(1, 1)),
        Layer(name="", kind="mul", inputs=(0, 1), output=(3, 8, 8)),
    )
    drawing = draw(Architecture(layers=layers), "<gated> & more", "")
    assert faults(drawing) == []
    assert shown(drawing, "mul")[0].words == ("mul",)
    assert "<gated> & more" in ElementTree.fromstring(to_svg(drawing)).find(f"{SVG}title").text


def test_the_file_is_small_says_what_it_shows_and_needs_nothing_else(backbone, traced) -> None:
    text = to_svg(draw(traced(backbone), backbone, "what it costs"))
    root = ElementTree.fromstring(text)
    assert len(text.encode()) < 150_000
    assert root.get("role") == "img"
    assert [root.find(f"{SVG}title").get("id"), root.find(f"{SVG}desc").get("id")] == root.get(
        "aria-labelledby"
    ).split()
    assert root.find(f"{SVG}title").text == f"Architecture of {backbone}"
    assert root.find(f"{SVG}desc").text.startswith("what it costs. images, 3 channels; ")
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        "svg",
        "title",
        "desc",
        "rect",
        "path",
        "text",
    }
    assert not [name for element in root.iter() for name in element.attrib if "href" in name or name.startswith("on")]
    ground = root.find(f"{SVG}rect")
    assert (ground.get("width"), ground.get("height")) == (root.get("width"), root.get("height"))
    assert ground.get("fill") == "#ffffff"


def test_the_same_network_gives_the_same_bytes(traced) -> None:
    with torch.device("meta"):
        again = trace(create_model("resnet18"), 224)
    assert to_svg(draw(again, "a", "b")) == to_svg(draw(traced("resnet18"), "a", "b"))
