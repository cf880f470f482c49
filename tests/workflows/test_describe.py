import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import sightline
from sightline.checkpoint import Header, save
from sightline.errors import CheckpointError, InputError, StorageError, UnknownNameError
from sightline.models import create_model
from sightline.report.architecture import Architecture
from sightline.structures import Windows
from sightline.workflows import describe as workflow
from sightline.workflows.describe import describe, drawing
from tests.forked import Forked, print_peak_memory_of


def test_the_arguments_reach_the_network() -> None:
    description = describe("resnet18", image_size=32, num_classes=10, arguments={"stem": "small", "in_channels": 1})
    images, conv = description.architecture.layers[:2]
    assert images.output == (1, 32, 32)
    assert (conv.kernel, conv.stride, conv.output) == ((3, 3), (1, 1), (64, 32, 32))
    assert description.architecture.layers[-1].output == (10,)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("alexnet", 224),
        ("alexnet_2012", 224),
        ("inception_v3", 299),
        ("fasterrcnn_resnet50_fpn", 800),
        ("faster_rcnn", 600),
        ("unet", 224),
        ("unet_2015", 572),
    ],
)
def test_the_size_is_that_of_the_published_weights_or_of_the_paper(name, size, monkeypatch) -> None:
    nothing = Architecture(layers=())
    monkeypatch.setattr(workflow, "create_model", lambda name: SimpleNamespace(num_classes=1000))
    monkeypatch.setattr(workflow, "trace", lambda model, image_size: nothing if image_size == size else None)
    description = describe(name)
    assert description.image_size == size
    assert description.architecture is nothing


def test_everything_is_json_and_says_who_reads_whom() -> None:
    described = describe("resnet18", image_size=64).as_object()
    assert json.loads(json.dumps(described, allow_nan=False)) == json.loads(json.dumps(described))
    assert (described["model"], described["arguments"], described["image_size"]) == (
        "resnet18",
        {"num_classes": 1000},
        64,
    )
    assert described["parameters"] == 11_689_512
    layers = described["layers"]
    first_sum = next(layer for layer in layers if layer["kind"] == "add")
    assert [layers[position]["name"] for position in first_sum["inputs"]] == ["layer1.0.bn2", "maxpool"]
    assert sum(layer["multiply_adds"] for layer in layers) == described["multiply_adds"]


@pytest.mark.slow
def test_auxiliary_classifiers_are_apart() -> None:
    described = describe("googlenet_2014", image_size=32, num_classes=10).as_object()
    aux = [layer for layer in described["layers"] if layer["auxiliary"]]
    assert {layer["name"].partition(".")[0] for layer in aux} == {"aux1", "aux2"}
    assert described["auxiliary"]["multiply_adds"] == sum(layer["multiply_adds"] for layer in aux) > 0
    without = describe("googlenet_2014", image_size=32, num_classes=10, arguments={"auxiliary": False}).as_object()
    assert without["multiply_adds"] == described["multiply_adds"]
    assert without["auxiliary"] == {"parameters": 0, "multiply_adds": 0}


def test_the_drawing_is_written_and_not_over_another_file(tmp_path) -> None:
    out = tmp_path / "new" / "net.svg"
    description = describe("alexnet", out=out)
    assert out.read_text() == drawing(description)
    assert "61,100,840 parameters, 0.71 G multiply-adds at 224 x 224 pixels" in out.read_text()
    with pytest.raises(InputError, match=r"net.svg exists already .* --overwrite"):
        describe("alexnet", out=out)
    describe("alexnet", arguments={"stem": "small"}, image_size=32, out=out, overwrite=True)
    assert "Architecture of alexnet, stem small" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"model": "alexnett"}, UnknownNameError, "Did you mean 'alexnet'"),
        ({"model": "resnet18", "arguments": {"depth": 3}}, InputError, "does not take the argument 'depth'"),
        ({"model": "resnet18", "num_classes": 0}, InputError, "num_classes: expected a whole number of at least 1"),
        ({"model": "vgg11", "image_size": 16}, InputError, "16 x 16"),
        (
            {"model": "faster_rcnn", "out": Path("net.svg")},
            InputError,
            "faster_rcnn cannot be drawn: classifiers and U-Nets",
        ),
        (
            {"model": "unet_2015", "image_size": 512},
            InputError,
            "188 pixels and any multiple of 16 more, not 512; the next is 524",
        ),
        ({"model": "unet", "arguments": {"backbone": "resnet19"}}, UnknownNameError, "Did you mean 'resnet1"),
        ({"model": "unet", "arguments": {"skip": "mul"}}, UnknownNameError, "Unknown skip 'mul'"),
        ({"model": "resnet18", "out": Path("net.png")}, InputError, r"net.png: expected a name that ends in .svg"),
    ],
)
def test_what_is_given_wrong_is_said(arguments, error, words) -> None:
    with pytest.raises(error, match=words):
        describe(**arguments)


def test_a_run_says_which_network_it_is(tmp_path) -> None:
    network = create_model("unet", num_classes=3, width=4)
    header = Header(
        architecture="unet",
        arguments={"width": 4},
        task="segmentation",
        class_names=("a", "b", "c"),
        preprocessing=Windows(side=48),
    )
    save(tmp_path / "run" / "weights" / "best.safetensors", network.state_dict(), header)
    for given in (tmp_path / "run", tmp_path / "run" / "weights" / "best.safetensors"):
        description = describe(str(given))
        assert (description.model, description.arguments) == ("unet", {"num_classes": 3, "width": 4})
        assert description.image_size == 48
        assert description.architecture.parameters() == sum(p.numel() for p in network.parameters())
    other = describe(str(tmp_path / "run"), image_size=32, num_classes=5)
    assert (other.image_size, other.architecture.layers[-1].output) == (32, (5, 32, 32))
    with pytest.raises(CheckpointError, match=r"holds no weights/best\.safetensors"):
        describe(str(tmp_path))


def test_what_is_neither_a_network_nor_a_run_is_said_to_be_neither() -> None:
    with pytest.raises(
        UnknownNameError, match=r"Unknown model 'runs/first'\. Known: .* And there is no run or weights file at runs/"
    ):
        describe("runs/first")


def test_a_file_that_cannot_be_written_says_so(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        describe("alexnet", out=tmp_path / "file" / "net.svg")


def test_of_the_paper_s_u_net_the_surroundings_are_told_apart_from_what_gets_logits() -> None:
    description = describe("unet_2015", arguments={"in_channels": 1})
    assert description.image_size == 572
    assert description.arguments == {"num_classes": 2, "in_channels": 1}
    assert description.as_object()["parameters"] == 31_030_658  # of the paper's network
    (remark,) = description.remarks()
    assert remark.startswith("Of the 572 x 572 pixels the inner 388 x 388 get logits: the 92 at each side")
    assert describe("unet", image_size=32, arguments={"width": 4}).remarks() == []


def test_of_a_detector_the_head_is_told_apart_for_it_runs_on_each_region() -> None:
    arguments = {"backbone": "resnet18", "neck": "fpn", "proposing": {"proposals": [200, 50]}}
    description = describe("faster_rcnn", image_size=64, num_classes=3, arguments=arguments)
    described = description.as_object()
    each = described["regions"]["multiply_adds_each"]
    assert (
        each == 256 * 49 * 1024 + 1024 * 1024 + 1024 * 4 * 5
    )  # two hidden layers, 3 classes and background, and boxes
    assert described["regions"]["most"] == 50
    assert sum(layer["multiply_adds"] for layer in described["layers"] if layer["per_region"]) == each
    assert sum(layer["multiply_adds"] for layer in described["layers"]) == described["multiply_adds"]
    (remark,) = description.remarks()
    assert (
        f"up to 50 of them, so it costs {described['multiply_adds'] - each:,} multiply-adds and {each:,} a region"
        in remark
    )
    assert f"{described['multiply_adds'] + 49 * each:,} at most" in remark
    assert describe("resnet18", image_size=32).as_object()["regions"] is None


def test_a_u_net_is_drawn_with_its_arguments_in_the_title(tmp_path) -> None:
    out = tmp_path / "net.svg"
    arguments = {"backbone": "resnet18", "backbone_arguments": {"stem": "small"}, "skip": "add"}
    description = describe("unet", image_size=32, arguments=arguments, out=out)
    assert out.read_text() == drawing(description)
    assert "Architecture of unet, backbone resnet18, skip add, stem small" in out.read_text()
    assert "stage of resnet18" in out.read_text()


def test_it_is_a_public_name() -> None:
    assert sightline.describe is describe


@pytest.mark.slow
def test_the_largest_network_takes_no_memory() -> None:
    """VGG-19's weights alone would be 575 MB; what torch itself takes is measured beside it."""

    def peak(work: Callable[[], object]) -> int:
        process = Forked(partial(print_peak_memory_of, work))
        assert process.wait() == 0, process.said("err")
        return int(process.said("out"))

    assert peak(partial(describe, "vgg19")) - peak(partial(describe, "alexnet", image_size=64)) < 60_000
