"""`sightline shard`: a data set as a few large files."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.options import Format, Json, Splits
from sightline.cli.output import print_json
from sightline.cli.progress import listening
from sightline.data.counted import counted


def shard(
    data: Annotated[str, typer.Argument(metavar="DATA", help="The data set to read.", show_default=False)],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder to write; it must be new or empty.", show_default=False)
    ],
    size: Annotated[
        int | None, typer.Option(metavar="MB", help="Megabytes of a shard, at most.  [default: 256]")
    ] = None,
    pictures: Annotated[
        int | None, typer.Option(metavar="N", help="Pictures of a shard, at most, instead of a size.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides the order of the pictures.")] = 0,
    splits: Splits = None,
    format_: Format = None,
    as_json: Json = False,
) -> None:
    """Write a data set as shards: tar files of many pictures, with an index.

    Picture files go into them byte for byte, in a random order, each with its class, boxes or mask beside it, as the WebDataset
    library reads them. The folder, or the address that it is copied to (http://, https://, s3://, gs://), is then a data set for
    every verb.
    """
    from sightline.config import DataConfig
    from sightline.workflows import shard as workflow

    with listening() as listener:
        given = DataConfig(path=data, format=format_, splits=None if splits is None else str(splits))
        result = workflow.shard(given, out, size=size, pictures=pictures, seed=seed, listener=listener)
    if as_json:
        print_json(asdict(result))
        return
    counts = ", ".join(f"{split} {count}" for split, count in result.splits.items())
    print(
        f"{result.out}: {counted(result.pictures, 'picture')}{f' ({counts})' if counts else ''} in {counted(result.shards, 'shard')}, "
        f"{result.bytes / 2**20:,.1f} MB"
    )
    for text in result.lost:
        print(f"not written: {text}")
    print(f"next: sightline train {shlex.quote(result.out)}")
