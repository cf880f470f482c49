"""COCO's outlines as a class for each pixel. The files are those that `coco` reads for their boxes.

What is in no object is `background`, class 0; the categories follow in the order of their ids, and one that is itself called
background is that class. Where objects lie over each other the one with fewer pixels is on top. A crowd (`iscrowd` 1) has its class's
label like any other object. Pictures without annotations are background all over.

The `segmentation` of an annotation is one of

    [[x, y, x, y, x, y, ...], ...]                   polygons, in pixels from the left and upper edge
    {"counts": [n, n, ...], "size": [h, w]}          run lengths down the columns, outside and inside in turn
    {"counts": "a string", "size": [h, w]}           the same, as `pycocotools` packs them

An annotation without one, or with one that cannot be used, is left out with a line that names file and id. Masks are drawn when they
are asked for (`outlines`), in the size that the file gives of the picture; one of another size than its picture is found by the check
before training.
"""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.data.counted import counted
from sightline.data.decode import picture_size
from sightline.data.formats.coco_files import files_of
from sightline.data.formats.coco_json import Entry, Tables, WrongError, read_files, write_files
from sightline.data.formats.copying import Copies, require_new, require_plain_names
from sightline.data.formats.found import FoundPictures
from sightline.data.formats.pictures import below
from sightline.data.index import Index
from sightline.data.masks import MOST_CLASSES, Masks
from sightline.data.outlines import Cutout, OutlineMasks, Outlines, Size, runs_of
from sightline.errors import DataError, ImageError
from sightline.files import storage_error
from sightline.structures import IGNORED

NAME = "coco masks"
_KEYS = {"id", "image_id", "category_id", "segmentation", "bbox", "area"}
"""Those of annotations that are read, or follow from what is."""
BACKGROUND = "background"
OVERHANG = 1.0
"""Pixels by which an outline may reach over the edge of its picture without being mentioned: tools round."""
_ABSENT = "it has no outline"
_SHOWN = 60
_LONGEST_NUMBER = 7
"""Characters of a packed run length, of five bits each: no picture has longer runs."""


def read(path: Path) -> Index:
    """The data set at `path`; raises `DataError` with line and column for what is no JSON, and for too many categories.

    Bad outlines are in its `faults`.
    """
    root, files, others = files_of(path)
    found = FoundPictures(root, object_kind="bad outline")
    read_from = ", ".join(file.name for file in files)
    found.ignored += [f"{below(other, root)}: the outlines come from {read_from}" for other in others]
    objects = _Objects(found)
    class_names, absent = read_files(found, files, objects.keep, objects.take, {}, keys=_KEYS)
    found.require_pictures(NAME)
    names = (BACKGROUND, *(name for name in class_names if name != BACKGROUND))
    if len(names) > MOST_CLASSES:
        raise DataError(
            f"{path} has {len(names) - 1} categories; masks can tell {MOST_CLASSES - 1} apart, beside the {BACKGROUND}. "
            f"Read it for its boxes (--format coco), or leave categories out."
        )
    looked_at = len(objects.number) + found.bad_objects
    index = found.with_annotations(NAME, Masks(objects.masks(names)), names, looked_at, "outlines")
    reach = counted(
        objects.over, "outline reaches over the edge of its picture", "outlines reach over the edges of their pictures"
    )
    over = [f"{reach} by more than {OVERHANG:g} px, and {'is' if objects.over == 1 else 'are'} cut there."]
    return index.divided(index.splits, *absent, *found.notes, *(over if objects.over else []))


def write(index: Index, path: Path) -> tuple[str, ...]:
    """Write an index of masks as a COCO data set into `path`, new or empty; what the format cannot hold, one text each.

    Outlines are written as they are, other masks as run lengths, an object for each class in a picture. Raises `DataError` for
    pictures without masks, and for masks that have not the size of their pictures.
    """
    masks = index.annotations
    if not isinstance(masks, Masks):
        raise DataError(f"The data set ({index.format}) has no masks: these outlines are a class for each pixel.")
    if len({BACKGROUND, *index.class_names}) > MOST_CLASSES:
        raise DataError(f"With {BACKGROUND!r}, which COCO's outlines add, there are more than {MOST_CLASSES} classes.")
    require_new(path)
    require_plain_names(index)
    copies = Copies(index, lambda split, _: path / (split or "images"), by_stem=False)
    tables: Tables = {split: ([], []) for split in copies.splits}
    ignored = 0
    try:
        for copied in copies:
            images, annotations = tables[copied.split]
            width, height = copied.size()
            images.append({"id": len(images) + 1, "file_name": copied.name, "width": width, "height": height})
            for label, cutout, segmentation in _drawn(masks, copied.position, (height, width), index.class_names):
                if label == IGNORED:
                    ignored += int(cutout.inside.sum())
                    continue
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": len(images),
                        "category_id": label + 1,
                        "segmentation": segmentation,
                        **_extent(cutout),
                        "iscrowd": 0,
                    }
                )
    except OSError as error:
        raise storage_error(path, error) from error
    used = {annotation["category_id"] for _, annotations in tables.values() for annotation in annotations}
    categories = [
        {"id": number, "name": name}
        for number, name in enumerate(index.class_names, start=1)
        if name != BACKGROUND or number in used
    ]
    write_files(path, tables, categories)
    lost = copies.lost()
    if index.class_names[:1] != (BACKGROUND,):
        lost.append(f"Class 0 of COCO's outlines is {BACKGROUND}; the other classes follow it.")
    if ignored:
        become = counted(ignored, "pixel that is ignored becomes", "pixels that are ignored become")
        lost.append(f"{become} {BACKGROUND}: COCO has no sign for what is ignored.")
    return tuple(lost)


def _drawn(
    masks: Masks, position: int, size: Size, class_names: Sequence[str]
) -> Iterator[tuple[int, Cutout, list[Any] | dict[str, Any]]]:
    """Label, pixels and outline of each object in a picture, without background; raises `ImageError` for a mask of another size."""
    source = masks.source
    if isinstance(source, OutlineMasks):
        _require_size(source.sizes[position].tolist(), size, source.name(position))
        for row in range(*source.offsets[position : position + 2].tolist()):
            number, label = int(source.numbers[row]), int(source.labels[row])
            polygons = [polygon.ravel().tolist() for polygon in source.outlines.polygons(number)]
            segmentation = polygons or _packed(source.outlines.runs(number), size)
            yield (
                label if masks.mapping is None else int(masks.mapping[label]),
                source.outlines.cutout(number, size),
                segmentation,
            )
        return
    mask = masks.target(position).mask.numpy()
    _require_size(list(mask.shape), size, source.name(position))
    for label in np.unique(mask).tolist():
        if label == IGNORED or class_names[label] != BACKGROUND:
            inside = mask == label
            yield label, Cutout(0, 0, inside), _packed(runs_of(inside), size)


def _require_size(found: list[int], size: Size, name: str) -> None:
    if tuple(found) != size:
        raise ImageError(
            f"{name}: its mask has {found[1]} x {found[0]} pixels, and the picture {size[1]} x {size[0]}. Correct the mask."
        )


def _packed(runs: NDArray[np.int64], size: Size) -> dict[str, Any]:
    return {"counts": runs.tolist(), "size": list(size)}


def _extent(cutout: Cutout) -> dict[str, Any]:
    """The box around the pixels of an object, and how many there are."""
    rows, columns = np.flatnonzero(cutout.inside.any(1)), np.flatnonzero(cutout.inside.any(0))
    if not len(rows):  # an outline between the centres of pixels
        return {"bbox": [cutout.left, cutout.top, 0, 0], "area": 0}
    box = [columns[0] + cutout.left, rows[0] + cutout.top, np.ptp(columns) + 1, np.ptp(rows) + 1]
    return {"bbox": [int(number) for number in box], "area": int(cutout.inside.sum())}


class _Kept(NamedTuple):
    """What stays of an outline while its file is parsed."""

    number: int
    """In the `Outlines`."""
    size: Size | None
    """Height and width of the picture that run lengths are of; None for polygons."""
    box: tuple[float, ...]
    """Left, top, right, bottom of the corners, or of that picture."""


class _Objects:
    """The objects as they are found, M of them in columns."""

    def __init__(self, found: FoundPictures) -> None:
        self.found = found
        self.outlines = Outlines()
        self.picture, self.label, self.number = array("q"), array("q"), array("q")
        self.over = 0
        """Those that reach over the edges of their pictures."""
        self._sizes: dict[int, Size] = {}

    def keep(self, segmentation: Any) -> _Kept | str:
        """The outline, or why it cannot be used."""
        try:
            if isinstance(segmentation, dict):
                runs, (height, width) = _runs(segmentation)
                return _Kept(self.outlines.add_runs(runs), (height, width), (0, 0, width, height))
            polygons = _polygons(segmentation)
        except WrongError as wrong:
            return str(wrong)
        corners = np.concatenate(polygons)
        box = (*corners.min(0).tolist(), *corners.max(0).tolist())
        return _Kept(self.outlines.add_polygons(polygons), None, box)

    def take(self, entry: Entry) -> None:
        """Add an object to its picture; raises `WrongError`."""
        kept: _Kept | str = entry.row.get("segmentation", _ABSENT)
        if isinstance(kept, str):
            raise WrongError(kept)
        height, width = size = self.size(entry.picture)
        if all(size):
            left, top, right, bottom = kept.box
            shown = f"{width} x {height} pixels"
            if kept.size and kept.size != size:
                raise WrongError(
                    f"its run lengths are of {kept.size[1]} x {kept.size[0]} pixels, and its picture of {shown}"
                )
            if right <= 0 or bottom <= 0 or left >= width or top >= height:
                raise WrongError(f"it lies outside its picture of {shown}")
            self.over += min(left, top, width - right, height - bottom) < -OVERHANG
        self.picture.append(entry.picture)
        self.label.append(self.found.class_number(entry.category))
        self.number.append(kept.number)

    def size(self, position: int) -> Size:
        """Of a picture, as its file gives it, else as it is; (0, 0) for one that cannot be read."""
        if position not in self._sizes:
            found = self.found
            width, height = (found.claims.get(position) or picture_size(found.root / found.names[position]) or (0, 0))[
                :2
            ]
            self._sizes[position] = height, width
        return self._sizes[position]

    def masks(self, class_names: Sequence[str]) -> OutlineMasks:
        """All that was taken, of the pictures that were found."""
        mapping = np.array([class_names.index(name) for name in self.found.classes], np.uint8)
        picture = np.array(self.picture, np.int64)
        order = np.argsort(picture, kind="stable")
        positions = range(len(self.found.names))
        claims = self.found.claims
        places = [f"{file}: {name}" for file, name in zip(self.found.files, self.found.names, strict=True)]
        return OutlineMasks(
            self.outlines,
            offsets=np.searchsorted(picture[order], np.arange(len(positions) + 1)).astype(np.int64),
            labels=mapping[np.array(self.label, np.int64)[order]],
            numbers=np.array(self.number, np.int64)[order],
            sizes=np.array([self.size(position) for position in positions], np.int64),
            names=[claims[position][2] if position in claims else places[position] for position in positions],
        )


def _polygons(segmentation: Any) -> list[NDArray[np.float64]]:
    """(P, 2) for each; raises `WrongError`."""
    if segmentation is None or segmentation == []:
        raise WrongError(_ABSENT)
    if not isinstance(segmentation, list):
        raise WrongError(f"expected polygons or run lengths as its segmentation, got {_clipped(segmentation)}")
    polygons = [_numbers(part, "a polygon") for part in segmentation]
    for polygon in polygons:
        if len(polygon) % 2:
            raise WrongError(f"a polygon has an odd number of coordinates, {len(polygon)}")
        if len(polygon) < 6:
            raise WrongError(f"a polygon has {len(polygon) // 2} points, and 3 are the least")
        with np.errstate(over="ignore"):
            if not np.isfinite(polygon.astype(np.float32)).all():
                raise WrongError("a coordinate of a polygon is not finite")
    corners = [polygon.astype(np.float64).reshape(-1, 2) for polygon in polygons]
    if not np.ptp(np.concatenate(corners), axis=0).all():
        raise WrongError("its polygon has no area")
    return corners


def _runs(segmentation: dict[str, Any]) -> tuple[NDArray[np.int64], Size]:
    """Run lengths, and the height and width of their picture; raises `WrongError`."""
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and 0 < side < 2**31 for side in size):
        raise WrongError(f"expected a height and a width as the size of its run lengths, got {size!r}")
    pixels = size[0] * size[1]
    numbers = _unpacked(counts) if isinstance(counts, str) else _numbers(counts, "its run lengths")
    if numbers.dtype.kind == "f" and len(numbers):
        raise WrongError("expected whole numbers as its run lengths")
    if (numbers < 0).any() or (numbers > pixels).any() or numbers.sum() != pixels:
        raise WrongError(
            f"its run lengths add up to {sum(numbers.tolist())}, and its size of {size[1]} x {size[0]} to {pixels}"
            if (numbers >= 0).all()
            else "its run lengths are below 0"
        )
    if not numbers[1::2].any():
        raise WrongError("its run lengths hold no pixel")
    return numbers.astype(np.int64), (size[0], size[1])


def _numbers(value: Any, what: str) -> NDArray[np.number]:
    """A list of numbers as an array."""
    try:
        numbers = np.array(value if isinstance(value, list) else None)
    except (ValueError, OverflowError):
        numbers = np.array(None)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf":
        raise WrongError(f"expected a list of numbers as {what}, got {_clipped(value)}")
    return numbers


def _clipped(value: Any) -> str:
    """A value in words: a segmentation may be as long as a book."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]} ..."


def _unpacked(text: str) -> NDArray[np.int64]:
    """Run lengths from the string of `pycocotools`; raises `WrongError`.

    Each number is characters from "0" on with five bits each, the lowest first, and a sixth bit that says that more follow; the fifth
    bit of the last one is the sign. From the fourth number on, it is what to add to the number two before it.

    >>> _unpacked("52203").tolist()
    [5, 2, 2, 2, 5]
    """
    values = np.array([ord(character) for character in text], np.int64) - ord("0")
    if not len(values) or values.min() < 0 or values.max() >= 64 or values[-1] & 32:
        raise WrongError("its packed run lengths are cut short, or are none")
    last = np.flatnonzero(values & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if lengths.max() > _LONGEST_NUMBER:
        raise WrongError(f"a number of its packed run lengths has {lengths.max()} characters")
    places = 5 * (np.arange(len(values)) - np.repeat(first, lengths))
    runs = np.add.reduceat((values & 31) << places, first)
    runs -= np.where(values[last] & 16, 1 << 5 * lengths, 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return np.asarray(runs, np.int64)
