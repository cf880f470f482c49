"""`sightline ablate` with the work itself replaced."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sightline.workflows import ablate as workflow
from sightline.workflows.ablate import AblateResult
from sightline.workflows.comparison import Comparison, Difference, Variant

SENTENCE = "none - concat: -0.021 [-0.034, -0.008] mIoU over 2 seeds and 32 pictures; the interval does not contain 0"


def variant(value: str, shift: float, **differences: Difference) -> Variant:
    return Variant(
        value=value,
        runs=(Path(f"runs/s/skip={value}-seed0"), Path(f"runs/s/skip={value}-seed1")),
        seconds=(70.0, 80.0),
        figures={"mIoU": (0.8 + shift, 0.82 + shift), "dice": (0.9, None)},
        means={"mIoU": 0.81 + shift, "dice": None},
        differences=differences,
    )


def difference(mean: float | None, low: float | None, high: float | None) -> Difference:
    return Difference(mean=mean, low=low, high=high, left_out=0)


COMPARISON = Comparison(
    key="skip",
    split="test",
    pictures=32,
    seeds=2,
    metrics=("mIoU", "dice"),
    resamples=1000,
    variants=(
        variant("concat", 0.0),
        variant("none", -0.021, mIoU=difference(-0.021, -0.034, -0.008), dice=difference(None, None, None)),
    ),
    sentences=(SENTENCE,),
)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    calls = SimpleNamespace(
        result=AblateResult(folder=Path("runs/s"), finished=True, comparison=COMPARISON), config=None
    )

    def ablate(config: Any, over: str, *, listener: Any, **others: Any) -> Any:
        calls.config, calls.over, calls.others = config, over, others
        return calls.result

    monkeypatch.setattr(workflow, "ablate", ablate)
    return calls


def test_flags_arrive_where_they_belong(cli, called, tmp_path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text("[training]\nepochs = 1\nclip = 0.5\n")
    words = "ablate cells --over width=8,16 --seeds 2 --split val --model unet --epochs 7 --name n --out o"
    words += " --backbone resnet34 --skip add"
    assert cli(*words.split(), "--format", "mask folder", "--recipe", recipe, "--set", "optimizer.lr=0.1").code == 0
    config = called.config
    assert (config.data.path, config.data.format, config.model.name) == ("cells", "mask folder", "unet")
    assert (config.training.epochs, config.training.clip, config.optimizer.lr) == (7, 0.5, 0.1)
    assert config.model.arguments == {"backbone": "resnet34", "skip": "add"}
    assert called.over == "width=8,16"
    assert called.others == {"seeds": 2, "split": "val", "name": "n", "out": Path("o")}


def test_the_defaults(cli, called) -> None:
    assert cli("ablate", "cells", "--over", "skip=concat,none").code == 0
    assert called.others == {"seeds": 3, "split": None, "name": None, "out": Path("runs")}


def test_a_table_for_each_figure_and_the_difference_in_words(cli, called) -> None:
    lines = [line.split() for line in cli("ablate", "cells", "--over", "skip=concat,none").out.splitlines()]
    assert lines[0] == ["skip:", "2", "variants,", "2", "seeds,", "32", "pictures", "of", "the", "test", "split"]
    assert ["skip", "mIoU", "seed", "0", "seed", "1", "difference", "95", "%", "interval", "time", "a", "run"] in lines
    assert ["concat", "0.810", "0.800", "0.820", "reference", "1:15"] in lines
    assert ["none", "0.789", "0.779", "0.799", "-0.021", "[-0.034,", "-0.008]", "1:15"] in lines
    assert ["skip", "dice", "seed", "0", "seed", "1", "difference", "95", "%", "interval"] in lines
    assert ["none", "-", "0.900", "-", "-", "-"] in lines
    assert SENTENCE.split() in lines
    assert lines[-1] == ["runs:", "runs/s"]


def test_everything_as_one_json_object(cli, called) -> None:
    done = cli("ablate", "cells", "--over", "skip=concat,none", "--json")
    said = json.loads(done.out)
    assert done.out.count("\n") == 1
    assert (said["folder"], said["finished"]) == ("runs/s", True)
    none = said["comparison"]["variants"][1]
    assert none["differences"]["mIoU"] == {"mean": -0.021, "low": -0.034, "high": -0.008, "left_out": 0}
    assert none["runs"][1] == "runs/s/skip=none-seed1"


def test_a_stop_says_what_to_type(cli, called) -> None:
    called.result = AblateResult(folder=Path("runs/s"), finished=False)
    words = ["ablate", "my cells", "--over", "skip=concat,none", "--name", "s"]
    done = cli(*words)
    assert (done.code, done.out) == (1, "")
    assert "Go on with: sightline ablate 'my cells' --over skip=concat,none --name s" in done.said


def test_what_differs_must_be_named(cli, called) -> None:
    done = cli("ablate", "cells")
    assert (done.code, called.config) == (2, None)
    assert "--over" in done.err
    done = cli("ablate", "--over", "skip=concat,none")
    assert (done.code, called.config) == (2, None)
    assert "sightline ablate DATA" in done.said
