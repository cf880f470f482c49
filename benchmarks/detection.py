"""torchvision's Faster R-CNN as users call it (eager, float32) against ours through the predictor and the trainer's step.

    python benchmarks/detection.py [--repeats 5] [--size 480 640] [--out FILE.json]

Both are measured in one process, in turn, on the same uint8 pictures (two of 480 x 640 pixels, which both resize to a shorter
side of 800); medians of the repeats and their ratio. RoIAlign is measured by itself, on the maps of one picture.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from sides import Precisions, median_seconds, our_side, precision_names, probed_precisions, setting, write
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.transforms.v2 import functional as F

from sightline import checkpoint
from sightline.data.box_transforms import BoxAugmentation, train_boxes
from sightline.data.loader import collate_padded
from sightline.device import Precision, pick_device
from sightline.ops.roi_align import roi_align
from sightline.structures import DetectionTarget, Sample, WholePicture
from sightline.tasks.detection import DetectionTask
from sightline.training.optim import OptimizerConfig

BATCH, CLASSES, OBJECTS = 2, 90, 8
NAMES = tuple(str(label) for label in range(CLASSES))
SHAPE = WholePicture(shorter=800, longer=1333)
REGIONS, CHANNELS, STRIDE = 1000, 256, 16

Pictures = list[torch.Tensor]
Step = Callable[[Pictures, list[DetectionTarget]], object]


def peer_steps(device: torch.device) -> tuple[Step, Step]:
    """torchvision's detector and the usual training step, with no setting touched."""
    model = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)

    def floats(pictures: Pictures) -> Pictures:
        return [F.to_dtype(picture, torch.float32, scale=True).to(device) for picture in pictures]

    def predict(pictures: Pictures, _: list[DetectionTarget]) -> object:
        model.eval()
        with torch.no_grad():
            return [{name: value.cpu() for name, value in found.items()} for found in model(floats(pictures))]

    def train(pictures: Pictures, targets: list[DetectionTarget]) -> object:
        model.train()
        wanted = [{"boxes": t.boxes.to(device), "labels": (t.labels + 1).to(device)} for t in targets]
        loss = sum(model(floats(pictures), wanted).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return predict, train


def our_steps(device: torch.device, precisions: Precisions) -> tuple[Step, Step]:
    """The predictor's and the trainer's own functions; resizing, which the peer does inside, is counted too."""
    task = DetectionTask(NAMES)
    header = checkpoint.Header(
        architecture="fasterrcnn_resnet50_fpn", arguments={}, task=task.name, class_names=NAMES, preprocessing=SHAPE
    )
    torch.manual_seed(0)
    predictor, step = our_side(header, task, device, precisions, OptimizerConfig(lr=1e-4, weight_decay=0.0))
    still = BoxAugmentation(mirror=0, scale=(1, 1), crop=0, color_jitter=0)
    resized = train_boxes(still, SHAPE)

    def predict(pictures: Pictures, _: list[DetectionTarget]) -> object:
        return predictor.predict(pictures, batch_size=BATCH)

    def train(pictures: Pictures, targets: list[DetectionTarget]) -> object:
        samples = [Sample(*resized(picture, target), 0) for picture, target in zip(pictures, targets, strict=True)]
        return step(collate_padded(samples))

    return predict, train


def pooling(device: torch.device, precision: Precision, size: tuple[int, int], repeats: int) -> dict[str, float]:
    """RoIAlign of 1,000 regions, 7 x 7 of 256 channels: ours in the precision that is used, torchvision's in float32."""
    height, width = (side * 800 // min(size) for side in size)
    maps = torch.randn(1, CHANNELS, height // STRIDE, width // STRIDE, device=device)
    corners = torch.rand(REGIONS, 2, device=device) * torch.tensor([width - 64.0, height - 64.0], device=device)
    boxes = torch.cat([corners, corners + 8 + torch.rand(REGIONS, 2, device=device) * 300], dim=1)
    own = maps.to(torch.bfloat16 if precision == "bf16" else torch.float32, memory_format=torch.channels_last)
    ours, peer = median_seconds(
        lambda: roi_align(own, boxes[None], (7, 7), spatial_scale=1 / STRIDE, sampling_ratio=2),
        lambda: torchvision.ops.roi_align(maps, [boxes], (7, 7), 1 / STRIDE, 2),
        max(repeats, 5),
    )
    return {"ours_ms": round(1000 * ours, 2), "torchvision_ms": round(1000 * peer, 2), "ratio": round(peer / ours, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    device = pick_device()
    precisions = probed_precisions(device)
    height, width = arguments.size
    pictures = [torch.randint(0, 256, (3, height, width), dtype=torch.uint8) for _ in range(BATCH)]
    corners = torch.rand(BATCH, OBJECTS, 2) * torch.tensor([width / 2, height / 2])
    boxes = torch.cat([corners, corners + 30 + torch.rand(BATCH, OBJECTS, 2) * min(height, width) / 3], dim=2)
    targets = [DetectionTarget.of(own, torch.randint(0, CLASSES, (OBJECTS,))) for own in boxes]
    result = setting(device) | {"precision": precision_names(precisions)}
    result["roi_align"] = pooling(device, precisions[0], (height, width), arguments.repeats)
    print("roi_align  " + "  ".join(f"{name} {value}" for name, value in result["roi_align"].items()), flush=True)
    for kind, ours, peer in zip(("predict", "train"), our_steps(device, precisions), peer_steps(device), strict=True):
        seconds, peer_seconds = median_seconds(
            lambda step=ours: step(pictures, targets), lambda step=peer: step(pictures, targets), arguments.repeats
        )
        result[kind] = {
            "ours_seconds_per_image": round(seconds / BATCH, 3),
            "torchvision_seconds_per_image": round(peer_seconds / BATCH, 3),
            "ratio": round(peer_seconds / seconds, 2),
        }
        print(f"{kind:10} " + "  ".join(f"{name} {value}" for name, value in result[kind].items()), flush=True)
    write(result, arguments.out)


if __name__ == "__main__":
    main()
