"""`sightline sample`: a small data set to try things on."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sightline.cli.options import Json
from sightline.cli.output import print_json


def sample(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder to write; it must be new or empty.", show_default=False)
    ],
    kind: Annotated[
        Literal["digits", "scenes", "masks"] | None,
        typer.Option(
            metavar="digits|scenes|masks",
            help="Single digits with a class, scenes with boxes, or with masks.  [default: that of the folder's name, else digits]",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Decides which picture goes into which split, and what is in a scene.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Write a small data set to try things on.

    Digits: scikit-learn's 1,797 handwritten ones as pictures, in train, val and test folders with a folder for each class.

    Scenes: 440 pictures for object detection, up to five of these digits on a part of a photograph, with their boxes in COCO's
    format.

    Masks: the same pictures for segmentation, with the pixels of the digits.
    """
    from sightline.data import samples
    from sightline.data.formats import read

    kind = kind or next((kind for kind in ("scenes", "masks") if kind == out.name), "digits")
    folder = (
        samples.write_digits(out, seed) if kind == "digits" else samples.write_scenes(out, seed, masks=kind == "masks")
    )
    counts = {split: len(positions) for split, positions in read(folder).splits.items()}
    if as_json:
        print_json({"data": folder, "pictures": counts})
        return
    print(f"{folder}: {', '.join(f'{split} {count}' for split, count in counts.items())} pictures")
    model = " --model faster_rcnn --backbone resnet18 --neck fpn" if kind == "scenes" else ""
    print(f"next: sightline train {folder}{model}")
