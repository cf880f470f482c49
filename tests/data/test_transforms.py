from typing import Any

import pytest
import torch
from torch import Tensor

from sightline.data.transforms import (
    Augmentation,
    _reflected,
    centre_box,
    eval_transform,
    shorter_side,
    train_transform,
    train_transforms,
)
from sightline.errors import ConfigError
from sightline.structures import Preprocessing


def picture(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def smooth(height: int, width: int) -> Tensor:
    """Rows in the first channel, columns in the second: every pixel says where it comes from."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([rows, columns, torch.zeros_like(rows)]).to(torch.uint8)


OPTIONS: list[dict[str, Any]] = [
    {"crop": "resized"},
    {"crop": "shift"},
    {"crop": "paper"},
    {"crop": "paper", "scale_jitter": (1.0, 2.0)},
    {"crop": "none"},
    {"color_jitter": 0.4},
    {"alexnet_color": 0.1},
    {"erasing": 1.0},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", [(32, 32), (20, 50), (7, 5)])
def test_every_option_gives_the_size_and_depends_on_the_generator_alone(
    options: dict[str, Any], shape: tuple[int, int]
) -> None:
    transform, image = train_transform(Augmentation(**options), 32), picture(*shape)
    before = image.clone()
    seen = []
    for seed in (1, 1, 2):
        torch.default_generator.manual_seed(seed)
        seen += [torch.stack([transform(image) for _ in range(4)])]
    assert seen[0].shape == (4, 3, 32, 32)
    assert seen[0].dtype == torch.uint8
    assert (seen[0] == seen[1]).all()
    assert (seen[0] != seen[2]).any()
    assert (image == before).all()


def test_shift_is_reflection_and_a_window_of_the_picture() -> None:
    image = smooth(32, 32)
    padded = torch.nn.functional.pad(image.float(), (4, 4, 4, 4), mode="reflect").to(torch.uint8)
    windows = {padded[:, y : y + 32, x : x + 32].numpy().tobytes(): (y, x) for y in range(9) for x in range(9)}
    transform = train_transform(Augmentation(crop="shift", mirror=0), 32)
    torch.default_generator.manual_seed(0)
    places = [windows[transform(image).contiguous().numpy().tobytes()] for _ in range(400)]
    assert {y for y, _ in places} == {x for _, x in places} == set(range(9))


def test_reflected_places() -> None:
    assert _reflected(-3, 8, 4).tolist() == [3, 2, 1, 0, 1, 2, 3, 2]


def test_paper_crop_is_256_to_224() -> None:
    image = smooth(256, 256)
    transform = train_transform(Augmentation(crop="paper", mirror=0), 224)
    torch.default_generator.manual_seed(0)
    starts = {(int(crop[0, 0, 0]), int(crop[1, 0, 0])) for crop in (transform(image) for _ in range(500))}
    assert min(y for y, _ in starts) == 0
    assert max(y for y, _ in starts) == 32
    assert max(x for _, x in starts) == 32


def test_scale_jitter_draws_the_shorter_side_from_a_range() -> None:
    """The picture's rows are a ramp, so that the ramp's slope in a crop tells what side it was resized to."""
    image = torch.arange(256, dtype=torch.uint8)[None, :, None].expand(3, 256, 300)
    transform = train_transform(Augmentation(crop="paper", scale_jitter=(1.0, 2.0), mirror=0), 64)
    torch.default_generator.manual_seed(0)
    crops = [transform(image)[0, :, 0].float() for _ in range(400)]
    sides = [255 * 63 / float(crop[-1] - crop[0]) for crop in crops]
    assert min(sides) == pytest.approx(64, abs=1.5)
    assert max(sides) == pytest.approx(128, abs=1.5)
    assert sum(sides) / len(sides) == pytest.approx(96, abs=3)


def test_mirror_probability() -> None:
    image = smooth(8, 8)
    for probability, low, high in ((0.0, 0, 0), (1.0, 200, 200), (0.5, 70, 130)):
        transform = train_transform(Augmentation(crop="none", mirror=probability), 8)
        torch.default_generator.manual_seed(0)
        assert low <= sum(bool((transform(image) == image.flip(-1)).all()) for _ in range(200)) <= high


def test_erasing_fills_with_the_mean() -> None:
    transform = train_transform(Augmentation(crop="none", mirror=0, erasing=1.0), 32, mean=(0.0, 0.2, 1.0))
    image = torch.full((3, 32, 32), 100, dtype=torch.uint8)
    torch.default_generator.manual_seed(0)
    erased = transform(image)
    box = (erased != image).any(0)
    assert 0 < box.sum() < 32 * 32
    assert erased[:, box].unique(dim=1).flatten().tolist() == [0, 51, 255]


def test_alexnet_color_is_one_shift_along_the_main_colours() -> None:
    transform = train_transform(Augmentation(crop="none", mirror=0, alexnet_color=0.1), 4)
    image = torch.full((3, 4, 4), 128, dtype=torch.uint8)
    torch.default_generator.manual_seed(0)
    shifts = torch.stack([transform(image).float() - 128 for _ in range(3000)])
    assert (shifts == shifts[:, :, :1, :1]).all()
    # Along the first component, nearly grey, the deviation is 255 x 0.2175 x 0.1 = 5.5.
    along = shifts[:, :, 0, 0] @ torch.tensor([0.5675, 0.5808, 0.5836])
    assert abs(along.std() - 5.55) < 0.3
    assert abs(along.mean()) < 0.4


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"crop": "random"}, "crop is one of resized, shift, paper, none, got 'random'"),
        ({"mirror": -0.1}, "mirror is within 0..1, got -0.1"),
        ({"erasing": float("nan")}, "erasing is within 0..1"),
        ({"color_jitter": 2}, "color_jitter is within 0..1, got 2"),
        ({"mixup": -1.0}, "mixup is at least 0, got -1.0"),
        ({"cutmix": float("inf")}, "cutmix is at least 0"),
        ({"scale": (0.5, 0.2)}, "scale is two shares with 0 < smallest <= largest <= 1"),
        ({"scale": (0.5,)}, "scale is two shares"),
        ({"ratio": (0.0, 1.0)}, "ratio is two numbers"),
        ({"scale_jitter": (0.9, 2.0)}, "scale_jitter is two numbers with 1 <= smallest <= largest, got"),
        ({"scale_jitter": (2.0, 1.0)}, "scale_jitter is two numbers"),
        ({"scale_jitter": (1.0,)}, "scale_jitter is two numbers"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Augmentation(**options)


def test_mixing_is_on_when_one_of_both_is() -> None:
    assert Augmentation().mixing() is None
    assert Augmentation(mixup=0.2).mixing() is not None
    assert Augmentation(cutmix=1.0).mixing() is not None


def test_crops_are_one_ten_or_dense() -> None:
    with pytest.raises(ConfigError, match=r"crops is 1 .* 10 .* or \"dense\" .*, got 5"):
        eval_transform(Preprocessing(resize=32, crop=32), crops=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(("height", "width"), [(40, 61), (61, 40), (24, 24), (33, 24), (200, 24)])
def test_the_centre_box_is_where_the_crop_comes_from(height: int, width: int) -> None:
    """Pixels that hold their own place: what comes through tells where it was."""
    preprocessing = Preprocessing(resize=24, crop=20)
    rows, columns = (torch.arange(length, dtype=torch.uint8) for length in (height, width))
    image = torch.stack(
        [
            rows[:, None].expand(height, width),
            columns.expand(height, width),
            torch.zeros(height, width, dtype=torch.uint8),
        ]
    )
    left, top, right, bottom = centre_box(preprocessing, height, width)
    seen = eval_transform(preprocessing)(image)
    for line, first, last in ((seen[0, :, 10], top, bottom), (seen[1, 10], left, right)):
        places = first + (torch.arange(20) + 0.5) * (last - first) / 20 - 0.5
        inner = slice(1, -1)  # at the rim of the picture the mean over neighbours has fewer of them
        assert (line[inner] - places[inner]).abs().max() <= 0.51
        assert last - first == pytest.approx(20 * min(height, width) / 24, rel=0.02)  # sides are whole pixels


def test_a_whole_picture_comes_with_its_mirror_image() -> None:
    image = torch.randint(0, 256, (3, 30, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    views = eval_transform(Preprocessing(resize=15, crop=10), crops="dense")(image)
    assert views.shape == (2, 3, 15, 25)
    assert (views[1] == views[0].flip(-1)).all()
    assert (views[0] == shorter_side(image, 15)).all()


def test_pictures_grow_with_the_epochs_and_end_whole() -> None:
    def sides(size: int, epochs: int, **options: float) -> list[int]:
        transforms = train_transforms(Augmentation(crop="shift", **options), size, epochs)  # type: ignore[arg-type]
        return [transform(torch.zeros(3, size, size, dtype=torch.uint8)).shape[-1] for transform in transforms]

    assert sides(32, 20, start_size=0.75) == [24] * 10 + [32] * 10
    assert sides(32, 20, start_size=0.75, full_size_at=0.8) == [24] * 8 + [32] * 12
    assert sides(32, 5) == [32] * 5
    assert sides(256, 5, start_size=0.5) == [128, 160, 192, 224, 256]
    assert sides(256, 1, start_size=0.5) == [256]
    assert sides(20, 3, start_size=0.9)[-1] == 20
    assert min(sides(8, 10, start_size=0.1)) == 8


def test_a_growth_out_of_range_is_refused() -> None:
    for options in ({"start_size": 0.0}, {"start_size": 1.5}, {"full_size_at": 0.0}):
        with pytest.raises(ConfigError, match="start_size and full_size_at are above 0 and at most 1"):
            Augmentation(**options)  # type: ignore[arg-type]
