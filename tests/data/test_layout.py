"""Whether pictures have an up, from their masks."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.data.layout import LEAST_PICTURES, layout, without_up


def scattered(count: int, height: int, width: int, lowest: float = 0.0) -> list[Tensor]:
    """Masks with upright ellipses of the given radii, drawn below `lowest`, a share of the height."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    masks = []
    for _ in range(count):
        mask = np.zeros((64, 64), dtype=np.uint8)
        for _ in range(12):
            at = generator.uniform(64 * lowest, 64), generator.uniform(0, 64)
            mask[((y - at[0]) / height) ** 2 + ((x - at[1]) / width) ** 2 < 1] = 1
        masks.append(torch.from_numpy(mask))
    return masks


def layouts(masks: list[Tensor]) -> list[NDArray[np.float64]]:
    return [layout(mask, 2) for mask in masks]


def test_discs_anywhere_have_no_up() -> None:
    assert without_up(layouts(scattered(100, 4, 4))) == (True, True)


def test_what_stands_upright_is_not_turned_by_quarters() -> None:
    assert without_up(layouts(scattered(100, 8, 3))) == (True, False)


def test_what_lies_on_the_ground_has_an_up() -> None:
    assert without_up(layouts(scattered(100, 4, 4, lowest=0.3))) == (False, False)


def test_few_pictures_show_nothing() -> None:
    alike = layouts(scattered(1, 4, 4)) * (LEAST_PICTURES - 1)
    assert without_up(alike) == without_up([]) == (False, False)
    rare = [np.array([0.0, np.nan, 0.0])] * 50 + [np.array([0.0, 0.0, 0.0])] * (LEAST_PICTURES - 1)
    assert without_up(rare) == (False, False)


def test_a_class_without_pixels_speaks_for_nothing() -> None:
    masks = scattered(100, 4, 4)
    assert without_up([layout(mask, 5) for mask in masks]) == (True, True)


@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (1, 9)])
def test_a_mask_upside_down_has_the_opposite_heights(shape: tuple[int, int]) -> None:
    mask = torch.randint(0, 3, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mask[0, 0] = 255  # ignored
    *heights, changes = layout(mask, 3)
    *flipped, same = layout(mask.flip(0), 3)
    np.testing.assert_allclose(heights, [-height for height in flipped], atol=1e-12)
    assert changes == same
    assert layout(mask.T.contiguous(), 3)[-1] == pytest.approx(-changes)
