"""Tiles against one piece: equal for the network without padding, as good as equal for the padded one."""

import pytest
import torch

from sightline.models import create_backbone
from sightline.models.unet import UNet, unet
from sightline.tasks.tiles import Tiled


def picture(height: int, width: int) -> torch.Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "googlenet", "inception_v3", "resnet34"])
def test_tiles_are_nearly_the_whole_on_any_backbone(name: str) -> None:
    """As tiles are cut where nobody says otherwise, over the length of a picture of 1,500 x 1,100 pixels."""
    torch.manual_seed(0)
    network = unet(num_classes=3, width=16, backbone=create_backbone(name, num_classes=2))
    images = torch.nn.functional.interpolate(picture(20, 188), (160, 1500), mode="bilinear") + 0.3 * picture(160, 1500)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the statistics of this one picture, so that no map dies out
    with torch.inference_mode():
        network.train()(images[..., :320].expand(2, -1, -1, -1))
        network.eval()
        whole = network(images).softmax(1)
        difference = (Tiled(network, largest=1)(images).softmax(1) - whole).abs()
    assert whole.std() > 0.1
    assert 0 < float(difference.mean()) < 5e-4


@pytest.mark.parametrize(
    ("total", "starts"), [(100, [0]), (164, [0, 64]), (200, [0, 48, 100]), (260, [0, 48, 96, 160])]
)
def test_tiles_overlap_as_much_as_they_can(total: int, starts: list[int]) -> None:
    network = unet(num_classes=2, width=4)
    tiled = Tiled(network, tile=100, overlap=36)
    found = tiled._starts(total, min(total, 100))
    assert found[0] == 0
    assert found[-1] == total - min(total, 100)
    assert all(start % network.multiple == 0 for start in found[:-1])
    assert found == starts


def test_small_pictures_are_one_piece() -> None:
    network = unet(num_classes=2, width=4).eval()
    images = picture(40, 50)
    with torch.inference_mode():
        assert torch.equal(Tiled(network)(images), network(images))


def test_the_overlap_is_smaller_than_the_tile() -> None:
    with pytest.raises(ValueError, match="0 <= overlap < tile"):
        Tiled(unet(num_classes=2, width=4), tile=64, overlap=64)
