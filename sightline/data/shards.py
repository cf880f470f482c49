"""Pictures and masks that are members of shards; `sightline.data.members` reads them."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import torch
from torch import Tensor

from sightline.data.decode import DecodeLimits, Shrink, decode
from sightline.data.index import Positions
from sightline.data.mask_files import Coding, decode_mask
from sightline.data.members import Members, Spans
from sightline.data.names import Names
from sightline.errors import ImageError
from sightline.structures import IGNORED


class ShardPictures:
    """Pictures that are members of shards, with their masks where there are some."""

    def __init__(
        self,
        members: Members,
        places: Spans,
        names: Names,
        masks: Spans | None = None,
        limits: DecodeLimits | None = None,
    ) -> None:
        self.members = members
        self.places = places
        self.names = names
        self.masks = masks
        self.limits = limits or DecodeLimits()

    def __len__(self) -> int:
        return len(self.places)

    def name(self, position: int) -> str:
        """The shard and the member in it: train/000000.tar/cat/1.jpg."""
        return f"{self.members.files[int(self.places.shards[position])]}/{self.names[position]}"

    def content(self, position: int) -> bytes:
        """The bytes of the picture's file; raises `ImageError`."""
        return _read(self.members, self.places, position, self.name(position), self.limits)

    def image(self, position: int) -> Tensor:
        """The picture as (3, H, W) uint8 RGB; raises `ImageError`."""
        return decode(self.content(position), self.name(position), self.limits)

    def shrunk(self, position: int, shrink: Shrink) -> Tensor:
        """The same, smaller where that is quicker and `shrink` says so; see `sightline.data.decode.decode`."""
        return decode(self.content(position), self.name(position), self.limits, shrink)

    def ahead(self, positions: Sequence[int]) -> None:
        """Say which pictures come next."""
        kinds = [self.places] if self.masks is None else [self.places, self.masks]
        self.members.ahead([(places, position) for position in positions for places in kinds])

    def only(self, positions: Positions) -> "ShardPictures":
        """The pictures at `positions`."""
        names = Names(self.names[position] for position in positions.tolist())
        masks = None if self.masks is None else self.masks.only(positions)
        return ShardPictures(self.members, self.places.only(positions), names, masks, self.limits)


class ShardMasks:
    """Masks that are members of shards, PNG files whose values are the labels."""

    def __init__(self, members: Members, places: Spans, names: Names, num_classes: int) -> None:
        self.members = members
        self.places = places
        self.names = names
        self.coding = Coding({value: value for value in (*range(num_classes), IGNORED)})

    def __len__(self) -> int:
        return len(self.places)

    def name(self, position: int) -> str:
        """The shard and the member in it: train/000000.tar/street/1.mask.png."""
        stem = PurePosixPath(self.names[position]).with_suffix("")
        return f"{self.members.files[int(self.places.shards[position])]}/{stem}.mask.png"

    def mask(self, position: int) -> Tensor:
        """The mask as (H, W) uint8, 0..K-1 or `IGNORED`; raises `ImageError`."""
        name = self.name(position)
        content = _read(self.members, self.places, position, name, DecodeLimits())
        return torch.from_numpy(self.coding.labels(decode_mask(content, name), name))

    def digest(self, position: int) -> str:
        """Of the file's bytes, which need not be read for it."""
        return bytes(self.places.hashes[position, :8]).hex()


def _read(members: Members, places: Spans, at: int, name: str, limits: DecodeLimits) -> bytes:
    length = int(places.lengths[at])
    if length > limits.bytes:
        raise ImageError(f"{name}: it has {length:,} bytes, more than the limit of {limits.bytes:,}.")
    try:
        return members.read(places, at)
    except OSError as error:
        raise ImageError(f"{name}: it cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise ImageError(f"{name}: {error}.") from error
