import math

import pytest
import torch

from sightline.ops.losses import objectness, region_cross_entropy, smooth_l1

CHOSEN = torch.tensor([True, False, True])
NONE = torch.zeros(3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("beta", "expected"),
    [(1.0, 0.5 * 0.25 + 2.5), (1 / 9, 0.5 - 1 / 18 + 3 - 1 / 18), (0.0, 3.5), (4.0, 0.25 / 8 + 9 / 8)],
)
def test_smooth_l1_is_the_sum_of_its_definition(beta, expected):
    predicted = torch.tensor([[1.0, 0.0, 0.0, 0.0], [7.0, 7.0, 7.0, 7.0], [0.0, 0.0, 0.0, 0.0]])
    target = torch.tensor([[0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]])
    assert smooth_l1(predicted, target, CHOSEN, beta).item() == pytest.approx(expected)


@pytest.mark.parametrize("beta", [0.0, 1 / 9])
def test_what_is_not_chosen_may_be_infinite(beta):
    predicted = torch.ones(3, 4, requires_grad=True)
    target = torch.zeros(3, 4)
    target[1] = torch.tensor([torch.inf, -torch.inf, torch.nan, 0.0])
    smooth_l1(predicted, target, CHOSEN, beta).backward()
    assert predicted.grad.tolist() == [[1.0] * 4, [0.0] * 4, [1.0] * 4]


def test_objectness_is_the_mean_over_what_is_drawn():
    logits = torch.tensor([[2.0, -1.0, 50.0], [0.5, 3.0, -50.0]], requires_grad=True)
    positive = torch.tensor([[True, False, False], [False, False, False]])
    negative = torch.tensor([[False, True, False], [True, False, False]])
    loss = objectness(logits, positive, negative)
    expected = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-1.0)) + math.log1p(math.exp(0.5))) / 3
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert (logits.grad != 0).tolist() == (positive | negative).tolist()


def test_region_cross_entropy_is_the_mean_over_what_is_drawn():
    logits = torch.tensor([[0.0, 1.0, 2.0], [9.0, 0.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    loss = region_cross_entropy(logits, torch.tensor([2, 1, 0]), CHOSEN)
    first = math.log(1 + math.exp(-1) + math.exp(-2))
    assert loss.item() == pytest.approx((first + math.log(3)) / 2)
    loss.backward()
    assert not logits.grad[1].any()
    batched = region_cross_entropy(logits[None], torch.tensor([[2, 1, 0]]), CHOSEN[None])
    assert torch.equal(batched, loss)


def test_without_anything_drawn_all_are_0_with_gradients():
    values = torch.randn(3, 4, requires_grad=True)
    losses = (
        smooth_l1(values, torch.zeros(3, 4), NONE, 1.0),
        objectness(values[None, :, 0], NONE[None], NONE[None]),
        region_cross_entropy(values, torch.zeros(3, dtype=torch.int64), NONE),
    )
    assert [loss.item() for loss in losses] == [0, 0, 0]
    sum(losses).backward()
    assert not values.grad.any()


def test_half_precision_is_added_up_in_float32():
    # 4,000 differences of 1, which bfloat16 could not count.
    many = torch.ones(1000, 4, dtype=torch.bfloat16)
    loss = smooth_l1(many, torch.zeros(1000, 4), torch.ones(1000, dtype=torch.bool), 0.0)
    assert (loss.dtype, loss.item()) == (torch.float32, 4000)
    # Nor has it 255.5.
    one = torch.ones(1, 4, dtype=torch.bfloat16)
    assert smooth_l1(256 * one, one / 2, torch.tensor([True]), 0.0).item() == 4 * 255.5
    logits = torch.full((1, 1000), 3.0, dtype=torch.bfloat16)
    none = torch.zeros(1, 1000, dtype=torch.bool)
    assert objectness(logits, ~none, none).item() == pytest.approx(math.log1p(math.exp(-3)))
