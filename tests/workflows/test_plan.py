"""What is decided for the user, and that what the user said stands."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sightline.checkpoint import Header, save
from sightline.config import ModelConfig, RunConfig, compose
from sightline.data.annotations import ClassLabels
from sightline.data.checks import Report, Sizes
from sightline.data.formats import read
from sightline.data.index import Index
from sightline.data.sources import TensorSource
from sightline.errors import ConfigError, UnknownNameError
from sightline.structures import Preprocessing
from sightline.workflows.network import colours, on_backbone
from sightline.workflows.plan import check_processes, complete, with_task
from sightline.workflows.plan_segmentation import class_weights
from tests.workflows.discs import write_discs


def planned(side: int, images: int = 100, **sections: Any) -> tuple[RunConfig, Preprocessing, str]:
    source = TensorSource(torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(images, -1, -1, -1), ["x"] * images)
    splits = {"train": np.arange(images)}
    index = Index(
        source=source,
        annotations=ClassLabels(np.zeros(images, np.int64)),
        class_names=("a", "b"),
        splits=splits,
        format="made up",
    )
    report = Report(images=images, faults=(), sizes=Sizes(side, side, side, side))
    config, preprocessing, said = complete(with_task(compose([("test", sections)]), index), index, report)
    return config, preprocessing, "\n".join(said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "input_side", "resize", "stem", "crop"),
    [
        (28, 32, 32, "small", "shift"),
        (32, 32, 32, "small", "shift"),
        (60, 64, 64, "small_pooled", "shift"),
        (64, 64, 64, "small_pooled", "shift"),
        (65, 64, 64, "small_pooled", "shift"),
        (100, 96, 110, "imagenet", "resized"),
        (384, 224, 256, "imagenet", "resized"),
    ],
)
def test_the_pictures_decide_size_stem_and_crop(side: int, input_side: int, resize: int, stem: str, crop: str) -> None:
    config, preprocessing, said = planned(side)
    assert (preprocessing.crop, preprocessing.resize) == (input_side, resize)
    assert config.model.arguments["stem"] == stem
    assert config.augmentation.crop == crop
    assert f"{side} px" in said
    assert ("stem for small images" in said) == (stem != "imagenet")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "stem"),
    [("resnet18", "small"), ("resnet34", "small_pooled"), ("vgg16_bn", "small"), ("googlenet", "small")],
)
def test_a_network_that_small_pictures_would_make_slow_gets_the_coarser_stem(name: str, stem: str) -> None:
    assert planned(32, model={"name": name})[0].model.arguments["stem"] == stem


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rate"),
    [("resnet18", 4e-3), ("googlenet", 4e-3), ("alexnet", 6e-4), ("vgg16_bn", 1.6e-3), ("googlenet_2014", 6e-4)],
)
def test_networks_with_layers_that_are_not_normalised_get_a_gentler_rate(name: str, rate: float) -> None:
    config, *_ = planned(32, model={"name": name}, training={"batch_size": 256})
    assert config.optimizer.lr == pytest.approx(rate)


@pytest.mark.slow
def test_published_weights_come_without_the_auxiliary_classifiers() -> None:
    config, *_ = planned(224, model={"name": "googlenet", "weights": "imagenet"})
    assert config.model.arguments == {"auxiliary": False}
    assert "auxiliary" not in planned(224, model={"name": "googlenet"})[0].model.arguments
    config, *_ = planned(224, model={"name": "googlenet", "weights": "there/googlenet-1378be20.pth"})
    assert config.model.arguments["auxiliary"] is False


def test_what_was_given_stands_and_nothing_is_left_open() -> None:
    given = {
        "model": {"arguments": {"stem": "imagenet", "zero_init": True}},
        "data": {"image_size": 48, "workers": 3},
        "augmentation": {"crop": "paper"},
        "optimizer": {"name": "sgd", "lr": 0.5, "weight_decay": 0.0},
        "training": {"batch_size": 10, "precision": "float32"},
    }
    config, preprocessing, _ = planned(32, **given)
    assert preprocessing == Preprocessing(resize=48, crop=48)
    for section, values in given.items():
        for name, value in values.items():
            assert getattr(getattr(config, section), name) == value
    again, *_ = complete_again(config)
    assert again == config


@pytest.mark.parametrize(("name", "identity"), [("resnet18", False), ("resnet50", True)])
def test_only_bottlenecks_start_as_the_identity_and_only_from_nothing(name: str, identity: bool) -> None:
    """On CIFAR-10's small subset a ResNet-18 has 0.72 without it and 0.68 with it, a ResNet-50 0.59 and 0.64."""
    assert planned(32, model={"name": name})[0].model.arguments["zero_init"] is identity
    unet = ModelConfig(name="unet", arguments={"backbone": name})
    assert on_backbone(unet, None)["backbone_arguments"] == {"zero_init": identity}
    assert on_backbone(replace(unet, backbone_weights="imagenet"), None)["backbone_arguments"] == {}


def test_small_pictures_grow_in_a_long_training() -> None:
    config, _, said = planned(32, training={"epochs": 20})
    assert config.augmentation.start_size == 0.5
    assert "pictures grow from 16 to 32 px" in said
    again, *_ = complete_again(config)
    assert again == config


@pytest.mark.parametrize(
    ("side", "sections"),
    [
        (32, {"training": {"epochs": 19}}),
        (100, {}),
        (32, {"model": {"name": "vgg11"}}),  # its linear layers read a map of one size
        (32, {"model": {"name": "resnet18", "weights": "imagenet"}}),
        (
            32,
            {"model": {"name": "resnet18", "arguments": {"stem": "imagenet"}}},
        ),  # one cell of 32 pixels at half the side
        (32, {"augmentation": {"start_size": 1.0}}),
    ],
)
def test_other_pictures_have_their_whole_size_from_the_start(side: int, sections: dict[str, Any]) -> None:
    config, _, said = planned(side, **{"training": {"epochs": 20}, **sections})
    assert config.augmentation.start_size == 1.0
    assert "grow" not in said


def complete_again(config: RunConfig) -> tuple[RunConfig, Preprocessing, str]:
    from sightline.config import to_table

    return planned(32, **to_table(config))


@pytest.mark.parametrize(
    ("model", "size", "words"),
    [
        (
            {"name": "alexnet", "arguments": {"stem": "imagenet"}},
            32,
            "alexnet .* takes 63 pixels or more, got 32. Or build",
        ),
        ({"name": "inception_v3"}, 74, r"inception_v3 .* takes 75 pixels or more, got 74\.$"),
        ({"name": "vgg11"}, 31, "vgg11 .* takes 32 pixels or more, got 31"),
    ],
)
def test_pictures_that_the_network_would_leave_nothing_of_are_refused(
    model: dict[str, Any], size: int, words: str
) -> None:
    with pytest.raises(ConfigError, match=f"data.image_size: {words}"):
        planned(32, model=model, data={"image_size": size})


def test_published_weights_bring_their_preprocessing_and_stem() -> None:
    config, preprocessing, said = planned(32, model={"name": "resnet50", "weights": "imagenet"})
    assert preprocessing == Preprocessing(resize=232, crop=224)
    assert "stem" not in config.model.arguments
    assert "zero_init" not in config.model.arguments
    assert "as for the published weights" in said


def test_at_another_size_too_pictures_have_the_colours_that_the_weights_know(tmp_path: Path) -> None:
    """Those of GoogLeNet and Inception reach from -1 to 1; so do those of a run that began with them."""
    halves = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    for name in ("googlenet", "inception_v3"):
        _, preprocessing, _ = planned(384, model={"name": name, "weights": "imagenet"}, data={"image_size": 128})
        assert preprocessing == Preprocessing(resize=146, crop=128, **halves)
    kept = Preprocessing(resize=256, crop=224, **halves)
    names = {"architecture": "googlenet", "task": "classification", "class_names": ("a", "b")}
    save(tmp_path / "run.safetensors", {"x": torch.zeros(1)}, Header(arguments={}, preprocessing=kept, **names))
    _, preprocessing, _ = planned(384, model={"weights": str(tmp_path / "run.safetensors")})
    assert preprocessing == kept
    for model in ({"weights": "there/googlenet-1378be20.pth"}, {"backbone_weights": "googlenet-1378be20.pth"}):
        assert colours(ModelConfig(name="googlenet", **model)) == halves
    assert colours(ModelConfig(name="googlenet", weights="there/mine.pth")) == {}
    from_run = ModelConfig(name="unet", backbone_weights=str(tmp_path / "run.safetensors"))
    assert colours(from_run) == halves
    assert planned(384)[1] == Preprocessing(resize=256, crop=224)


def test_weights_start_at_a_lower_rate() -> None:
    scratch, *_ = planned(384)
    tuned, *_ = planned(384, model={"weights": "imagenet"})
    assert scratch.optimizer.lr is not None
    assert tuned.optimizer.lr == pytest.approx(scratch.optimizer.lr / 10, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "model", "batch_size"),
    [
        (1_999, "resnet18", 32), (2_000, "resnet18", 128), (1_999, "vgg11_bn", 32), (2_000, "vgg11_bn", 64),
        (19_999, "alexnet", 64), (20_000, "alexnet", 128),
    ],
)  # fmt: skip
def test_small_sets_get_small_batches(images: int, model: str, batch_size: int) -> None:
    assert planned(32, images, model={"name": model})[0].training.batch_size == batch_size


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_one_picture_at_a_time_needs_a_map_to_average(name: str) -> None:
    def batches_of_one(size: int, **model: Any) -> RunConfig:
        arguments = {"name": name, "arguments": {"stem": "imagenet"}, **model}
        return planned(size, model=arguments, data={"image_size": size}, training={"batch_size": 2, "accumulate": 2})[0]

    with pytest.raises(ConfigError, match=f"training.batch_size: {name} would see one picture .* Use 4 or more"):
        check_processes(batches_of_one(32), 1)
    check_processes(batches_of_one(64 if name == "resnet18" else 96), 1)
    check_processes(planned(32, model={"name": "alexnet"}, training={"batch_size": 1})[0], 1)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UnknownNameError, match="Unknown model 'vgg1'"):
        planned(32, model={"name": "vgg1"})


@pytest.mark.parametrize(
    ("sections", "text"),
    [
        (
            {"augmentation": {"mirror": 0.0}},
            r"augmentation\.mirror: it is for classification, .* has boxes\. .* \[boxes\]",
        ),
        ({"segmentation": {"touching": 10.0}}, r"segmentation\.touching: it is for segmentation"),
        (
            {"training": {"label_smoothing": 0.0}},
            r"training\.label_smoothing: it is for classification, and this is detection",
        ),
    ],
)
def test_settings_without_influence_are_refused(sections: dict[str, Any], text: str, tmp_path: Path) -> None:
    index = read(write_discs(tmp_path / "discs", {"train": 2, "val": 1}))
    with pytest.raises(ConfigError, match=text):
        with_task(compose([("test", {"data": {"path": "discs"}, **sections})]), index)


@pytest.mark.parametrize(
    ("balance", "weights"),
    [(0.0, None), (0.5, [0.8333, 2.5, 0.0]), (1.0, [0.5556, 5.0, 0.0])],
)
def test_rare_classes_count_as_much_more_as_balance_says(balance: float, weights: list[float] | None) -> None:
    """Of pixels 0.9 and 0.1, one class nowhere: shares to the power of -balance, and 1 in the mean over the pixels."""
    index: Any = SimpleNamespace(positions=lambda split: [0], class_names=("ground", "cell", "rim"))
    report: Any = SimpleNamespace(class_pixels=lambda positions: np.array([900, 100, 0]))
    config = compose([("test", {"segmentation": {"balance": balance}})])
    found = class_weights(config, index, report, []).segmentation.class_weights
    assert found == (None if weights is None else pytest.approx(weights, rel=1e-3))
