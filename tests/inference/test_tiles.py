"""Tiles against one piece: equal for the network without padding, as good as equal for the padded one."""

import pytest
import torch

from sightline.inference.tiles import Tiled
from sightline.models.unet import UNet, unet


def picture(height: int, width: int) -> torch.Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("size", "tile"), [((150, 131), 52), ((60, 200), 36)])
def test_tiles_of_the_valid_network_are_the_whole(size: tuple[int, int], tile: int) -> None:
    torch.manual_seed(0)
    network = UNet(num_classes=3, width=4, valid=True).eval().double()
    images = picture(*size).double()
    with torch.inference_mode():
        whole = network(images).softmax(1)
        tiled = Tiled(network, tile=tile, overlap=0, largest=1)(images).softmax(1)
    torch.testing.assert_close(tiled, whole.float(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(400, 200), (97, 431)])
def test_tiles_of_a_padded_network_are_nearly_the_whole(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = unet(num_classes=3, width=4)
    torch.nn.init.normal_(network.output.weight, std=1.0)  # sure of itself, as a trained one is
    network.train()(picture(64, 64))
    network.eval()
    images = picture(*size)
    with torch.inference_mode():
        whole = network(images).softmax(1)
        tiled = Tiled(network, tile=256, overlap=192, largest=1)(images).softmax(1)
    assert float((tiled - whole).abs().mean()) < 1e-3


def test_small_pictures_are_one_piece() -> None:
    network = unet(num_classes=2, width=4).eval()
    images = picture(40, 50)
    with torch.inference_mode():
        assert torch.equal(Tiled(network)(images), network(images))


def test_the_overlap_is_smaller_than_the_tile() -> None:
    with pytest.raises(ValueError, match="0 <= overlap < tile"):
        Tiled(unet(num_classes=2, width=4), tile=64, overlap=64)
