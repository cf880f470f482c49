"""`sightline explain` with the work itself replaced."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sightline.inference.explain import Cam, ClassMap
from sightline.inference.proposals import Level, Proposals
from sightline.ops.cells import Cells
from sightline.structures import ClassificationPrediction, DetectionPrediction
from sightline.workflows import explain as explain_workflow
from sightline.workflows.explain import Explained, ExplainResult

SAID = ClassificationPrediction(torch.tensor([0.75, 0.25]))


def found(way: str) -> Cam | ClassMap | Proposals:
    """A map of 1 x 2 cells."""
    if way == "proposals":
        return proposed()
    place: dict[str, Any] = {"label": 1, "prediction": SAID, "down": Cells(8.0, 16.0), "across": Cells(4.0, 16.0)}
    if way == "cam":
        return Cam(stage="c5", values=torch.tensor([[0.0, 1.5]]), seen=(0.0, 2.0, 32.0, 34.0), **place)
    return ClassMap(probabilities=torch.tensor([[[0.9, 0.4]], [[0.1, 0.6]]]), window=(16.0, 20.0), size=64, **place)


def proposed() -> Proposals:
    """Two ratios and one size a cell, two proposals, one detection."""
    references = torch.tensor([[[-8.0, -4.0, 8.0, 4.0]], [[-4.0, -8.0, 4.0, 8.0]]])
    objectness = torch.tensor([[[0.25], [0.5]], [[0.75], [0.125]]]).view(1, 2, 2, 1)
    down, across = Cells(0.0, 16.0), Cells(0.0, 20.0)
    box = torch.tensor([[1.0, 2.0, 3.125, 4.0]])
    return Proposals(
        size=(16, 40),
        levels=(Level(name="c4", objectness=objectness, references=references, down=down, across=across),),
        place=(0, 0, 1),
        boxes=torch.cat([box, 2 * box]),
        objectness=torch.tensor([0.75, 0.5]),
        origins=torch.tensor([[0, 0, 1, 0], [0, 0, 0, 1]]),
        proposed=4,
        detections=DetectionPrediction(boxes=box, scores=torch.tensor([0.9]), labels=torch.tensor([1])),
    )


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    calls = SimpleNamespace(given=None, bad=())
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Path(name).touch()

    def explain(run: Any, paths: Any, ways: Any, **others: Any) -> ExplainResult:
        calls.given = {"run": run, "paths": paths, "ways": ways, **others}
        rows = [
            Explained(path=path, way=way, found=None, error=f"{path}: torn")
            if path.name in calls.bad
            else Explained(path=path, way=way, found=found(way))
            for path in paths
            for way in ways
        ]
        return ExplainResult(class_names=("cat", "dog"), rows=rows)

    def draw(result: ExplainResult, files: list[Path]) -> list[Path | None]:
        return [file if row.found else None for row, file in zip(result.rows, files, strict=True)]

    monkeypatch.setattr(explain_workflow, "explain", explain)
    monkeypatch.setattr(explain_workflow, "draw_explanations", draw)
    return calls


def test_for_people(cli, explained) -> None:
    done = cli("explain", "runs/first", "a.png", "--cam", "--dense")
    assert done.code == 0
    assert (explained.given["run"], explained.given["ways"]) == (Path("runs/first"), ["cam", "dense"])
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[:2] == [
        ["picture", "class", "probability", "predicted", "score"],
        ["a.png", "dog", "0.250", "cat", "0.750"],
    ]
    assert [line[-1] for line in lines[2:]] == [f"runs/first/pictures/explain_{way}_a.png" for way in ("cam", "dense")]


def test_as_json(cli, explained) -> None:
    done = cli(
        "explain", "runs/first", "a.png", "--dense", "--cam", "--class", "dog", "--stage", "c5", "--size", 64, "--json"
    )
    assert (done.code, done.err) == (0, "")
    assert {key: explained.given[key] for key in ("class_name", "stage", "size")} == {
        "class_name": "dog",
        "stage": "c5",
        "size": 64,
    }
    said = json.loads(done.out)
    assert (said["run"], said["class_names"]) == ("runs/first", ["cat", "dog"])
    both = {
        "path": "a.png",
        "class": "dog",
        "probability": 0.25,
        "predicted": {"label": "cat", "score": 0.75},
        "centres": {"x": [4.0, 20.0], "y": [8.0]},
        "error": None,
    }
    assert said["explanations"] == [
        {
            **both,
            "way": "cam",
            "map": [[0.0, 1.5]],
            "stage": "c5",
            "seen": [0.0, 2.0, 32.0, 34.0],
            "file": "runs/first/pictures/explain_cam_a_dog_c5.png",
        },
        {
            **both,
            "way": "dense",
            "map": [[0.1, 0.6]],
            "classes": [["cat", "dog"]],
            "size": 64,
            "window": {"height": 16.0, "width": 20.0},
            "file": "runs/first/pictures/explain_dense_a_dog_c5.png",
        },
    ]


def test_proposals_for_people(cli, explained) -> None:
    done = cli("explain", "runs/first", "a.png", "--proposals")
    assert (done.code, explained.given["ways"]) == (0, ["proposals"])
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[:2] == [["picture", "reference", "boxes", "proposals", "detections"], ["a.png", "4", "4", "1"]]
    assert lines[2] == ["wrote", "runs/first/pictures/explain_proposals_a.png"]


def test_proposals_as_json(cli, explained) -> None:
    done = cli("explain", "runs/first", "a.png", "--proposals", "--json")
    assert json.loads(done.out)["explanations"] == [
        {
            "path": "a.png",
            "way": "proposals",
            "reference_boxes_a_cell": 2,
            "levels": [
                {
                    "stage": "c4",
                    "cells": {"height": 1, "width": 2},
                    "step": {"x": 20.0, "y": 16.0},
                    "reference_boxes": [[-8.0, -4.0, 8.0, 4.0], [-4.0, -8.0, 4.0, 8.0]],
                    "objectness": 0.75,
                }
            ],
            "place": {"stage": "c4", "row": 0, "column": 1, "x": 20.0, "y": 0.0},
            "proposed": 4,
            "proposals": [
                {
                    "box": [1.0, 2.0, 3.12, 4.0],
                    "objectness": 0.75,
                    "from": {"stage": "c4", "row": 0, "column": 1, "reference_box": 0},
                },
                {
                    "box": [2.0, 4.0, 6.25, 8.0],
                    "objectness": 0.5,
                    "from": {"stage": "c4", "row": 0, "column": 0, "reference_box": 1},
                },
            ],
            "detections": [{"label": "dog", "score": 0.9, "box": [1.0, 2.0, 3.12, 4.0]}],
            "file": "runs/first/pictures/explain_proposals_a.png",
            "error": None,
        }
    ]


def test_unreadable_pictures_are_named(cli, explained) -> None:
    explained.bad = ("a.png",)
    done = cli("explain", "runs/first", "a.png", "b.png", "--cam", "--json")
    assert done.code == 1
    assert json.loads(done.out)["explanations"][0] == {
        "path": "a.png",
        "way": "cam",
        "file": None,
        "error": "a.png: torn",
    }
    shown = cli("explain", "runs/first", "a.png", "b.png", "--cam").out
    assert "b.png" in shown
    assert "a.png" not in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.png"], "Say how: --cam, --dense, or both; --proposals for a detector."),
        (["none.png", "--cam"], "none.png: no such file"),
        (["a.png", "--cam", "--out", "there.png"], "there.png exists already and is not overwritten."),
        (["a.png", "b.png", "--cam", "--out", "new.png"], "--out new.png: 2 pictures come of this."),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_work(cli, explained, words, said) -> None:
    Path("there.png").touch()
    done = cli("explain", "runs/first", *words)
    assert (done.code, explained.given) == (2, None)
    assert said in done.said


def test_files_are_replaced_when_told(cli, explained) -> None:
    Path("there.png").touch()
    done = cli("explain", "runs/first", "a.png", "--cam", "--out", "there.png", "--overwrite")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "wrote there.png"
