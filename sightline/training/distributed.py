"""Several processes, as torchrun starts them: one world, one rank, one device each. Alone is a world of one."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.device import pick_device
from sightline.errors import PeerError, TrainingError
from sightline.metrics.metric import Metric

_PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>


@dataclass(frozen=True, slots=True)
class World:
    """This process among all."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0


@contextmanager
def world() -> Iterator[World]:
    """Join the processes that torchrun started (nccl on GPUs, gloo on CPUs); leave them at the end."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    device = pick_device(int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if size == 1:
        yield World(device=device)
        return
    _end_with_parent()
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=30))
    try:
        yield World(dist.get_rank(), dist.get_world_size(), device)
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise PeerError(
                "Another process of this training ended, so this one cannot go on. It has said why; if it has not, the system "
                "ended it, often for want of memory. What was saved is intact: go on with --resume."
            ) from error
        raise
    finally:
        dist.destroy_process_group()


def _end_with_parent() -> None:
    """Ask Linux for a SIGTERM when torchrun is gone: processes that it left behind would go on writing the run folder."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def barrier(here: World) -> None:
    """Wait until every process is here."""
    if here.size > 1:
        dist.barrier()


def wrap(model: nn.Module, here: World) -> nn.Module:
    """`model` with gradients averaged over all processes; `model` itself when alone."""
    if here.size == 1:
        return model
    devices = [here.device] if here.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)


@contextmanager
def gradients_shared(network: nn.Module, share: bool) -> Iterator[None]:
    """With `share` false, gradients stay on this process until a later part of the batch shares the sum."""
    if isinstance(network, nn.parallel.DistributedDataParallel) and not share:
        with network.no_sync():
            yield
    else:
        yield


def mean_over_processes(value: Tensor, here: World) -> Tensor:
    """The mean of one tensor over all processes."""
    if here.size > 1:
        value = value.clone()
        dist.all_reduce(value)
        value /= here.size
    return value


def any_process(flag: bool, here: World) -> bool:
    """Whether the flag is set on any process, so that all of them act on it at the same step."""
    if here.size == 1:
        return flag
    value = torch.tensor([float(flag)], device=here.device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value.item())


def as_the_first(flag: bool, here: World) -> bool:
    """What the first process measured or chose; the others do the same."""
    if here.size == 1:
        return flag
    value = torch.tensor([float(flag)], device=here.device)
    dist.broadcast(value, src=0)
    return bool(value.item())


def check_same(value: int, here: World) -> None:
    """Raises `TrainingError` unless all processes have the same number: the step at which each of them begins."""
    if here.size > 1:
        bounds = torch.tensor([value, -value], device=here.device)
        dist.all_reduce(bounds, op=dist.ReduceOp.MAX)
        highest, lowest = int(bounds[0]), -int(bounds[1])
        if highest != lowest:
            raise TrainingError(
                f"Some processes would begin at step {lowest}, others at {highest}. On several machines the run folder must lie "
                "on a disk that all of them see."
            )


def share_from_first(tensors: dict[str, Tensor], here: World) -> None:
    """Overwrite every process's tensors by those of the first, in place: batch statistics differ between processes."""
    if here.size > 1:
        for name in sorted(tensors):
            dist.broadcast(tensors[name], src=0)


def merge_metrics(metrics: dict[str, Metric[Any, Any]], here: World) -> dict[str, Metric[Any, Any]]:
    """Metrics over the images of all processes, on every process: what each has counted, added in the order of the ranks."""
    if here.size > 1:
        for metric in metrics.values():
            parts = {name: _gathered(rows, here) for name, rows in sorted(metric.state().items())}
            metric.reset()
            for rank in range(here.size):
                metric.add_state({name: rows[rank] for name, rows in parts.items()})
    return metrics


def _gathered(rows: NDArray[Any], here: World) -> list[NDArray[Any]]:
    """The rows of every process, by rank. Their numbers may differ; what is sent is filled up to the longest."""
    own = torch.from_numpy(rows).to(here.device)
    lengths = [torch.zeros(1, dtype=torch.int64, device=here.device) for _ in range(here.size)]
    dist.all_gather(lengths, torch.tensor([len(own)], device=here.device))
    filled = own.new_zeros((max(int(length) for length in lengths), *own.shape[1:]))
    filled[: len(own)] = own
    parts = [torch.empty_like(filled) for _ in lengths]
    dist.all_gather(parts, filled)
    return [part[: int(length)].cpu().numpy() for part, length in zip(parts, lengths, strict=True)]
