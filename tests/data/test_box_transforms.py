"""Boxes stay on what they mark, whatever is done to the picture."""

import pytest
import torch
from torch import Tensor

from sightline.data.box_transforms import BoxAugmentation, eval_boxes, resized_size, train_boxes
from sightline.data.loader import collate_padded
from sightline.errors import ConfigError
from sightline.structures import DetectionTarget, Sample, WholePicture

BOX = (12, 20, 36, 44)


def _marked() -> tuple[Tensor, DetectionTarget]:
    """A dark picture of 60 x 80 with a bright rectangle and a box around it; the box's own label is 2."""
    image = torch.zeros(3, 60, 80, dtype=torch.uint8)
    left, top, right, bottom = BOX
    image[:, top:bottom, left:right] = 255
    return image, DetectionTarget.of(torch.tensor([BOX], dtype=torch.float32), torch.tensor([2]))


def _extent(image: Tensor) -> Tensor:
    """Where the picture is bright: left, top, right, bottom."""
    rows, columns = (image[0] > 127).nonzero().unbind(1)
    return torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()


@pytest.mark.parametrize(
    "augmentation",
    [
        BoxAugmentation(crop=0, mirror=0, scale=(1, 1), color_jitter=0),
        BoxAugmentation(crop=0, mirror=1, scale=(1, 1), color_jitter=0),
        BoxAugmentation(crop=0, mirror=0, flip=1, scale=(0.5, 2), color_jitter=0),
        BoxAugmentation(crop=1, mirror=0.5, flip=0.5, scale=(0.8, 1.25), color_jitter=0),
    ],
)
def test_the_box_is_where_the_bright_part_is(augmentation):
    transform = train_boxes(augmentation, WholePicture(shorter=90, longer=400))
    for seed in range(20):
        torch.manual_seed(seed)
        image, target = transform(*_marked())
        assert target.labels.tolist() == [2]
        torch.testing.assert_close(target.boxes[0], _extent(image), atol=1.0, rtol=0)
        sides = target.boxes[0, 2:] - target.boxes[0, :2]
        assert target.areas[0].item() == pytest.approx(sides.prod().item(), rel=1e-3)


def test_the_same_seed_gives_the_same_picture():
    transform = train_boxes(BoxAugmentation(), WholePicture(shorter=40, longer=100))
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(transform(*_marked())[0])
    assert torch.equal(results[0], results[1])
    assert results[0].shape != results[2].shape or not torch.equal(results[0], results[2])


def test_a_picture_without_objects_stays_without():
    image, _ = _marked()
    nothing = DetectionTarget.of(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    _, target = train_boxes(BoxAugmentation(crop=1), WholePicture(shorter=40, longer=100))(image, nothing)
    assert target.boxes.shape == (0, 4)


def test_objects_whose_centre_is_cut_away_are_left_out():
    boxes = torch.tensor([BOX, (60, 2, 78, 18)], dtype=torch.float32)
    target = DetectionTarget.of(boxes, torch.tensor([2, 1]))
    transform = train_boxes(BoxAugmentation(crop=1, crop_side=0.4), WholePicture(shorter=60, longer=400))
    counts = set()
    for seed in range(30):
        torch.manual_seed(seed)
        image, kept = transform(_marked()[0], target)
        counts.add(len(kept.labels))
        height, width = image.shape[1:]
        assert (kept.boxes >= 0).all()
        assert (kept.boxes <= torch.tensor([width, height, width, height]) + 1e-3).all()
    assert counts == {1, 2}


def test_for_evaluation_the_objects_stay_where_the_picture_had_them():
    image, target = eval_boxes(WholePicture(shorter=30, longer=100))(*_marked())
    assert image.shape == (3, 30, 40)
    assert target.boxes.tolist() == [list(BOX)]


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 640), (800, 1067)), ((640, 480), (1067, 800)), ((300, 1000), (400, 1333))]
)
def test_the_shorter_side_decides_up_to_the_longer(size, expected):
    assert resized_size(size, WholePicture(shorter=800, longer=1333)) == expected


def test_pictures_of_different_sizes_are_padded_together():
    nothing = DetectionTarget.of(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    pictures = [torch.full((3, h, w), 9, dtype=torch.uint8) for h, w in ((40, 50), (30, 70))]
    batch = collate_padded([Sample(p, nothing, i, original_size=(4, 5)) for i, p in enumerate(pictures)])
    assert batch.images.shape == (2, 3, 64, 96)
    assert batch.sizes.tolist() == [[40, 50], [30, 70]]
    assert batch.original_sizes.tolist() == [[4, 5], [4, 5]]
    assert batch.images[0].sum() == 9 * 3 * 40 * 50
    part = batch.part(1, 2)
    assert part.sizes.tolist() == [[30, 70]]
    assert part.indices == (1,)


@pytest.mark.parametrize("values", [{"mirror": 2}, {"crop_side": -1}, {"scale": (2, 1)}])
def test_values_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match=f"boxes.{next(iter(values))}"):
        BoxAugmentation(**values)
