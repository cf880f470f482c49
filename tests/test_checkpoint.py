"""Checkpoints: everything comes back, and nothing that is wrong is loaded."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from sightline import checkpoint
from sightline.checkpoint import Header
from sightline.errors import CheckpointError
from sightline.models import create_model
from sightline.structures import Preprocessing

HEADER = Header(
    architecture="resnet18",
    arguments={"stem": "small"},
    task="classification",
    class_names=("cat", "dög", "a b"),
    preprocessing=Preprocessing(resize=40, crop=32, mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.25)),
    metrics={"top1": 0.5, "per_class": [{"name": "cat", "recall": None}]},
    recipe={"training": {"epochs": 3}},
    data_fingerprint="abc",
    licence="BSD-3-Clause",
)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return create_model("resnet18", num_classes=3, stem="small").eval()


@pytest.fixture
def path(tmp_path: Path, model: torch.nn.Module) -> Path:
    checkpoint.save(tmp_path / "w.safetensors", model.state_dict(), HEADER)
    return tmp_path / "w.safetensors"


def test_everything_comes_back(path: Path, model: torch.nn.Module) -> None:
    loaded = checkpoint.load(path)
    assert loaded.header == checkpoint.load_header(path) == HEADER
    built, task = checkpoint.build(loaded)
    assert not built.training
    assert task.class_names == HEADER.class_names
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(built(images), model(images))
    assert all(parameter.requires_grad for parameter in built.parameters())


def test_the_header_is_json_beside_plain_tensors(path: Path) -> None:
    with safetensors.safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["sightline"])
    assert header["class_names"] == ["cat", "dög", "a b"]
    assert safetensors.torch.load_file(path).keys() == create_model("resnet18", stem="small").state_dict().keys()


def change_header(path: Path, **values: object) -> None:
    with safetensors.safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["sightline"])
    header.update(values)
    header = {key: value for key, value in header.items() if value != "removed"}
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata={"sightline": json.dumps(header)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"format_version": 99}, "has format version 99; this Sightline reads version 1"),
        ({"task": "telepathy"}, "is for the task 'telepathy'"),
        ({"class_names": "removed"}, r"header is incomplete or malformed \(KeyError\('class_names'\)\)"),
        ({"preprocessing": {"resize": 10, "crop": 20, "mean": [0, 0, 0], "std": [1, 1, 1]}}, "crop 20 and resize 10"),
        ({"preprocessing": 3}, "incomplete or malformed"),
    ],
)
def test_wrong_headers_are_refused(path: Path, values: dict[str, object], text: str) -> None:
    change_header(path, **values)
    with pytest.raises(CheckpointError, match=text):
        checkpoint.load(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"architecture": "resnet34"}, "the tensors do not fit resnet34 with 3 classes"),
        ({"architecture": "os.system"}, "Unknown model 'os.system'"),
        ({"arguments": {"stem": "small", "run": "rm"}}, "does not take the argument 'run'"),
        ({"class_names": ["cat", "dog"]}, "the tensors do not fit resnet18 with 2 classes"),
        # A header that asks for terabytes is answered without making them.
        ({"class_names": [str(i) for i in range(10**5)]}, "the tensors do not fit resnet18 with 100000 classes"),
    ],
)
def test_headers_that_do_not_fit_the_tensors_are_refused(path: Path, values: dict[str, object], text: str) -> None:
    change_header(path, **values)
    with pytest.raises(CheckpointError, match=text):
        checkpoint.build(checkpoint.load(path))


def test_files_that_are_none_are_named(tmp_path: Path, path: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no weights file at"):
        checkpoint.load(tmp_path / "none.safetensors")
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"torn\.safetensors is not a readable safetensors file .* whole copy"):
        checkpoint.load(torn)
    torch.save({"w": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth is not .* Name a run or .* --weights .*other\.pth`"):
        checkpoint.load(tmp_path / "other.pth")
    plain = tmp_path / "plain.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(2)}, plain)
    with pytest.raises(CheckpointError, match=r"holds tensors but no Sightline header.*--weights"):
        checkpoint.load(plain)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "evil.safetensors"
    torch.save(replace(HEADER), path)
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        checkpoint.load(path)


def test_a_run_is_found_by_its_folder_or_its_file(tmp_path: Path, path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(CheckpointError, match=r"There is no run at .*run\. Train one with"):
        checkpoint.run_weights(run)
    with pytest.raises(CheckpointError, match=r"There is no weights file at .*none\.pth\. Check the path"):
        checkpoint.run_weights(tmp_path / "none.pth")
    (run / "weights").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"holds no weights/best\.safetensors"):
        checkpoint.run_weights(run)
    (run / "weights" / "best.safetensors").write_bytes(b"")
    assert checkpoint.run_weights(run) == run / "weights" / "best.safetensors"
    assert checkpoint.run_weights(path) == path
