"""Pascal VOC: an XML file for each picture, with the pixels of its boxes.

    DATA/Annotations/000005.xml           also below DATA/VOCdevkit/VOC2007
    DATA/JPEGImages/000005.jpg            or `images`; or both kinds of files in one folder
    DATA/ImageSets/Main/train.txt         val.txt, test.txt, trainval.txt: names without endings, one a line
    DATA/classes.txt                      the class names in order, if wished; another name in an XML file is then a fault

Without lists, splits are folders: DATA/train/1.jpg and DATA/train/1.xml, or DATA/Annotations/train and DATA/images/train. Lists of
single classes (aeroplane_train.txt) are not read. A picture belongs to the XML file of its name, else to the one whose `filename` it is.

VOC counts pixels from 1 and includes both ends: xmin 1, xmax 3 are three pixels, whose edges are 0 and 3 in our terms. So left and top
are xmin - 1 and ymin - 1, right and bottom xmax and ymax. Many tools write edges from 0 instead. When more boxes begin at 0 than at 1,
all four numbers of the data set are taken as edges; either way it is said. A box of which both ends are one point (a click without a
drag) has no area, though VOC would call it a pixel.

Of an object `name`, `bndbox` and `difficult` count, and `iscrowd`, which `write` adds for crowds; poses, parts and outlines do not. A
size of 0 says nothing. Document types are refused: they can make an XML file of a kilobyte ask for gigabytes.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sightline.data.annotations import Objects
from sightline.data.counted import counted
from sightline.data.formats.boxes import Floats, Found
from sightline.data.formats.copying import Copies, require_new, require_plain_names
from sightline.data.formats.pictures import (
    Pictures,
    below,
    composed,
    folders_in,
    is_picture,
    read_names,
    split_lists,
    split_of,
    start_of,
    text_of,
    voc_roots,
)
from sightline.data.formats.voc_xml import SIDES, BrokenError, Reader, said_besides, written
from sightline.data.index import Index, natural_order
from sightline.errors import DataError
from sightline.files import storage_error, write_atomic

NAME = "voc"
CLASSES = "classes.txt"
_READ = ("folder", "filename", "path", "size")
"""Elements that say which picture it is, and what is read of it."""
_READ_OF_OBJECTS = ("name", "bndbox", "difficult", "iscrowd")
_ANNOTATIONS = ("annotations", "annotation", "xmls", "xml", "labels")
_PICTURES = ("jpegimages", "images", "image", "imgs", "img")
_LISTS = "ImageSets/Main"
_ANNOTATION = re.compile(rb"<annotation[\s>]")
_LOOKED_AT = 20
"""Files of a folder that are looked at to tell whether they are annotations."""


class _Place(NamedTuple):
    """A folder of XML files."""

    split: str
    annotations: Path
    pictures: tuple[Path, ...]
    """Folders in which their pictures may lie."""


def recognises(path: Path) -> bool:
    """Whether `path` is a folder with annotations in XML where VOC and its relatives have them."""
    return any(any(_places(root)) for root in voc_roots(path))


def read(path: Path) -> Index:
    """The data set in the folder `path`; raises `DataError`. What is wrong with single files and boxes is in its `faults`."""
    roots = [root for root in voc_roots(path) if any(_places(root))]
    if len(roots) != 1:
        many = f"holds several data sets: {', '.join(map(str, roots))}. Give the path of one."
        none = "holds no VOC data set: expected Annotations/*.xml and JPEGImages, or XML files beside the pictures."
        raise DataError(f"{path} {many if roots else none}")
    root = roots[0].resolve()
    found = Found(root, where=lambda file, line: f"{file} line {line}")
    known = read_names(root / CLASSES) if (root / CLASSES).is_file() else ()
    places = list(_places(root))
    seen: dict[Path, str] = {}
    pictures = {place.pictures: Pictures(place.pictures) for place in places}
    broken = {
        _add(found, split, file, pictures[place.pictures], known, seen)
        for split, place, file in _listed(root, places[0], found) or _all_files(places)
    }
    if not (root / _LISTS).is_dir():
        unused = {path for held in pictures.values() for path in held.paths.values()} - seen.keys() - broken
        found.ignored += [f"{below(path, root)}: it has no XML file" for path in sorted(unused)]
    names = known or tuple(sorted(found.classes, key=natural_order))
    from_zero = counts_from_zero(found.raw)
    note = (
        "more boxes begin at 0 than at 1: coordinates are taken as edges, counted from 0"
        if from_zero
        else "coordinates are VOC's: counted from 1, both ends included; left and top become xmin - 1 and ymin - 1"
    )
    return found.index(NAME, names, lambda raw, _: raw if from_zero else _edges(raw), f"VOC: {note}.")


def write(index: Index, path: Path) -> tuple[str, ...]:
    """Write an index of boxes as a VOC data set into `path`, new or empty; what the format cannot hold, one text each.

    Pictures are copied as they are. Boxes are rounded to whole pixels; one that would be a single pixel is made two wide.
    """
    if not isinstance(index.annotations, Objects):
        raise DataError(f"The data set ({index.format}) has no boxes: a VOC data set is one of boxes.")
    require_new(path)
    require_plain_names(index)
    copies = Copies(index, lambda *_: path / "JPEGImages", flat=True)
    lists: dict[str, list[str]] = {}
    widened = 0
    try:
        (path / "Annotations").mkdir(parents=True)
        for copied in copies:
            content, wider = written(index, index.annotations, copied)
            (path / "Annotations" / f"{copied.stem}.xml").write_bytes(content)
            lists.setdefault(copied.split, []).append(copied.stem)
            widened += wider
        for split, stems in lists.items() if index.splits else ():
            write_atomic(path / _LISTS / f"{split}.txt", "".join(f"{stem}\n" for stem in stems).encode())
    except OSError as error:
        raise storage_error(path, error) from error
    write_atomic(path / CLASSES, "".join(f"{name}\n" for name in index.class_names).encode())
    objects, rows = index.annotations, index.annotations.rows_of(copies.positions)
    lost = copies.lost()
    crowds = int(objects.crowd[rows].sum())
    if crowds:
        lost.append(
            f"{counted(crowds, 'crowd is', 'crowds are')} written as difficult, with an element iscrowd that other programs ignore."
        )
    if not objects.areas_are_of_boxes(rows):
        lost.append("Areas of outlines are not written: VOC has those of boxes only.")
    uneven = int((objects.boxes[rows] != np.rint(objects.boxes[rows])).any(1).sum())
    if uneven:
        lost.append(f"The edges of {counted(uneven, 'box', 'boxes')} are rounded to whole pixels.")
    if widened:
        one = "box of a pixel or less is"
        several = "boxes of a pixel or less are"
        lost.append(f"{counted(widened, one, several)} written as two pixels, the least that is not a point.")
    return tuple(lost)


def counts_from_zero(raw: Floats) -> bool:
    """Whether boxes, (M, 4) as they are in the files, are edges counted from 0: more of them begin at 0 than at 1.

    >>> counts_from_zero(np.array([[0, 5, 9, 9], [1, 5, 9, 9], [7, 0, 9, 9.0]]))
    True
    """
    starts = raw[:, :2]
    return bool((starts == 0).any(1).sum() > (starts == 1).any(1).sum())


def _edges(raw: Floats) -> Floats:
    """VOC's coordinates as edges; a single point stays one."""
    edges = raw - (1, 1, 0, 0)
    points = (raw[:, :2] == raw[:, 2:]).all(1)
    edges[points] = raw[points]
    return edges


def _places(root: Path) -> Iterator[_Place]:
    """Every folder with annotations, in a fixed order."""
    inside = folders_in(root)
    splits = [(split_of(name), folder) for name, folder in inside.items() if split_of(name)]
    for split, base in [("", root), *splits]:
        here = folders_in(base) if split else inside
        pictures = tuple(here[name] for name in _PICTURES if name in here)
        for folder in (here[name] for name in _ANNOTATIONS if name in here):
            # Names that only VOC has are enough, also where the first files are broken.
            surely = folder.name == "Annotations" and "jpegimages" in here
            if _holds_annotations(folder, surely=surely):
                yield _Place(split, folder, (*pictures, base, folder))
            for name, inner in folders_in(folder).items():
                if (name in _ANNOTATIONS or split_of(name)) and _holds_annotations(inner):
                    mirrored = (held / inner.name for held in pictures)
                    there = tuple(held for held in mirrored if held.is_dir())
                    yield _Place(split or split_of(name), inner, (*there, *pictures, inner))
        if _holds_annotations(base):
            yield _Place(split, base, (base, *pictures))


def _holds_annotations(folder: Path, *, surely: bool = False) -> bool:
    """Whether there are XML files, and one of the first begins as annotations do unless `surely` they are."""
    files = sorted(folder.glob("*.xml"))[:_LOOKED_AT]
    return bool(files) and (surely or any(_ANNOTATION.search(start_of(file)) for file in files))


def _all_files(places: list[_Place]) -> Iterator[tuple[str, _Place, Path]]:
    for place in places:
        for file in sorted(place.annotations.glob("*.xml"), key=lambda path: natural_order(path.name)):
            yield place.split, place, file


def _listed(root: Path, place: _Place, found: Found) -> list[tuple[str, _Place, Path]]:
    """Split and XML file of each picture that the lists name; what is wrong with the lists is noted."""
    if not (root / _LISTS).is_dir():
        return []
    xml = {composed(file.stem): file for file in place.annotations.glob("*.xml")}
    listed: dict[Path, tuple[str, str]] = {}
    for split, file in _lists(root / _LISTS, found):
        shown = below(file, root)
        lines = [(number, line.strip()) for number, line in enumerate(text_of(file).splitlines(), start=1)]
        named = [(f"{shown} line {number}", name, _of(name, xml)) for number, name in lines if name]
        if named and not any(path for _, _, path in named):
            if split == "test":  # which is often kept back
                found.notes.append(f"The pictures of {shown} ({len(named)}) have no XML files and are left out.")
                continue
            folder = below(place.annotations, root)
            absent = f"{shown}: none of its names ({len(named)}) has an XML file in {folder}; all are left out."
            found.bad_picture(absent, kind="missing annotation", count=len(named))
            continue
        for where, name, path in named:
            before = listed.get(path) if path else None
            if path is None:
                absent = f"{where}: there is no {below(place.annotations, root)}/{name}.xml; it is left out."
                found.bad_picture(absent, kind="missing annotation")
            elif before is None:
                listed[path] = split, where
            elif before[0] == split:
                twice = f"{where}: {name} was listed before, in {before[1]}."
                found.bad_picture(twice, kind="listed twice", absent=False)
            elif file.stem != "trainval":
                # The lists come in the order train, val, test. Figures must not change, and training can do without.
                listed[path] = split, where
                twice = f"{where}: {name} is in {before[1]} too; it stays in {split}."
                found.bad_picture(twice, kind="listed twice", absent=False)
    if listed and len(listed) < len(xml):
        found.notes.append(f"{len(xml) - len(listed)} of {len(xml)} XML files are in no list and are left out.")
    return [(split, place, path) for path, (split, _) in listed.items()]


def _lists(folder: Path, found: Found) -> Iterator[tuple[str, Path]]:
    """Split and file of each list; trainval stands for what has no list of its own."""
    lists = split_lists(folder)
    yield from lists
    there, both = {split for split, _ in lists}, folder / "trainval.txt"
    if both.is_file() and not {"train", "val"} <= there:
        split = "val" if "train" in there else "train"
        found.notes.append(f"There is no {split}.txt: the {split} split is what trainval.txt names and no other list.")
        yield split, both


def _of(name: str, xml: dict[str, Path]) -> Path | None:
    """The XML file of a listed name, which may have a picture's ending."""
    return xml.get(composed(name)) or (xml.get(composed(Path(name).stem)) if is_picture(name) else None)


def _add(
    found: Found, split: str, file: Path, pictures: Pictures, known: tuple[str, ...], seen: dict[Path, str]
) -> Path | None:
    """Take the picture of an XML file, and its boxes. What is returned is the picture of a file that cannot be read."""
    shown = below(file, found.root)
    try:
        annotation = Reader().read(file)
    except BrokenError as error:
        broken = f"{shown} line {error.line}: {error.reason}; its picture is left out."
        found.bad_picture(broken, kind="bad annotation file")
        return pictures.find(file.stem, "")
    objects = annotation.objects
    picture = pictures.find(file.stem, annotation.fields.get("filename", "").replace("\\", "/").rpartition("/")[2])
    if picture is None or picture in seen:
        folders = ", ".join(below(folder, found.root) for folder in pictures.folders)
        absent = f"there is no picture {file.stem}.jpg (or of another kind) in {folders}"
        reason = absent if picture is None else f"{below(picture, found.root)} is the picture of {seen[picture]} too"
        boxes = f"its {counted(len(objects), 'box is', 'boxes are')} left out" if objects else "it has no boxes"
        found.bad_picture(f"{shown}: {reason}; {boxes}.")
        return None
    seen[picture] = shown
    position = found.add_picture(below(picture, found.root), split, shown)
    width, height = (_whole(annotation.fields.get(f"size/{side}", "")) for side in ("width", "height"))
    if width > 0 and height > 0:
        found.claims[position] = width, height, f"{shown} line {annotation.size_line}"
    found.unread["XML file", "XML files"].update(said_besides(annotation.fields, _READ))
    for line, fields in objects:
        found.unread["object", "objects"].update(said_besides(fields, _READ_OF_OBJECTS))
        name = fields.get("name", "")
        box, wrong = _numbers(fields)
        if not name or (known and name not in known):
            wrong = f"the class {name!r} is none of those in {CLASSES}" if name else "it has no name"
        if wrong:
            found.bad_object(f"{shown} line {line}: an object is left out: {wrong}.", position)
            continue
        crowd = fields.get("iscrowd") == "1"
        difficult = fields.get("difficult", "").lower() in ("1", "true") and not crowd
        found.add_box(position, line, found.class_number(name), box, flags=(crowd, difficult))
    return None


def _numbers(fields: dict[str, str]) -> tuple[list[float], str]:
    """The four sides of a box, or what is wrong with them."""
    texts = [fields.get(f"bndbox/{side}") for side in SIDES]
    if None in texts:
        return [], f"expected a bndbox with {', '.join(SIDES)}, and {SIDES[texts.index(None)]} is missing"
    try:
        return [float(text or "") for text in texts], ""
    except ValueError:
        return [], f"expected four numbers, got {', '.join(map(repr, texts))}"


def _whole(text: str) -> int:
    """A side of the picture in pixels, 0 where none is given."""
    try:
        return round(float(text))
    except (ValueError, OverflowError):
        return 0
