"""Optimisers and learning-rate schedules: few parameter groups, no weight decay on biases and norms."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sightline.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """How weights follow gradients."""

    name: Literal["sgd", "adamw"] = "adamw"
    """AdamW learns faster in short trainings; the papers use SGD."""
    lr: float | None = None
    """Peak learning rate for the given batch size; chosen from the optimiser, the batch size and the start when not given."""
    momentum: float = 0.9
    """SGD's momentum, AdamW's first beta."""
    nesterov: bool = True
    """SGD looks ahead along its momentum; false is the papers' classical momentum."""
    beta2: float = 0.99
    """AdamW's second beta; 0.999, usual for long trainings, remembers too long for short ones."""
    weight_decay: float | None = None
    """Per step, on weights of two or more dimensions only. Default 5e-4 for SGD, 0.05 for AdamW."""
    schedule: Literal["cosine", "step", "one-cycle", "constant"] = "cosine"
    """How the learning rate goes on after the warmup: down along a cosine, in steps, up and down again in one cycle, or not at all."""
    warmup: float = 0.15
    """Share of all steps in which the learning rate rises linearly from near 0, 0..1."""
    final_lr: float = 0.0
    """Learning rate at the end of cosine and one-cycle, as a share of the peak, 0..1."""
    step_at: tuple[float, ...] = (0.5, 0.75)
    """Schedule "step": shares of all steps after which the learning rate is multiplied by `step_factor`."""
    step_factor: float = 0.1
    """What schedule "step" multiplies by."""

    def __post_init__(self) -> None:
        if self.lr is not None and not (self.lr > 0 and math.isfinite(self.lr)):
            raise ConfigError(f"optimizer.lr: expected a positive number, got {self.lr}.")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"optimizer.warmup: expected a share of all steps, 0 <= warmup < 1, got {self.warmup}.")
        if not 0 <= self.momentum < 1 or not 0 <= self.beta2 < 1:
            raise ConfigError(f"optimizer.momentum and beta2: expected 0..1, got {self.momentum} and {self.beta2}.")
        if not 0 <= self.final_lr <= 1:
            raise ConfigError(f"optimizer.final_lr: expected a share of the peak, 0..1, got {self.final_lr}.")
        if self.step_factor <= 0 or not all(0 <= share <= 1 for share in self.step_at):
            raise ConfigError(
                f"optimizer.step_factor and step_at: expected a positive factor and shares of all steps, 0..1, "
                f"got {self.step_factor} and {list(self.step_at)}."
            )
        if self.weight_decay is not None and self.weight_decay < 0:
            raise ConfigError(f"optimizer.weight_decay: expected 0 or more, got {self.weight_decay}.")


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """SGD or AdamW over two groups: weights with decay, biases and norms without.

    Raises `ConfigError` when everything is frozen or the learning rate was not chosen yet.
    """
    if config.lr is None or config.weight_decay is None:
        raise ConfigError("optimizer.lr and optimizer.weight_decay must be set here; `sightline.train` chooses them.")
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise ConfigError("Every parameter is frozen, there is nothing to train. Freeze fewer stages.")
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    # torch's fused kernels do one pass over memory; they exist for the CPU and for CUDA.
    if config.name == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov, fused=True)
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.momentum, config.beta2), fused=True)


def lr_factor(config: OptimizerConfig, step: int, total_steps: int) -> float:
    """The share of the peak learning rate at `step` (0-based) of `total_steps`.

    "one-cycle" rises by a cosine over the warm-up and falls by a cosine to the end (Smith 2018); the others rise linearly.

    >>> cosine = OptimizerConfig(warmup=0.1)
    >>> [round(lr_factor(cosine, step, 100), 3) for step in (0, 9, 10, 55, 99)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    warmup = config.warmup * total_steps
    if step + 1 <= warmup:
        rise = (step + 1) / warmup
        return 0.5 - 0.5 * math.cos(math.pi * rise) if config.schedule == "one-cycle" else rise
    progress = (step - warmup) / max(1.0, total_steps - warmup)
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "step":
        return config.step_factor ** sum(step >= share * total_steps for share in config.step_at)
    return config.final_lr + (1 - config.final_lr) * (0.5 + 0.5 * math.cos(math.pi * max(0.0, progress)))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors, "INDEX.NAME", for a file without pickle."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value for index, slots in state.items() for name, value in slots.items() if value is not None
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`, onto an optimiser built from the same configuration."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        parameter = parameters[int(index)].detach()
        if value.shape == parameter.shape:
            # The fused kernels walk parameter and momentum side by side, so both must lie in memory in the same order.
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


class WeightAverage:
    """An exponential moving average of a network's weights and statistics (Polyak averaging).

    The decay grows from 0 as (1 + steps) / (10 + steps) up to `decay`, so that a short training is not dominated by its start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ConfigError(f"training.ema: expected a decay between 0 and 1, or 0 for none, got {decay}.")
        self.decay = decay
        self.tensors = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the weights of `model` after optimiser step `step` (0-based)."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        state = model.state_dict()
        floating = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.tensors[n] for n in floating], [state[n].detach() for n in floating], weight)
        for name, value in state.items():
            if not value.is_floating_point():
                self.tensors[name].copy_(value)
