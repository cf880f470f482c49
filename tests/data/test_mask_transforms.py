"""The mask stays on what it marks, whatever is done to the picture; what is not in the picture is ignored."""

import pytest
import torch
from torch import Tensor

from sightline.data.mask_transforms import MaskAugmentation, bent, eval_masks, train_masks
from sightline.errors import ConfigError
from sightline.structures import IGNORED, SegmentationTarget

PLAIN = {"mirror": 0, "scale": (1, 1), "rare": 0, "color_jitter": 0}


def marked(height: int = 60, width: int = 80) -> tuple[Tensor, SegmentationTarget]:
    """A dark picture with a bright ellipse off its centre, and the mask of it."""
    y, x = torch.arange(height)[:, None], torch.arange(width)
    inside = ((x - 0.35 * width) / (0.2 * width)) ** 2 + ((y - 0.6 * height) / (0.3 * height)) ** 2 < 1
    return (255 * inside).to(torch.uint8).expand(3, -1, -1), SegmentationTarget(inside.to(torch.uint8))


def disagreement(image: Tensor, mask: Tensor) -> float:
    """Share of the pixels that are not ignored in which brightness and mask differ."""
    known = mask != IGNORED
    return float(((image[0] > 127) != (mask == 1))[known].float().mean())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mirror": 1},
        {"flip": 1},
        {"turn": 1},
        {"scale": (0.5, 2)},
        {"rare": 1, "scale": (0.3, 3)},
        {"elastic": 1},
        {"mirror": 0.5, "flip": 0.5, "turn": 0.5, "scale": (0.5, 2), "rare": 0.5, "elastic": 0.5},
    ],
)
@pytest.mark.parametrize("size", [(60, 80), (20, 90), (30, 31)])
def test_the_mask_is_where_the_bright_part_is(options, size):
    transform = train_masks(MaskAugmentation(**{**PLAIN, **options}), side=48)
    worst = []
    for seed in range(8):
        torch.manual_seed(seed)
        image, target = transform(*marked(*size))
        assert image.shape == (3, 48, 48)
        assert image.dtype == torch.uint8
        assert target.mask.shape == (48, 48)
        worst.append(disagreement(image, target.mask))
    assert max(worst) <= (0.03 if len(options) else 0)


def test_where_the_picture_ends_it_is_reflected_and_the_mask_ignored():
    image = torch.arange(12, dtype=torch.uint8).view(1, 3, 4).expand(3, -1, -1)
    transform = train_masks(MaskAugmentation(**PLAIN), side=9)
    torch.manual_seed(0)
    square, target = transform(image, SegmentationTarget(image[0]))
    known = target.mask != IGNORED
    assert known.sum() == 12
    assert torch.equal(square[0][known].view(3, 4), image[0])
    top, left = known.nonzero()[0].tolist()
    expected = image[0][[min(row % 4, 4 - row % 4) for row in range(-top, 9 - top)]]
    expected = expected[:, [min(column % 6, 6 - column % 6) for column in range(-left, 9 - left)]]
    assert torch.equal(square[0], expected)


def test_a_picture_of_one_pixel():
    transform = train_masks(MaskAugmentation(elastic=1, turn=1), side=8)
    image, target = transform(
        torch.full((3, 1, 1), 9, dtype=torch.uint8), SegmentationTarget(torch.zeros(1, 1, dtype=torch.uint8))
    )
    assert (image.shape, target.mask.shape) == ((3, 8, 8), (8, 8))


def test_rare_classes_are_in_the_crop():
    mask = torch.zeros(200, 200, dtype=torch.uint8)
    mask[199, 0], mask[50, 60] = 3, IGNORED
    image = torch.zeros(3, 200, 200, dtype=torch.uint8)
    seen = {}
    for rare in (0, 1):
        transform = train_masks(MaskAugmentation(**{**PLAIN, "rare": rare}), side=32)
        torch.manual_seed(0)
        crops = [transform(image, SegmentationTarget(mask))[1].mask for _ in range(40)]
        seen[rare] = sum(bool((crop == 3).any()) for crop in crops)
    assert seen[0] <= 2
    assert 10 <= seen[1] <= 30  # half of them: two classes, drawn with equal chances
    nothing = SegmentationTarget(torch.full((200, 200), IGNORED, dtype=torch.uint8))
    assert (transform(image, nothing)[1].mask == IGNORED).all()


def test_every_part_of_the_picture_is_seen():
    image = torch.zeros(3, 10, 12, dtype=torch.uint8)
    places = torch.arange(120, dtype=torch.uint8).view(10, 12)
    transform = train_masks(MaskAugmentation(**PLAIN), side=8)
    torch.manual_seed(0)
    corners = {int(transform(image, SegmentationTarget(places))[1].mask[0, 0]) for _ in range(300)}
    assert corners == {12 * row + column for row in range(3) for column in range(5)}


def test_bending_by_the_same_everywhere_is_a_shift():
    image, target = marked()
    shift = torch.tensor([3.0, -2.0])[:, None, None].expand(2, 3, 3)
    moved, (mask,) = bent(image, target.mask[None], shift)
    assert torch.equal(mask[2:, :-3], target.mask[:-2, 3:])
    assert torch.equal(moved[:, 2:, :-3], image[:, :-2, 3:])
    same, (same_mask,) = bent(image, target.mask[None], torch.zeros(2, 3, 3))
    assert torch.equal(same, image)
    assert torch.equal(same_mask, target.mask)


def test_bending_is_smooth_and_follows_the_grid():
    height, width = 33, 65
    image = torch.arange(width, dtype=torch.uint8).expand(3, height, width)
    displacements = torch.zeros(2, 3, 3)
    displacements[0, 1, 1] = 6  # the middle of the picture comes from 6 pixels to the right
    moved, _ = bent(image, torch.zeros(1, height, width, dtype=torch.uint8), displacements)
    difference = moved[0].int() - image[0].int()
    assert difference[16, 32] == 6
    assert difference[0].abs().max() <= 1
    assert difference.diff(dim=0).abs().max() <= 1


def test_the_same_seed_gives_the_same_picture():
    transform = train_masks(MaskAugmentation(elastic=0.5, turn=0.5), side=32)
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(transform(*marked()))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1].mask, results[1][1].mask)
    assert not torch.equal(results[0][0], results[2][0])


def test_the_contrast_of_the_whole_picture_is_stretched_in_training_as_in_evaluation():
    """Before the window is cut out: the brightest part may be outside."""
    image = (torch.arange(100, dtype=torch.uint8) // 2).view(10, 10).expand(3, -1, -1)
    target = SegmentationTarget(torch.arange(100, dtype=torch.uint8).view(10, 10))
    (whole, _), transform = (
        eval_masks(stretch=True)(image, target),
        train_masks(MaskAugmentation(**PLAIN), 4, stretch=True),
    )
    square, places = transform(image, target)
    assert whole.max() == 255
    assert torch.equal(square, whole.flatten(1)[:, places.mask.flatten().long()].view(3, 4, 4))


def test_for_evaluation_nothing_changes():
    image, target = marked()
    assert eval_masks()(image, target) == (image, target)


@pytest.mark.parametrize(
    "values", [{"mirror": 2}, {"rare": -1}, {"elastic_pixels": -1}, {"scale": (2, 1)}, {"scale": (0, 1)}]
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match=f"masks.{next(iter(values))}"):
        MaskAugmentation(**values)


def test_what_is_said_of_each_pixel_moves_with_the_mask() -> None:
    image, target = marked()
    turning = MaskAugmentation(mirror=0.5, flip=0.5, turn=0.75, elastic=0.5, scale=(0.5, 2.0))
    transform = train_masks(turning, side=16)
    for seed in range(20):
        torch.manual_seed(seed)
        mask = transform(image, target)[1].mask
        torch.manual_seed(seed)
        both = transform(image, SegmentationTarget(target.mask, target.mask))[1]
        assert both.closeness is not None
        known = mask != IGNORED
        assert torch.equal(both.mask, mask)
        assert torch.equal(both.closeness[known], mask[known])
