"""Where pictures come from: files in folders, or memory. A format that needs more has its own source beside it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sightline.data.decode import DecodeLimits, Shrink, decode_file, read_file
from sightline.data.index import ImageSource
from sightline.data.names import Names


class FileSource:
    """Picture files, named relative to one folder.

    `names` are what the user sees; an absolute name stands for itself.
    """

    def __init__(self, root: Path, names: Iterable[str], limits: DecodeLimits | None = None) -> None:
        self.root = root
        self.names = Names(names)
        self.limits = limits or DecodeLimits()

    def __len__(self) -> int:
        return len(self.names)

    def name(self, position: int) -> str:
        """The file's path relative to the data set's folder."""
        return self.names[position]

    def path(self, position: int) -> Path:
        """Where the file is."""
        return self.root / self.names[position]

    def image(self, position: int) -> Tensor:
        """The picture as (3, H, W) uint8 RGB; raises `ImageError`."""
        return decode_file(self.path(position), self.names[position], self.limits)

    def shrunk(self, position: int, shrink: Shrink) -> Tensor:
        """The same, smaller where that is quicker and `shrink` says so; see `sightline.data.decode.decode`."""
        return decode_file(self.path(position), self.names[position], self.limits, shrink)

    def content(self, position: int) -> bytes:
        """The bytes of the file; raises `ImageError`."""
        return read_file(self.path(position), self.names[position], self.limits)


class TensorSource:
    """Decoded pictures of one size in memory, grey or RGB.

    >>> TensorSource(torch.zeros(2, 1, 4, 5, dtype=torch.uint8), ["a", "b"]).image(1).shape
    torch.Size([3, 4, 5])
    """

    def __init__(self, images: Tensor, names: Sequence[str]) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"expected (N, 1 or 3, H, W) uint8, got {tuple(images.shape)} {images.dtype}")
        if len(images) != len(names):
            raise ValueError(f"expected as many names as images, got {len(names)} and {len(images)}")
        self.images = images
        self.names = Names(names)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, position: int) -> str:
        """What the user calls the picture."""
        return self.names[position]

    def image(self, position: int) -> Tensor:
        """The picture as (3, H, W) uint8 RGB; do not write into it."""
        return self.images[position].expand(3, -1, -1)


class MemorySource:
    """Pictures that were decoded before, of any sizes, in one block of memory; a picture that is not there comes from `beneath`.

    Worker processes that are forked share the block, since nothing ever writes into it.

    >>> below = TensorSource(torch.zeros(2, 1, 4, 5, dtype=torch.uint8), ["a", "b"])
    >>> MemorySource(below, {1: torch.ones(3, 4, 5, dtype=torch.uint8)}).image(1).float().mean()
    tensor(1.)
    """

    def __init__(self, beneath: ImageSource, images: Mapping[int, Tensor]) -> None:
        self.beneath = beneath
        self._starts = np.full(len(beneath), -1, np.int64)
        self._sizes = np.zeros((len(beneath), 2), np.int64)
        self._block = torch.empty(sum(image.numel() for image in images.values()), dtype=torch.uint8)
        start = 0
        for position, image in images.items():
            self._starts[position], self._sizes[position] = start, image.shape[1:]
            pixels = image.permute(1, 2, 0)  # as decoders write them, and as they are resized soonest
            self._block[start : start + image.numel()].view(pixels.shape).copy_(pixels)
            start += image.numel()

    def __len__(self) -> int:
        return len(self.beneath)

    def name(self, position: int) -> str:
        """What the source beneath calls the picture."""
        return self.beneath.name(position)

    def image(self, position: int) -> Tensor:
        """The picture as (3, H, W) uint8 RGB; do not write into it. Raises `ImageError` where `beneath` does."""
        start = int(self._starts[position])
        if start < 0:
            return self.beneath.image(position)
        height, width = self._sizes[position].tolist()
        return self._block[start : start + 3 * height * width].view(height, width, 3).permute(2, 0, 1)
