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
    """Do everything once, on sample data.

    A classifier learns handwritten digits, a detector learns to find them on photographs, and a segmenter to cut them out: each
    is trained, measured on pictures that were held back, used, and drawn. It takes some minutes on two cores and needs no network
    connection.
    """
    from sightline.workflows import demo as workflow

    with listening() as listener:
        result = workflow.demo(out, listener=listener)
    if as_json:
        print_json(result)
        return
    titles = {
        "classification": "digits",
        "detection": "digits on photographs",
        "segmentation": "digits cut out of photographs",
    }
    for task, title in titles.items():
        part = result[task]
        print(f"== {title}")
        print_evaluation(part["test"])
        print(f"data:     {part['data']}")
        print(f"run:      {part['run']}")
        print()
    for picture in result["pictures"]:
        print(f"picture:  {picture}")
    print(f"Everything took {duration(result['seconds'])}.")
