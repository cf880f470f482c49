"""The verbs from end to end on the sample data: real files, real training, few pixels."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from sightline.cli.main import main
from sightline.data.samples import write_digits, write_scenes
from sightline.workflows import demo as demo_workflow

pytestmark = pytest.mark.slow

# Few pixels and a stem that leaves few of them, half of the pictures: an epoch takes a second or two.
TINY = [
    word
    for key in (
        "data.image_size=16",
        "model.arguments.stem=imagenet",
        "training.batch_size=32",
        "training.precision=float32",
        "optimizer.lr=0.003",
    )
    for word in ("--set", key)
]


def sightline(*words: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "sightline", *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the sample data and a trained run."""
    folder = tmp_path_factory.mktemp("verbs")
    write_digits(folder / "digits")
    for number, path in enumerate(sorted((folder / "digits" / "train").rglob("*.png"))):
        if number % 2:
            path.unlink()
    done = sightline("train", "digits", "--epochs", "2", "--name", "first", *TINY, "--json", cwd=folder)
    result = json.loads(done.stdout)
    assert (result["run"], result["finished"], result["epochs"]) == ("runs/first", True, 2)
    assert "epoch 2/2" in done.stderr
    return folder


@pytest.fixture
def verb(place, monkeypatch, capsys) -> Callable[..., SimpleNamespace]:
    """One command in that folder, in this process: torch is loaded once for all of them."""
    monkeypatch.chdir(place)

    def run(*words: object, code: int = 0) -> SimpleNamespace:
        capsys.readouterr()
        ended = main([str(word) for word in words])
        captured = capsys.readouterr()
        assert ended == code, captured.err
        return SimpleNamespace(stdout=captured.out, stderr=captured.err)

    return run


def test_a_run_holds_what_the_pages_say(place) -> None:
    for name in ("weights/best.safetensors", "weights/last.safetensors", "metrics.json", "recipe.toml", "log.jsonl",
                 "splits.csv", "data.json", "state", "pictures/curves.png"):  # fmt: skip
        assert (place / "runs/first" / name).exists(), name


def test_evaluate_agrees_with_itself(place, verb) -> None:
    result = json.loads(verb("evaluate", "runs/first", "--split", "test", "--json").stdout)
    assert result["images"] == 359 == sum(map(sum, result["confusion"]))
    right = sum(result["confusion"][k][k] for k in range(10))
    assert result["top1"] == pytest.approx(right / 359)
    assert result["top1"] > 0.3
    assert (place / "runs/first/pictures/confusion_test.png").exists()
    words = ("evaluate", "runs/first/weights/best.safetensors", "digits", "--split", "test", "--json")
    by_file = json.loads(verb(*words).stdout)
    assert by_file["confusion"] == result["confusion"]


def test_predict_writes_what_it_shows(place, verb) -> None:
    out = place / "labels.csv"
    done = verb("predict", "runs/first", "digits/test/7", "digits/test/1/*.png", "--out", out)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(list((place / "digits/test/7").iterdir())) + len(list((place / "digits/test/1").iterdir()))
    assert f"... and {len(rows) - 20} more" in done.stdout
    first = done.stdout.splitlines()[1].split()
    assert first[:2] == [rows[0]["path"], rows[0]["label_1"]]
    with Image.open(place / "labels.png") as sheet:
        assert sheet.width > 500
    verb("predict", "runs/first", "digits/test/7", "--out", out, code=2)


def test_predict_names_the_pictures_that_it_cannot_read(place, verb, tmp_path) -> None:
    good = next((place / "digits/test/7").iterdir())
    (tmp_path / "good.png").write_bytes(good.read_bytes())
    (tmp_path / "torn.png").write_bytes(good.read_bytes()[:60])
    done = verb("predict", "runs/first", tmp_path, "--json", code=1)
    rows = {Path(row["path"]).name: row for row in json.loads(done.stdout)["predictions"]}
    assert rows["good.png"]["error"] is None
    assert rows["torn.png"]["top"] == []
    assert "torn.png" in rows["torn.png"]["error"]
    assert "torn.png" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "digits", "--model", "resnet81"], "Unknown model 'resnet81'. Did you mean 'resnet18'?"),
        (["train", "nowhere"], "nowhere"),
        (["train", "digits", "--name", "first"], "sightline train --resume runs/first"),
        (["train", "digits", "--set", "model.arguments.depth=3"], "depth"),
        (["train", "digits", "--freeze", "c9"], "c9"),
        (["train", "digits", "--weights", "nowhere.pth"], "nowhere.pth"),
        (["train", "--resume", "runs/nowhere"], "runs/nowhere"),
        (["train", "one-class"], "class"),
        (["evaluate", "runs/nowhere"], "There is no run at runs/nowhere"),
        (["evaluate", "runs/first", "--split", "nonsense"], "nonsense"),
        (["evaluate", "runs/first", "nowhere"], "nowhere"),
        (["evaluate", "runs/first", "others"], "classes that the network does not know"),
        (["predict", "runs/first", "nowhere.png"], "nowhere.png"),
        (["demo", "--out", "digits"], "exists already"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_is_a_paragraph(place, verb, words, said) -> None:
    if words[-1] == "one-class":
        make_folder(place / "one-class", ["only"])
    if words[-1] == "others":
        make_folder(place / "others", ["cat", "dog"])
    done = verb(*words, code=2)
    assert said in " ".join(done.stderr.split())
    assert "sightline: " in done.stderr
    assert "bug" not in done.stderr
    assert done.stdout == ""


def make_folder(folder: Path, classes: list[str]) -> None:
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(20):
            Image.new("RGB", (16, 16), (number, 9, 9)).save(folder / name / f"{number}.png")


def quarter_to_train_on(out: Path) -> Path:
    for number, path in enumerate(sorted((write_digits(out) / "train").rglob("*.png"))):
        if number % 4:
            path.unlink()
    return out


def test_the_demo_leaves_what_it_names(tmp_path, monkeypatch, capsys) -> None:
    """With a recipe of one short epoch; what the real one reaches is looked at where `make demo` runs."""
    quick = {
        "training": {"epochs": 1, "precision": "float32"},
        "data": {"image_size": 16},
        "model": {"arguments": {"stem": "imagenet"}},
    }
    monkeypatch.setattr(demo_workflow, "CLASSIFIER", quick)
    monkeypatch.setattr(demo_workflow, "write_digits", quarter_to_train_on)
    monkeypatch.setattr(demo_workflow, "SHOWN", 6)
    small = {**demo_workflow.DETECTOR, "training": {"epochs": 1, "batch_size": 4, "precision": "float32"}}
    monkeypatch.setattr(demo_workflow, "DETECTOR", small)
    few = {"train": 4, "val": 2, "test": 3}
    monkeypatch.setattr(
        demo_workflow, "write_scenes", lambda out, masks=False: write_scenes(out, counts=few, masks=masks)
    )
    little = {**demo_workflow.SEGMENTER, "training": {"epochs": 1, "precision": "float32"}, "data": {"passes": 1}}
    monkeypatch.setattr(demo_workflow, "SEGMENTER", little)
    assert main(["demo", "--out", str(tmp_path / "demo"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["classification"]["test"]["images"] == 359
    assert result["detection"]["test"]["images"] == 3
    assert result["segmentation"]["test"]["images"] == 3
    names = {"/".join(Path(path).parts[-3::2]) for path in result["pictures"]}
    runs = ("classifier", "detector", "segmenter")
    assert names >= {f"{run}/{name}.png" for run in runs for name in ("curves", "predictions")}
    assert names >= {"classifier/confusion_test.png", "detector/detections_test.png", "segmenter/masks_test.png"}
    assert any("explain_proposals" in name for name in names)
    recipes = [Path(result[part]["run"]) / "recipe.toml" for part in ("classification", "detection", "segmentation")]
    assert all(Path(path).is_file() for path in [*result["pictures"], *recipes])
