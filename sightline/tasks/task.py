"""What differs between tasks, and nothing else: how a model's output becomes a loss, a prediction, a score."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sightline.errors import InputError
from sightline.metrics.metric import Metric
from sightline.structures import Batch, Prediction, Target


class Task(Protocol):
    """The trainer, the predictor and the command line ask a task for these things only.

    Images in the batches are on the model's device and normalised (see `sightline.ops.images.normalise`).
    """

    @property
    def name(self) -> str:
        """Its key in `TASKS`."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of labels 0..K-1, in order."""

    @property
    def headline(self) -> str:
        """The one number, a key of `scores`, by which runs are compared; higher is better."""

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Named scalars to be summed and minimised, each the mean over the batch."""

    def predict(self, model: nn.Module, batch: Batch) -> Sequence[Prediction]:
        """One prediction an image, on the CPU. `model` is in evaluation mode."""

    def metrics(self) -> dict[str, Metric[Any, Any]]:
        """New, empty metrics."""


def check_class_names(class_names: Sequence[str]) -> None:
    """Raise `InputError` when there is none, or two have one name."""
    if not class_names:
        raise InputError("A task needs at least one class, got none.")
    twice = sorted({name for name in class_names if class_names.count(name) > 1})
    if twice:
        raise InputError(f"Class names must differ; given twice: {', '.join(twice)}.")


def evaluate(task: Task, model: nn.Module, batches: Iterable[Batch]) -> dict[str, Metric[Any, Any]]:
    """Predict every batch without gradients and count. Each module of `model` is left in the mode that it was in.

    `batches` are normalised and on the model's device. The metrics are returned uncomputed, so that those of several
    processes can be merged first; `scores` computes them.
    """
    metrics = task.metrics()
    with torch.inference_mode():
        for predictions, targets in predicted(task, model, batches):
            for metric in metrics.values():
                metric.update(predictions, targets)
    return metrics


@torch.inference_mode()
def predicted(
    task: Task, model: nn.Module, batches: Iterable[Batch]
) -> Iterator[tuple[Sequence[Prediction], Sequence[Target]]]:
    """The predictions and the targets of every batch; what `evaluate` counts. `batches` and modes as there."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        for batch in batches:
            yield task.predict(model, batch), batch.targets
    finally:
        for module, training in modes.items():
            module.training = training


def scores(metrics: Mapping[str, Metric[Any, Any]]) -> dict[str, Any]:
    """The numbers of all metrics in one JSON-able dictionary.

    Raises `ValueError` if two metrics give one name different values.

    >>> from sightline.metrics.accuracy import Accuracy
    >>> scores({"accuracy": Accuracy()})
    {'top1': None, 'top5': None, 'images': 0}
    """
    together: dict[str, Any] = {}
    for metric in metrics.values():
        for name, value in metric.compute().items():
            if together.setdefault(name, value) != value:
                raise ValueError(f"two metrics give {name!r} different values: {together[name]} and {value}")
    return together
