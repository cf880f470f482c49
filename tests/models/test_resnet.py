import functools

import pytest
import torch

from sightline.errors import InputError, UnknownNameError
from sightline.models import create_model
from sightline.models.resnet import BasicBlock, Bottleneck, ResNet

PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}
PAPER_DEPTH = {"resnet18": 18, "resnet34": 34, "resnet50": 50, "resnet101": 101, "resnet152": 152}


@functools.cache
def _shapes(name, **arguments):
    """Without numbers, and shared: not to be changed."""
    with torch.device("meta"):
        return create_model(name, **arguments).eval()


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_are_the_published_ones(name):
    assert sum(p.numel() for p in _shapes(name).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", PAPER_DEPTH)
def test_the_number_in_the_name_counts_the_layers_with_weights(name):
    model = _shapes(name)
    layers = [m for n, m in model.named_modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    shortcuts = [m for n, m in model.named_modules() if n.endswith("downsample.0")]
    assert len(layers) - len(shortcuts) == PAPER_DEPTH[name]


@pytest.mark.parametrize(("block", "channels"), [(BasicBlock, 8), (Bottleneck, 32)])
def test_a_block_whose_last_scale_is_zero_is_the_identity(block, channels):
    made = block(channels, 8)
    torch.nn.init.zeros_(made.last_norm().weight)
    x = torch.rand(2, channels, 5, 5)  # not negative, as after the ReLU of the block before
    assert torch.equal(made(x), x)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_zero_init_makes_every_bypassed_block_the_identity(name):
    model = create_model(name, num_classes=2, zero_init=True)
    blocks = [m for m in model.modules() if isinstance(m, BasicBlock | Bottleneck) and m.downsample is None]
    assert blocks
    for block in blocks:
        x = torch.rand(1, block.conv1.in_channels, 4, 4)
        assert torch.equal(block(x), x)


def test_without_zero_init_a_block_is_not_the_identity():
    model = create_model("resnet18", num_classes=2)
    x = torch.rand(2, 64, 4, 4)
    assert not torch.equal(model.layer1[0](x), x)


@pytest.mark.parametrize(("stride_in", "first", "middle"), [("3x3", (1, 1), (2, 2)), ("1x1", (2, 2), (1, 1))])
def test_the_stride_is_where_it_was_asked_for(stride_in, first, middle):
    model = _shapes("resnet50", stride_in=stride_in)
    for stage in (model.layer2, model.layer3, model.layer4):
        assert stage[0].conv1.stride == first
        assert stage[0].conv2.stride == middle
        assert stage[1].conv1.stride == stage[1].conv2.stride == (1, 1)
    assert model.layer1[0].conv1.stride == model.layer1[0].conv2.stride == (1, 1)


def test_both_stride_placements_give_maps_of_the_same_shape():
    shapes = []
    for stride_in in ("3x3", "1x1"):
        images = torch.rand(1, 3, 65, 47, device="meta")
        shapes.append([m.shape for m in _shapes("resnet50", stride_in=stride_in).forward_features(images).values()])
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("stem", "strides", "kernel"),
    [("imagenet", [2, 4, 8, 16, 32], 7), ("small_pooled", [1, 2, 4, 8, 16], 3), ("small", [1, 1, 2, 4, 8], 3)],
)
def test_the_stems_have_the_strides_they_claim(stem, strides, kernel):
    model = _shapes("resnet18", stem=stem)
    assert list(model.strides.values()) == strides
    assert model.conv1.kernel_size == (kernel, kernel)
    maps = model.forward_features(torch.rand(1, 3, 64, 64, device="meta"))
    assert [64 // m.shape[2] for m in maps.values()] == strides


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"stem": "imagnet"}, UnknownNameError, "stem 'imagnet'. Did you mean 'imagenet'"),
        ({"stride_in": "5x5"}, UnknownNameError, "stride_in '5x5'"),
        ({"stride_in": "1x1"}, InputError, "bottleneck"),
        ({"in_channels": 0}, InputError, "in_channels: expected a whole number of at least 1, got 0"),
        ({"in_channels": "3"}, InputError, "got '3'"),
        ({"num_classes": 0}, InputError, "num_classes"),
        ({"zero_init": "False"}, InputError, "resnet18: zero_init is true or false, got 'False'"),
        ({"dept": 18}, InputError, "does not take the argument 'dept'. It takes: num_classes, in_channels, zero_init"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        create_model("resnet18", **arguments)


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet18'"):
        create_model("resnet81")


def test_convolutions_start_with_the_variance_that_he_et_al_derive():
    torch.manual_seed(0)
    conv = ResNet(BasicBlock, (1, 1, 1, 1)).layer4[0].conv1  # 256 in, 512 out: fan_in would show
    fan_out = conv.out_channels * 9
    assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.01)
    assert conv.weight.mean().item() == pytest.approx(0, abs=1e-4)
