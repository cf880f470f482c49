"""Which pictures are shown in an epoch, and how often."""

import numpy as np
import pytest
import torch

from sightline.data.checks import check
from sightline.data.index import Index
from sightline.data.masks import DrawnMasks, Masks
from sightline.data.sources import TensorSource
from sightline.structures import Preprocessing, Shape, WholePicture, Windows
from sightline.workflows.pictures import MOST_WINDOWS, training_positions

SIDES = [(16, 16), (16, 16), (16, 16), (16, 47), (16, 48), (160, 160), (8, 8), (160, 160)]


class Pictures(TensorSource):
    """Of several sizes."""

    def image(self, position: int) -> torch.Tensor:
        return self.images[position % 1].new_zeros(3, *SIDES[position])


@pytest.fixture(scope="module")
def index() -> Index:
    names = [f"{number}.png" for number in range(len(SIDES))]
    masks = [torch.ones(side, dtype=torch.uint8) for side in SIDES]
    for mask in masks:
        mask[0, 0] = 0
    return Index(
        source=Pictures(torch.zeros(len(SIDES), 3, 4, 4, dtype=torch.uint8), names),
        annotations=Masks(DrawnMasks(masks, names)),
        class_names=("background", "thing"),
        splits={"train": np.arange(7), "val": np.array([7])},
        format="mask folder",
    )


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Windows(side=8), [0, 1, 2, 3, 3, 4, 4, 4, *[5] * MOST_WINDOWS, 6]),
        (WholePicture(shorter=32, longer=64), [0, 1, 2, 3, 4, 5, 6]),
        (Preprocessing(resize=8, crop=8), [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_windows_are_cut_more_often_from_larger_pictures(index: Index, shape: Shape, expected: list[int]) -> None:
    assert training_positions(index, shape, check(index)).tolist() == expected
