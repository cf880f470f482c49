"""What every metric of every task must keep."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.metrics.bootstrap import figures
from sightline.structures import ClassificationPrediction, ClassificationTarget
from sightline.tasks import TASKS
from tests.metrics.detection_pairs import detection_pair
from tests.metrics.segmentation_pairs import segmentation_pair

NAMES = tuple("abcd")
METRICS = [(task, name) for task, made in TASKS.items() for name in made(NAMES).metrics()]
every_metric = pytest.mark.parametrize(("task", "name"), METRICS)


def _new(task, name):
    return TASKS[task](NAMES).metrics()[name]


def _pair(task, seed):
    """A prediction and a target; a task with other kinds adds them here."""
    if task == "detection":
        return detection_pair(seed, len(NAMES))
    if task == "segmentation":
        return segmentation_pair(seed, len(NAMES))
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.rand(len(NAMES), generator=generator).softmax(0)
    return ClassificationPrediction(probabilities), ClassificationTarget(seed % len(NAMES))


def _update(task, metric, seeds):
    pairs = [_pair(task, seed) for seed in seeds]
    metric.update([p for p, _ in pairs], [t for _, t in pairs])


@every_metric
def test_an_empty_update_changes_nothing(task, name):
    metric = _new(task, name)
    _update(task, metric, range(5))
    before = metric.compute()
    metric.update([], [])
    assert metric.compute() == before


@every_metric
def test_reset_forgets_everything(task, name):
    metric = _new(task, name)
    _update(task, metric, range(5))
    assert metric.compute() != _new(task, name).compute()
    metric.reset()
    assert metric.compute() == _new(task, name).compute()


@every_metric
@pytest.mark.parametrize("seen", [0, 1, 9])
def test_the_result_is_json_and_counts_its_images(task, name, seen):
    metric = _new(task, name)
    _update(task, metric, range(seen))
    result = metric.compute()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["images"] == seen


@pytest.mark.slow
@every_metric
@settings(deadline=None, max_examples=25)
@given(batches=st.lists(st.lists(st.integers(0, 99), max_size=6), min_size=1, max_size=5), order=st.randoms())
def test_merging_in_any_order_is_having_seen_everything(task, name, batches, order):
    whole = _new(task, name)
    _update(task, whole, [seed for batch in batches for seed in batch])
    parts = []
    for batch in batches:
        parts.append(_new(task, name))
        _update(task, parts[-1], batch)
    order.shuffle(parts)
    merged = parts[0]
    for part in parts[1:]:
        before = part.compute()
        merged.merge(part)
        assert part.compute() == before
    assert merged.compute() == whole.compute()


@every_metric
def test_a_state_is_a_snapshot_that_another_process_can_add(task, name):
    metric, other = _new(task, name), _new(task, name)
    _update(task, metric, range(3))
    state = metric.state()
    expected = metric.compute()
    _update(task, metric, range(3, 6))
    other.add_state(state)
    assert other.compute() == expected


@every_metric
@pytest.mark.parametrize("counts", [(1, 1, 1, 1), (0, 3, 0, 1), (4, 0, 0, 0)])
def test_the_states_of_single_pictures_make_any_resample(task, name, counts):
    metric, states = _new(task, name), []
    for seed in range(len(counts)):
        metric.reset()
        _update(task, metric, [seed])
        states.append(metric.state())
    _update(task, metric, range(9))  # forgotten
    whole = _new(task, name)
    _update(task, whole, [seed for seed, count in enumerate(counts) for _ in range(count)])
    numbers = {key: value for key, value in whole.compute().items() if isinstance(value, int | float | None)}
    found = figures(metric, states, np.array([counts]), list(numbers))[0]
    expected = [np.nan if value is None else value for value in numbers.values()]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@every_metric
def test_unequal_numbers_of_predictions_and_targets_are_refused(task, name):
    prediction, target = _pair(task, 0)
    with pytest.raises(ValueError, match="2 predictions and 1 targets"):
        _new(task, name).update([prediction] * 2, [target])


@every_metric
def test_another_kind_of_metric_is_refused(task, name):
    class Other:
        pass

    with pytest.raises(ValueError, match="cannot be merged with Other"):
        _new(task, name).merge(Other())


def test_counts_of_other_classes_are_refused():
    four, two = (TASKS["classification"](names).metrics()["confusion"] for names in (NAMES, NAMES[:2]))
    with pytest.raises(ValueError, match=r"shape \(4, 4\), got \(2, 2\)"):
        four.merge(two)
