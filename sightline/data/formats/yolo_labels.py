"""The label files of a YOLO data set: which one is a picture's, and what its lines say.

Their endings count in any case, `.TXT` as `.txt`: some programs for Windows write them so.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sightline.data.counted import counted
from sightline.data.formats.boxes import Found
from sightline.data.formats.pictures import below, composed, entries, is_picture, start_of
from sightline.data.formats.yolo_config import Config
from sightline.errors import DataError

PATTERN = "*.[tT][xX][tT]"
"""Names of files that may hold labels."""
_UNNAMED, _MANY_UNNAMED = 0.1, 10
"""Share and number of the boxes whose class the YAML file does not name, from which on it belongs to other label files."""
_PIXELS = 2.0
"""Shares above this are no slips over the picture's edge: they are pixels."""


def label_file(picture: Path, root: Path) -> Path:
    """Where the boxes of a picture would be, with the usual ending."""
    parts = list(picture.relative_to(root).parts if picture.is_relative_to(root) else picture.parts)
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index("images")
        parts[last] = "labels"
    return (root / Path(*parts)).with_suffix(".txt")


def is_label_file(path: Path) -> bool:
    """Whether the first lines have one of numbers, five or more; a comment or a faulty line may stand before it."""
    lines = start_of(path).decode("utf-8-sig", errors="replace").splitlines()
    rows = (line.split() for line in lines)
    return any(len(columns) >= 5 and all(_number(column) is not None for column in columns) for columns in rows)


class Labels:
    """Reads the label files, one after the other."""

    def __init__(self, found: Found, config: Config) -> None:
        self.found, self.config = found, config
        self.unread = found.unread["object", "objects"]
        self.outlines = self.without = self.boxes = 0
        self.unnamed: list[tuple[str, int]] = []
        """File and line, and class number, of each box whose class has no name."""
        self.used: dict[Path, Path] = {}
        """Folder of label files -> folder of their pictures."""
        self._files: dict[Path, dict[str, str]] = {}

    def add(self, picture: Path, split: str) -> None:
        """Take a picture and its boxes."""
        usual = label_file(picture, self.found.root)
        self.used[usual.parent] = picture.parent
        name = self._in(usual.parent).get(composed(usual.stem))
        file = usual.with_name(name) if name else usual
        shown = below(file, self.found.root)
        position = self.found.add_picture(below(picture, self.found.root), split, shown)
        if not name:
            self.without += 1
            return
        try:
            text = file.read_text(encoding="utf-8-sig", errors="replace")
        except OSError as error:
            raise DataError(f"{file} cannot be read ({error.strerror or error}).") from error
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                self._add_line(position, number, line.split(), f"{shown} line {number}")

    def without_pictures(self) -> None:
        """Note the label files whose picture is missing."""
        for labels, pictures in self.used.items():
            stems = {composed(Path(entry.name).stem) for entry in os.scandir(pictures) if is_picture(entry.name)}
            for stem, name in self._in(labels).items():
                if stem not in stems and is_label_file(labels / name):
                    shown, folder = below(labels / name, self.found.root), below(pictures, self.found.root)
                    self.found.bad_picture(f"{shown}: there is no picture {stem}.jpg (or of another kind) in {folder}.")

    def require_named(self) -> None:
        """Raise `DataError` when so many classes have no name that those of the others are likely to be wrong too."""
        if len(self.unnamed) < max(_MANY_UNNAMED, _UNNAMED * self.boxes):
            return
        numbers = sorted({number for _, number in self.unnamed})
        some = ", ".join(map(str, numbers[:_MANY_UNNAMED])) + (" ..." if len(numbers) > _MANY_UNNAMED else "")
        raise DataError(
            f"{self.config.shown or self.found.root}: {len(self.unnamed)} of {counted(self.boxes, 'box', 'boxes')} have class numbers that "
            f"it does not name ({some}; first in {self.unnamed[0][0]}). It seems to be for other label files, so that the names of the "
            "other boxes may be wrong too. Give the YAML file that belongs to these, or name all their classes."
        )

    def notes(self) -> Iterator[str]:
        """What was decided on the way."""
        if self.outlines:
            yield f"{counted(self.outlines, 'outline is read as the box around it', 'outlines are read as the boxes around them')}."
        if self.without:
            one, several = (
                "picture has no label file: it counts as one",
                "pictures have no label file: they count as pictures",
            )
            yield f"{counted(self.without, one, several)} without objects."

    def _in(self, folder: Path) -> dict[str, str]:
        """Name without its ending -> name, of each file in a folder that may hold labels; looked at once."""
        if folder not in self._files:
            parts = [os.path.splitext(entry.name) for entry in (entries(folder) if folder.is_dir() else ())]  # noqa: PTH122
            self._files[folder] = {composed(stem): stem + end for stem, end in parts if end.lower() == ".txt"}
        return self._files[folder]

    def _add_line(self, position: int, number: int, columns: list[str], place: str) -> None:
        numbers = [_number(column) for column in columns]
        shares = [share for share in numbers[1:] if share is not None]
        wrong = self._what_is_wrong(columns, numbers[0], shares)
        self.boxes += 1
        if wrong:
            if self._is_unnamed(numbers[0]):
                self.unnamed.append((place, int(numbers[0] or 0)))
            self.found.bad_object(f"{place}: a box is left out: {wrong}.", position)
            return
        area = math.nan
        if len(shares) not in (4, 4 + self.config.key_points):
            shares, area = _around(shares)
            self.outlines += 1
            self.unread["outlines"] += 1
        elif len(shares) > 4:
            self.unread["key points"] += 1
        label = int(numbers[0] or 0)
        name = str(label) if self.config.names is None else self.config.names[label]
        self.found.add_box(position, number, self.found.class_number(name), shares[:4], area=area)

    def _is_unnamed(self, label: float | None) -> bool:
        """Whether it is a class number, and the file that names others does not name it."""
        names = self.config.names
        return names is not None and label is not None and label.is_integer() and label >= 0 and int(label) not in names

    def _what_is_wrong(self, columns: list[str], label: float | None, shares: list[float]) -> str:
        names = self.config.names
        if len(shares) < len(columns) - 1 or label is None:
            return f"expected numbers, got {' '.join(columns)[:80]!r}"
        if len(shares) not in (4, 4 + self.config.key_points) and (len(shares) < 6 or len(shares) % 2):
            return f"expected a class and 4 numbers, or a class and 3 points or more, got {len(columns)} columns"
        if not label.is_integer() or label < 0 or self._is_unnamed(label):
            known = "" if names is None else f" of {self.config.shown or 'the data set'} ({min(names)}..{max(names)})"
            return f"{columns[0]} is no class number{known}"
        largest = max(shares, key=abs)
        if abs(largest) > _PIXELS and len(shares) == 4:
            return f"expected shares of the picture's width and height, 0..1, got {largest:g}"
        return "a number is not finite" if not all(map(math.isfinite, shares)) else ""


def _around(points: list[float]) -> tuple[list[float], float]:
    """Centre and sides of the box around a polygon, and the polygon's area."""
    x, y = np.array(points[::2]), np.array(points[1::2])
    area = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    sides = float(np.ptp(x)), float(np.ptp(y))
    return [float(x.min()) + sides[0] / 2, float(y.min()) + sides[1] / 2, *sides], area


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
