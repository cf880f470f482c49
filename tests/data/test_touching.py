"""The weights of gaps between objects, against the equation computed pixel by pixel."""

import pytest
import torch

from sightline.data.touching import objects_of, touching_weights
from sightline.structures import IGNORED


def by_hand(objects, weight, sigma):
    """Equation 2 without shortcuts: the distances from each pixel to all pixels of each object."""
    places = torch.cartesian_prod(torch.arange(objects.shape[0]), torch.arange(objects.shape[1])).float()
    flat = objects.flatten()
    numbers = [number for number in flat.unique().tolist() if number]
    distances = torch.stack([torch.cdist(places, places[flat == number]).min(1).values for number in numbers])
    two = distances.sort(0).values[:2].sum(0)
    weights = weight * torch.exp(-(two**2) / (2 * sigma**2))
    return torch.where(flat == 0, weights, torch.zeros(())).view(objects.shape)


@pytest.mark.parametrize(("weight", "sigma"), [(10, 5), (3, 1.5)])
def test_the_weights_are_those_of_the_equation(weight, sigma):
    generator = torch.Generator().manual_seed(0)
    objects = torch.zeros(40, 50, dtype=torch.int64)
    for number in range(1, 7):
        top, left = torch.randint(32, (2,), generator=generator).tolist()
        objects[top : top + 6, left : left + 9] = number
    torch.testing.assert_close(touching_weights(objects, weight, sigma), by_hand(objects, weight, sigma))


def test_the_narrowest_gap_weighs_most():
    objects = torch.zeros(20, 41, dtype=torch.int64)
    objects[:, :20], objects[:, 21:] = 1, 2
    objects[10:, 16:20] = 0
    weights = touching_weights(objects)
    assert weights.argmax() % 41 == 20
    assert weights[0, 20] == pytest.approx(10 * torch.exp(torch.tensor(-4 / 50)).item())
    assert weights[15, 18] < weights[0, 20]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_objects_do_not_touch(count):
    objects = torch.zeros(8, 8, dtype=torch.int64)
    objects[2:4, 2:4] = count
    assert not touching_weights(objects).any()


def test_numbers_with_gaps_and_other_types():
    objects = torch.tensor([[9, 0, 0, 3, 0]], dtype=torch.uint8)
    assert torch.equal(touching_weights(objects), touching_weights(torch.tensor([[1, 0, 0, 2, 0]])))


def test_objects_are_connected_parts_of_a_class():
    mask = torch.tensor([[1, 0, 1, 1], [0, 1, 0, 2], [IGNORED, 1, 0, 2]], dtype=torch.uint8)
    objects = objects_of(mask)
    assert objects.tolist() == [[1, 0, 2, 2], [0, 3, 0, 4], [0, 3, 0, 4]]
    assert objects_of(mask, background=1).tolist() == [[0, 1, 0, 0], [2, 0, 3, 4], [0, 0, 3, 4]]
    assert not objects_of(torch.zeros(3, 3, dtype=torch.uint8)).any()
