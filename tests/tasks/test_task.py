import pytest
import torch
from torch import nn

from sightline.metrics.accuracy import Accuracy
from sightline.structures import Batch, ClassificationTarget
from sightline.tasks.classification import ClassificationTask
from sightline.tasks.task import evaluate, scores

TASK = ClassificationTask(("cat", "dog"))


class Watching(nn.Module):
    """Answers "dog" for bright images and notes how it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.calls: list[tuple[bool, bool]] = []

    def forward(self, images):
        self.calls.append((self.training or self.norm.training, torch.is_inference_mode_enabled()))
        brightness = images.mean((1, 2, 3))
        return torch.stack([-brightness, brightness], 1)


def _batch(brightness, labels):
    images = torch.tensor(brightness)[:, None, None, None].expand(-1, 3, 2, 2)
    return Batch(images, [ClassificationTarget(label) for label in labels], list(range(len(labels))))


def test_every_batch_is_counted_once():
    metrics = evaluate(TASK, Watching(), [_batch([1.0, -1.0, 1.0], [1, 0, 0]), _batch([1.0], [1])])
    result = scores(metrics)
    assert (result["top1"], result["images"]) == (0.75, 4)
    assert result["confusion"] == [[1, 1], [0, 2]]
    assert TASK.headline in result


def test_the_model_is_evaluated_without_gradients_and_every_mode_is_restored():
    model = Watching().train()
    model.norm.eval()  # as someone may have frozen it
    evaluate(TASK, model, [_batch([1.0], [1])])
    assert model.calls == [(False, True)]
    assert model.training
    assert not model.norm.training


def test_the_mode_is_restored_when_a_batch_fails():
    model = Watching().train()

    def batches():
        yield _batch([1.0], [1])
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        evaluate(TASK, model, batches())
    assert model.training


def test_metrics_of_two_evaluations_can_be_merged_afterwards():
    first = evaluate(TASK, Watching(), [_batch([1.0], [1])])
    second = evaluate(TASK, Watching(), [_batch([1.0, 1.0], [0, 0])])
    for name, metric in first.items():
        metric.merge(second[name])
    assert scores(first)["top1"] == pytest.approx(1 / 3)


def test_no_batches_give_no_numbers():
    result = scores(evaluate(TASK, Watching(), []))
    assert (result["top1"], result["images"]) == (None, 0)


def test_metrics_that_contradict_each_other_are_an_error():
    filled = evaluate(TASK, Watching(), [_batch([1.0], [1])])["accuracy"]
    with pytest.raises(ValueError, match="'top1' different values"):
        scores({"one": filled, "two": Accuracy()})
