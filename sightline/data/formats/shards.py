"""Shards: pictures and what is known of them in a few large tar files, as the WebDataset library reads them, with an index.

    DATA/shards.json            what it is: the class names, and each shard with its split, pictures, bytes and SHA-256
    DATA/columns.safetensors    where each picture lies, its name and SHA-256, and its class, boxes or mask, in columns
    DATA/train/000000.tar       members cat/1.jpg and cat/1.cls (the class's number), or cat/1.json (boxes), or cat/1.mask.png (labels)
    DATA/val/000000.tar

DATA may be an address: http:// and https:// on any server that answers ranges of bytes, s3:// and gs:// by fsspec. Nothing is ever
unpacked. Pictures are in a random order, so that a shard is a sample of its split. Data without splits lies in a folder `pictures`.
"""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from sightline.data.addresses import address_of, local_path
from sightline.data.annotations import Annotations, ClassLabels, Objects
from sightline.data.folders import Folder, folder_at
from sightline.data.index import SPLITS, Index
from sightline.data.masks import Masks
from sightline.data.members import Members, Spans
from sightline.data.names import Names
from sightline.data.shards import ShardMasks, ShardPictures
from sightline.errors import DataError
from sightline.files import sha256

NAME = "shards"
DESCRIPTION = "shards.json"
COLUMNS = "columns.safetensors"
UNDIVIDED = "pictures"
"""The folder of shards of data without splits."""
VERSION = 1
KINDS: dict[type[Annotations], str] = {ClassLabels: "classes", Objects: "boxes", Masks: "masks"}
"""What pictures have -> what `DESCRIPTION` calls it."""
OBJECT_COLUMNS = ("boxes", "labels", "crowd", "difficult", "areas")

_MOST_DESCRIBED = 64 * 2**20
_MOST_COLUMNS = 16 * 2**30
_FILE = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_.-]+\.tar")
_Columns = dict[str, NDArray[Any]]


def recognises(path: Path) -> bool:
    """Whether `path` is a folder of shards with their index, or the index."""
    return (path / DESCRIPTION).is_file() if path.is_dir() else path.name == DESCRIPTION and path.is_file()


def is_sharded(path: Path | str) -> bool:
    """Whether only shards can be meant by `path`: it is a folder of them, or an address."""
    return address_of(path) is not None or recognises(local_path(path))


def read(path: Path | str) -> Index:
    """The data set at `path`, a folder or an address; raises `DataError`. No shard is opened before a picture is asked for."""
    if PurePosixPath(str(path)).name == DESCRIPTION:
        path = Path(path).parent
    folder = folder_at(path)
    described = _described(folder, path)
    columns = _columns(folder, path, described)
    try:
        return _index(path, described, columns)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path}: {DESCRIPTION} and {COLUMNS} do not fit each other ({error!r}). {_WRITE_AGAIN}"
        ) from error


_WRITE_AGAIN = "Write the shards again: sightline shard DATA OUT"


def _index(path: Path | str, described: dict[str, Any], columns: _Columns) -> Index:
    shards = [(str(shard["file"]), str(shard["split"]), int(shard["bytes"])) for shard in described["shards"]]
    for file, split, _ in shards:
        if not _FILE.fullmatch(file) or split not in (*SPLITS, ""):
            raise DataError(
                f"{path}: {DESCRIPTION} has the shard {file!r} of the split {split!r}, which is not one that is written."
            )
    class_names = tuple(map(str, described["class_names"]))
    sizes = np.array([size for *_, size in shards], np.int64)
    places = _places(path, columns, "", sizes)
    masks = _places(path, columns, "mask_", sizes) if described["annotations"] == "masks" else None
    names = Names.of(columns["letters"], columns["ends"])
    if len(names) != len(places):
        raise ValueError(f"{len(names)} names of {len(places)} pictures")
    members = Members(path, [file for file, *_ in shards], [str(shard["sha256"]) for shard in described["shards"]])
    split_of = np.array([SPLITS.index(split) if split else -1 for _, split, _ in shards], np.int64)[places.shards]
    splits = {split: np.flatnonzero(split_of == at) for at, split in enumerate(SPLITS)}
    return Index(
        source=ShardPictures(members, places, names, masks),
        annotations=_annotations(
            described["annotations"], columns, ShardMasks(members, masks, names, len(class_names)) if masks else None
        ),
        class_names=class_names,
        splits={split: held for split, held in splits.items() if len(held)},
        format=NAME,
    )


def _annotations(kind: str, columns: _Columns, masks: ShardMasks | None) -> Annotations:
    if masks is not None:
        return Masks(masks)
    if kind == "classes":
        return ClassLabels(columns["labels"])
    if kind == "boxes":
        return Objects(offsets=columns["offsets"], **{name: columns[name] for name in OBJECT_COLUMNS})
    raise ValueError(f"annotations of the kind {kind!r}")


def _described(folder: Folder, path: Path | str) -> dict[str, Any]:
    try:
        described = json.loads(folder.whole(DESCRIPTION, _MOST_DESCRIBED))
    except OSError as error:
        raise DataError(
            f"{path}: {DESCRIPTION}, the index of shards, cannot be read ({error.strerror or error})."
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: {DESCRIPTION} is no JSON ({error}). {_WRITE_AGAIN}") from error
    if not isinstance(described, dict) or described.get("sightline_shards") != VERSION:
        held = described.get("sightline_shards") if isinstance(described, dict) else None
        raise DataError(
            f"{path}: {DESCRIPTION} says that these are shards of the version {held!r}; this Sightline reads version {VERSION}. "
            "Update it, or write the shards again."
        )
    return described


def _columns(folder: Folder, path: Path | str, described: dict[str, Any]) -> _Columns:
    try:
        content = folder.whole(COLUMNS, _MOST_COLUMNS)
    except OSError as error:
        raise DataError(f"{path}: {COLUMNS} cannot be read ({error.strerror or error}).") from error
    if sha256(content) != described.get("columns_sha256"):
        raise DataError(
            f"{path}: {COLUMNS} is not the one that {DESCRIPTION} was written with (its SHA-256 differs): it is damaged, or of "
            "another data set. Fetch both files again."
        )
    try:
        columns: _Columns = safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise DataError(f"{path}: {COLUMNS} cannot be read ({error}). {_WRITE_AGAIN}") from error
    return columns


def _places(path: Path | str, columns: _Columns, prefix: str, sizes: NDArray[np.int64]) -> Spans:
    shards, starts = columns["shards"], columns[f"{prefix}starts"]
    lengths, hashes = columns[f"{prefix}lengths"], columns[f"{prefix}hashes"]
    if not starts.shape == lengths.shape == shards.shape == (len(hashes),) or hashes.shape[1:] != (32,):
        raise ValueError("columns of unequal lengths")
    ends = sizes[shards]
    if len(shards) and (shards.min() < 0 or starts.min() < 0 or lengths.min() < 0 or (starts > ends - lengths).any()):
        raise DataError(f"{path}: {COLUMNS} says of a picture that it lies outside its shard. {_WRITE_AGAIN}")
    return Spans(shards=shards, starts=starts, lengths=lengths, hashes=hashes)
