"""MNIST's files: pictures and labels in two IDX files a split, usually compressed with gzip.

    train-images-idx3-ubyte.gz   train-labels-idx1-ubyte.gz      the train split
    t10k-images-idx3-ubyte.gz    t10k-labels-idx1-ubyte.gz       the test split

An IDX file is a magic number (two zero bytes, the kind of value, the number of dimensions), the length of each dimension as a
big-endian 32-bit integer, and the values. Classes are named after their numbers; those that no picture has are no classes. There is
nothing else to read in such a folder.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sightline.data.annotation_faults import FaultsFound
from sightline.data.annotations import ClassLabels
from sightline.data.counted import counted
from sightline.data.formats.copying import numbered_anew, require_new, unwritten, written_splits
from sightline.data.index import Index
from sightline.data.sources import TensorSource
from sightline.errors import DataError
from sightline.files import storage_error

NAME = "idx"
LIMIT = 4 * 2**30
"""Most bytes that one file may decompress to."""
_SPLITS = {"train": "train", "val": "val", "test": "test", "t10k": "test"}
_UNSIGNED_BYTE = 0x08
_NAMED = 20
_GZIP = 31
"""What zlib calls a stream with gzip's header."""


def recognises(path: Path) -> bool:
    """Whether `path` is a folder with a pictures file."""
    return path.is_dir() and any(_file(path, prefix, "images", 3) for prefix in _SPLITS)


def read(path: Path) -> Index:
    """The data set in the folder `path`, held in memory; raises `DataError`."""
    images: list[NDArray[np.uint8]] = []
    labels: list[NDArray[np.uint8]] = []
    names: list[str] = []
    splits: dict[str, NDArray[np.int64]] = {}
    found = FaultsFound()
    for prefix, split in _SPLITS.items():
        images_path = _file(path, prefix, "images", 3) if path.is_dir() else None
        if images_path is None:
            continue
        labels_path = _file(path, prefix, "labels", 1)
        if labels_path is None:
            raise DataError(
                f"{images_path} has no labels: expected {prefix}-labels-idx1-ubyte.gz beside it. Fetch it too."
            )
        if split in splits:
            raise DataError(f"{path} has two pictures files for the {split} split. Keep one.")
        pictures, announced = _pictures(images_path, found)
        of_split, count = read_array(labels_path, 1), len(pictures)
        if len(of_split) != announced:
            raise DataError(
                f"{labels_path} has {len(of_split)} labels for {announced} pictures in {images_path.name}: which is whose cannot be told. "
                "Fetch both again."
            )
        images.append(pictures)
        labels.append(of_split[:count])
        splits[split] = np.arange(len(names), len(names) + count)
        names += [f"{images_path.name} picture {number}" for number in range(count)]
    if not names:
        raise DataError(
            f"{path} holds no IDX pictures: expected train-images-idx3-ubyte.gz or t10k-images-idx3-ubyte.gz."
        )
    sizes = {array.shape[1:] for array in images}
    if len(sizes) > 1:
        raise DataError(f"{path}: the splits have pictures of different sizes, {sorted(sizes)}.")
    numbers, together = np.unique(np.concatenate(labels), return_inverse=True)
    return Index(
        source=TensorSource(torch.from_numpy(np.concatenate(images))[:, None], names),
        annotations=ClassLabels(together.astype(np.int64)),
        class_names=tuple(map(str, numbers.tolist())),
        splits=splits,
        format=NAME,
        faults=found.of(len(names)),
    )


def write(index: Index, path: Path) -> tuple[str, ...]:
    """Write an index of pictures of one size into `path`, new or empty; what the format cannot hold, one text each.

    Colours become the grey that they look like. Raises `DataError` for pictures with boxes or masks, of several sizes, or of more
    than 256 classes.
    """
    if not isinstance(index.annotations, ClassLabels):
        raise DataError(f"IDX files have one class for each picture, and this data set ({index.format}) has none.")
    if len(index.class_names) > 256:
        raise DataError(
            f"IDX files number 256 classes, and this data set ({index.format}) has {len(index.class_names)}."
        )
    require_new(path)
    splits = written_splits(index)
    size = tuple(index.source.image(int(next(iter(splits.values()))[0])).shape[1:])
    coloured, numbers = 0, _numbers(index.class_names)
    try:
        path.mkdir(parents=True, exist_ok=True)
        for split, positions in splits.items():
            prefix = {"": "train", "test": "t10k"}.get(split, split)
            labels = numbers[index.labels[positions]]
            with _new(path / f"{prefix}-labels-idx1-ubyte.gz", (len(labels),)) as file:
                file.write(labels.tobytes())
            with _new(path / f"{prefix}-images-idx3-ubyte.gz", (len(labels), *size)) as file:
                for position in positions.tolist():
                    grey, in_colour = _grey(index, position, size)
                    file.write(grey.tobytes())
                    coloured += in_colour
    except OSError as error:
        raise storage_error(path, error) from error
    return tuple(_lost(index, coloured, np.concatenate(list(splits.values()))))


def read_array(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The uint8 array in an IDX file, compressed if its name ends in .gz; raises `DataError`.

    The size that the header announces is checked before anything is decompressed.
    """
    return _whole(path, *_content(path, dimensions))


def _whole(path: Path, shape: tuple[int, ...], content: bytes) -> NDArray[np.uint8]:
    """The values as an array; raises `DataError` when there are not as many as the file announces."""
    expected = math.prod(shape)
    if len(content) != expected:
        got = f"{len(content):,}" if len(content) < expected else "more"
        raise DataError(
            f"{path} announces {' x '.join(map(str, shape))} = {expected:,} values and holds {got}. Fetch it again."
        )
    return np.frombuffer(bytearray(content), np.uint8).reshape(shape)


def _pictures(path: Path, found: FaultsFound) -> tuple[NDArray[np.uint8], int]:
    """Those in a file, and how many it announces; of one that was cut short, those before the cut, and the others are noted."""
    shape, content = _content(path, 3)
    announced, one = shape[0], math.prod(shape[1:])
    whole = len(content) // one
    if not 0 < whole < announced:
        return _whole(path, shape, content), announced
    lost = counted(announced - whole, "picture is", "pictures are")
    line = f"{path.name}: it announces {announced} pictures and ends after {whole}; {lost} left out. Fetch it again."
    found.add("broken file", line, count=announced - whole)
    return np.frombuffer(bytearray(content[: whole * one]), np.uint8).reshape(whole, *shape[1:]), announced


def _content(path: Path, dimensions: int) -> tuple[tuple[int, ...], bytes]:
    """The shape that a file announces, and its values: fewer where it was cut short, one more where it holds more."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            shape = _header(path, cast(BinaryIO, file), dimensions)
            expected = math.prod(shape)
            if expected > LIMIT:
                raise DataError(f"{path} announces {expected:,} bytes of values, more than the limit of {LIMIT:,}.")
            try:
                return shape, file.read(expected + 1)
            except EOFError:  # the stream ends early; all that is before its end is good
                start = 4 + 4 * dimensions
                unpacked = zlib.decompressobj(_GZIP).decompress(path.read_bytes(), start + expected)
                return shape, unpacked[start:]
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}). It may be incomplete: fetch it again.") from error


def _new(path: Path, shape: tuple[int, ...]) -> gzip.GzipFile:
    """A file of that name with a header for so many values, to write them into."""
    if math.prod(shape) > LIMIT:
        raise DataError(f"{path.name} would hold {math.prod(shape):,} bytes of values; {LIMIT:,} can be read again.")
    file = gzip.GzipFile(path, "wb", mtime=0)  # no time in it: the same pictures make the same file
    file.write(bytes((0, 0, _UNSIGNED_BYTE, len(shape))) + struct.pack(f">{len(shape)}I", *shape))
    return file


def _grey(index: Index, position: int, size: tuple[int, ...]) -> tuple[NDArray[np.uint8], bool]:
    """A picture (H, W) without its colours, and whether it had some."""
    picture = index.source.image(position).numpy()
    if picture.shape[1:] != size:
        (height, width), here = size, picture.shape[1:]
        raise DataError(
            f"{index.source.name(position)} has {here[1]} x {here[0]} pixels, and the first picture {width} x {height}: IDX files hold "
            "pictures of one size. Write an image folder instead."
        )
    if (picture[:1] == picture[1:]).all():
        return picture[0], False
    # Pillow's weights of red, green and blue, those of television since 1982.
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0))).convert("L")), True


def _lost(index: Index, coloured: int, written: NDArray[np.int64]) -> Iterator[str]:
    """What is not in the files."""
    yield from unwritten(index)
    if not index.splits:
        yield "The data set has no splits; all of it is written as train."
    if coloured:
        yield f"{counted(coloured, 'picture')} had colours; only their brightness is written."
    numbers = _numbers(index.class_names).tolist()
    if index.class_names == tuple(map(str, numbers)):
        yield from numbered_anew(index)
    else:
        names = ", ".join(f"{label} {name}" for label, name in zip(numbers[:_NAMED], index.class_names, strict=False))
        more = " ..." if len(index.class_names) > _NAMED else ""
        yield f"Classes have no names in it; their numbers are {names}{more}."
    yield "Pictures have no names in it; they are called by file and number."


def _numbers(class_names: Sequence[str]) -> NDArray[np.uint8]:
    """(K,) what the classes are called in the files: their names where these are such numbers in their order, else 0..K-1."""
    numbers = [int(name) for name in class_names if name.isdecimal() and len(name) < 4]
    as_read = tuple(map(str, sorted(set(numbers)))) == tuple(class_names) and max(numbers) < 256
    return np.array(numbers if as_read else range(len(class_names)), np.uint8)


def _header(path: Path, file: BinaryIO, dimensions: int) -> tuple[int, ...]:
    """The shape that the header announces."""
    header = file.read(4 + 4 * dimensions)
    if len(header) < 4 + 4 * dimensions:
        raise DataError(f"{path} ends within its header ({len(header)} bytes). Fetch it again.")
    if header[:4] != bytes((0, 0, _UNSIGNED_BYTE, dimensions)):
        raise DataError(
            f"{path} begins with {header[:4].hex(' ')}; an IDX file of unsigned bytes in {dimensions} dimensions begins "
            f"with 00 00 08 0{dimensions}. Fetch it again, or leave the split out."
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if min(shape) == 0:
        raise DataError(f"{path} announces {' x '.join(map(str, shape))} values: it is empty.")
    return shape


def _file(folder: Path, prefix: str, content: str, dimensions: int) -> Path | None:
    """The file of that content, in any of the spellings that are about."""
    for dash in ("-", "."):
        for ending in (".gz", ""):
            path = folder / f"{prefix}-{content}{dash}idx{dimensions}-ubyte{ending}"
            if path.is_file():
                return path
    return None
