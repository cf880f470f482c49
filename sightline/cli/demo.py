"""`sightline demo`: everything once, on pictures that come with it."""

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.evaluate import print_evaluation
from sightline.cli.options import Json
from sightline.cli.output import duration, print_json
from sightline.cli.progress import listening


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for data, run and pictures.")] = Path("runs/demo"),
    as_json: Json = False,
) -> None:
    """Do everything once, on the sample digits.

    Writes them, trains, evaluates on the test split, labels some and draws pictures. It takes some minutes on two cores and needs no
    network connection.
    """
    from sightline.workflows import demo as workflow

    with listening() as listener:
        result = workflow.demo(out, listener=listener)
    if as_json:
        print_json(result)
        return
    print_evaluation(result["test"])
    print()
    print(f"data:     {result['data']}")
    print(f"run:      {result['run']}")
    for picture in result["pictures"]:
        print(f"picture:  {picture}")
    print(f"Everything took {duration(result['seconds'])}.")
