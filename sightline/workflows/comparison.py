"""Variants that are trained, measured on the same pictures and compared in pairs. Shape letters: `S` seeds, `V` variants,
`B` resamples, `M` figures."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.counted import counted
from sightline.device import autocast, keep_freed_memory
from sightline.errors import DataError
from sightline.inference.predictor import Predictor, load
from sightline.metrics.bootstrap import RESAMPLES, Draws, Figures, draw, figures, interval
from sightline.metrics.metric import Metric, State
from sightline.tasks.task import Task, predicted
from sightline.training.runlog import Listener
from sightline.workflows.evaluate import ReadablePictures, prepared_batches, readable_pictures
from sightline.workflows.pictures import evaluation_samples
from sightline.workflows.variants import Over, Planned, shown

FURTHER = {"segmentation": ("dice",)}
"""Figures that are compared beside a task's headline; of the same metric."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A variant less the reference, in one figure."""

    mean: float | None
    """Over the seeds; above 0 where the variant is better. None where a run has no figure."""
    low: float | None
    """Where the interval of 95 % begins."""
    high: float | None
    """Where it ends."""
    left_out: int
    """Resamples without a figure, of `Comparison.resamples`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """What one value of the key gave."""

    value: Any
    runs: tuple[Path, ...]
    """The run folder of each seed."""
    seconds: tuple[float, ...]
    """Time spent training, of each seed."""
    figures: dict[str, tuple[float | None, ...]]
    """Of each figure that of each seed."""
    means: dict[str, float | None]
    """Over the seeds."""
    differences: dict[str, Difference]
    """To the reference; the reference itself has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The variants in the order in which they were given, the reference first."""

    key: str
    """What differs."""
    split: str
    """What was measured on."""
    pictures: int
    """How many pictures it has."""
    seeds: int
    metrics: tuple[str, ...]
    """The figures that are compared, the headline first."""
    resamples: int
    """That the intervals rest on, see `sightline.metrics.bootstrap`."""
    variants: tuple[Variant, ...]
    sentences: tuple[str, ...]
    """The headline of each variant but the first in words."""


def compare(planned: Sequence[Planned], over: Over, split: str | None, listener: Listener) -> Comparison:
    """Measure the runs, which are trained, and compare each variant with the first.

    Raises `DataError` for a split that there is not, and when the runs were trained on different data.
    """
    _require_same_data([plan.run for plan in planned])
    keep_freed_memory()
    first = load(planned[0].run)
    names = (first.task.headline, *FURTHER.get(first.task.name, ()))
    pictures = readable_pictures(planned[0].run, first.header, split=split, listener=listener)
    count, seeds = len(pictures.positions), len(planned) // len(over.values)
    listener.say(
        f"measuring {counted(len(planned), 'run')} on {counted(count, 'picture')} of the {pictures.split} split"
    )
    draws = draw(count, seeds)
    whole, drawn = [], []
    for plan in planned:
        predictor = load(plan.run, precision=first.precision)
        metric, states = _picture_states(predictor, pictures, names[0])
        began = time.perf_counter()
        whole.append(figures(metric, states, np.ones((1, count), np.int64), names)[0])
        minutes = (time.perf_counter() - began) * RESAMPLES * len(planned) / 60
        if len(whole) == 1 and minutes > 1:
            listener.say(f"computing {RESAMPLES:,} resamples of each takes up to {minutes:.0f} minutes")
        drawn.append(_resampled(metric, states, draws, plan.seed, names))
    shape = (seeds, len(over.values))
    variants = variants_of(
        planned, over, names, np.array(whole).reshape(*shape, -1), np.array(drawn).reshape(*shape, RESAMPLES, -1), draws
    )
    return Comparison(
        key=over.key,
        split=pictures.split,
        pictures=count,
        seeds=seeds,
        metrics=names,
        resamples=RESAMPLES,
        variants=variants,
        sentences=tuple(_in_words(variant, variants[0], names[0], seeds, count) for variant in variants[1:]),
    )


def _require_same_data(runs: Sequence[Path]) -> None:
    of_runs = [
        (json.loads((run / "data.json").read_text())["fingerprint"], (run / "splits.csv").read_text()) for run in runs
    ]
    for run, data in zip(runs, of_runs, strict=True):
        if data != of_runs[0]:
            raise DataError(
                f"{run} was trained on other data, or data divided otherwise, than {runs[0]}: they cannot be compared. "
                "Remove the older one of them, or choose another --name."
            )


def _picture_states(
    predictor: Predictor, pictures: ReadablePictures, name: str
) -> tuple[Metric[Any, Any], list[State]]:
    """The metric that computes `name`, and its state for each picture alone."""
    metric = _metric_of(predictor.task, name)
    samples = evaluation_samples(pictures.index, pictures.positions, predictor.header.preprocessing)
    states = []
    with autocast(predictor.device, predictor.precision):
        for found, targets in predicted(predictor.task, predictor.model, prepared_batches(predictor, samples)):
            for prediction, target in zip(found, targets, strict=True):
                metric.reset()
                metric.update([prediction], [target])
                states.append(metric.state())
    return metric, states


def _metric_of(task: Task, name: str) -> Metric[Any, Any]:
    return next(metric for metric in task.metrics().values() if name in metric.compute())


def _resampled(
    metric: Metric[Any, Any], states: Sequence[State], draws: Draws, seed: int, names: Sequence[str]
) -> Figures:
    """(B, M), not a number where the seed is not in a resample: to rank all detections anew takes its time."""
    drawn = np.full((len(draws.pictures), len(names)), np.nan)
    wanted = draws.seeds[:, seed] > 0
    drawn[wanted] = figures(metric, states, draws.pictures[wanted], names)
    return drawn


def variants_of(
    planned: Sequence[Planned], over: Over, names: Sequence[str], whole: Figures, drawn: Figures, draws: Draws
) -> tuple[Variant, ...]:
    """The variants with their differences, from the figures of all pictures (S, V, M) and of the resamples (S, V, B, M)."""
    variants = []
    for place, value in enumerate(over.values):
        runs = planned[place :: len(over.values)]
        differences = {}
        for figure, name in enumerate(names) if place else ():
            mean = (whole[:, place, figure] - whole[:, 0, figure]).mean()
            found = interval((drawn[:, place, :, figure] - drawn[:, 0, :, figure]).T, draws.seeds)
            differences[name] = Difference(mean=_known(mean), low=found.low, high=found.high, left_out=found.left_out)
        variants.append(
            Variant(
                value=value,
                runs=tuple(plan.run for plan in runs),
                seconds=tuple(plan.seconds() or 0.0 for plan in runs),
                figures={name: tuple(map(_known, whole[:, place, figure])) for figure, name in enumerate(names)},
                means={name: _known(whole[:, place, figure].mean()) for figure, name in enumerate(names)},
                differences=differences,
            )
        )
    return tuple(variants)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _in_words(variant: Variant, reference: Variant, name: str, seeds: int, pictures: int) -> str:
    found = variant.differences[name]
    rests = f"over {_counted(seeds, 'seed')} and {_counted(pictures, 'picture')}"
    pair = f"{shown(variant.value)} - {shown(reference.value)}"
    if found.mean is None or found.low is None or found.high is None:
        return f"{pair}: no difference in {name} can be told {rests}: there is nothing to measure."
    contains = "contains" if found.low <= 0 <= found.high else "does not contain"
    parts = [
        f"{pair}: {found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}] {name} {rests}",
        f"the interval {contains} 0",
    ]
    if seeds == 1:
        parts.append("with one seed it says nothing of the luck of the seed")
    if found.left_out:
        parts.append(f"{found.left_out} of {RESAMPLES:,} resamples have nothing to measure and are left out")
    return "; ".join(parts)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
