"""Optimisers: groups, schedules against torch's own, averages against their definition."""

import math

import pytest
import torch
from torch import nn

from sightline.errors import ConfigError
from sightline.training.optim import (
    OptimizerConfig,
    WeightAverage,
    build_optimizer,
    load_optimizer_tensors,
    lr_factor,
    optimizer_tensors,
)

READY = {"lr": 0.01, "weight_decay": 0.01}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_and_norms_have_no_decay(name: str) -> None:
    optimizer = build_optimizer(network(), OptimizerConfig(name=name, **READY))  # type: ignore[arg-type]
    decays = {tuple(p.shape): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays == {(8, 4): 0.01, (2, 8): 0.01, (8,): 0.0, (2,): 0.0}


@pytest.mark.parametrize("nesterov", [True, False])
def test_momentum_with_and_without_looking_ahead(nesterov: bool) -> None:
    """Two steps on the gradient 1: v = 1, then 1.9; Nesterov steps by g + 0.9 v, the papers' momentum by v."""
    weight = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(weight.weight)
    config = OptimizerConfig(name="sgd", lr=1.0, weight_decay=0.0, nesterov=nesterov)
    optimizer = build_optimizer(weight, config)
    for _ in range(2):
        weight.weight.grad = torch.ones(1, 1)
        optimizer.step()
    assert float(weight.weight.detach()) == pytest.approx(-(1.9 + 2.71) if nesterov else -(1.0 + 1.9))


def test_without_momentum_there_is_nothing_to_look_ahead_along() -> None:
    build_optimizer(network(), OptimizerConfig(name="sgd", momentum=0.0, **READY))  # type: ignore[arg-type]


def test_frozen_parameters_are_left_out() -> None:
    model = network()
    model[0].weight.requires_grad_(False)
    optimizer = build_optimizer(model, OptimizerConfig(**READY))  # type: ignore[arg-type]
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 5
    with pytest.raises(ConfigError, match="Every parameter is frozen"):
        build_optimizer(model.requires_grad_(False), OptimizerConfig(**READY))  # type: ignore[arg-type]


def test_cosine_is_torchs() -> None:
    config = OptimizerConfig(warmup=0.0)
    optimizer = torch.optim.SGD(network().parameters(), lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        assert math.isclose(lr_factor(config, step, 50), optimizer.param_groups[0]["lr"], abs_tol=1e-9)
        optimizer.step()
        theirs.step()


def test_step_is_torchs() -> None:
    config = OptimizerConfig(schedule="step", warmup=0.0, step_at=(0.3, 0.6), step_factor=0.1)
    optimizer = torch.optim.SGD(network().parameters(), lr=1.0)
    theirs = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[30, 60], gamma=0.1)
    for step in range(100):
        assert math.isclose(lr_factor(config, step, 100), optimizer.param_groups[0]["lr"], rel_tol=1e-9)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("schedule", ["cosine", "step", "one-cycle", "constant"])
def test_warm_up_rises_to_the_peak(schedule: str) -> None:
    config = OptimizerConfig(schedule=schedule, warmup=0.2)  # type: ignore[arg-type]
    factors = [lr_factor(config, step, 100) for step in range(100)]
    assert factors[:20] == sorted(factors[:20])
    assert factors[0] > 0
    assert factors[19] == pytest.approx(1.0)
    assert max(factors) <= 1.0


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_state_goes_through_tensors(name: str) -> None:
    """Three steps, a round trip, three more: the same as six."""
    finals = []
    for cut in (False, True):
        model = network()
        config = OptimizerConfig(name=name, **READY)  # type: ignore[arg-type]
        optimizer = build_optimizer(model, config)
        for step in range(6):
            if cut and step == 3:
                tensors = {key: value.clone() for key, value in optimizer_tensors(optimizer).items()}
                optimizer = build_optimizer(model, config)
                load_optimizer_tensors(optimizer, tensors)
            torch.manual_seed(step)
            model(torch.randn(5, 4)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        finals.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert finals[0].isfinite().all()
    assert torch.equal(*finals)


def test_average_follows_its_definition() -> None:
    model = nn.Linear(1, 1)
    expected = float(model.weight.detach())
    average = WeightAverage(model, decay=0.5)
    for step in range(5):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update(model, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert float(average.tensors["weight"]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"lr": -1.0}, r"optimizer\.lr: expected a positive number"),
        ({"warmup": 1.0}, r"optimizer\.warmup"),
        ({"final_lr": 9.0}, r"optimizer\.final_lr: expected a share of the peak"),
        ({"step_factor": -1.0}, r"optimizer\.step_factor and step_at"),
        ({"step_at": (0.5, 2.0)}, r"optimizer\.step_factor and step_at"),
        ({"momentum": 1.0}, r"optimizer\.momentum"),
        ({"weight_decay": -1.0}, r"optimizer\.weight_decay"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        OptimizerConfig(**values)  # type: ignore[arg-type]
