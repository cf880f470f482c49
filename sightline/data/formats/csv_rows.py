"""The rows of a table of pictures, and what is wrong with those that are left out.

The columns of paths and labels are called `path` and `label`, or by another of their common names where only one such column is there.
Commas, semicolons or tabs separate them. The text is UTF-8, or UTF-16 with its mark, or else it is taken for Windows-1252.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sightline.data.annotation_faults import FaultsFound
from sightline.data.index import SPLIT_ALIASES, SPLITS
from sightline.errors import DataError

COLUMNS = ("path", "label", "split")
_ALSO_CALLED: dict[str, list[str]] = {
    "path": [
        "image", "file", "filename", "file_name", "filepath", "file_path", "image_path", "image_name", "img", "img_path", "picture",
    ],
    "label": ["class", "category", "class_name", "label_name", "target"],
    "split": [],
}  # fmt: skip
"""Our name of a column -> what others call it."""
_OF_BOXES = {"xmin", "x_min", "x1", "bbox", "box", "bbox_x", "x_center"}
"""Names of columns that say that a row is an object in a picture, not a picture."""
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_NAMED = 10


class Row(NamedTuple):
    """One picture of a table."""

    line: int
    """Of the file, from 1, in which it begins."""
    path: str
    """As written."""
    label: str
    """Class name, without spaces around it."""
    split: str
    """train, val, test, or nothing."""


@dataclass
class Table:
    """The rows that can be used, and what was noticed."""

    path: Path
    rows: list[Row] = field(default_factory=list)
    further: list[str] = field(default_factory=list)
    """The columns that are not read."""
    notes: list[str] = field(default_factory=list)
    found: FaultsFound = field(default_factory=FaultsFound)
    """The rows that are left out."""

    def place(self, line: int) -> str:
        """What a line of the file is called."""
        return f"{self.path.name} line {line}"

    def require_rows(self) -> None:
        """Raise `DataError` where none is left."""
        if not self.rows:
            first = "\n".join([f"{self.path} has no row that can be used:", *self.found.lines[:_NAMED]])
            raise DataError(first if self.found.lines else f"{self.path} has a header and no rows.")


def read_rows(path: Path, most: int | None = None) -> Table:
    """The rows of a table, looked at one by one, or the first ones, `most` of them; files need not exist.

    Raises `DataError` for what is no table of pictures at all.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file. A table with the columns path,label[,split] was expected.")
    table = Table(path)
    separator, header, lines = _opened(table)
    at = _columns(path, header)
    if separator != ",":
        table.notes.append(f"{path.name}: it is separated by {_SEPARATORS[separator]}.")
    taken = [f"{header[column]} for the {name}" for name, column in at.items() if header[column] != name]
    if taken:
        table.notes.append(f"{path.name}: the column {' and '.join(taken)} is taken.")
    further = _further(header, at)
    table.further = [header[column] or f"number {column + 1} without a name" for column in further]
    if further:
        columns = f"column {table.further[0]} is" if len(further) == 1 else f"columns {', '.join(table.further)} are"
        table.notes.append(f"{path.name}: the {columns} not used.")
    for line, fields in islice(lines, most):
        _add_row(table, line, fields, len(header), at)
    _take_each_once(table)
    table.require_rows()
    unsplit = sum(not row.split for row in table.rows)
    if "split" in at and 0 < unsplit < len(table.rows):
        table.notes.append(f"{path.name}: {unsplit} of {len(table.rows)} rows have no split, and are in none.")
    return table


def further_fields(path: Path) -> tuple[list[str], dict[int, list[str]]]:
    """The names of the columns that are not read, and what is in them in each line; of a table that was read before."""
    _, header, lines = _opened(Table(path))
    further = _further(header, _columns(path, header))
    held = {line: [fields[column] for column in further] for line, fields in lines if len(fields) == len(header)}
    return [header[column] for column in further], held


def _opened(table: Table) -> tuple[str, list[str], Iterator[tuple[int, list[str]]]]:
    """The separator, the names of the columns, and the rows that follow, each with its line."""
    text = _text(table)
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)
    lines = _records(table.path, text, separator)
    return separator, [name.strip() for name in next(lines, (1, []))[1]], lines


def _further(header: list[str], at: dict[str, int]) -> list[int]:
    return [column for column in range(len(header)) if column not in at.values()]


def _text(table: Table) -> str:
    """The whole text; bytes are decoded here, since a file opened as text takes a lone \\r for a line break."""
    content, name = table.path.read_bytes(), table.path.name
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "cp1252":
            word = "".join(re.findall(r"\w*[^\x00-\x7f]\w*", text)[:1])
            table.notes.append(
                f"{name} is not UTF-8 and is read as Windows-1252, so that it says {word!r}. Where that is wrong, save it as UTF-8."
            )
        return text
    raise DataError(f"{table.path} is not UTF-8 text, nor of another known encoding. Save the table as UTF-8.")


def _records(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The line in which each row begins, and its fields; raises `DataError` with that line. Empty lines are no rows."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"{path} line {line}: this is no CSV ({error}). A quotation mark may lack its partner."
            ) from error
        if fields is None:
            return
        if fields:
            yield line, fields


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    """Our name of a column -> where it is; raises `DataError` when the path or the label is none or several of those there."""
    plain = [re.sub(r"[ -]", "_", name.casefold()) for name in header]
    at = {}
    for name, others in _ALSO_CALLED.items():
        called_so = [column for column, there in enumerate(plain) if there == name]
        called_so = called_so or [column for column, there in enumerate(plain) if there in others]
        if len(called_so) > 1:
            several = ", ".join(header[column] for column in called_so)
            raise DataError(
                f"{path} line 1: which column is the {name} is not clear: {several}. Call one of them {name}."
            )
        if called_so:
            at[name] = called_so[0]
    if not {"path", "label"} <= at.keys():
        raise DataError(
            f"{path} line 1: expected the columns path,label[,split], got {','.join(header) or 'nothing'}. "
            "Name them in the first line."
        )
    if _OF_BOXES & set(plain) and not {"path", "label"} <= set(plain):
        raise DataError(
            f"{path} line 1: the columns {','.join(header)} speak of boxes, and a table has one class for each picture. "
            "Write the boxes as COCO, VOC or YOLO."
        )
    return at


def _add_row(table: Table, line: int, values: list[str], columns: int, at: dict[str, int]) -> None:
    """Take a row, or note why it is left out."""
    wrong = ""
    fields = {name: values[column] if column < len(values) else "" for name, column in at.items()}
    split = fields.get("split", "").strip()
    empty = [name for name in ("path", "label") if not fields[name].strip()]
    if len(values) != columns:
        wrong = f"it has {len(values)} fields, and the header {columns} (fields with separators in them are quoted)"
    elif empty:
        wrong = f"the {empty[0]} is empty"
    elif split and split.lower() not in SPLIT_ALIASES:
        wrong = f"unknown split {split!r}, expected one of {', '.join(SPLIT_ALIASES)}"
    if wrong:
        table.found.add("bad entry", f"{table.place(line)}: {wrong}; it is left out.")
    else:
        known = SPLIT_ALIASES.get(split.lower(), "")
        table.rows.append(Row(line, fields["path"], fields["label"].strip(), known))


def _take_each_once(table: Table) -> None:
    """Of a picture in several rows one counts, or none where they have different labels."""
    rows: dict[str, Row] = {}
    contradicted = set()
    for row in table.rows:
        before = rows.setdefault(row.path, row)
        if before is row:
            continue
        listed = f"{table.place(row.line)}: {row.path} was listed before, in line {before.line}"
        if before.label != row.label:
            line = f"{listed}, as {before.label} and not as {row.label}; the picture is left out."
            table.found.add("bad entry", line, count=row.path not in contradicted)
            contradicted.add(row.path)
        elif before.split != row.split:
            # Figures must not change, and training can do without: test before val before train.
            stays = max(before, row, key=lambda one: SPLITS.index(one.split) if one.split else -1)
            rows[row.path] = before._replace(split=stays.split)
            other = f"in {before.split or 'no split'} and in {row.split or 'no split'}; it stays in {stays.split}."
            table.found.add("listed twice", f"{listed}, {other}", absent=False)
        else:
            table.found.add("listed twice", f"{listed}.", absent=False)
    table.rows = [row for path, row in rows.items() if path not in contradicted]
