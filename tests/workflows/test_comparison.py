"""Figures of runs become differences: the same seed with the same seed, the same resample with the same resample."""

from pathlib import Path

import numpy as np
import pytest

from sightline.config import RunConfig
from sightline.metrics.bootstrap import draw
from sightline.workflows.comparison import variants_of
from sightline.workflows.variants import Over, Planned

SEEDS, RESAMPLES = 3, 60
OVER = Over("skip", ("concat", "add", "none"))
NAMES = ("mIoU", "dice")


def test_differences_are_of_pairs() -> None:
    generator = np.random.default_rng(3)
    whole = generator.random((SEEDS, 3, 2))
    drawn = generator.random((SEEDS, 3, RESAMPLES, 2))
    draws = draw(8, SEEDS, resamples=RESAMPLES)
    drawn[1, 2, draws.seeds[:, 1] == 0] = np.nan  # what nobody asks for is not computed
    drawn[0, 1, 5, 1] = np.nan  # and here was nothing to measure
    assert draws.seeds[5, 0] > 0
    planned = [
        Planned(value=value, seed=seed, run=Path(f"{value}-{seed}"), config=RunConfig())
        for seed in range(SEEDS)
        for value in OVER.values
    ]
    concat, add, none = variants_of(planned, OVER, NAMES, whole, drawn, draws)
    assert concat.differences == {}
    assert none.runs == (Path("none-0"), Path("none-1"), Path("none-2"))
    assert add.figures["dice"] == pytest.approx(whole[:, 1, 1])
    assert add.means["mIoU"] == pytest.approx(whole[:, 1, 0].mean())
    for place, variant in ((1, add), (2, none)):
        for figure, name in enumerate(NAMES):
            expected = []
            for resample in range(RESAMPLES):
                seeds = [seed for seed in range(SEEDS) for _ in range(draws.seeds[resample, seed])]
                pairs = [drawn[s, place, resample, figure] - drawn[s, 0, resample, figure] for s in seeds]
                if not np.isnan(pairs).any():
                    expected.append(np.mean(pairs))
            found = variant.differences[name]
            assert found.mean == pytest.approx((whole[:, place, figure] - whole[:, 0, figure]).mean())
            assert (found.low, found.high) == pytest.approx(tuple(np.percentile(expected, [2.5, 97.5])))
            assert found.left_out == RESAMPLES - len(expected) == int((place, figure) == (1, 1))
