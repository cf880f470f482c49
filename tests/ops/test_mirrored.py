import numpy as np
import pytest
import torch

from sightline.ops.images import mirrored


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (7, 4), (64, 30)])
@pytest.mark.parametrize(
    ("rows", "columns"), [((0, 0), (0, 3)), ((5, 0), (1, 1)), ((92, 95), (92, 101)), ((3, 2), (29, 0))]
)
def test_borders_are_mirrored_as_numpy_does(size, rows, columns):
    images = torch.arange(2 * 3 * size[0] * size[1], dtype=torch.float32).view(2, 3, *size)
    expected = np.pad(images.numpy(), ((0, 0), (0, 0), rows, columns), mode="reflect")
    assert np.array_equal(mirrored(images, rows, columns).numpy(), expected)


def test_without_anything_to_add_it_is_the_same_tensor():
    images = torch.rand(1, 3, 4, 5)
    assert mirrored(images, (0, 0), (0, 0)) is images


def test_the_order_in_memory_stays_where_one_mirroring_is_enough():
    images = torch.rand(2, 3, 8, 9).contiguous(memory_format=torch.channels_last)
    assert mirrored(images, (0, 7), (0, 5)).is_contiguous(memory_format=torch.channels_last)
