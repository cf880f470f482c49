"""`sightline split`, and who takes its file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.workflows import evaluate as evaluate_workflow
from sightline.workflows import train as train_workflow


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for number in range(20):
        path = tmp_path / "photos" / "ab"[number % 2] / f"patient-{number // 4}_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (16, 16), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def test_what_people_see(cli: Callable[..., Any], photos: Path, tmp_path: Path) -> None:
    done = cli(
        "split", photos, "--val", "0.2", "--test", "0.2", "--group-by", r"patient-(\d+)", "--out", tmp_path / "s.csv"
    )
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == f"{tmp_path}/s.csv: train 12, val 4, test 4 pictures"
    assert lines[1] == "5 groups by name; the largest group has 4 pictures"
    assert [line.split() for line in lines[3:6]] == [
        ["pictures", "with", "train", "val", "test"],
        ["a", "6", "2", "2"],
        ["b", "6", "2", "2"],
    ]
    assert lines[-1] == f"next: sightline train {photos} --splits {tmp_path}/s.csv"


def test_without_val_training_is_not_what_comes_next(cli: Callable[..., Any], photos: Path, tmp_path: Path) -> None:
    done = cli("split", photos, "--val", "0", "--out", tmp_path / "s.csv")
    assert done.code == 0
    assert "--val 0.1" in done.out.splitlines()[-1]


def test_what_programs_see(cli: Callable[..., Any], photos: Path, tmp_path: Path) -> None:
    words = ("split", photos, "--out", tmp_path / "s.csv", "--json")
    result = json.loads(cli(*words).out)
    assert result["splits"] == {"train": 16, "val": 2, "test": 2}
    assert result["classes"]["a"] == {"train": 8, "val": 1, "test": 1}
    again = cli(*words)
    assert again.code == 2
    assert "exists already and is not overwritten" in again.said


def test_train_and_evaluate_are_told(cli: Callable[..., Any], photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def start(config: Any, **others: Any) -> None:
        told.append(config.data.splits)
        raise KeyboardInterrupt

    monkeypatch.setattr(train_workflow, "start", start)
    cli("train", photos, "--splits", "s.csv")
    assert told == ["s.csv"]

    def evaluate(run: Path, data: Any, **others: Any) -> None:
        told.append(data)
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate_workflow, "evaluate", evaluate)
    cli("evaluate", "runs/first", photos, "--splits", "s.csv")
    assert (told[1].path, told[1].splits) == (str(photos), "s.csv")
    done = cli("evaluate", "runs/first", "--splits", "s.csv")
    assert done.code == 2
    assert "Name DATA too" in done.said
