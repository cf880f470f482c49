import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.ops import boxes as B

# Sides of a tenth of a pixel and more: below, float32 cannot say how wide a box at the far edge is.
corner = st.floats(-500, 2000, width=32)
side = st.floats(0.125, 1500, width=32)
box = st.tuples(corner, corner, side, side).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])
some_boxes = st.lists(box, min_size=1, max_size=6).map(torch.tensor)
quickly = settings(max_examples=30, deadline=None)


def _random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(*shape, 2, generator=generator) * 80
    return torch.cat((start, start + torch.rand(*shape, 2, generator=generator) * 40 + 0.5), dim=-1)


def _shared_by_counting(a, b):
    """Square pixels of two boxes with whole corners, one pixel after the other."""
    return sum(
        b[0] <= x < b[2] and b[1] <= y < b[3] for x in range(int(a[0]), int(a[2])) for y in range(int(a[1]), int(a[3]))
    )


def test_intersection_union_and_coverage_are_counted_pixels():
    boxes, others = _random(5).round() / 4 // 1, _random(6, seed=1).round() / 4 // 1
    for i, a in enumerate(boxes.tolist()):
        for j, b in enumerate(others.tolist()):
            shared, own = _shared_by_counting(a, b), _shared_by_counting(a, a)
            union = own + _shared_by_counting(b, b) - shared
            assert B.intersection(boxes, others)[i, j].item() == shared
            assert B.iou(boxes, others)[i, j].item() == pytest.approx(shared / union if union else 0)
            assert B.coverage(boxes, others)[i, j].item() == pytest.approx(shared / own if own else 0)


@given(some_boxes, some_boxes)
@quickly
def test_iou_is_symmetric_within_0_and_1_and_1_with_itself(boxes, others):
    overlap = B.iou(boxes, others)
    assert torch.equal(overlap, B.iou(others, boxes).T)
    assert ((overlap >= 0) & (overlap <= 1)).all()
    torch.testing.assert_close(B.iou(boxes, boxes).diagonal(), torch.ones(len(boxes)))


@given(some_boxes, some_boxes)
@quickly
def test_coverage_is_no_less_than_iou(boxes, others):
    assert (B.coverage(boxes, others) >= B.iou(boxes, others) * (1 - 1e-5)).all()


def test_a_batch_is_its_pictures_and_broadcasts():
    boxes, others = _random(3, 4), _random(3, 5, seed=1)
    for function in (B.intersection, B.iou, B.coverage):
        together = function(boxes, others)
        assert together.shape == (3, 4, 5)
        assert torch.equal(together, torch.stack([function(a, b) for a, b in zip(boxes, others, strict=True)]))
        assert torch.equal(function(boxes, others[0])[2], function(boxes[2], others[0]))
    assert B.iou(boxes[:, :0], others).shape == (3, 0, 5)


@pytest.mark.parametrize("nothing", [[3.0, 3.0, 3.0, 3.0], [1.0, 1.0, 1.0, 9.0], [5.0, 5.0, 2.0, 2.0]])
def test_a_box_without_an_area_shares_nothing(nothing):
    boxes = torch.tensor([nothing, [0.0, 0.0, 9.0, 9.0]])
    expected = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    assert torch.equal(B.iou(boxes, boxes), expected)
    assert torch.equal(B.coverage(boxes, boxes), expected)
    assert B.area(boxes).tolist() == [0, 81]


def test_half_precision_boxes_are_compared_in_float32():
    boxes = torch.tensor([[0, 0, 100, 100]], dtype=torch.bfloat16)
    shifted = torch.tensor([[1, 0, 101, 100]], dtype=torch.bfloat16)
    overlap = B.iou(boxes, shifted)
    assert overlap.dtype == torch.float32
    assert overlap.item() == pytest.approx(99 / 101)
    assert B.decode(torch.zeros(1, 4, dtype=torch.bfloat16), boxes).dtype == torch.float32


@given(some_boxes, some_boxes)
@quickly
def test_decoding_undoes_encoding(boxes, references):
    count = min(len(boxes), len(references))
    boxes, references = boxes[:count].double(), references[:count].double()
    weights = (10.0, 9.0, 5.0, 4.0)
    offsets = B.encode(boxes, references, weights)
    # A side may grow up to the limit only.
    growth = ((boxes[:, 2:] - boxes[:, :2]) / (references[:, 2:] - references[:, :2])).amax(dim=1)
    back, possible = B.decode(offsets, references, weights), growth <= 1000 / 16
    torch.testing.assert_close(back[possible], boxes[possible], rtol=1e-9, atol=1e-6)


def test_offsets_are_those_of_the_paper():
    reference, box = torch.tensor([10.0, 20.0, 30.0, 60.0]), torch.tensor([20.0, 10.0, 60.0, 30.0])
    # Centres (20, 40) and (40, 20), sides (20, 40) and (40, 20).
    expected = [20 / 20, -20 / 40, math.log(2), math.log(0.5)]
    assert B.encode(box, reference).tolist() == pytest.approx(expected)
    weighted = B.encode(box, reference, (10.0, 10.0, 5.0, 5.0)).tolist()
    assert weighted == pytest.approx([10 * expected[0], 10 * expected[1], 5 * expected[2], 5 * expected[3]])


def test_growth_is_limited_from_above_only():
    reference = torch.tensor([0.0, 0.0, 16.0, 16.0])
    large = B.decode(torch.tensor([0.0, 0.0, 50.0, 4.2]), reference)
    torch.testing.assert_close(large[2:] - large[:2], torch.tensor([1000.0, 1000.0]))
    small = B.decode(torch.tensor([0.0, 0.0, -5.0, -9.0]), reference)
    torch.testing.assert_close(small[2:] - small[:2], 16 * torch.tensor([-5.0, -9.0]).exp())


def test_offsets_for_each_class_share_the_reference():
    offsets, references = torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(0)), _random(7)
    together = B.decode(offsets, references[:, None])
    assert torch.equal(together[:, 1], B.decode(offsets[:, 1], references))


def test_clipping_uses_each_pictures_own_size():
    boxes = torch.tensor([[-5.0, -6.0, 500.0, 500.0], [90.0, 90.0, 95.0, 95.0]]).expand(2, 2, 4)
    clipped = B.clip(boxes, torch.tensor([[40, 80], [100, 60]]))
    assert clipped[0].tolist() == [[0, 0, 80, 40], [80, 40, 80, 40]]
    assert clipped[1].tolist() == [[0, 0, 60, 100], [60, 90, 60, 95]]
    assert torch.equal(B.clip(clipped, torch.tensor([[40, 80], [100, 60]])), clipped)
    assert B.large_enough(clipped, 1.0).tolist() == [[True, False], [True, False]]


def test_large_enough_needs_both_sides():
    boxes = torch.tensor([[0.0, 0.0, 2.0, 5.0], [0.0, 0.0, 1.9, 5.0], [0.0, 0.0, 5.0, 1.9]])
    assert B.large_enough(boxes, 2.0).tolist() == [True, False, False]


@given(some_boxes)
@quickly
def test_the_orders_are_converted_back_and_forth(boxes):
    boxes = boxes.double()
    torch.testing.assert_close(B.cxcywh_to_xyxy(B.xyxy_to_cxcywh(boxes)), boxes)
    torch.testing.assert_close(B.xywh_to_xyxy(B.xyxy_to_xywh(boxes)), boxes)


def test_different_numbers_of_boxes_are_padded():
    parts = [_random(2), _random(0), _random(3)]
    together, real = B.padded(parts)
    assert real.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert torch.equal(together[real], torch.cat(parts))
    assert B.padded([_random(0)] * 2)[0].shape == (2, 0, 4)


def test_all_are_differentiable():
    boxes = torch.tensor([[0.0, 0.0, 5.0, 6.0], [2.0, 3.0, 9.0, 7.5]], dtype=torch.double, requires_grad=True)
    others = torch.tensor([[1.0, 1.2, 4.0, 9.0], [2.2, 3.3, 8.0, 8.0]], dtype=torch.double, requires_grad=True)
    for function in (B.iou, B.coverage, B.encode, B.decode):
        assert torch.autograd.gradcheck(function, (boxes, others))
