"""Numbers in COCO files that are written as text, "12.5" for 12.5, as some programs export them."""

import re
from typing import Any

_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?\s*")
_IDS = ("id", "image_id", "category_id")
_NUMBERS = ("width", "height", "area", "iscrowd", "ignore")


def text_as_numbers(content: dict[str, Any]) -> str:
    """Put numbers where text says one, in what a COCO file holds; the first such text, or nothing.

    Ids with zeros before them stay text: they may differ in these alone.

    >>> content = {"annotations": [{"id": "7", "image_id": "007", "bbox": ["1", 2, "3.5", "x"], "iscrowd": "0"}]}
    >>> text_as_numbers(content), content["annotations"]
    ('1', [{'id': 7, 'image_id': '007', 'bbox': [1.0, 2, 3.5, 'x'], 'iscrowd': 0.0}])
    """
    tables = (content.get(key) for key in ("categories", "images", "annotations"))
    changed = (_change(row) for table in tables if isinstance(table, list) for row in table if isinstance(row, dict))
    texts = [text for text in changed if text]
    return texts[0] if texts else ""


def _change(row: dict[str, Any]) -> str:
    """The same in one entry."""
    first = ""
    box = row.get("bbox")
    if isinstance(box, list) and str in map(type, box):
        first = next((value for value in box if _is_number(value)), "")
        row["bbox"] = [float(value) if _is_number(value) else value for value in box]
    if str in map(type, row.values()):
        for key in _NUMBERS:
            if _is_number(row.get(key)):
                first = first or row[key]
                row[key] = float(row[key])
        for key in _IDS:
            value = row.get(key)
            if isinstance(value, str) and value.isascii() and value.isdecimal() and str(int(value)) == value:
                first = first or value
                row[key] = int(value)
    return first


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None
