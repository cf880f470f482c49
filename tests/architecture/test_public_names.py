"""What users may import, and what an import costs."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sightline

PUBLIC = [
    "SightlineError",
    "__version__",
    "ablate",
    "check",
    "convert",
    "create_model",
    "describe",
    "evaluate",
    "explain",
    "load",
    "predict",
    "read",
    "resume",
    "shard",
    "split",
    "train",
    "write_digits",
    "write_scenes",
]

HEAVY = {"torch", "torchvision", "numpy", "PIL", "matplotlib", "sklearn", "safetensors", "rich", "pyarrow"}


def test_the_public_names_are_these() -> None:
    assert sightline.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(sightline))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there_and_described(name: str) -> None:
    value = getattr(sightline, name)
    assert value is getattr(sightline, name)
    if name != "__version__":
        assert value.__name__ == name
        assert value.__doc__


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'trian'.*create_model"):
        sightline.trian  # noqa: B018


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert sightline.__version__ == project["version"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "import sightline",
        "import sightline.cli.main",
        "from sightline.cli.main import main; main(['--help'])",
        "from sightline.cli.main import main; main(['train', '--help'])",
    ],
)
def test_nothing_heavy_is_imported(statement: str) -> None:
    print_loaded = (
        "import sys, json; print(); print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{print_loaded}"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "sightline" in loaded
    assert loaded & HEAVY == set()
