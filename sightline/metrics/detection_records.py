"""What detectors found and what is there, kept row by row until it is measured.

Average precision ranks what was found in all images together, so nothing can be summed before all of them were seen.
Shape letters: `I` images, `G` objects that are there, `D` detections, `K` classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.metrics.metric import Metric, State, check_pairs
from sightline.structures import DetectionPrediction, DetectionTarget

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """The G objects of all images: by image, then by label, then as they came."""

    images: Ints
    """(G,) position of the image, 0..I-1."""
    groups: Ints
    """(G,) image * K + label, rising. Objects and detections of one image and class have the same group."""
    labels: Ints
    """(G,) 0..K-1."""
    boxes: Floats
    """(4, G): left, top, right, bottom in pixels."""
    areas: Floats
    """(G,) of the object in pixels; its outline's where that is known."""
    crowd: Flags
    """(G,) around many objects."""
    ignored: Flags
    """(G,) crowd or difficult: to find it is neither right nor wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The D detections of all images: by image, then by label, then by falling score, then as they came."""

    images: Ints
    """(D,) position of the image, 0..I-1."""
    groups: Ints
    """(D,) image * K + label, rising."""
    labels: Ints
    """(D,) 0..K-1."""
    boxes: Floats
    """(4, D): left, top, right, bottom in pixels."""
    scores: Floats
    """(D,)."""

    @property
    def ranks(self) -> Ints:
        """(D,) the place of each by score within its image and class, from 0."""
        return np.arange(len(self.groups)) - np.searchsorted(self.groups, self.groups)

    def first(self, limit: int) -> "Found":
        """The `limit` best of each image and class."""
        keep = self.ranks < limit
        return self if keep.all() else Found(**{name: getattr(self, name)[..., keep] for name in self.__slots__})


class DetectionMetric(Metric[DetectionPrediction, DetectionTarget]):
    """A metric that needs all rows at once: 28 bytes a detection and 44 an object are kept.

    Detections of equal score that lie in different images are ranked in the order of the images, as pycocotools ranks them
    by image id. When metrics are merged, the i-th image of each comes before the (i+1)-th of any, and of those the one that
    was added first: where each of n processes sees every n-th image and they are added in the order of their ranks, this is
    the order of a single process. Without ties between images the order of merging changes nothing.
    """

    rows: ClassVar[bool] = True

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self.reset()

    def reset(self) -> None:
        """See `Metric`."""
        self._rows = {name: [rows] for name, rows in _no_rows().items()}
        self._next_turn = 0

    def update(self, predictions: Sequence[DetectionPrediction], targets: Sequence[DetectionTarget]) -> None:
        """See `Metric`. Also raises `ValueError` for labels outside 0..K-1 and for numbers that are not finite."""
        check_pairs(predictions, targets)
        if not predictions:
            return
        counts = [(len(there.labels), len(found.labels)) for there, found in zip(targets, predictions, strict=True)]
        turns = np.arange(self._next_turn, self._next_turn + len(counts))
        self.add_state(
            {
                "images": np.column_stack([turns, np.array(counts)]),
                "truth_boxes": _table([(target.boxes, target.areas) for target in targets], torch.float32),
                "truth_flags": _table([(t.labels, t.crowd, t.difficult) for t in targets], torch.int64),
                "found_boxes": _table([(found.boxes, found.scores) for found in predictions], torch.float32),
                "found_labels": _table([(found.labels,) for found in predictions], torch.int64),
            }
        )

    def state(self) -> State:
        """See `Metric`. Rows of five tables, which differ in length between processes:

        `images` (I, 3): turn, objects, detections; `truth_boxes` (G, 5): box, area; `truth_flags` (G, 3): label, crowd,
        difficult; `found_boxes` (D, 5): box, score; `found_labels` (D, 1).
        """
        return {name: np.concatenate(rows) for name, rows in self._rows.items()}

    def add_state(self, state: State) -> None:
        """See `Metric`. Also raises `ValueError` for labels outside 0..K-1 and for numbers that are not finite."""
        for name, rows in _no_rows().items():
            if state[name].shape[1:] != rows.shape[1:]:
                raise ValueError(f"expected {name} of shape (n, {rows.shape[1]}), got {state[name].shape}")
        for name in ("truth_boxes", "found_boxes"):
            if not np.isfinite(state[name]).all():
                raise ValueError(f"{name}: a box, an area or a score is not finite: has the model diverged?")
        classes = len(self.class_names)
        for labels in (state["truth_flags"][:, 0], state["found_labels"][:, 0]):
            if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
                raise ValueError(f"expected labels in 0..{classes - 1}, got {labels.min()}..{labels.max()}")
        for name, kept in self._rows.items():
            kept.append(state[name].astype(kept[0].dtype))
        self._next_turn = max(self._next_turn, int(state["images"][:, 0].max(initial=-1)) + 1)

    @property
    def num_images(self) -> int:
        """How many images were seen."""
        return sum(len(rows) for rows in self._rows["images"])

    def ordered(self) -> tuple[Found, Truth]:
        """Everything that was seen, as columns in the order in which it is measured."""
        rows = self.state()
        position = np.empty(len(rows["images"]), np.int64)
        position[np.argsort(rows["images"][:, 0], kind="stable")] = np.arange(len(position))
        labels, crowd, difficult = rows["truth_flags"].T
        images = np.repeat(position, rows["images"][:, 1])
        groups = images * len(self.class_names) + labels
        order = np.argsort(groups, kind="stable")
        boxes = rows["truth_boxes"][order].T.astype(np.float64)
        crowds = crowd[order] > 0
        truth = Truth(
            images=images[order],
            groups=groups[order],
            labels=labels[order],
            boxes=boxes[:4],
            areas=boxes[4],
            crowd=crowds,
            ignored=crowds | (difficult[order] > 0),
        )
        images = np.repeat(position, rows["images"][:, 2])
        labels = rows["found_labels"][:, 0]
        groups = images * len(self.class_names) + labels
        order = np.lexsort((-rows["found_boxes"][:, 4], groups))
        boxes = rows["found_boxes"][order].T.astype(np.float64)
        found = Found(
            images=images[order], groups=groups[order], labels=labels[order], boxes=boxes[:4], scores=boxes[4]
        )
        return found, truth


def _no_rows() -> dict[str, NDArray[Any]]:
    return {
        "images": np.empty((0, 3), np.int64),
        "truth_boxes": np.empty((0, 5), np.float32),
        "truth_flags": np.empty((0, 3), np.int64),
        "found_boxes": np.empty((0, 5), np.float32),
        "found_labels": np.empty((0, 1), np.int64),
    }


def _table(columns: Sequence[tuple[Tensor, ...]], dtype: torch.dtype) -> NDArray[Any]:
    """The columns of some images, one image below the other."""
    return np.column_stack(
        [torch.cat(column).detach().to("cpu", dtype).numpy() for column in zip(*columns, strict=True)]
    )
