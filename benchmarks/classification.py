"""torchvision's classifiers as users call them (eager, float32) against ours through the predictor and the trainer's step.

    python benchmarks/classification.py [--models resnet50 vgg16 ...] [--run RUN] [--repeats 7] [--out FILE.json]

Both are measured in one process, in turn, on the same uint8 pictures (batch 16, 224 px); medians of the repeats, their ratio, and
the median of the ratios over the families.
With `--run`, the share of that run's test pictures on which float32 and bfloat16 name the same class.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from sides import (
    Precisions,
    images_per_second,
    our_side,
    precision_names,
    print_speeds,
    probed_precisions,
    setting,
    write,
)
from torchvision.transforms import v2

from sightline import checkpoint
from sightline.data.dataset import Samples
from sightline.data.formats import read
from sightline.data.loader import eval_loader
from sightline.data.transforms import eval_transform
from sightline.device import Precision, pick_device
from sightline.inference.predictor import load
from sightline.structures import IMAGENET_MEAN, IMAGENET_STD, Batch, ClassificationTarget, Preprocessing
from sightline.tasks.classification import ClassificationTask
from sightline.training.optim import OptimizerConfig

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


def our_steps(name: str, device: torch.device, precisions: Precisions) -> tuple[Predict, Train]:
    """The predictor's and the trainer's own functions."""
    header = checkpoint.Header(
        architecture=name,
        arguments={},
        task="classification",
        class_names=NAMES,
        preprocessing=Preprocessing(resize=256, crop=SIZE),
    )
    optimizer = OptimizerConfig(lr=0.01, weight_decay=0.0)
    predictor, step = our_side(header, ClassificationTask(NAMES), device, precisions, optimizer)

    def train(images: torch.Tensor, labels: torch.Tensor) -> object:
        targets = [ClassificationTarget(label) for label in labels.tolist()]
        return step(Batch(images, targets, range(len(images))))

    return predictor.predict_images, train


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
    name: str, device: torch.device, precisions: Precisions, images: torch.Tensor, labels: torch.Tensor, repeats: int
) -> dict[str, Any]:
    """Images a second of both sides, predicting and training one network, and the ratios."""
    our_predict, our_train = our_steps(name, device, precisions)
    peer_predict, peer_train = peer_steps(name, device)
    result = {}
    for kind, ours, peer in (
        ("predict", lambda: our_predict(images), lambda: peer_predict(images)),
        ("train", lambda: our_train(images, labels), lambda: peer_train(images, labels)),
    ):
        result[kind] = images_per_second("torchvision", ours, peer, BATCH, repeats)
        print_speeds(f"{name:10} {kind:8}", result[kind])
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
    precisions = probed_precisions(device)
    images = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (BATCH,))
    result = setting(device) | {"precision": precision_names(precisions)}
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
    write(result, arguments.out)


if __name__ == "__main__":
    main()
