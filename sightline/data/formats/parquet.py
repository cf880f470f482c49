"""Parquet files in the layout of the Hugging Face hub: a column of pictures `image{bytes, path}` and one of labels.

    DATA/train-00000-of-00001.parquet      or the same in DATA/data/, or a single file
    DATA/test-00000-of-00001.parquet

Where names count the files of a split, all of them must be there; one alone is read by its own path. Class names are in the
schema's metadata (`huggingface`: info.features.label.names). Encoded pictures stay in their file: a row group is read when one of its
pictures is asked for first, and the groups asked for last are kept.
"""

import json
import os
import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sightline.data.annotation_faults import FaultsFound
from sightline.data.annotations import ClassLabels
from sightline.data.decode import DecodeLimits, Shrink, decode
from sightline.data.formats.copying import own_name, require_new, unwritten, written_splits
from sightline.data.formats.shard_members import content_of
from sightline.data.index import SPLIT_ALIASES, Index, natural_order
from sightline.errors import DataError, ImageError, MissingDependencyError
from sightline.files import storage_error

NAME = "parquet"
KEPT_BYTES = 2**30
"""Encoded pictures that one source keeps in memory, at most (and one row group at least)."""
GROUP_ROWS = 100
"""Pictures of a row group as written: so many are read together."""
_COUNTED = re.compile(r"(.*?)(\d+)-of-(\d{1,6})(?!\d)")
_NAMED = 10


def recognises(path: Path) -> bool:
    """Whether `path` is a .parquet file, or a folder with some in it or in its folder `data`."""
    return bool(_files(path))


def read(path: Path) -> Index:
    """The data set in the file or folder `path`; raises `DataError`. What is wrong with single rows or files is in its `faults`."""
    _pyarrow()
    files = _files(path)
    if not files:
        raise DataError(f"{path} holds no .parquet files: expected some such as train-00000-of-00001.parquet in it.")
    if path.is_dir():
        _require_all(files)
    found, notes = FaultsFound(), list[str]()
    shards = _shards(files, found)
    columns = _same(shards, "columns")
    labels: list[NDArray[Any]] = [_labels(shard) for shard in shards]
    for split in dict.fromkeys(shard.split for shard in shards):
        of_split = [at for at, shard in enumerate(shards) if shard.split == split]
        if all((labels[at] == -1).all() for at in of_split) and len(of_split) < len(shards):
            notes.append(f"The {split} split has no labels (all are -1) and is left out.")
            shards = [shard for at, shard in enumerate(shards) if at not in of_split]
            labels = [held for at, held in enumerate(labels) if at not in of_split]
    numbers, class_names = _numbered(labels, shards, notes)
    good = _good_rows(labels, numbers, shards, found)
    further = dict.fromkeys(name for shard in shards for name in shard.further)
    source = ParquetSource([(shard.path, shard.group_rows) for shard in shards], columns[0], good)
    split_of_row = np.repeat([shard.split for shard in shards], [shard.rows for shard in shards])[good]
    if sum(shard.path.stat().st_size for shard in shards) > KEPT_BYTES:
        notes.append("The files exceed the memory kept for them: reading in random order will be slow.")
    return Index(
        source=source,
        annotations=ClassLabels(numbers[good]),
        class_names=class_names,
        splits={str(s): np.flatnonzero(split_of_row == s) for s in np.unique(split_of_row) if s},
        format=NAME,
        notes=tuple(notes),
        faults=found.of(len(good)),
        unread=(f"what is in the columns {', '.join(further)}",) if further else (),
    )


def write(index: Index, path: Path) -> tuple[str, ...]:
    """Write an index into `path`, new or empty, as the hub lays it out; what the format cannot hold, one text each.

    There is one file for each split, data/train-00000-of-00001.parquet. Files are taken byte for byte, other pictures as PNG. Raises
    `DataError` for pictures with boxes or masks.
    """
    pyarrow = _pyarrow()
    if not isinstance(index.annotations, ClassLabels):
        raise DataError(f"Parquet files have one class for each picture, and this data set ({index.format}) has none.")
    require_new(path)
    features = {"image": {"_type": "Image"}, "label": {"names": list(index.class_names), "_type": "ClassLabel"}}
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema(
        [("image", image), ("label", pyarrow.int64())], {"huggingface": json.dumps({"info": {"features": features}})}
    )
    try:
        (path / "data").mkdir(parents=True, exist_ok=True)
        for split, positions in written_splits(index).items():
            # A name that says no split is read as a data set that is not divided.
            file = path / "data" / f"{split or 'pictures'}-00000-of-00001.parquet"
            with pyarrow.parquet.ParquetWriter(file, schema) as writer:
                for start in range(0, len(positions), GROUP_ROWS):
                    writer.write_batch(_rows(index, positions[start : start + GROUP_ROWS].tolist(), schema))
    except OSError as error:
        raise storage_error(path, error) from error
    said = "Pictures are called by file and row; their names are in the column image.path, for other programs."
    return (*unwritten(index), said)


def _rows(index: Index, positions: list[int], schema: Any) -> Any:
    """Some pictures with their labels, as Arrow holds them."""
    images = [{"bytes": content_of(index, at), "path": own_name(index, at)} for at in positions]
    return _pyarrow().record_batch({"image": images, "label": index.labels[positions].tolist()}, schema=schema)


class ParquetSource:
    """Pictures in the rows of parquet files.

    `files` are the paths with the number of rows of each row group; `column` is the pictures' column; `rows` are those of all files
    together that hold the pictures of the data set, ascending, or all. A forked or spawned worker opens the files anew.
    """

    def __init__(
        self,
        files: list[tuple[Path, list[int]]],
        column: str,
        rows: NDArray[np.int64] | None = None,
        limits: DecodeLimits | None = None,
    ) -> None:
        self.files = [path for path, _ in files]
        self.column = column
        self.limits = limits or DecodeLimits()
        self._groups = [(file, group) for file, (_, rows) in enumerate(files) for group in range(len(rows))]
        group_rows = [count for _, rows in files for count in rows]
        self._first_rows = list(accumulate(group_rows, initial=0))
        self._file_rows = list(accumulate((sum(rows) for _, rows in files), initial=0))
        self._rows = np.arange(self._first_rows[-1]) if rows is None else rows
        self._forget()

    def __len__(self) -> int:
        return len(self._rows)

    def only(self, positions: NDArray[np.int64]) -> "ParquetSource":
        """The pictures at `positions`, ascending."""
        some = copy(self)
        some._rows = self._rows[positions]
        return some

    def name(self, position: int) -> str:
        """The file's name and the row in it, from 0."""
        row = int(self._rows[position])
        file = bisect_right(self._file_rows, row) - 1
        return f"{self.files[file].name} row {row - self._file_rows[file]}"

    def image(self, position: int) -> Tensor:
        """The picture as (3, H, W) uint8 RGB; raises `ImageError`."""
        return decode(self.content(position), self.name(position), self.limits)

    def shrunk(self, position: int, shrink: Shrink) -> Tensor:
        """The same, smaller where that is quicker and `shrink` says so; see `sightline.data.decode.decode`."""
        return decode(self.content(position), self.name(position), self.limits, shrink)

    def content(self, position: int) -> bytes:
        """The bytes of the picture's file; raises `ImageError`."""
        row = int(self._rows[position])
        group = bisect_right(self._first_rows, row) - 1
        content: bytes | None = self._group(group)[row - self._first_rows[group]].as_py()
        if content is None:
            raise ImageError(f"{self.name(position)}: the row holds no picture (its bytes are null).")
        return content

    def _group(self, group: int) -> Any:
        """The encoded pictures of a row group, as an Arrow array of bytes."""
        if (
            self._process != os.getpid()
        ):  # an open file has one place for both processes, and another thread may have held the lock
            self._forget()
        with self._lock:
            if group in self._kept:
                self._kept.move_to_end(group)
                return self._kept[group]
            pictures = self._read_group(group)
            self._kept[group] = pictures
            self._kept_bytes += pictures.nbytes
            while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
                self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
            return pictures

    def _read_group(self, group: int) -> Any:
        pyarrow = _pyarrow()
        file, group_in_file = self._groups[group]
        try:
            if file not in self._open:
                self._open[file] = pyarrow.parquet.ParquetFile(self.files[file])
            # One thread, so that a process which forks later has no thread of Arrow's in the middle of something.
            table = self._open[file].read_row_group(group_in_file, columns=[self.column], use_threads=False)
        except (OSError, pyarrow.ArrowException) as error:
            raise DataError(f"{self.files[file]}: row group {group_in_file} cannot be read ({error}).") from error
        pictures = table.column(self.column).combine_chunks()
        return pictures.field("bytes") if pyarrow.types.is_struct(pictures.type) else pictures

    def _forget(self) -> None:
        """Hold nothing open and nothing in memory."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._kept_bytes = 0
        self._open: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        own = ("_process", "_lock", "_kept", "_kept_bytes", "_open")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


@dataclass(frozen=True)
class _Shard:
    """What the footer of one file says."""

    path: Path
    split: str
    columns: tuple[str, str]
    """Of the pictures and of the labels."""
    class_names: tuple[str, ...]
    """From the metadata; empty when it has none."""
    group_rows: list[int]
    further: tuple[str, ...]
    """Columns that are not read."""

    @property
    def rows(self) -> int:
        return sum(self.group_rows)


def _shards(files: list[Path], found: FaultsFound) -> list[_Shard]:
    """What the footers say. A file that cannot be read is left out where its split has others, and counts as many pictures as the
    longest of those.
    """
    shards: list[_Shard] = []
    broken: dict[Path, DataError] = {}
    for file in files:
        try:
            shards.append(_shard(file))
        except DataError as error:
            broken[file] = error
    for file, reason in broken.items():
        others = [shard.rows for shard in shards if shard.split == _split(file)]
        if not others:
            raise reason
        line = f"{file.name}: {str(reason).removeprefix(f'{file} ')} It is left out with its pictures, about {max(others)}."
        found.add("broken file", line, count=max(others))
    return shards


def _shard(path: Path) -> _Shard:
    pyarrow = _pyarrow()
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema, footer = file.schema_arrow, file.metadata
            group_rows = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read as parquet ({error}). It may be incomplete: fetch it again.") from error
    features = _features(path, schema.metadata or {})
    columns = tuple(_column(path, schema, features, *kind) for kind in (("Image", "image"), ("ClassLabel", "label")))
    names = features.get(columns[1], {}).get("names", ())
    further = tuple(name for name in schema.names if name not in columns)
    return _Shard(path, _split(path), (columns[0], columns[1]), tuple(map(str, names)), group_rows, further)


def _features(path: Path, metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """The hub's description of the columns, or nothing."""
    if b"huggingface" not in metadata:
        return {}
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: its `huggingface` metadata cannot be understood ({error!r}).") from error


def _column(path: Path, schema: Any, features: dict[str, Any], kind: str, usual: str) -> str:
    """The column of a kind: the usual name, or the only one that the metadata calls so."""
    candidates = [name for name, feature in features.items() if feature.get("_type") == kind]
    name = usual if usual in schema.names else candidates[0] if len(candidates) == 1 else None
    if name is None or name not in schema.names:
        raise DataError(f"{path}: expected a column {usual!r}, got {', '.join(schema.names)}.")
    return name


def _labels(shard: _Shard) -> NDArray[Any]:
    """(rows,) labels as they are in the file: numbers or text, and None where there is none."""
    pyarrow = _pyarrow()
    with pyarrow.parquet.ParquetFile(shard.path) as file:
        column = file.read(columns=[shard.columns[1]], use_threads=False).column(0).combine_chunks()
    kind = column.type
    if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        raise DataError(f"{shard.path}: labels are whole numbers or text, the column {shard.columns[1]!r} has {kind}.")
    if pyarrow.types.is_integer(kind) and not column.null_count:
        return np.asarray(column.to_numpy(zero_copy_only=False), np.int64)
    return np.array(column.to_pylist(), object)


def _numbered(
    labels: list[NDArray[Any]], shards: list[_Shard], notes: list[str]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels as 0..K-1, -1 for those that say no class, and the names of the classes."""
    if len({shard.class_names for shard in shards}) > 1:
        if not all(shard.class_names for shard in shards):
            _same(shards, "class_names")
        notes.append("The files name different classes, or in another order; they are matched by their names.")
    there = [{label for label in held.tolist() if label is not None} for held in labels]
    class_names = tuple(dict.fromkeys(name for shard in shards for name in shard.class_names))
    unnamed: dict[Any, int] = {}
    if not class_names:
        known: list[Any] = sorted(set().union(*there) - {-1}, key=lambda label: natural_order(str(label)))
        class_names, unnamed = tuple(map(str, known)), {label: at for at, label in enumerate(known)}
        if not any(isinstance(label, str) for label in known):
            notes.append("The files name no classes; classes are called by their numbers.")
    numbers = []
    for shard, held in zip(shards, labels, strict=True):
        own: dict[Any, int] = {name: class_names.index(name) for name in shard.class_names}
        number = own | dict(enumerate(own.values())) if own else unnamed
        numbers.append(np.array([number.get(label, -1) for label in held.tolist()], np.int64))
    return np.concatenate(numbers), class_names


def _good_rows(
    labels: list[NDArray[Any]], numbers: NDArray[np.int64], shards: list[_Shard], found: FaultsFound
) -> NDArray[np.int64]:
    """The rows of all files together that have a label that is one; the others are noted. Raises `DataError` when there is none."""
    for row in np.flatnonzero(numbers < 0).tolist():
        first, at = row, 0
        while first >= shards[at].rows:
            first, at = first - shards[at].rows, at + 1
        label, names = labels[at][first : first + 1].tolist()[0], shards[at].class_names
        named = f" ({', '.join(names[:_NAMED])}{' ...' if len(names) > _NAMED else ''})" if names else ""
        wrong = "it has no label" if label is None else f"its label is {label!r}, none of the classes{named}"
        found.add("bad entry", f"{shards[at].path.name} row {first}: {wrong}; it is left out.")
    good = np.flatnonzero(numbers >= 0)
    if not len(good):
        raise DataError("\n".join(["No row has a label that is one of the classes:", *found.lines[:_NAMED]]))
    return good


def _same(shards: list[_Shard], attribute: str) -> Any:
    """What all files must have in common."""
    for shard in shards[1:]:
        first, here = getattr(shards[0], attribute), getattr(shard, attribute)
        if here != first:
            raise DataError(
                f"{shard.path.name} and {shards[0].path.name} differ in their {attribute}: {here} and {first}."
            )
    return getattr(shards[0], attribute)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" else []
    folders = [folder for folder in (path, path / "data") if folder.is_dir()]
    found: Iterator[list[Path]] = (sorted(folder.glob("*.parquet")) for folder in folders)
    return next((files for files in found if files), [])


def _require_all(files: list[Path]) -> None:
    """Raise `DataError` where names say that there are more files: train-00001-of-00003.parquet alone lacks two."""
    there: dict[tuple[str, str, str], set[int]] = {}
    for file in files:
        if match := _COUNTED.match(file.name):
            before, number, total = match.groups()
            there.setdefault((before, total, f"0{len(number)}d"), set()).add(int(number))
    missing = []
    for (before, total, digits), numbers in there.items():
        first = int(int(total) in numbers)  # some count from 1
        wanted = set(range(first, first + int(total)))
        missing += [f"{before}{number:{digits}}-of-{total}.parquet" for number in sorted(wanted - numbers)]
    if missing:
        raise DataError(
            f"{files[0].parent} lacks {len(missing)} of the files that the names of the others count: "
            f"{', '.join(missing[:_NAMED])}{' ...' if len(missing) > _NAMED else ''}. "
            "Fetch them, or give the path of one file."
        )


def _split(path: Path) -> str:
    """From `train-00000-of-00001.parquet` or `train.parquet`; nothing for other names."""
    word = re.split(r"[-_.]", path.stem)[0].lower()
    return SPLIT_ALIASES.get(word, "")


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError("pyarrow", "Reading or writing parquet files", "parquet") from error
    return pyarrow
