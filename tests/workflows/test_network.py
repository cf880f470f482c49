"""What a network starts from: all of a run of the same classes, all but the layers of classes from a run of others."""

from pathlib import Path

import pytest
import torch

from sightline.checkpoint import Header, save
from sightline.config import ModelConfig
from sightline.errors import CheckpointError, ConfigError
from sightline.models import create_model
from sightline.structures import Preprocessing, Shape, WholePicture, Windows
from sightline.workflows.network import new_network, on_backbone, published

SMALL = {"backbone": "resnet18", "neck": "fpn", "stages": ["c2", "c3"], "width": 16, "hidden": 16}
NETWORKS: dict[str, tuple[str, dict[str, object], Shape, set[str]]] = {
    "classification": ("resnet18", {}, Preprocessing(resize=32, crop=32), {"fc"}),
    "detection": ("faster_rcnn", SMALL, WholePicture(shorter=32, longer=64), {"roi_heads"}),
    "segmentation": ("unet", {"width": 4}, Windows(side=32), {"output"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("task", [pytest.param("detection", marks=pytest.mark.slow), "classification", "segmentation"])
def test_classes_of_other_names_get_layers_of_their_own(task: str, tmp_path: Path) -> None:
    name, arguments, shape, layers = NETWORKS[task]
    trained = create_model(name, num_classes=2, **arguments)
    header = Header(architecture=name, arguments=arguments, task=task, class_names=("cat", "dog"), preprocessing=shape)
    save(tmp_path / "trained.safetensors", trained.state_dict(), header)
    config = ModelConfig(name=name, weights=str(tmp_path / "trained.safetensors"), arguments=arguments)
    same, report = new_network(config, ("cat", "dog"))
    assert report is not None
    assert report.new == ()
    assert all(torch.equal(tensor, same.state_dict()[key]) for key, tensor in trained.state_dict().items())
    for classes in (("dog", "cat"), ("cow", "hen")):
        other, report = new_network(config, classes)
        assert report is not None
        assert {key.partition(".")[0] for key in report.new} == layers
        new = {key for key, tensor in trained.state_dict().items() if not torch.equal(tensor, other.state_dict()[key])}
        assert new <= set(report.new)
        assert any(key.endswith("weight") for key in new)
        assert report.loaded + len(report.new) == len(trained.state_dict())


def test_only_a_classifier_goes_into_another_network(tmp_path: Path) -> None:
    path = tmp_path / "segmenter.safetensors"
    header = Header(
        architecture="unet",
        arguments={"width": 4},
        task="segmentation",
        class_names=("a", "b"),
        preprocessing=Windows(side=32),
    )
    save(path, create_model("unet", num_classes=2, width=4).state_dict(), header)
    with pytest.raises(ConfigError, match=r"is a unet, trained for segmentation\. .* use --weights"):
        on_backbone(ModelConfig(name="unet", backbone_weights=str(path)), None)


def test_a_file_that_does_not_say_its_classifier_asks_for_it(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "weights.pth")
    which = r"does not say which classifier it is for\. Say it with --backbone"
    with pytest.raises(ConfigError, match=which):
        on_backbone(ModelConfig(name="unet", backbone_weights=str(tmp_path / "weights.pth")), None)
    with pytest.raises(ConfigError, match=which):
        published(ModelConfig(name="unet", backbone_weights="imagenet"))
    (tmp_path / "run").mkdir()
    with pytest.raises(CheckpointError, match="has not finished an epoch"):
        on_backbone(ModelConfig(name="unet", backbone_weights=str(tmp_path / "run")), None)
    with pytest.raises(ConfigError, match=r"no published weights of unet, .* --backbone-weights imagenet"):
        published(ModelConfig(name="unet", weights="imagenet"))
