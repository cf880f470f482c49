"""`sightline train`: read the recipe, put the flags over it, start or resume."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.composing import composed, given
from sightline.cli.options import Backbone, Data, Epochs, Format, Json, Model, Out, Recipe, Settings, Skip, Splits, Task
from sightline.cli.output import duration, is_first_process, print_json
from sightline.cli.progress import listening
from sightline.errors import ConfigError

if TYPE_CHECKING:
    from sightline.workflows.train import TrainResult


def train(
    context: typer.Context,
    data: Data = None,
    model: Model = None,
    backbone: Backbone = None,
    neck: Annotated[
        str | None,
        typer.Option(
            metavar="none|fpn|fpn_v2",
            help="Between it and the detector: nothing, so one of its maps is used, or a feature pyramid.  [default: none]",
        ),
    ] = None,
    skip: Skip = None,
    recipe: Recipe = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="none|imagenet|coco|FILE|RUN",
            help="What training starts from: nothing, published weights, a file, or a run.  [default: none]",
        ),
    ] = None,
    backbone_weights: Annotated[
        str | None,
        typer.Option(
            metavar="none|imagenet|FILE|RUN",
            help="What the classifier in a detector or a U-Net starts from.  [default: none]",
        ),
    ] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE",
            help="Do not train this stage and those before it: c1 to c5 of a ResNet; `sightline describe` shows others.",
        ),
    ] = None,
    epochs: Epochs = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the run folder.  [default: made from the data and the model]"),
    ] = None,
    out: Out = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Decides first weights, order of the pictures and augmentation.  [default: 0]"),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(metavar="N", help="Processes that share each batch on this machine.", min=1, show_default=True),
    ] = 1,
    compile_: Annotated[
        bool, typer.Option("--compile", help="Compile the network first: slower to start, faster after.")
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with a run that was stopped. Only --processes and --json go with it."),
    ] = None,
    settings: Settings = None,
    splits: Splits = None,
    format_: Format = None,
    task: Task = None,
    as_json: Json = False,
) -> None:
    """Train a network on pictures.

    The pictures are checked first, and every choice made for you is said. The run folder keeps the best and the last weights,
    the resolved recipe, the log, and what a resume needs; Ctrl-C saves and stops.
    """
    flags: dict[str, dict[str, Any]] = {
        "DATA": {"data": {"path": data}},
        "--model": {"model": {"name": model}},
        "--backbone": {"model": {"arguments": {"backbone": backbone}}},
        "--neck": {"model": {"arguments": {"neck": neck}}},
        "--skip": {"model": {"arguments": {"skip": skip}}},
        "--weights": {"model": {"weights": weights}},
        "--backbone-weights": {"model": {"backbone_weights": backbone_weights}},
        "--freeze": {"model": {"freeze": freeze}},
        "--epochs": {"training": {"epochs": epochs}},
        "--seed": {"seed": seed},
        "--compile": {"training": {"compile": compile_ or None}},
        "--splits": {"data": {"splits": None if splits is None else str(splits)}},
        "--format": {"data": {"format": format_}},
        "--task": {"task": task},
    }
    tables = given(flags)
    if resume is not None:
        others = {"--recipe": recipe, "--name": name, "--out": out, "--set": settings or None}
        _refuse_beside_resume([*tables, *(flag for flag, value in others.items() if value is not None)])
        config = None
    else:
        config = composed("train", recipe, tables, settings)

    if processes > 1 and not _is_child():
        from sightline.workflows.launch import launch

        raise typer.Exit(launch(processes, without_option(context.obj, "--processes")))

    from sightline.workflows import train as workflow

    with listening() as listener:
        if config is None:
            assert resume is not None
            result = workflow.resume(resume, listener=listener)
        else:
            result = workflow.start(config, name=name, out=out or Path("runs"), listener=listener)
        if not result.finished:
            listener.say(f"Stopped and saved. Go on with: sightline train --resume {result.run}")
    if is_first_process():
        print_json(asdict(result)) if as_json else _print(result)
    raise typer.Exit(0 if result.finished else 1)


def without_option(words: list[str], option: str) -> list[str]:
    """A command line without one option and its value.

    >>> without_option(["train", "digits", "--processes", "2", "--json"], "--processes")
    ['train', 'digits', '--json']
    >>> without_option(["train", "--processes=2", "digits"], "--processes")
    ['train', 'digits']
    """
    kept = []
    rest = iter(words)
    for word in rest:
        if word == option:
            next(rest, None)
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


def _refuse_beside_resume(others: list[str]) -> None:
    if others:
        raise ConfigError(
            f"--resume goes on with the recipe of its run, so {', '.join(others)} cannot be given with it. "
            "Leave that out, or start a new run without --resume."
        )


def _is_child() -> bool:
    from sightline.workflows.launch import is_child

    return is_child()


def _print(result: "TrainResult") -> None:
    value = result.metrics.get(result.headline)
    best = f"best validation {result.headline} {value:.4f} in epoch {result.best_epoch}, " if value is not None else ""
    epochs = "1 epoch" if result.epochs == 1 else f"{result.epochs} epochs"
    print(f"{best}{epochs} in {duration(result.seconds)}")
    print(f"run: {result.run}")
    if result.finished:
        print(f"next: sightline evaluate {result.run}")
