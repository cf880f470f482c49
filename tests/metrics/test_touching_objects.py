"""Merged and split objects, by hand."""

import numpy as np
import pytest

from sightline.metrics.touching_objects import TouchingObjects, merged_and_split
from tests.metrics.segmentation_pairs import pair_of, segmentation_pair


def _row(text):
    return np.array([[character == "x" for character in text]])


@pytest.mark.parametrize(
    ("predicted", "true", "expected"),
    [
        ("xxx.xxx", "xxx.xxx", (2, 0, 0)),
        ("xxxxxxx", "xxx.xxx", (2, 2, 0)),
        ("xxxxxxx", "xxx.xxx.xxx", (3, 2, 0)),
        ("xxx.xxx", "xxxxxxx", (1, 0, 1)),
        ("x.xx.xx", "xx.xxxx", (2, 0, 1)),
        (
            "xxx.xxx",
            "x.xx.xx",
            (3, 2, 0),
        ),  # the second piece holds a third of the second object, which both pieces hold
        (".......", "xxx.xxx", (2, 0, 0)),
        ("xxxxxxx", ".......", (0, 0, 0)),
    ],
)
def test_rows_of_objects(predicted, true, expected):
    predicted = predicted.ljust(len(true), ".")
    assert merged_and_split(_row(predicted), _row(true)) == expected


def test_an_object_may_be_both_merged_and_split():
    assert merged_and_split(_row("xxxxx.xx"), _row("xxx.xxxx")) == (2, 2, 1)


def test_a_speck_and_a_shared_edge_do_not_count():
    """Of 20 pixels 2 count, 1 does not."""
    true = _row("x" * 20 + "." + "x" * 20)
    for extra, merged, split in ((1, 0, 0), (2, 2, 1)):
        predicted = _row("x" * 20 + "x" + "x" * extra + "." + "x" * (19 - extra))
        assert merged_and_split(predicted, true) == (2, merged, split)


def test_corners_do_not_connect():
    assert merged_and_split(np.ones((2, 2), bool), np.eye(2, dtype=bool)) == (2, 2, 0)
    assert merged_and_split(np.eye(2, dtype=bool), np.ones((2, 2), bool)) == (1, 0, 1)


def test_what_is_ignored_connects_nothing():
    metric = TouchingObjects()
    prediction, target = pair_of([[1, 1, 1]], [[1, 255, 1]])
    metric.update([prediction], [target])
    assert metric.compute() == {"objects": 2, "merged_objects": 0, "split_objects": 0, "images": 1}


def test_merging_is_having_seen_everything():
    pairs = [segmentation_pair(seed, num_classes=2) for seed in range(4)]
    pairs += [pair_of([[1, 1, 1]], [[1, 0, 1]]), pair_of([[1, 0, 1]], [[1, 1, 1]])]
    whole, first, second = TouchingObjects(), TouchingObjects(), TouchingObjects()
    for metric, part in ((whole, pairs), (first, pairs[:5]), (second, pairs[5:])):
        metric.update([p for p, _ in part], [t for _, t in part])
    first.merge(second)
    assert first.compute() == whole.compute()
    assert (whole.compute()["merged_objects"], whole.compute()["split_objects"]) == (2, 1)
    first.reset()
    assert first.compute() == TouchingObjects().compute()


def test_other_classes_are_refused():
    with pytest.raises(ValueError, match=r"predictions in 0\.\.1, got 2"):
        TouchingObjects().update(*([one] for one in pair_of([[2]], [[1]])))
