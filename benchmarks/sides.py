"""What the comparisons share: our side as a run uses it, the clock, and the machine that it runs on."""

import ctypes
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision

from sightline import checkpoint
from sightline.device import Precision, keep_freed_memory, pick_precision
from sightline.inference.predictor import Predictor
from sightline.models import Network, create_model
from sightline.structures import Batch
from sightline.tasks.task import Task
from sightline.training.distributed import World
from sightline.training.optim import OptimizerConfig, build_optimizer
from sightline.training.runlog import Silence
from sightline.training.trainer import Job, TrainingConfig, train_step

Precisions = tuple[Precision, Precision]
"""For predicting and for training."""


def probed_precisions(device: torch.device) -> Precisions:
    return pick_precision(device, training=False), pick_precision(device, training=True)


def our_side(
    header: checkpoint.Header,
    task: Task,
    device: torch.device,
    precisions: Precisions,
    optimizer: OptimizerConfig,
) -> tuple[Predictor, Callable[[Batch], float]]:
    """The predictor, and the trainer's own step from a uint8 batch to its loss: a new network of the `header` each."""

    def network() -> Network:
        model = create_model(header.architecture, num_classes=len(header.class_names), **header.arguments)
        return model.to(device, memory_format=torch.channels_last)

    model, trained = network().eval(), network().train()
    predictor = Predictor(model, task, header, device, precisions[0])
    job = Job(
        run=Path("unused"),
        model=trained,
        task=task,
        header=header,
        training=TrainingConfig(),
        optimizer=optimizer,
        precision=precisions[1],
        seed=0,
        steps_per_epoch=1,
        train_batches=lambda step: (),
        val_batches=(),
        listener=Silence(),
    )
    weights, here = build_optimizer(trained, optimizer), World(device=device)
    return predictor, lambda batch: float(train_step(job, trained, weights, batch, here))


def seconds_of(step: Callable[[], object]) -> float:
    """One call, and what it has left for the GPU to do."""
    _wait()
    start = time.perf_counter()
    step()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def median_seconds(ours: Callable[[], object], peer: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Medians over repeats in turn, what disturbs one disturbs the other; the first call of each turn does not count."""
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(repeats):
        for name, memory, step in (("ours", keep_freed_memory, ours), ("peer", default_memory, peer)):
            memory()
            step()
            times[name].append(seconds_of(step))
    return statistics.median(times["ours"]), statistics.median(times["peer"])


def default_memory() -> None:
    """Back to what glibc does for a process that asks for nothing, once it has freed a large block; see mallopt(3).

    The peer is measured so, and ours as the trainer and the predictor set it: the setting is part of what is compared.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    m_mmap_max, m_mmap_threshold, m_trim_threshold, m_top_pad = -4, -3, -1, -2
    libc.mallopt(m_mmap_max, 65_536)
    libc.mallopt(m_mmap_threshold, 32 << 20)
    libc.mallopt(m_trim_threshold, 64 << 20)
    libc.mallopt(m_top_pad, 128 << 10)
    libc.malloc_trim(0)


def images_per_second(
    peer_name: str, ours: Callable[[], object], peer: Callable[[], object], batch: int, repeats: int
) -> dict[str, float]:
    """Of steps over `batch` images each, and how many times the peer's our speed is."""
    seconds, peer_seconds = median_seconds(ours, peer, repeats)
    return {
        "ours_images_per_second": round(batch / seconds, 2),
        f"{peer_name}_images_per_second": round(batch / peer_seconds, 2),
        "ratio": round(peer_seconds / seconds, 2),
    }


def print_speeds(title: str, speeds: dict[str, float]) -> None:
    ours, peer, ratio = speeds.items()
    name = peer[0].removesuffix("_images_per_second")
    print(f"{title} ours {ours[1]:8.1f}  {name} {peer[1]:8.1f} images/s  ratio {ratio[1]:.2f}", flush=True)


def setting(device: torch.device) -> dict[str, Any]:
    """What the figures hold for."""
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def precision_names(precisions: Precisions) -> dict[str, str]:
    return {"predict": precisions[0], "train": precisions[1]}


def write(result: dict[str, Any], path: Path | None) -> None:
    if path:
        path.write_text(json.dumps(result, indent=2) + "\n")
