import numpy as np
import pytest
import torch

from sightline.metrics.confusion import Confusion, confusion_matrix, macro_scores, per_class_scores
from sightline.structures import ClassificationPrediction, ClassificationTarget


def test_rows_are_true_and_columns_predicted():
    assert confusion_matrix(predicted=[2], true=[0], num_classes=3).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_no_images_is_a_matrix_of_zeros():
    assert confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(("predicted", "true"), [([-1], [0]), ([0], [-1]), ([3], [0]), ([0], [3])])
def test_labels_outside_are_refused(predicted, true):
    with pytest.raises(IndexError):
        confusion_matrix(predicted, true, 3)


def test_a_class_without_images_has_no_scores_even_if_it_was_predicted():
    scores = per_class_scores(np.array([[1, 1], [0, 0]]))
    assert scores[1] == {"precision": None, "recall": None, "f1": None, "images": 0}
    assert macro_scores(scores) == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "classes": 1}


def test_a_class_that_is_never_predicted_has_zeros():
    assert per_class_scores(np.array([[2, 0], [1, 0]]))[1] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 1}


def test_without_images_nothing_is_a_number():
    assert macro_scores(per_class_scores(np.zeros((2, 2), dtype=np.int64))) == {
        "precision": None,
        "recall": None,
        "f1": None,
        "classes": 0,
    }


def test_the_classes_are_named():
    metric = Confusion(["cat", "dog"])
    metric.update([ClassificationPrediction(torch.tensor([0.1, 0.9]))], [ClassificationTarget(1)])
    result = metric.compute()
    assert result["images"] == 1
    assert [c["name"] for c in result["per_class"]] == ["cat", "dog"]
    assert result["per_class"][1]["recall"] == 1.0


def test_predictions_of_another_number_of_classes_are_refused():
    with pytest.raises(ValueError, match="probabilities of 2 classes, got 3"):
        Confusion(["cat", "dog"]).update(
            [ClassificationPrediction(torch.tensor([0.1, 0.8, 0.1]))], [ClassificationTarget(1)]
        )
