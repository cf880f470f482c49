"""Looking at every picture before training: which cannot be decoded and why, and how large they are.

Where pictures have masks, at every mask too: whether it can be read, has the picture's size, and means known classes everywhere.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from torch import Tensor

from sightline.data.annotation_faults import allow_more
from sightline.data.counted import counted
from sightline.data.index import ImageSource, Index, announce
from sightline.data.layout import layout
from sightline.data.mask_files import MaskFiles, listed
from sightline.data.masks import KeptMasks, Masks, pixel_counts
from sightline.data.sources import MemorySource
from sightline.errors import DataError, ImageError
from sightline.ops.images import brightness

Also = Callable[[int, Tensor, Tensor | None], None]
"""Takes the position, the picture (3, H, W) uint8 and the mask (H, W) uint8 of one that is good; called in several threads."""
KEPT_BYTES = 256 * 2**20
"""Data sets that decode to less than this stay in memory: nothing is decoded twice."""
SMALL = 64 * 64
"""Pixels of a picture up to which each operation on it takes longer to start than to do."""
_NAMED = 20
_SHOWN = 5
_CHUNK = 64
_FIRST = 8


@dataclass(frozen=True, slots=True)
class Fault:
    """A picture that cannot be used, for itself or for its mask."""

    position: int
    """In the index."""
    name: str
    """What the user calls it, or its mask where that is bad."""
    reason: str
    """Why, without the name."""

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sides of the good pictures, in pixels."""

    shorter_min: int
    shorter_median: int
    shorter_max: int
    longer_max: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Report:
    """What a check found."""

    images: int
    """Number of pictures looked at, good and bad."""
    faults: tuple[Fault, ...]
    """The bad ones, in the order of their positions."""
    sizes: Sizes | None
    """Of the good ones; nothing when there are none."""
    sides: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Shorter and longer side of each good picture, in pixels, by position."""
    kept: ImageSource | None = None
    """The decoded pictures, when there was room for all of them."""
    pixels: Mapping[int, np.ndarray] = field(default_factory=dict)
    """(K,) pixels of each class in each good mask, by position."""
    brightest: Mapping[int, int] = field(default_factory=dict)
    """The brightest level, 0..255, of each good picture with a mask, by position; see `sightline.ops.images.brightness`."""
    layouts: Mapping[int, np.ndarray] = field(default_factory=dict)
    """How each good mask lies, by position; see `sightline.data.layout.layout`."""
    kept_masks: Mapping[int, Tensor] | None = None
    """The masks, when there was room for them beside the pictures."""

    def without_faults(self, index: Index, tolerance: float = 0.01) -> Index:
        """The index without the bad pictures, and with the decoded ones in memory where they were kept.

        `tolerance` is the share (0..1) of the pictures looked at that may be lost. Raises `DataError` when more are,
        or when a split or a class of the train split would have none left. Of masks, two classes must be left to learn; which others
        have no pixels to train on is noted.
        """
        masked = isinstance(index.annotations, Masks)
        what = "used, for themselves or for their masks" if masked else "decoded"
        if len(self.faults) > tolerance * self.images:
            raise DataError(self._too_many(tolerance, what))
        if self.kept is not None:
            index = replace(index, source=self.kept)
        if self.kept_masks is not None and isinstance(index.annotations, Masks):
            index = replace(index, annotations=index.annotations.with_kept(self.kept_masks))
        if self.faults:
            bad = [fault.position for fault in self.faults]
            comma = "," if masked else ""
            cannot = f"of {counted(self.images, 'picture')} cannot be {what}{comma}"
            cleaned = index.without(bad, f"{counted(len(bad), f'{cannot} and is', f'{cannot} and are')} left out.")
            _require_something_left(index, cleaned, what)
            index = cleaned
        return self._with_absent_classes(index) if masked and "train" in index.splits else index

    def class_pixels(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """(K,) pixels of each class in the good masks among those at `positions`; K is 0 when none was looked at."""
        found = [self.pixels[int(position)] for position in positions if int(position) in self.pixels]
        return np.array(found).sum(axis=0) if found else np.zeros(0, np.int64)

    def _with_absent_classes(self, index: Index) -> Index:
        pixels = self.class_pixels(index.positions("train"))
        absent = [name for name, count in zip(index.class_names, pixels, strict=False) if not count]
        if len(pixels) and len(pixels) - len(absent) < 2:
            only = "".join(name for name in index.class_names if name not in absent)
            there = f"pixels of one class only ({only})" if only else "no pixels of a known class"
            first = f"The masks of the train split have {there}: there is nothing to tell apart."
            way_out = "Correct them, or the file that says what their values mean. What they hold:"
            raise DataError("\n".join([f"{first} {way_out}", *_held(index, self.pixels)]))
        if not absent:
            return index
        of_all = f"of {len(pixels)} classes"
        named = f"{counted(len(absent), f'{of_all} has', f'{of_all} have')} no pixels to train on and cannot be learned"
        return index.divided(index.splits, f"{named}: {listed(absent, most=10)}.")

    def _too_many(self, tolerance: float, what: str) -> str:
        lines = [str(fault) for fault in self.faults[:_NAMED]]
        more = [f"... and {len(self.faults) - _NAMED} more"] if len(self.faults) > _NAMED else []
        share = len(self.faults) / self.images
        return "\n".join(
            [
                f"{len(self.faults)} of {counted(self.images, 'picture')} ({share:.2%}) cannot be {what}; "
                f"{tolerance:.2%} may be lost. Repair or remove them{allow_more(share)}:",
                *lines,
                *more,
            ]
        )


def check(
    index: Index,
    positions: Sequence[int] | np.ndarray | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    keep_below: int = KEPT_BYTES,
    also: Also | None = None,
) -> Report:
    """Decode the pictures at `positions`, or those of all splits, or all when there are no splits.

    `workers` is the number of threads (default: one for each processor, at most 8, and one alone for small pictures).
    `progress` is called with (done, total) from the calling thread. Pictures that together decode to less than `keep_below`
    bytes are kept, with their masks.
    `also` is shown every good picture while it is decoded.
    """
    if positions is None:
        positions = np.sort(np.concatenate(list(index.splits.values()))) if index.splits else np.arange(len(index))
    chosen = [int(position) for position in positions]
    faults: list[Fault] = []
    sides: dict[int, tuple[int, int]] = {}
    look = _Look(index, keep_below, also)
    announce(index.source, chosen[: _FIRST + _CHUNK])
    first = look.chunk(chosen[:_FIRST])
    if workers is None:
        # Several threads would wait for the interpreter longer than they take to decode small pictures.
        small = all(isinstance(sides, tuple) and sides[0] * sides[1] <= SMALL for sides in first)
        workers = 1 if small else min(8, os.cpu_count() or 1)
    chunks = [chosen[at : at + _CHUNK] for at in range(_FIRST, len(chosen), _CHUNK)]
    done = 0
    with ThreadPoolExecutor(workers) as pool:
        for results in chain([first], pool.map(look.chunk, chunks)):
            for position, result in zip(chosen[done : done + len(results)], results, strict=True):
                if isinstance(result, Fault):
                    faults.append(result)
                else:
                    sides[position] = result
            done += len(results)
            if progress is not None:
                progress(done, len(chosen))
    source = MemorySource(index.source, look.kept) if look.kept else None
    return Report(
        images=len(chosen),
        faults=tuple(faults),
        sizes=_sizes(list(sides.values())),
        sides=sides,
        kept=source,
        pixels=look.pixels,
        brightest=look.brightest,
        layouts=look.layouts,
        kept_masks=look.kept_masks or None,
    )


class _Look:
    """What the threads do: decode, and keep the pictures only while there is room, so that large ones do not pile up."""

    def __init__(self, index: Index, room: int, also: Also | None) -> None:
        self.source = index.source
        self.masks = index.annotations if isinstance(index.annotations, Masks) else None
        self.classes = len(index.class_names)
        self.room = room
        self.also = also
        self.lock = threading.Lock()
        self.kept: dict[int, Tensor] | None = {}
        self.kept_masks: dict[int, Tensor] = {}
        self.pixels: dict[int, np.ndarray] = {}
        self.brightest: dict[int, int] = {}
        self.layouts: dict[int, np.ndarray] = {}

    def chunk(self, positions: Sequence[int]) -> list[Fault | tuple[int, int]]:
        """The fault or (shorter, longer) side of each picture."""
        announce(self.source, positions)
        return [self.one(position) for position in positions]

    def one(self, position: int) -> Fault | tuple[int, int]:
        image = mask = None
        try:
            image = self.source.image(position)
            if self.masks is not None:
                mask = self.masks.source.mask(position)
                _require_size(mask, image, self.source.name(position))
        except ImageError as error:
            at_fault = self.source if image is None or self.masks is None else self.masks.source
            name = at_fault.name(position)
            return Fault(position, name, str(error).removeprefix(f"{name}: "))
        with self.lock:
            self.room -= image.numel() + (0 if mask is None else mask.numel())
            if self.room < 0:
                self.kept, self.kept_masks = None, {}
            elif self.kept is not None:
                self.kept[position] = image
                if mask is not None:
                    self.kept_masks[position] = mask
        mapped = None if self.masks is None or mask is None else self.masks.mapped(mask)
        if mapped is not None:
            self.pixels[position] = pixel_counts(mapped, self.classes)
            self.brightest[position] = brightness(image)[1]
            self.layouts[position] = layout(mapped, self.classes)
        if self.also is not None:
            self.also(position, image, mapped)
        return min(image.shape[1:]), max(image.shape[1:])


def _require_size(mask: Tensor, image: Tensor, name: str) -> None:
    there, here = tuple(mask.shape), tuple(image.shape[1:])
    if there != here:
        turned = " (exchanged: masks refer to the upright picture)" if there == here[::-1] else ""
        raise ImageError(
            f"the mask has {there[1]} x {there[0]} pixels, and its picture {name} has {here[1]} x {here[0]}{turned}. "
            "Save it in the size of the picture; when you resize it, take the nearest value and do not smooth."
        )


def _sizes(sides: list[tuple[int, int]]) -> Sizes | None:
    if not sides:
        return None
    shorter = sorted(side for side, _ in sides)
    return Sizes(shorter[0], shorter[len(shorter) // 2], shorter[-1], max(longer for _, longer in sides))


def _held(index: Index, pixels: Mapping[int, np.ndarray]) -> list[str]:
    """A line for each of the first training masks: the values in its file, or where it has none, the classes in it."""
    assert isinstance(index.annotations, Masks)
    source = index.annotations.source
    source = source.beneath if isinstance(source, KeptMasks) else source
    positions = [position for position in index.positions("train").tolist() if position in pixels]
    lines = []
    for position in positions[:_SHOWN]:
        if isinstance(source, MaskFiles):
            held = source.held(position)
        else:
            held = listed(index.class_names[label] for label in np.flatnonzero(pixels[position])) or "nothing"
        lines.append(f"{source.name(position)}: {held}")
    return lines + ([f"... and {len(positions) - _SHOWN} more"] if len(positions) > _SHOWN else [])


def _require_something_left(before: Index, after: Index, what: str) -> None:
    for split, held in after.splits.items():
        if not len(held):
            raise DataError(f"None of the pictures of the {split} split ({len(before.splits[split])}) can be {what}.")
    if "train" in after.splits and not isinstance(after.annotations, Masks):
        then, now = before.class_counts("train"), after.class_counts("train")
        lost = [name for name in now if then[name] and not now[name]]
        if lost:
            raise DataError(f"None of the training pictures of the class {lost[0]!r} ({then[lost[0]]}) can be {what}.")
