import pytest
import torch
from torch import nn

from sightline.errors import InputError, UnknownNameError
from sightline.models import create_model

PARAMETERS = {
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
}
every_vgg = pytest.mark.parametrize("name", PARAMETERS)


def _shapes(name, **arguments):
    with torch.device("meta"):
        return create_model(name, **arguments).eval()


@every_vgg
def test_parameter_counts_are_the_published_ones(name):
    assert sum(p.numel() for p in _shapes(name).parameters()) == PARAMETERS[name]


@every_vgg
def test_the_number_in_the_name_counts_the_layers_with_weights(name):
    layers = [m for m in _shapes(name).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == int(name.removeprefix("vgg").removesuffix("_bn"))


@every_vgg
def test_every_convolution_is_followed_by_its_normalisation_and_relu(name):
    kinds = [type(m).__name__ for m in _shapes(name).features]
    row = ["Conv2d", "BatchNorm2d", "ReLU"] if name.endswith("_bn") else ["Conv2d", "ReLU"]
    expected = []
    for count in {"11": (1, 1, 2, 2, 2), "13": (2,) * 5, "16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4)}[name[3:5]]:
        expected += [*row * count, "MaxPool2d"]
    assert kinds == expected


def test_dropout_follows_the_first_two_linear_layers():
    classifier = _shapes("vgg16").classifier
    assert [type(layer).__name__ for layer in classifier] == [*["Linear", "ReLU", "Dropout"] * 2, "Linear"]
    assert {layer.p for layer in classifier if isinstance(layer, nn.Dropout)} == {0.5}


@every_vgg
def test_the_last_stage_is_the_last_convolution_at_stride_16(name):
    """What a detector on VGG-16 stands on: layers 0 to 29 of the published checkpoint."""
    model = _shapes(name)
    parts = [part for stage in model.stages for part in model.parts(stage)]
    assert parts == list(model.features)[:-1]
    assert isinstance(parts[-1], nn.ReLU)
    assert model.forward_features(torch.rand(1, 3, 224, 320, device="meta"), ["conv5"])["conv5"].shape == (
        1,
        512,
        14,
        20,
    )


@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_the_linear_layers_read_what_is_left_of_the_image(stem):
    side, cells = {"imagenet": (224, 7), "small": (32, 1)}[stem]
    model = _shapes("vgg16", stem=stem)
    last = model.forward_features(torch.rand(1, 3, side, side, device="meta"))["conv5"]
    assert model.head_pooling()[0](last).shape == (1, 512, cells, cells)
    assert model.classifier[0].in_features == 512 * cells**2


def test_weights_start_as_he_et_al_derive_and_the_head_small():
    torch.manual_seed(0)
    model = create_model("vgg11_bn", num_classes=100, stem="small")
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in layers[:-1]:
        assert layer.weight.std().item() == pytest.approx((2 / layer.weight[0].numel()) ** 0.5, rel=0.06)
    assert layers[-1].weight.std().item() == pytest.approx(0.01, rel=0.03)
    assert all(not layer.bias.any() for layer in layers)


@pytest.mark.slow
def test_the_signal_neither_vanishes_nor_explodes_on_its_way_through_nineteen_layers():
    torch.manual_seed(0)
    model = create_model("vgg19", num_classes=10, stem="small").eval()
    with torch.inference_mode():
        maps = model.forward_features(torch.randn(4, 3, 32, 32))
    assert all(0.2 < features.std() < 5 for features in maps.values())


def test_wrong_arguments_are_named():
    with pytest.raises(UnknownNameError, match="stem 'small_pooled'"):
        create_model("vgg11", stem="small_pooled")
    with pytest.raises(InputError, match="num_classes: expected a whole number of at least 1, got 0"):
        create_model("vgg11", num_classes=0)
    with pytest.raises(InputError, match="vgg11 does not take the argument 'batch_norm'"):
        create_model("vgg11", batch_norm=True)
