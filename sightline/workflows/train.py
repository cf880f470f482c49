"""Train: read and check the data, decide what was left open, build, fit. The same function for Python and for the shell."""

import json
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sightline import checkpoint
from sightline.config import ModelConfig, RunConfig, compose, read_recipe, to_table, to_toml
from sightline.data.addresses import whole_path
from sightline.data.checks import Report, check
from sightline.data.counted import counted
from sightline.data.dataset import Samples
from sightline.data.formats import read
from sightline.data.index import Index
from sightline.data.loader import eval_loader, together, train_loader
from sightline.data.splits import read_splits, write_splits
from sightline.device import keep_freed_memory
from sightline.errors import CheckpointError, ConfigError, DataError, InputError, StorageError, TrainingError
from sightline.files import write_atomic, write_json
from sightline.models.weights import is_published
from sightline.report.curves import draw_curves
from sightline.structures import Shape, read_shape
from sightline.training.claim import claim
from sightline.training.distributed import World, as_the_first, barrier, world
from sightline.training.runlog import Listener, Silence, read_log
from sightline.training.state import has_state
from sightline.training.trainer import Job, fit
from sightline.workflows.faults_said import once_said
from sightline.workflows.network import new_network, origin, resumed_network, told
from sightline.workflows.pictures import create_task, divided, evaluation_samples, training_samples
from sightline.workflows.plan import check_processes, complete, with_task


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """What a training leaves behind."""

    run: Path
    """The run folder."""
    finished: bool
    """False when a signal stopped it; `resume` goes on."""
    epochs: int
    """Epochs done."""
    best_epoch: int
    """The epoch whose weights are in `weights/best.safetensors`, 1 for the first; 0 when none is done."""
    headline: str
    """Name of the metric that decided."""
    metrics: dict[str, Any]
    """Metrics of those weights on the validation split."""
    seconds: float
    """Time spent training, over all sittings."""


def train(
    data: str | Path | None = None,
    /,
    *,
    recipe: str | Path | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    listener: Listener | None = None,
    **sections: Any,
) -> TrainResult:
    """Train a network on the pictures at `data` and keep the run in `out/name`.

    `sections` are those of a recipe and stand over it: `model="resnet50"` or `model={"name": ..., "weights": ...}`,
    `training={"epochs": 5}`, `seed=1`. Raises `ConfigError`, `DataError` and the like for wrong input.

    >>> import tempfile
    >>> from sightline.data.samples import write_digits
    >>> folder = Path(tempfile.mkdtemp())
    >>> model = {"name": "resnet18", "arguments": {"stem": "imagenet"}}
    >>> short = {"data": {"image_size": 16}, "training": {"epochs": 1, "precision": "float32"}}
    >>> result = train(write_digits(folder / "digits") / "test", name="first", out=folder, model=model, **short)
    >>> result.finished, result.headline, sorted(path.name for path in (result.run / "weights").iterdir())
    (True, 'top1', ['best.safetensors', 'last.safetensors'])
    """
    if isinstance(sections.get("model"), str):
        sections["model"] = {"name": sections["model"]}
    layers = [(str(recipe), read_recipe(Path(recipe)))] if recipe else []
    layers.append(("arguments", sections))
    if data is not None:
        layers.append(("data", {"data": {"path": str(data)}}))
    return start(compose(layers), name=name, out=out, listener=listener)


def start(
    config: RunConfig, *, name: str | None = None, out: str | Path = "runs", listener: Listener | None = None
) -> TrainResult:
    """Begin a new run. Raises `ConfigError` when its folder is taken: nothing is overwritten."""
    listener = listener or Silence()
    if not config.data.path:
        raise ConfigError("No data given: name a folder or file, or set data.path in the recipe.")
    config = with_whole_paths(config)
    with world() as here:
        run = None if name is None else named_folder(name, Path(out), fresh=here.is_first)
        index = read(Path(config.data.path), config.data.format, config.task)
        config = with_task(config, index)
        run = run or _free_folder(config, Path(out))
        barrier(here)  # all have chosen the same free name before one takes it
        _check_annotations(index, config, listener, here)
        index = divided(index, config.data)
        index, report = _checked(index, config, listener, here)
        config, shape, said = complete(config, index, report)
        check_processes(config, here.size)
        fast_bf16 = as_the_first(config.training.precision == "bf16", here)
        config = replace(config, training=replace(config.training, precision="bf16" if fast_bf16 else "float32"))
        if here.is_first:
            _say_plan(index, config, said, listener)
        job = _job(run, training_samples(index, config, shape, report), config, shape, listener, here, fresh=True)
        if here.is_first:
            _write_start(job, index, config)
        return _fit(job, here)


def resume(run: str | Path, *, listener: Listener | None = None) -> TrainResult:
    """Go on with a run from its newest complete state, to the same weights as if it had never stopped.

    Raises `CheckpointError` when `run` is no run folder or holds no state, `DataError` when the names, labels or classes of the
    data changed since.
    """
    run, listener = Path(run), listener or Silence()
    if not (run / "recipe.toml").is_file() or not (run / "data.json").is_file():
        raise CheckpointError(f"{run} is not a run that can be resumed: it has no recipe.toml and data.json.")
    if not has_state(run / "state"):
        raise CheckpointError(f"{run} was stopped before anything was saved. Remove it and start again.")
    config = compose([(str(run / "recipe.toml"), read_recipe(run / "recipe.toml"))])
    kept = json.loads((run / "data.json").read_text())
    with world() as here:
        index = read_splits(read(Path(config.data.path), config.data.format, config.task), run / "splits.csv")
        report = check(index)
        if report.faults:
            raise DataError(f"{report.faults[0]}. It was readable when {run} began.")
        index = report.without_faults(index)
        check_processes(config, here.size)
        shape = read_shape(kept["preprocessing"])
        samples = training_samples(index, config, shape, report)
        return _fit(_job(run, samples, config, shape, listener, here, fresh=False), here)


def _fit(job: Job, here: World) -> TrainResult:
    keep_freed_memory()
    try:
        with claim(job.run) if here.is_first else nullcontext():
            loop = fit(job, here)
    except InputError as error:
        if here.is_first:
            raise
        # What is wrong with the input is said by the first process, since all find it; this one alone found this.
        raise TrainingError(f"Process {here.rank}: {error}") from error
    metrics = {}
    if here.is_first and (job.run / "metrics.json").exists():
        metrics = json.loads((job.run / "metrics.json").read_text())
        try:
            draw_curves(read_log(job.run / "log.jsonl"), job.task.headline, job.run / "pictures" / "curves.png")
        except StorageError as error:  # the weights are what counts
            job.listener.say(str(error))
    return TrainResult(
        run=job.run,
        finished=loop.stopped_early or loop.step >= job.training.epochs * job.steps_per_epoch,
        epochs=loop.step // job.steps_per_epoch,
        best_epoch=loop.best_epoch,
        headline=job.task.headline,
        metrics=metrics,
        seconds=loop.seconds,
    )


def with_whole_paths(config: RunConfig) -> RunConfig:
    """The same configuration from whichever folder it is read: recipes of runs must mean the same everywhere."""
    splits = config.data.splits
    weights, backbone_weights = (_absolute(path) for path in (config.model.weights, config.model.backbone_weights))
    return replace(
        config,
        data=replace(config.data, path=whole_path(config.data.path), splits=splits and whole_path(splits)),
        model=replace(config.model, weights=weights, backbone_weights=backbone_weights),
    )


def named_folder(name: str, out: Path, *, fresh: bool) -> Path:
    """The folder for a run of that name. Raises `ConfigError` for what is no name, and when a `fresh` one is taken."""
    run = out / name
    if Path(name).name != name:
        raise ConfigError(f"--name {name}: expected a plain folder name; use --out for the folder that it lies in.")
    if fresh and run.exists() and any(run.iterdir()):
        raise ConfigError(
            f"{run} exists already and is not overwritten. Resume it with `sightline train --resume {run}`, or choose another name."
        )
    return run


def _free_folder(config: RunConfig, out: Path) -> Path:
    """The first free name made from the data and the model."""
    stem = f"{Path(config.data.path).stem}-{config.model.name}"
    run, number = out / stem, 1
    while run.exists():
        number += 1
        run = out / f"{stem}-{number}"
    return run


def _absolute(weights: str) -> str:
    """Weights as a recipe of a run names them: files by their whole path."""
    return weights if weights == "none" or is_published(weights) else str(Path(weights).expanduser().absolute())


def _check_annotations(index: Index, config: RunConfig, listener: Listener, here: World) -> None:
    """Say all that is wrong with them, and stop where it is too much."""
    faults, listener = index.faults, listener if here.is_first else Silence()
    once_said(faults.lines, lambda: faults.require_few(config.data.max_bad), listener)
    if faults.bad_boxes:
        listener.say(f"{faults.bad_boxes} of {faults.boxes} {faults.called} are bad and left out.")


def _checked(index: Index, config: RunConfig, listener: Listener, here: World) -> tuple[Index, Report]:
    report = check(index)
    lines, listener = [str(fault) for fault in report.faults], listener if here.is_first else Silence()
    return once_said(lines, lambda: report.without_faults(index, config.data.max_bad), listener, "unreadable: "), report


def _say_plan(index: Index, config: RunConfig, said: list[str], listener: Listener) -> None:
    counts = ", ".join(f"{name} {len(positions)}" for name, positions in index.splits.items())
    listener.say(f"data: {index.format}, {counted(len(index.class_names), 'class', 'classes')}, pictures: {counts}")
    for line in (*(f"ignored: {name}" for name in index.ignored), *index.notes, *said):
        listener.say(line)


def _job(
    run: Path,
    samples: Samples,
    config: RunConfig,
    shape: Shape,
    listener: Listener,
    here: World,
    *,
    fresh: bool,
) -> Job:
    index = samples.index
    torch.manual_seed(config.seed)
    if fresh:
        model, loaded = new_network(config.model, index.class_names)
        if loaded and here.is_first:
            listener.say(told(loaded))
    else:
        model = resumed_network(config.model, len(index.class_names))
    batch_size = config.training.batch_size or 1
    workers = config.data.workers or 0
    steps = -(-len(samples) // batch_size) * (config.data.passes or 1)
    val_batch = together(shape, max(batch_size, 64))
    assert config.task is not None
    return Job(
        run=run,
        model=model,
        task=create_task(config, index.class_names),
        header=checkpoint.Header(
            architecture=config.model.name,
            arguments=config.model.arguments,
            task=config.task,
            class_names=index.class_names,
            preprocessing=shape,
            recipe=to_table(config),
            data_fingerprint=index.fingerprint(),
            licence=_licence(run, config.model),
        ),
        training=config.training,
        optimizer=config.optimizer,
        precision="bf16" if config.training.precision == "bf16" else "float32",
        seed=config.seed,
        steps_per_epoch=steps,
        train_batches=lambda step: train_loader(
            samples, batch_size, config.training.epochs * steps, step, workers, here.rank, here.size
        ),
        val_batches=eval_loader(
            evaluation_samples(index, index.positions("val"), shape), val_batch, workers, here.rank, here.size
        ),
        listener=listener,
    )


def _licence(run: Path, model: ModelConfig) -> str:
    """What one may do with weights that began as those that training starts from.

    A resumed run has what it wrote down at its start: those weights may be gone by then.
    """
    kept = json.loads((run / "data.json").read_text()) if (run / "data.json").is_file() else {}
    known = None if "licence" in kept else origin(model)
    return str(kept.get("licence") or (known.licence if known else ""))


def _write_start(job: Job, index: Index, config: RunConfig) -> None:
    """What a resume and an evaluation need to know of the data; the recipe goes last and makes it a run."""
    run, described = job.run, time.strftime("%Y-%m-%d %H:%M")
    write_splits(index, run / "splits.csv")
    value: Mapping[str, Any] = {
        "path": config.data.path,
        "format": index.format,
        "fingerprint": index.fingerprint(),
        "class_names": index.class_names,
        "pictures": {name: len(positions) for name, positions in index.splits.items()},
        "preprocessing": asdict(job.header.preprocessing),
        "licence": job.header.licence,
    }
    write_json(run / "data.json", value)
    write_atomic(run / "recipe.toml", to_toml(config, f"Resolved recipe of a run begun {described}.").encode())
