"""What every backbone in the table must keep. A new one is tested by being listed.

`state_dicts.json` holds a hash of each network's tensor names and shapes, because published and saved weights depend on
them. After an intended change write it anew: `python tests/contracts/test_backbones.py`.
"""

import copy
import functools
import hashlib
import inspect
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from sightline.errors import InputError
from sightline.models import BACKBONES, create_model

SNAPSHOT = Path(__file__).with_name("state_dicts.json")
# One of three families; the others hold to the same contracts, a second or more at a time, in the whole set of tests.
FAST = {"alexnet_2012", "googlenet_2014", "resnet18"}
SMALLEST = "resnet18"  # stands for the others where they would take long
every_stem = pytest.mark.parametrize("stem", ["imagenet", "small"])


@pytest.fixture(
    scope="module",  # so that the tests of one network follow each other, and two are never in memory at once
    params=[name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES],
)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def built(name):
    """With the stem for small images, in evaluation mode; shared among the tests that leave it as it is."""
    torch.manual_seed(0)
    return create_model(name, num_classes=3, stem="small").eval()


@pytest.fixture
def own(built):
    """A copy to be changed."""
    return copy.deepcopy(built)


@functools.cache
def _shapes_of(name, **arguments):
    """The network without its numbers, for tests of shapes; shared, and not to be changed."""
    with torch.device("meta"):
        return create_model(name, num_classes=3, **arguments).eval()


def _sizes(model):
    """Odd and oblong, and a multiple of all strides, made allowed where the arithmetic asks for it."""
    side = max(*model.strides.values(), model.smallest)
    return [(model.size_for(h), model.size_for(w)) for h, w in [(side + 1, 2 * side - 1), (side, side)]]


def state_dict_hash(name):
    with torch.device("meta"):
        state = create_model(name).state_dict()
    return hashlib.sha256("\n".join(f"{n} {tuple(t.shape)}" for n, t in state.items()).encode()).hexdigest()


@pytest.mark.slow
@every_stem
def test_channels_and_strides_are_those_of_the_maps_finest_first(name, stem):
    """A side that is longer by the coarsest stride has that many more cells, and no map has cells to spare."""
    model = _shapes_of(name, stem=stem)
    assert list(model.channels) == list(model.strides) == list(model.stages)
    assert sorted(model.strides.values()) == list(model.strides.values())
    coarsest = max(model.strides.values())
    odd, even = _sizes(model)
    longer = (odd[0] + coarsest, odd[1])
    maps, cells = {}, {}
    for size in (odd, even, longer):
        maps[size] = model.forward_features(torch.rand(1, 3, *size, device="meta"))
        assert list(maps[size]) == list(model.stages)
    for stage, stride in model.strides.items():
        for size, of_size in maps.items():
            assert of_size[stage].shape[:2] == (1, model.channels[stage])
            cells[size] = of_size[stage].shape[2:]
            whole = tuple(-(-side // stride) for side in size)
            assert cells[size] <= whole
            assert cells[size] == whole or not name.startswith("resnet")  # its convolutions are padded by half a kernel
        assert cells[longer][0] - cells[odd][0] == coarsest // stride
        assert cells[longer][1] == cells[odd][1]


@every_stem
def test_the_smallest_size_is_enough_and_needed(name, stem):
    model = copy.copy(_shapes_of(name, stem=stem))
    side = model.smallest
    assert model(torch.rand(1, 3, side, side, device="meta")).shape == (1, 3)
    if side > 1:
        model.smallest = 1
        with pytest.raises(RuntimeError, match=r"too small|can.t be greater"):
            model(torch.rand(1, 3, side - 1, side - 1, device="meta"))


@pytest.mark.slow
def test_a_subset_of_stages_gives_the_same_maps_finest_first(built):
    images = torch.rand(1, 3, *_sizes(built)[0])
    asked = [built.stages[-1], built.stages[0]]
    with torch.inference_mode():
        everything, some = built.forward_features(images), built.forward_features(images, asked)
    assert list(some) == [built.stages[0], built.stages[-1]]
    assert all(torch.equal(features, everything[stage]) for stage, features in some.items())


def test_the_logits_are_the_head_on_the_last_map(built):
    images = torch.rand(2, 3, *_sizes(built)[0])
    with torch.inference_mode():
        logits = built(images)
        assert torch.equal(built.classify(built.forward_features(images)[built.stages[-1]]), logits)
    assert logits.shape == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("in_channels", [1, 4])
def test_other_numbers_of_channels(name, in_channels):
    model = _shapes_of(name, in_channels=in_channels)
    images = torch.rand(1, in_channels, *_sizes(model)[0], device="meta")
    assert model(images).shape == (1, 3)
    with pytest.raises(InputError, match=rf"expects images \(N, {in_channels}, H, W\)"):
        model(images[:, :1].expand(-1, 2, -1, -1))


def test_the_named_layers_are_there(name):
    model = _shapes_of(name)
    assert isinstance(model.get_submodule(model.head), nn.Linear)
    assert isinstance(model.get_submodule(model.first), nn.Conv2d)
    assert model.get_submodule(model.first).in_channels == model.in_channels
    assert model.num_classes == 3
    for head in model.auxiliary_heads:
        assert model.get_submodule(head).out_features == 3


def test_the_named_layers_alone_depend_on_stem_and_classes(name):
    published = _shapes_of(name).state_dict()
    model = copy.deepcopy(_shapes_of(name, stem="small", in_channels=1))
    model.replace_head(5)
    other = {n.rpartition(".")[0] for n, tensor in model.state_dict().items() if tensor.shape != published[n].shape}
    assert list(model.state_dict()) == list(published)
    assert other == {model.first, *model.stem_layers, model.head, *model.auxiliary_heads}


def test_stages_and_head_hold_every_parameter_once(name):
    model = _shapes_of(name)
    parts = [part for stage in model.stages for part in model.parts(stage)]
    parts += [*model.head_pooling(), *model.head_layers()]
    parts += [model.get_submodule(part) for part in model.auxiliary_parts]
    held = [id(parameter) for part in parts for parameter in part.parameters()]
    assert len(set(held)) == len(held)
    assert set(held) == {id(parameter) for parameter in model.parameters()}


@pytest.mark.slow
def test_channels_last_gives_the_same_logits(own):
    """In float64 to the last digits; in float32, where a hundred layers add up their rounding, to 1e-4 of the largest."""
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-10)):
        own.to(dtype, memory_format=torch.contiguous_format)
        images = torch.rand(2, 3, *_sizes(own)[0], dtype=dtype)
        with torch.inference_mode():
            contiguous = own(images)
            own.to(memory_format=torch.channels_last)
            last = own(images.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(last, contiguous, rtol=0, atol=tolerance * float(contiguous.abs().max()))


@pytest.mark.slow
def test_training_and_evaluation_give_the_same_type_and_gradients_reach_the_stem(own):
    images = torch.rand(2, 3, *_sizes(own)[-1])
    evaluated = own.eval()(images)
    trained = own.train()(images)
    assert type(trained) is type(evaluated) is torch.Tensor
    assert trained.shape == evaluated.shape
    trained.logsumexp(1).sum().backward()
    helping = tuple(part + "." for part in own.auxiliary_parts)
    assert {n for n, p in own.named_parameters() if p.grad is None} == {
        n for n, _ in own.named_parameters() if n.startswith(helping)
    }
    assert own.get_submodule(own.first).weight.grad.abs().sum() > 0


def test_dropout_acts_in_training_alone(own):
    features = torch.rand(2, own.channels[own.stages[-1]], 7, 7)
    with torch.inference_mode():
        assert torch.equal(own.eval().classify(features), own.classify(features))
        drops = any(isinstance(layer, nn.Dropout) for layer in own.head_layers())
        assert torch.equal(own.train().classify(features), own.classify(features)) is not drops
    assert drops is not type(own).__name__.startswith("ResNet")


def test_freezing_the_first_stage_stops_gradients_and_statistics_there(own):
    own.freeze(own.stages[0])
    own.train()
    before = {n: b.clone() for n, b in own.named_buffers()}
    own(torch.rand(2, 3, *_sizes(own)[-1])).sum().backward()
    frozen = {id(p) for part in own.parts(own.stages[0]) for p in part.parameters()}
    helping = tuple(part + "." for part in own.auxiliary_parts)
    without = {id(p) for n, p in own.named_parameters() if p.grad is None and not n.startswith(helping)}
    assert without == frozen
    kept = [id(b) for part in own.parts(own.stages[0]) for b in part.buffers()]
    assert all(torch.equal(b, before[n]) for n, b in own.named_buffers() if id(b) in kept)


def test_the_builder_takes_keyword_arguments_with_defaults(name):
    parameters = inspect.signature(BACKBONES[name]).parameters
    assert {"num_classes", "in_channels", "stem"} <= set(parameters)
    assert all(p.default is not p.empty and p.kind is p.KEYWORD_ONLY for p in parameters.values())


def test_tensor_names_and_shapes_are_those_of_saved_weights(name):
    assert state_dict_hash(name) == json.loads(SNAPSHOT.read_text())[name]


def test_no_network_was_forgotten_or_left_in_the_snapshot():
    assert list(json.loads(SNAPSHOT.read_text())) == list(BACKBONES)


@pytest.mark.parametrize(
    "learner", [n if n == SMALLEST else pytest.param(n, marks=pytest.mark.slow) for n in BACKBONES]
)
def test_four_images_are_learned_by_heart(learner):
    """From nothing, with a short warm-up and the dropout that the network has; also without batch norm."""
    torch.manual_seed(0)
    model = create_model(learner, num_classes=4, stem="small")
    side = model.size_for(8)
    images = nn.functional.interpolate(torch.randn(4, 3, 4, 4), (side, side))  # patches: noise is pooled away
    labels = torch.arange(4)
    normalised = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3 if normalised else 2e-4, fused=True)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimiser, start_factor=0.1, total_iters=5)
    for _ in range(100):
        logits = model(images)
        loss = nn.functional.cross_entropy(logits, labels)
        if loss.item() < 0.5 and logits.argmax(1).equal(labels):  # guessing gives 1.39
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        warm_up.step()
    else:
        pytest.fail(f"the loss is {loss.item():.2f} after 100 steps")


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps({name: state_dict_hash(name) for name in BACKBONES}, indent=2) + "\n")
