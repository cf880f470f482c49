"""What the flags of a verb that trains add up to, with its recipe and its --set."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import ConfigError

if TYPE_CHECKING:
    from sightline.config import RunConfig


def given(flags: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of the flags that stand for a key of the recipe, each with its table, those that have a value.

    >>> given({"--epochs": {"training": {"epochs": 3}}, "--seed": {"seed": None}})
    {'--epochs': {'training': {'epochs': 3}}}
    """
    return {flag: table for flag, table in flags.items() if _value(table) is not None}


def composed(
    verb: str, recipe: Path | None, tables: Mapping[str, dict[str, Any]], settings: list[str] | None
) -> "RunConfig":
    """What a verb that trains was told: the recipe, flags over it, --set over both. Raises `ConfigError` without data."""
    from sightline.config import compose, parse_setting, read_recipe

    layers: list[tuple[str, Mapping[str, Any]]] = [(str(recipe), read_recipe(recipe))] if recipe else []
    layers += tables.items()
    layers += [(f"--set {text}", parse_setting(text)) for text in settings or []]
    config = compose(layers)
    if not config.data.path:
        raise ConfigError(
            f"No data given. Name a folder or a file: sightline {verb} DATA. To try it: sightline sample digits"
        )
    return config


def _value(table: Any) -> Any:
    while isinstance(table, dict):
        table = next(iter(table.values()))
    return table
