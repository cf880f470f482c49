"""`sightline ablate`: what a choice is worth, with the interval in which its worth lies."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sightline.cli.composing import composed, given
from sightline.cli.options import Backbone, Data, Epochs, Format, Json, Model, Out, Recipe, Settings, Skip
from sightline.cli.output import duration, print_json, print_table, share
from sightline.cli.progress import listening

if TYPE_CHECKING:
    from sightline.workflows.comparison import Comparison, Variant


def ablate(
    context: typer.Context,
    over: Annotated[
        str,
        typer.Option(
            metavar="KEY=VALUE,VALUE",
            help="What differs: a key of the recipe (optimizer.lr=0.001,0.003) or, without a dot, an argument of the network "
            "(skip=concat,none). The first value is what the others are compared with.",
            show_default=False,
        ),
    ],
    data: Data = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", help="Trainings of each variant, with the seeds 0 to N-1.", min=1)
    ] = 3,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="train, val or test.  [default: test where there is one, else val]"),
    ] = None,
    model: Model = None,
    backbone: Backbone = None,
    skip: Skip = None,
    recipe: Recipe = None,
    epochs: Epochs = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the folder of all runs.  [default: made from the data and the key]"),
    ] = None,
    out: Out = None,
    settings: Settings = None,
    format_: Format = None,
    as_json: Json = False,
) -> None:
    """Train variants with the same seeds and the same budget, and compare them.

    Prints each variant's figures and its difference to the first one, with the interval that holds 95 % of the differences when pictures
    and seeds are drawn anew. Everything else is equal. The runs are ordinary ones; the same command again goes on where it was
    stopped, and trains nothing twice.
    """
    tables = given(
        {
            "DATA": {"data": {"path": data}},
            "--model": {"model": {"name": model}},
            "--backbone": {"model": {"arguments": {"backbone": backbone}}},
            "--skip": {"model": {"arguments": {"skip": skip}}},
            "--epochs": {"training": {"epochs": epochs}},
            "--format": {"data": {"format": format_}},
        }
    )
    config = composed("ablate", recipe, tables, settings)
    from sightline.workflows import ablate as workflow

    with listening() as listener:
        result = workflow.ablate(
            config, over, seeds=seeds, split=split, name=name, out=out or Path("runs"), listener=listener
        )
        if not result.finished:
            listener.say(f"Stopped and saved. Go on with: {shlex.join(['sightline', *context.obj])}")
    if as_json:
        print_json(asdict(result))
    elif result.comparison is not None:
        print_comparison(result.comparison)
        print(f"runs: {result.folder}")
    raise typer.Exit(0 if result.finished else 1)


def print_comparison(found: "Comparison") -> None:
    """A table for each figure, then the headline in words."""
    pictures, seeds = (
        f"{n} {what}{'' if n == 1 else 's'}" for n, what in ((found.pictures, "picture"), (found.seeds, "seed"))
    )
    print(f"{found.key}: {len(found.variants)} variants, {seeds}, {pictures} of the {found.split} split")
    for name in found.metrics:
        print()
        numbers = [name, *(f"seed {seed}" for seed in range(found.seeds)), "difference", "95 % interval"]
        rows = [_row(variant, name) for variant in found.variants]
        if name == found.metrics[0]:
            numbers.append("time a run")
            for row, variant in zip(rows, found.variants, strict=True):
                row.append(duration(sum(variant.seconds) / len(variant.seconds)))
        print_table((found.key, *numbers), rows, numbers=numbers)
    print()
    for sentence in found.sentences:
        print(sentence)


def _row(variant: "Variant", name: str) -> list[str]:
    from sightline.workflows.variants import shown

    difference = variant.differences.get(name)
    between = ["reference", ""]
    if difference is not None:
        low, high = _signed(difference.low), _signed(difference.high)
        between = [_signed(difference.mean), "-" if difference.low is None else f"[{low}, {high}]"]
    figures = [share(value) for value in (variant.means[name], *variant.figures[name])]
    return [shown(variant.value), *figures, *between]


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
