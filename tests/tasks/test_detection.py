"""The detection task: targets to the network's form, predictions back to the pictures' pixels."""

import pytest
import torch
from torch import nn

from sightline.errors import InputError
from sightline.models.faster_rcnn import FasterRCNN, Found
from sightline.models.resnet import resnet18
from sightline.structures import Batch, ClassificationTarget, DetectionPrediction, DetectionTarget
from sightline.tasks.detection import DetectionTask

TASK = DetectionTask(("cat", "dog"))


def _target() -> DetectionTarget:
    """A cat, a crowd of dogs, and a difficult dog."""
    return DetectionTarget(
        boxes=torch.tensor([[1.0, 2.0, 30.0, 40.0], [0.0, 0.0, 60.0, 60.0], [5.0, 5.0, 20.0, 20.0]]),
        labels=torch.tensor([0, 1, 1]),
        crowd=torch.tensor([False, True, False]),
        difficult=torch.tensor([False, False, True]),
        areas=torch.tensor([1102.0, 3600.0, 225.0]),
    )


class Listening(nn.Module):
    """Keeps what it is asked to learn."""

    def forward(self, images, sizes, targets, generators):
        self.sizes, self.targets, self.generators = sizes, targets, generators
        return Found(*[torch.zeros(0)] * 4, losses={"class": torch.tensor(1.0)})


def test_crowds_and_difficult_objects_are_not_learned():
    nothing = DetectionTarget.of(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    network = Listening()
    losses = TASK.loss(network, Batch(torch.zeros(2, 3, 64, 64), [_target(), nothing], [0, 1]))
    assert losses == {"class": torch.tensor(1.0)}
    assert network.targets.boxes.tolist() == [[[1.0, 2.0, 30.0, 40.0]], [[0.0] * 4]]
    assert network.targets.real.tolist() == [[True], [False]]
    assert network.sizes.tolist() == [[64, 64], [64, 64]]


@pytest.mark.slow
def test_predictions_are_in_the_pixels_of_the_picture_as_it_was():
    torch.manual_seed(0)
    model = FasterRCNN(resnet18(stem="small"), num_classes=2, neck="fpn").eval()
    images, sizes = torch.rand(1, 3, 64, 96), torch.tensor([[50, 90]])
    with torch.inference_mode():
        here = TASK.predict(model, Batch(images, [_target()], [0], sizes))[0]
        there = TASK.predict(model, Batch(images, [_target()], [0], sizes, torch.tensor([[100, 270]])))[0]
    assert isinstance(here, DetectionPrediction)
    assert len(here.labels)
    torch.testing.assert_close(there.boxes, here.boxes * torch.tensor([3.0, 2.0, 3.0, 2.0]))
    assert torch.equal(there.scores, here.scores)


def test_the_metrics_take_what_the_task_predicts():
    metrics = TASK.metrics()
    found = DetectionPrediction(boxes=_target().boxes[:1], scores=torch.tensor([0.9]), labels=torch.tensor([0]))
    for metric in metrics.values():
        metric.update([found], [_target()])
    assert metrics["average_precision"].compute()["AP"] == 1.0
    assert TASK.headline in metrics["average_precision"].compute()


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="a class for each picture"):
        TASK.loss(Listening(), Batch(torch.zeros(1, 3, 8, 8), [ClassificationTarget(0)], [0]))
    with pytest.raises(InputError, match=r"labels in 0\.\.1, got 4"):
        TASK.loss(
            Listening(),
            Batch(
                torch.zeros(1, 3, 8, 8),
                [DetectionTarget.of(torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([4]))],
                [0],
            ),
        )
    with pytest.raises(InputError, match="at least one class"):
        DetectionTask(())
    with pytest.raises(InputError, match="given twice: cat"):
        DetectionTask(("cat", "cat"))
