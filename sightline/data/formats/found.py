"""What formats share that keep annotations beside their pictures: the pictures as they are found, and what is wrong with them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sightline.data.annotation_faults import Concern, FaultsFound
from sightline.data.annotations import Annotations
from sightline.data.counted import counted
from sightline.data.index import Index
from sightline.data.sources import FileSource
from sightline.errors import DataError

_NAMED = 10


@dataclass
class FoundPictures:
    """The pictures that a format finds, N of them, what is wrong with them and their objects, and the index that they make."""

    root: Path
    names: list[str] = field(default_factory=list)
    """Of the pictures, relative to the root."""
    splits: list[str] = field(default_factory=list)
    """Of each picture; empty where it is in none."""
    files: list[str] = field(default_factory=list)
    """That hold each picture's annotations, relative to the root."""
    claims: dict[int, tuple[int, int, str]] = field(default_factory=dict)
    """Position of a picture -> the width and height that its annotation gives, and where."""
    classes: dict[str, int] = field(default_factory=dict)
    """Class name -> the number that `class_number` gave it, in any order."""
    bad_objects: int = 0
    """Those that are left out."""
    object_kind: str = "bad box"
    """What a finding about a bad object is called."""
    notes: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    unread: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """What a thing that says more than is read is called, and several of them -> how many of them say each."""
    _noted: FaultsFound = field(default_factory=FaultsFound)

    def class_number(self, name: str) -> int:
        """The number of a class, a new one for a new name."""
        return self.classes.setdefault(name, len(self.classes))

    def add_picture(self, name: str, split: str, file: str) -> int:
        """Take a picture, which must not have been taken before, and return its position."""
        self.names.append(name)
        self.splits.append(split)
        self.files.append(file)
        return len(self.names) - 1

    def bad_object(self, line: str, position: int | None) -> None:
        """Note an object that is left out, of the picture at that position, where it is of one."""
        self.note_fault(line, Concern(self.object_kind, position))
        self.bad_objects += 1

    def bad_picture(
        self,
        line: str,
        *,
        kind: str = "missing picture",
        position: int | None = None,
        absent: bool = True,
        count: int = 1,
    ) -> None:
        """Note a picture (or `count` of them) that is left out, or, when it is not `absent`, one that is doubtful."""
        self._noted.add(kind, line, position=position, absent=absent, count=count)

    def note_fault(self, line: str, concern: Concern) -> None:
        """Note a line that is ready to be said, and what it is about."""
        self._noted.lines.append(line)
        self._noted.concerns.append(concern)

    def require_pictures(self, format: str) -> None:
        """Raise `DataError` when there is no picture at all."""
        if not self.names:
            first = "\n".join(["", *self._noted.lines[:_NAMED]])
            raise DataError(f"{self.root} holds no picture of a data set in the format {format}.{first}")

    def with_annotations(
        self, format: str, annotations: Annotations, class_names: Sequence[str], objects: int, called: str
    ) -> Index:
        """The index of all that was found, without its notes.

        `objects` is how many were looked at, good and bad, and `called` what they are: "boxes".
        """
        splits = np.array(self.splits)
        return Index(
            source=FileSource(self.root, self.names),
            annotations=annotations,
            class_names=tuple(class_names),
            splits={split: np.flatnonzero(splits == split) for split in sorted(set(self.splits) - {""})},
            format=format,
            ignored=tuple(self.ignored),
            faults=replace(self._noted.of(len(self.names)), boxes=objects, bad_boxes=self.bad_objects, called=called),
            unread=tuple(self._unread()),
        )

    def _unread(self) -> Iterator[str]:
        """What is not read, one text for all that as many of the same things say."""
        for called, counts in self.unread.items():
            for count in sorted(set(counts.values()), reverse=True):
                said = [name for name, times in sorted(counts.items()) if times == count]
                yield f"{', '.join(said)} of {counted(count, *called)}"
