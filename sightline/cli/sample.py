"""`sightline sample`: a small data set to try things on."""

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.options import Json
from sightline.cli.output import print_json


def sample(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder to write; it must be new or empty.", show_default=False)
    ],
    seed: Annotated[int, typer.Option(metavar="N", help="Decides which picture goes into which split.")] = 0,
    as_json: Json = False,
) -> None:
    """Write a small data set to try things on.

    It holds scikit-learn's 1,797 handwritten digits as pictures, in train, val and test folders with a folder for each class.
    """
    from sightline.data.formats import read
    from sightline.data.samples import write_digits

    folder = write_digits(out, seed)
    counts = {split: len(positions) for split, positions in read(folder).splits.items()}
    if as_json:
        print_json({"data": folder, "pictures": counts})
        return
    print(f"{folder}: {', '.join(f'{split} {count}' for split, count in counts.items())} pictures")
    print(f"next: sightline train {folder}")
