"""Pictures with coloured discs on them, in the form of COCO, which a small detector learns to find."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightline.data.annotations import Objects
from sightline.data.formats import coco
from sightline.data.index import Index
from sightline.data.sources import TensorSource

NAMES = ("red", "blue")
SIDE = 64
DETECTOR = {
    "name": "faster_rcnn",
    "arguments": {
        "backbone": "resnet18",
        "neck": "fpn",
        "stages": ["c2", "c3"],
        "width": 32,
        "hidden": 64,
        "proposing": {"samples": 32, "candidates": [100, 50], "proposals": [60, 30]},
        "judging": {"samples": 24},
    },
}
QUICK = {
    "model": DETECTOR,
    "training": {"epochs": 1, "batch_size": 4, "precision": "float32"},
    "data": {"image_size": SIDE, "workers": 0},
}


class Lines:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, progress: Any) -> None:
        pass

    def epoch(self, record: dict[str, Any]) -> None:
        pass


def write_discs(root: Path, splits: dict[str, int]) -> Path:
    """One to three discs a picture, and none on every fifth."""
    generator = np.random.default_rng(0)
    images, boxes, labels, held = [], [], [], {}
    for split, count in splits.items():
        held[split] = np.arange(len(images), len(images) + count)
        for number in range(count):
            picture = generator.integers(0, 60, (3, SIDE, SIDE + 16), dtype=np.uint8)
            found = []
            for _ in range(0 if number % 5 == 4 else int(generator.integers(1, 4))):
                radius = int(generator.integers(7, 13))
                x, y = (int(generator.integers(radius, side - radius)) for side in (SIDE + 16, SIDE))
                kind = int(generator.integers(2))
                rows, columns = np.ogrid[:SIDE, : SIDE + 16]
                picture[2 * kind][(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 230
                found.append((x - radius, y - radius, x + radius + 1, y + radius + 1, kind))
            table = np.array(found, dtype=np.float32).reshape(-1, 5)
            images.append(torch.from_numpy(picture))
            boxes.append(table[:, :4])
            labels.append(table[:, 4].astype(np.int64))
    source = TensorSource(torch.stack(images), [f"{number:03}.png" for number in range(len(images))])
    index = Index(
        source=source, annotations=Objects.of(boxes, labels), class_names=NAMES, splits=held, format="made up"
    )
    coco.write(index, root)
    return root
