"""The other verbs with the work itself replaced."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sightline.cli.output import print_table
from sightline.data import samples
from sightline.data.samples import write_scenes
from sightline.workflows import demo as demo_workflow
from sightline.workflows import evaluate as evaluate_workflow
from sightline.workflows import predict as predict_workflow
from sightline.workflows.predict import FoundObject, PredictResult, Row

FOUND: dict[str, Any] = {
    "run": "runs/found",
    "task": "detection",
    "split": "test",
    "images": 7,
    **{"AP": 0.5, "AP50": 0.9, "AP75": 0.4, "APs": None, "APm": 0.5, "APl": 0.6, "AR1": 0.2, "AR10": 0.6, "AR100": 0.7},
    "per_class": [
        {"name": "cat", "ap": 0.5, "ap50": 0.9, "objects": 3},
        {"name": "dog", "ap": None, "ap50": None, "objects": 0},
    ],
    "errors": {"class": {"count": 2, "ap50_gained": 0.05}, "missed": {"count": 1, "ap50_gained": None}},
}
COVERED: dict[str, Any] = {
    "task": "segmentation",
    "split": "test",
    "images": 7,
    "seconds": 2.0,
    **{"mIoU": 0.85, "dice": 0.9, "pixel_accuracy": 0.95, "boundary_f": None},
    "per_class": [
        {"name": "background", "iou": 0.97, "dice": 0.98, "pixels": 1234567},
        {"name": "0", "iou": 0.73, "dice": 0.82, "pixels": 2345},
        {"name": "1", "iou": None, "dice": None, "pixels": 0},
    ],
}
EVALUATION: dict[str, Any] = {
    "run": "runs/first",
    "data": "digits",
    "split": "test",
    "crops": 1,
    "unreadable": 0,
    "images": 30,
    "top1": 0.9,
    "top5": 1.0,
    "macro": {"precision": 0.9, "recall": 0.9, "f1": 0.875, "classes": 2},
    "per_class": [
        {"name": "cat", "precision": 0.5, "recall": 1.0, "f1": 0.667, "images": 20},
        {"name": "dog", "precision": None, "recall": None, "f1": None, "images": 0},
    ],
    "confusion": [[20, 0], [10, 0]],
    "class_names": ["cat", "dog"],
    "seconds": 2.0,
}


def rows(count: int) -> list[Row]:
    return [Row(path=f"p{n}.png", top=[("cat", 0.75), ("dog", 0.25)]) for n in range(count)]


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    calls = SimpleNamespace(rows=rows(2), task="classification", inputs=None, written=None)

    def predict(run: Any, inputs: Any, *, listener: Any) -> PredictResult:
        calls.inputs = (run, inputs)
        return PredictResult(task=calls.task, class_names=("cat", "dog"), rows=calls.rows)

    def write_predictions(result: PredictResult, out: Path, overwrite: bool = False) -> list[Path]:
        calls.written = (out, overwrite)
        return [out, out.with_suffix(".png")]

    monkeypatch.setattr(predict_workflow, "predict", predict)
    monkeypatch.setattr(predict_workflow, "write_predictions", write_predictions)
    return calls


def test_evaluate_hands_on_what_it_was_given(cli, monkeypatch) -> None:
    given: dict[str, Any] = {}

    def evaluate(run, data, **others):
        given.update(others, run=run, data=data)
        return EVALUATION

    monkeypatch.setattr(evaluate_workflow, "evaluate", evaluate)
    done = cli("evaluate", "runs/first", "photos", "--split", "val", "--crops", "10", "--json")
    assert done.code == 0
    assert json.loads(done.out) == EVALUATION
    assert done.out.count("\n") == 1
    assert (given["run"], given["data"], given["split"], given["crops"]) == (
        Path("runs/first"),
        Path("photos"),
        "val",
        10,
    )


def test_evaluate_for_people(cli, monkeypatch) -> None:
    monkeypatch.setattr(evaluate_workflow, "evaluate", lambda run, data, **others: EVALUATION)
    lines = [line.split() for line in cli("evaluate", "runs/first").out.splitlines()]
    assert lines[0][:7] == ["top1", "0.9000", "top5", "1.0000", "macro", "F1", "0.8750"]
    assert ["class", "precision", "recall", "F1", "pictures"] in lines
    assert ["cat", "0.500", "1.000", "0.667", "20"] in lines
    assert ["dog", "-", "-", "-", "0"] in lines


def test_a_detectors_evaluation_for_people(cli, monkeypatch) -> None:
    monkeypatch.setattr(
        evaluate_workflow, "evaluate", lambda run, data, **others: {**FOUND, "voc07": 0.8, "voc10": 0.81}
    )
    lines = [line.split() for line in cli("evaluate", "runs/found", "--voc").out.splitlines()]
    assert lines[0][:8] == ["AP", "0.500", "AP50", "0.900", "AP75", "0.400", "APs", "-"]
    assert lines[1][-4:] == ["voc07", "0.800", "voc10", "0.810"]
    assert ["cat", "0.500", "0.900", "3"] in lines
    assert ["dog", "-", "-", "0"] in lines
    assert ["class", "2", "0.050"] in lines
    assert ["missed", "1", "-"] in lines


def test_a_detectors_predictions_for_people(cli, predicted) -> None:
    objects = [FoundObject(label=name, score=score, box=(0, 0, 5, 5)) for name, score in (("cat", 0.9), ("dog", 0.2))]
    predicted.rows, predicted.task = [Row(path="a.png", objects=objects), Row(path="b.png")], "detection"
    lines = [line.split() for line in cli("predict", "runs/found", "b/").out.splitlines()]
    assert ["a.png", "1", "1", "cat"] in lines
    assert ["b.png", "0"] in lines


def test_evaluate_shows_the_weakest_of_many_classes(cli, monkeypatch) -> None:
    classes = [
        {"name": f"c{n}", "precision": 1.0, "recall": 1.0, "f1": n / 100, "images": 5} for n in range(99, -1, -1)
    ]
    monkeypatch.setattr(evaluate_workflow, "evaluate", lambda run, data, **others: {**EVALUATION, "per_class": classes})
    shown = cli("evaluate", "runs/first").out
    assert "The 20 classes with the lowest F1, of 100:" in shown
    assert [line.split()[0] for line in shown.splitlines()[-20:]] == [f"c{n}" for n in range(20)]


@pytest.mark.parametrize(("word", "crops"), [("1", 1), ("10", 10), ("dense", "dense")])
def test_crops_are_one_ten_or_dense(cli, monkeypatch, word, crops) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(evaluate_workflow, "evaluate", lambda run, data, **others: given.update(others) or EVALUATION)
    assert cli("evaluate", "runs/first", "--crops", word).code == 0
    assert given["crops"] == crops


@pytest.mark.parametrize("crops", ["0", "5", "11", "all"])
def test_other_crops_are_refused(cli, crops) -> None:
    done = cli("evaluate", "runs/first", "--crops", crops)
    assert (done.code, done.said) == (2, f"sightline: --crops: expected 1, 10, dense, got {crops}.")


def test_predict_for_people(cli, predicted) -> None:
    done = cli("predict", "runs/first", "a.png", "b/")
    assert done.code == 0
    assert predicted.inputs == (Path("runs/first"), ["a.png", "b/"])
    assert [line.split() for line in done.out.splitlines()] == [
        ["picture", "label", "score", "then"],
        ["p0.png", "cat", "0.750", "dog", "0.250"],
        ["p1.png", "cat", "0.750", "dog", "0.250"],
    ]


def test_predict_shows_twenty_and_says_how_many_more(cli, predicted) -> None:
    predicted.rows = rows(25)
    lines = cli("predict", "runs/first", "b/").out.splitlines()
    assert len(lines) == 22
    assert lines[-1].startswith("... and 5 more")


def test_predict_as_json(cli, predicted) -> None:
    predicted.rows = [*rows(1), Row(path="bad.png", top=[], error="bad.png: truncated")]
    done = cli("predict", "runs/first", "b/", "--json")
    assert done.code == 1
    assert json.loads(done.out) == {
        "run": "runs/first",
        "task": "classification",
        "class_names": ["cat", "dog"],
        "predictions": [
            {
                "path": "p0.png",
                "top": [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}],
                "error": None,
            },
            {"path": "bad.png", "top": [], "error": "bad.png: truncated"},
        ],
        "files": [],
    }
    assert "1 of 2 pictures could not be read." in done.err


def test_predict_writes_a_file(cli, predicted, tmp_path) -> None:
    out = tmp_path / "labels.csv"
    done = cli("predict", "runs/first", "b/", "--out", out)
    assert done.code == 0
    assert predicted.written == (out, False)
    assert done.out.splitlines()[-2:] == [f"wrote {out}", f"wrote {out.with_suffix('.png')}"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "labels.txt"], "--out labels.txt: expected a name that ends in .csv or .jsonl."),
        (["--out", "there.csv"], "there.csv exists already and is not overwritten."),
        (["--out", "sheet.csv"], "sheet.png exists already and is not overwritten."),
        (["--overwrite"], "--overwrite says what to do with the files of --out, which is not given."),
    ],
)
def test_predict_refuses_before_it_works(cli, predicted, tmp_path, monkeypatch, words, said) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.csv").touch()
    Path("sheet.png").touch()
    done = cli("predict", "runs/first", "b/", *words)
    assert (done.code, predicted.inputs) == (2, None)
    assert said in done.said


def test_predict_replaces_files_when_told(cli, predicted, tmp_path) -> None:
    out = tmp_path / "there.jsonl"
    out.touch()
    assert cli("predict", "runs/first", "b/", "--out", out, "--overwrite").code == 0
    assert predicted.written == (out, True)


@pytest.mark.slow
def test_models_lists_networks_with_parameters_and_weights(cli, monkeypatch) -> None:
    done = cli("models", "--json")
    assert done.code == 0
    described = json.loads(done.out)["models"]
    listed = {entry["name"]: entry for entry in described}
    assert listed["resnet18"]["parameters"] == 11_689_512
    assert listed["googlenet"]["parameters"] == 6_624_904  # as `describe` says
    assert [weights["top1"] for weights in listed["resnet50"]["weights"]] == [76.130, 80.858]
    monkeypatch.setattr(
        "sightline.cli.models.describe_models", lambda: described
    )  # to build all of them once is enough
    table = cli("models").out
    assert "resnet152" in table
    assert "60.2 M" in table


@pytest.mark.slow
def test_sample_writes_pictures_and_counts_them(cli, tmp_path) -> None:
    out = tmp_path / "digits"
    done = cli("sample", out, "--json")
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert said["data"] == str(out)
    assert sum(said["pictures"].values()) == 1797 == len(list(out.rglob("*.png")))
    again = cli("sample", out)
    assert again.code == 2
    assert str(out) in again.said


@pytest.mark.slow
def test_sample_writes_scenes_where_they_are_asked_for(cli, tmp_path, monkeypatch) -> None:
    asked = []

    def write(out: Path, seed: int, *, masks: bool) -> Path:
        asked.append((out, seed, masks))
        return write_scenes(out, seed, {"train": 2, "test": 1}, masks=masks)

    monkeypatch.setattr(samples, "write_scenes", write)
    named, told, masks = tmp_path / "scenes", tmp_path / "else", tmp_path / "masks"
    assert json.loads(cli("sample", named, "--json").out) == {"data": str(named), "pictures": {"train": 2, "test": 1}}
    done = cli("sample", told, "--kind", "scenes", "--seed", 3)
    assert json.loads(cli("sample", masks, "--json").out) == {"data": str(masks), "pictures": {"test": 1, "train": 2}}
    assert (done.code, asked) == (0, [(named, 0, False), (told, 3, False), (masks, 0, True)])
    assert f"next: sightline train {told} --model faster_rcnn" in done.out
    assert cli("sample", tmp_path / "more", "--kind", "shapes").code == 2


def test_evaluate_says_how_far_masks_overlap(cli, monkeypatch) -> None:
    monkeypatch.setattr(evaluate_workflow, "evaluate", lambda run, data, **others: COVERED)
    out = cli("evaluate", "run").out
    assert "mIoU 0.850  Dice 0.900  pixel accuracy 0.950  boundary F -  (test split, 7 pictures in 2 s)" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["background", "0.970", "0.980", "1,234,567"] in lines
    assert not any(line[:1] == ["1"] for line in lines)  # not there, so not measured
    rows = [{"name": f"class {number}", "iou": number / 30, "dice": 0.5, "pixels": 1} for number in range(25)]
    monkeypatch.setattr(evaluate_workflow, "evaluate", lambda run, data, **others: {**COVERED, "per_class": rows[::-1]})
    out = cli("evaluate", "run").out
    assert "The 20 classes with the lowest IoU, of 25:" in out
    assert "class 0 " in out
    assert "class 24" not in out


def test_demo_says_where_everything_lies(cli, monkeypatch) -> None:
    result = {
        "classification": {"data": "d/digits", "run": "d/run", "test": EVALUATION, "predictions": 30},
        "detection": {"data": "d/scenes", "run": "d/detector", "test": FOUND, "predictions": 30},
        "segmentation": {"data": "d/masks", "run": "d/segmenter", "test": COVERED, "predictions": 30},
        "pictures": ["d/run/pictures/curves.png"],
        "seconds": 61.0,
    }
    asked = []
    monkeypatch.setattr(demo_workflow, "demo", lambda out, listener: asked.append(out) or result)
    done = cli("demo", "--out", "d")
    assert (done.code, asked) == (0, [Path("d")])
    for word in ("top1 0.9000", "AP50 0.900", "d/digits", "d/run", "d/scenes", "mIoU 0.850", "d/segmenter", "1:01"):
        assert word in done.out
    assert json.loads(cli("demo", "--json").out) == result


def test_cells_are_text_and_not_markup(capsys) -> None:
    print_table(("class", "pictures"), [["[red]cat[/red]", "3"], ["a" * 200, "12"]], numbers=("pictures",))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["[red]cat[/red]", "3"]
    assert lines[2].split() == ["a" * 200, "12"]
