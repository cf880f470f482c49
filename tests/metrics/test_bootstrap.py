"""The bootstrap against a plain transcription of what it says, and against cases whose answer is known."""

import numpy as np
import pytest

from sightline.metrics.accuracy import Accuracy
from sightline.metrics.bootstrap import draw, figures, interval
from sightline.metrics.overlap import Overlap


def _states(hits):
    return [{"counts": np.array([hit, 1, 1])} for hit in hits]


def test_the_interval_of_a_paired_difference_is_that_of_a_plain_transcription():
    generator = np.random.default_rng(1)
    hard = generator.random(40)  # what both find hard
    hits = {
        variant: [(hard < share + 0.05 * generator.standard_normal()).astype(int) for _ in range(3)]
        for variant, share in (("reference", 0.6), ("variant", 0.75))
    }
    draws = draw(40, 3, resamples=200)

    expected = []
    for pictures, seeds in zip(draws.pictures, draws.seeds, strict=True):
        chosen = [picture for picture, times in enumerate(pictures) for _ in range(times)]
        differences = []
        for seed, times in enumerate(seeds):
            better = np.mean([hits["variant"][seed][picture] for picture in chosen])
            worse = np.mean([hits["reference"][seed][picture] for picture in chosen])
            differences += [better - worse] * times
        assert (len(chosen), len(differences)) == (40, 3)
        expected.append(np.mean(differences))

    found = {
        variant: np.column_stack([figures(Accuracy(), _states(own), draws.pictures, ["top1"])[:, 0] for own in runs])
        for variant, runs in hits.items()
    }
    result = interval(found["variant"] - found["reference"], draws.seeds)
    assert (result.low, result.high) == pytest.approx(tuple(np.percentile(expected, [2.5, 97.5])))
    assert result.left_out == 0
    # Pairs are narrower than two samples that do not know of each other.
    apart = draw(40, 3, resamples=200, generator_seed=1)
    other = np.column_stack(
        [figures(Accuracy(), _states(own), apart.pictures, ["top1"])[:, 0] for own in hits["reference"]]
    )
    alone = interval(found["variant"] - other, draws.seeds)
    assert result.high - result.low < 0.8 * (alone.high - alone.low)


def test_draws_are_the_same_each_time_and_as_likely_for_each():
    one, other = draw(20, 3), draw(20, 3)
    assert np.array_equal(one.pictures, other.pictures)
    assert np.array_equal(one.seeds, other.seeds)
    assert one.pictures.shape == (1000, 20)
    assert np.abs(one.pictures.mean(axis=0) - 1).max() < 0.15  # five standard deviations
    assert np.abs(one.seeds.mean(axis=0) - 1).max() < 0.15
    assert draw(20, 1).seeds.tolist() == [[1]] * 1000


def test_equal_variants_differ_by_nothing():
    draws = draw(10, 2, resamples=50)
    own = np.column_stack([figures(Accuracy(), _states([0, 1] * 5), draws.pictures, ["top1"])[:, 0]] * 2)
    assert interval(own - own, draws.seeds) == interval(np.zeros((50, 2)), draws.seeds)
    assert interval(own - own, draws.seeds).high == 0


def test_resamples_without_a_figure_are_left_out_and_counted():
    something = {"matrix": np.array([[3, 1], [0, 2]]), "images": np.array([1])}
    nothing = {"matrix": np.zeros((2, 2), np.int64), "images": np.array([1])}
    counts = np.array([[2, 0], [1, 1], [0, 2]])
    found = figures(Overlap(("ground", "cell")), [something, nothing], counts, ["mIoU", "dice"])
    assert found.shape == (3, 2)
    assert np.isnan(found).tolist() == [[False, False], [False, False], [True, True]]
    assert found[0, 1] == found[1, 1] == 0.8
    result = interval(found[:, :1], np.ones((3, 1), np.int64))
    assert (result.left_out, result.low) == (1, pytest.approx(found[0, 0]))
    none = interval(np.full((3, 1), np.nan), np.ones((3, 1), np.int64))
    assert (none.low, none.high, none.left_out) == (None, None, 3)


def test_many_resamples_are_summed_in_parts():
    states = [{"counts": np.array([picture % 2, picture, 1])} for picture in range(7)]
    counts = np.random.default_rng(0).multinomial(7, np.full(7, 1 / 7), size=230)
    found = figures(Accuracy(), states, counts, ["top1", "top5", "images"])
    assert found[:, 0] == pytest.approx(counts[:, 1::2].sum(axis=1) / 7)
    assert found[:, 1] == pytest.approx(counts @ np.arange(7) / 7)
    assert found[:, 2].tolist() == [7] * 230
