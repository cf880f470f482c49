"""Arguments that several verbs have, described once."""

from pathlib import Path
from typing import Annotated

import typer

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

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="Format of the data when it cannot be told: csv, parquet, idx, ilsvrc, 'image folder', coco, voc, yolo, 'mask folder' "
        "or 'coco masks'.",
    ),
]


def example(*lines: str) -> str:
    """Lines of shell for the end of a help page, kept as they are.

    >>> example("sightline models")
    '\\x08\\nExample:\\n  sightline models'
    """
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
