"""A new option is a decision: this list is changed with it, and the reference pages with `make docs`."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import typer

from sightline.cli.main import app

ROOT = Path(__file__).parents[2]

OPTIONS = {
    "train": [
        "DATA", "--model", "--backbone", "--neck", "--skip", "--recipe", "--weights", "--backbone-weights", "--freeze",
        "--epochs", "--name", "--out", "--seed", "--processes", "--compile", "--resume", "--set", "--splits", "--format",
        "--task", "--json",
    ],
    "split": ["DATA", "--val", "--test", "--seed", "--group-by", "--out", "--format", "--json"],
    "evaluate": ["RUN", "DATA", "--split", "--crops", "--voc", "--splits", "--format", "--json"],
    "ablate": [
        "--over", "DATA", "--seeds", "--split", "--model", "--backbone", "--skip", "--recipe", "--epochs", "--name", "--out",
        "--set", "--format", "--json",
    ],
    "predict": ["RUN", "PATH...", "--out", "--job", "--overwrite", "--json"],
    "explain": [
        "RUN", "IMAGE...", "--cam", "--dense", "--proposals", "--class", "--stage", "--size", "--out", "--overwrite", "--json",
    ],
    "convert": ["IN", "OUT", "--format", "--from", "--json"],
    "check": ["DATA", "--format", "--task", "--splits", "--out", "--write-fixed", "--overwrite", "--json"],
    "shard": ["DATA", "OUT", "--size", "--pictures", "--seed", "--splits", "--format", "--json"],
    "models": ["--json"],
    "describe": ["MODEL", "--image-size", "--num-classes", "--set", "--layers", "--out", "--overwrite", "--json"],
    "sample": ["OUT", "--kind", "--seed", "--json"],
    "demo": ["--out", "--json"],
}  # fmt: skip


def test_the_verbs_and_their_options_are_these() -> None:
    root = typer.main.get_command(app)
    found = {
        name: [p.metavar if p.param_type_name == "argument" else p.opts[0] for p in verb.params]
        for name, verb in root.commands.items()
    }
    assert found == OPTIONS
    assert [option for parameter in root.params for option in parameter.opts] == ["--version"]


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_option_is_explained(verb) -> None:
    command = typer.main.get_command(app).commands[verb]
    assert all(parameter.help for parameter in command.params)


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_pages_are_what_the_code_gives() -> None:
    written = reference()
    kept = {path.name: path.read_text() for path in written.FOLDER.glob("*.md")}
    assert kept == written.pages(), "the reference pages are out of date: make docs"


def test_the_page_of_recipe_keys_is_what_the_code_gives() -> None:
    """Every key is there with its text."""
    written = reference()
    text = written.recipe_page()
    assert written.RECIPE.read_text() == text, "the reference pages are out of date: make docs"
    assert "| `balance` | number | `0` | Class weights from the training masks" in text
    assert '| `schedule` | `"cosine"`, `"step"`, `"one-cycle"`, `"constant"` | `"cosine"` | How' in text
    assert "\n## [masks]\n\nHow training pictures with masks are varied. Of pictures with masks.\n" in text
    empty = [line for line in text.splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert not empty
