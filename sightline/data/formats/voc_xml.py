"""One XML file of Pascal VOC, read line by line and written.

Document types are refused: they can make an XML file of a kilobyte ask for gigabytes.
"""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from sightline.data.annotations import Objects
from sightline.data.formats.copying import Copied
from sightline.data.index import Index

_SAYS_NOTHING = ("", "0", "unspecified", "unknown")
"""What programs write into elements that nobody has filled."""
SIDES = ("xmin", "ymin", "xmax", "ymax")
_DEEPEST = 4
"""Elements from the root down to the number that a side of a box is."""


class BrokenError(Exception):
    """An XML file that cannot be used."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line, self.reason = line, reason


class Annotation(NamedTuple):
    """What an XML file says."""

    fields: dict[str, str]
    """Path below `annotation` -> text, objects apart."""
    size_line: int
    objects: list[tuple[int, dict[str, str]]]
    """The line of each object, and path below it -> text."""


class Reader:
    """Follows one XML file from element to element, so that each object knows its line."""

    def __init__(self) -> None:
        self.found = Annotation({}, 1, [])
        self.path: list[str] = []
        self.text: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self.text.append
        self.parser.StartDoctypeDeclHandler = self._doctype

    def read(self, file: Path) -> Annotation:
        """What the file says; raises `BrokenError`."""
        try:
            self.parser.Parse(file.read_bytes(), True)
        except expat.ExpatError as error:
            raise BrokenError(error.lineno, f"this is no XML ({expat.errors.messages[error.code]})") from error
        except (ValueError, LookupError) as error:
            raise BrokenError(1, f"its encoding is not known ({error}); save it as UTF-8") from error
        except OSError as error:
            raise BrokenError(1, f"it cannot be read ({error.strerror or error})") from error
        return self.found

    def _start(self, name: str, _: dict[str, str]) -> None:
        self.path.append(name)
        self.text.clear()
        if self.path[0] != "annotation":
            raise BrokenError(self.parser.CurrentLineNumber, f"expected <annotation>, got <{name}>")
        if len(self.path) != 2:
            return
        if name == "object":
            self.found.objects.append((self.parser.CurrentLineNumber, {}))
        elif name == "size":
            self.found = self.found._replace(size_line=self.parser.CurrentLineNumber)

    def _end(self, _: str) -> None:
        inside = self.path[1:2] == ["object"]
        fields = self.found.objects[-1][1] if inside else self.found.fields
        if len(self.path) <= _DEEPEST:  # an element that is there twice counts once, the first
            fields.setdefault("/".join(self.path[2 if inside else 1 :]), "".join(self.text).strip())
        self.path.pop()
        self.text.clear()

    def _doctype(self, *_: object) -> None:
        raise BrokenError(
            self.parser.CurrentLineNumber,
            "it declares a document type (<!DOCTYPE), which is never read; remove that line",
        )


def said_besides(fields: dict[str, str], read: Collection[str]) -> set[str]:
    """The elements beside those `read` that say something, at any depth.

    >>> sorted(said_besides({"name": "cat", "pose": "Left", "truncated": "0", "part": "", "part/name": "head"}, ["name"]))
    ['part', 'pose']
    """
    said = {path.partition("/")[0] for path, text in fields.items() if text.lower() not in _SAYS_NOTHING}
    return said.difference(read)


def written(index: Index, objects: Objects, copied: Copied) -> tuple[bytes, int]:
    """The XML file of a picture, and how many of its boxes had to be widened."""
    root = ElementTree.Element("annotation")
    _append(root, "folder", "JPEGImages")
    _append(root, "filename", copied.name)
    size = _append(root, "size")
    width, height = copied.size()
    for side, length in zip(("width", "height", "depth"), (width, height, 3), strict=True):
        _append(size, side, str(length))
    rows = objects.rows(copied.position)
    boxes, widened = _whole_pixels(objects.boxes[rows], width=width)
    columns = (objects.labels[rows], objects.crowd[rows], objects.difficult[rows], boxes)
    for label, crowd, difficult, box in zip(*(column.tolist() for column in columns), strict=True):
        element = _append(root, "object")
        _append(element, "name", index.class_names[label])
        _append(element, "difficult", str(int(crowd or difficult)))
        if crowd:
            _append(element, "iscrowd", "1")
        sides = _append(element, "bndbox")
        for side, number in zip(SIDES, box, strict=True):
            _append(sides, side, str(number))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True), widened


def _whole_pixels(edges: NDArray[np.float32], width: int) -> tuple[NDArray[np.int64], int]:
    """Boxes as VOC counts them, in a picture of that width; and how many were made two pixels wide, to be no points."""
    boxes = np.rint(edges).astype(np.int64) + np.array([1, 1, 0, 0])
    boxes[:, 2:] = np.maximum(boxes[:, :2], boxes[:, 2:])
    points = (boxes[:, :2] == boxes[:, 2:]).all(1)
    at_the_edge = points & (boxes[:, 2] >= width)
    boxes[points & ~at_the_edge, 2] += 1
    boxes[at_the_edge, 0] -= 1
    return boxes, int(points.sum())


def _append(parent: ElementTree.Element, name: str, text: str | None = None) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name)
    element.text = text
    return element
