"""Evaluation and prediction on a run that was really trained."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.data.decode import decode_file
from sightline.data.transforms import eval_transform
from sightline.errors import CheckpointError, DataError, ImageError, InputError, StorageError
from sightline.inference.predictor import load
from sightline.structures import Batch, ClassificationTarget
from sightline.training.runlog import Silence
from sightline.workflows.evaluate import evaluate
from sightline.workflows.predict import PredictResult, Row, find_pictures, predict, write_predictions
from sightline.workflows.train import TrainResult
from tests.workflows.squares import write_squares

pytestmark = pytest.mark.slow


def test_the_test_split_is_evaluated_by_default(trained: TrainResult) -> None:
    result = evaluate(trained.run)
    assert (result["split"], result["images"], result["top1"]) == ("test", 24, 1.0)
    assert [entry["images"] for entry in result["per_class"]] == [8, 8, 8]
    assert np.trace(result["confusion"]) == 24
    assert (trained.run / "pictures" / "confusion_test.png").exists()
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(("split", "images"), [("train", 72), ("val", 18), ("all", 114)])
def test_any_split_can_be_evaluated(trained: TrainResult, split: str, images: int) -> None:
    assert evaluate(trained.run, split=split)["images"] == images


def test_the_validation_metrics_of_the_run_are_found_again(trained: TrainResult) -> None:
    result = evaluate(trained.run, split="val")
    assert {name: result[name] for name in ("top1", "top5", "confusion")} == {
        name: trained.metrics[name] for name in ("top1", "top5", "confusion")
    }


def test_ten_crops_are_evaluated(trained: TrainResult) -> None:
    said: list[str] = []
    listener = Silence()
    listener.say = said.append  # type: ignore[method-assign]
    ten, dense = evaluate(trained.run, crops=10, listener=listener), evaluate(trained.run, crops="dense")
    assert ten["top1"] == 1.0
    assert ten["confusion"] == dense["confusion"]  # squares that are seen whole: as is said
    assert any("--crops dense gives the same figures" in line for line in said)
    with pytest.raises(InputError, match="crops is 1"):
        evaluate(trained.run, crops=3)  # type: ignore[arg-type]


def test_whole_pictures_are_evaluated(trained: TrainResult, squares: Path) -> None:
    """Squares of the size of training: dense is the mean of the picture and its mirror image."""
    result = evaluate(trained.run, crops="dense")
    assert (result["top1"], result["images"], result["crops"]) == (1.0, 24, "dense")
    predictor = load(trained.run, precision="float32")
    paths = sorted((squares / "test").rglob("*.png"))
    both = [predictor.predict([path, decode_file(path, path.name).flip(-1)]) for path in paths]
    means = torch.stack([(once.probabilities + mirrored.probabilities) / 2 for once, mirrored in both])
    whole = predictor.for_whole_pictures()
    views = torch.stack([eval_transform(whole.header.preprocessing, "dense")(decode_file(p, p.name)) for p in paths])
    batch = whole.prepare(Batch(views, [ClassificationTarget(0)] * 24, range(24)))
    with torch.inference_mode():
        dense = torch.stack([said.probabilities for said in whole.task.predict(whole.model, batch)])
    torch.testing.assert_close(dense, means, rtol=1e-4, atol=1e-5)


def test_whole_pictures_of_many_sizes_are_evaluated(trained: TrainResult, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    sizes = [(16, 16), (40, 16), (16, 23), (80, 60), (16, 40), (16, 23)]
    for channel, name in enumerate(("blue", "green", "red")):
        (tmp_path / "data" / "test" / name).mkdir(parents=True)
        for number, size in enumerate(sizes):
            pixels = generator.integers(0, 60, (*size, 3), dtype=np.uint8)
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(tmp_path / "data" / "test" / name / f"{number}.png")
    result = evaluate(trained.run, tmp_path / "data", crops="dense")
    assert result["images"] == 18 == sum(map(sum, result["confusion"]))
    assert result["top1"] > 0.9


def test_classes_are_matched_by_name(trained: TrainResult, tmp_path: Path) -> None:
    """Other data with fewer classes: green and red are 0 and 1 there, 1 and 2 for the network."""
    data = write_squares(tmp_path / "data", {"test": 4}, classes=("skip", "green", "red"))
    for path in (data / "test" / "skip").iterdir():
        path.unlink()
    (data / "test" / "skip").rmdir()
    result = evaluate(trained.run, data)
    assert (result["top1"], result["images"]) == (1.0, 8)
    assert result["per_class"][0]["recall"] is None


def test_unknown_classes_are_refused(trained: TrainResult, tmp_path: Path) -> None:
    data = write_squares(tmp_path / "data", {"test": 2}, classes=("blue", "green", "purple"))
    with pytest.raises(DataError, match=r"1 class that the network does not know: purple\. It knows: blue, green, red"):
        evaluate(trained.run, data)


def test_a_run_that_may_only_be_read_can_be_measured(trained: TrainResult, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise StorageError("Read-only file system")

    monkeypatch.setattr("sightline.workflows.evaluate.draw_confusion", refused)
    assert evaluate(trained.run)["top1"] == 1.0


def test_names_that_are_not_text_are_written_all_the_same(trained: TrainResult, tmp_path: Path) -> None:
    result = PredictResult(task="classification", class_names=("a",), rows=[Row(path="\udcff.png", error="unreadable")])
    (table,) = write_predictions(result, tmp_path / "out.csv")
    assert "\\udcff.png" in table.read_text()


def test_missing_splits_and_runs_are_named(trained: TrainResult, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no pictures in the split 'holdout'"):
        evaluate(trained.run, split="holdout")
    with pytest.raises(CheckpointError, match="There is no run at"):
        evaluate(tmp_path / "none")


def test_files_folders_and_globs_are_labelled(trained: TrainResult, squares: Path) -> None:
    red = squares / "test" / "red"
    result = predict(trained.run, [str(red), str(squares / "test" / "*" / "1.png"), str(red / "0.png")])
    assert len(result.rows) == 8 + 2  # red/1.png and red/0.png are not said twice
    assert [row.top[0][0] for row in result.rows] == ["red"] * 8 + ["blue", "green"]
    assert sum(score for _, score in result.rows[0].top) == pytest.approx(1, abs=1e-5)


def test_what_matches_nothing_is_named(trained: TrainResult, tmp_path: Path) -> None:
    for nothing in (tmp_path / "none.png", tmp_path / "*.png", tmp_path):
        with pytest.raises(InputError, match="no such file"):
            find_pictures([str(nothing)])


def test_unreadable_pictures_have_their_reason(trained: TrainResult, squares: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG")
    good = squares / "test" / "green" / "0.png"
    result = predict(trained.run, [bad, good])
    assert result.rows[0].top == []
    assert "bad.png" in str(result.rows[0].error)
    assert result.rows[1].top[0][0] == "green"
    with pytest.raises(ImageError, match=r"bad\.png"):
        load(trained.run).predict([bad, good])


def test_arrays_images_and_files_agree(trained: TrainResult, squares: Path) -> None:
    predictor, path = load(trained.run), squares / "test" / "green" / "3.png"
    with Image.open(path) as image:
        array = np.asarray(image.convert("RGB"))
        predictions = predictor.predict([path, str(path), image, array])
    assert len({tuple(p.probabilities.tolist()) for p in predictions}) == 1
    with pytest.raises(ImageError, match=r"expected an \(H, W, 3\) uint8 array, got \(16, 16\) float64"):
        predictor.predict([np.zeros((16, 16))])  # type: ignore[list-item]


def test_predictions_are_written_and_not_overwritten(trained: TrainResult, squares: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    result = predict(trained.run, [squares / "test" / "red", bad])
    table, sheet = write_predictions(result, tmp_path / "out.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label_1"] for row in rows] == ["red"] * 8 + [""]
    assert rows[-1]["error"]
    with Image.open(sheet) as image:
        assert min(image.size) > 100
    with pytest.raises(InputError, match=r"out\.csv exists already and is not overwritten"):
        write_predictions(result, tmp_path / "out.csv")
    lines, _ = write_predictions(result, tmp_path / "out.jsonl", overwrite=True)
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert records[0]["top"][0]["label"] == "red"
    with pytest.raises(InputError, match=r"ends in \.csv or \.jsonl"):
        write_predictions(result, tmp_path / "out.txt")
