import pytest
import torch

from sightline.ops.boxes import iou
from sightline.ops.nms import batched_nms, nms, suppress


def _crowded(count, seed):
    """Boxes that overlap a lot, with whole corners and few different scores, so that much is equal."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randint(0, 60, (count, 2), generator=generator)
    boxes = torch.cat((start, start + torch.randint(1, 40, (count, 2), generator=generator)), dim=1).float()
    return boxes, torch.randint(0, 12, (count,), generator=generator) / 12, generator


def _one_after_the_other(boxes, scores, threshold):
    """The definition: take the best that is left, strike out what overlaps it too much."""
    overlap = iou(boxes, boxes).tolist()
    left = sorted(range(len(boxes)), key=lambda i: (-scores[i].item(), i))
    kept = []
    while left:
        best, *left = left
        kept.append(best)
        left = [i for i in left if overlap[best][i] <= threshold]
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_nms_is_the_definition(threshold):
    boxes, scores, _ = _crowded(40, seed=0)
    assert nms(boxes, scores, threshold).tolist() == _one_after_the_other(boxes, scores, threshold)


@pytest.mark.parametrize("count", [120, 700, 2400])
def test_groups_leave_each_other_alone(count):
    # Four groups: in one piece, in two of two groups each, and each in one. Some boxes lie left of the picture.
    boxes, scores, generator = _crowded(count, seed=1)
    boxes = boxes - 20
    groups = torch.randint(0, 4, (count,), generator=generator) ** 3 - 5
    kept = batched_nms(boxes, scores, groups, 0.3)
    expected = [
        rows[nms(boxes[rows], scores[rows], 0.3)] for g in groups.unique() for rows in [torch.where(groups == g)[0]]
    ]
    assert sorted(kept.tolist()) == sorted(torch.cat(expected).tolist())
    order = sorted(kept.tolist(), key=lambda i: (-scores[i].item(), i))
    assert kept.tolist() == order
    assert len(kept) > len(nms(boxes, scores, 0.3))


def test_groups_left_of_the_picture_do_not_meet_others():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [-11.0, 0.0, -1.0, 10.0]])
    assert batched_nms(boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]), 0.5).tolist() == [0, 1]


def test_many_small_groups_are_not_rounded_together():
    # 400 groups of one pair each, with an IoU of 0.501. At 250,000 pixels float32 would round 50.1 by a hundredth and more.
    pair = torch.tensor([[900.0, 900.0, 1000.0, 1000.0], [900.0, 900.0, 950.1, 1000.0]])
    boxes, groups = pair.repeat(400, 1), torch.arange(400).repeat_interleave(2)
    boxes[:2] -= 900
    scores = torch.tensor([0.9, 0.8]).repeat(400)
    assert len(batched_nms(boxes, scores, groups, 0.50103)) == 800
    assert len(batched_nms(boxes, scores, groups, 0.50097)) == 400


def test_no_boxes_keep_none():
    none, no_scores = torch.zeros(0, 4), torch.zeros(0)
    assert nms(none, no_scores, 0.5).shape == (0,)
    kept = batched_nms(none, no_scores, torch.zeros(0, dtype=torch.int64), 0.5)
    assert (kept.shape, kept.dtype) == ((0,), torch.int64)
    assert suppress(torch.zeros(2, 0, 4), torch.zeros(2, 0), 0.5).shape == (2, 0)
    assert suppress(torch.zeros(0, 3, 4), torch.zeros(0, 3), 0.5).shape == (0, 3)


def test_half_precision_is_compared_in_float32():
    # The IoU is 0.5 + 0.0017: in bfloat16 the product of the sides alone is off by more.
    boxes = torch.tensor([[0, 0, 100, 100], [0, 0, 100, 50.25]], dtype=torch.bfloat16)
    scores = torch.tensor([0.9, 0.8], dtype=torch.bfloat16)
    assert nms(boxes, scores, 0.5).tolist() == [0]
    assert nms(boxes, scores, 0.503).tolist() == [0, 1]


def test_a_batch_is_its_pictures_and_padding_suppresses_nothing():
    parts = [_crowded(50, seed=seed) for seed in range(3)]
    boxes, scores = (torch.stack([part[column] for part in parts]) for column in (0, 1))
    groups = torch.arange(50).expand(3, 50) % 3
    real = torch.arange(50) < torch.tensor([[50], [20], [0]])
    boxes[~real], scores[~real] = torch.tensor([0.0, 0.0, 99.0, 99.0]), 2.0
    stays = suppress(boxes, scores, 0.3, real, groups)
    for i, count in enumerate((50, 20, 0)):
        kept = batched_nms(boxes[i, :count], scores[i, :count], groups[i, :count], 0.3)
        assert torch.where(stays[i])[0].tolist() == sorted(kept.tolist())
    ungrouped = suppress(boxes, scores, 0.3, real)
    assert 0 < ungrouped.sum() < stays.sum()
