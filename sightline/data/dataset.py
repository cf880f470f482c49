"""From an index to samples, lazily, each a pure function of (seed, epoch, position)."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sightline.data.decode import Shrink
from sightline.data.index import Index, announce
from sightline.data.mixing import Mix
from sightline.errors import DataError
from sightline.structures import ClassificationTarget, Sample, Target

Key = tuple[int, ...]
"""(epoch, position in the index): what a loader asks for. Where a picture comes more than once in an epoch, its further times have
their number (1, 2, ...) as a third."""


Transform = Callable[[Tensor], Tensor]
JointTransform = Callable[[Tensor, Any], tuple[Tensor, Target]]
"""Of a picture and what is drawn on it."""


@runtime_checkable
class SizedTransform(Protocol):
    """A transform that can say, before a picture is decoded, how much smaller it may be."""

    def __call__(self, image: Tensor) -> Tensor:
        """For a picture that is decoded already."""
        ...

    def for_size(self, height: int, width: int) -> tuple[int, Transform]:
        """How many times shorter the sides of a picture of that size may be (1, 2, 4 or 8), and what happens to it then.

        Random numbers are drawn as the transform itself would draw them.
        """
        ...


@runtime_checkable
class ShrinkingSource(Protocol):
    """A source that can decode some pictures smaller."""

    def shrunk(self, position: int, shrink: Shrink) -> Tensor:
        """The picture (3, H, W) uint8, smaller where `shrink` says so; it is asked once, or never."""
        ...


class Samples(Dataset[Sample]):
    """The pictures at `positions` of an index, transformed by `transform`, or by that of the epoch when there is one for each.

    A picture whose position stands there several times comes as often in each epoch. With a seed, the random numbers that
    `transform` and `mix` draw from torch's default generator depend on (seed, epoch, position) alone, and on which time it is;
    the generator is left as it was. Without one nothing is seeded: for evaluation.
    """

    def __init__(
        self,
        index: Index,
        positions: Sequence[int] | np.ndarray,
        transform: Transform | JointTransform | Sequence[Transform],
        seed: int | None = None,
        mix: Mix | None = None,
    ) -> None:
        if mix is not None and seed is None:
            raise ValueError("mixup and cutmix draw random numbers: give a seed")
        self.index = index
        self.positions = np.asarray(positions, dtype=np.int64)
        self.transform = transform
        self.seed = seed
        self.mix = mix
        each = [transform] if callable(transform) else transform
        # Asked once, since it takes as long as reading a file.
        self._shrinks = isinstance(index.source, ShrinkingSource) and all(isinstance(t, SizedTransform) for t in each)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, key: Key) -> Sample:
        epoch, position, *_ = key
        if self.seed is None:
            return self._sample(epoch, position)
        generator = torch.default_generator
        before = generator.get_state()
        try:
            generator.manual_seed(mixed_seed(self.seed, *key))
            return self._sample(epoch, position)
        finally:
            generator.set_state(before)

    def __getitems__(self, keys: list[Key]) -> list[Sample] | list[DataError]:
        """A batch's samples; or the one error that stopped it, which so crosses from a worker with its own text."""
        try:
            announce(self.index.source, [position for _, position, *_ in keys])
            return [self[key] for key in keys]
        except DataError as error:
            return [error]

    def _sample(self, epoch: int, position: int) -> Sample:
        image, label = self._picture(epoch, position)
        if self.mix is None:
            return Sample(image, ClassificationTarget(label), position)
        partner = int(self.positions[int(torch.randint(len(self.positions), ()))])
        other, second_label = self._picture(epoch, partner)
        image, share = self.mix(image, other)
        return Sample(image, ClassificationTarget(label, second_label, share), position)

    def _picture(self, epoch: int, position: int) -> tuple[Tensor, int]:
        transform: Any = self._transform(epoch)
        source: Any = self.index.source
        label = int(self.index.labels[position])
        then: list[Transform] = []

        def shrink(height: int, width: int) -> int:
            times: int
            times, after = transform.for_size(height, width)
            then.append(after)
            return times

        image: Tensor = source.shrunk(position, shrink) if self._shrinks else source.image(position)
        image = (then[0] if then else transform)(image)
        return image, label

    def _transform(self, epoch: int) -> Callable[..., Any]:
        return self.transform if callable(self.transform) else self.transform[epoch]


class JointSamples(Samples):
    """The same for pictures whose annotations move with them, such as boxes; they keep their own sizes.

    `transform` takes the picture and its target, and gives both. Sides are padded to a multiple of `multiple` pixels in a batch.
    """

    def __init__(
        self,
        index: Index,
        positions: Sequence[int] | np.ndarray,
        transform: JointTransform,
        seed: int | None = None,
        multiple: int = 1,
    ) -> None:
        super().__init__(index, positions, transform, seed)
        self.multiple = multiple

    def _sample(self, epoch: int, position: int) -> Sample:
        picture = self.index.source.image(position)
        image, target = self._transform(epoch)(picture, self.index.annotations.target(position))
        seed = None if self.seed is None else mixed_seed(self.seed, epoch, position, 1)
        return Sample(image, target, position, (picture.shape[1], picture.shape[2]), seed)


def mixed_seed(*numbers: int) -> int:
    """One number of 0..2**32-1 that changes altogether when any of `numbers` (64 bits each) changes a little.

    Each step is that of the SplitMix64 generator (Steele, Lea, Flood 2014). torch's CPU generator uses 32 bits of a seed.

    >>> mixed_seed(0, 0, 1), mixed_seed(0, 1, 0)
    (791848836, 1155905921)
    """
    state = 0
    for number in numbers:
        state = (state ^ (number & _64_BITS)) + 0x9E3779B97F4A7C15 & _64_BITS
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _64_BITS
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _64_BITS
        state ^= state >> 31
    return state >> 32


_64_BITS = 2**64 - 1
