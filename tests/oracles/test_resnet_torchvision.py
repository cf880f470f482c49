"""torchvision's networks have the same names, shapes and outputs; its table of weights says the same."""

import pytest
import torch
import torchvision

from sightline.models import BACKBONES, create_model
from sightline.models.weights import PUBLISHED, find

NAMES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


def _with_lively_norms(model):
    """Random statistics and scales, so that an exchanged or skipped normalisation shows."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return model.eval()


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_weights_load_strictly_both_ways_and_logits_agree(name):
    torch.manual_seed(0)
    theirs = _with_lively_norms(torchvision.models.get_model(name, weights=None))
    ours = create_model(name)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    ours.eval()
    images = torch.randn(2, 3, 65, 97)
    with torch.inference_mode():
        expected, got = theirs(images), ours(images)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    theirs.load_state_dict(ours.state_dict(), strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes_are_theirs(name):
    with torch.device("meta"):
        theirs, ours = torchvision.models.get_model(name, weights=None), create_model(name)
    assert [(n, t.shape, t.dtype) for n, t in ours.state_dict().items()] == [
        (n, t.shape, t.dtype) for n, t in theirs.state_dict().items()
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_published_weights_agrees(name):
    theirs = torchvision.models.get_model_weights(name)
    assert list(PUBLISHED[name]) == [w.name.lower().replace("imagenet1k_", "imagenet-") for w in theirs]
    for weights, ours in zip(theirs, PUBLISHED[name].values(), strict=True):
        assert ours.url == weights.url
        assert {"acc@1": ours.top1, "acc@5": ours.top5} == weights.meta["_metrics"]["ImageNet-1K"]
        assert ours.num_classes == len(weights.meta["categories"])
        presets = weights.transforms()
        assert [ours.preprocessing.resize] == presets.resize_size
        assert [ours.preprocessing.crop] == presets.crop_size
        assert list(ours.preprocessing.mean) == presets.mean
        assert list(ours.preprocessing.std) == presets.std
    assert find(name).url == theirs.DEFAULT.url


def test_every_model_with_published_weights_can_be_built():
    assert set(PUBLISHED) <= set(BACKBONES)
