"""A small training on made-up pictures, whole but quick: 96 pictures of 8x8 pixels, three classes told apart by colour."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightline.checkpoint import Header
from sightline.data.annotations import ClassLabels
from sightline.data.dataset import Samples
from sightline.data.index import Index
from sightline.data.loader import eval_loader, train_loader
from sightline.data.sources import TensorSource
from sightline.data.transforms import Augmentation, eval_transform, train_transform
from sightline.models import create_model
from sightline.structures import Preprocessing
from sightline.tasks.classification import ClassificationTask
from sightline.training.distributed import World
from sightline.training.optim import OptimizerConfig
from sightline.training.runlog import Silence
from sightline.training.trainer import Job, TrainingConfig

CLASSES = ("red", "green", "blue")
BATCH = 16


def coloured_index() -> Index:
    generator = torch.Generator().manual_seed(0)
    labels = np.arange(96) % 3
    pictures = torch.randint(0, 120, (96, 3, 8, 8), generator=generator, dtype=torch.uint8)
    pictures[torch.arange(96), torch.from_numpy(labels)] += 60
    source = TensorSource(pictures, [f"{i}.png" for i in range(96)])
    splits = {"train": np.arange(64), "val": np.arange(64, 96)}
    return Index(source=source, annotations=ClassLabels(labels), class_names=CLASSES, splits=splits, format="made up")


def build_job(
    run: Path,
    *,
    here: World | None = None,
    workers: int = 0,
    model: Callable[[], torch.nn.Module] | None = None,
    optimizer: OptimizerConfig | None = None,
    listener: Any = None,
    **training: Any,
) -> Job:
    here, index = here or World(), coloured_index()
    config = TrainingConfig(**{"epochs": 2, "batch_size": BATCH, "log_every": 1, **training})
    torch.manual_seed(0)
    samples = Samples(index, index.positions("train"), train_transform(Augmentation(crop="shift"), 8), seed=0)
    held_back = Samples(index, index.positions("val"), eval_transform(Preprocessing(resize=8, crop=8)))
    return Job(
        run=run,
        model=model() if model else create_model("resnet18", num_classes=3, stem="small_pooled"),
        task=ClassificationTask(CLASSES, label_smoothing=config.label_smoothing),
        header=Header(
            architecture="resnet18",
            arguments={"stem": "small_pooled"},
            task="classification",
            class_names=CLASSES,
            preprocessing=Preprocessing(resize=8, crop=8),
        ),
        training=config,
        optimizer=optimizer or OptimizerConfig(lr=0.01, weight_decay=5e-4),
        precision="float32",
        seed=0,
        steps_per_epoch=4,
        train_batches=lambda step: train_loader(samples, BATCH, config.epochs * 4, step, workers, here.rank, here.size),
        val_batches=eval_loader(held_back, BATCH, workers, here.rank, here.size),
        listener=listener or Silence(),
    )
