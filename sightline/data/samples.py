"""Sample data from what scikit-learn ships: real pictures that need no download."""

import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sightline.data.annotations import ClassLabels
from sightline.data.formats import image_folder
from sightline.data.index import Index
from sightline.data.sources import TensorSource
from sightline.data.splits import with_splits
from sightline.errors import DataError
from sightline.files import storage_error

DIGIT_SIDE = 32
"""Pixels of a digit's side as written; scikit-learn's have 8."""


def write_digits(out: Path, seed: int = 0) -> Path:
    """Write scikit-learn's 1,797 handwritten digits as an image folder of 32x32 PNG files, and return its path.

    train, val and test get 70, 10 and 20 %, stratified; a file is named after the digit's number in scikit-learn's set.
    Raises `DataError` when something is at `out` already, `StorageError` when it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not empty. Choose a new folder for the sample data.")
    unfinished = out.with_name(
        f".{out.name}.partial"
    )  # so that a folder which was not finished is never taken for the set
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        image_folder.write(with_splits(digits(), seed, val=0.1, test=0.2), unfinished)
        unfinished.replace(out)
    except OSError as error:
        raise storage_error(out, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return out


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


def _enlarged(digit: np.ndarray) -> np.ndarray:
    grey = Image.fromarray(np.rint(digit * (255 / 16)).astype(np.uint8))
    return np.array(grey.resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC))
