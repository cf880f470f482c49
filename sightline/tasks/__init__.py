"""The tasks by name."""

from collections.abc import Callable

from sightline.tasks.classification import ClassificationTask
from sightline.tasks.detection import DetectionTask
from sightline.tasks.segmentation import SegmentationTask
from sightline.tasks.task import Task

TASKS: dict[str, Callable[..., Task]] = {
    "classification": ClassificationTask,
    "detection": DetectionTask,
    "segmentation": SegmentationTask,
}
"""What can be learned: name -> the class that binds loss, decoding and metrics."""
