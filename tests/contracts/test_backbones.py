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
from sightline.models.backbone import Backbone

SNAPSHOT = Path(__file__).with_name("state_dicts.json")
# The largest hold to the same contracts, a second at a time: the fast set leaves them to the whole one.
LARGE = {"resnet101", "resnet152"}
every_backbone = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in BACKBONES]
)
SMALLEST = "resnet18"  # stands for the others where they would take long


@functools.cache
def _built(name: str) -> Backbone:
    """Shared among the tests that leave it as it is."""
    torch.manual_seed(0)
    return create_model(name, num_classes=3).eval()


def _sizes(model: Backbone) -> list[tuple[int, int]]:
    """Odd and oblong, and the smallest that all strides divide, made allowed where the arithmetic asks for it."""
    coarsest = max(model.strides.values())
    wanted = [(coarsest + 1, 2 * coarsest - 1), (coarsest, coarsest)]
    return [(model.size_for(h), model.size_for(w)) for h, w in wanted]


def state_dict_hash(name: str) -> str:
    with torch.device("meta"):
        state = create_model(name).state_dict()
    return hashlib.sha256("\n".join(f"{n} {tuple(t.shape)}" for n, t in state.items()).encode()).hexdigest()


@every_backbone
def test_channels_and_strides_are_those_of_the_maps_finest_first(name):
    model = _built(name)
    assert list(model.channels) == list(model.strides) == list(model.stages)
    assert sorted(model.strides.values()) == list(model.strides.values())
    for height, width in _sizes(model):
        with torch.inference_mode():
            maps = model.forward_features(torch.rand(1, 3, height, width))
        assert list(maps) == list(model.stages)
        for stage, features in maps.items():
            stride = model.strides[stage]
            assert features.shape == (1, model.channels[stage], -(-height // stride), -(-width // stride))


@every_backbone
def test_a_subset_of_stages_gives_the_same_maps_finest_first(name):
    model = _built(name)
    images = torch.rand(1, 3, *_sizes(model)[0])
    asked = [model.stages[-1], model.stages[0]]
    with torch.inference_mode():
        everything, some = model.forward_features(images), model.forward_features(images, asked)
    assert list(some) == [model.stages[0], model.stages[-1]]
    assert all(torch.equal(features, everything[stage]) for stage, features in some.items())


@every_backbone
def test_the_logits_are_the_head_on_the_last_map(name):
    model = _built(name)
    images = torch.rand(2, 3, *_sizes(model)[0])
    with torch.inference_mode():
        logits = model(images)
        assert torch.equal(model.classify(model.forward_features(images)[model.stages[-1]]), logits)
    assert logits.shape == (2, 3)


@every_backbone
@pytest.mark.parametrize("in_channels", [1, 4])
def test_other_numbers_of_channels(name, in_channels):
    with torch.device("meta"):  # the shapes are enough here
        model = create_model(name, num_classes=3, in_channels=in_channels).eval()
        images = torch.rand(1, in_channels, *_sizes(model)[0])
    assert model(images).shape == (1, 3)
    with pytest.raises(InputError, match=rf"expects images \(N, {in_channels}, H, W\)"):
        model(images[:, :1].expand(-1, 2, -1, -1))


@every_backbone
def test_the_named_layers_are_there(name):
    model = _built(name)
    assert isinstance(model.get_submodule(model.head), nn.Linear)
    assert isinstance(model.get_submodule(model.first), nn.Conv2d)
    assert model.get_submodule(model.first).in_channels == model.in_channels
    assert model.num_classes == 3


@every_backbone
def test_stages_and_head_hold_every_parameter_once(name):
    model = _built(name)
    of_stages = [p for stage in model.stages for part in model.parts(stage) for p in part.parameters()]
    of_head = list(model.get_submodule(model.head).parameters())
    assert len({id(p) for p in of_stages}) == len(of_stages)
    everything = {id(p) for p in model.parameters()}
    assert {id(p) for p in of_stages} <= everything
    assert {id(p) for p in of_head} <= everything - {id(p) for p in of_stages}


@every_backbone
def test_channels_last_gives_the_same_logits(name):
    """In float64 to the last digits; in float32, where a hundred layers add up their rounding, to 1e-4 of the largest logit."""
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        model = copy.deepcopy(_built(name)).to(dtype)
        images = torch.rand(2, 3, *_sizes(model)[0], dtype=dtype)
        with torch.inference_mode():
            contiguous = model(images)
            model.to(memory_format=torch.channels_last)
            last = model(images.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(last, contiguous, rtol=0, atol=tolerance * float(contiguous.abs().max()))


@every_backbone
def test_training_and_evaluation_give_the_same_type_and_gradients_reach_the_stem(name):
    model = copy.deepcopy(_built(name))
    images = torch.rand(2, 3, *_sizes(model)[-1])
    evaluated = model.eval()(images)
    trained = model.train()(images)
    assert type(trained) is type(evaluated) is torch.Tensor
    assert trained.shape == evaluated.shape
    trained.logsumexp(1).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.get_submodule(model.first).weight.grad.abs().sum() > 0


@every_backbone
def test_freezing_the_first_stage_stops_gradients_and_statistics_there(name):
    model = copy.deepcopy(_built(name))
    model.freeze(model.stages[0])
    model.train()
    before = {n: b.clone() for n, b in model.named_buffers()}
    model(torch.rand(2, 3, *_sizes(model)[-1])).sum().backward()
    frozen = {id(p) for part in model.parts(model.stages[0]) for p in part.parameters()}
    assert {id(p) for p in model.parameters() if p.grad is None} == frozen
    kept = [id(b) for part in model.parts(model.stages[0]) for b in part.buffers()]
    assert all(torch.equal(b, before[n]) for n, b in model.named_buffers() if id(b) in kept)


@every_backbone
def test_the_builder_takes_keyword_arguments_with_defaults(name):
    parameters = inspect.signature(BACKBONES[name]).parameters
    assert {"num_classes", "in_channels"} <= set(parameters)
    assert all(p.default is not p.empty and p.kind is p.KEYWORD_ONLY for p in parameters.values())


@every_backbone
def test_tensor_names_and_shapes_are_those_of_saved_weights(name):
    assert state_dict_hash(name) == json.loads(SNAPSHOT.read_text())[name]


def test_no_network_was_forgotten_or_left_in_the_snapshot():
    assert list(json.loads(SNAPSHOT.read_text())) == list(BACKBONES)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == SMALLEST else [pytest.mark.slow]) for n in BACKBONES]
)
def test_eight_images_are_learned_by_heart(name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=4)
    images = torch.rand(8, 3, *_sizes(model)[-1])
    labels = torch.arange(8) % 4
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(40):
        logits = model(images)
        loss = nn.functional.cross_entropy(logits, labels)
        if loss.item() < 0.1:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1
    assert logits.argmax(1).equal(labels)


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps({name: state_dict_hash(name) for name in BACKBONES}, indent=2) + "\n")
