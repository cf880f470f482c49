"""What a comparison trains: one key of the recipe with several values, and a run for each value and each seed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from sightline.config import RunConfig, compose, parse_setting, read_recipe, to_table, to_toml
from sightline.errors import ConfigError
from sightline.files import write_atomic
from sightline.training.runlog import read_log
from sightline.workflows.train import with_whole_paths

EQUAL = ("task", "seed", "data.path", "data.format", "data.split_seed", "data.splits", "data.val", "data.test")
"""Keys that all variants share: with other pictures or other seeds, figures could not be compared in pairs."""


@dataclass(frozen=True, slots=True)
class Over:
    """A key of the recipe and the values that it is given; the first is the reference.

    A key without a dot is an argument of the network. Raises `ConfigError` for fewer than two different values, for a section
    of the recipe, and for what all variants must share.
    """

    key: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        example = "For example --over skip=concat,none or --over optimizer.lr=0.001,0.003."
        if self.key in EQUAL:
            raise ConfigError(
                f"--over {self.key}: all variants are trained with the same seeds (--seeds) and measured on the same pictures, "
                "so this is the same for all of them. Name another key."
            )
        section = get_type_hints(RunConfig).get(self.key)
        if isinstance(section, type) and is_dataclass(section):
            keys = ", ".join(f"{self.key}.{entry.name}" for entry in fields(section))
            raise ConfigError(f"--over {self.key}: this is a section of the recipe. Name a key in it: {keys}.")
        twice = [value for place, value in enumerate(self.values) if value in self.values[:place]]
        if len(self.values) < 2 or twice:
            got = f"{shown(twice[0])} twice" if twice else f"{len(self.values)}"
            raise ConfigError(f"--over {self.key}: expected two or more different values, got {got}. {example}")

    def table(self, value: Any) -> dict[str, Any]:
        """One of the values as a table of the recipe.

        >>> Over("skip", ("concat", "none")).table("none")
        {'model': {'arguments': {'skip': 'none'}}}
        """
        dotted = self.key if "." in self.key else f"model.arguments.{self.key}"
        for part in reversed(dotted.split(".")):
            value = {part: value}
        return dict(value)


def parse_over(text: str) -> Over:
    """An `--over KEY=VALUE,VALUE`; values are read as those of `--set`.

    >>> parse_over("optimizer.lr=0.001,0.003"), parse_over('stages=["c2"],["c2", "c3"]').values
    (Over(key='optimizer.lr', values=(0.001, 0.003)), (['c2'], ['c2', 'c3']))
    """
    key, sign, listed = (part.strip() for part in text.partition("="))
    if not sign or not all(key.split(".")):
        raise ConfigError(f"--over {text}: expected KEY=VALUE,VALUE, for example --over skip=concat,none.")
    together = parse_setting(f"values=[{listed}]")["values"]
    if isinstance(together, list):
        return Over(key, tuple(together))
    values = [value.strip() for value in listed.split(",")]
    if not all(values):
        raise ConfigError(f"--over {text}: a value is empty. Values are divided by one comma each.")
    return Over(key, tuple(parse_setting(f"value={value}")["value"] for value in values))


def shown(value: Any) -> str:
    """A value as people write it: concat, 0.001, true."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One training of a comparison."""

    value: Any
    seed: int
    run: Path
    """Its run folder, whether it is there yet or not."""
    config: RunConfig
    """As it was asked for, with what is decided from the data left open."""

    @property
    def asked(self) -> Path:
        """The file beside the run folder with what was asked when it began; a recipe by itself."""
        return self.run.with_name(f"{self.run.name}.toml")

    def has_begun(self) -> bool:
        """Whether anything is in its folder."""
        return self.run.is_dir() and any(self.run.iterdir())

    def note(self) -> None:
        """Write down what is asked for."""
        write_atomic(
            self.asked, to_toml(self.config, "What was asked for; the run folder has what was decided.").encode()
        )

    def require_same(self) -> None:
        """Raise `ConfigError` when the run has begun with another recipe than is asked for now."""
        if not self.has_begun():
            return
        if not self.asked.is_file():
            raise ConfigError(f"{self.run} was not begun by this comparison. Choose another --name, or remove it.")
        before = compose([(str(self.asked), read_recipe(self.asked))])
        if before != self.config:
            old, new = _flat(to_table(before)), _flat(to_table(self.config))
            differ = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
            first = ", ".join(f"{key} {_told(old.get(key))}, now {_told(new.get(key))}" for key in differ[:3])
            raise ConfigError(
                f"{self.run} was begun with another recipe: {first}. Ask for the same again, or choose another --name."
            )

    def seconds(self) -> float | None:
        """Seconds that its training took; None as long as it is not finished."""
        epochs = [record for record in read_log(self.run / "log.jsonl") if record.get("event") == "epoch"]
        if not epochs:
            return None
        training, last = self.config.training, epochs[-1]
        best = max((record["epoch"] for record in epochs if record["best"]), default=0)
        stopped_early = bool(training.patience) and last["epoch"] - best >= training.patience
        return float(last["seconds"]) if last["epoch"] >= training.epochs or stopped_early else None


def plan_runs(base: RunConfig, over: Over, seeds: int, folder: Path) -> list[Planned]:
    """A run for each seed and value in `folder`, all values of a seed before the next one.

    Raises `ConfigError` for a key that there is not, a value that it cannot have, and values whose folders would be the same.
    """
    planned = []
    for seed in range(seeds):
        for value in over.values:
            layers: list[tuple[str, Mapping[str, Any]]] = [("recipe", to_table(replace(base, seed=seed)))]
            config = with_whole_paths(compose([*layers, (f"--over {over.key}={shown(value)}", over.table(value))]))
            name = re.sub(r"[^\w.=+-]+", "_", f"{over.key}={shown(value)}")
            planned.append(Planned(value=value, seed=seed, run=folder / f"{name}-seed{seed}", config=config))
    if len({plan.run for plan in planned}) < len(planned):
        raise ConfigError(
            f"--over {over.key}: the runs of two values would lie in the same folder, {planned[0].run.name} and the like. "
            "Their names differ in signs alone that folders do not have: name files and folders otherwise."
        )
    return planned


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _told(value: Any) -> str:
    return "not given" if value is None else shown(value)
