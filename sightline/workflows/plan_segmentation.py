"""What was left open for a segmenter: the windows that it learns from, and the classifier in its contracting path."""

from dataclasses import replace
from typing import Any

import numpy as np

from sightline.config import ModelConfig, RunConfig
from sightline.data.checks import Report
from sightline.data.counted import counted
from sightline.data.index import Index
from sightline.data.layout import without_up
from sightline.errors import ConfigError
from sightline.structures import Windows
from sightline.workflows.network import colours, inherited, on_backbone, published

WINDOWS = 128, 256
"""Least and most side of the windows that a segmenter learns from, in pixels: half of the pictures' shorter side, so that a step costs
little and an epoch sees many parts; of pictures smaller than that, all."""
EXPOSURES = 2.0
"""How many times as bright as in one of the darker pictures (the tenth in a hundred) the brightest parts of a brighter one are when
pictures are said to be exposed very differently."""
FEW, NARROW = 1_000, 32
"""With fewer pictures, the width of the path that expands a classifier's maps. Of 112 pictures of nuclei it learned as much in as many
epochs as twice the width, each in two thirds of the time."""
FLIPPED, TURNED = 0.5, 0.75
"""Probabilities with which pictures without an up are mirrored upside down and turned by quarters: all eight ways are alike."""
_STRETCHED = "the pictures are exposed very differently: each is stretched to the whole range of brightness"
UNIT = 32
"""Sides are multiples of so many pixels: a cell of the coarsest map."""


def windows(config: RunConfig, report: Report, said: list[str]) -> tuple[RunConfig, Windows]:
    """The windows that are cut out of the training pictures."""
    entry, size = published(config.model), config.data.image_size
    median = report.sizes.shorter_median if report.sizes else WINDOWS[0]
    wanted = min(max(median // 2, WINDOWS[0]), WINDOWS[1], median)
    side = size or max(UNIT, -(-wanted // UNIT) * UNIT)
    stretch = config.data.stretch
    if stretch is None:
        stretch = entry is None and _unlike_exposures(report)
        said.extend([_STRETCHED] if stretch else [])
    if size is None:
        said.append(f"windows of {side} px (the pictures' shorter side is {median} px); pictures keep their own pixels")
    config = replace(config, data=replace(config.data, image_size=side, stretch=stretch))
    return config, Windows(side=side, stretch=stretch, **colours(config.model))


def _unlike_exposures(report: Report) -> bool:
    """Whether the bright parts of one picture would be dark in another, as no two cameras' photographs are."""
    levels = sorted(report.brightest.values())
    if not levels:
        return False
    darker, brighter = levels[len(levels) // 10], levels[-1 - len(levels) // 10]
    return brighter > EXPOSURES * max(darker, 1)


def masks(config: RunConfig, index: Index, report: Report, said: list[str]) -> RunConfig:
    """How the training pictures are varied: upside down and turned as well where nothing speaks against it.

    One kind of object can be turned into no other; of several kinds, one may be the other upside down.
    """
    chosen = config.masks
    seen = [report.layouts[position] for position in index.positions("train").tolist() if position in report.layouts]
    upside, turned = without_up(seen) if len(index.class_names) == 2 else (False, False)
    flip = chosen.flip if chosen.flip is not None else FLIPPED * upside
    turn = chosen.turn if chosen.turn is not None else TURNED * turned
    if (flip, turn) != (chosen.flip or 0, chosen.turn or 0):
        said.append(
            f"the masks show no up: pictures are turned upside down{' and by quarters' if turn else ''} as well "
            "(--set masks.flip=0 --set masks.turn=0 if they have one)"
        )
    return replace(config, masks=replace(chosen, flip=flip, turn=turn))


def class_weights(config: RunConfig, index: Index, report: Report, said: list[str]) -> RunConfig:
    """Weights that let rare classes count as `segmentation.balance` asks; the mean over the training pixels stays 1."""
    chosen = config.segmentation
    if not chosen.balance or chosen.class_weights is not None:
        return config
    pixels = report.class_pixels(index.positions("train")).astype(np.float64)
    shares = pixels / pixels.sum()
    raised = np.where(pixels > 0, np.maximum(shares, 1e-12) ** -chosen.balance, 0.0)
    weights = tuple(float(f"{weight:.4g}") for weight in raised / (shares * raised).sum())
    named = ", ".join(f"{name} {weight:g}" for name, weight in list(zip(index.class_names, weights, strict=True))[:10])
    said.append(f"class weights: {named}{', ...' if len(weights) > 10 else ''}")
    return replace(config, segmentation=replace(chosen, class_weights=weights, balance=0.0))


def arguments(model: ModelConfig, images: int, said: list[str]) -> ModelConfig:
    """The network's arguments: the classifier in its contracting path as in the run that it comes from, if it comes from one.

    With few `images` to learn from, the expanding path is a narrow one. Raises `ConfigError` when there is no place for a classifier.
    """
    given: dict[str, Any] = {**model.arguments, **inherited(model)}
    if model.name != "unet":
        if model.backbone_weights != "none":
            raise ConfigError(
                f"model.backbone_weights: {model.name} has a contracting path of its own; use model=unet."
            )
        return replace(model, arguments=given)
    given |= on_backbone(replace(model, arguments=given), None)
    if "backbone" in given and "width" not in given and images < FEW and model.weights == "none":
        given["width"] = NARROW
        said.append(
            f"an expanding path of width {NARROW} for {counted(images, 'picture')} (--set model.arguments.width=64 for the usual one)"
        )
    return replace(model, arguments=given)
