"""Annotations of other tools that are not read: which tool made them, so that they can be exported from there."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from sightline.data.formats.pictures import folders_in, start_of

_MADE_BY = {
    "labelme": re.compile(rb'"(shapes|imagePath)"\s*:.*"(shapes|imagePath)"\s*:', re.DOTALL),
    "the VGG Image Annotator (VIA)": re.compile(rb'"(shape_attributes|_via_settings)"\s*:'),
    "CreateML": re.compile(rb'"annotations"\s*:.*"coordinates"\s*:', re.DOTALL),
    "Label Studio": re.compile(rb'"data"\s*:\s*\{\s*"\w+"\s*:\s*"'),
    "Supervisely": re.compile(rb'"(classTitle|classId)"\s*:'),
    "CVAT": re.compile(rb"<annotations>.*<version>", re.DOTALL),
}
"""Tool -> what the beginning of its files has."""
_LOOKED_AT = 20


def line(path: Path) -> str:
    """A sentence on the first file of such a tool in a folder, or in a folder in it; nothing where there is none."""
    for file in islice(_files(path), _LOOKED_AT):
        start = start_of(file)
        tool = next((tool for tool, looks in _MADE_BY.items() if looks.search(start)), "")
        if tool:
            own = f"{file} is of {tool}, whose own files are not read"
            return f"{path} is no data set that Sightline knows: {own}. Export the annotations from there as COCO, VOC or YOLO."
    return ""


def _files(path: Path) -> Iterator[Path]:
    for folder in (path, *folders_in(path).values()) if path.is_dir() else ():
        yield from (file for ending in ("json", "xml") for file in sorted(folder.glob(f"*.{ending}"))[:_LOOKED_AT])
