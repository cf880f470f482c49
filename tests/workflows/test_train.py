"""Training from a data set to a run folder, and everything that a user can give wrong."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from sightline import checkpoint
from sightline.config import compose, read_recipe
from sightline.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    InputError,
    StorageError,
    UnknownNameError,
    WeightsError,
)
from sightline.models import create_model
from sightline.models.weights import LICENCE, LoadReport
from sightline.structures import Preprocessing
from sightline.training.claim import claim
from sightline.training.runlog import Progress, Silence
from sightline.workflows.train import TrainResult, resume, train
from tests.workflows.squares import QUICK, write_squares


class Heard(Silence):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class Killed(BaseException):
    pass


class KillAtOnce(Silence):
    def progress(self, progress: Progress) -> None:
        raise Killed


def test_a_run_folder_holds_what_the_design_says(trained: TrainResult) -> None:
    names = {str(path.relative_to(trained.run)) for path in trained.run.rglob("*") if path.is_file()}
    assert {
        "recipe.toml",
        "data.json",
        "splits.csv",
        "log.jsonl",
        "metrics.json",
        "weights/best.safetensors",
        "weights/last.safetensors",
        "pictures/curves.png",
    } <= names
    assert not [name for name in names if name.endswith(".partial")]
    assert trained.finished
    assert trained.metrics["top1"] == 1.0
    assert trained.metrics["images"] == 18


@pytest.mark.slow
def test_the_resolved_recipe_is_a_valid_input_that_leaves_nothing_open(trained: TrainResult, tmp_path: Path) -> None:
    config = compose([("r", read_recipe(trained.run / "recipe.toml"))])
    assert None not in (
        config.optimizer.lr,
        config.training.batch_size,
        config.data.image_size,
        config.augmentation.crop,
    )
    assert config.training.precision != "auto"
    again = train(recipe=trained.run / "recipe.toml", name="again", out=tmp_path)
    files = [result.run / "weights" / "last.safetensors" for result in (trained, again)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_nothing_is_overwritten(trained: TrainResult, squares: Path) -> None:
    with pytest.raises(ConfigError, match=r"exists already and is not overwritten.*--resume"):
        train(squares, name=trained.run.name, out=trained.run.parent, **QUICK)


@pytest.mark.slow
def test_without_a_name_the_next_free_one_is_taken(squares: Path, tmp_path: Path) -> None:
    (tmp_path / "squares-resnet18").mkdir()
    result = train(squares, out=tmp_path, **{**QUICK, "training": {"epochs": 1}})
    assert result.run.name == "squares-resnet18-2"


def test_a_name_may_not_leave_its_folder(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a plain folder name"):
        train(squares, name="../elsewhere", out=tmp_path, **QUICK)


@pytest.mark.slow
def test_decisions_are_said_aloud(squares: Path, tmp_path: Path) -> None:
    heard = Heard()
    settings = {"model": {"name": "resnet18"}, "training": {"epochs": 1, "batch_size": 72}, "data": {"image_size": 8}}
    train(squares, name="a", out=tmp_path, listener=heard, **settings)
    text = "\n".join(heard.lines)
    for expected in (
        "image folder, 3 classes",
        "train 72",
        "stem for small images",
        "precision",
        "learning rate",
        "mirroring",
    ):
        assert expected in text


@pytest.mark.slow
def test_an_undivided_folder_is_divided_and_the_division_kept(tmp_path: Path) -> None:
    write_squares(tmp_path / "all", {"train": 20})
    data = tmp_path / "flat"
    shutil.copytree(tmp_path / "all" / "train", data)
    result = train(data, name="a", out=tmp_path, **{**QUICK, "training": {"epochs": 1}})
    rows = (result.run / "splits.csv").read_text().splitlines()
    assert rows[0] == "path,label,split"
    assert len(rows) == 61
    assert {row.rsplit(",", 1)[1] for row in rows[1:]} == {"train", "val", "test"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sections", "error", "text"),
    [
        ({"model": "resnet81"}, UnknownNameError, "Unknown model 'resnet81'. Did you mean 'resnet18'?"),
        ({"model": {"arguments": {"depth": 3}}}, InputError, "does not take the argument 'depth'"),
        ({"model": {"freeze": "c9"}}, InputError, "Unknown stage of ResNet 'c9'"),
        ({"model": {"weights": "nowhere.pth"}}, InputError, "nowhere.pth"),
        (
            {"model": {"weights": "imagenet-v9"}},
            UnknownNameError,
            "Unknown published weights of resnet18 'imagenet-v9'",
        ),
        ({"training": {"epoch": 3}}, ConfigError, "unknown key training.epoch"),
        ({"colour": 1}, ConfigError, "unknown key colour"),
        ({"data": {"format": "csv2"}}, UnknownNameError, "Unknown format 'csv2'"),
        ({"model": {"arguments": {"num_classes": 5}}}, ConfigError, "the number of classes comes from the data"),
        ({"seed": 2**63}, ConfigError, "seed: expected a whole number"),
        ({"training": {"batch_size": 7, "accumulate": 2}}, ConfigError, "cannot be shared equally"),
    ],
)
def test_what_is_wrong_is_said_before_a_run_begins(
    squares: Path, tmp_path: Path, sections: dict[str, object], error: type[InputError], text: str
) -> None:
    with pytest.raises(error, match=text.replace(".", r"\.").replace("?", r"\?")) as caught:
        train(squares, name="a", out=tmp_path, **sections)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "a" / "recipe.toml").exists()


def test_missing_data_one_class_and_an_empty_class_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        train(tmp_path / "none", **QUICK)
    with pytest.raises(ConfigError, match="No data given"):
        train(**QUICK)
    one = write_squares(tmp_path / "one", {"train": 3, "val": 3}, classes=("red",))
    with pytest.raises(DataError, match="class"):
        train(one, **QUICK)
    empty = write_squares(tmp_path / "empty", {"train": 3, "val": 3})
    (empty / "train" / "grey").mkdir()
    with pytest.raises(DataError, match="grey"):
        train(empty, **QUICK)


@pytest.mark.slow
def test_bad_pictures_stop_the_training_unless_few_enough(tmp_path: Path) -> None:
    data = write_squares(tmp_path / "data", {"train": 10, "val": 4})
    (data / "train" / "red" / "0.png").write_bytes(b"")
    (data / "train" / "red" / "1.png").write_text("not a picture")
    heard = Heard()
    with pytest.raises(DataError, match=r"2 of 42 pictures .*cannot be decoded.*\n.*red/0\.png: the file is empty"):
        train(data, name="a", out=tmp_path, listener=heard, **QUICK)
    assert not [line for line in heard.lines if "red/0.png" in line]  # not twice
    settings = {**QUICK, "training": {"epochs": 1}, "data": {"image_size": 16, "max_bad": 0.1}}
    result = train(data, name="b", out=tmp_path, listener=heard, **settings)
    assert any("2 of 42 pictures" in line for line in heard.lines)
    assert "unreadable: train/red/0.png: the file is empty." in heard.lines
    assert json.loads((result.run / "data.json").read_text())["pictures"]["train"] == 28


@pytest.mark.slow
def test_a_finished_run_resumes_to_itself(trained: TrainResult) -> None:
    before = (trained.run / "weights" / "last.safetensors").read_bytes()
    again = resume(trained.run)
    assert replace(again, metrics={}) == replace(trained, metrics={})
    assert (trained.run / "weights" / "last.safetensors").read_bytes() == before


@pytest.mark.slow
def test_changed_data_cannot_be_resumed(tmp_path: Path) -> None:
    data = write_squares(tmp_path / "data", {"train": 8, "val": 4})
    result = train(data, name="a", out=tmp_path, **{**QUICK, "training": {"epochs": 1}})
    Image.new("RGB", (16, 16)).save(data / "train" / "red" / "new.png")
    with pytest.raises(DataError, match=r"changed since .* 1 new"):
        resume(result.run)


def test_what_is_no_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not a run that can be resumed"):
        resume(tmp_path)


def test_one_training_a_run_folder(trained: TrainResult) -> None:
    with claim(trained.run), pytest.raises(CheckpointError, match="Another process is training in"):
        resume(trained.run)


@pytest.mark.slow
def test_training_goes_on_from_a_run_with_other_classes(trained: TrainResult, tmp_path: Path) -> None:
    data = write_squares(tmp_path / "data", {"train": 8, "val": 4}, classes=("cold", "warm"))
    heard = Heard()
    model = {"name": "resnet18", "weights": str(trained.run), "freeze": "c4", "arguments": {"stem": "imagenet"}}
    result = train(data, name="a", out=tmp_path, listener=heard, **{**QUICK, "model": model})
    told = [line for line in heard.lines if line.startswith("weights:")]
    assert len(told) == 1
    assert "new and untrained: fc.bias, fc.weight" in told[0]
    import safetensors.torch as tensors

    old, new = (tensors.load_file(r.run / "weights" / "best.safetensors") for r in (trained, result))
    assert (old["layer1.0.conv1.weight"] == new["layer1.0.conv1.weight"]).all()
    assert (old["layer1.0.bn1.running_mean"] == new["layer1.0.bn1.running_mean"]).all()
    assert (old["layer4.0.conv1.weight"] != new["layer4.0.conv1.weight"]).any()


@pytest.mark.slow
def test_a_run_gives_its_arguments_to_what_starts_from_it(tmp_path: Path) -> None:
    data = write_squares(tmp_path / "data", {"train": 4, "val": 1})
    quick = {**QUICK, "training": {"epochs": 1, "batch_size": 12, "precision": "float32"}}
    first = train(
        data, name="a", out=tmp_path, **{**quick, "model": {"name": "resnet50", "arguments": {"stride_in": "1x1"}}}
    )
    from_first = {"name": "resnet50", "weights": str(first.run)}
    with pytest.raises(Killed):  # its recipe is written by then
        train(data, name="b", out=tmp_path, listener=KillAtOnce(), **{**quick, "model": from_first})
    arguments = compose([("r", read_recipe(tmp_path / "b" / "recipe.toml"))]).model.arguments
    assert (arguments["stride_in"], arguments["stem"]) == ("1x1", "small")
    with pytest.raises(ConfigError, match="was trained with '1x1', got '3x3'"):
        train(data, name="c", out=tmp_path, **{**quick, "model": {**from_first, "arguments": {"stride_in": "3x3"}}})


@pytest.mark.slow
def test_untrained_parts_are_not_frozen(squares: Path, tmp_path: Path) -> None:
    """A file for the paper's stem and small pictures: the first convolution would stay random for good."""
    state = create_model("resnet18", num_classes=3).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    model = {"name": "resnet18", "weights": str(tmp_path / "weights.pth"), "freeze": "c2"}
    with pytest.raises(ConfigError, match=r"--freeze c2 would fix conv1\.weight, which the weights do not fit"):
        train(squares, name="a", out=tmp_path, **{**QUICK, "model": model})


@pytest.mark.slow
def test_a_run_from_weights_that_is_killed_at_once_resumes_from_them(squares: Path, tmp_path: Path) -> None:
    """The weights file may even be gone by then."""
    torch.manual_seed(7)
    weights = tmp_path / "weights.pth"
    torch.save(create_model("resnet18", num_classes=3).state_dict(), weights)
    model = {"name": "resnet18", "weights": str(weights), "freeze": "c4", "arguments": {"stem": "imagenet"}}
    quick = {**QUICK, "model": model, "training": {**QUICK["training"], "epochs": 1}}
    whole = train(squares, name="whole", out=tmp_path, **quick)
    with pytest.raises(Killed):
        train(squares, name="cut", out=tmp_path, listener=KillAtOnce(), **quick)
    weights.unlink()
    resume(tmp_path / "cut")
    files = [run / "weights" / "last.safetensors" for run in (whole.run, tmp_path / "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
def test_a_resumed_run_keeps_the_licence_of_published_weights(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = LoadReport(source="made up", loaded=0, new=(), preprocessing=None, licence=LICENCE)
    monkeypatch.setattr("sightline.workflows.network.load_published", lambda *arguments: nothing)
    quick = {
        **QUICK,
        "model": {"name": "resnet18", "weights": "imagenet"},
        "training": {**QUICK["training"], "epochs": 1},
    }
    with pytest.raises(Killed):
        train(squares, name="a", out=tmp_path, listener=KillAtOnce(), **quick)
    resume(tmp_path / "a")
    assert checkpoint.load(tmp_path / "a" / "weights" / "last.safetensors").header.licence == LICENCE


@pytest.mark.slow
def test_a_run_has_the_licence_of_the_run_that_it_starts_from(squares: Path, tmp_path: Path) -> None:
    """Also when it is resumed, and that one is gone by then."""
    first, last = tmp_path / "first.safetensors", tmp_path / "a" / "weights" / "last.safetensors"
    header = checkpoint.Header(
        architecture="resnet18",
        arguments={"stem": "small"},
        task="classification",
        class_names=("a", "b", "c"),
        preprocessing=Preprocessing(resize=32, crop=32),
        licence=LICENCE,
    )
    checkpoint.save(first, create_model("resnet18", num_classes=3, stem="small").state_dict(), header)
    model = {"name": "resnet18", "weights": str(first)}
    quick = {**QUICK, "model": model, "training": {**QUICK["training"], "epochs": 1}}
    with pytest.raises(Killed):
        train(squares, name="a", out=tmp_path, listener=KillAtOnce(), **quick)
    first.unlink()
    resume(tmp_path / "a")
    assert checkpoint.load_header(last).licence == LICENCE


def test_what_was_never_saved_cannot_be_resumed(trained: TrainResult, tmp_path: Path) -> None:
    shutil.copytree(trained.run, tmp_path / "run", ignore=shutil.ignore_patterns("state"))
    with pytest.raises(CheckpointError, match="was stopped before anything was saved"):
        resume(tmp_path / "run")


@pytest.mark.slow
def test_a_finished_training_is_finished_without_its_picture(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise StorageError("The disk is full")

    monkeypatch.setattr("sightline.workflows.train.draw_curves", full)
    heard = Heard()
    result = train(squares, name="a", out=tmp_path, listener=heard, **{**QUICK, "training": {"epochs": 1}})
    assert result.finished
    assert "The disk is full" in heard.lines


@pytest.mark.slow
def test_recipes_mean_the_same_from_every_folder(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: TrainResult
) -> None:
    monkeypatch.chdir(trained.run.parent)
    model = {"name": "resnet18", "weights": trained.run.name}
    result = train(squares, name="a", out=tmp_path, **{**QUICK, "model": model, "training": {"epochs": 1}})
    config = compose([("r", read_recipe(result.run / "recipe.toml"))])
    assert config.model.weights == str(trained.run)
    assert Path(config.data.path).is_absolute()


@pytest.mark.slow
def test_weights_for_another_network_are_refused(trained: TrainResult, squares: Path, tmp_path: Path) -> None:
    model = {"name": "resnet34", "weights": str(trained.run)}
    with pytest.raises(WeightsError, match="is not for this ResNet"):
        train(squares, name="a", out=tmp_path, **{**QUICK, "model": model})
