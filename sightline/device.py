"""What this machine is good at: which device, which arithmetic, which way to hand out memory. Measured where no flag tells."""

import ctypes
import sys
import time
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import nn

Precision = Literal["float32", "bf16"]

# bf16 has to gain this much to be worth its coarser numbers.
_WORTHWHILE = 1.3

# glibc's mallopt parameters, from <malloc.h>.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def pick_device(local_rank: int = 0) -> torch.device:
    """The accelerator of this process when there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", local_rank)
    return torch.device("cpu")


def pick_precision(device: torch.device, *, training: bool) -> Precision:
    """ "bf16" where a typical 3x3 convolution is clearly faster in it (AMX, AVX-512 BF16, recent GPUs), else "float32"."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    if device.type != "cpu" or not _has_bf16_arithmetic():
        return "float32"
    gain = _seconds(device, "float32", training) / _seconds(device, "bf16", training)
    return "bf16" if gain >= _WORTHWHILE else "float32"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context in which a network runs: bfloat16 where that is exact enough, or nothing at all."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def keep_freed_memory() -> bool:
    """Let the process keep the memory that tensors free instead of handing it back to the system each time.

    A training step on a CPU frees and asks for the same large blocks over and over; getting each one fresh from the kernel,
    page by page, was measured at up to a quarter of the step. Says whether the C library knows how (glibc does).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(
        mallopt(parameter, value)
        for parameter, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 << 20))
    )


def _has_bf16_arithmetic() -> bool:
    """Without such instructions bf16 is emulated, hundreds of times slower: not worth the seconds of a probe."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _seconds(device: torch.device, precision: Precision, training: bool) -> float:
    """The best of three times for a convolution of a middle stage. The caller's random state is left alone.

    With fewer channels the norm and the activation would take most of the time, which they do not in a network.
    """
    with torch.random.fork_rng(devices=[]):
        block = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU())
        block = block.to(device, memory_format=torch.channels_last).train(training)  # type: ignore[call-overload]
        images = torch.randn(16, 128, 28, 28).to(device, memory_format=torch.channels_last)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        with torch.set_grad_enabled(training), autocast(device, precision):
            output = block(images)
        if training:
            output.float().sum().backward()
        times.append(time.perf_counter() - start)
    return min(times[1:])
