"""torchvision's classifiers as users call them (eager, float32) against ours through the predictor and the trainer's step.

    python benchmarks/classification.py [--models resnet50 vgg16 ...] [--run RUN] [--repeats 7] [--out FILE.json]

Both are measured in one process, in turn, on the same uint8 pictures (batch 16, 224 px); medians of the repeats, their ratio, and
the median of the ratios over the families.
With `--run`, the share of that run's test pictures on which float32 and bfloat16 name the same class.
"""

import argparse
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
from torchvision.transforms import v2

from sightline import checkpoint
from sightline.data.dataset import Samples
from sightline.data.formats import read
from sightline.data.loader import eval_loader
from sightline.data.transforms import eval_transform
from sightline.device import Precision, keep_freed_memory, pick_device, pick_precision
from sightline.inference.predictor import Predictor, load
from sightline.models import create_model
from sightline.structures import IMAGENET_MEAN, IMAGENET_STD, Batch, ClassificationTarget, Preprocessing
from sightline.tasks.classification import ClassificationTask
from sightline.training.distributed import World
from sightline.training.optim import OptimizerConfig, build_optimizer
from sightline.training.runlog import Silence
from sightline.training.trainer import Job, TrainingConfig, train_step

FAMILIES = ("alexnet", "vgg16", "googlenet", "resnet50")
BATCH, SIZE, CLASSES = 16, 224, 1000
NAMES = tuple(str(label) for label in range(CLASSES))
AUXILIARY = 0.3
"""Weight of GoogLeNet's auxiliary losses, on both sides."""

Predict = Callable[[torch.Tensor], object]
Train = Callable[[torch.Tensor, torch.Tensor], object]


def peer_steps(name: str, device: torch.device) -> tuple[Predict, Train]:
    """torchvision's network, normalisation and the usual training step, with no setting touched."""
    # Its own initialisation of GoogLeNet takes minutes and changes nothing that is measured here.
    model = torchvision.models.get_model(name, **({"init_weights": False} if name == "googlenet" else {})).to(device)
    prepare = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def predict(images: torch.Tensor) -> object:
        model.eval()
        with torch.no_grad():
            return model(prepare(images.to(device))).softmax(dim=1).cpu()

    def train(images: torch.Tensor, labels: torch.Tensor) -> object:
        model.train()
        outputs, labels = model(prepare(images.to(device))), labels.to(device)
        logits, *others = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        for other in others:
            loss = loss + AUXILIARY * torch.nn.functional.cross_entropy(other, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return predict, train


def our_steps(name: str, device: torch.device, inference: Precision, training: Precision) -> tuple[Predict, Train]:
    """The predictor's and the trainer's own functions."""
    header = checkpoint.Header(
        architecture=name,
        arguments={},
        task="classification",
        class_names=NAMES,
        preprocessing=Preprocessing(resize=256, crop=SIZE),
    )
    task = ClassificationTask(NAMES)
    model = create_model(name).eval().to(device, memory_format=torch.channels_last)
    predictor = Predictor(model, task, header, device, inference)
    trained = create_model(name).train().to(device, memory_format=torch.channels_last)
    job = Job(
        run=Path("unused"),
        model=trained,
        task=task,
        header=header,
        training=TrainingConfig(batch_size=BATCH),
        optimizer=OptimizerConfig(lr=0.01, weight_decay=0.0),
        precision=training,
        seed=0,
        steps_per_epoch=1,
        train_batches=lambda step: (),
        val_batches=(),
        listener=Silence(),
    )
    optimizer, here = build_optimizer(trained, job.optimizer), World(device=device)

    def train(images: torch.Tensor, labels: torch.Tensor) -> object:
        targets = [ClassificationTarget(label) for label in labels.tolist()]
        return float(train_step(job, trained, optimizer, Batch(images, targets, range(len(images))), here))

    return predictor.predict_images, train


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


def median_seconds(ours: Callable[[], object], peer: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Medians over repeats in turn, what disturbs one disturbs the other; the first call of each turn does not count."""
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(repeats):
        for name, memory, step in (("ours", keep_freed_memory, ours), ("peer", default_memory, peer)):
            memory()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            start = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    return statistics.median(times["ours"]), statistics.median(times["peer"])


def agreement(run: Path) -> dict[str, Any]:
    """The share of the run's test pictures on which both precisions name the same class."""
    header = checkpoint.load(checkpoint.run_weights(run)).header
    index = read(Path(header.recipe["data"]["path"]))
    samples = Samples(index, index.positions("test"), eval_transform(header.preprocessing))
    labels: dict[Precision, list[int]] = {}
    precisions: tuple[Precision, Precision] = ("float32", "bf16")
    for precision in precisions:
        predictor = load(run, precision=precision)
        batches = eval_loader(samples, 100)
        labels[precision] = [p.label for batch in batches for p in predictor.predict_images(batch.images)]
    same = sum(a == b for a, b in zip(*labels.values(), strict=True))
    return {"images": len(samples), "same_top1": same / len(samples)}


def measured(
    name: str,
    device: torch.device,
    precisions: tuple[Precision, Precision],
    images: torch.Tensor,
    labels: torch.Tensor,
    repeats: int,
) -> dict[str, Any]:
    """Images a second of both sides, predicting and training one network, and the ratios."""
    our_predict, our_train = our_steps(name, device, *precisions)
    peer_predict, peer_train = peer_steps(name, device)
    result = {}
    for kind, ours, peer in (
        ("predict", lambda: our_predict(images), lambda: peer_predict(images)),
        ("train", lambda: our_train(images, labels), lambda: peer_train(images, labels)),
    ):
        seconds, peer_seconds = median_seconds(ours, peer, repeats)
        result[kind] = {
            "ours_images_per_second": round(BATCH / seconds, 2),
            "torchvision_images_per_second": round(BATCH / peer_seconds, 2),
            "ratio": round(peer_seconds / seconds, 2),
        }
        print(
            f"{name:10} {kind:8} ours {BATCH / seconds:8.1f}  torchvision {BATCH / peer_seconds:8.1f} images/s  "
            f"ratio {peer_seconds / seconds:.2f}",
            flush=True,
        )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=FAMILIES, metavar="NAME", help="networks that both sides have")
    parser.add_argument("--run", type=Path, help="a trained run, to compare its labels in both precisions")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    device = pick_device()
    precisions = pick_precision(device, training=False), pick_precision(device, training=True)
    images = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (BATCH,))
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "precision": {"predict": precisions[0], "train": precisions[1]},
    }
    for name in arguments.models:
        result[name] = measured(name, device, precisions, images, labels, arguments.repeats)
    for kind in ("predict", "train"):
        ratio = statistics.median(result[name][kind]["ratio"] for name in arguments.models)
        result[f"median_{kind}_ratio"] = ratio
        print(f"{'median':10} {kind:8} ratio {ratio:.2f} over {len(arguments.models)} networks")
    if arguments.run:
        result["agreement"] = agreement(arguments.run)
        print(
            f"top-1 of float32 and bf16 agree on {result['agreement']['same_top1']:.2%} of {result['agreement']['images']} images"
        )
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
