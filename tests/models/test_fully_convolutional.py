import copy
import functools

import pytest
import torch
from torch import nn

from sightline.errors import InputError
from sightline.models import BACKBONES, create_model

CELLS = {"alexnet": (6, 10), "alexnet_2012": (6, 10), "inception_v3": (3, 7)}
"""Cells along a side of the map at 384 and 512 pixels; 6 and 10 for all others."""
EQUAL = ["alexnet", "googlenet", "resnet18"]
EQUAL_SLOW = ["alexnet_2012", "vgg11", "vgg16", "vgg16_bn", "vgg19", "googlenet_2014", "resnet50"]


@functools.cache
def _shapes(name):
    """Without numbers, and shared: not to be changed."""
    with torch.device("meta"):
        return create_model(name, num_classes=5).eval()


def _filled(name):
    """Random weights that keep the activations' size, drawn faster than the network's own."""
    model = copy.deepcopy(_shapes(name)).to_empty(device="cpu")
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                bound = (6 / module.weight[0].numel()) ** 0.5
                module.weight.uniform_(-bound, bound)
                if module.bias is not None:
                    module.bias.uniform_(-1, 1)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.reset_parameters()
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", [*EQUAL, *(pytest.param(name, marks=pytest.mark.slow) for name in EQUAL_SLOW)])
def test_at_the_size_of_training_the_one_cell_has_the_classifiers_logits(name):
    torch.manual_seed(0)
    model = _filled(name)
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        expected, got = model(images), model.as_fully_convolutional()(images)
    assert got.shape == (1, 5, 1, 1)
    torch.testing.assert_close(got[..., 0, 0], expected, rtol=0, atol=1e-4 * max(1.0, float(expected.abs().max())))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [n if n in {*EQUAL, "alexnet_2012", "vgg16"} else pytest.param(n, marks=pytest.mark.slow) for n in BACKBONES],
)
def test_larger_images_give_a_map_with_a_cell_for_each_window(name):
    size = 299 if name == "inception_v3" else 224
    dense = _shapes(name).as_fully_convolutional(size)
    assert (dense.window, dense.stride) == (size, 32)
    for side, cells in zip((384, 512), CELLS.get(name, (6, 10)), strict=True):
        assert dense(torch.rand(1, 3, side, side, device="meta")).shape == (1, 5, cells, cells)
    assert dense(torch.rand(1, 3, size, size + 96, device="meta")).shape == (1, 5, 1, 4)


@pytest.mark.slow
def test_a_cell_is_the_classifier_on_its_window():
    """Of a network whose maps do not notice the border: without padding, the windows are independent."""
    torch.manual_seed(0)
    model = create_model("alexnet_2012", num_classes=5, stem="small").double().eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.padding = (0, 0)
    model.avgpool = nn.AdaptiveAvgPool2d(1)
    model.classifier[0] = nn.Linear(256, 4096).double()
    side = 45  # unpadded: 41 cells, 20, 16, 7, 5, 3, 1, and the last pool is left out
    model.features[-1] = nn.MaxPool2d(1, 1)
    dense = model.as_fully_convolutional(side)
    assert dense.stride == 4
    images = torch.randn(1, 3, side + 4, side + 8, dtype=torch.float64)
    with torch.inference_mode():
        scores = dense(images)
        assert scores.shape == (1, 5, 2, 3)
        for row in range(2):
            for column in range(3):
                window = images[..., 4 * row : 4 * row + side, 4 * column : 4 * column + side]
                torch.testing.assert_close(scores[..., row, column], model(window))


@pytest.mark.parametrize(
    ("name", "size", "cells"),
    [("alexnet", 288, "8 x 8 cells .* reads 6 x 6"), ("vgg16", 192, "6 x 6 cells .* reads 7 x 7")],
)
def test_a_size_at_which_the_head_pools_unevenly_is_refused(name, size, cells):
    with pytest.raises(InputError, match=cells):
        _shapes(name).as_fully_convolutional(size)


def test_a_head_that_averages_blocks_of_cells_steps_by_a_block():
    dense = _shapes("vgg16").as_fully_convolutional(448)
    assert (dense.window, dense.stride) == (448, 64)
    assert dense(torch.rand(1, 3, 512, 576, device="meta")).shape == (1, 5, 2, 3)


@pytest.mark.parametrize(("size", "stride", "cells"), [(40, 8, 3), (64, 16, 2)])
def test_a_head_whose_bins_overlap_is_still_a_convolution(size, stride, cells):
    """AlexNet averages 4 cells to 3 in bins of 2, one cell apart, and 7 in bins of 3, two apart."""
    torch.manual_seed(0)
    model = create_model("alexnet", num_classes=5, stem="small").eval()
    dense = model.as_fully_convolutional(size)
    assert (dense.window, dense.stride) == (size, stride)
    images = torch.randn(1, 3, size, size)
    with torch.inference_mode():
        torch.testing.assert_close(dense(images)[..., 0, 0], model(images), rtol=0, atol=1e-5)
        larger = dense(torch.randn(1, 3, size + 2 * 8, size + 2 * 8))
    assert larger.shape == (1, 5, cells, cells)


def test_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(InputError, match=r"at least 224 x 224 pixels .* got 224 x 200. Enlarge them"):
        _shapes("resnet18").as_fully_convolutional()(torch.rand(1, 3, 224, 200, device="meta"))


def test_weights_are_shared_and_the_mode_is_kept():
    model = create_model("resnet18", num_classes=5, stem="small")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    dense = model.as_fully_convolutional(32)
    assert model.training
    assert dense.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with torch.no_grad():
        model.fc.weight.zero_()
        model.fc.bias.fill_(3.0)
    assert (dense.eval()(torch.rand(1, 3, 40, 40)) == 3.0).all()


def test_dropout_acts_on_the_map_in_training_alone():
    model = create_model("googlenet", num_classes=5, stem="small")
    dense = model.as_fully_convolutional(32)
    features = torch.rand(1, 1024, 2, 2)
    assert not torch.equal(dense.train().head(features), dense.head(features))
    assert torch.equal(dense.eval().head(features), dense.head(features))


@pytest.mark.parametrize("size", [0, -3, 224.0, "224"])
def test_a_size_that_is_none_is_named(size):
    with pytest.raises(InputError, match=f"image_size: expected a whole number of at least 1, got {size!r}"):
        _shapes("resnet18").as_fully_convolutional(size)
