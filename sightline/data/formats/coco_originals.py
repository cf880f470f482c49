"""What the files of a COCO data set say besides what is read, for a copy that is COCO too: keypoints, outlines, licences, ids.

Such things take more memory than all that is read, so the files are parsed once more, when a copy is written.
"""

import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from sightline.data.annotations import Places
from sightline.data.formats.coco_files import PictureFolder, with_splits
from sightline.data.formats.coco_json import Id
from sightline.data.formats.coco_numbers import text_as_numbers
from sightline.data.formats.copying import written_splits
from sightline.data.formats.pictures import below
from sightline.data.index import Index, Positions
from sightline.data.sources import FileSource

Keys = dict[str, Any]


class Originals:
    """The entries that the pictures and boxes of an index were read from; nothing when that is of another format.

    `read` are the keys of annotations that are read, and written anew. Raises `DataError` when there is nothing to write.
    """

    def __init__(self, index: Index, read: Collection[str]) -> None:
        self._index, self._read = index, read
        self._images: dict[tuple[str, str], Keys] = {}
        self._by_id: dict[str, dict[int, Keys]] = {}
        self._content: dict[str, Keys] = {}
        self._categories: dict[str, list[Keys]] = {}
        self.places: Places | None = None
        """Where everything was; None where there are no originals."""
        self.keep_ids = False
        """Whether pictures and boxes can have the ids that they had: each split comes from one file, where each has one."""
        self.anew: list[str] = []
        """A line on the ids that are numbered anew."""
        if index.format == "coco" and index.places is not None and isinstance(index.source, FileSource):
            self.places = places = index.places
            self._files = {split: self._files_of(held, places) for split, held in written_splits(index).items()}
            self._load({file for files in self._files.values() for file in files}, index.source.root)
            known = places.known is not None and bool(places.known.all())
            self.keep_ids = known and all(len(files) == 1 for files in self._files.values())
            self.anew += [] if self.keep_ids else ["The ids of images and annotations are numbered anew."]

    def image(self, position: int) -> Keys:
        """The other keys of a picture, and its id where it keeps that."""
        if self.places is None:
            return {}
        row = self._images.get((self.places.files[position], self._index.source.name(position)), {})
        return _other(row, ("file_name", "width", "height"), keep_id=self.keep_ids)

    def annotation(self, position: int, number: int) -> Keys:
        """The other keys of the box in that row of the annotations, which is in the picture at `position`, and its id."""
        if self.places is None:
            return {}
        file, identity = self.places.files[position], int(self.places.numbers[number])
        known = self.places.known is not None and bool(self.places.known[number])
        row = self._by_id[file][identity] if known else self._content[file]["annotations"][identity]
        return _other(row, self._read, keep_id=self.keep_ids)

    def categories(self, class_names: Sequence[str]) -> list[Keys]:
        """Id, name and other keys of each class; ids are anew where a class has several, or several have one."""
        rows = [self._categories.get(name, []) for name in class_names]
        ids = [{row["id"] for row in of_one} for of_one in rows]
        kept = all(len(own) == 1 for own in ids) and len(set().union(*ids)) == len(ids)
        self.anew += [] if kept or self.places is None else ["The ids of categories are numbered anew."]
        return [
            {"id": number, **_other(of_one[0] if of_one else {}, ("name",), keep_id=kept), "name": name}
            for number, (name, of_one) in enumerate(zip(class_names, rows, strict=True), start=1)
        ]

    def besides(self, split: str) -> Keys:
        """What the file of a split has beside pictures, boxes and categories."""
        files = self._files[split] if self.places else ()
        tables = ("images", "annotations", "categories")
        return {key: held for file in files for key, held in self._content[file].items() if key not in tables}

    def _files_of(self, held: Positions, places: Places) -> list[str]:
        return list(dict.fromkeys(places.files[position] for position in held.tolist()))

    def _load(self, files: Collection[str], root: Path) -> None:
        for split, file in with_splits([root / file for file in files], root):
            shown = below(file, root)
            content = json.loads(file.read_bytes(), parse_constant=lambda _: None, parse_float=_finite)
            text_as_numbers(content)
            self._content[shown] = content
            folder = PictureFolder(file, root, split, content["images"])
            for row in content["images"]:
                path = folder.find(row["file_name"]) if isinstance(row, dict) and "file_name" in row else None
                if path is not None:
                    self._images.setdefault((shown, below(path, root)), row)
            self._by_id[shown] = {
                row["id"]: row
                for row in reversed(content["annotations"])
                if isinstance(row, dict) and type(row.get("id")) is int
            }
            for row in content["categories"]:
                if isinstance(row, dict) and "name" in row and isinstance(row.get("id"), Id):
                    self._categories.setdefault(str(row["name"]).strip(), []).append(row)


def _finite(text: str) -> float | None:
    """JSON has no other numbers, though some programs write them."""
    return number if math.isfinite(number := float(text)) else None


def _other(row: Keys, read: Collection[str], *, keep_id: bool) -> Keys:
    return {key: held for key, held in row.items() if (keep_id if key == "id" else key not in read)}
