"""Small data sets with boxes, made on the spot."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data.annotations import Objects
from sightline.data.index import Index
from sightline.data.sources import FileSource


@pytest.fixture
def make_picture() -> Callable[..., Path]:
    """Write a picture of width x height pixels, turned by its EXIF orientation if wished."""

    def make(path: Path, width: int = 40, height: int = 30, orientation: int = 1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = orientation
        value = sum(path.name.encode()) % 256
        image = Image.fromarray(np.full((height, width), value, np.uint8))
        image.save(path, "PNG" if path.suffix == ".png" else "JPEG", exif=exif)
        return path

    return make


@pytest.fixture
def make_boxes(tmp_path: Path, make_picture: Callable[..., Path]) -> Callable[..., Index]:
    """An index of pictures of 40 x 30 pixels with the given boxes, labels and flags, one list of rows a picture.

    A row is (left, top, right, bottom, label, crowd, difficult, area), of which the last three may be missing.
    """

    def make(
        *pictures: list[tuple[float, ...]], splits: dict[str, list[int]] | None = None, names: str = "abc"
    ) -> Index:
        root = tmp_path / "source"
        files = [make_picture(root / f"{number}.jpg").name for number in range(len(pictures))]
        rows = [
            np.array(
                [(*row, 0, 0, np.nan)[: len(row)] + (0, 0, np.nan)[len(row) - 5 :] for row in held], float
            ).reshape(-1, 8)
            for held in pictures
        ]
        sides = [held[:, 2:4] - held[:, :2] for held in rows]
        return Index(
            source=FileSource(root, files),
            annotations=Objects.of(
                [held[:, :4].astype(np.float32) for held in rows],
                [held[:, 4].astype(np.int64) for held in rows],
                [held[:, 5].astype(bool) for held in rows],
                [held[:, 6].astype(bool) for held in rows],
                [
                    np.where(np.isnan(held[:, 7]), side.prod(1), held[:, 7])
                    for held, side in zip(rows, sides, strict=True)
                ],
            ),
            class_names=tuple(names),
            splits={split: np.array(held) for split, held in (splits or {}).items()},
            format="made",
        )

    return make


@pytest.fixture
def boxes_of() -> Callable[[Index, str], list[tuple[object, ...]]]:
    """The boxes of the picture of that name: class name and four edges, as numbers."""

    def boxes(index: Index, name: str) -> list[tuple[object, ...]]:
        position = [index.source.name(number) for number in range(len(index))].index(name)
        target = index.annotations.target(position)
        rows = zip(target.labels.tolist(), target.boxes.tolist(), strict=True)
        return [(index.class_names[label], *box) for label, box in rows]

    return boxes
