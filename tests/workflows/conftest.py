"""A folder of coloured squares, and one run that learnt them: quick enough to be made once a test session."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.workflows.train import TrainResult, train

QUICK = {
    "model": {"name": "resnet18", "arguments": {"stem": "imagenet"}},
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


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("data") / "squares", {"train": 24, "val": 6, "test": 8})


@pytest.fixture(scope="session")
def trained(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(squares, name="squares", out=tmp_path_factory.mktemp("runs"), **QUICK)
