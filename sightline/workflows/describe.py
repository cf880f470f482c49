"""Describe: what a network is made of and what it costs, without training it and without its weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sightline.checkpoint import Header, load_header, run_weights
from sightline.errors import InputError, UnknownNameError
from sightline.files import require_free, write_atomic
from sightline.models import DETECTORS, MODELS, SEGMENTERS, create_model
from sightline.models.weights import COCO, DEFAULT, PUBLISHED, find
from sightline.report.architecture import Architecture, trace
from sightline.report.page import draw
from sightline.report.svg import to_svg
from sightline.report.unet_figure import draw_unet
from sightline.structures import Preprocessing, Shape, WholePicture, Windows

USUAL_SIZE, SIZES = 224, {"unet_2015": 572, "faster_rcnn": 600}
"""Side of the images of a network without published weights, in pixels; of those whose paper says another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """A network for images of one size."""

    model: str
    arguments: dict[str, Any]
    """What its builder was given, the number of classes among it."""
    image_size: int
    """Side of the images, in pixels."""
    architecture: Architecture

    def remarks(self) -> list[str]:
        """What the numbers of this network mean beyond what they say, a sentence each; nothing for a classifier."""
        architecture, said = self.architecture, []
        if architecture.regions is not None:
            one = architecture.multiply_adds_of_region()
            most = architecture.multiply_adds() + (architecture.regions - 1) * one
            said.append(
                f"From roi_heads on the numbers are those of one region. An image has up to {architecture.regions:,} of them, "
                f"so it costs {architecture.multiply_adds() - one:,} multiply-adds and {one:,} a region, {most:,} at most."
            )
        if architecture.trunk is not None and architecture.regions is None:
            side = architecture.layers[-1].output[-1]
            if side < self.image_size:
                said.append(
                    f"Of the {self.image_size} x {self.image_size} pixels the inner {side} x {side} get logits: the "
                    f"{(self.image_size - side) // 2} at each side are their surroundings, mirrored where a picture ends."
                )
        return said

    def as_object(self) -> dict[str, Any]:
        """Everything, as JSON holds it. A layer's `inputs` are positions in `layers`.

        `multiply_adds` of a detector are those with one region; `regions` says how many there are at most, and what one costs.
        """
        architecture, regions = self.architecture, self.architecture.regions
        head = {"most": regions, "multiply_adds_each": architecture.multiply_adds_of_region()} if regions else None
        return {
            "model": self.model,
            "arguments": self.arguments,
            "image_size": self.image_size,
            "parameters": architecture.parameters(),
            "multiply_adds": architecture.multiply_adds(),
            "auxiliary": {
                "parameters": architecture.parameters(auxiliary=True),
                "multiply_adds": architecture.multiply_adds(auxiliary=True),
            },
            "regions": head,
            "layers": [asdict(layer) for layer in architecture.layers],
        }


def describe(
    model: str,
    *,
    image_size: int | None = None,
    num_classes: int | None = None,
    arguments: Mapping[str, Any] | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> Description:
    """The layers of the network called `model`, built with `arguments`, for square images; with `out`, drawn into an SVG file.

    In place of a name, `model` may be a run folder or a weights file: its network, classes and size, where no others are given.

    `image_size` is that of the published weights when not given, else that of the paper for `unet_2015` and `faster_rcnn` (572
    and 600), else 224. For `unet_2015` it counts the surroundings that get no logits. Without `num_classes` there are as many
    as `create_model` takes. Raises `UnknownNameError` for an unknown model, `InputError` for an argument or a size that it does
    not take, for a detector that is to be drawn, for a file that does not end in .svg, and for one that is there already unless
    `overwrite` is set; `StorageError` when it cannot be written.

    >>> description = describe("alexnet", num_classes=10, arguments={"stem": "small"}, image_size=32)
    >>> description.architecture.layers[-1].output
    (10,)
    """
    own, side = {}, None
    if model not in MODELS:
        header = _header(model)
        model, side = header.architecture, _side(header.preprocessing)
        own = {"num_classes": len(header.class_names), **header.arguments}
    if out is not None:
        if model in DETECTORS:
            raise InputError(
                f"{model} cannot be drawn: classifiers and U-Nets can. Leave --out away for its table of layers."
            )
        check_out(out, overwrite=overwrite)
    given = {**own, **({} if num_classes is None else {"num_classes": num_classes}), **(arguments or {})}
    size = image_size or side or usual_size(model)
    with torch.device("meta"):
        network = create_model(model, **given)
        architecture = trace(network, size)
    given = {"num_classes": network.num_classes, **given}
    description = Description(model=model, arguments=given, image_size=size, architecture=architecture)
    if out is not None:
        write_atomic(out, drawing(description).encode())
    return description


def usual_size(model: str) -> int:
    """Side of the images that a network is described for when none is given, in pixels."""
    if model not in PUBLISHED:
        return SIZES.get(model, USUAL_SIZE)
    return _side(find(model, COCO if model in DETECTORS else DEFAULT).preprocessing)


def _header(run: str) -> Header:
    """What a run folder or a weights file says of its network; raises `UnknownNameError` where there is neither."""
    if not Path(run).exists():
        raise UnknownNameError("model", run, MODELS, f"And there is no run or weights file at {run}.")
    return load_header(run_weights(Path(run)))


def _side(shape: Shape) -> int:
    match shape:
        case Preprocessing():
            return shape.crop
        case WholePicture():
            return shape.shorter
        case Windows():
            return shape.side


def drawing(description: Description) -> str:
    """The text of an SVG file with the classifier or the U-Net in it; the same for the same network."""
    architecture, size = description.architecture, description.image_size
    inner = description.arguments.get("backbone_arguments", {})
    given = {name: value for name, value in description.arguments.items() if name != "backbone_arguments"} | inner
    others = [f"{name} {value}" for name, value in given.items() if name != "num_classes"]
    subtitle = (
        f"{architecture.parameters():,} parameters, {architecture.multiply_adds() / 1e9:.2f} G multiply-adds "
        f"at {size} x {size} pixels"
    )
    if architecture.parameters(auxiliary=True):
        subtitle += ", auxiliary classifiers apart"
    title = ", ".join([description.model, *others])
    if description.model in SEGMENTERS:
        return to_svg(draw_unet(architecture, title, subtitle, description.arguments.get("backbone")))
    return to_svg(draw(architecture, title, subtitle))


def check_out(out: Path, *, overwrite: bool) -> None:
    """Raise `InputError` for a name that does not end in .svg, and for a file that is there already unless `overwrite` is set."""
    if out.suffix.lower() != ".svg":
        raise InputError(f"{out}: expected a name that ends in .svg; the drawing is written as SVG alone.")
    if not overwrite:
        require_free([out])
