"""Why a classifier said what it said: Grad-CAM, and the classifier moved over the picture as a convolution.

Shape letters: `N` batch, `C` channels, `H W` pixels, `h w` cells, `K` classes.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sightline.data.transforms import centre_box, eval_transform, shorter_side
from sightline.device import autocast
from sightline.errors import InputError
from sightline.inference.placement import placed_features
from sightline.inference.predictor import Picture, Predictor, to_tensor
from sightline.models.backbone import Backbone
from sightline.ops.cells import Cells
from sightline.structures import ClassificationPrediction

LARGEST = 2**22
"""Pixels that a picture may be enlarged to; a VGG then takes about 2 GB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cam:
    """Where in a picture the evidence for a class is."""

    label: int
    """The class asked about, 0..K-1."""
    prediction: ClassificationPrediction
    """What the network says of the part that it sees."""
    stage: str
    values: Tensor
    """(h, w) float32 on the CPU, at least 0: how much each cell of the stage's map speaks for the class. With the last map of
    a network that ends in average pooling and one linear layer: its part of the logit."""
    down: Cells
    across: Cells
    """Where the cells lie in the picture, in its own pixels."""
    seen: tuple[float, float, float, float]
    """The part that the network saw: left, top, right, bottom in the picture's pixels."""

    def scaled(self, vertical: float, horizontal: float) -> "Cam":
        """The same for the picture with its height and width multiplied by these."""
        left, top, right, bottom = self.seen
        return replace(
            self,
            down=self.down.within(0, vertical),
            across=self.across.within(0, horizontal),
            seen=(left * horizontal, top * vertical, right * horizontal, bottom * vertical),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassMap:
    """What the classifier says of each window of an enlarged picture."""

    label: int
    """The class asked about, 0..K-1."""
    prediction: ClassificationPrediction
    """What the network says of the part that it usually sees, the centre."""
    probabilities: Tensor
    """(K, h, w) float32 on the CPU: the softmax of each cell."""
    down: Cells
    across: Cells
    """The middles of the windows in the picture, in its own pixels."""
    window: tuple[float, float]
    """Height and width of a window, in the picture's own pixels."""
    size: int
    """Shorter side of the enlarged picture, in pixels."""

    def scaled(self, vertical: float, horizontal: float) -> "ClassMap":
        """The same for the picture with its height and width multiplied by these."""
        height, width = self.window
        return replace(
            self,
            down=self.down.within(0, vertical),
            across=self.across.within(0, horizontal),
            window=(height * vertical, width * horizontal),
        )


def grad_cam(predictor: Predictor, picture: Picture, label: int | None = None, stage: str | None = None) -> Cam:
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2) for the class `label`, 0..K-1.

    The channels of the map of `stage` are summed, each with the mean of the gradient of the class's logit with respect to
    it; negative sums become 0. Without a label it is the predicted class, without a stage the last one.

    Raises `ImageError` for a picture that cannot be read, `UnknownNameError` for a stage that is not there, `InputError`
    for a network that is no classifier.
    """
    model, preprocessing = predictor.classifier()
    stage = model.stages[-1] if stage is None else stage
    image = to_tensor(picture)
    crop = eval_transform(preprocessing)(image)[None]  # (1, 3, crop, crop)
    said = _prediction(predictor, crop)
    label = said.label if label is None else label
    with autocast(predictor.device, predictor.precision):
        with torch.no_grad():
            features, down, across = placed_features(model, predictor.inputs(crop), stage)
        with torch.enable_grad():
            logits = _logits(model, features.requires_grad_(), stage)
            # Asked for the map alone: nothing is accumulated in the parameters.
            (gradient,) = torch.autograd.grad(logits[0, label], features)
    weights = gradient.float().mean((2, 3))[0]  # (C,), alpha of equation 1
    values = torch.einsum("c,chw->hw", weights, features.detach().float()[0]).relu()  # equation 2
    left, top, right, bottom = centre_box(preprocessing, *image.shape[-2:])
    return Cam(
        label=label,
        prediction=said,
        stage=stage,
        values=values.cpu(),
        down=down.within(top, (bottom - top) / preprocessing.crop),
        across=across.within(left, (right - left) / preprocessing.crop),
        seen=(left, top, right, bottom),
    )


def class_map(predictor: Predictor, picture: Picture, label: int | None = None, size: int | None = None) -> ClassMap:
    """The classifier as a fully convolutional network over the picture, its shorter side enlarged to `size` pixels.

    Its linear layers see one position each (Simonyan and Zisserman 2015, arXiv:1409.1556, section 3.2): cell (i, j) of the
    result judges the window of the training size that begins i strides from the top and j from the left. Without a size it
    is twice that of training; without a label, `label` is the predicted class.

    Raises `ImageError` for a picture that cannot be read; `InputError` for a network that is no classifier or cannot be read
    as convolutions, and for a size that is smaller than a window or asks for too much memory.
    """
    model, preprocessing = predictor.classifier()
    window = preprocessing.crop
    network = model.as_fully_convolutional(window)
    image = to_tensor(picture)
    height, width = image.shape[-2:]
    size = 2 * window if size is None else size
    if size < window:
        raise InputError(
            f"size: expected at least {window} pixels, the side that the network was trained at, got {size}."
        )
    if size**2 * max(height, width) > LARGEST * min(height, width):
        raise InputError(
            f"size: at {size} pixels a picture of {width} x {height} would be enlarged to more than {LARGEST:,} pixels. "
            "Choose a smaller size."
        )
    said = _prediction(predictor, eval_transform(preprocessing)(image)[None])
    enlarged = shorter_side(image, size)
    with torch.inference_mode(), autocast(predictor.device, predictor.precision):
        logits = network(predictor.inputs(enlarged[None]))[0]  # (K, h, w)
    vertical, horizontal = height / enlarged.shape[-2], width / enlarged.shape[-1]
    cells = Cells(window / 2, network.stride)
    label = said.label if label is None else label
    return ClassMap(
        label=label,
        prediction=said,
        probabilities=logits.float().softmax(0).cpu(),
        down=cells.within(0.0, vertical),
        across=cells.within(0.0, horizontal),
        window=(window * vertical, window * horizontal),
        size=size,
    )


def _prediction(predictor: Predictor, crop: Tensor) -> ClassificationPrediction:
    (said,) = predictor.predict_images(crop)
    assert isinstance(said, ClassificationPrediction)
    return said


def _logits(model: Backbone, features: Tensor, stage: str) -> Tensor:
    """From the map of `stage` to the logits, (N, K)."""
    for later in model.stages[model.stages.index(stage) + 1 :]:
        for part in model.parts(later):
            features = part(features)
    return model.classify(features)
