"""Overlap of pixels: against scikit-learn, and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score, precision_score, recall_score

from sightline.metrics.overlap import Overlap, pixel_confusion
from sightline.structures import IGNORED, SegmentationPrediction, SegmentationTarget
from tests.metrics.segmentation_pairs import pair_of, segmentation_pair

NAMES = ("ground", "cell", "rim", "dust")


def _measured(pairs, names=NAMES):
    metric = Overlap(names)
    metric.update([p for p, _ in pairs], [t for _, t in pairs])
    return metric.compute()


def _known(pairs):
    """All known pixels in two long rows: predicted, true."""
    predicted = np.concatenate([p.labels.numpy().ravel() for p, _ in pairs])
    true = np.concatenate([t.mask.numpy().ravel() for _, t in pairs])
    return predicted[true != IGNORED], true[true != IGNORED]


def test_four_classes_agree_with_scikit_learn():
    pairs = [segmentation_pair(seed) for seed in range(6)]
    predicted, true = _known(pairs)
    result = _measured(pairs)
    labels = range(4)
    iou, dice = (of(true, predicted, labels=labels, average=None) for of in (jaccard_score, f1_score))
    assert [row["iou"] for row in result["per_class"]] == pytest.approx(iou.tolist())
    assert [row["dice"] for row in result["per_class"]] == pytest.approx(dice.tolist())
    assert [row["pixels"] for row in result["per_class"]] == [int((true == label).sum()) for label in labels]
    assert result["mIoU"] == pytest.approx(iou.mean())
    assert result["dice"] == pytest.approx(dice.mean())
    assert result["pixel_accuracy"] == pytest.approx(accuracy_score(true, predicted))
    assert "precision" not in result
    ours = sum(pixel_confusion(p.labels.numpy(), t.mask.numpy(), 4) for p, t in pairs)
    assert np.array_equal(ours, confusion_matrix(true, predicted, labels=labels))


def test_two_classes_agree_with_scikit_learn_on_the_foreground():
    pairs = [segmentation_pair(seed, num_classes=2) for seed in range(6)]
    predicted, true = _known(pairs)
    result = _measured(pairs, NAMES[:2])
    expected = [of(true, predicted) for of in (f1_score, precision_score, recall_score)]
    assert [result["dice"], result["precision"], result["recall"]] == pytest.approx(expected)
    assert result["mIoU"] == pytest.approx(jaccard_score(true, predicted, average="macro"))


def test_a_case_by_hand():
    """True 0 0 1 1 2 2, ignored twice; found 0 1 1 1 1 2."""
    result = _measured([pair_of([[0, 1, 1, 1], [1, 2, 3, 0]], [[0, 0, 1, 1], [2, 2, 255, 255]])])
    assert result == {
        "mIoU": pytest.approx((1 / 2 + 2 / 4 + 1 / 2) / 3),
        "dice": pytest.approx((2 / 3 + 4 / 6 + 2 / 3) / 3),
        "pixel_accuracy": pytest.approx(4 / 6),
        "per_class": [
            {"name": "ground", "iou": 1 / 2, "dice": pytest.approx(2 / 3), "pixels": 2},
            {"name": "cell", "iou": 1 / 2, "dice": pytest.approx(2 / 3), "pixels": 2},
            {"name": "rim", "iou": 1 / 2, "dice": pytest.approx(2 / 3), "pixels": 2},
            {"name": "dust", "iou": None, "dice": None, "pixels": 0},
        ],
        "images": 1,
    }


def test_a_class_that_is_found_but_nowhere_there_counts_as_0():
    result = _measured([pair_of([[0, 0, 0, 3]], [[0, 0, 0, 0]])])
    assert [row["iou"] for row in result["per_class"]] == [0.75, None, None, 0.0]
    assert result["mIoU"] == 0.375


@pytest.mark.parametrize(
    ("predicted", "true", "dice", "precision", "recall"),
    [
        ([0, 0], [0, 0], None, None, None),
        ([0, 1], [0, 0], 0.0, 0.0, None),
        ([0, 0], [0, 1], 0.0, 0.0, 0.0),
        ([1, 1], [1, 1], 1.0, 1.0, 1.0),
        ([1, 1], [255, 255], None, None, None),
    ],
)
def test_without_foreground_what_cannot_be_said_is_none(predicted, true, dice, precision, recall):
    result = _measured([pair_of([predicted], [true])], NAMES[:2])
    assert (result["dice"], result["precision"], result["recall"]) == (dice, precision, recall)


def test_without_a_known_pixel_nothing_is_a_number():
    result = _measured([pair_of([[0, 1]], [[255, 255]])])
    assert (result["mIoU"], result["dice"], result["pixel_accuracy"], result["images"]) == (None, None, None, 1)


def test_255_classes_fit():
    labels = torch.arange(255, dtype=torch.uint8).view(15, 17)
    names = [str(label) for label in range(255)]
    pair = SegmentationPrediction(labels, torch.ones(15, 17)), SegmentationTarget(labels)
    assert _measured([pair], names)["mIoU"] == 1.0


def test_what_does_not_fit_is_refused_with_its_position():
    good = pair_of([[0, 1]], [[0, 255]])
    with pytest.raises(ValueError, match=r"mask of \(1, 2\) at position 1, got one of \(2, 1\)"):
        _measured([good, (good[0], SegmentationTarget(good[1].mask.T))])
    with pytest.raises(ValueError, match=r"labels in 0\.\.3, got 7 at position 0"):
        _measured([pair_of([[0, 1]], [[7, 255]])])
    with pytest.raises(ValueError, match=r"predictions in 0\.\.3, got 255 at position 1"):
        _measured([good, pair_of([[255, 1]], [[0, 1]])])
    with pytest.raises(ValueError, match=r"counts of shape \(4, 4\), got \(2, 2\)"):
        Overlap(NAMES).merge(Overlap(NAMES[:2]))
