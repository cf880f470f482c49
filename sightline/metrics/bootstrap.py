"""How far a figure, or a difference of two, would move with other pictures and other seeds: the bootstrap.

Pictures and seeds are drawn with replacement, again and again, as if new ones were collected, and the figure is computed of each
such resample (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 6 and 13). What is compared is computed
of the same resamples: a picture that is hard for both then moves both, and their difference little.

Metrics keep sums or rows, so the figure of a resample is that of the states of its pictures, merged: no average is averaged.
Shape letters: `B` resamples, `I` pictures, `S` seeds, `M` figures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.metric import Metric, State

Counts = NDArray[np.int64]
Figures = NDArray[np.float64]

RESAMPLES = 1_000
LEVEL = 0.95
"""Share of the resamples that lie in an interval."""
_AT_ONCE = 100


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Which pictures and which seeds each resample has."""

    pictures: Counts
    """(B, I) how often each picture was drawn; I in each row."""
    seeds: Counts
    """(B, S) how often each seed was drawn; S in each row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """The middle 95 % of the resamples; None where no resample has a figure."""

    low: float | None
    high: float | None
    left_out: int
    """Resamples that have no figure, since the pictures in them have nothing to measure."""


def draw(pictures: int, seeds: int, *, resamples: int = RESAMPLES, generator_seed: int = 0) -> Draws:
    """Resamples of so many pictures and seeds, the same ones each time.

    >>> draws = draw(pictures=5, seeds=3, resamples=4)
    >>> draws.pictures.shape, draws.pictures.sum(axis=1).tolist(), draws.seeds.sum(axis=1).tolist()
    ((4, 5), [5, 5, 5, 5], [3, 3, 3, 3])
    """
    generator = np.random.default_rng(generator_seed)
    drawn = (generator.multinomial(count, np.full(count, 1 / count), size=resamples) for count in (pictures, seeds))
    return Draws(*drawn)


def figures(metric: Metric[Any, Any], states: Sequence[State], counts: Counts, names: Sequence[str]) -> Figures:
    """(B, M): what `metric` computes under `names` of each resample, not a number where that is None.

    `states` are those of I pictures, each alone, and `counts` (B, I) says how often each is in a resample. What `metric` held
    before is forgotten.

    >>> from sightline.metrics.accuracy import Accuracy
    >>> hit, miss = {"counts": np.array([1, 1, 1])}, {"counts": np.array([0, 1, 1])}
    >>> figures(Accuracy(), [hit, miss], np.array([[1, 1], [2, 0]]), ["top1"]).tolist()
    [[0.5], [1.0]]
    """
    found = np.full((len(counts), len(names)), np.nan)
    for row, state in enumerate(_merged(states, counts, rows=metric.rows)):
        metric.reset()
        metric.add_state(state)
        values = metric.compute()
        found[row] = [np.nan if values[name] is None else values[name] for name in names]
    metric.reset()
    return found


def interval(differences: Figures, seeds: Counts) -> Interval:
    """The interval of the mean over the seeds that were drawn.

    `differences` (B, S): of each resample and seed, not a number where there is none; `seeds` (B, S): how often it was drawn.
    What stands at a seed that was not drawn is not looked at.

    >>> interval(np.array([[1.0, np.nan], [2.0, 4.0], [np.nan, 4.0]]), np.array([[2, 0], [1, 1], [1, 1]]))
    Interval(low=1.05, high=2.95, left_out=1)
    """
    means = np.where(seeds > 0, differences * seeds, 0.0).sum(axis=1) / seeds.sum(axis=1)
    known = means[~np.isnan(means)]
    left_out = len(means) - len(known)
    if not len(known):
        return Interval(low=None, high=None, left_out=left_out)
    low, high = np.percentile(known, [50 * (1 - LEVEL), 50 * (1 + LEVEL)]).tolist()
    return Interval(low=low, high=high, left_out=left_out)


def _merged(states: Sequence[State], counts: Counts, *, rows: bool) -> Iterator[State]:
    """The state of each resample."""
    if rows:
        for drawn in counts:
            chosen = np.repeat(np.arange(len(states)), drawn).tolist()
            yield {name: np.concatenate([states[picture][name] for picture in chosen]) for name in states[0]}
        return
    # Sums of many resamples at once, as a product of matrices; counts below 2**53 are exact in it.
    tables = {name: np.stack([state[name] for state in states]) for name in states[0]}
    flat = {name: table.reshape(len(states), -1).astype(np.float64) for name, table in tables.items()}
    for first in range(0, len(counts), _AT_ONCE):
        part = counts[first : first + _AT_ONCE].astype(np.float64)
        sums = {name: (part @ table).astype(np.int64) for name, table in flat.items()}
        for row in range(len(part)):
            yield {name: values[row].reshape(tables[name].shape[1:]) for name, values in sums.items()}
