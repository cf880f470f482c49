"""A table of pictures: a CSV file with the columns `path`, `label` and, if wished, `split`, or the folder that it lies in.

    path,label,split
    photos/1.jpg,cat,train
    photos/2.jpg,dog,test

Paths are relative to the table's folder, or absolute. Labels are class names. Further columns are left alone. Which other names of
columns, separators and encodings are read, `csv_rows` says; rows that cannot be used are left out, and named.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sightline.data.annotations import ClassLabels, Places
from sightline.data.formats.copying import (
    Copies,
    numbered_anew,
    require_new,
    require_plain_names,
    unwritten,
    written_splits,
)
from sightline.data.formats.csv_rows import COLUMNS, Table, further_fields, read_rows
from sightline.data.formats.elsewhere import folder_elsewhere, name_below, slashes
from sightline.data.formats.pictures import entries, is_picture
from sightline.data.index import HasContent, Index, natural_order
from sightline.data.sources import FileSource
from sightline.errors import DataError
from sightline.files import storage_error, write_atomic

NAME = "csv"
_ENDINGS = (".csv", ".tsv")
_LOOKED_AT = 50
"""Rows, to tell whether a table in a folder can be used."""
_NAMED = 10


def recognises(path: Path) -> bool:
    """Whether `path` is a file that ends in .csv or .tsv, or a folder with a table whose first rows name pictures that are there."""
    return bool(_tables(path)) if path.is_dir() else path.is_file() and path.suffix.lower() in _ENDINGS


def says_what_folders_say(path: Path) -> bool:
    """Whether the tables in a folder give the pictures of their first rows the classes that the folders are called after."""
    rows = [row for table in _tables(path) for row in table.rows]
    return all(row.label in Path(slashes(row.path)).parts[:-1] for row in rows)


def read(path: Path) -> Index:
    """The data set in the table `path`, or in the only one in that folder; raises `DataError`.

    What is wrong with single rows is in its `faults`.
    """
    folder = path
    if path.is_dir() and (tables := [table.path for table in _tables(path)] or _named_like_tables(path)):
        if len(tables) > 1:
            several = ", ".join(table.name for table in tables)
            raise DataError(
                f"{path} holds several tables: {several}. Give the path of one, or write one table with a column split."
            )
        path = tables[0]
    table = read_rows(path)
    if path != folder:
        table.notes.insert(0, f"{path.name}: this table in the folder says the classes.")
    _find_files(table)
    table.require_rows()
    rows = table.rows
    names = tuple(sorted({row.label for row in rows}, key=natural_order))
    if len(names) < 2:
        only = f"{path} has one class only ({', '.join(names)}): there is nothing to tell apart."
        raise DataError("\n".join([only, *table.found.lines[:_NAMED]]))
    number = {name: label for label, name in enumerate(names)}
    splits = np.array([row.split for row in rows])
    return Index(
        source=FileSource(path.resolve().parent, [row.path for row in rows]),
        annotations=ClassLabels(np.array([number[row.label] for row in rows], np.int64)),
        class_names=names,
        splits={split: np.flatnonzero(splits == split) for split in sorted(set(splits.tolist()) - {""})},
        format=NAME,
        notes=tuple(table.notes),
        faults=table.found.of(len(rows)),
        places=Places((path.resolve().name,) * len(rows), np.array([row.line for row in rows], np.int64)),
        unread=(f"what is in the columns {', '.join(table.further)}",) if table.further else (),
    )


def write(index: Index, path: Path) -> tuple[str, ...]:
    """Write an index as the table `path`, a new file that ends in .csv; what the format cannot hold, one text each.

    Files stay where they are. Other pictures become files in a folder beside the table, which has its name without the ending. A table
    that was read from another has its other columns too. Raises `DataError` for pictures with boxes or masks.
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
    further = _further(index)
    if further:
        index = replace(index, unread=())
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
        parts = isinstance(index.source, HasContent)
        why = "parts of files: they are written as they are" if parts else "no files: they are written as PNG"
        lost = [*copies.lost(), f"The pictures are {why} into {pictures.name}/, beside the table."]
    write_rows(index, path, names, *further)
    return (*lost, *numbered_anew(index))


def write_rows(
    index: Index,
    path: Path,
    names: Mapping[int, str],
    further: Sequence[str] = (),
    fields: Mapping[int, Sequence[str]] | None = None,
) -> Path:
    """Write the annotations, in one line each, and splits of the pictures at the given positions of an index, under those names.

    `further` columns follow, with the `fields` of each position.
    """
    split_of = {position: split for split, held in index.splits.items() for position in held.tolist()}
    columns = COLUMNS if index.splits else COLUMNS[:2]
    summary = index.annotations.summary
    rows = ((at, (name, summary(at, index.class_names), split_of.get(at, ""))) for at, name in names.items())
    held = ((*row[: len(columns)], *(fields[at] if fields else ())) for at, row in rows)
    write_atomic(path, text_of_rows([(*columns, *further), *held]).encode())
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


def _named_like_tables(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in entries(folder) if Path(entry.name).suffix.lower() in _ENDINGS]


def _tables(folder: Path) -> list[Table]:
    """The first rows of each table in a folder that can be used; labels that are files are masks."""
    tables = []
    for path in _named_like_tables(folder):
        try:
            table = read_rows(path, most=_LOOKED_AT)
        except DataError:
            continue
        rows = [row for row in table.rows if not is_picture(row.label)]
        if any(name_below(folder, row.path) for row in rows):
            tables.append(table)
    return tables


def _further(index: Index) -> tuple[Sequence[str], Mapping[int, Sequence[str]]] | tuple[()]:
    """The columns that are not read of the table that an index was read from, with the fields of each position; nothing for others."""
    places = index.places if index.format == NAME and len(index) else None
    if places is None or not isinstance(index.source, FileSource):
        return ()
    columns, fields = further_fields(index.source.root / places.files[0])
    return columns, {at: fields[line] for at, line in enumerate(places.numbers.tolist())}


def _find_files(table: Table) -> None:
    """Leave out the rows whose files are missing, and take paths of other machines for what they are here."""
    folder = table.path.resolve().parent
    names = [name_below(folder, row.path) for row in table.rows]
    if not any(names) and (elsewhere := folder_elsewhere((row.path for row in table.rows), [folder])):
        names = [name_below(folder, row.path, elsewhere) for row in table.rows]
        nowhere = f"{table.path.name}: no file is where its row says ({table.rows[0].path})"
        table.notes.append(f"{nowhere}; the paths are read without {elsewhere} at their beginning.")
    elif other := next(
        (row.path for row, name in zip(table.rows, names, strict=True) if name not in ("", row.path)), ""
    ):
        table.notes.append(f"{table.path.name}: backslashes in paths are read as slashes ({other}).")
    missing = [row for row, name in zip(table.rows, names, strict=True) if not name]
    if len(missing) == len(table.rows):
        raise DataError(
            f"{table.path} line {missing[0].line}: there is no file {missing[0].path}, nor any of the {len(missing)} that the table names. "
            f"Paths are relative to the table's folder, {folder}."
        )
    for row in missing:
        table.found.add("missing picture", f"{table.place(row.line)}: there is no file {row.path}; it is left out.")
    table.rows = [row._replace(path=name) for row, name in zip(table.rows, names, strict=True) if name]


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
