import pytest
import torch
from torch import nn

from sightline.errors import InputError, UnknownNameError
from sightline.models import create_model
from sightline.models.local_response import LocalResponseNorm

FORMS = ["alexnet", "alexnet_2012"]


def _shapes(name, **arguments):
    with torch.device("meta"):
        return create_model(name, **arguments).eval()


@pytest.mark.parametrize(("name", "count"), [("alexnet", 61_100_840), ("alexnet_2012", 60_965_224)])
def test_parameter_counts(name, count):
    assert sum(p.numel() for p in _shapes(name).parameters()) == count


def test_the_layers_of_2012_are_those_of_the_paper_in_its_order():
    model = _shapes("alexnet_2012")
    kinds = [type(layer).__name__.removesuffix("2d") for layer in model.features]
    normalised = ["Conv", "ReLU", "LocalResponseNorm", "MaxPool"]
    assert kinds == [*normalised, *normalised, *["Conv", "ReLU"] * 3, "MaxPool"]
    convs = [layer for layer in model.features if isinstance(layer, nn.Conv2d)]
    assert [c.out_channels for c in convs] == [96, 256, 384, 384, 256]
    assert [c.kernel_size[0] for c in convs] == [11, 5, 3, 3, 3]
    assert [c.groups for c in convs] == [1, 2, 1, 2, 2]
    assert [c.stride[0] for c in convs] == [4, 1, 1, 1, 1]
    assert {(p.kernel_size, p.stride) for p in model.features if isinstance(p, nn.MaxPool2d)} == {(3, 2)}
    norms = [layer for layer in model.features if isinstance(layer, LocalResponseNorm)]
    assert {(n.size, n.alpha, n.beta, n.k) for n in norms} == {(5, 1e-4, 0.75, 2.0)}
    assert [type(layer).__name__ for layer in model.classifier] == [*["Linear", "ReLU", "Dropout"] * 2, "Linear"]
    assert [layer.out_features for layer in model.classifier if isinstance(layer, nn.Linear)] == [4096, 4096, 1000]
    assert {layer.p for layer in model.classifier if isinstance(layer, nn.Dropout)} == {0.5}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("size", "cells"), [(224, (55, 27, 13, 6)), (227, (56, 27, 13, 6)), (256, (63, 31, 15, 7))])
def test_maps_have_the_papers_sizes(name, size, cells):
    model = _shapes(name)
    maps = model.forward_features(torch.rand(1, 3, size, size, device="meta"))
    pooled = model.head_pooling()[0](maps["conv5"])
    assert (*(features.shape[2] for features in maps.values()), pooled.shape[2]) == cells


@pytest.mark.parametrize("name", FORMS)
def test_the_stem_for_small_images_keeps_the_pools(name):
    model = _shapes(name, num_classes=10, stem="small")
    maps = model.forward_features(torch.rand(1, 3, 32, 32, device="meta"))
    assert [features.shape[2] for features in maps.values()] == [32, 15, 7]
    assert model.head_pooling()[0](maps["conv5"]).shape[2] == 3
    first = model.get_submodule(model.first)
    assert (first.kernel_size, first.stride, first.padding) == ((5, 5), (1, 1), (2, 2))


def test_each_group_sees_its_half_of_the_channels():
    conv4 = create_model("alexnet_2012", num_classes=2, stem="small").features[10]
    maps = torch.rand(1, 384, 3, 3)
    other = torch.cat([maps[:, :192], torch.rand(1, 192, 3, 3)], dim=1)
    same = (conv4(maps) == conv4(other)).all(dim=(0, 2, 3))
    assert same[:192].all()
    assert not same[192:].any()


def test_weights_start_as_he_et_al_derive_and_the_head_small():
    torch.manual_seed(0)
    model = create_model("alexnet_2012", num_classes=100, stem="small")
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in layers[:-1]:
        assert layer.weight.std().item() == pytest.approx((2 / layer.weight[0].numel()) ** 0.5, rel=0.03)
    assert layers[-1].weight.std().item() == pytest.approx(0.01, rel=0.03)
    assert all(not layer.bias.any() for layer in layers)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"stem": "smal"}, UnknownNameError, "stem 'smal'. Did you mean 'small'"),
        ({"in_channels": 0}, InputError, "in_channels"),
        ({"num_classes": 2.5}, InputError, "num_classes"),
        (
            {"groups": 2},
            InputError,
            "alexnet does not take the argument 'groups'. It takes: num_classes, in_channels, stem",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        create_model("alexnet", **arguments)


def test_an_image_too_small_is_refused_with_the_size_to_pad_to():
    with pytest.raises(InputError, match=r"32 x 32 pixels .* at least 63. Enlarge or pad them to 63 x 63"):
        _shapes("alexnet")(torch.rand(1, 3, 32, 32, device="meta"))
