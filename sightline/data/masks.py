"""A class for each pixel of each picture: masks, read one by one when they are asked for.

`Masks` stands beside `ClassLabels` and `Objects` in an `Index`. Where the masks come from is a `MaskSource`: files, or memory.
Shape letters: `N` pictures, `H`, `W` of one of them, `K` classes.
"""

import hashlib
import os
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.data.touching import closeness
from sightline.structures import IGNORED, SegmentationTarget

MOST_CLASSES = IGNORED
"""Classes that a mask can tell apart: its values are 0..254, and `IGNORED`."""


class MaskSource(Protocol):
    """Where the masks of a data set come from, one by one."""

    def __len__(self) -> int:
        """Number of masks."""
        ...

    def name(self, position: int) -> str:
        """What the user recognises: a path relative to the data set."""
        ...

    def mask(self, position: int) -> Tensor:
        """The mask as (H, W) uint8, 0..K-1 or `IGNORED`; raises `ImageError` naming it, the values found and what to do."""
        ...

    def digest(self, position: int) -> str:
        """A short text that is another one when the mask is another one."""
        ...


class DrawnMasks:
    """Masks (H, W) uint8 in memory, of pictures with these names.

    >>> DrawnMasks([torch.ones(2, 3, dtype=torch.uint8)], ["a"]).mask(0).tolist()
    [[1, 1, 1], [1, 1, 1]]
    """

    def __init__(self, masks: Sequence[Tensor], names: Sequence[str]) -> None:
        if len(masks) != len(names):
            raise ValueError(f"expected as many names as masks, got {len(names)} and {len(masks)}")
        self.masks = masks
        self.names = names

    def __len__(self) -> int:
        return len(self.masks)

    def name(self, position: int) -> str:
        """That of the picture, as a mask in memory has no other."""
        return f"the mask of {self.names[position]}"

    def mask(self, position: int) -> Tensor:
        """The mask as (H, W) uint8; do not write into it."""
        return self.masks[position]

    def digest(self, position: int) -> str:
        """Of size and pixels."""
        mask = self.masks[position].contiguous()
        return hashlib.sha256(f"{tuple(mask.shape)}".encode() + mask.numpy().tobytes()).hexdigest()[:16]


class KeptMasks:
    """Masks that were read before; one that is not there comes from `beneath`."""

    def __init__(self, beneath: MaskSource, kept: Mapping[int, Tensor]) -> None:
        self.beneath = beneath
        self.kept = kept

    def __len__(self) -> int:
        return len(self.beneath)

    def name(self, position: int) -> str:
        """What the source beneath calls the mask."""
        return self.beneath.name(position)

    def mask(self, position: int) -> Tensor:
        """The mask as (H, W) uint8; do not write into it. Raises `ImageError` where `beneath` does."""
        kept = self.kept.get(position)
        return self.beneath.mask(position) if kept is None else kept

    def digest(self, position: int) -> str:
        """What the source beneath says."""
        return self.beneath.digest(position)


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """One mask for each picture, in the picture's own pixels. Nothing is read before it is asked for.

    >>> masks = Masks(DrawnMasks([torch.tensor([[0, 1, 255]], dtype=torch.uint8)], ["a"]))
    >>> masks.target(0).mask.tolist(), masks.counts(np.array([0]), 3)
    ([[0, 1, 255]], array([1, 1, 0]))
    """

    source: MaskSource
    """The masks, N of them."""
    mapping: NDArray[np.uint8] | None = None
    """(256,) what a value of the source's masks means; None where it means itself."""
    closeness: Mapping[int, bytes] | None = None
    """What goes with the masks of some positions, see `with_closeness`; compressed, since nearly all of it is 0."""

    def __len__(self) -> int:
        return len(self.source)

    def target(self, position: int) -> SegmentationTarget:
        """What a network should say of each pixel of the picture at `position`; raises `ImageError`."""
        mask = self.mapped(self.source.mask(position))
        near_by = (self.closeness or {}).get(position)
        if near_by is None:
            return SegmentationTarget(mask)
        near = np.frombuffer(bytearray(zlib.decompress(near_by)), np.uint8)
        return SegmentationTarget(mask, torch.from_numpy(near).view(mask.shape))

    def mapped(self, mask: Tensor) -> Tensor:
        """A mask of the source in the labels of this data set."""
        return mask if self.mapping is None else torch.from_numpy(self.mapping[mask.numpy()])

    def counts(self, positions: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
        """(K,) pixels of each class in the masks at `positions`, which are read for it, in threads."""
        total = np.zeros(num_classes, np.int64)
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for pixels in pool.map(lambda at: pixel_counts(self.target(int(at)).mask, num_classes), positions):
                total += pixels
        return total

    def with_closeness(self, positions: NDArray[np.int64], sigma: float) -> "Masks":
        """The same with what `sightline.data.touching.closeness` says of the masks at `positions`, computed now, in threads."""

        def found(position: int) -> bytes:
            near = closeness(self.mapped(self.source.mask(position)), sigma)
            return zlib.compress(near.numpy().tobytes(), level=1)

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            places = [int(position) for position in positions]
            return replace(self, closeness=dict(zip(places, pool.map(found, places), strict=True)))

    def relabelled(self, mapping: NDArray[np.int64]) -> "Masks":
        """The same with class c called `mapping[c]`; what is ignored stays so."""
        whole = np.full(IGNORED + 1, IGNORED, np.uint8)
        whole[: len(mapping)] = mapping
        before = np.arange(IGNORED + 1) if self.mapping is None else self.mapping
        return replace(self, mapping=whole[before])

    def digest(self, position: int) -> str:
        """What of the picture at `position` goes into the data set's fingerprint."""
        return self.source.digest(position)

    def summary(self, position: int, class_names: Sequence[str]) -> str:
        """The annotation of the picture at `position` in one line for people; another mask has another line."""
        return f"mask {self.digest(position)[:8]}"

    def with_kept(self, kept: Mapping[int, Tensor]) -> "Masks":
        """The same with some masks of the source, by position, in memory."""
        return replace(self, source=KeptMasks(self.source, kept))


def pixel_counts(mask: Tensor, num_classes: int) -> NDArray[np.int64]:
    """(K,) pixels of each class in a mask (H, W) uint8; those that are ignored are not counted."""
    return np.bincount(mask.numpy().ravel(), minlength=IGNORED + 1)[:num_classes].astype(np.int64)
