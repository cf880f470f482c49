"""What a comparison trains, and what of it stands already."""

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.config import compose
from sightline.errors import ConfigError
from sightline.workflows.variants import Over, Planned, parse_over, plan_runs


def _base(**sections: Any) -> Any:
    return compose([("test", {"data": {"path": "cells"}, **sections})])


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("skip=concat,none", "skip", ("concat", "none")),
        (" skip = concat , none ,add", "skip", ("concat", "none", "add")),
        ("optimizer.lr=0.001,1e-2", "optimizer.lr", (0.001, 0.01)),
        ("training.compile=true,false", "training.compile", (True, False)),
        ("training.precision=bf16,float32", "training.precision", ("bf16", "float32")),
        ("width=8,sixteen", "width", (8, "sixteen")),
        ('stages=["c2"],["c2", "c3"]', "stages", (["c2"], ["c2", "c3"])),
        ("model.weights=none,runs/a=b", "model.weights", ("none", "runs/a=b")),
    ],
)
def test_values_are_read_as_those_of_set(text, key, values) -> None:
    assert parse_over(text) == Over(key, values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("skip", r"--over skip: expected KEY=VALUE,VALUE, for example --over skip=concat,none"),
        ("=a,b", r"--over =a,b: expected KEY=VALUE,VALUE"),
        ("model.=a,b", r"--over model.=a,b: expected KEY=VALUE,VALUE"),
        ("skip=concat", r"--over skip: expected two or more different values, got 1\. For example"),
        ("skip=", r"--over skip: expected two or more different values, got 0\."),
        ("skip=concat,", r"--over skip=concat,: a value is empty"),
        ("skip=concat,none,concat", r"expected two or more different values, got concat twice"),
        ("optimizer.lr=0.1,0.10", r"got 0.1 twice"),
        ("seed=1,2", r"--over seed: all variants are trained with the same seeds \(--seeds\)"),
        ("data.path=a,b", r"--over data.path: all variants are .* measured on the same pictures"),
        ("model=unet,unet_2015", r"--over model: this is a section of the recipe. Name a key in it: model.name,"),
    ],
)
def test_what_cannot_be_compared_is_refused(text, said) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_over(text)


def test_a_run_for_each_seed_and_value(tmp_path: Path) -> None:
    base = _base(model={"arguments": {"skip": "add", "width": 8}}, seed=9)
    planned = plan_runs(base, parse_over("skip=concat,none"), 2, tmp_path)
    assert [plan.run.name for plan in planned] == [
        "skip=concat-seed0", "skip=none-seed0", "skip=concat-seed1", "skip=none-seed1"]  # fmt: skip
    assert [plan.config.seed for plan in planned] == [0, 0, 1, 1]
    assert [plan.config.model.arguments for plan in planned[:2]] == [
        {"skip": "concat", "width": 8}, {"skip": "none", "width": 8}]  # fmt: skip
    assert Path(planned[0].config.data.path).is_absolute()


def test_folders_are_named_by_what_a_folder_can_be_called(tmp_path: Path) -> None:
    weights = plan_runs(_base(), parse_over("model.weights=none,old/best.safetensors"), 1, tmp_path)
    assert weights[1].run.name == "model.weights=old_best.safetensors-seed0"
    assert Path(weights[1].config.model.weights).is_absolute()
    with pytest.raises(ConfigError, match="would lie in the same folder"):
        plan_runs(_base(), parse_over("model.weights=a/b,a:b"), 1, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training.epoch=1,2", "--over training.epoch=1: unknown key training.epoch. Did you mean training.epochs?"),
        ("training.epochs=1,many", "--over training.epochs=many: training.epochs: expected a whole number, got 'many'"),
    ],
)
def test_a_wrong_key_or_value_names_its_source(text, said, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        plan_runs(_base(), parse_over(text), 1, tmp_path)
    assert said in str(raised.value)


def _begun(tmp_path: Path, **sections: Any) -> Planned:
    plan = plan_runs(_base(**sections), parse_over("skip=concat,none"), 1, tmp_path)[0]
    plan.run.mkdir(exist_ok=True)
    (plan.run / "splits.csv").touch()
    return plan


def test_a_run_that_was_begun_otherwise_is_named_with_what_differs(tmp_path: Path) -> None:
    plan = _begun(tmp_path, training={"epochs": 1})
    with pytest.raises(ConfigError, match=r"skip=concat-seed0 was not begun by this comparison"):
        plan.require_same()
    plan.note()
    plan.require_same()
    other = _begun(tmp_path, training={"epochs": 2}, optimizer={"lr": 0.5})
    with pytest.raises(ConfigError) as raised:
        other.require_same()
    said = str(raised.value)
    assert f"{other.run} was begun with another recipe" in said
    assert "optimizer.lr not given, now 0.5, training.epochs 1, now 2" in said


def test_a_folder_without_anything_has_not_begun(tmp_path: Path) -> None:
    plan = plan_runs(_base(), parse_over("skip=concat,none"), 1, tmp_path)[0]
    assert not plan.has_begun()
    plan.run.mkdir()
    plan.require_same()
    assert not plan.has_begun()
    assert plan.seconds() is None


@pytest.mark.parametrize(
    ("training", "best", "seconds"),
    [
        ({"epochs": 3}, [True, True, False], 6.0),
        ({"epochs": 4}, [True, True, False], None),
        ({"epochs": 9, "patience": 2}, [True, False, False], 6.0),
        ({"epochs": 9, "patience": 2}, [False, True, False], None),
        ({"epochs": 1}, [], None),
    ],
)
def test_a_run_is_finished_with_its_last_epoch_or_its_patience(training, best, seconds, tmp_path: Path) -> None:
    plan = _begun(tmp_path, training=training)
    rows = [{"event": "step", "epoch": 9, "seconds": 9.0}] if not best else []
    for epoch, better in enumerate(best, start=1):
        rows.append({"event": "epoch", "step": epoch, "epoch": epoch, "best": better, "seconds": 2.0 * epoch})
    (plan.run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert plan.seconds() == seconds
