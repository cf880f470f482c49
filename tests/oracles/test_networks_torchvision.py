"""torchvision's networks have the same names, shapes and outputs; its table of weights says the same."""

import pytest
import torch
import torchvision
from torch import nn

from sightline.models import BACKBONES, DETECTORS, create_model
from sightline.models.weights import PUBLISHED, find
from sightline.ops.images import normalise
from sightline.structures import IMAGENET_MEAN, IMAGENET_STD

NAMES = [
    *("alexnet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
    *("googlenet", "inception_v3", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
]
FAST = {"alexnet", "googlenet", "resnet18", "resnet50"}
HELPED = {"googlenet": 64, "inception_v3": 299}
"""Networks with auxiliary classifiers, and a size that torchvision's take in training."""
every_name = pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)


def _theirs(name, **arguments):
    """Without the seconds that their own initialisation takes."""
    if name in HELPED:
        arguments = {"init_weights": False, **arguments}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **arguments)
    return _filled(model.to_empty(device="cpu"))


@torch.no_grad()
def _filled(model):
    """Random weights that keep the activations' size, and random statistics, so that a skipped normalisation shows."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = (6 / module.weight[0].numel()) ** 0.5
            module.weight.uniform_(-bound, bound)
            if module.bias is not None:
                module.bias.uniform_(-0.1, 0.1)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.uniform_(0.5, 1.0)
            module.bias.normal_(0, 0.1)
    return model.eval()


def _ours(name, theirs):
    """With the same tensors, not copies."""
    with torch.device("meta"):
        ours = create_model(name)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    return ours.eval()


@pytest.mark.slow
@every_name
def test_weights_load_strictly_both_ways_and_logits_agree(name):
    torch.manual_seed(0)
    theirs = _theirs(name)
    ours = _ours(name, theirs)
    size = 224 if name == "alexnet" else ours.size_for(65)
    images = torch.randn(2, 3, size, size + 11)
    with torch.inference_mode():
        expected, got = theirs(images), ours(images)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    theirs.load_state_dict(ours.state_dict(), strict=True)


@pytest.mark.parametrize("name", ["googlenet", pytest.param("inception_v3", marks=pytest.mark.slow)])
def test_auxiliary_outputs_in_training_agree(name):
    torch.manual_seed(0)
    theirs = _theirs(name)
    ours = _ours(name, theirs)
    ours.load_state_dict({n: t.clone() for n, t in theirs.state_dict().items()}, assign=True)  # statistics move apart
    for model in (theirs, ours):
        model.train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # the two draw in another order
    images = torch.randn(2, 3, HELPED[name], HELPED[name])
    with torch.no_grad():
        logits, *others = theirs(images)
        torch.testing.assert_close(ours(images, auxiliary=True), (logits, *reversed(others)), rtol=1e-5, atol=1e-5)
    for got, expected in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", pytest.param("inception_v3", marks=pytest.mark.slow)])
def test_the_preprocessing_of_the_table_is_what_they_do_inside_the_network(name):
    torch.manual_seed(0)
    theirs = _theirs(name, transform_input=True)
    entry = find(name).preprocessing
    images = torch.randint(0, 256, (2, 3, 80, 96), dtype=torch.uint8)
    with torch.inference_mode():
        expected = theirs(normalise(images, IMAGENET_MEAN, IMAGENET_STD))
        got = _ours(name, theirs)(normalise(images, entry.mean, entry.std))
        otherwise = _ours(name, theirs)(normalise(images, IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert (otherwise - expected).abs().max() > 1e-3 * float(expected.abs().max())  # ten times what is allowed


@every_name
def test_names_and_shapes_are_theirs(name):
    arguments = {"init_weights": False} if name in HELPED else {}
    with torch.device("meta"):
        theirs, ours = torchvision.models.get_model(name, weights=None, **arguments), create_model(name)
    assert [(n, t.shape, t.dtype) for n, t in ours.state_dict().items()] == [
        (n, t.shape, t.dtype) for n, t in theirs.state_dict().items()
    ]


@every_name
def test_parameters_are_as_many_as_the_published_weights_have(name):
    with torch.device("meta"):
        model = create_model(name, **({"auxiliary": False} if name == "googlenet" else {}))  # theirs are not counted
    theirs = torchvision.models.get_model_weights(name).DEFAULT
    assert sum(parameter.numel() for parameter in model.parameters()) == theirs.meta["num_params"]


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_published_weights_agrees(name):
    theirs = torchvision.models.get_model_weights(name)
    published = [w for w in theirs if w.name.startswith("IMAGENET1K_V")]  # vgg16 has another without a classifier
    assert list(PUBLISHED[name]) == [w.name.lower().replace("imagenet1k_", "imagenet-") for w in published]
    for weights, ours in zip(published, PUBLISHED[name].values(), strict=True):
        assert ours.url == weights.url
        reported = {"acc@1": ours.reported["top1"], "acc@5": ours.reported["top5"]}
        assert reported == weights.meta["_metrics"]["ImageNet-1K"]
        assert ours.num_classes == len(weights.meta["categories"])
        presets = weights.transforms()
        assert [ours.preprocessing.resize] == presets.resize_size
        assert [ours.preprocessing.crop] == presets.crop_size
        if name not in HELPED:  # those rescale inside the network, see above
            assert list(ours.preprocessing.mean) == presets.mean
            assert list(ours.preprocessing.std) == presets.std
    assert find(name).url == theirs.DEFAULT.url


def test_every_model_with_published_weights_can_be_built():
    assert [name for name in PUBLISHED if name in BACKBONES] == NAMES
    assert set(PUBLISHED) <= {*BACKBONES, *DETECTORS}


@pytest.mark.parametrize("name", [name for name in DETECTORS if name in PUBLISHED])
def test_the_table_of_published_detectors_agrees(name):
    (theirs,) = torchvision.models.get_model_weights(name)
    ours = find(name, "coco")
    assert ours.url == theirs.url
    assert ours.reported == {"AP": theirs.meta["_metrics"]["COCO-val2017"]["box_map"]}
    assert ours.num_classes == len(theirs.meta["categories"]) - 1  # background
