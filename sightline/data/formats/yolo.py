"""YOLO: a text file for each picture, and in it a line for each box: class, centre x and y, width and height as shares of the picture.

    DATA/data.yaml                class names, and where train, val and test are (see `yolo_config`)
    DATA/images/train/1.jpg       or DATA/train/images/1.jpg
    DATA/labels/train/1.txt       its path with `labels` for the last `images`; without such a folder it lies beside the picture

Without a YAML file the splits are folders named so, or the lists train.txt, val.txt, test.txt, and the class names are in classes.txt or
in a file that ends in .names, or in a classes.txt beside the label files; without these, classes are called by their numbers. A picture
without a label file is one without objects.
Lines that begin with # are comments.

A line with three points or more instead, as for outlines, becomes the box around them. Shares refer to the upright picture, whose
size is read from its header. There are no crowds and no difficult objects in this format.
"""

from itertools import islice
from pathlib import Path

import numpy as np
import yaml

from sightline.data.annotation_faults import Concern
from sightline.data.annotations import Objects
from sightline.data.counted import counted
from sightline.data.formats.boxes import Floats, Found
from sightline.data.formats.copying import Copies, require_new, require_plain_names
from sightline.data.formats.pictures import (
    folders_in,
    is_picture,
    required_names,
    split_lists,
    split_of,
)
from sightline.data.formats.yolo_config import ENDINGS, Config, is_config, read_config
from sightline.data.formats.yolo_labels import PATTERN, Labels, is_label_file, label_file
from sightline.data.formats.yolo_splits import first_listed, pictures_of
from sightline.data.index import Index
from sightline.errors import DataError
from sightline.files import storage_error, write_atomic

NAME = "yolo"
_LOOKED_AT = 100
"""Files in a folder `labels` that are looked at to tell whether they are label files."""


def recognises(path: Path) -> bool:
    """Whether `path` is a YAML file of a data set or a folder with one, or a folder with label files where YOLO has them."""
    if not path.is_dir():
        return is_config(path)
    return bool(_configs(path)) or any(
        _holds_labels(source, path) for held in _sources(path).values() for source in held
    )


def read(path: Path) -> Index:
    """The data set at `path`; raises `DataError` with file and line. What is wrong with single lines is in its `faults`."""
    is_other_file = path.is_file() and path.suffix.lower() not in ENDINGS
    config = Config(path) if is_other_file else _config(path)
    root, sources = config.root, config.sources or _sources(config.root)
    if not sources:
        raise DataError(f"{path} holds no YOLO data set: expected data.yaml, or the folders images and labels.")
    found = Found(root, where=lambda file, line: f"{file} line {line}", relative=True)
    found.unread["YAML file", "YAML files"].update(config.unread)
    for line, kind in config.faults:
        found.note_fault(line, Concern(kind))
    labels = Labels(found, config)
    for picture, split in pictures_of(sources, found).items():
        labels.add(picture, split)
    labels.require_named()
    labels.without_pictures()
    names = config.names or {int(name): name for name in found.classes}
    notes = [*config.notes, *labels.notes()]
    if config.names is None:
        notes.append("No file names the classes; they are called by their numbers.")
    return found.index(NAME, list(dict.fromkeys(names[number] for number in sorted(names))), _edges, *notes)


def write(index: Index, path: Path) -> tuple[str, ...]:
    """Write an index of boxes as a YOLO data set into `path`, new or empty; what the format cannot hold, one text each.

    Pictures are copied as they are. Crowds are left out: as ordinary boxes they would teach something wrong.
    """
    objects = index.annotations
    if not isinstance(objects, Objects):
        raise DataError(f"The data set ({index.format}) has no boxes: a YOLO data set of this kind is one of boxes.")
    require_new(path)
    require_plain_names(index)
    copies = Copies(index, lambda split, _: path / "images" / split)
    try:
        for copied in copies:
            own = objects.rows(copied.position)
            kept = ~objects.crowd[own]
            edges = objects.boxes[own][kept].astype(np.float64) / np.tile(copied.size(), 2)
            boxes = np.concatenate([(edges[:, :2] + edges[:, 2:]) / 2, edges[:, 2:] - edges[:, :2]], axis=1)
            lines = [
                f"{label} {' '.join(f'{share:.7f}' for share in box)}\n"
                for label, box in zip(objects.labels[own][kept].tolist(), boxes.tolist(), strict=True)
            ]
            file = label_file(copied.path, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes("".join(lines).encode())
    except OSError as error:
        raise storage_error(path, error) from error
    # Without `path` the folder of this file counts; other programs look for "." in a folder of their own.
    sources = {split: f"images/{split}" for split in copies.splits if split} or {"path": "."}
    content = {**sources, "names": dict(enumerate(index.class_names))}
    write_atomic(path / "data.yaml", yaml.safe_dump(content, allow_unicode=True, sort_keys=False).encode())
    rows = objects.rows_of(copies.positions)
    crowds, difficult = int(objects.crowd[rows].sum()), int((objects.difficult & ~objects.crowd)[rows].sum())
    one, several = "difficult object is written as an ordinary one", "difficult objects are written as ordinary ones"
    written_as = counted(difficult, one, several)
    lost = {
        f"{counted(crowds, 'crowd is', 'crowds are')} left out: YOLO has no sign for them.": crowds,
        f"{written_as}.": difficult,
        "Areas of outlines are not written: YOLO has those of boxes only.": not objects.areas_are_of_boxes(rows),
    }
    return (*copies.lost(), *(text for text, applies in lost.items() if applies))


def _edges(raw: Floats, size: Floats) -> Floats:
    """Centre and sides as shares, to edges in pixels."""
    half = raw[:, 2:] / 2
    return np.concatenate([(raw[:, :2] - half) * size, (raw[:, :2] + half) * size], axis=1)


def _configs(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in ENDINGS and is_config(file)]


def _config(path: Path) -> Config:
    """From the YAML file, or from what lies about."""
    files = [path] if path.is_file() else _configs(path) if path.is_dir() else []
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DataError(f"{path} holds several descriptions of a YOLO data set: {names}. Give the path of one.")
    if files:
        return read_config(files[0])
    return Config(path.resolve(), names=_listed_names(path.resolve()))


def _listed_names(root: Path) -> dict[int, str] | None:
    """Class number -> name, from the text files that name them; raises `DataError` where those of two folders differ."""
    lists = [root / "classes.txt", root / "labels" / "classes.txt", *sorted(root.glob("*.names"))]
    there = [file for file in lists if file.is_file()][:1] or _beside_labels(root)
    names = {file: required_names(file) for file in there}
    most = max(names.values(), key=len, default=())
    for file, own in names.items():
        if (
            own != most[: len(own)]
        ):  # a list that goes on longer is of later: programs add the classes as they are drawn
            number = next(number for number, name in enumerate(own) if name != most[number])
            other = next(other for other in names if names[other] == most)
            raise DataError(
                f"{file} line {number + 1}: the class {number} is called {own[number]!r} here, and {most[number]!r} in {other}. "
                f"Which is right cannot be told: put one list for all label files into {root / 'classes.txt'}, once their numbers agree."
            )
    return dict(enumerate(most)) or None


def _beside_labels(root: Path) -> list[Path]:
    """The files classes.txt that lie beside label files or pictures, or the folders of both, as LabelImg writes them."""
    folders: dict[Path, None] = {}
    for source in (source for held in _sources(root).values() for source in held if source.is_dir()):
        near = (label_file(source / "1.jpg", root).parent, source, source.parent)
        folders |= dict.fromkeys(folder for folder in near if folder.is_relative_to(root))
    return [folder / "classes.txt" for folder in folders if (folder / "classes.txt").is_file()]


def _sources(root: Path) -> dict[str, list[Path]]:
    """Split -> folders with pictures, or lists of them, where no YAML file says it."""
    inside = folders_in(root)
    splits = {folder: split_of(name) for name, folder in inside.items() if split_of(name)}
    if "images" in inside:
        below_images = folders_in(inside["images"])
        found = [(split_of(name), folder) for name, folder in below_images.items() if split_of(name)]
        found = found or split_lists(root) or [("", inside["images"])]
    else:
        found = [(split, folder / "images") for folder, split in splits.items() if (folder / "images").is_dir()]
        found = found or [(split, folder) for folder, split in splits.items()] or [("", root)] * root.is_dir()
    return {split: [folder for held, folder in found if held == split] for split in dict.fromkeys(s for s, _ in found)}


def _holds_labels(source: Path, root: Path) -> bool:
    """Whether there are label files for the pictures in a folder, or in that of the first picture of a list."""
    if source.is_file():
        first = first_listed(source, root)
        if first is None:
            return False
        source = first.parent
    folder = label_file(source / "1.jpg", root).parent
    if folder == source:  # beside the pictures there may be other tables of numbers
        texts = list(source.glob(PATTERN))
        stems = {path.stem for path in source.iterdir() if is_picture(path.name)} if texts else ()
        return any(is_label_file(file) for file in texts if file.stem in stems)
    return any(is_label_file(file) for file in islice(folder.rglob(PATTERN), _LOOKED_AT))
