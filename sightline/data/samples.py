"""Sample data from what scikit-learn ships: real pictures that need no download."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image

from sightline.data.annotations import ClassLabels
from sightline.data.formats import coco, image_folder, mask_folder
from sightline.data.formats.copying import finished
from sightline.data.index import Index
from sightline.data.scenes import scenes
from sightline.data.sources import TensorSource
from sightline.data.splits import with_splits
from sightline.errors import DataError

DIGIT_SIDE = 32
"""Pixels of a digit's side as written; scikit-learn's have 8."""
SCENES: Mapping[str, int] = MappingProxyType({"train": 300, "val": 60, "test": 80})
"""Scenes of each split: few enough for a detector to see them ten times in some minutes on two cores, and for the digits, which
hardly ever come twice.
"""


def write_digits(out: Path, seed: int = 0) -> Path:
    """Write scikit-learn's 1,797 handwritten digits as an image folder of 32x32 PNG files, and return its path.

    train, val and test get 70, 10 and 20 %, stratified; a file is named after the digit's number in scikit-learn's set.
    Raises `DataError` when something is at `out` already, `StorageError` when it cannot be written.
    """
    return _finished(out, lambda folder: image_folder.write(_divided_digits(seed), folder))


def write_scenes(out: Path, seed: int = 0, counts: Mapping[str, int] = SCENES, *, masks: bool = False) -> Path:
    """Write digit scenes with the box of each digit as a COCO data set of 160x128 PNG files, and return its path.

    With `masks` they are a folder of the same pictures and of masks. The same seed gives the same bytes. The digits of a split
    are those of that split in `write_digits`, so that a classifier which learned from one may go into a detector or a segmenter
    for the other. Raises like `write_digits`.
    """
    write: Callable[[Index, Path], object] = mask_folder.write if masks else coco.write
    return _finished(out, lambda folder: write(scenes(_divided_digits(seed), seed, counts, masks=masks), folder))


def digits() -> Index:
    """Scikit-learn's digits, enlarged to 32x32 (bicubic, values 0..16 to 0..255), in memory and not divided."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.from_numpy(np.stack([_enlarged(digit) for digit in data.images]))
    return Index(
        source=TensorSource(images[:, None], [f"digit {number}" for number in range(len(images))]),
        annotations=ClassLabels(data.target),
        class_names=tuple(map(str, data.target_names)),
        splits={},
        format="scikit-learn",
    )


def _divided_digits(seed: int) -> Index:
    return with_splits(digits(), seed, val=0.1, test=0.2)


def _finished(out: Path, write: Callable[[Path], object]) -> Path:
    """`out` with all that `write` puts into a folder."""
    if not out.name:
        raise DataError(
            f"{out} is the folder that you are in: name a new one for the sample data, such as {out / 'sample'}."
        )
    finished(out, write)
    return out


def _enlarged(digit: np.ndarray) -> np.ndarray:
    grey = Image.fromarray(np.rint(digit * (255 / 16)).astype(np.uint8))
    return np.array(grey.resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC))
