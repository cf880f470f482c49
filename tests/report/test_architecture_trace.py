import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from sightline.errors import InputError
from sightline.models import create_model
from sightline.models.backbone import Backbone
from sightline.report.architecture import trace


class Mixed(Backbone):
    """Calls of torch in many forms: modules, functions, in place, by position and by name."""

    first = "conv"
    head = "fc"

    def __init__(self) -> None:
        super().__init__()
        self.in_channels = 3
        self.stages, self.channels, self.strides = ("a",), {"a": 8}, {"a": 2}
        self.conv = nn.Conv2d(3, 8, (3, 5), stride=(2, 2), padding=(1, 2))
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(8, 5)

    def forward_features(self, images: Tensor, stages: object = None) -> dict[str, Tensor]:
        x = self.relu(self.conv(images))
        y = F.relu(self.grouped(x))
        y += x
        z = F.max_pool2d(y, kernel_size=3, stride=1, padding=1) * y.sigmoid()
        return {"a": torch.cat([z, F.avg_pool2d(y, 3, 1, 1)], dim=1)[:, :8]}

    def parts(self, stage: str) -> tuple[nn.Module, ...]:
        return (self.conv, self.relu)

    def head_pooling(self) -> tuple[nn.Module, ...]:
        return (nn.AdaptiveAvgPool2d(1),)

    def head_layers(self) -> tuple[nn.Module, ...]:
        return nn.Dropout(0.5), self.fc


@pytest.fixture
def mixed():
    with torch.device("meta"):
        return trace(Mixed(), 32).layers


def test_every_operation_is_a_layer_with_what_it_reads(mixed) -> None:
    assert [(layer.name, layer.kind, layer.inputs) for layer in mixed] == [
        ("", "images", ()),
        ("conv", "conv", (0,)),
        ("relu", "ReLU", (1,)),
        ("grouped", "conv", (2,)),
        ("", "ReLU", (3,)),
        ("", "add", (4, 2)),
        ("", "max pool", (5,)),
        ("", "mul", (6, 5)),
        ("", "avg pool", (5,)),
        ("", "concat", (7, 8)),
        ("", "avg pool", (9,)),
        ("", "dropout", (10,)),
        ("fc", "linear", (11,)),
    ]


def test_windows_and_shapes(mixed) -> None:
    assert [(layer.kernel, layer.stride, layer.groups, layer.output) for layer in mixed] == [
        (None, None, 1, (3, 32, 32)),
        ((3, 5), (2, 2), 1, (8, 16, 16)),
        (None, None, 1, (8, 16, 16)),
        ((3, 3), (1, 1), 4, (8, 16, 16)),
        *[(None, None, 1, (8, 16, 16))] * 2,
        ((3, 3), (1, 1), 1, (8, 16, 16)),
        (None, None, 1, (8, 16, 16)),
        ((3, 3), (1, 1), 1, (8, 16, 16)),
        (None, None, 1, (16, 16, 16)),
        ((16, 16), (16, 16), 1, (8, 1, 1)),
        (None, None, 1, (8,)),
        (None, None, 1, (5,)),
    ]


def test_costs_stand_where_they_arise(mixed) -> None:
    costs = {layer.name: (layer.parameters, layer.multiply_adds) for layer in mixed if layer.parameters}
    assert costs == {
        "conv": (3 * 8 * 15 + 8, 16 * 16 * 3 * 8 * 15),
        "grouped": (2 * 8 * 9, 16 * 16 * 2 * 8 * 9),
        "fc": (45, 40),
    }
    assert sum(layer.multiply_adds for layer in mixed) == sum(cost for _, cost in costs.values())


def test_a_module_that_runs_twice_has_its_parameters_once() -> None:
    class Twice(Mixed):
        def forward_features(self, images: Tensor, stages: object = None) -> dict[str, Tensor]:
            x = self.conv(images)
            return {"a": self.grouped(self.grouped(x))}

    with torch.device("meta"):
        layers = trace(Twice(), 32).layers
    assert [layer.parameters for layer in layers[2:4]] == [144, 0]
    assert layers[2].multiply_adds == layers[3].multiply_adds > 0


@pytest.mark.slow
def test_multiply_adds_are_those_that_torch_counts(backbone, built, traced) -> None:
    """Someone else's count: two operations each, and the auxiliary classifiers only when they are asked for."""
    architecture, model = traced(backbone), built(backbone)
    images = torch.empty(1, *architecture.layers[0].output, device="meta")
    alone, together = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with alone:
        model(images)
    assert 2 * architecture.multiply_adds() == alone.get_total_flops()
    if model.auxiliary_heads:
        with together:
            model(images, auxiliary=True)
        extra = together.get_total_flops() - alone.get_total_flops()
        assert 2 * architecture.multiply_adds(auxiliary=True) == extra > 0
    else:
        assert architecture.parameters(auxiliary=True) == 0


def test_every_parameter_is_counted_once(backbone, built, traced) -> None:
    architecture = traced(backbone)
    parameters = {name: p.numel() for name, p in built(backbone).named_parameters()}
    assert architecture.parameters() + architecture.parameters(auxiliary=True) == sum(parameters.values())
    found: dict[str, int] = {}
    for name, count in parameters.items():
        owner = name.rpartition(".")[0]
        found[owner] = found.get(owner, 0) + count
    assert {layer.name: layer.parameters for layer in architecture.layers if layer.parameters} == found


def test_stages_are_the_feature_maps_of_the_backbone(backbone, built, traced) -> None:
    architecture = traced(backbone)
    maps = built(backbone).forward_features(torch.empty(1, *architecture.layers[0].output, device="meta"))
    stages = [(layer.stage, layer.output) for layer in architecture.layers if layer.stage]
    assert stages == [(stage, tuple(features.shape[1:])) for stage, features in maps.items()]


def test_nothing_is_left_on_the_model_and_nothing_is_learned() -> None:
    model = Mixed().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trace(model, 32)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_size_that_the_network_cannot_take_is_refused() -> None:
    with torch.device("meta"):
        model = create_model("vgg11")
    with pytest.raises(InputError, match="20 x 20"):
        trace(model, 20)
    assert not any(module._forward_hooks for module in model.modules())
