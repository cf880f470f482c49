import pytest
import torch
from torchvision.transforms import v2

from sightline.ops.images import normalise
from sightline.structures import IMAGENET_MEAN, IMAGENET_STD

THEIRS = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(IMAGENET_MEAN), list(IMAGENET_STD))])


@pytest.mark.parametrize("shape", [(3, 5, 7), (4, 3, 5, 7), (2, 10, 3, 5, 7), (0, 3, 5, 7)])
def test_agrees_with_torchvision(shape):
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    ours = normalise(images, IMAGENET_MEAN, IMAGENET_STD)
    torch.testing.assert_close(ours, THEIRS(images), rtol=1e-5, atol=1e-6)
    assert ours.dtype == torch.float32
    assert ours.shape == images.shape
