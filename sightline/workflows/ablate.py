"""Ablate: train variants with the same seeds and the same budget, and say how sure their difference is."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sightline.config import RunConfig, read_recipe
from sightline.data.formats import read
from sightline.device import pick_device, pick_precision
from sightline.errors import ConfigError, InputError
from sightline.files import write_json
from sightline.models import create_model
from sightline.training.runlog import Listener, Silence
from sightline.workflows.comparison import Comparison, compare
from sightline.workflows.evaluate import ALL
from sightline.workflows.pictures import divided
from sightline.workflows.plan import with_task
from sightline.workflows.train import named_folder, resume, start
from sightline.workflows.variants import Over, Planned, parse_over, plan_runs, shown


@dataclass(frozen=True, kw_only=True, slots=True)
class AblateResult:
    """What `ablate` leaves behind."""

    folder: Path
    """Where the runs lie, and `ablation.json` with all of this."""
    finished: bool
    """False when a signal stopped a training; the same call goes on."""
    comparison: Comparison | None = None
    """None as long as it is not finished."""


def ablate(
    base: RunConfig,
    over: str | Over,
    *,
    seeds: int = 3,
    split: str | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    listener: Listener | None = None,
) -> AblateResult:
    """Train every variant of `base` with every seed 0..`seeds`-1, measure all of them on one split, and compare.

    `over` is "KEY=VALUE,VALUE", see `parse_over`. The runs lie in `out/name/KEY=VALUE-seedS`; those that are finished are used
    as they are, one that was interrupted is resumed. `split` is the test split when not given, else the validation split. The
    intervals come from resamples of the pictures and the seeds, see `sightline.metrics.bootstrap`; with one seed, of the
    pictures alone. Raises `ConfigError` for settings that there cannot be and for a run that was begun with another recipe,
    and what `start` and `resume` raise.
    """
    listener = listener or Silence()
    over = parse_over(over) if isinstance(over, str) else over
    if seeds < 1:
        raise ConfigError(f"--seeds: expected 1 or more, got {seeds}.")
    if not base.data.path:
        raise ConfigError("No data given: name a folder or file, or set data.path in the recipe.")
    folder = named_folder(name or f"{Path(base.data.path).stem}-{over.key}", Path(out), fresh=False)
    if (folder / "recipe.toml").exists():
        raise ConfigError(f"{folder} is a run, not a folder of runs. Choose another --name.")
    planned = plan_runs(base, over, seeds, folder)
    for plan in planned:
        plan.require_same()
    _check_before_training(planned[: len(over.values)], over, split)
    if not _train(planned, over, listener):
        return AblateResult(folder=folder, finished=False)
    result = AblateResult(folder=folder, finished=True, comparison=compare(planned, over, split, listener))
    write_json(folder / "ablation.json", json.loads(json.dumps(asdict(result), default=str)))
    return result


def _check_before_training(variants: Sequence[Planned], over: Over, split: str | None) -> None:
    """Raise now what would otherwise stop the last variant, hours later."""
    data = variants[0].config.data
    index = divided(read(Path(data.path), data.format, variants[0].config.task), data)
    if split not in (None, ALL):
        index.positions(str(split))
    for plan in variants:
        model = with_task(plan.config, index).model
        try:
            with torch.device("meta"):
                create_model(model.name, **model.arguments)
        except InputError as error:
            raise ConfigError(f"--over {over.key}={shown(plan.value)}: {error}") from error


def _train(planned: Sequence[Planned], over: Over, listener: Listener) -> bool:
    """Train what is not trained yet; False when a signal stopped it."""
    precision = _precision_before(planned)
    for number, plan in enumerate(planned, start=1):
        title = f"[{number}/{len(planned)}] {over.key} {shown(plan.value)}, seed {plan.seed}"
        if plan.seconds() is not None:
            listener.say(f"{title}: {plan.run} is trained already")
            continue
        if plan.has_begun():
            listener.say(f"{title}: going on with {plan.run}")
            result = resume(plan.run, listener=listener)
        else:
            listener.say(f"{title}: {plan.run}")
            config = plan.config
            if config.training.precision == "auto":
                if precision is None:
                    precision = pick_precision(pick_device(), training=True)
                    listener.say(f"precision {precision}, the faster one here, for all")
                config = replace(config, training=replace(config.training, precision=precision))
            plan.note()
            result = start(config, name=plan.run.name, out=plan.run.parent, listener=listener)
        if not result.finished:
            return False
    return True


def _precision_before(planned: Sequence[Planned]) -> Any:
    """What was decided where the recipe leaves it open: a new probe for each run would not always find the same."""
    for plan in planned:
        recipe = plan.run / "recipe.toml"
        if plan.config.training.precision == "auto" and recipe.is_file():
            return read_recipe(recipe)["training"]["precision"]
    return None
