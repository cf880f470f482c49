"""segmentation_models_pytorch's U-Net as users call it (eager, float32) against ours through the predictor and the trainer's step.

    python benchmarks/segmentation.py [--repeats 5] [--size 256] [--run RUN] [--out FILE.json]

Both stand on a ResNet-34 with random weights and learn from Dice and cross entropy with AdamW. They are measured in one
process, in turn, on the same uint8 pictures (batch 8, 256 px), from the bytes to the classes on the CPU; medians of the
repeats and their ratio. Ours gives probabilities too.
At the end the share of pixels that have the same class in float32 and in bfloat16: of the random network where the probe
picks bfloat16, and of a trained one's test pictures with `--run`. The peer is in a group of its own: `uv sync --group benchmarks`.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
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
from sightline.data.formats import read
from sightline.data.splits import read_splits
from sightline.device import pick_device
from sightline.inference.predictor import Predictor, load
from sightline.structures import IMAGENET_MEAN, IMAGENET_STD, Batch, SegmentationPrediction, SegmentationTarget, Windows
from sightline.tasks.segmentation import SegmentationTask
from sightline.training.optim import OptimizerConfig

try:
    import segmentation_models_pytorch as smp
except ImportError:
    smp = None

BATCH, NAMES = 8, ("ground", "cell")
LR = 1e-3

Predict = Callable[[torch.Tensor], object]
Train = Callable[[torch.Tensor, torch.Tensor], object]


def peer_steps(device: torch.device) -> tuple[Predict, Train]:
    """Its network, normalisation and the usual training step, with no setting touched."""
    model = smp.Unet("resnet34", encoder_weights=None, classes=len(NAMES)).to(device)
    prepare = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
    dice, cross_entropy = smp.losses.DiceLoss("multiclass"), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)

    def predict(images: torch.Tensor) -> object:
        model.eval()
        with torch.inference_mode():
            return model(prepare(images.to(device))).argmax(dim=1).cpu()

    def train(images: torch.Tensor, masks: torch.Tensor) -> object:
        model.train()
        logits, masks = model(prepare(images.to(device))), masks.to(device).long()
        loss = dice(logits, masks) + cross_entropy(logits, masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return predict, train


def our_steps(device: torch.device, precisions: Precisions, size: int) -> tuple[Predictor, Train]:
    """The predictor, and the trainer's own step."""
    header = checkpoint.Header(
        architecture="unet",
        arguments={"backbone": "resnet34"},
        task="segmentation",
        class_names=NAMES,
        preprocessing=Windows(side=size),
    )
    optimizer = OptimizerConfig(lr=LR, weight_decay=0.01)
    predictor, step = our_side(header, SegmentationTask(NAMES), device, precisions, optimizer)

    def train(images: torch.Tensor, masks: torch.Tensor) -> object:
        return step(Batch(images, [SegmentationTarget(mask) for mask in masks], range(len(images))))

    return predictor, train


def agreement(predictor: Predictor, pictures: Sequence[torch.Tensor]) -> dict[str, float]:
    """The share of all pixels that have one class in both precisions."""
    same = pixels = 0
    for picture in pictures:
        found = [replace(predictor, precision=precision).predict([picture])[0] for precision in ("float32", "bf16")]
        one, other = (prediction.labels for prediction in found if isinstance(prediction, SegmentationPrediction))
        same, pixels = same + int((one == other).sum()), pixels + one.numel()
    return {"pictures": len(pictures), "same_class": same / pixels}


def test_pictures(run: Path) -> list[torch.Tensor]:
    """Those of the data that the run learned from, kept apart as it was then."""
    data = checkpoint.load_header(checkpoint.run_weights(run)).recipe["data"]
    index = read(Path(data["path"]), data.get("format"))
    if (run / "splits.csv").is_file():
        index = read_splits(index, run / "splits.csv")
    return [index.source.image(position) for position in index.positions("test").tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, a multiple of 32")
    parser.add_argument("--run", type=Path, help="a trained run, to compare its masks in both precisions")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    if smp is None:
        parser.exit(
            1, "segmentation_models_pytorch, the peer, is missing. Install it with: uv sync --group benchmarks\n"
        )

    torch.manual_seed(0)
    device = pick_device()
    precisions = probed_precisions(device)
    images = torch.randint(0, 256, (BATCH, 3, arguments.size, arguments.size), dtype=torch.uint8)
    masks = torch.randint(0, len(NAMES), (BATCH, arguments.size, arguments.size), dtype=torch.uint8)
    result: dict[str, Any] = setting(device) | {
        "segmentation_models_pytorch": smp.__version__,
        "precision": precision_names(precisions),
    }
    print("  ".join(f"{name} {value}" for name, value in result.items()))
    predictor, our_train = our_steps(device, precisions, arguments.size)
    peer_predict, peer_train = peer_steps(device)
    for kind, ours, peer in (
        ("predict", lambda: predictor.predict(list(images)), lambda: peer_predict(images)),
        ("train", lambda: our_train(images, masks), lambda: peer_train(images, masks)),
    ):
        result[kind] = images_per_second("smp", ours, peer, BATCH, arguments.repeats)
        print_speeds(f"{kind:8}", result[kind])
    compared: dict[str, tuple[Predictor, Sequence[torch.Tensor]]] = {}
    if precisions[0] == "bf16":
        compared["random"] = predictor, list(images)
    if arguments.run:
        compared["trained"] = load(arguments.run), test_pictures(arguments.run)
    for network, (own, pictures) in compared.items():
        found = result[f"agreement_{network}"] = agreement(own, pictures)
        share = f"{found['same_class']:.3%} of the pixels of {found['pictures']} pictures"
        print(f"float32 and bf16 name the same class for {share} ({network} weights)")
    write(result, arguments.out)


if __name__ == "__main__":
    main()
