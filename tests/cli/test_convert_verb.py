"""`sightline convert`, on a data set of four pictures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image


def pictures(root: Path) -> Path:
    for number, name in enumerate(("a/1", "a/2", "b/1", "b/2")):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number).save(path)
    return root


def test_what_people_see(cli: Callable[..., Any], tmp_path: Path) -> None:
    done = cli("convert", pictures(tmp_path / "set"), tmp_path / "out", "--format", "idx")
    assert done.code == 0
    assert done.out.splitlines() == [
        f"{tmp_path}/out: 4 pictures as idx (train 4)",
        "not held: The data set has no splits; all of it is written as train.",
        "not held: Classes have no names in it; their numbers are 0 a, 1 b.",
        "not held: Pictures have no names in it; they are called by file and number.",
        f"next: sightline train {tmp_path}/out",
    ]


def test_what_programs_see(cli: Callable[..., Any], tmp_path: Path) -> None:
    words = ("convert", pictures(tmp_path / "set"), tmp_path / "t.csv", "--format", "csv", "--json")
    done = cli(*words)
    result = json.loads(done.out)
    assert (result["pictures"], result["format"], result["read_as"], result["lost"]) == (4, "csv", "image folder", [])
    again = cli(*words)
    assert again.code == 2
    assert "t.csv exists already" in again.said


def test_wrong_formats(cli: Callable[..., Any], tmp_path: Path) -> None:
    done = cli("convert", pictures(tmp_path / "set"), tmp_path / "out", "--format", "voc")
    assert done.code == 2
    assert "Formats that can: 'image folder', csv, parquet, idx, shards." in done.said
    assert cli("convert", tmp_path / "set", tmp_path / "out").code == 2
