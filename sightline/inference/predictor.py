"""The one path from a picture to a prediction: decode, the checkpoint's own preprocessing, network, task."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from sightline import checkpoint
from sightline.data.box_transforms import resize_whole
from sightline.data.decode import decode
from sightline.data.loader import collate, collate_padded, equal_sizes, together
from sightline.data.transforms import eval_transform
from sightline.device import Precision, autocast, pick_device, pick_precision
from sightline.errors import ImageError, InputError
from sightline.models.backbone import Backbone
from sightline.ops.images import normalise, stretched
from sightline.structures import Batch, ClassificationTarget, Prediction, Preprocessing, Sample, WholePicture, Windows
from sightline.tasks.task import Task
from sightline.tasks.tiles import LARGEST

Picture = str | Path | Image.Image | NDArray[np.uint8] | Tensor
"""A file, a Pillow image, an (H, W, 3) uint8 array, or a (3, H, W) uint8 tensor; RGB."""

P = TypeVar("P")

_READERS = 4
_AT_ONCE = 8  # pictures of a segmenter that wait to be put together: they keep their own sizes, which may be large
_NOTHING = ClassificationTarget(0)  # what a picture shows is not known, and no prediction asks


@dataclass(frozen=True, slots=True)
class Predictor:
    """A trained network that takes pictures. Made by `load`."""

    model: nn.Module
    """In evaluation mode, on `device`, channels last."""
    task: Task
    header: checkpoint.Header
    device: torch.device
    precision: Precision

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of labels 0..K-1."""
        return self.header.class_names

    def predict(self, pictures: Sequence[Picture], batch_size: int = 32) -> list[Prediction]:
        """One prediction a picture, in order. Raises `ImageError` naming the first picture that cannot be read."""
        results: list[Prediction] = []
        for _, outcome in self.stream(pictures, batch_size):
            if isinstance(outcome, ImageError):
                raise outcome
            results.append(outcome)
        return results

    def stream(
        self, pictures: Iterable[P], batch_size: int = 32, read: Callable[[P], Tensor] | None = None
    ) -> Iterator[tuple[P, Prediction | ImageError]]:
        """Each picture with its prediction, or with the reason why it cannot be read; in order, a batch at a time.

        `read` makes (3, H, W) uint8 RGB of what `pictures` are; without it, each is a `Picture`.
        Whole pictures come in smaller batches than `batch_size` where they are large.
        """
        shape = self.header.preprocessing
        batch_size = min(batch_size, _AT_ONCE) if isinstance(shape, Windows) else together(shape, batch_size)

        reader: Callable[[Any], Tensor] = read or to_tensor

        def prepared(picture: P) -> Sample | ImageError:
            try:
                return self.sample(reader(picture))
            except ImageError as error:
                return error

        remaining = iter(pictures)
        with ThreadPoolExecutor(_READERS) as readers:
            while chunk := list(islice(remaining, batch_size)):
                samples = list(readers.map(prepared, chunk))
                readable = [sample for sample in samples if isinstance(sample, Sample)]
                predictions = iter(self.predict_samples(readable) if readable else ())
                for picture, sample in zip(chunk, samples, strict=True):
                    yield picture, sample if isinstance(sample, ImageError) else next(predictions)

    def sample(self, image: Tensor) -> Sample:
        """A picture (3, H, W) uint8, resized (and cropped) as the network's training pictures were."""
        shape = self.header.preprocessing
        if isinstance(shape, WholePicture):
            return Sample(resize_whole(image, shape), _NOTHING, 0, (image.shape[1], image.shape[2]))
        if isinstance(shape, Windows):
            shown = stretched(image) if shape.stretch else image
            return Sample(shown, _NOTHING, 0, (image.shape[1], image.shape[2]))
        return Sample(eval_transform(shape)(image), _NOTHING, 0)

    def predict_samples(self, samples: Sequence[Sample]) -> list[Prediction]:
        """Predictions for pictures that `sample` has prepared."""
        match self.header.preprocessing:
            case Preprocessing():
                return self.predict_batch(collate(samples))
            case WholePicture():
                return self.predict_batch(collate_padded(samples))
            case Windows():
                return self._of_equal_sizes(samples)

    def _of_equal_sizes(self, samples: Sequence[Sample]) -> list[Prediction]:
        """Each picture in its own size, those of one size together: what lies around a picture is mirrored, not padded."""
        single = (collate_padded([replace(sample, index=place)], 1) for place, sample in enumerate(samples))
        found: dict[int, Prediction] = {}
        for batch in equal_sizes(single, len(samples), pixels=LARGEST):
            found.update(zip(batch.indices, self.predict_batch(batch), strict=True))
        return [found[place] for place in range(len(samples))]

    def predict_images(self, images: Tensor) -> list[Prediction]:
        """Predictions for (N, 3, H, W) uint8 images that are already resized and cropped, on any device."""
        return self.predict_batch(Batch(images, [_NOTHING] * len(images), range(len(images))))

    def predict_batch(self, batch: Batch) -> list[Prediction]:
        """Predictions for a uint8 batch, as a loader gives it."""
        with torch.inference_mode(), autocast(self.device, self.precision):
            return list(self.task.predict(self.model, self.prepare(batch)))

    def prepare(self, batch: Batch) -> Batch:
        """A uint8 batch from a loader as the network wants it: on the device, normalised."""
        return replace(batch, images=self.inputs(batch.images))

    def inputs(self, images: Tensor) -> Tensor:
        """uint8 images (..., 3, H, W) as the network wants them: on the device, normalised."""
        shape = self.header.preprocessing
        return normalise(images.to(self.device, non_blocking=True), shape.mean, shape.std)

    def classifier(self) -> tuple[Backbone, Preprocessing]:
        """The network with its stages, and how its pictures are prepared. Raises `InputError` when it is no classifier."""
        shape = self.header.preprocessing
        if not isinstance(self.model, Backbone) or not isinstance(shape, Preprocessing):
            raise InputError(
                f"Only a classifier can be read this way, and {self.header.architecture} was trained for {self.task.name}. "
                "Give a run that was trained on pictures with a class each."
            )
        return self.model, shape

    def for_whole_pictures(self) -> "Predictor":
        """The same for pictures that are resized and not cropped. Raises `InputError` where there is no such reading."""
        model, shape = self.classifier()
        return replace(self, model=WholePictures(model, shape.crop))


class WholePictures(nn.Module):
    """A classifier for pictures of any size: read as fully convolutional, its class scores averaged over the positions.

    VGG's dense evaluation (Simonyan and Zisserman 2015, arXiv:1409.1556, section 3.2). The softmax comes after the average,
    and the task averages it with that of the mirrored picture, which `eval_transform(..., crops="dense")` puts beside it. The
    paper does so for photographs; where left and right differ in meaning, as in digits, the mirrored half does harm.
    `window` is the side that the network was trained at, in pixels; no side of a picture may be shorter.
    """

    def __init__(self, model: Backbone, window: int) -> None:
        super().__init__()
        self.network = model.as_fully_convolutional(window)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to logits (N, K)."""
        scores: Tensor = self.network(images)  # (N, K, h, w)
        return scores.float().mean((2, 3))


def load(run: str | Path, *, precision: Precision | None = None, device: torch.device | None = None) -> Predictor:
    """A predictor from a run folder (its best weights) or from a weights file of ours.

    `precision` is chosen by a short probe when not given. Raises `CheckpointError` when there is nothing usable at `run`.
    """
    device = device or pick_device()
    loaded = checkpoint.load(checkpoint.run_weights(Path(run)))
    model, task = checkpoint.build(loaded)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Predictor(model, task, loaded.header, device, precision or pick_precision(device, training=False))


def to_tensor(picture: Picture) -> Tensor:
    """Any picture as (3, H, W) uint8 RGB. Raises `ImageError` when it cannot be read."""
    if isinstance(picture, str | Path):
        path = Path(picture)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror or error}") from error
        return decode(content, str(path))
    if isinstance(picture, Image.Image):
        picture = np.asarray(picture.convert("RGB"))
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ImageError(f"expected an (H, W, 3) uint8 array, got {picture.shape} {picture.dtype}")
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    if picture.dtype != torch.uint8 or picture.ndim != 3 or picture.shape[0] != 3:
        raise ImageError(f"expected a (3, H, W) uint8 tensor, got {tuple(picture.shape)} {picture.dtype}")
    return picture
