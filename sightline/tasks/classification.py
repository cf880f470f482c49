"""One class for each image. Shape letters: `N` batch, `V` views of one image, `H W` pixels, `K` classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sightline.errors import InputError, SightlineError
from sightline.metrics.accuracy import Accuracy
from sightline.metrics.confusion import Confusion
from sightline.metrics.metric import Metric
from sightline.ops.losses import cross_entropy
from sightline.structures import Batch, ClassificationPrediction, ClassificationTarget, Target
from sightline.tasks.task import check_class_names

AUXILIARY_WEIGHT = 0.3
"""Share of the loss of each auxiliary classifier (Szegedy et al. 2014, arXiv:1409.4842, section 5)."""


@dataclass(frozen=True, slots=True)
class ClassificationTask:
    """Cross entropy for training; the softmax, averaged over views, for prediction; top-1 as the headline.

    Raises `InputError` without classes, for two classes of one name, and for a label smoothing outside 0..1.

    >>> ClassificationTask(("cat", "dog")).headline
    'top1'
    """

    name: ClassVar[str] = "classification"
    headline: ClassVar[str] = "top1"

    class_names: tuple[str, ...]
    """The names of labels 0..K-1."""
    label_smoothing: float = 0.0
    """Share of the target that is spread evenly over all classes, 0..1 (Szegedy et al. 2015 use 0.1)."""

    def __post_init__(self) -> None:
        check_class_names(self.class_names)
        if not 0.0 <= self.label_smoothing < 1.0:
            raise InputError(f"label_smoothing: expected a number from 0 to less than 1, got {self.label_smoothing!r}.")

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"classification": mean cross entropy}. Images are (N, 3, H, W): views are for prediction only.

        A network with auxiliary classifiers adds "auxiliary": the sum of their losses, times `AUXILIARY_WEIGHT`.
        Raises `InputError` if the model has another number of classes, or a label is outside 0..K-1.
        """
        if batch.images.ndim != 4:
            raise ValueError(f"training takes one view an image, (N, 3, H, W); got {tuple(batch.images.shape)}")
        helped = _has_auxiliary(model)
        outputs: tuple[Tensor, ...] = model(batch.images, auxiliary=True) if helped else (model(batch.images),)
        labels, second_labels, shares = self._target_tensors(batch.targets)
        mixed = bool((shares < 1.0).any())  # asked before the device has them: it would have to wait for the answer
        labels, second_labels, shares = (tensor.to(outputs[0].device) for tensor in (labels, second_labels, shares))
        second, share = (second_labels, shares) if mixed else (None, None)
        own, *others = [
            cross_entropy(self._checked(logits), labels, second, share, self.label_smoothing) for logits in outputs
        ]
        if not others:
            return {self.name: own}
        return {self.name: own, "auxiliary": AUXILIARY_WEIGHT * torch.stack(others).sum()}

    def predict(self, model: nn.Module, batch: Batch) -> list[ClassificationPrediction]:
        """The softmax of each image, (K,) float32 on the CPU; images of several views, (N, V, 3, H, W), get their mean.

        Raises `InputError` if the model has another number of classes, `SightlineError` if its output is not a number.
        """
        views = batch.images.shape[1] if batch.images.ndim == 5 else 1
        images = batch.images.flatten(0, 1) if batch.images.ndim == 5 else batch.images
        probabilities = self._checked(model(images)).detach().float().softmax(dim=1)  # (N * V, K)
        probabilities = probabilities.view(-1, views, len(self.class_names)).mean(dim=1).cpu()  # (N, K)
        for position, fine in enumerate(probabilities.isfinite().all(dim=1).tolist()):
            if not fine:
                raise SightlineError(
                    f"The model's output for the image at index {batch.indices[position]} is not a number. "
                    "Its weights have diverged, or the precision is too low: try float32."
                )
        return [ClassificationPrediction(row) for row in probabilities.unbind()]

    def metrics(self) -> dict[str, Metric[Any, Any]]:
        """Accuracy, and the confusion matrix with the scores of each class."""
        return {"accuracy": Accuracy(), "confusion": Confusion(self.class_names)}

    def _checked(self, logits: Tensor) -> Tensor:
        if logits.ndim != 2 or logits.shape[1] != len(self.class_names):
            raise InputError(
                f"The model has {logits.shape[-1]} classes, the task has {len(self.class_names)} "
                f"({', '.join(self.class_names[:3])}{', ...' if len(self.class_names) > 3 else ''}). "
                "Build the model for the task's classes, or replace its head."
            )
        return logits

    def _target_tensors(self, targets: Sequence[Target]) -> tuple[Tensor, Tensor, Tensor]:
        """Labels, second labels (the label itself where there is none) and shares, each (N,), on the CPU."""
        classes = [target for target in targets if isinstance(target, ClassificationTarget)]
        if len(classes) < len(targets):
            raise InputError("A classifier learns from pictures with a class each, but the data has objects in boxes.")
        first = [target.label for target in classes]
        second = [target.label if target.second_label is None else target.second_label for target in classes]
        for label in (*first, *second):
            if label >= len(self.class_names):
                raise InputError(f"expected labels in 0..{len(self.class_names) - 1}, got {label}.")
        shares = [target.share for target in classes]
        return torch.tensor(first), torch.tensor(second), torch.tensor(shares, dtype=torch.float32)


def _has_auxiliary(model: nn.Module) -> bool:
    """Whether the network has auxiliary classifiers; torch wraps it when it compiles it or shares it among processes."""
    network = model if hasattr(model, "auxiliary_heads") else getattr(model, "module", model)
    return bool(getattr(network, "auxiliary_heads", ()))
