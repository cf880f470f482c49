"""Small data sets made on the spot, and where the real ones lie."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.data.annotations import ClassLabels
from sightline.data.index import Index
from sightline.data.sources import TensorSource

REAL_SETS = Path(__file__).parents[2].parent / "shared/data"


@pytest.fixture
def real_set() -> Callable[..., Path]:
    """The folder of a real data set; the test is skipped where it is absent."""

    def folder(name: str, task: str = "cls") -> Path:
        path = REAL_SETS / task / name
        if not path.exists():
            pytest.skip(f"the real data set {path} is not on this machine")
        return path

    return folder


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write small pictures, each of a value of its own, at the given paths; other files are empty."""

    def make(*names: str, root: str = "set") -> Path:
        for value, name in enumerate(names):
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix.lower() in (".png", ".jpg"):
                Image.fromarray(np.full((6, 5), value, np.uint8)).save(path, "PNG")
            else:
                path.touch()
        return tmp_path / root

    return make


@pytest.fixture
def make_index() -> Callable[..., Index]:
    """An index of random pictures in memory: how many of each class, which size, which splits."""

    def make(*counts: int, side: int = 16, splits: dict[str, list[int]] | None = None) -> Index:
        n = sum(counts)
        images = torch.randint(
            0, 256, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        )
        return Index(
            source=TensorSource(images, [f"picture {number}" for number in range(n)]),
            annotations=ClassLabels(np.repeat(np.arange(len(counts)), counts)),
            class_names=tuple("abcdefghij"[: len(counts)]),
            splits={name: np.array(held) for name, held in (splits or {}).items()},
            format="idx",
        )

    return make
