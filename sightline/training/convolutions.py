"""Gradients of convolutions, sooner where the library's own way to them is slow.

On a CPU without AVX-512, oneDNN's gradient of a kernel walks channels_last maps in strides. Once a row of the map and one of
the gradient no longer fit into the first cache, that takes two to three times as long as the same in contiguous order.
Everything else about channels_last is as fast or faster, so these two maps alone are copied, for this one step. It is the
same kernel and the same order of sums: the gradients are equal to the last bit.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from sightline.device import Precision

# Bytes. Measured on Zen 3: rows of 28 KiB as fast either way, of 48 KiB 1.1 to 1.5 times, of 64 KiB 1.9, of 200 KiB 3 times.
_FIRST_CACHE = 2**15


def quick_kernel_gradients(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context for a forward pass whose gradients are wanted; it does nothing where there is nothing to gain.

    Not for compiled networks, which have their own kernels.
    """
    slow = device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2"
    return _Rerouted() if slow and precision == "float32" else nullcontext()


class _Rerouted(TorchFunctionMode):
    """Sends the convolutions that gain from it through `_Convolution`, whichever network they are in."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.conv2d and not kwargs and _gains(*args):
            return _Convolution.apply(*args)
        return func(*args, **(kwargs or {}))


def _gains(images: Tensor, weight: Tensor, *rest: Any) -> bool:
    if len(rest) != 5 or not weight.requires_grad or not torch.is_grad_enabled() or images.ndim != 4:
        return False
    _, stride, padding, _, groups = rest
    if groups != 1 or max(weight.shape[2:]) == 1 or isinstance(padding, str):
        return False
    width = images.shape[3]
    floats = width * images.shape[1] + width // stride[1] * weight.shape[0]
    strided = images.dtype == torch.float32 and not images.is_contiguous()
    return strided and 4 * floats > _FIRST_CACHE


class _Convolution(torch.autograd.Function):
    """`F.conv2d` with the gradient of its kernel from contiguous maps."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.settings, ctx.biases = settings, None if bias is None else [len(bias)]
        return torch.conv2d(images, weight, bias, *settings)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.settings
        of_images, _, of_bias = ctx.needs_input_grad[:3]

        def gradients(maps: tuple[Tensor, Tensor, Tensor], wanted: list[bool]) -> tuple[Tensor | None, ...]:
            found: tuple[Tensor | None, ...] = torch.ops.aten.convolution_backward(
                *maps, ctx.biases, stride, padding, dilation, False, [0, 0], groups, wanted
            )
            return found

        images_gradient = gradients((gradient, images, weight), [True, False, False])[0] if of_images else None
        # Of the kernel only the shape is asked for.
        plain = gradient.contiguous(), images.contiguous(), weight.new_empty(weight.shape)
        _, weight_gradient, bias_gradient = gradients(plain, [False, True, of_bias])
        assert weight_gradient is not None
        # The fused optimisers walk weight and gradient side by side, so both must lie in memory in the same order.
        weight_gradient = torch.empty_like(weight).copy_(weight_gradient)
        return images_gradient, weight_gradient, bias_gradient, None, None, None, None
