import functools
import json
from typing import Any

import pytest

from sightline.workflows import describe as workflow


@functools.cache
def small_googlenet() -> workflow.Description:
    return workflow.describe("googlenet_2014", image_size=32, num_classes=10, arguments={"stem": "small"})


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the verb hands on; what it gets back is always the same network."""
    calls: dict[str, Any] = {}
    description = small_googlenet()

    def describe(model: str, **others: Any) -> workflow.Description:
        calls.update(others, model=model)
        return description

    monkeypatch.setattr(workflow, "describe", describe)
    return calls


def test_it_hands_on_what_it_was_given(cli, given, tmp_path) -> None:
    out = tmp_path / "net.svg"
    words = ["--image-size", "64", "--num-classes", "7", "--set", "stem=small", "--set", "in_channels=1"]
    done = cli("describe", "vgg11", *words, "--set", "auxiliary=false", "--out", out, "--overwrite")
    assert done.code == 0
    assert given == {
        "model": "vgg11",
        "image_size": 64,
        "num_classes": 7,
        "arguments": {"stem": "small", "in_channels": 1, "auxiliary": False},
        "out": out,
        "overwrite": True,
    }
    assert done.out.splitlines()[-1] == f"wrote {out}"


def test_defaults_are_left_to_the_workflow(cli, given) -> None:
    assert cli("describe", "vgg11").code == 0
    assert (given["image_size"], given["arguments"], given["out"]) == (None, {}, None)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_a_row_for_each_part_with_the_auxiliary_classifiers_below_the_total(cli, given) -> None:
    lines = cli("describe", "googlenet_2014").out.splitlines()
    assert lines[0] == "googlenet_2014 for images of 32 x 32 pixels"
    rows = [cells(line) for line in lines[2:]]
    assert rows[0] == ["name", "layers", "output", "parameters", "multiply-adds"]
    assert ["conv1.conv", "3x3 conv, 64", "64 x 32 x 32", "1,792", "1,769,472"] in rows
    names = [row[0] for row in rows]
    assert names[-5:] == ["fc", "total", "aux1", "aux2", "auxiliary total"]
    assert names.count("inception4e") == 1
    total, extra = rows[names.index("total")], rows[names.index("auxiliary total")]
    # Of 6,998,552, the last layer has 990 classes fewer, and the first convolution 3x3 in place of 7x7.
    assert total[1] == f"{6_998_552 - 990 * 1025 - 40 * 3 * 64:,}"
    sums = [sum(int(row[-1].replace(",", "")) for row in part if len(row) == 5) for part in (rows[1:-4], rows[-3:-1])]
    assert [total[-1], extra[-1]] == [f"{number:,}" for number in sums]


def test_a_row_for_each_layer(cli, given) -> None:
    rows = [cells(line) for line in cli("describe", "googlenet_2014", "--layers").out.splitlines()[2:]]
    assert rows[0] == ["name", "kind", "kernel", "stride", "output", "parameters", "multiply-adds"]
    assert rows[1:4] == [
        ["conv1.conv", "conv", "3x3", "1x1", "64 x 32 x 32", "1,792", "1,769,472"],
        ["conv1", "ReLU", "64 x 32 x 32"],
        ["maxpool1", "max pool", "3x3", "2x2", "64 x 16 x 16"],
    ]
    assert ["inception3a", "concat", "256 x 16 x 16"] in rows
    assert rows[-1][0] == "auxiliary total"


def test_a_network_without_auxiliary_classifiers_ends_with_its_total(cli) -> None:
    lines = cli("describe", "alexnet", "--image-size", "64").out.splitlines()
    assert cells(lines[-1])[:2] == ["total", "61,100,840"]


def test_one_json_object(cli, tmp_path) -> None:
    out = tmp_path / "net.svg"
    done = cli("describe", "alexnet", "--set", "stem=small", "--image-size", "32", "--out", out, "--json")
    described = json.loads(done.out)
    assert done.out.count("\n") == 1
    assert described["arguments"] == {"num_classes": 1000, "stem": "small"}
    assert described["layers"][1]["kernel"] == [5, 5]
    assert described["files"] == [str(out)]
    assert out.read_text().startswith("<svg ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vgg11", "--set", "stem"], "--set stem: expected NAME=VALUE, for example --set stem=small."),
        (["vgg11", "--overwrite"], "--overwrite says what to do with the file of --out, which is not given."),
        (["vgg11", "--set", "a.b=1"], "vgg11 does not take the argument 'a'."),
        (["vgg11", "--out", "net.pdf"], "net.pdf: expected a name that ends in .svg"),
        (["vgg11", "--num-classes", "0"], "num_classes: expected a whole number of at least 1, got 0."),
        (["vgg"], "Unknown model 'vgg'."),
    ],
)
def test_what_is_given_wrong_is_said(cli, words, said) -> None:
    done = cli("describe", *words)
    assert done.code == 2
    assert said in done.said


def test_the_number_of_classes_can_be_set_either_way(cli) -> None:
    done = cli("describe", "alexnet", "--image-size", "64", "--set", "num_classes=7", "--json")
    assert json.loads(done.out)["layers"][-1]["output"] == [7]
