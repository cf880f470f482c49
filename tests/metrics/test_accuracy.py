import pytest
import torch

from sightline.metrics.accuracy import Accuracy, ranks, top_k_hits
from sightline.structures import ClassificationPrediction, ClassificationTarget


def test_ties_are_broken_by_the_lower_label():
    even = torch.full((3, 3), 1 / 3)
    assert ranks(even, torch.tensor([0, 1, 2])).tolist() == [0, 1, 2]


def test_a_probability_that_is_not_a_number_is_never_a_hit():
    broken = torch.tensor([[float("nan"), 0.5, 0.5], [float("nan")] * 3])
    labels = torch.tensor([0, 2])
    assert top_k_hits(broken, labels, k=3) == 0
    assert ranks(torch.tensor([[float("nan"), 1.0]]), torch.tensor([1])).tolist() == [1]


def test_k_beyond_the_classes_counts_every_image():
    assert top_k_hits(torch.rand(4, 3), torch.tensor([0, 1, 2, 0]), k=5) == 4


def test_batches_of_unequal_size_weigh_by_their_images():
    right, wrong = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    metric = Accuracy()
    metric.update([ClassificationPrediction(right)] * 9, [ClassificationTarget(0)] * 9)
    metric.update([ClassificationPrediction(wrong)], [ClassificationTarget(0)])
    assert metric.compute() == {"top1": 0.9, "top5": 1.0, "images": 10}  # the mean of the batches would be 0.5


def test_top1_agrees_with_the_label_that_a_prediction_names():
    predictions = [ClassificationPrediction(p) for p in torch.rand(50, 4).round(decimals=1)]
    metric = Accuracy()
    metric.update(predictions, [ClassificationTarget(p.label) for p in predictions])
    assert metric.compute()["top1"] == 1.0


@pytest.mark.parametrize("target", [ClassificationTarget(2), ClassificationTarget(0, 1, 0.5)])
def test_labels_outside_and_mixed_images_are_refused(target):
    with pytest.raises(ValueError, match=r"labels in 0\.\.1|position 0 has two classes"):
        Accuracy().update([ClassificationPrediction(torch.tensor([0.5, 0.5]))], [target])
