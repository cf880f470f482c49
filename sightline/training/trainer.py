"""The training loop, flat and in the order of events. It knows no task: it sums the losses it is given and minds the headline metric.

Exact resume rests on three things: the batch of a step is a function of (seed, step), the generators are set from (seed, step, rank)
before each step, and everything else that a step reads (weights, statistics, momentum, average) is in the saved state.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from sightline import checkpoint
from sightline.device import Precision, autocast
from sightline.errors import ConfigError, TrainingError
from sightline.files import write_json
from sightline.ops.images import normalise
from sightline.structures import Batch
from sightline.tasks.task import Task, evaluate, scores
from sightline.training import distributed
from sightline.training.convolutions import quick_kernel_gradients
from sightline.training.distributed import World
from sightline.training.interruption import Interruption
from sightline.training.optim import (
    OptimizerConfig,
    WeightAverage,
    build_optimizer,
    load_optimizer_tensors,
    lr_factor,
    optimizer_tensors,
    set_lr,
)
from sightline.training.runlog import Listener, Progress, RunLog
from sightline.training.seeding import seed_step
from sightline.training.state import LoopState, load_state, save_state

_SHOW_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """How long and how to train."""

    epochs: int = 20
    """In each, every training image is seen, or more often where `data.passes` says so."""
    batch_size: int | None = None
    """Images per optimiser step over all processes; chosen from the size of the data set when not given."""
    accumulate: int = 1
    """Parts into which a process's share of the batch is cut to save memory; gradients are summed over them."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """Arithmetic of the network; "auto" times both and keeps bf16 where it is clearly faster."""
    compile: bool = False
    """Compile the network with torch.compile: slower to start, faster after."""
    ema: float | None = None
    """Decay of the moving average of the weights per step, 0 for none. With it the average is evaluated and kept. Chosen when not
    given: none, and for a segmenter one over a twentieth of the training."""
    clip: float = 0.0
    """Largest norm of the gradient, 0 for no limit."""
    label_smoothing: float = 0.1
    """Share of the target spread evenly over all classes (Szegedy et al. 2015, section 7), 0..1."""
    freeze_norm: bool | None = None
    """Keep the batch statistics as they are (batch norm in evaluation mode); chosen from what training starts from when not
    given."""
    freeze_norm_at: float | None = None
    """The share of the training, 0..1, from which on they are kept, 1 for never: the weights then learn with the statistics that
    they are used with (Wu and Johnson 2021, section 4). Chosen when not given: 0.7 for a segmenter, else 1."""
    patience: int = 0
    """Stop after so many epochs without a better validation metric, 0 for never."""
    save_every: int = 0
    """Save the state also every so many steps, 0 for at the end of epochs only."""
    log_every: int = 20
    """Steps between lines in the log."""
    tensorboard: bool = False
    """Write TensorBoard events beside the log (needs the extra "tensorboard")."""

    def __post_init__(self) -> None:
        for name in ("epochs", "accumulate", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training.{name}: expected 1 or more, got {getattr(self, name)}.")
        for name in ("clip", "patience", "save_every"):
            if getattr(self, name) < 0:
                raise ConfigError(f"training.{name}: expected 0 or more, got {getattr(self, name)}.")
        if self.batch_size is not None and self.batch_size < 1:
            raise ConfigError(f"training.batch_size: expected 1 or more, got {self.batch_size}.")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ConfigError(f"training.ema: expected a decay with 0 <= ema < 1, got {self.ema}.")
        if self.freeze_norm_at is not None and not 0 <= self.freeze_norm_at <= 1:
            raise ConfigError(
                f"training.freeze_norm_at: expected a share of the training, 0..1, got {self.freeze_norm_at}."
            )
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"training.label_smoothing: expected 0 <= value < 1, got {self.label_smoothing}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Everything that one training needs, already built."""

    run: Path
    """The run folder."""
    model: nn.Module
    task: Task
    header: checkpoint.Header
    """Header of the weights that the run keeps; metrics are filled in."""
    training: TrainingConfig
    optimizer: OptimizerConfig
    precision: Precision
    seed: int
    steps_per_epoch: int
    train_batches: Callable[[int], Iterable[Batch]]
    """From a step to the uint8 batches of that step and all after it, this process's share of each."""
    val_batches: Iterable[Batch]
    """uint8 batches of this process's share of the validation split."""
    listener: Listener


def fit(job: Job, here: World) -> LoopState:
    """Train until the last epoch, an early stop, or a signal; resume when the run folder holds a state.

    Raises `TrainingError` when the loss is not a number, `StorageError` when the disk is full.
    """
    config = job.training
    model = job.model.to(here.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(model, job.optimizer)
    average = WeightAverage(model, config.ema) if config.ema else None
    loop = restore(job, model, optimizer, average)
    distributed.check_same(loop.step, here)
    if loop.step == 0:
        # What training starts from may be gone when it is resumed: weights from a file, a folder that moved.
        save(job, model, optimizer, average, loop, here)
    total_steps = config.epochs * job.steps_per_epoch
    log = RunLog(job.run, tensorboard=config.tensorboard) if here.is_first else None
    if log:
        log.rewind(loop.step)
    network = distributed.wrap(torch.compile(model) if config.compile else model, here)  # type: ignore[arg-type]
    meter = _Meter(job, total_steps, loop)
    batches = iter(job.train_batches(loop.step))

    with Interruption() as interruption:
        while loop.step < total_steps and not loop.stopped_early:
            lr = (job.optimizer.lr or 0.0) * lr_factor(job.optimizer, loop.step, total_steps)
            set_lr(optimizer, lr)
            seed_step(job.seed, loop.step, here.rank)
            settled = config.freeze_norm_at is not None and loop.step >= config.freeze_norm_at * total_steps
            set_mode(model, freeze_norm=settled or bool(config.freeze_norm))
            loss = train_step(job, network, optimizer, next(batches), here)
            if average:
                average.update(model, loop.step)
            loop = replace(loop, step=loop.step + 1, seconds=meter.seconds())
            if loop.step % config.log_every == 0 or loop.step == 1:
                meter.report(loop, float(distributed.mean_over_processes(loss, here)), lr, log)
            elif here.is_first:
                meter.show(loop, loss, lr)

            ends_epoch = loop.step % job.steps_per_epoch == 0
            if ends_epoch:
                loop = end_epoch(job, model, average, loop, here, log)
            stop = distributed.any_process(interruption.requested, here)
            if ends_epoch or stop or (config.save_every and loop.step % config.save_every == 0):
                save(job, model, optimizer, average, loop, here)
            if stop:
                break
    del batches  # ends the loader's workers
    if log:
        log.close()
    return loop


def train_step(job: Job, network: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, here: World) -> Tensor:
    """One optimiser step over this process's share of a batch; the mean loss, on the device."""
    parts = job.training.accumulate
    total = torch.zeros((), device=here.device)
    for part, chunk in enumerate(_chunks(batch, parts)):
        prepared = to_device(chunk, job, here)
        last = part == parts - 1
        quick = nullcontext() if job.training.compile else quick_kernel_gradients(here.device, job.precision)
        with distributed.gradients_shared(network, last), autocast(here.device, job.precision), quick:
            losses = job.task.loss(network, prepared)
            loss = torch.stack(list(losses.values())).sum() / parts
        with distributed.gradients_shared(network, last):
            loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    if job.training.clip:
        nn.utils.clip_grad_norm_(network.parameters(), job.training.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total


def end_epoch(
    job: Job, model: nn.Module, average: WeightAverage | None, loop: LoopState, here: World, log: RunLog | None
) -> LoopState:
    """Evaluate on the validation split, keep the weights, and say whether to stop."""
    state = kept_weights(model, average)
    distributed.share_from_first(state, here)
    with _weights_in(model, average), autocast(here.device, job.precision):
        metrics = evaluate(job.task, model, (to_device(batch, job, here) for batch in job.val_batches))
    values = scores(distributed.merge_metrics(metrics, here))
    value = float(values[job.task.headline])
    epoch = loop.step // job.steps_per_epoch
    better = loop.best_value is None or value > loop.best_value
    if better:
        loop = replace(loop, best_value=value, best_epoch=epoch)
    loop = replace(loop, stopped_early=bool(job.training.patience) and epoch - loop.best_epoch >= job.training.patience)
    if here.is_first:
        header = replace(job.header, metrics=values)
        checkpoint.save(job.run / "weights" / "last.safetensors", state, header)
        if better:
            checkpoint.save(job.run / "weights" / "best.safetensors", state, header)
            write_json(job.run / "metrics.json", {"split": "val", "epoch": epoch, "step": loop.step, **values})
    scalars = {name: number for name, number in values.items() if isinstance(number, float)}
    record = {"event": "epoch", "step": loop.step, "epoch": epoch, "seconds": loop.seconds, "best": better, **scalars}
    if log:
        log.write(record)
        job.listener.epoch(record)
    return loop


def kept_weights(model: nn.Module, average: WeightAverage | None) -> dict[str, Tensor]:
    """The tensors that users get: the moving average where there is one, else the network's own."""
    return average.tensors if average else model.state_dict()


def save(
    job: Job,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    loop: LoopState,
    here: World,
) -> None:
    """Write everything that `restore` reads."""
    if not here.is_first:
        return
    parts = {"weights": model.state_dict(), "optimizer": optimizer_tensors(optimizer)}
    if average:
        parts["average"] = average.tensors
    save_state(job.run / "state", parts, loop)


def restore(job: Job, model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage | None) -> LoopState:
    """Put the newest complete state of the run folder into the objects given; step 0 when there is none."""
    found = load_state(job.run / "state")
    if found is None:
        return LoopState()
    parts, loop = found
    model.load_state_dict(parts["weights"])
    load_optimizer_tensors(optimizer, parts["optimizer"])
    if average:
        for name, tensor in average.tensors.items():
            tensor.copy_(parts["average"][name])
    return loop


def set_mode(model: nn.Module, freeze_norm: bool) -> None:
    """Training mode, with the batch statistics left alone when asked for."""
    model.train()
    if freeze_norm:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def to_device(batch: Batch, job: Job, here: World) -> Batch:
    """uint8 pictures to normalised floats on the device: a quarter of the bytes cross over."""
    shape = job.header.preprocessing
    images = normalise(batch.images.to(here.device, non_blocking=True), shape.mean, shape.std)
    return replace(batch, images=images)


def _chunks(batch: Batch, parts: int) -> Iterator[Batch]:
    if len(batch) % parts:
        raise ConfigError(f"training.accumulate: {len(batch)} images a process cannot be cut into {parts} equal parts.")
    size = len(batch) // parts
    for start in range(0, len(batch), size):
        yield batch.part(start, start + size)


class _weights_in:  # noqa: N801 - reads as a verb at its only use
    """For a while, the moving average stands in the network."""

    def __init__(self, model: nn.Module, average: WeightAverage | None) -> None:
        self.model, self.average = model, average

    def __enter__(self) -> None:
        if self.average:
            self.own = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.model.load_state_dict(self.average.tensors)

    def __exit__(self, *_: object) -> None:
        if self.average:
            self.model.load_state_dict(self.own)


class _Meter:
    """Time, speed, the lines in the log and what the listener sees."""

    def __init__(self, job: Job, total_steps: int, loop: LoopState) -> None:
        self.job, self.total_steps, self.before = job, total_steps, loop.seconds
        self.start = self.mark = time.perf_counter()
        self.mark_step = loop.step

    def seconds(self) -> float:
        """Time spent training, earlier sittings included."""
        return self.before + time.perf_counter() - self.start

    def report(self, loop: LoopState, loss: float, lr: float, log: RunLog | None) -> None:
        """Refuse a loss that is no number, write it down, show it. `loss` is the mean over all processes."""
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is {loss} at step {loop.step}: training diverged. Resume would repeat it; start again with a lower "
                f"learning rate (now {lr:.3g}: --set optimizer.lr={lr / 10:.2g}) or with --set training.clip=1."
            )
        if log:
            log.write({"event": "step", "step": loop.step, "loss": loss, "lr": lr, "seconds": round(loop.seconds, 3)})
            self._tell(loop, loss, lr)

    def show(self, loop: LoopState, loss: Tensor, lr: float) -> None:
        """Between reports, for people only: this process's loss, at most once a second, for fetching it makes a GPU wait."""
        if time.perf_counter() - self.mark > _SHOW_SECONDS:
            self._tell(loop, float(loss), lr)

    def _tell(self, loop: LoopState, loss: float, lr: float) -> None:
        now = time.perf_counter()
        speed = (loop.step - self.mark_step) / max(now - self.mark, 1e-9)
        self.mark, self.mark_step = now, loop.step
        self.job.listener.progress(
            Progress(
                step=loop.step,
                total_steps=self.total_steps,
                epoch=(loop.step - 1) // self.job.steps_per_epoch + 1,
                epochs=self.job.training.epochs,
                loss=loss,
                lr=lr,
                images_per_second=speed * (self.job.training.batch_size or 0),
                seconds_left=(self.total_steps - loop.step) / max(speed, 1e-9),
                headline=self.job.task.headline,
                value=loop.best_value,
            )
        )
