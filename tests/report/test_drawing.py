"""Drawings are looked at by people; what can be measured about them is measured here, for every network."""

from xml.etree import ElementTree

import pytest
import torch

from sightline.models import create_model
from sightline.report.architecture import Architecture, Layer, trace
from sightline.report.layout import two_lines
from sightline.report.page import _cuts, draw
from sightline.report.shapes import Box, Drawing, Line, Word, text_width
from sightline.report.svg import to_svg
from tests.report.overlaps import faults, measured, touches

SVG = "{http://www.w3.org/2000/svg}"


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


@pytest.mark.parametrize("text", ["3x3 conv, 64", "11x11 conv, 96, /4", "MMMMWWWW", "@%&#", "images, 100,000 channels"])
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
