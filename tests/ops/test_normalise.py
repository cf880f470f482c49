import pytest
import torch

from sightline.ops.images import normalise


def test_the_bytes_given_stay_as_they_are():
    images = torch.full((1, 3, 2, 2), 7, dtype=torch.uint8)
    normalise(images, [0.5] * 3, [0.5] * 3)
    assert images.eq(7).all()


def test_batches_come_out_in_channels_last_order_also_with_views():
    one_view = normalise(torch.zeros(2, 3, 4, 5, dtype=torch.uint8), [0.5] * 3, [0.5] * 3)
    assert one_view.is_contiguous(memory_format=torch.channels_last)
    views = normalise(torch.zeros(2, 10, 3, 4, 5, dtype=torch.uint8), [0.5] * 3, [0.5] * 3)
    assert views.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "shape", [(0, 2, 4, 5), (1, 2, 4, 0), (3, 2, 1, 1), (1, 2, 1, 7), (2, 2, 4, 5), (2, 5, 2, 4, 6), (2, 4, 5)]
)
@pytest.mark.parametrize("turned", [False, True])
def test_any_shape_in_any_order_of_memory(shape: tuple[int, ...], turned: bool):
    images = torch.randint(256, shape, dtype=torch.uint8)
    if turned:
        images = images.movedim(-3, -1).contiguous().movedim(-1, -3)
    expected = (images / 255 - torch.tensor([0.2, 0.7])[:, None, None]) / torch.tensor([0.5, 0.1])[:, None, None]
    torch.testing.assert_close(normalise(images, [0.2, 0.7], [0.5, 0.1]), expected)


def test_each_channel_has_its_own_mean_and_deviation():
    images = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    assert normalise(images, [0.0, 0.5, 1.0], [1.0, 0.5, 0.1]).flatten().tolist() == pytest.approx([1, 1, 0], abs=1e-6)


@pytest.mark.parametrize(
    "images",
    [torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(2, 2, dtype=torch.uint8)],
)
def test_floats_and_wrong_channels_are_refused(images):
    with pytest.raises(ValueError, match="expected uint8 images"):
        normalise(images, [0.5] * 3, [0.5] * 3)
