import pytest
import torch
from torch import nn

from sightline.errors import InputError, UnknownNameError
from sightline.models.backbone import Backbone


class Halving(Backbone):
    """Two stages, with a head nested as in a Sequential."""

    first = "steps.0"
    head = "classifier.1"
    smallest = 8

    def __init__(self) -> None:
        super().__init__()
        self.in_channels = 3
        self.stages = ("a", "b")
        self.channels = {"a": 4, "b": 8}
        self.strides = {"a": 2, "b": 4}
        self.steps = nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 2, 2), nn.BatchNorm2d(8))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(8, 5))

    def parts(self, stage: str) -> tuple[nn.Module, ...]:
        steps = tuple(self.steps)
        return {"a": steps[:2], "b": steps[2:]}[stage]

    def head_pooling(self) -> tuple[nn.Module, ...]:
        return (nn.AdaptiveAvgPool2d(1),)

    def head_layers(self) -> tuple[nn.Module, ...]:
        return tuple(self.classifier)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3, 8, 8), r"expects images \(N, 3, H, W\), got \(3, 8, 8\)"),
        ((1, 1, 8, 8), r"expects images \(N, 3, H, W\), got \(1, 1, 8, 8\)"),
        ((1, 3, 4, 17), r"4 x 17 pixels .* each side must have at least 8. Enlarge or pad them to 8 x 17"),
    ],
)
def test_a_wrong_shape_is_refused_with_the_size_to_pad_to(shape, words):
    with pytest.raises(InputError, match=words):
        Halving()(torch.zeros(shape))


def test_bytes_are_refused_and_the_way_out_is_said():
    with pytest.raises(InputError, match=r"uint8.*normalise"):
        Halving()(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_an_allowed_size_passes():
    assert Halving()(torch.zeros(2, 3, 8, 12)).shape == (2, 5)


def test_an_unknown_stage_names_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"stage of Halving 'c'. Known: a, b"):
        Halving().forward_features(torch.zeros(1, 3, 8, 8), ["c"])
    with pytest.raises(UnknownNameError):
        Halving().freeze("c")


def test_no_stage_asked_for_gives_no_map():
    assert Halving().forward_features(torch.zeros(1, 3, 8, 8), []) == {}


def test_coarser_stages_are_not_computed():
    model = Halving()
    model.steps[2].register_forward_hook(lambda *_: pytest.fail("stage b was computed"))
    assert list(model.forward_features(torch.zeros(1, 3, 8, 8), ["a"])) == ["a"]


def test_a_new_head_has_the_new_classes_and_the_old_precision():
    model = Halving().double()
    model.replace_head(7)
    assert model.num_classes == 7
    assert model.classifier[1].weight.dtype == torch.float64
    assert model(torch.zeros(1, 3, 8, 8, dtype=torch.float64)).shape == (1, 7)


@pytest.mark.parametrize("count", [0, -1, 2.0, True])
def test_a_head_without_classes_is_refused(count):
    with pytest.raises(InputError, match="num_classes"):
        Halving().replace_head(count)


def test_frozen_stages_are_constant_and_the_others_learn():
    model = Halving()
    model.freeze("a")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    model.train()
    model(torch.randn(4, 3, 8, 8)).square().sum().backward()
    optimiser.step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert not any(name.startswith(("steps.0", "steps.1")) for name in changed)
    assert {"steps.2.weight", "steps.3.running_mean", "classifier.1.weight"} <= changed
    assert model.training
    assert not model.steps[1].training


def test_freezing_everything_leaves_the_head():
    model = Halving()
    model.freeze("b")
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        "classifier.1.weight",
        "classifier.1.bias",
    ]


def test_freezing_less_later_does_not_thaw():
    model = Halving()
    model.freeze("b")
    model.freeze("a")
    assert model.frozen == ("a", "b")
    assert not model.train().steps[3].training
