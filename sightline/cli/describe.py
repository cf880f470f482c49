"""`sightline describe`: the layers of a network and what they cost; its drawing."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.options import Json
from sightline.cli.output import print_json, print_table
from sightline.errors import ConfigError

if TYPE_CHECKING:
    from sightline.workflows.describe import Description


def describe(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="The network; `sightline models` lists them. Or a run folder or .safetensors file, for the network in it.",
            show_default=False,
        ),
    ],
    image_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Side of the images in pixels.  [default: as in the run, for the published weights or in the paper, else 224]",
        ),
    ] = None,
    num_classes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of classes.  [default: those of the run; 1000 for a classifier, 90 for a detector, 2 for a segmenter]",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="An argument of the network, e.g. stem=small, or backbone=resnet34. May be repeated.",
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="A row for each layer instead of one for each block.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a classifier or a U-Net into a .svg file.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out when it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a network is made of.

    For each part its layers, its output, its parameters and its multiply-adds for one image. In the column of layers ">" leads
    to the next one; "|" stands between branches that are concatenated, "+" between such that are added. The head of a detector
    is counted for one region.
    """
    if overwrite and out is None:
        raise ConfigError("--overwrite says what to do with the file of --out, which is not given.")
    from sightline.workflows import describe as workflow

    arguments = _arguments(settings or [])
    description = workflow.describe(
        model, image_size=image_size, num_classes=num_classes, arguments=arguments, out=out, overwrite=overwrite
    )
    if as_json:
        print_json({**description.as_object(), "files": [out] if out else []})
        return
    print_layers(description) if layers else print_parts(description)
    for remark in description.remarks():
        print(f"\n{remark}")
    if out is not None:
        print(f"\nwrote {out}")


def _arguments(settings: Sequence[str]) -> dict[str, Any]:
    from sightline.config import parse_setting

    arguments: dict[str, Any] = {}
    for text in settings:
        if "=" not in text:
            raise ConfigError(f"--set {text}: expected NAME=VALUE, for example --set stem=small.")
        arguments |= parse_setting(text)
    return arguments


def print_parts(description: "Description") -> None:
    """A row for each block."""
    from sightline.report.summary import grouped

    rows = [
        (row.auxiliary, [row.name, row.what, row.output, *_costs(row.parameters, row.multiply_adds)])
        for row in grouped(description.architecture)
    ]
    _print_rows(("name", "layers", "output"), rows, description)


def print_layers(description: "Description") -> None:
    """A row for each layer."""
    from sightline.report.summary import shape

    rows = []
    for layer in description.architecture.layers[1:]:
        window = ["x".join(map(str, pair)) if pair else "" for pair in (layer.kernel, layer.stride)]
        costs = _costs(layer.parameters, layer.multiply_adds)
        rows.append((layer.auxiliary, [layer.name, layer.kind, *window, shape(layer.output), *costs]))
    _print_rows(("name", "kind", "kernel", "stride", "output"), rows, description)


def _print_rows(columns: Sequence[str], rows: Sequence[tuple[bool, list[str]]], description: "Description") -> None:
    """The rows of the network, their sum, then those of its auxiliary classifiers and theirs."""
    numbers = ("parameters", "multiply-adds")
    shown = []
    for auxiliary, heading in ((False, "total"), (True, "auxiliary total")):
        of_these = [cells for beside, cells in rows if beside == auxiliary]
        if of_these:
            architecture = description.architecture
            sums = architecture.parameters(auxiliary=auxiliary), architecture.multiply_adds(auxiliary=auxiliary)
            shown += [*of_these, [heading, *[""] * (len(columns) - 1), *_costs(*sums)]]
    size = description.image_size
    print(f"{description.model} for images of {size} x {size} pixels")
    print()
    print_table((*columns, *numbers), shown, numbers=numbers)


def _costs(*numbers: int) -> list[str]:
    """Numbers with their thousands apart; nothing for what costs nothing."""
    return [f"{number:,}" if number else "" for number in numbers]
