"""What goes into shards for each picture: its file, what is known of it, and in the end the same in columns."""

import io
import json
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from sightline.data.annotations import ClassLabels, Objects
from sightline.data.formats.shards import OBJECT_COLUMNS
from sightline.data.index import HasContent, Index, Positions
from sightline.data.masks import Masks

ENDINGS = ("jpg", "jpeg", "png", "ppm", "pgm", "pbm", "webp", "gif", "bmp", "tif", "tiff")
"""Of members that are pictures."""
_STARTS = (
    (b"\xff\xd8", "jpg"),
    (b"\x89PNG", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II", "tif"),
    (b"MM", "tif"),
    (b"RIFF", "webp"),
)


def content_of(index: Index, position: int) -> bytes:
    """A picture as the bytes of its file, or of a PNG file where it is none; raises `ImageError`."""
    if isinstance(index.source, HasContent):
        return index.source.content(position)
    content = io.BytesIO()
    Image.fromarray(index.source.image(position).permute(1, 2, 0).contiguous().numpy()).save(content, "PNG")
    return content.getvalue()


def annotation(index: Index, position: int) -> tuple[str, bytes]:
    """The ending and the content of the member beside a picture."""
    match index.annotations:
        case ClassLabels(labels):
            return "cls", str(labels[position]).encode()
        case Objects():
            rows = index.annotations.rows(position)
            columns = {name: getattr(index.annotations, name)[rows].tolist() for name in OBJECT_COLUMNS}
            return "json", json.dumps(columns).encode()
        case Masks():
            content = io.BytesIO()
            Image.fromarray(index.annotations.target(position).mask.contiguous().numpy()).save(content, "PNG")
            return "mask.png", content.getvalue()


def ending_of(name: str, content: bytes) -> str:
    """That of the picture's name, or the one that its first bytes ask for."""
    given = given_ending(name)
    if given in ENDINGS and not (given != "png" and content.startswith(b"\x89PNG")):
        return given
    return next((ending for start, ending in _STARTS if content.startswith(start)), "jpg")


def given_ending(name: str) -> str:
    """The ending of a name, in small letters and without its dot."""
    return PurePosixPath(name).suffix[1:].lower()


def annotation_columns(index: Index, positions: Positions) -> dict[str, Any]:
    """What is known of the pictures at `positions`, for the index."""
    match index.annotations:
        case ClassLabels(labels):
            return {"labels": labels[positions]}
        case Objects():
            objects = index.annotations
            counts = np.diff(objects.offsets)[positions]
            rows = objects.rows_of(positions)
            columns = {name: getattr(objects, name)[rows] for name in OBJECT_COLUMNS}
            return columns | {"offsets": np.cumsum([0, *counts], dtype=np.int64)}
        case Masks():
            return {}
