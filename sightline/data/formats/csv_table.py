"""A table of pictures: a CSV file with the columns `path`, `label` and, if wished, `split`.

    path,label,split
    photos/1.jpg,cat,train
    photos/2.jpg,dog,test

Paths are relative to the table's folder, or absolute. Labels are class names. The table is UTF-8 and separated by commas;
further columns are left alone.
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sightline.data.annotations import ClassLabels
from sightline.data.formats.copying import (
    Copies,
    numbered_anew,
    require_new,
    require_plain_names,
    unwritten,
    written_splits,
)
from sightline.data.index import SPLIT_ALIASES, Index, natural_order
from sightline.data.sources import FileSource
from sightline.errors import DataError
from sightline.files import storage_error, write_atomic

NAME = "csv"
COLUMNS = ("path", "label", "split")


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


def recognises(path: Path) -> bool:
    """Whether `path` is a file that ends in .csv."""
    return path.is_file() and path.suffix.lower() == ".csv"


def read(path: Path) -> Index:
    """The data set in the table `path`; raises `DataError` with the line."""
    rows, notes = read_rows(path)
    _require_files(path, rows)
    names = tuple(sorted({row.label for row in rows}, key=natural_order))
    if len(names) < 2:
        raise DataError(f"{path} has one class only ({', '.join(names)}): there is nothing to tell apart.")
    number = {name: label for label, name in enumerate(names)}
    splits = np.array([row.split for row in rows])
    return Index(
        source=FileSource(path.resolve().parent, [row.path for row in rows]),
        annotations=ClassLabels(np.array([number[row.label] for row in rows], np.int64)),
        class_names=names,
        splits={split: np.flatnonzero(splits == split) for split in sorted(set(splits.tolist()) - {""})},
        format=NAME,
        notes=tuple(notes),
    )


def write(index: Index, path: Path) -> tuple[str, ...]:
    """Write an index as the table `path`, a new file that ends in .csv; what the format cannot hold, one text each.

    Files stay where they are. Other pictures become PNG files in a folder beside the table, which has its name without the ending.
    Raises `DataError` for pictures with boxes or masks.
    """
    if not isinstance(index.annotations, ClassLabels):
        raise DataError(f"A table has one class for each picture, and this data set ({index.format}) has none.")
    if path.suffix.lower() != ".csv":
        raise DataError(f"A table is a file whose name ends in .csv, and {path} is none: write to {path}.csv.")
    if path.exists():
        raise DataError(f"{path} exists already. Choose another name for the table.")
    require_plain_names(index)
    folder = path.resolve().parent
    names: dict[int, str] = {}
    if isinstance(index.source, FileSource):
        for held in written_splits(index).values():
            names.update((position, _relative(index.source.path(position), folder)) for position in held.tolist())
        lost = unwritten(index)
    else:
        pictures = path.with_suffix("")
        require_new(pictures)
        copies = Copies(index, lambda split, _: pictures / split, by_stem=False)
        try:
            for copied in copies:
                names[copied.position] = copied.path.relative_to(path.parent).as_posix()
        except OSError as error:
            raise storage_error(pictures, error) from error
        lost = [
            *copies.lost(),
            f"The pictures are no files: they are written as PNG into {pictures.name}/, beside the table.",
        ]
    write_rows(index, path, names)
    return (*lost, *numbered_anew(index))


def read_rows(path: Path) -> tuple[list[Row], list[str]]:
    """The rows of a table, checked one by one, and what was noticed; files need not exist."""
    if not path.is_file():
        raise DataError(f"{path} is not a file. A table with the columns path,label[,split] was expected.")
    try:
        text = path.read_bytes().decode("utf-8-sig")  # not as text, which takes a lone \r for a line break
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}). Save the table as UTF-8.") from error
    lines = _records(path, text)
    header = [name.strip() for name in next(lines, (1, []))[1]]
    _require_columns(path, header)
    rows = [_row(path, line, header, fields) for line, fields in lines]
    if not rows:
        raise DataError(f"{path} has a header and no rows.")
    _require_single(path, rows)
    further = [name for name in header if name not in COLUMNS]
    notes = [f"{path.name}: the columns {', '.join(further)} are not used."] if further else []
    unsplit = sum(not row.split for row in rows)
    if "split" in header and 0 < unsplit < len(rows):
        notes.append(f"{path.name}: {unsplit} of {len(rows)} rows have no split, and are in none.")
    return rows, notes


def write_rows(index: Index, path: Path, names: Mapping[int, str]) -> Path:
    """Write the annotations, in one line each, and splits of the pictures at the given positions of an index, under those names."""
    split_of = {position: split for split, held in index.splits.items() for position in held.tolist()}
    columns = COLUMNS if index.splits else COLUMNS[:2]
    summary = index.annotations.summary
    rows = ((name, summary(at, index.class_names), split_of.get(at, "")) for at, name in names.items())
    write_atomic(path, text_of_rows([columns, *(row[: len(columns)] for row in rows)]).encode())
    return path


def text_of_rows(rows: Iterable[Sequence[str]]) -> str:
    """The text of a table that is read again as it was.

    >>> text_of_rows([("path", "label"), ("a, b.png", "cat")])
    'path,label\\n"a, b.png",cat\\n'
    """
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        # A lone \r is a line break for readers, and the writer of some versions of Python does not quote it.
        (quoted if any("\r" in field for field in row) else plain).writerow(row)
    return text.getvalue()


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The line in which each row begins, and its fields; raises `DataError` with that line. Empty lines are no rows."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path} line {line}: this is no CSV ({error}).") from error
        if fields is None:
            return
        if fields:
            yield line, fields


def _require_columns(path: Path, header: list[str]) -> None:
    missing = [name for name in COLUMNS[:2] if name not in header]
    if missing:
        hint = " It seems to be separated by semicolons; commas are expected." if ";" in "".join(header) else ""
        raise DataError(
            f"{path} line 1: expected the columns path,label[,split], got {','.join(header) or 'nothing'}.{hint}"
        )
    if len(set(header)) < len(header):
        raise DataError(f"{path} line 1: a column is named twice in {','.join(header)}.")


def _row(path: Path, line: int, header: list[str], values: list[str]) -> Row:
    if len(values) != len(header):
        raise DataError(f"{path} line {line}: it has more or fewer fields than the header. Quote fields with commas.")
    fields = dict(zip(header, values, strict=True))
    name, label, split = (fields.get(column, "") for column in COLUMNS)
    for column, value in (("path", name), ("label", label)):
        if not value.strip():
            raise DataError(f"{path} line {line}: the {column} is empty.")
    known = SPLIT_ALIASES.get(split.strip().lower(), "")
    if split.strip() and not known:
        raise DataError(f"{path} line {line}: unknown split {split!r}; expected one of {', '.join(SPLIT_ALIASES)}.")
    return Row(line, name, label.strip(), known)


def _require_single(path: Path, rows: list[Row]) -> None:
    first: dict[str, int] = {}
    for row in rows:
        if row.path in first:
            raise DataError(f"{path} line {row.line}: {row.path} was listed before, in line {first[row.path]}.")
        first[row.path] = row.line


def _require_files(path: Path, rows: list[Row]) -> None:
    folder = path.resolve().parent
    missing = [row for row in rows if not os.path.isfile(folder / row.path)]  # noqa: PTH113 - raises for nothing
    if missing:
        more = f" (and {len(missing) - 1} more lines with missing files)" if len(missing) > 1 else ""
        raise DataError(
            f"{path} line {missing[0].line}: there is no file {missing[0].path}{more}. "
            f"Paths are relative to the table's folder, {folder}."
        )


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
