"""Arguments that several verbs have, described once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    pass

Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help="A folder of class folders (or of train/val/test folders with them), a CSV with path and label, "
        "parquet, IDX files, ILSVRC-2012; with boxes COCO, VOC or YOLO; with masks the folders images and masks; shards, also at an "
        "address (https://, s3://, gs://). May be left out when the recipe names it.",
        show_default=False,
    ),
]

Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The network; `sightline models` lists them.  [default: resnet18; for boxes faster_rcnn, for masks unet]",
    ),
]

Backbone = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The classifier that faster_rcnn or unet stands on.  [default: chosen]"),
]

Skip = Annotated[
    str | None,
    typer.Option(
        metavar="concat|add|none",
        help="How a U-Net's cross connections join, or that there are none.  [default: concat]",
    ),
]

Recipe = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A TOML recipe, read first. Flags stand over it, --set over both."),
]

Epochs = Annotated[
    int | None, typer.Option(metavar="N", help="Times that every training picture is seen.  [default: 20]")
]

Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder that the run lies in.  [default: runs]")]

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One key of the recipe, e.g. optimizer.lr=0.05. May be repeated."),
]

Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="A run folder (its best weights are taken), or a .safetensors file.", show_default=False
    ),
]

Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on stdout; everything else goes to stderr."),
]

Splits = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="A table of the splits, as `sightline split` writes it, instead of those that DATA has."
    ),
]

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="Format of the data when it cannot be told: csv, parquet, idx, ilsvrc, 'image folder', coco, voc, yolo, 'mask folder', "
        "'coco masks' or shards.",
    ),
]


Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="NAME",
        help="What the data is for when it can be read in several ways: classification, detection or segmentation.",
    ),
]


def example(*lines: str) -> str:
    """Lines of shell for the end of a help page, kept as they are.

    >>> example("sightline models")
    '\\x08\\nExample:\\n  sightline models'
    """
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
