"""The tasks by name."""

from sightline.tasks.classification import ClassificationTask

TASKS = {
    "classification": ClassificationTask,
}
"""What can be learned: name -> the class that binds loss, decoding and metrics."""
