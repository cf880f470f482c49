"""`sightline`: one verb a file. Nothing here imports torch; each verb imports what it needs when it runs."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from sightline import __version__
from sightline.cli import failures
from sightline.cli.ablate import ablate
from sightline.cli.check import check
from sightline.cli.convert import convert
from sightline.cli.demo import demo
from sightline.cli.describe import describe
from sightline.cli.evaluate import evaluate
from sightline.cli.explain import explain
from sightline.cli.models import models
from sightline.cli.options import example
from sightline.cli.predict import predict
from sightline.cli.sample import sample
from sightline.cli.shard import shard
from sightline.cli.split import split
from sightline.cli.train import train

# Plain help texts: rich would take longer to import than everything else together.
app = typer.Typer(
    name="sightline",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog=example(
        "sightline sample digits",
        "sightline train digits --model resnet18 --name first",
        "sightline evaluate runs/first --split test",
        "sightline predict runs/first digits/test/7",
    )
    + "\n\nExit codes: 0 done, 1 the work failed or a check found errors, 2 something given is wrong.",
)
app.command(
    epilog=example(
        "sightline train digits --model resnet18 --epochs 5 --name first",
        "sightline train photos --weights imagenet --freeze c3 --set optimizer.lr=0.01",
        "sightline train --recipe recipes/cifar10_resnet18.toml --processes 2",
        "sightline train --resume runs/first",
    )
)(train)
app.command(
    epilog=example(
        "sightline evaluate runs/first --split test",
        "sightline evaluate runs/first --crops dense",
        "sightline evaluate runs/first other-photos --crops 10 --json",
    )
)(evaluate)
app.command(
    epilog=example(
        "sightline ablate digits --over augmentation.mirror=0.5,0.0 --epochs 3 --name mirror",
        "sightline ablate cells --model unet --over skip=concat,none --seeds 5",
        "sightline ablate photos --over optimizer.lr=0.05,0.1 --json",
    )
)(ablate)
app.command(
    epilog=example(
        "sightline predict runs/first holiday/ more/*.jpg",
        "sightline predict runs/first holiday/ --out labels.csv",
        "sightline predict runs/first archive/ --job archive-labels",
    )
)(predict)
app.command(
    epilog=example(
        "sightline explain runs/first digits/test/7/000094.png --cam --dense",
        "sightline explain runs/first holiday/ --cam --class dog --stage c4 --out why/",
        "sightline explain runs/cells photo.jpg --proposals",
    )
)(explain)
app.command(
    epilog=example(
        "sightline convert cells-voc cells-coco --format coco",
        "sightline convert digits digits.csv --format csv",
        "sightline convert exported cells --from coco --format yolo --json",
    )
)(convert)
app.command(
    epilog=example(
        "sightline split photos --val 0.1 --test 0.2",
        "sightline split scans --group-by 'patient-(\\d+)' --out scans.splits.csv",
        "sightline train scans --splits scans.splits.csv",
    )
)(split)
app.command(
    epilog=example(
        "sightline check photos",
        "sightline check photos --out photos.html",
        "sightline check cells --write-fixed cells-repaired",
    )
)(check)
app.command(
    epilog=example(
        "sightline shard photos photos-shards",
        "sightline shard scans scans-shards --size 1024 --json",
        "sightline train https://data.example.org/photos-shards",
    )
)(shard)
app.command(epilog=example("sightline models", "sightline models --json"))(models)
app.command(
    epilog=example(
        "sightline describe googlenet_2014 --out googlenet.svg",
        "sightline describe resnet18 --image-size 32 --num-classes 10 --set stem=small --layers",
        "sightline describe unet --set backbone=resnet34 --image-size 256 --out unet.svg",
    )
)(describe)
app.command(epilog=example("sightline sample digits", "sightline train digits", "sightline sample scenes"))(sample)
app.command(epilog=example("sightline demo --out /tmp/demo"))(demo)


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def sightline(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Train, evaluate, explain and use image classifiers, object detectors and segmenters.

    A training leaves a run folder; the other verbs work from it. `sightline VERB --help` explains a verb.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. No exception leaves here, so a traceback is shown only when it is asked for."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = typer.main.get_command(app).main(words, prog_name="sightline", standalone_mode=False, obj=words)
        sys.stdout.flush()
        return int(code or 0)
    except BrokenPipeError:
        # Whoever read the output has left. Nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BaseException as error:
        return failures.describe(error, as_json="--json" in words)
