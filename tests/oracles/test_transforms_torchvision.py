"""Evaluation is what torchvision's presets do with the published weights."""

import pytest
import torch
from PIL import Image
from torchvision.transforms import TenCrop, v2
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms.v2 import functional as F

from sightline.data.transforms import Augmentation, eval_transform, train_transform
from sightline.structures import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

SHAPES = [(300, 400), (400, 300), (256, 256), (97, 331), (50, 60), (257, 258)]


def picture(height: int, width: int) -> torch.Tensor:
    """Smooth enough to be a photograph, with some noise."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    coarse = torch.rand(1, 3, 9, 9, generator=generator)
    fine = 0.1 * torch.rand(1, 3, height, width, generator=generator)
    image = 0.9 * torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic") + fine
    return (image[0] * 255).clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (232, 224), (342, 299)])
@pytest.mark.parametrize("as_pillow", [False, True])
def test_centre_crop(shape: tuple[int, int], resize: int, crop: int, as_pillow: bool) -> None:
    image = picture(*shape)
    preset = ImageClassification(crop_size=crop, resize_size=resize, antialias=True)
    theirs = preset(Image.fromarray(image.permute(1, 2, 0).numpy()) if as_pillow else image)
    ours = eval_transform(Preprocessing(resize=resize, crop=crop))(image)
    normalised = F.normalize(F.to_dtype(ours, torch.float32, scale=True), list(IMAGENET_MEAN), list(IMAGENET_STD))
    step = 1 / 255 / torch.tensor(IMAGENET_STD)[:, None, None]
    assert ((normalised - theirs).abs() <= 1.001 * step).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_ten_crop(shape: tuple[int, int]) -> None:
    image = picture(*shape)
    theirs = torch.stack(TenCrop(224)(F.resize(image, [256], antialias=True)))
    ours = eval_transform(Preprocessing(resize=256, crop=224), crops=10)(image)
    assert ours.shape == (10, 3, 224, 224)
    assert (ours == theirs).all()


def test_the_centre_is_the_fifth_of_ten() -> None:
    preprocessing, image = Preprocessing(resize=256, crop=224), picture(300, 400)
    ten = eval_transform(preprocessing, crops=10)(image)
    assert (ten[4] == eval_transform(preprocessing)(image)).all()
    assert (ten[5] == ten[1].flip(-1)).all()


def test_shift_is_a_random_crop_with_reflection() -> None:
    """The same distribution as torchvision's: each of 81 places about as often."""
    image = picture(32, 32)
    theirs = v2.RandomCrop(32, padding=4, padding_mode="reflect")
    ours = train_transform(Augmentation(crop="shift", mirror=0), 32)
    torch.default_generator.manual_seed(0)
    seen = [{transform(image).contiguous().numpy().tobytes() for _ in range(1200)} for transform in (theirs, ours)]
    assert len(seen[0]) == 81
    assert seen[0] == seen[1]
