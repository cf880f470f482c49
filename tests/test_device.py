"""The probe changes nothing and answers with what there is."""

import pytest
import torch

from sightline import device


def test_the_probe_leaves_the_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    device._seconds(torch.device("cpu"), "float32", training=True)
    assert torch.equal(torch.get_rng_state(), before)


def test_bf16_is_taken_only_where_it_is_clearly_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(device, "_has_bf16_arithmetic", lambda: False)
    assert device.pick_precision(cpu, training=False) == "float32"
    monkeypatch.setattr(device, "_has_bf16_arithmetic", lambda: True)
    for bf16_seconds, expected in ((1.0, "float32"), (0.9, "float32"), (0.5, "bf16")):
        monkeypatch.setattr(device, "_seconds", lambda d, p, t, s=bf16_seconds: s if p == "bf16" else 1.0)
        assert device.pick_precision(cpu, training=True) == expected


def test_autocast_does_nothing_in_float32() -> None:
    cpu, weights = torch.device("cpu"), torch.randn(4, 4)
    with device.autocast(cpu, "float32"):
        assert (weights @ weights).dtype == torch.float32
    with device.autocast(cpu, "bf16"):
        assert (weights @ weights).dtype == torch.bfloat16
