"""Recipes: strict reading, layering, and a round trip."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.config import RunConfig, compose, parse_setting, read_recipe, to_table, to_toml
from sightline.errors import ConfigError


def test_the_recipe_comes_first_then_flags_then_settings() -> None:
    recipe = {"seed": 1, "training": {"epochs": 5, "batch_size": 8}, "model": {"name": "resnet34"}}
    flags = {"seed": 2, "training": {"epochs": 6}}
    config = compose([("r.toml", recipe), ("flags", flags), ("--set", parse_setting("training.epochs=7"))])
    assert (config.seed, config.training.epochs, config.training.batch_size, config.model.name) == (2, 7, 8, "resnet34")


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"trainning": {}}, r"r\.toml: unknown key trainning\. Did you mean training\?"),
        ({"training": {"epoch": 1}}, r"r\.toml: unknown key training\.epoch\. Did you mean training\.epochs\?"),
        ({"training": 3}, r"r\.toml: training is a section, got 3"),
        ({"training": {"epochs": "ten"}}, r"r\.toml: training\.epochs: expected a whole number, got 'ten'"),
        ({"training": {"epochs": 1.5}}, r"training\.epochs: expected a whole number, got 1\.5"),
        ({"training": {"epochs": True}}, r"training\.epochs: expected a whole number, got True"),
        ({"training": {"compile": 1}}, r"training\.compile: expected true or false, got 1"),
        (
            {"training": {"precision": "fp8"}},
            r"training\.precision: expected one of 'auto', 'float32', 'bf16', got 'fp8'",
        ),
        ({"augmentation": {"scale": [0.1]}}, r"augmentation\.scale: expected 2 values, got 1"),
        ({"training": {"epochs": 0}}, r"training\.epochs: expected 1 or more, got 0"),
        ({"data": {"max_bad": 2.0}}, r"data\.max_bad: expected a share"),
        ({"model": {"weights": 3}}, r"model\.weights: expected text, got 3"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(table: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        compose([("r.toml", table)])


def test_a_recipe_goes_through_toml(tmp_path: Path) -> None:
    changes = {
        "seed": 3,
        "model": {"name": "resnet50", "arguments": {"stem": "small", "zero_init": True}},
        "optimizer": {"lr": 0.1, "schedule": "step", "step_at": [0.3, 0.9]},
        "augmentation": {"scale": [0.2, 1], "mixup": 0.2},
        "data": {"path": 'a "quoted" \\ folder'},
    }
    config = compose([("here", changes)])
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(config, "A heading\nof two lines"), encoding="utf-8")
    assert path.read_text().startswith("# A heading\n# of two lines\n")
    assert compose([("again", read_recipe(path))]) == config


@pytest.mark.slow
@given(
    st.integers(0, 2**31),
    st.floats(1e-6, 10, allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
)
def test_any_values_go_through_toml(seed: int, lr: float, path: str) -> None:
    import tomllib

    config = compose([("here", {"seed": seed, "optimizer": {"lr": lr}, "data": {"path": path}})])
    assert compose([("again", tomllib.loads(to_toml(config)))]) == config


def test_what_is_not_set_is_not_written() -> None:
    assert "lr" not in to_table(RunConfig())["optimizer"]


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("a=1", {"a": 1}),
        ("a.b=1.5", {"a": {"b": 1.5}}),
        ("a=true", {"a": True}),
        ("a=[1, 2]", {"a": [1, 2]}),
        ("a=resnet18", {"a": "resnet18"}),
        ('a="3"', {"a": "3"}),
        ("a=", {"a": ""}),
        ("a=b=c", {"a": "b=c"}),
    ],
)
def test_settings_are_toml_or_text(text: str, table: dict[str, object]) -> None:
    assert parse_setting(text) == table


@pytest.mark.parametrize("text", ["training.epochs", "=3"])
def test_a_setting_needs_key_and_value(text: str) -> None:
    with pytest.raises(ConfigError, match="expected KEY=VALUE"):
        parse_setting(text)


def test_a_missing_or_torn_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no recipe at .*none\.toml"):
        read_recipe(tmp_path / "none.toml")
    path = tmp_path / "torn.toml"
    path.write_text("[training\nepochs = 3")
    with pytest.raises(ConfigError, match=r"torn\.toml is not a readable TOML file: .*line 1"):
        read_recipe(path)
