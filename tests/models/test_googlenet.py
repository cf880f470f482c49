import copy
import functools

import pytest
import torch
from torch import nn

from sightline.errors import InputError, UnknownNameError
from sightline.models import create_model
from sightline.models.googlenet import TABLE_1
from sightline.models.local_response import LocalResponseNorm

FORMS = ["googlenet", "googlenet_2014"]


@functools.cache
def _shapes(name, **arguments):
    """Without numbers, and shared: not to be changed."""
    with torch.device("meta"):
        return create_model(name, **arguments).eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "without", "helping"),
    [
        ("googlenet", 6_624_904, 6_379_984),
        ("googlenet_2014", 6_998_552, 6_379_728),
        ("inception_v3", 23_834_568, 3_326_696),
    ],
)
def test_parameter_counts_with_and_without_auxiliary_classifiers(name, without, helping):
    assert sum(p.numel() for p in _shapes(name, auxiliary=False).parameters()) == without
    assert sum(p.numel() for p in _shapes(name).parameters()) == without + helping


def test_every_module_has_the_width_of_table_1():
    """The column "output size" of the paper."""
    outputs = {name: row[0] + row[2] + row[4] + row[5] for name, row in TABLE_1.items()}
    assert list(outputs.values()) == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    model = _shapes("googlenet_2014")
    for name, width in outputs.items():
        module = model.get_submodule(f"inception{name}")
        into = module.branch1.conv.in_channels
        assert module(torch.rand(1, into, 7, 7, device="meta")).shape == (1, width, 7, 7)


@pytest.mark.parametrize(("name", "kernel"), [("googlenet", 3), ("googlenet_2014", 5)])
def test_the_third_branch_is_5x5_in_the_paper_and_3x3_as_published(name, kernel):
    model = _shapes(name)
    for module in TABLE_1:
        assert model.get_submodule(f"inception{module}.branch3.1.conv").kernel_size == (kernel, kernel)


def test_the_form_of_2014_has_biases_and_no_batch_norm():
    modules = list(_shapes("googlenet_2014").modules())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in modules)
    assert all(m.bias is not None for m in modules if isinstance(m, nn.Conv2d))
    assert sum(isinstance(m, LocalResponseNorm) for m in modules) == 2


def test_the_published_form_has_batch_norm_with_its_epsilon_and_no_biases():
    modules = list(_shapes("googlenet").modules())
    assert {m.eps for m in modules if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    assert all(m.bias is None for m in modules if isinstance(m, nn.Conv2d))
    assert not any(isinstance(m, LocalResponseNorm) for m in modules)


def test_normalisation_is_where_figure_3_has_it():
    model = _shapes("googlenet_2014")
    order = [part for stage in ("conv1", "conv2", "3b") for part in model.parts(stage)]
    names = {module: name for name, module in model.named_children()}
    stem = ["conv1", "maxpool1", "norm1", "conv2", "conv3", "norm2", "maxpool2"]
    assert [names[part] for part in order] == [*stem, "inception3a", "inception3b"]


@pytest.mark.parametrize(("name", "last"), [("googlenet", 2), ("googlenet_2014", 3)])
def test_pools_are_3x3_and_the_last_one_as_published_2x2(name, last):
    pools = [module for module in _shapes(name).children() if isinstance(module, nn.MaxPool2d)]
    assert [(pool.kernel_size, pool.stride) for pool in pools] == [(3, 2), (3, 2), (3, 2), (last, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("stem", "side", "cells"), [("imagenet", 224, [112, 56, 28, 14, 7]), ("small", 32, [32, 16, 16, 8, 4])]
)
def test_maps_have_the_sizes_of_table_1(name, stem, side, cells):
    maps = _shapes(name, stem=stem).forward_features(torch.rand(1, 3, side, side, device="meta"))
    assert [features.shape[2] for features in maps.values()] == cells
    assert [features.shape[1] for features in maps.values()] == [64, 192, 480, 832, 1024]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FORMS, pytest.param("inception_v3", marks=pytest.mark.slow)])
def test_asking_for_the_auxiliary_outputs_changes_no_logit_and_training_no_type(name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=3, stem="small").eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        outputs = model(images, auxiliary=True)
        assert torch.equal(outputs[0], model(images))
        trained = model.train()(images, auxiliary=True)
        assert isinstance(model(images), torch.Tensor)
    assert len(outputs) == len(trained) == 1 + len(model.auxiliary_heads)
    assert {tuple(logits.shape) for logits in (*outputs, *trained)} == {(2, 3)}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_auxiliary_gradients_reach_the_stem_but_nothing_above_their_map(name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=3, stem="small")
    *_, aux1, aux2 = model(torch.rand(2, 3, 32, 32), auxiliary=True)
    reached = []
    for logits in (aux1, aux2):
        model.zero_grad()
        logits.logsumexp(1).sum().backward(retain_graph=True)
        reached.append({n.partition(".")[0] for n, p in model.named_parameters() if p.grad is not None})
    below_4a = {"conv1", "conv2", "conv3", "inception3a", "inception3b", "inception4a"}
    assert reached[0] == below_4a | {"aux1"}
    assert reached[1] == below_4a | {"inception4b", "inception4c", "inception4d", "aux2"}


def test_the_papers_auxiliary_pool_is_5x5_with_stride_3():
    head = create_model("googlenet_2014", num_classes=3).aux1.eval()
    maps = torch.rand(1, 512, 14, 14)
    seen = []
    head.conv.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        head(maps)
    expected = [[maps[0, 7, y : y + 5, x : x + 5].mean() for x in (0, 3, 6, 9)] for y in (0, 3, 6, 9)]
    torch.testing.assert_close(seen[0][0, 7], torch.tensor(expected))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FORMS, pytest.param("inception_v3", marks=pytest.mark.slow)])
@pytest.mark.parametrize("size", [80, 100, 384])
def test_auxiliary_classifiers_take_other_sizes(name, size):
    outputs = _shapes(name)(torch.rand(1, 3, size, size, device="meta"), auxiliary=True)
    assert {logits.shape for logits in outputs} == {(1, 1000)}


def test_without_auxiliary_classifiers_there_is_nothing_to_ask_for():
    model = _shapes("googlenet", auxiliary=False)
    assert model.auxiliary_heads == ()
    assert not any(name.startswith("aux") for name in model.state_dict())
    with pytest.raises(InputError, match="Build it with auxiliary=True"):
        model(torch.rand(1, 3, 64, 64, device="meta"), auxiliary=True)


def test_a_new_head_gives_the_auxiliary_classifiers_theirs():
    model = copy.deepcopy(_shapes("googlenet", stem="small"))
    model.replace_head(7)
    assert {logits.shape for logits in model(torch.rand(1, 3, 32, 32, device="meta"), auxiliary=True)} == {(1, 7)}


def test_the_dropout_of_each_form():
    for name, share in (("googlenet", 0.2), ("googlenet_2014", 0.4)):
        model = _shapes(name)
        assert (model.dropout.p, model.aux1.dropout.p, model.aux2.dropout.p) == (share, 0.7, 0.7)


def test_wrong_arguments_are_named():
    with pytest.raises(UnknownNameError, match="stem 'tiny'"):
        create_model("googlenet", stem="tiny")
    with pytest.raises(InputError, match="googlenet does not take the argument 'paper'"):
        create_model("googlenet", paper=True)
