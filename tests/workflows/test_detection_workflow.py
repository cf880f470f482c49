"""A detector from one call to pictures: trained, measured, used, stopped and resumed, on every format of boxes."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from sightline.config import compose, read_recipe
from sightline.data.checks import check
from sightline.data.formats import read, voc, yolo
from sightline.errors import ConfigError, DataError, InputError
from sightline.workflows.evaluate import evaluate
from sightline.workflows.plan import complete, with_task
from sightline.workflows.predict import predict, write_predictions
from sightline.workflows.train import TrainResult, resume, train
from tests.workflows.discs import DETECTOR, QUICK, Lines, write_discs

FIGURES = {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "per_class", "errors", "images"}


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_discs(tmp_path_factory.mktemp("data") / "discs", {"train": 16, "val": 6, "test": 6})


@pytest.fixture(scope="module")
def found(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainResult, list[str]]:
    lines = Lines()
    result = train(discs, name="discs", out=tmp_path_factory.mktemp("runs"), listener=lines, **QUICK)
    return result, lines.said


@pytest.mark.slow
def test_a_run_says_what_it_decided_and_keeps_the_figures(found: tuple[TrainResult, list[str]]) -> None:
    result, said = found
    assert result.finished
    assert result.headline == "AP"
    assert set(json.loads((result.run / "metrics.json").read_text())) >= FIGURES
    (fitted,) = (line for line in said if "reference boxes of" in line and "fitted to the training boxes" in line)
    assert "width:height 1, fitted" in fitted  # the boxes of discs are squares: one ratio, not three times the same
    recipe = (result.run / "recipe.toml").read_text()
    assert 'task = "detection"' in recipe


@pytest.mark.slow
def test_evaluate_measures_the_test_split_and_draws_it(found: tuple[TrainResult, list[str]], discs: Path) -> None:
    run = found[0].run
    values = evaluate(run, voc=True)
    assert set(values) >= {*FIGURES, "voc07", "voc10"}
    assert (values["split"], values["images"], values["task"]) == ("test", 6, "detection")
    assert (run / "pictures" / "detections_test.png").stat().st_size > 1000
    json.dumps(values, allow_nan=False)
    with pytest.raises(InputError, match="see whole pictures"):
        evaluate(run, crops=10)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [voc, yolo])
def test_other_formats_of_the_same_boxes_give_the_same_figures(
    found: tuple[TrainResult, list[str]], discs: Path, tmp_path: Path, kind: Any
) -> None:
    kind.write(read(discs), tmp_path / "copy")
    again = evaluate(found[0].run, tmp_path / "copy", split="test")
    here = evaluate(found[0].run, split="test")
    assert again["AP"] == pytest.approx(here["AP"], abs=1e-6)
    assert again["AR100"] == pytest.approx(here["AR100"], abs=1e-6)


@pytest.mark.slow
def test_predict_gives_boxes_in_the_pixels_of_the_picture(
    found: tuple[TrainResult, list[str]], discs: Path, tmp_path: Path
) -> None:
    result = predict(found[0].run, [discs / "test"])
    assert result.task == "detection"
    assert len(result.rows) == 6
    boxes = [entry.box for row in result.rows for entry in row.objects]
    assert all(0 <= left < right <= 80 and 0 <= top < bottom <= 64 for left, top, right, bottom in boxes)
    table, sheet = write_predictions(result, tmp_path / "found.csv")
    assert table.read_text().startswith("path,label,score,left,top,right,bottom,error\n")
    assert len(table.read_text().splitlines()) >= 1 + 6
    assert sheet.stat().st_size > 1000


@pytest.mark.slow
def test_a_resumed_detector_has_the_same_bits(discs: Path, tmp_path: Path) -> None:
    """Stopped in the second epoch by a listener that raises, as a crash would."""

    class Crash(Lines):
        def progress(self, progress: Any) -> None:
            if progress.step == 6:
                raise RuntimeError("crash")

    sections = {**QUICK, "training": {**QUICK["training"], "epochs": 2, "log_every": 1, "save_every": 3}}
    whole = train(discs, name="whole", out=tmp_path, **sections)
    with pytest.raises(RuntimeError, match="crash"):
        train(discs, name="cut", out=tmp_path, listener=Crash(), **sections)
    resumed = resume(tmp_path / "cut")
    assert resumed.finished
    files = [(run / "weights" / "last.safetensors").read_bytes() for run in (whole.run, resumed.run)]
    assert files[0] == files[1]


@pytest.mark.slow
def test_a_detector_goes_on_from_a_run_with_the_runs_own_parts(
    found: tuple[TrainResult, list[str]], discs: Path, tmp_path: Path
) -> None:
    """Also its reference boxes: fitted anew, they would mean something else to the weights."""
    lines = Lines()
    # Settings that agree with the run's may be given, as a recipe does, and do not take the place of its others.
    model = {"name": "faster_rcnn", "weights": str(found[0].run), "arguments": {"proposing": {"samples": 32}}}
    result = train(discs, name="on", out=tmp_path, listener=lines, **{**QUICK, "model": model})
    assert not any("fitted" in line or "untrained" in line for line in lines.said)
    assert any("reference boxes of" in line and "as given" in line for line in lines.said)
    recipes = [read_recipe(run / "recipe.toml")["model"]["arguments"] for run in (found[0].run, result.run)]
    assert recipes[0] == recipes[1]
    with pytest.raises(ConfigError, match=r"model\.arguments\.width: .* was trained with 32, got 64"):
        train(discs, name="b", out=tmp_path, **{**QUICK, "model": {**model, "arguments": {"width": 64}}})


@pytest.mark.slow
def test_a_detector_stands_on_a_trained_classifier(trained: TrainResult, discs: Path, tmp_path: Path) -> None:
    """The backbone is named by the run, built as there, and starts with its weights; the rate is too small to move them."""
    lines = Lines()
    arguments = {key: value for key, value in DETECTOR["arguments"].items() if key != "backbone"}  # type: ignore[union-attr]
    model = {"name": "faster_rcnn", "backbone_weights": str(trained.run), "freeze": "c1", "arguments": arguments}
    result = train(discs, name="on", out=tmp_path, listener=lines, **{**QUICK, "model": model})
    assert any("weights: " in line and "untrained" not in line for line in lines.said)
    before = load_file(trained.run / "weights" / "best.safetensors")
    after = load_file(result.run / "weights" / "last.safetensors")
    assert (after["backbone.body.conv1.weight"] == before["conv1.weight"]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sections", "text"),
    [
        ({"model": "resnet18"}, "such as --model faster_rcnn --neck fpn --backbone resnet18"),
        ({"model": DETECTOR, "task": "classification"}, "the recipe is for classification"),
        ({"model": {**DETECTOR, "weights": "coco", "backbone_weights": "imagenet"}}, "give one of the two"),
        ({**QUICK, "model": {**DETECTOR, "freeze": "c2"}}, "would fix layers that no weights have filled"),
    ],
)
def test_what_does_not_fit_is_said_before_a_run_begins(
    discs: Path, tmp_path: Path, sections: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        train(discs, name="a", out=tmp_path, **sections)
    assert not (tmp_path / "a").exists()


def test_boxes_alone_are_enough_to_choose_a_detector(discs: Path) -> None:
    index = read(discs)
    config = with_task(compose([("test", {"data": {"path": str(discs)}})]), index)
    assert (config.task, config.model.name) == ("detection", "faster_rcnn")
    assert config.model.arguments == {"neck": "fpn", "backbone": "resnet18"}
    own = compose([("test", {"model": {"arguments": {"backbone": "vgg16", "neck": "none"}}})])
    assert with_task(own, index).model.arguments == {"backbone": "vgg16", "neck": "none"}


@pytest.mark.parametrize(("sizes", "share"), [([[16, 32, 64]], ""), ([[1000]], ": 0.0% of the training boxes")])
def test_given_reference_boxes_are_measured_and_kept(discs: Path, sizes: list[list[int]], share: str) -> None:
    index = read(discs)
    arguments = {"backbone": "resnet18", "neck": "none", "hidden": 8, "proposing": {"sizes": sizes}}
    model = {"name": "faster_rcnn", "arguments": arguments}
    config = with_task(compose([("test", {"model": model, "data": {"path": str(discs)}})]), index)
    config, _, said = complete(config, index, check(index))
    (line,) = (line for line in said if "reference boxes of" in line)
    assert "px and width:height 2, 1, 0.5, as given: " in line
    assert share in line
    assert config.model.arguments["proposing"] == {"sizes": sizes}


def test_a_detector_needs_boxes(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"faster_rcnn is for detection, and .* has a class for each picture"):
        train(squares, name="a", out=tmp_path, model=DETECTOR)


def test_bad_boxes_are_named_and_too_many_stop(discs: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    voc.write(read(discs), path)
    for number, file in enumerate(sorted((path / "Annotations").glob("*.xml"))):
        if number % 4 == 0 and "<object>" in file.read_text():
            text = file.read_text()
            left = text.partition("<xmin>")[2].partition("</xmin>")[0]
            right = text.partition("<xmax>")[2].partition("</xmax>")[0]
            file.write_text(text.replace(f"<xmax>{right}", f"<xmax>{float(left) - 9}", 1))
    lines = Lines()
    with pytest.raises(DataError, match=r"boxes .* bad; 1.00% may be lost") as stopped:
        train(path, name="a", out=tmp_path, listener=lines, **QUICK)
    assert str(stopped.value).count(".xml line") >= 2
    assert not any(".xml line" in line for line in lines.said)  # the error names them
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_runs_are_not_mixed_up(
    found: tuple[TrainResult, list[str]], squares: Path, trained: TrainResult, discs: Path
) -> None:
    with pytest.raises(DataError, match=r"trained for detection, but the data .* has a class for each picture"):
        evaluate(found[0].run, squares)
    with pytest.raises(DataError, match=r"trained for classification, but the data .* has boxes"):
        evaluate(trained.run, discs)
    with pytest.raises(InputError, match="--voc is for detectors"):
        evaluate(trained.run, voc=True)
