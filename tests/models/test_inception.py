import pytest
import torch
from torch import nn

from sightline.errors import InputError, UnknownNameError
from sightline.models import create_model


def _shapes(**arguments):
    with torch.device("meta"):
        return create_model("inception_v3", **arguments).eval()


def test_maps_have_the_published_sizes():
    maps = _shapes().forward_features(torch.rand(1, 3, 299, 299, device="meta"))
    assert [tuple(features.shape[1:3]) for features in maps.values()] == [
        (64, 147),
        (192, 71),
        (288, 35),
        (768, 17),
        (2048, 8),
    ]


def test_the_stem_for_small_images_leaves_cells_to_look_at():
    maps = _shapes(stem="small").forward_features(torch.rand(1, 3, 32, 32, device="meta"))
    assert [features.shape[2] for features in maps.values()] == [28, 26, 12, 5, 2]


def test_large_windows_are_taken_apart():
    kernels = {m.kernel_size for m in _shapes(auxiliary=False).modules() if isinstance(m, nn.Conv2d)}
    assert kernels == {(1, 1), (3, 3), (5, 5), (1, 7), (7, 1), (1, 3), (3, 1)}


def test_wrong_arguments_and_sizes_are_named():
    with pytest.raises(UnknownNameError, match="stem 'tiny'"):
        create_model("inception_v3", stem="tiny")
    with pytest.raises(InputError, match=r"at least 75. Enlarge or pad them to 75 x 75"):
        _shapes()(torch.rand(1, 3, 64, 64, device="meta"))
    with pytest.raises(InputError, match="Build it with auxiliary=True"):
        _shapes(auxiliary=False)(torch.rand(1, 3, 96, 96, device="meta"), auxiliary=True)
