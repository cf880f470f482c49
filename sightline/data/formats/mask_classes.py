"""Which classes the masks of a folder have: from a file that names them, else from the masks.

Looked for beside the folders of pictures and masks, in this order:

    *.csv          with the columns name,r,g,b (0..255): the class of each colour; one called ignore or void is not a class
    *.yaml, *.yml  `names` (or `classes`): [background, nucleus] or {0: background, 7: road}; `ignore: 255` where that is so
    _classes.csv   with the columns Pixel Value and Class, as Roboflow writes it, here or in the folders of the splits
    classes.txt    one name a line, for the values 0, 1, ...; also labels.txt and names.txt

A class called background is class 0, wherever it stands in the file. Without a file the values are the names. The value 255 is ignored, but
for masks that hold 0 and 255 only: these are two classes. So are masks of 16 bits that hold 0 and 65535 only.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from sightline.data.counted import counted
from sightline.data.formats import pictures
from sightline.data.formats.yolo_config import ENDINGS, is_config, read_names
from sightline.data.mask_files import Coding, Colour, listed, open_mask, values_of
from sightline.data.masks import MOST_CLASSES
from sightline.errors import DataError, ImageError
from sightline.structures import IGNORED

NAME_LISTS = ("classes.txt", "labels.txt", "names.txt")
COLUMNS = ("name", "r", "g", "b")
_VALUES = "_classes.csv"
BINARY = ("background", "foreground")
_NO_CLASS = ("ignore", "ignored", "void")
_WHITE = (IGNORED, 2**16 - 1)
"""The largest values of 8 and of 16 bits: what is drawn in white."""
_HALF, _NEARLY = 128, 240
"""Values that no counting from 1 leads to: from half of 255 on, and nearly 255."""
_OBJECTS = 10
"""Numbers that a mask has at least in a data set whose masks are said to number objects."""
_LOOKED_AT = 32
"""Masks that are looked at before training: for whether 255 is a class, and whether a table of colours applies."""


class Classes(NamedTuple):
    """The classes of a data set of masks."""

    names: tuple[str, ...]
    coding: Coding
    """What the values or colours in the files mean."""
    notes: tuple[str, ...]
    file: Path | None
    """Where the names are from."""


def classes_of(root: Path, masks: Sequence[str], config: Path | None = None) -> Classes:
    """The classes of the masks with these names below `root`; raises `DataError`. `config` is a YAML file that was named."""
    some = [masks[at] for at in np.unique(np.linspace(0, len(masks) - 1, _LOOKED_AT).astype(int))] if masks else []
    table = _table(root) if config is None else None
    if table is not None:
        return _coloured(table, _opened(root, some))
    file, named, ignored = _named(root, config)
    values = [_values(image, name) for name, image in _opened(root, some)]
    seen = [value for value in values if value]
    white = next((white for white in _WHITE if ignored is None and _hold_two(seen, set(named) - {0}, white)), None)
    if file is None:
        return _numbered(root, masks, some) if white is None else _two(BINARY, file, white)
    if white is not None and set(named) <= {0, 1}:
        two = tuple(named[value] for value in sorted(named))[-2:] if len(named) == 2 else (BINARY[0], *named.values())
        return _two(two, file, white)
    names = _ordered(named[value] for value in sorted(named))
    _require_few(names, file)
    coding = {value: names.index(name) for value, name in named.items() if value < 2**16}
    coding.setdefault(IGNORED, IGNORED)
    if ignored is not None:
        coding[ignored] = IGNORED
    note = (
        [f"The value {IGNORED} in masks is ignored."]
        if any(IGNORED in found for found in seen) and IGNORED not in named
        else []
    )
    hint = f", or name what the value means in {file.name}"
    return Classes(names, Coding(coding, hint=hint), tuple(note), file)


def _hold_two(seen: list[set[int]], classes: set[int], white: int) -> bool:
    """Whether `white` is a class, not what is ignored: most masks hold nothing but 0 and it, and none another class that has a name."""
    two = [found for found in seen if found <= {0, white}]
    return (
        len(two) > len(seen) / 2 and any(white in found for found in two) and not any(found & classes for found in seen)
    )


def _two(names: tuple[str, ...], file: Path | None, white: int) -> Classes:
    note = f"The masks hold 0 and {white}: these are read as two classes, 0 as {names[0]} and {white} as {names[1]}; nothing is ignored."
    hint = " (masks with smooth edges were resized or blurred: save them without)"
    ordered = _ordered(names)
    coding = {0: ordered.index(names[0]), white: ordered.index(names[1])}
    return Classes(ordered, Coding(coding, hint=hint), (note,), file)


def _numbered(root: Path, masks: Sequence[str], some: Sequence[str]) -> Classes:
    """All masks are read: which values there are is known from nothing else."""
    try:
        for name in some[:1]:
            with open_mask(root / name, name) as image:
                values_of(image, name)
    except ImageError as error:
        # Without a single name nothing can be told from the others either, so the reason is that of the first.
        if not any(_values(image, name) for name, image in _opened(root, some)):
            raise DataError(f"{error} The masks that were looked at, {len(some)}, are all like that.") from error
    with ThreadPoolExecutor(8) as pool:
        each = list(pool.map(lambda name: _of_file(root, name), masks))
    _refuse_numbered_objects(root, masks, each)
    found: set[int] = set().union(*each)
    for white in _WHITE:
        if found <= {0, white} and white in found:
            return _two(BINARY, None, white)
    values = sorted(found - {IGNORED})
    if len(values) > MOST_CLASSES:
        raise DataError(
            f"The masks below {root} ({len(masks)}) hold {len(values)} different values ({listed(values)}), "
            f"and no file names classes. Masks have at most {MOST_CLASSES} classes: these look like grey pictures, "
            "or like masks that were resized with smoothing or number single objects. "
            "Save the class of each pixel, or name the classes in classes.txt."
        )
    others = sorted(set(values) - {0})
    bytes_alone = {0, IGNORED} <= found and bool(others) and max(found) == IGNORED
    if bytes_alone and (others[-1] >= _NEARLY or (others[0] != 1 and others[-1] >= _HALF)):
        raise DataError(
            f"The masks below {root} ({len(masks)}) hold 0, 255 and {counted(len(others), 'value')} between them "
            f"({listed(others)}), and no file names classes. So look masks of two classes that were resized with smoothing, "
            "or that were a JPEG once: save them again without. "
            "If the values are classes, name them in classes.yaml, such as names: {0: background, 100: road}, and ignore: 255."
        )
    said = f"No file names the classes: all masks ({len(masks)}) were read for their values, which are the names: {listed(values, 20)}."
    notes = [said, *([f"The value {IGNORED} in masks is ignored."] if IGNORED in found else [])]
    coding = {IGNORED: IGNORED, **{value: label for label, value in enumerate(values)}}
    return Classes(tuple(map(str, values)), Coding(coding), tuple(notes), None)


def _refuse_numbered_objects(root: Path, masks: Sequence[str], each: Sequence[set[int]]) -> None:
    """Raise `DataError` where nearly every mask counts 1, 2, 3 and so on, each up to a number of its own, as no classes do."""
    most = {name: max(values) for name, values in zip(masks, each, strict=True) if values - {0}}
    counting = sum(len(values - {0}) == max(values) for values in each if values - {0})
    fewest, largest = min(most, key=most.__getitem__, default=""), max(most, key=most.__getitem__, default="")
    if not most or counting < 0.9 * len(most) or most[largest] < max(_OBJECTS, most[fewest] + 1):
        return
    raise DataError(
        f"The masks below {root} ({len(masks)}) count from 1 without a gap, {fewest} to {most[fewest]} and {largest} to {most[largest]}, "
        "and no file names classes. So look masks that number the objects of each picture. Save the class of each pixel, such as 1 in "
        "all objects of one class. If the values are classes, name them in classes.txt."
    )


def _coloured(table: "_Table", some: Iterable[tuple[str, Image.Image]]) -> Classes:
    """By colour, unless the masks that are looked at hold the numbers of the table's rows."""
    names = _ordered(name for name, _ in table.rows if name.casefold() not in _NO_CLASS)
    _require_few(names, table.file)
    label = {name: names.index(name) if name in names else IGNORED for name, _ in table.rows}
    hint = f", or add a row to {table.file.name}"
    colours = Coding({}, {colour: label[name] for name, colour in table.rows}, hint)
    rows = Coding({IGNORED: IGNORED, **{row: label[name] for row, (name, _) in enumerate(table.rows)}}, hint=hint)
    votes = [(_fits(colours, image, name), _fits(rows, image, name)) for name, image in some]
    void = sorted({name for name, _ in table.rows} - set(names))
    notes = [f"Pixels of the colour of {name} are ignored." for name in void]
    if any(row for _, row in votes) and not any(colour for colour, _ in votes):
        notes.append(
            f"The masks hold no colours of {table.file.name}; their values are taken as the numbers of its rows, from 0."
        )
        return Classes(names, rows, tuple(notes), table.file)
    return Classes(names, colours, tuple(notes), table.file)


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Each once, and background first: class 0 is the ground, and with two classes Dice is that of the other one.

    >>> _ordered(["road", "Background", "road"])
    ('Background', 'road')
    """
    return tuple(sorted(dict.fromkeys(names), key=lambda name: name.casefold().strip("_") != BINARY[0]))


def _require_few(names: Sequence[str], file: Path) -> None:
    if len(names) > MOST_CLASSES:
        raise DataError(f"{file} names {len(names)} classes; masks can tell {MOST_CLASSES} apart.")


def names_colours(file: Path) -> bool:
    """Whether a CSV file is a table of the colours of masks."""
    return set(COLUMNS) <= {column.strip().lower() for column in _lines(file)[0]}


class _Table(NamedTuple):
    file: Path
    rows: list[tuple[str, Colour]]


def _table(root: Path) -> _Table | None:
    """The first table of colours in the root."""
    for file in sorted(root.glob("*.csv")):
        if not names_colours(file):
            continue
        header, *lines = _lines(file)
        columns = [column.strip().lower() for column in header]
        rows = [_row(file, number, columns, line) for number, line in enumerate(lines, start=2) if any(line)]
        if not rows:
            raise DataError(f"{file} has the columns {', '.join(COLUMNS)} and no rows.")
        before: dict[Colour, int] = {}
        for number, (_, colour) in enumerate(rows, start=2):
            if colour in before:
                raise DataError(
                    f"{file} line {number}: the colour {colour} was given before, in line {before[colour]}."
                )
            before[colour] = number
        return _Table(file, rows)
    return None


def _lines(file: Path) -> list[list[str]]:
    text = pictures.start_of(file, 2**20).decode("utf-8-sig", "replace")
    try:
        return list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    except csv.Error:  # some other table
        return [[]]


def _row(file: Path, number: int, columns: list[str], line: list[str]) -> tuple[str, Colour]:
    fields = dict(zip(columns, (field.strip() for field in line), strict=False))
    red, green, blue = (fields.get(channel, "") for channel in "rgb")
    parts = [int(part) if part.isdecimal() and int(part) <= 255 else -1 for part in (red, green, blue)]
    if min(parts) < 0 or not fields.get("name"):
        raise DataError(f"{file} line {number}: expected a name and three numbers 0..255, got {','.join(line)!r}.")
    return fields["name"], (parts[0], parts[1], parts[2])


def _named(root: Path, config: Path | None) -> tuple[Path | None, dict[int, str], int | None]:
    """The file that names classes, value -> name, and what it says is ignored."""
    files = [config] if config else [file for file in sorted(root.iterdir()) if _may_name(file)]
    found = {file: read_names(file) for file in files}
    found = {file: names for file, names in found.items() if names[0]}
    # Of several files, one that describes boxes is not meant.
    own = {file: names for file, names in found.items() if not is_config(file)} or found
    if len(own) > 1:
        raise DataError(
            f"{root} holds several files that name classes: {', '.join(f.name for f in own)}. Give the path of one."
        )
    own = own or _of_values(root)
    for file, (names, ignored) in own.items():
        return file, names, ignored
    texts = [root / name for name in NAME_LISTS if (root / name).is_file()]
    return (texts[0], dict(enumerate(pictures.required_names(texts[0]))), None) if texts else (None, {}, None)


def _of_values(root: Path) -> dict[Path, tuple[dict[int, str], int | None]]:
    """The first table of values and the names that it gives; raises `DataError` where that of another split has others."""
    found: dict[Path, tuple[dict[int, str], int | None]] = {}
    splits = (folder for name, folder in pictures.folders_in(root).items() if pictures.split_of(name))
    for file in (folder / _VALUES for folder in (root, *splits)):
        header, *lines = _lines(file) if file.is_file() else [[]]
        if [column.strip().lower() for column in header] != ["pixel value", "class"]:
            continue
        names: dict[int, str] = {}
        for number, line in enumerate(lines, start=2):
            value, name = (field.strip() for field in line) if len(line) == 2 else ("", "")
            if line and (not value.isdecimal() or not name or int(value) in names):
                raise DataError(f"{file} line {number}: expected a new value and a name, got {','.join(line)!r}.")
            names |= {int(value): name} if line else {}
        first = next(iter(found), file)
        if found.setdefault(first, (names, None)) != (names, None):
            raise DataError(
                f"{file} names other classes than {first}. Make them the same: a value can have one name only."
            )
    return found


def _may_name(file: Path) -> bool:
    text = pictures.start_of(file, 2**20) if file.suffix.lower() in ENDINGS and file.is_file() else b""
    return re.search(rb"^(names|classes)\s*:", text, re.M) is not None


def _opened(root: Path, names: Iterable[str]) -> Iterator[tuple[str, Image.Image]]:
    """The masks that can be read; a check before training names the others."""
    for name in names:
        try:
            with open_mask(root / name, name) as image:
                yield name, image
        except ImageError:
            continue


def _of_file(root: Path, name: str) -> set[int]:
    return next((_values(image, name) for _, image in _opened(root, [name])), set())


def _values(image: Image.Image, name: str) -> set[int]:
    try:
        return set(np.unique(values_of(image, name)).tolist())
    except ImageError:
        return set()


def _fits(coding: Coding, image: Image.Image, name: str) -> bool:
    try:
        coding.labels(image, name)
    except ImageError:
        return False
    return True
