"""Digit scenes: handwritten digits at several sizes and colours on parts of two photographs, and the box of each, or its pixels.

Nothing is in two splits: the digits are divided before, and the photographs are cut up, the left half for training, the upper right
quarter for validation, the lower right one for the test. Shape letters: `H`, `W` of a scene, `h`, `w` of a digit in it.
"""

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sightline.data.annotations import Annotations, Objects
from sightline.data.index import SPLITS, Index
from sightline.data.masks import DrawnMasks, Masks
from sightline.data.sources import TensorSource

SIZE = (128, 160)
"""Height and width of a scene in pixels: small enough for two cores, and not square, so that no one confuses the two."""
SIDES = (20, 48)
"""Least and largest side in pixels of the square that a digit is written in; its ink takes most of the height."""
MOST_DIGITS = 5
EMPTY = 20
"""One scene in so many has no digit."""
INK = 0.25
"""Opacity from which a pixel is ink. Below it the photograph is not touched, so a box ends where the picture was changed."""
CONTRAST = 100
"""Grey levels (of 255) by which the colour differs from what nine in ten of the ink's pixels cover."""
OVERLAP = 0.1
"""Share of the smaller of two boxes that they may have in common. Ink never covers ink."""

_AREAS = {
    "train": np.s_[:, :320],
    "val": np.s_[:213, 320:],
    "test": np.s_[213:, 320:],
}
"""Rows and columns of the photographs, both 427 x 640, that a split's scenes are cut from."""
_PAPER, _FULL = 0.15, 0.75
"""Grey values (0..1) up to which a digit is paper, and from which it is all ink: enlarged strokes have wide grey rims."""
_GREY = np.array([0.299, 0.587, 0.114])
_ATTEMPTS = 100
_COLOURS = 50

Pixels = NDArray[np.uint8]


def scenes(digits: Index, seed: int, counts: Mapping[str, int], *, masks: bool = False) -> Index:
    """As many scenes of each split as `counts` says, drawn with the digits (grey, one a picture) of that split.

    A digit comes back when all of its split have been used. The same pictures come with the box and class of each digit, or
    with `masks` of two classes, background and digit.
    """
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    drawn: list[_Scene] = []
    splits: dict[str, NDArray[np.int64]] = {}
    for split, count in counts.items():
        rng = np.random.default_rng([seed, SPLITS.index(split)])
        parts = [photograph[_AREAS[split]] for photograph in photographs]
        pool = cycle(rng.permutation(digits.positions(split)).tolist())
        splits[split] = np.arange(len(drawn), len(drawn) + count)
        for number in range(count):
            scene = _Scene(parts[rng.integers(len(parts))], rng)
            wanted = 0 if number % EMPTY == EMPTY - 1 else rng.integers(1, MOST_DIGITS + 1)
            for digit in (next(pool) for _ in range(wanted)):
                scene.add(digits.source.image(digit)[0].numpy(), int(digits.labels[digit]))
            drawn.append(scene)
    pictures = np.stack([scene.picture for scene in drawn]).transpose(0, 3, 1, 2)
    names = [f"scene {number}" for number in range(len(drawn))]
    boxes = [np.array(scene.boxes, np.float32) for scene in drawn]
    annotations: Annotations = Objects.of(boxes, [np.array(scene.labels) for scene in drawn])
    if masks:
        annotations = Masks(DrawnMasks([torch.from_numpy(scene.mask) for scene in drawn], names))
    return Index(
        source=TensorSource(torch.from_numpy(pictures), names),
        annotations=annotations,
        class_names=("background", "digit") if masks else digits.class_names,
        splits=splits,
        format="scikit-learn",
    )


class _Scene:
    """A part of a photograph, and the digits that are written on it."""

    def __init__(self, photograph: Pixels, rng: np.random.Generator) -> None:
        top, left = (rng.integers(0, whole - part + 1) for whole, part in zip(photograph.shape, SIZE, strict=False))
        self.picture = photograph[top : top + SIZE[0], left : left + SIZE[1]].copy()
        self.boxes: list[tuple[int, int, int, int]] = []
        self.labels: list[int] = []
        self.mask = np.zeros(SIZE, np.uint8)
        """(H, W) 1 where a digit is, else 0."""
        self._rng = rng

    def add(self, grey: Pixels, label: int) -> None:
        """Write a digit, a square of grey values, where there is room and a colour stands out; where there is not, leave it."""
        opacity = _opacity(grey, int(self._rng.integers(SIDES[0], SIDES[1] + 1)))
        height, width = opacity.shape
        for _ in range(_ATTEMPTS):
            top, left = (
                int(self._rng.integers(0, whole - part + 1)) for whole, part in zip(SIZE, opacity.shape, strict=True)
            )
            place = np.s_[top : top + height, left : left + width]
            box = (left, top, left + width, top + height)
            if (self.mask[place] * (opacity > 0)).any() or any(_shared(box, other) > OVERLAP for other in self.boxes):
                continue
            colour = self._colour(self.picture[place][opacity > 0])
            if colour is None:
                continue
            mixed = opacity[..., None] * colour + (1 - opacity[..., None]) * self.picture[place]
            self.picture[place] = np.rint(mixed).astype(np.uint8)
            self.mask[place][opacity > 0] = 1
            self.boxes.append(box)
            self.labels.append(label)
            return

    def _colour(self, covered: Pixels) -> NDArray[np.int64] | None:
        """(3,) a colour for ink that covers these pixels, (n, 3); None when none of those tried stands out."""
        colours = self._rng.integers(0, 256, (_COLOURS, 3))
        contrast = np.abs((colours @ _GREY)[:, None] - covered @ _GREY)
        good = np.flatnonzero((contrast >= CONTRAST).mean(1) >= 0.9)
        return colours[good[0]] if len(good) else None


def _opacity(grey: Pixels, side: int) -> NDArray[np.float64]:
    """(h, w) how much a digit of that size hides of what is beneath, 0 or `INK`..1; from its first row and column to its last."""
    enlarged = Image.fromarray(grey).resize((side, side), Image.Resampling.BICUBIC)
    opacity = np.clip((np.asarray(enlarged) / 255 - _PAPER) / (_FULL - _PAPER), 0, 1)
    opacity[opacity < INK] = 0
    rows, columns = (np.flatnonzero(opacity.any(axis)) for axis in (1, 0))
    return opacity[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _shared(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """The share of the smaller box that lies in the other one as well."""
    width, height = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(width, 0) * max(height, 0) / smaller
