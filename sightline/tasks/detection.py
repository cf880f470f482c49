"""Objects in an image: a box and a class for each. Shape letters: `N` images, `G` objects an image, `K` classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sightline.errors import InputError
from sightline.metrics.average_precision import AveragePrecision
from sightline.metrics.detection_errors import DetectionErrors
from sightline.metrics.metric import Metric
from sightline.models.detector_settings import Objects
from sightline.models.faster_rcnn import FasterRCNN
from sightline.structures import Batch, DetectionPrediction, DetectionTarget, Target
from sightline.tasks.task import check_class_names


@dataclass(frozen=True, slots=True)
class DetectionTask:
    """The losses of the network itself for training, what it finds for prediction, COCO's AP as the headline.

    Raises `InputError` without classes, and for two classes of one name.

    >>> DetectionTask(("cat", "dog")).headline
    'AP'
    """

    name: ClassVar[str] = "detection"
    headline: ClassVar[str] = "AP"

    class_names: tuple[str, ...]
    """The names of labels 0..K-1; background is none of them."""
    voc: bool = False
    """Whether the figures of PASCAL VOC are computed too."""

    def __post_init__(self) -> None:
        check_class_names(self.class_names)

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Four losses, see `FasterRCNN`. Crowds and difficult objects are not learned.

        Raises `InputError` for targets that are not objects.
        """
        objects = self._objects(batch.targets, batch.images.device)
        # What is drawn for a picture depends on it alone: neither on the others of its batch nor on which process has it.
        generators = None if batch.seeds is None else [torch.Generator().manual_seed(seed) for seed in batch.seeds]
        return dict(model(batch.images, _sizes(batch), objects, generators).losses)

    def predict(self, model: nn.Module, batch: Batch) -> list[DetectionPrediction]:
        """What is found in each image, in the pixels of the picture before it was resized where the batch knows those."""
        assert isinstance(model, FasterRCNN)
        sizes = _sizes(batch)
        results = model.detections(model(batch.images, sizes), sizes)
        predictions = []
        for image, (boxes, scores, labels) in enumerate(results):
            if batch.original_sizes is not None:
                scale = batch.original_sizes[image].to(boxes) / sizes[image]  # height, width
                boxes = boxes * scale.flip(0).repeat(2)
            predictions.append(DetectionPrediction(boxes=boxes.cpu(), scores=scores.cpu(), labels=labels.cpu()))
        return predictions

    def metrics(self) -> dict[str, Metric[Any, Any]]:
        """COCO's average precision, and what kinds of errors cost how much of it."""
        return {
            "average_precision": AveragePrecision(self.class_names, voc=self.voc),
            "errors": DetectionErrors(self.class_names),
        }

    def _objects(self, targets: Sequence[Target], device: torch.device) -> Objects:
        found = [target for target in targets if isinstance(target, DetectionTarget)]
        if len(found) < len(targets):
            raise InputError(
                "A detector learns from pictures with objects in boxes, but the data has a class for each picture."
            )
        taught = [~(target.crowd | target.difficult) for target in found]
        most = max(1, *(int(keep.sum()) for keep in taught))  # one row at least, if only padding
        boxes = torch.zeros(len(found), most, 4)
        labels = torch.zeros(len(found), most, dtype=torch.int64)
        real = torch.zeros(len(found), most, dtype=torch.bool)
        for row, (target, keep) in enumerate(zip(found, taught, strict=True)):
            count = int(keep.sum())
            boxes[row, :count], labels[row, :count], real[row, :count] = target.boxes[keep], target.labels[keep], True
        if int(labels.max()) >= len(self.class_names):
            raise InputError(f"expected labels in 0..{len(self.class_names) - 1}, got {int(labels.max())}.")
        return Objects(boxes.to(device), labels.to(device), real.to(device))


def _sizes(batch: Batch) -> Tensor:
    """(N, 2) height and width of the pictures, on their device."""
    if batch.sizes is not None:
        return batch.sizes.to(batch.images.device)
    return torch.tensor(batch.images.shape[2:], device=batch.images.device).expand(len(batch), 2)
