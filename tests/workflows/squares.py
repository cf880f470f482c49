"""A folder of coloured squares that a network learns in two epochs."""

from pathlib import Path

import numpy as np
from PIL import Image

QUICK = {
    # Blocks that start as the identity, so that ten steps are enough.
    "model": {"name": "resnet18", "arguments": {"stem": "imagenet", "zero_init": True}},
    "data": {"image_size": 16},
    "training": {"epochs": 2, "batch_size": 16, "precision": "float32"},
    "optimizer": {"lr": 0.005},
}


def write_squares(root: Path, splits: dict[str, int], classes: tuple[str, ...] = ("blue", "green", "red")) -> Path:
    generator = np.random.default_rng(0)
    for split, count in splits.items():
        for channel, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 60, (16, 16, 3), dtype=np.uint8)
                pixels[..., channel] += 150
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return root
