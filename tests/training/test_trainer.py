"""The loop: what it saves, when it stops, and that a stop and a resume change nothing."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sightline import checkpoint
from sightline.errors import ConfigError, TrainingError
from sightline.training.distributed import World
from sightline.training.optim import OptimizerConfig
from sightline.training.runlog import Progress, Silence, read_log
from sightline.training.trainer import Job, TrainingConfig, fit, set_mode, train_step
from tests.training.build_job import BATCH, build_job


class Tiny(nn.Module):
    """Convolution, norm, dropout, linear: everything that a step can leave a trace in, in a few milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.dropout = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5)
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.dropout(self.norm(self.conv(images)).relu().mean((2, 3))))  # type: ignore[no-any-return]


class StopAfter(Silence):
    """Asks for a stop as Ctrl-C does, at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def progress(self, progress: Progress) -> None:
        if progress.step == self.step:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


def run(folder: Path, **options: object) -> dict[str, Tensor]:
    fit(build_job(folder, model=Tiny, **options), World())  # type: ignore[arg-type]
    return load_file(folder / "weights" / "last.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"ema": 0.9, "clip": 1.0, "accumulate": 2}, {"adamw": True}, {"workers": 2}])
def test_a_stop_within_an_epoch_and_a_resume_give_the_same_bits(tmp_path: Path, options: dict[str, object]) -> None:
    if options.pop("adamw", False):
        options["optimizer"] = OptimizerConfig(name="adamw", lr=0.01, weight_decay=0.05)
    whole = run(tmp_path / "whole", **options)
    stopped = fit(build_job(tmp_path / "cut", model=Tiny, listener=StopAfter(6), **options), World())  # type: ignore[arg-type]
    assert (stopped.step, stopped.stopped_early) == (6, False)
    resumed = run(tmp_path / "cut", **options)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    for name in ("last", "best"):
        files = [(tmp_path / kind / "weights" / f"{name}.safetensors").read_bytes() for kind in ("whole", "cut")]
        assert files[0] == files[1], name
    steps = [
        [(r["event"], r["step"], r.get("loss")) for r in read_log(tmp_path / kind / "log.jsonl")]
        for kind in ("whole", "cut")
    ]
    assert steps[0] == steps[1]


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    """Without this the test above would pass for a loop that ignores everything."""
    first = run(tmp_path / "a")
    job = replace(build_job(tmp_path / "b", model=Tiny), seed=1)  # dropout only
    fit(job, World())
    second = load_file(tmp_path / "b" / "weights" / "last.safetensors")
    assert not torch.equal(first["conv.weight"], second["conv.weight"])


def test_accumulation_changes_nothing_but_rounding(tmp_path: Path) -> None:
    """Without batch statistics and dropout the gradient of a batch is the mean over its parts."""
    weights = []
    for parts in (1, 4):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        weights.append(run_model(tmp_path / str(parts), model, accumulate=parts))
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-4, atol=1e-6)


def run_model(folder: Path, model: nn.Module, **options: object) -> dict[str, Tensor]:
    fit(build_job(folder, model=lambda: model, **options), World())  # type: ignore[arg-type]
    return load_file(folder / "weights" / "last.safetensors")


def test_a_batch_that_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="16 images a process cannot be cut into 3 equal parts"):
        run(tmp_path, accumulate=3)


def test_frozen_norms_keep_their_statistics(tmp_path: Path) -> None:
    state = run(tmp_path, freeze_norm=True)
    assert torch.equal(state["norm.running_mean"], torch.zeros(8))
    assert int(state["norm.num_batches_tracked"]) == 0
    model = Tiny()
    set_mode(model, freeze_norm=True)
    assert model.training
    assert model.dropout.training
    assert not model.norm.training


def test_norms_settle_after_a_share_of_the_training(tmp_path: Path) -> None:
    """Of eight steps they learn in three; stopped and resumed in between, the same bits."""
    state = run(tmp_path / "whole", freeze_norm_at=0.375)
    assert int(state["norm.num_batches_tracked"]) == 3
    learned = run(tmp_path / "learned")
    assert int(learned["norm.num_batches_tracked"]) == 8
    assert not torch.equal(state["norm.weight"], learned["norm.weight"])
    fit(build_job(tmp_path / "cut", model=Tiny, listener=StopAfter(5), freeze_norm_at=0.375), World())  # type: ignore[arg-type]
    resumed = run(tmp_path / "cut", freeze_norm_at=0.375)
    assert all(torch.equal(resumed[name], state[name]) for name in state)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_of_the_training_is_a_share(share: float) -> None:
    with pytest.raises(ConfigError, match=r"training.freeze_norm_at: expected a share of the training, 0..1"):
        TrainingConfig(freeze_norm_at=share)


def test_the_average_is_what_is_kept(tmp_path: Path) -> None:
    run(tmp_path, ema=0.9)
    state = tmp_path / "state" / "step-00000008"
    kept = load_file(tmp_path / "weights" / "last.safetensors")
    assert torch.equal(kept["conv.weight"], load_file(state / "average.safetensors")["conv.weight"])
    assert not torch.equal(kept["conv.weight"], load_file(state / "weights.safetensors")["conv.weight"])


class Plateau(Tiny):
    """Always says the same: no epoch is better than the first."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * 0 + torch.tensor([0.0, 1.0, 0.0])


def test_patience_stops_early(tmp_path: Path) -> None:
    loop = fit(build_job(tmp_path, model=Plateau, epochs=10, patience=2), World())
    assert (loop.step, loop.best_epoch, loop.stopped_early) == (12, 1, True)
    # A resume of a run that stopped early does not go on.
    assert fit(build_job(tmp_path, model=Plateau, epochs=10, patience=2), World()).step == 12


def test_best_is_the_best_on_the_validation_split(tmp_path: Path) -> None:
    run(tmp_path, epochs=4)
    epochs = [record for record in read_log(tmp_path / "log.jsonl") if record["event"] == "epoch"]
    best = max(epochs, key=lambda record: record["top1"])
    kept = json.loads((tmp_path / "metrics.json").read_text())
    assert (kept["top1"], kept["epoch"], kept["images"]) == (best["top1"], best["epoch"], 32)
    header = checkpoint.load(tmp_path / "weights" / "best.safetensors").header
    assert header.metrics["top1"] == best["top1"]


def test_divergence_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"The loss is (nan|inf) at step \d.*--set optimizer\.lr="):
        run(tmp_path, optimizer=OptimizerConfig(lr=1e30, weight_decay=0.0, warmup=0.0))


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    job = build_job(tmp_path, model=Tiny, clip=1e-3)
    model = job.model
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    train_step(job, model, optimizer, next(iter(job.train_batches(0))), World())
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert 0 < float((after - before).norm()) <= 1.001e-3


def test_save_every_saves_within_the_epoch(tmp_path: Path) -> None:
    run(tmp_path, save_every=3)
    assert [path.name for path in sorted((tmp_path / "state").iterdir())] == ["step-00000006", "step-00000008"]


def test_the_loss_is_the_mean_over_the_batch_of_what_the_task_says(tmp_path: Path) -> None:
    job: Job = build_job(tmp_path, model=Tiny)
    batch = next(iter(job.train_batches(0)))
    assert len(batch) == BATCH
    torch.manual_seed(3)
    loss = train_step(job, job.model, torch.optim.SGD(job.model.parameters(), lr=0.0), batch, World())
    assert math.isclose(float(loss), math.log(3), rel_tol=0.3)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"epochs": 0}, r"training\.epochs: expected 1 or more, got 0"),
        ({"ema": 1.0}, r"training\.ema: expected a decay with 0 <= ema < 1, got 1\.0"),
        ({"clip": -1.0}, r"training\.clip: expected 0 or more, got -1\.0"),
        ({"label_smoothing": 1.0}, r"training\.label_smoothing: expected 0 <= value < 1"),
        ({"batch_size": 0}, r"training\.batch_size: expected 1 or more, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        TrainingConfig(**values)  # type: ignore[arg-type]
