"""Pictures of any exposure come to the same range; what they show stays in order."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from sightline.ops.images import LEAST_RANGE, TAIL, brightness, stretched


@pytest.fixture
def picture() -> torch.Tensor:
    values = torch.randn(3, 40, 50, generator=torch.Generator().manual_seed(0)) * 20 + 90
    return values.clamp(0, 255).to(torch.uint8)


def test_it_is_pillows_autocontrast_of_a_grey_picture(picture: torch.Tensor) -> None:
    grey = picture[:1]
    theirs = np.asarray(ImageOps.autocontrast(Image.fromarray(grey[0].numpy()), cutoff=100 * TAIL)).astype(int)
    ours = stretched(grey.expand(3, -1, -1))[0].numpy().astype(int)
    assert np.abs(ours - theirs).max() <= 2  # Pillow cuts whole levels a little earlier, and rounds down


def test_exposure_makes_no_difference(picture: torch.Tensor) -> None:
    darker = (picture.float() / 4).round().to(torch.uint8)
    difference = stretched(picture).int() - stretched(darker).int()
    assert difference.abs().max() <= 255 * 8 / (
        brightness(picture)[1] - brightness(picture)[0]
    )  # two of its own levels


def test_order_stays_and_noise_is_not_blown_up(picture: torch.Tensor) -> None:
    flat, order = stretched(picture).flatten(), picture.flatten().argsort()
    assert bool((flat[order].int().diff() >= 0).all())
    noise = torch.randint(100, 102, (3, 20, 20), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert int(stretched(noise).max()) <= 255 / LEAST_RANGE + 1
