"""Describe: what a network is made of and what it costs, without training it and without its weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sightline.errors import InputError, UnknownNameError
from sightline.files import require_free, write_atomic
from sightline.models import BACKBONES, create_backbone
from sightline.models.weights import PUBLISHED, find
from sightline.report.architecture import Architecture, trace
from sightline.report.page import draw
from sightline.report.svg import to_svg
from sightline.structures import Preprocessing

USUAL_SIZE = 224
"""Side of the images of a network without published weights, in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """A network for images of one size."""

    model: str
    arguments: dict[str, Any]
    """What its builder was given, the number of classes among it."""
    image_size: int
    """Side of the images, in pixels."""
    architecture: Architecture

    def as_object(self) -> dict[str, Any]:
        """Everything, as JSON holds it. A layer's `inputs` are positions in `layers`."""
        architecture = self.architecture
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
            "layers": [asdict(layer) for layer in architecture.layers],
        }


def describe(
    model: str,
    *,
    image_size: int | None = None,
    num_classes: int = 1000,
    arguments: Mapping[str, Any] | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> Description:
    """The layers of the network called `model`, built with `arguments`, for square images; with `out`, drawn into an SVG file.

    `image_size` is that of the published weights when not given, else 224. Raises `UnknownNameError` for an unknown model,
    `InputError` for an argument or a size that it does not take, for a file that does not end in .svg, and for one that is
    there already unless `overwrite` is set; `StorageError` when it cannot be written.

    >>> description = describe("alexnet", num_classes=10, arguments={"stem": "small"}, image_size=32)
    >>> description.architecture.layers[-1].output
    (10,)
    """
    if model not in BACKBONES:
        raise UnknownNameError("model", model, BACKBONES)
    if out is not None:
        check_out(out, overwrite=overwrite)
    given = {"num_classes": num_classes, **(arguments or {})}
    shape = find(model).preprocessing if model in PUBLISHED else None
    size = image_size or (shape.crop if isinstance(shape, Preprocessing) else USUAL_SIZE)
    with torch.device("meta"):
        architecture = trace(create_backbone(model, **given), size)
    description = Description(model=model, arguments=given, image_size=size, architecture=architecture)
    if out is not None:
        write_atomic(out, drawing(description).encode())
    return description


def drawing(description: Description) -> str:
    """The text of an SVG file with the network in it; the same for the same network."""
    architecture, size = description.architecture, description.image_size
    others = [f"{name} {value}" for name, value in description.arguments.items() if name != "num_classes"]
    subtitle = (
        f"{architecture.parameters():,} parameters, {architecture.multiply_adds() / 1e9:.2f} G multiply-adds "
        f"at {size} x {size} pixels"
    )
    if architecture.parameters(auxiliary=True):
        subtitle += ", auxiliary classifiers apart"
    return to_svg(draw(architecture, ", ".join([description.model, *others]), subtitle))


def check_out(out: Path, *, overwrite: bool) -> None:
    """Raise `InputError` for a name that does not end in .svg, and for a file that is there already unless `overwrite` is set."""
    if out.suffix.lower() != ".svg":
        raise InputError(f"{out}: expected a name that ends in .svg; the drawing is written as SVG alone.")
    if not overwrite:
        require_free([out])
