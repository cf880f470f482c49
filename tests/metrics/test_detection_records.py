"""What both metrics of detection must keep; `tests/contracts/test_metrics.py` asks the same of the metrics of every task."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.metrics.average_precision import AveragePrecision
from sightline.metrics.detection_errors import DetectionErrors
from sightline.structures import DetectionPrediction, DetectionTarget
from tests.metrics.detection_pairs import detection_pair

NAMES = tuple("abcd")
METRICS = {"precision": lambda: AveragePrecision(NAMES, voc=True), "errors": lambda: DetectionErrors(NAMES)}
every_metric = pytest.mark.parametrize("new", METRICS.values(), ids=METRICS)


def _update(metric, seeds, pair=detection_pair):
    pairs = [pair(seed) for seed in seeds]
    metric.update([prediction for prediction, _ in pairs], [target for _, target in pairs])
    return metric


def _with_ties(seed):
    """Most scores equal those of other images."""
    prediction, target = detection_pair(seed)
    coarse = (prediction.scores * 3).round() / 3
    return DetectionPrediction(boxes=prediction.boxes, scores=coarse, labels=prediction.labels), target


@pytest.mark.slow
@every_metric
@settings(deadline=None, max_examples=10)
@given(batches=st.lists(st.lists(st.integers(0, 99), max_size=6), min_size=1, max_size=5), order=st.randoms())
def test_merging_in_any_order_is_having_seen_everything(new, batches, order):
    whole = _update(new(), [seed for batch in batches for seed in batch])
    parts = [_update(new(), batch) for batch in batches]
    order.shuffle(parts)
    merged = parts[0]
    for part in parts[1:]:
        before = part.compute()
        merged.merge(part)
        assert part.compute() == before
    assert merged.compute() == whole.compute()


@every_metric
@pytest.mark.parametrize("processes", [2, 3, 7])
def test_processes_that_take_every_nth_image_agree_with_one_in_spite_of_ties(new, processes):
    parts = [_update(new(), range(rank, 40, processes), _with_ties) for rank in range(processes)]
    merged = new()
    for part in parts:
        merged.add_state(part.state())
    assert merged.compute() == _update(new(), range(40), _with_ties).compute()


def test_with_ties_the_order_of_images_is_seen():
    whole, turned = (_update(AveragePrecision(NAMES), seeds, _with_ties) for seeds in (range(40), range(39, -1, -1)))
    assert whole.compute()["AP"] != turned.compute()["AP"]


@pytest.mark.slow
@every_metric
@pytest.mark.parametrize("size", [1, 7, 40])
def test_the_size_of_batches_changes_nothing(new, size):
    metric = new()
    for first in range(0, 40, size):
        _update(metric, range(first, min(first + size, 40)), _with_ties)
    assert metric.compute() == _update(new(), range(40), _with_ties).compute()


@every_metric
def test_images_that_come_after_a_merge_come_last(new):
    first, second = _update(new(), range(5), _with_ties), _update(new(), range(5, 20), _with_ties)
    first.merge(second)
    _update(first, [30], _with_ties)
    images = first.state()["images"]
    assert images[-1, 0] == images[:, 0].max() == 15


@every_metric
def test_reset_forgets_everything(new):
    metric = _update(new(), range(5))
    assert metric.compute() != new().compute()
    metric.reset()
    assert metric.compute() == new().compute()
    assert _update(metric, range(3)).compute() == _update(new(), range(3)).compute()


@every_metric
@pytest.mark.parametrize("seen", [0, 1, 9])
def test_the_result_is_json_and_counts_its_images(new, seen):
    result = _update(new(), range(seen)).compute()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["images"] == seen


@every_metric
def test_a_state_is_a_snapshot_that_another_process_can_add(new):
    metric, other = _update(new(), range(3)), new()
    state, expected = metric.state(), metric.compute()
    assert all(rows.dtype in (np.int64, np.float32) for rows in state.values())
    _update(metric, range(3, 6))
    other.add_state(state)
    assert other.compute() == expected


@every_metric
def test_images_without_objects_and_detections_are_fine(new):
    nothing = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    prediction = DetectionPrediction(boxes=nothing[0], scores=torch.zeros(0), labels=nothing[1])
    metric = new()
    metric.update([prediction, prediction], [DetectionTarget.of(*nothing)] * 2)
    assert metric.compute() == new().compute() | {"images": 2}


@every_metric
def test_unequal_numbers_of_predictions_and_targets_are_refused(new):
    prediction, target = detection_pair(0)
    with pytest.raises(ValueError, match="2 predictions and 1 targets"):
        new().update([prediction] * 2, [target])


@every_metric
@pytest.mark.parametrize("label", [-1, 4])
def test_labels_outside_are_refused(new, label):
    boxes, labels = torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([label])
    wrong = DetectionPrediction(boxes=boxes, scores=torch.ones(1), labels=labels)
    right = DetectionPrediction(boxes=boxes, scores=torch.ones(1), labels=torch.tensor([0]))
    metric = new()
    for prediction, target in (
        (wrong, DetectionTarget.of(boxes, torch.tensor([0]))),
        (right, DetectionTarget.of(boxes, labels)),
    ):
        with pytest.raises(ValueError, match=rf"labels in 0\.\.3, got {label}"):
            metric.update([prediction], [target])
    assert metric.compute() == new().compute()


@every_metric
@pytest.mark.parametrize("where", ["boxes", "scores"])
def test_numbers_that_are_not_finite_are_refused(new, where):
    values = {"boxes": torch.tensor([[0.0, 0.0, 4.0, 4.0]]), "scores": torch.ones(1)}
    values[where][0] = float("nan")
    prediction = DetectionPrediction(**values, labels=torch.tensor([0]))
    with pytest.raises(ValueError, match=r"not finite: has the model diverged\?"):
        new().update([prediction], [DetectionTarget.of(torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([0]))])


def test_rows_of_another_shape_are_refused():
    metric = AveragePrecision(NAMES)
    with pytest.raises(ValueError, match=r"found_boxes of shape \(n, 5\), got \(2, 4\)"):
        metric.add_state(dict(metric.state()) | {"found_boxes": np.zeros((2, 4), np.float32)})


def test_numbers_of_half_precision_are_taken():
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    prediction = DetectionPrediction(
        boxes=boxes.bfloat16(), scores=torch.ones(1).bfloat16(), labels=torch.tensor([0], dtype=torch.int32)
    )
    metric = AveragePrecision(NAMES)
    with torch.inference_mode():
        metric.update([prediction], [DetectionTarget.of(boxes, torch.tensor([0]))])
    assert metric.compute()["AP"] == 1.0
