"""What the formats of boxes share: boxes as they are found, each with its place, and their check.

Boxes stay in the coordinates of their format until all are read. Then they become ours at once, are cut at the edges of their
pictures, and looked at. A bad one is left out with a line that names it; its picture stays. They refer to the upright picture,
as `decode` gives it. Shape letters: `N` pictures, `M` boxes.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sightline.data.annotation_faults import Concern
from sightline.data.annotations import Objects, Places
from sightline.data.counted import counted
from sightline.data.decode import picture_size
from sightline.data.formats.found import FoundPictures
from sightline.data.index import Index

ROUNDING = 1.0
"""Pixels by which a box may reach over the edge of its picture without a line of its own: tools round."""
NOISE = 0.05
"""The same, without being mentioned at all: decimals are cut."""
_NAMED = 10

Floats = NDArray[np.float64]


@dataclass
class Found(FoundPictures):
    """The pictures and boxes that a format finds, what is wrong with them, and the index that they make."""

    where: Callable[[str, int], str] = field(kw_only=True)
    """From the file that a picture's boxes are in, and a box's number, to the place that a line names."""
    identity: Callable[[str, int], int | None] | None = None
    """The same to the box's id, where it has one; without it, the number is that of a line."""
    relative: bool = False
    """Whether coordinates and areas are shares of the picture's, not pixels."""
    _picture: "array[int]" = field(default_factory=lambda: array("q"))
    _number: "array[int]" = field(default_factory=lambda: array("q"))
    _label: "array[int]" = field(default_factory=lambda: array("q"))
    _raw: "array[float]" = field(default_factory=lambda: array("d"))
    _crowd: "array[int]" = field(default_factory=lambda: array("b"))
    _difficult: "array[int]" = field(default_factory=lambda: array("b"))
    _area: "array[float]" = field(default_factory=lambda: array("d"))
    _places: Places | None = None

    @property
    def raw(self) -> Floats:
        """(M, 4) the boxes so far, in the coordinates of their format."""
        return np.array(self._raw, np.float64).reshape(-1, 4)

    def add_box(
        self,
        picture: int,
        number: int,
        label: int,
        raw: Sequence[float],
        *,
        flags: tuple[bool, bool] = (False, False),
        area: float = np.nan,
    ) -> None:
        """Take a box of the picture at that position: its number in the file, its class's number, its four coordinates.

        `flags` are crowd and difficult; without an `area` it is that of the box.
        """
        self._picture.append(picture)
        self._number.append(number)
        self._label.append(label)
        self._raw.extend(raw)
        self._crowd.append(flags[0])
        self._difficult.append(flags[1])
        self._area.append(area)

    def index(
        self, format: str, class_names: Sequence[str], edges: Callable[[Floats, Floats], Floats], *notes: str
    ) -> Index:
        """All that was found, checked, with `notes` before what else is said.

        `edges` takes the boxes as they were added, (M, 4), and the width and height of their pictures, (M, 2), nan where unknown;
        it gives left, top, right, bottom in pixels. Raises `DataError` when there is no picture at all.
        """
        self.require_pictures(format)
        boxes = len(self._picture) + self.bad_objects
        index = self.with_annotations(format, self._checked(class_names, edges), class_names, boxes, "boxes")
        index = replace(index, places=self._places)
        return index.divided(index.splits, *notes, *self.notes, *_absences(index))

    def _checked(self, class_names: Sequence[str], edges: Callable[[Floats, Floats], Floats]) -> Objects:
        raw, picture = self.raw, np.array(self._picture, np.int64)
        mapping = np.array([class_names.index(name) for name in self.classes], np.int64)
        label = mapping[np.array(self._label, np.int64)]
        size = self._sizes()[picture]
        limit = np.nan_to_num(size, nan=np.inf)[:, [0, 1, 0, 1]]
        with np.errstate(over="ignore", invalid="ignore"):
            whole = edges(raw, size).astype(np.float32)
            inside = np.clip(whole, 0, limit).astype(np.float32)
            overhang = np.abs(whole - inside).max(1, initial=0)
        # A box whose place depends on a picture that cannot be read goes with it; a check names the picture.
        unplaced = np.isnan(whole).any(1) & np.isnan(size).any(1) & np.isfinite(raw).all(1)
        reasons: tuple[tuple[str, str, NDArray[np.bool_]], ...] = (
            ("bad box", "has a number that is not finite, and is left out", np.asarray(~np.isfinite(whole).all(1))),
            ("box without area", "has no area, and is left out", ~_has_area(whole)),
            ("box outside", "lies outside its picture{}, and is left out", ~_has_area(inside)),
            ("box over the edge", "reaches over the edge of its picture{}, and is cut there", overhang > ROUNDING),
        )
        bad = unplaced
        for kind, reason, rows in reasons:
            for row in np.flatnonzero(rows & ~bad).tolist():
                place = self.where(self.files[picture[row]], self._number[row])
                numbers = ", ".join(f"{number:g}" for number in raw[row])
                known = "" if np.isnan(size[row]).any() else " of {:g} x {:g} pixels".format(*size[row])
                left, top, right, bottom = whole[row].tolist()
                self.note_fault(
                    f"{place}: {class_names[label[row]]} [{numbers}] {reason.format(known)}.",
                    Concern(kind, int(picture[row]), (left, top, right, bottom)),
                )
            if reason.endswith("out"):
                bad = bad | rows
        self.bad_objects += int((bad & ~unplaced).sum())
        self._say_counts(int(unplaced.sum()), rounded=int((~bad & (overhang > NOISE) & (overhang <= ROUNDING)).sum()))
        kept = np.flatnonzero(~bad)
        kept = kept[np.argsort(picture[kept], kind="stable")]
        self._places = self._places_of(kept.tolist())
        own = np.array(self._area, np.float64)[kept] * (size[kept].prod(1) if self.relative else 1)
        sides = inside[kept, 2:] - inside[kept, :2]
        return Objects(
            offsets=np.searchsorted(picture[kept], np.arange(len(self.names) + 1)).astype(np.int64),
            boxes=inside[kept],
            labels=label[kept],
            crowd=np.array(self._crowd, np.bool_)[kept],
            difficult=np.array(self._difficult, np.bool_)[kept],
            areas=np.where(np.isfinite(own) & (own > 0), own, sides[:, 0] * sides[:, 1]).astype(np.float32),
        )

    def _places_of(self, rows: Sequence[int]) -> Places:
        """Where the boxes that are kept were found."""
        numbers = [self._number[row] for row in rows]
        if self.identity is None:
            return Places(tuple(self.files), np.array(numbers, np.int64))
        ids = [self.identity(self.files[self._picture[row]], self._number[row]) for row in rows]
        known = np.array([identity is not None for identity in ids], np.bool_)
        taken = [number if identity is None else identity for identity, number in zip(ids, numbers, strict=True)]
        return Places(tuple(self.files), np.array(taken, np.int64), known)

    def _sizes(self) -> Floats:
        """(N, 2) width and height of the pictures that have boxes or claims, nan for those that say nothing."""
        sizes = np.full((len(self.names), 2), np.nan)
        for position in sorted({*self._picture, *self.claims}):
            size = picture_size(self.root / self.names[position])
            claim = self.claims.get(position)
            if claim and size and claim[:2] != size:
                turned = " (exchanged: boxes refer to the upright picture)" if claim[:2] == size[::-1] else ""
                self.bad_picture(
                    f"{claim[2]}: the size of {self.names[position]} is given as {claim[0]} x {claim[1]}, and the picture has "
                    f"{size[0]} x {size[1]} pixels{turned}; its boxes are used as they are.",
                    kind="wrong size",
                    position=position,
                    absent=False,
                )
            if size or claim:
                sizes[position] = size or (claim or (0, 0))[:2]
        return sizes

    def _say_counts(self, unplaced: int, rounded: int) -> None:
        if unplaced:
            self.notes.append(
                f"{counted(unplaced, 'box is left out with its picture', 'boxes are left out with their pictures')}, which cannot be read."
            )
        if rounded:
            reach = counted(
                rounded, "box reaches over the edge of its picture", "boxes reach over the edges of their pictures"
            )
            self.notes.append(f"{reach} by {ROUNDING:g} px at most, and {'is' if rounded == 1 else 'are'} cut there.")


def _has_area(boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(M,) whether right and bottom are beyond left and top, as float32 tells them apart."""
    with np.errstate(invalid="ignore"):
        return np.asarray((boxes[:, 2:] - boxes[:, :2] > 0).all(1))


def _absences(index: Index) -> list[str]:
    """Classes that cannot be measured; those that cannot be learned are for the training to say, which makes splits."""
    notes = []
    for split, positions in index.splits.items():
        if split == "train":
            continue
        absent = [name for name, count in index.class_counts(split).items() if not count]
        if absent and len(positions):
            more = f" and {len(absent) - _NAMED} more classes" if len(absent) > _NAMED else ""
            notes.append(f"The {split} split has no objects of {', '.join(absent[:_NAMED])}{more}.")
    return notes
