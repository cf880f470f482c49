"""How a segmenter's pictures are varied, when that is left open."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sightline.config import ModelConfig, RunConfig, compose
from sightline.data.checks import Report
from sightline.workflows.plan_segmentation import arguments, masks

UPLESS = [0.0, 0.01, 0.02]
UPRIGHT = [0.0, 0.01, 0.3]
GROUND = [-0.1, 0.4, 0.0]


def varied(
    layout: list[float], classes: tuple[str, ...] = ("background", "cell"), **chosen: Any
) -> tuple[RunConfig, str]:
    index: Any = SimpleNamespace(class_names=classes, positions=lambda split: np.arange(5, 25))
    layouts = {position: np.array(layout if position >= 5 else GROUND) for position in range(30)}
    said: list[str] = []
    config = compose([("test", {"task": "segmentation", "masks": chosen})])
    return masks(config, index, Report(images=30, faults=(), sizes=None, layouts=layouts), said), " ".join(said)


@pytest.mark.parametrize(("layout", "flip", "turn"), [(UPLESS, 0.5, 0.75), (UPRIGHT, 0.5, 0.0), (GROUND, 0.0, 0.0)])
def test_pictures_without_an_up_are_turned(layout: list[float], flip: float, turn: float) -> None:
    config, said = varied(layout)
    assert (config.masks.flip, config.masks.turn) == (flip, turn)
    assert ("show no up" in said) == bool(flip)
    assert ("by quarters" in said) == bool(turn)
    again, silent = varied(layout, flip=flip, turn=turn)
    assert (again.masks, silent) == (config.masks, "")


def test_what_was_chosen_stays() -> None:
    config, said = varied(UPLESS, flip=0.0, turn=0.0)
    assert (config.masks.flip, config.masks.turn, said) == (0.0, 0.0, "")
    assert varied(UPLESS, flip=0.25)[0].masks.flip == 0.25
    assert varied(GROUND, flip=0.25, turn=1.0)[1] == ""


def test_of_several_kinds_one_may_be_the_other_upside_down() -> None:
    config, said = varied([0.0, 0.01, 0.0, 0.0], classes=("background", "6", "9"))
    assert (config.masks.flip, config.masks.turn, said) == (0.0, 0.0, "")


def test_few_pictures_get_a_narrow_expanding_path_on_a_classifier() -> None:
    unet = ModelConfig(name="unet", arguments={"backbone": "resnet18"})
    said: list[str] = []
    narrow = arguments(unet, 999, said)
    assert narrow.arguments["width"] == 32
    assert len(said) == 1
    assert "999 pictures" in said[0]
    assert arguments(narrow, 999, said) == narrow
    assert len(said) == 1
    for model, images in (
        (unet, 1_000),
        (ModelConfig(name="unet"), 10),
        (ModelConfig(name="unet_2015"), 10),
        (ModelConfig(name="unet", arguments={"backbone": "resnet18"}, weights="runs/none/model.safetensors"), 10),
    ):
        assert "width" not in arguments(model, images, said).arguments
    assert len(said) == 1
