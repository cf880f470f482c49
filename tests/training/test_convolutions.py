from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from sightline.training.convolutions import quick_kernel_gradients

CPU = torch.device("cpu")


@pytest.fixture
def avx2(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


def network(**changes) -> nn.Conv2d:
    torch.manual_seed(0)
    settings = {"kernel_size": 3, "padding": 1, "stride": 2} | changes
    return nn.Conv2d(24, 32, **settings).to(memory_format=torch.channels_last)


def images(width: int = 320) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 24, 12, width).contiguous(memory_format=torch.channels_last)


def rerouted(layer: nn.Module, pictures: Tensor, precision="float32") -> bool:
    with quick_kernel_gradients(CPU, precision):
        return type(layer(pictures).grad_fn).__name__ == "_ConvolutionBackward"


@pytest.mark.parametrize("changes", [{}, {"bias": False}, {"dilation": 2}, {"stride": 1, "kernel_size": (1, 7)}])
def test_same_gradients(avx2, changes):
    found = []
    for context in (nullcontext(), quick_kernel_gradients(CPU, "float32")):
        layer, pictures = network(**changes), images().requires_grad_()
        with context:
            output = layer(pictures)
        output.square().sum().backward()
        assert layer.weight.grad.stride() == layer.weight.stride()
        found.append([output, pictures.grad, *(parameter.grad for parameter in layer.parameters())])
    assert rerouted(network(**changes), images())
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6 * float(one.detach().abs().max()))


def test_images_without_gradient(avx2):
    layer = network()
    with quick_kernel_gradients(CPU, "float32"):
        layer(images()).sum().backward()
    assert layer.weight.grad.abs().sum() > 0


def test_only_where_it_gains(avx2):
    assert rerouted(network(), images())
    assert not rerouted(network(), images(width=40))  # short rows
    assert not rerouted(network(), images().contiguous())
    assert not rerouted(network(kernel_size=1, padding=0), images())
    assert not rerouted(network(groups=2), images())
    assert not rerouted(network(padding="same", stride=1), images())
    assert not rerouted(network().requires_grad_(False), images().requires_grad_())
    assert not rerouted(network(), images(), precision="bf16")
    with torch.no_grad():
        assert not rerouted(network(), images())


def test_not_with_wider_registers(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert not rerouted(network(), images())
