"""Drawings of U-Nets: what can be measured about them."""

import functools

import pytest
import torch

from sightline.models import create_model
from sightline.report.architecture import trace
from sightline.report.shapes import Box, Drawing, Line, Word
from sightline.report.svg import to_svg
from sightline.report.unet_figure import draw_unet
from tests.report.overlaps import faults, touches

CASES = {
    "unet_2015": ({}, 572),
    "unet": ({}, 224),
    "without": ({"skip": "none"}, 224),
    "added": ({"skip": "add"}, 2048),
    "resnet18": ({"backbone": "resnet18"}, 224),
    "small stem": ({"backbone": "resnet18", "backbone_arguments": {"stem": "small"}, "skip": "add"}, 64),
    "alexnet": ({"backbone": "alexnet", "skip": "add", "num_classes": 150}, 224),
    "vgg11": ({"backbone": "vgg11", "skip": "none"}, 96),
    "inception_v3": ({"backbone": "inception_v3"}, 128),
}

FAST = {"unet_2015", "without", "resnet18", "small stem"}
every_case = pytest.mark.parametrize(
    "case", [case if case in FAST else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)


@functools.cache
def drawn(case: str) -> Drawing:
    arguments, size = CASES[case]
    with torch.device("meta"):
        architecture = trace(create_model("unet_2015" if case == "unet_2015" else "unet", **arguments), size)
    return draw_unet(architecture, case, "what it costs", arguments.get("backbone"))


def boxes(case: str, kind: str) -> list[Box]:
    """Those of the network, from left to right; the boxes of the key have no words."""
    found = [shape for shape in drawn(case).shapes if isinstance(shape, Box) and shape.kind == kind and shape.words]
    return sorted(found, key=lambda box: box.x)


def words(case: str) -> list[str]:
    return [shape.text for shape in drawn(case).shapes if isinstance(shape, Word)]


@pytest.mark.slow
@every_case
def test_nothing_overlaps_and_it_fits_a_page(case) -> None:
    assert faults(drawn(case)) == []
    assert drawn(case).width <= 1100


@every_case
def test_every_map_is_reached_by_an_arrow_and_the_joins_by_two(case) -> None:
    shapes = drawn(case).shapes
    every = [shape for shape in shapes if isinstance(shape, Box) and shape.words]
    ends = [shape.points[-1] for shape in shapes if isinstance(shape, Line) and shape.arrow]
    for box in every:
        expected = {"images": 0, "concat": 2, "add": 2}.get(box.kind, 1)
        assert sum(touches(box, *end) for end in ends) == expected, box


def test_the_paper_s_figure_is_there() -> None:
    assert [box.words[0] for box in boxes("unet_2015", "concat")] == ["1024", "512", "256", "128"]
    channels = [64, 64, 128, 128, 256, 256, 512, 512, 1024, 1024, 512, 512, 256, 256, 128, 128, 64, 64]
    assert sorted(box.words[0] for box in boxes("unet_2015", "conv")) == sorted(map(str, channels))
    said = words("unet_2015")
    assert {"572", "570", "568", "284"} & set(said) == {"572", "570", "568"}  # a pool is an arrow
    assert {"280", "136", "64", "28", "52", "100", "196", "392", "390", "388"} <= set(said)
    assert said.count("concat") == 4
    assert {"2x2 max pool", "2x2 up-conv", "cross connection, its borders cut off"} <= set(said)
    assert "3x3 convolution (ReLU and dropout not drawn): channels" in said


def test_it_has_the_shape_of_a_u() -> None:
    down = [box for box in boxes("unet_2015", "conv") if box.x < boxes("unet_2015", "concat")[0].x]
    assert [box.y for box in down] == sorted(box.y for box in down)
    up = boxes("unet_2015", "concat")
    assert [box.y for box in up] == sorted((box.y for box in up), reverse=True)
    assert up[-1].y == boxes("unet_2015", "images")[0].y


@pytest.mark.parametrize(
    ("case", "joins", "alone", "name"), [("unet", 4, 0, "concat"), ("added", 4, 0, "add"), ("alexnet", 2, 2, "add")]
)
def test_cross_connections_are_named_and_where_there_is_none_none_is_drawn(case, joins, alone, name) -> None:
    assert len(boxes(case, name)) == words(case).count(name) == joins
    assert len(boxes(case, "up")) == alone


def test_without_cross_connections_the_halves_meet_at_the_bottom_alone() -> None:
    assert {"concat", "add"}.isdisjoint(words("without"))
    assert not any("cross" in text for text in words("without"))
    assert len(boxes("without", "up")) == 4
    middle = boxes("without", "up")[0].x - 1
    lines = [line for line in drawn("without").shapes if isinstance(line, Line)]
    assert sum(line.points[0][0] < middle < line.points[-1][0] for line in lines) == 1


def test_of_a_classifier_each_stage_is_a_box_with_its_name() -> None:
    assert [box.words for box in boxes("resnet18", "stage")] == [
        ("c1", "64"),
        ("c2", "64"),
        ("c3", "128"),
        ("c4", "256"),
        ("c5", "512"),
    ]
    assert "stage of resnet18: name, channels" in words("resnet18")
    same = {box.words[0]: box.y for box in boxes("small stem", "stage")}
    assert same["c1"] == same["c2"] < same["c3"]  # of one stride, beside each other


def test_a_connection_through_a_convolution_is_dashed() -> None:
    def dashed(case: str) -> int:
        return sum(isinstance(shape, Line) and shape.dashed for shape in drawn(case).shapes)

    assert (dashed("alexnet"), dashed("added"), dashed("unet")) == (2, 0, 0)


def test_the_file_says_what_it_shows() -> None:
    text = to_svg(drawn("unet_2015"))
    assert "Contracting path: image 3 of side 572, 64 of side 570, 64 of side 568, 128 of side 282" in text
    assert "cross connections: concat at 392, concat at 200, concat at 104, concat at 56" in text
    assert len(text.encode()) < 30_000
