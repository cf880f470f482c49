"""The layers and the costs of U-Nets: as the paper has them, and as torch counts them."""

import functools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sightline.errors import InputError
from sightline.models import create_model
from sightline.models.unet import UNet
from sightline.report.architecture import Architecture, trace
from sightline.report.summary import grouped

CASES = {
    "the paper's": ("unet_2015", {}, 188),
    "the paper's without": ("unet_2015", {"skip": "none", "in_channels": 1}, 204),
    "own": ("unet", {"width": 8}, 32),
    "own, added": ("unet", {"width": 8, "skip": "add"}, 48),
    "resnet18": ("unet", {"backbone": "resnet18"}, 64),
    "resnet18 of a small stem": ("unet", {"backbone": "resnet18", "backbone_arguments": {"stem": "small"}}, 64),
    "alexnet": ("unet", {"backbone": "alexnet", "skip": "add", "num_classes": 5}, 96),
    "googlenet": ("unet", {"backbone": "googlenet", "skip": "none"}, 64),
}

FAST = {"the paper's", "own, added", "resnet18"}
every_case = pytest.mark.parametrize(
    "case", [case if case in FAST else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)


@functools.cache
def built(case: str) -> UNet:
    name, arguments, _ = CASES[case]
    with torch.device("meta"):
        return create_model(name, **arguments).eval()


@functools.cache
def traced(case: str) -> Architecture:
    return trace(built(case), CASES[case][2])


@pytest.mark.slow
@every_case
def test_multiply_adds_are_those_that_torch_counts(case) -> None:
    side, counter = CASES[case][2], FlopCounterMode(display=False)
    with counter:
        built(case).raw(torch.empty(1, built(case).in_channels, side, side, device="meta"))
    assert 2 * traced(case).multiply_adds() == counter.get_total_flops()


@every_case
def test_every_parameter_is_counted_once_in_the_layers_and_in_the_rows(case) -> None:
    total = sum(parameter.numel() for parameter in built(case).parameters())
    rows = grouped(traced(case))
    assert traced(case).parameters() == sum(row.parameters for row in rows) == total
    assert traced(case).parameters(auxiliary=True) == 0
    assert sum(row.multiply_adds for row in rows) == traced(case).multiply_adds()


@every_case
def test_stages_are_the_maps_that_the_contracting_path_hands_over(case) -> None:
    side, body = CASES[case][2], built(case).backbone
    maps = body.forward_features(torch.empty(1, body.in_channels, side, side, device="meta"))
    stages = [(layer.stage, layer.output) for layer in traced(case).layers if layer.stage]
    assert stages == [(stage, tuple(features.shape[1:])) for stage, features in maps.items()]
    last = traced(case).layers[traced(case).trunk - 1]
    assert last.stage == body.stages[-1]
    assert traced(case).strides == body.strides


def test_the_shapes_are_those_of_the_paper_s_figure() -> None:
    with torch.device("meta"):
        architecture = trace(create_model("unet_2015", in_channels=1), 572)
    kept = ("images", "conv", "up-conv", "concat", "max pool")
    sides = [layer.output[1] for layer in architecture.layers if layer.kind in kept]
    down = [572, 570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 32, 30, 28]
    assert sides == [*down, 56, 56, 54, 52, 104, 104, 102, 100, 200, 200, 198, 196, 392, 392, 390, 388, 388]
    joined = [layer.output[0] for layer in architecture.layers if layer.kind == "concat"]
    assert joined == [1024, 512, 256, 128]
    assert [layer.output[1] for layer in architecture.layers if layer.stage] == [568, 280, 136, 64, 28]
    rows = {row.name: row for row in grouped(architecture)}
    assert [rows[f"expanding.{step}"].output for step in range(4)] == [
        "512 x 52 x 52",
        "256 x 100 x 100",
        "128 x 196 x 196",
        "64 x 388 x 388",
    ]
    assert rows["output"].output == "2 x 388 x 388"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "what"),
    [
        ("the paper's", "(stage 4 | 2x2 up-conv, 512) > 3x3 conv, 512 > 3x3 conv, 512"),
        ("own", "(stage 4 | 1x1 conv, 64 > upsample) > 3x3 conv, 64 > 3x3 conv, 64"),
        ("own, added", "(1x1 conv, 64 > upsample + stage 4) > 3x3 conv, 64 > 3x3 conv, 64"),
        ("alexnet", "(1x1 conv, 256 > upsample + stage conv2 > 1x1 conv, 256) > 3x3 conv, 256 > 3x3 conv, 256"),
        ("googlenet", "1x1 conv, 256 > upsample > 3x3 conv, 256 > 3x3 conv, 256"),
    ],
)
def test_a_step_of_the_expanding_path_is_one_row(case, what) -> None:
    rows = {row.name: row for row in grouped(traced(case))}
    assert rows["expanding.0"].what == what


@pytest.mark.parametrize(("case", "side", "following"), [("the paper's", 572 + 1, 588), ("resnet18", 40, 64)])
def test_a_size_that_the_bare_network_does_not_take_is_refused(case, side, following) -> None:
    with pytest.raises(InputError, match=f"not {side}; the next is {following}"):
        trace(built(case), side)
