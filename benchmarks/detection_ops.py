"""The operators of detection against torchvision's and against the same written another way: what decided which is used.

    python benchmarks/detection_ops.py [--repeats 5] [--threads N] [--out FILE.json]

All of a group are measured in one process, in turn, on the same numbers; medians of the repeats, and how many times the time of
ours each takes. Shapes are those of a ResNet-50 with a pyramid on two pictures of 800 x 1088 pixels.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from sides import seconds_of, setting, write
from torch import Tensor
from torch.nn import functional as F

from sightline.device import keep_freed_memory, pick_device
from sightline.ops import roi_align as module
from sightline.ops.anchors import grid, reference_boxes
from sightline.ops.boxes import iou
from sightline.ops.matching import match
from sightline.ops.nms import batched_nms, nms
from sightline.ops.roi_align import multilevel_roi_align, roi_align

HEIGHT, WIDTH, BATCH, CHANNELS = 800, 1088, 2, 256
STRIDES = (4, 8, 16, 32)
Step = Callable[[], object]


def medians(steps: dict[str, Step], repeats: int) -> dict[str, float]:
    """Seconds of each, in turn: what disturbs one disturbs the others. The first call of each does not count."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 1):
        for name, step in steps.items():
            seconds = seconds_of(step)
            if repeat:
                times[name].append(seconds)
    return {name: statistics.median(values) for name, values in times.items()}


def spread_boxes(count: int, device: torch.device) -> Tensor:
    """Regions (count, 4) of all sizes, cut to the picture."""
    centre = torch.rand(count, 2) * torch.tensor([WIDTH, HEIGHT])
    sides = torch.exp(torch.rand(count, 2) * 3) * 20
    boxes = torch.cat((centre - sides / 2, centre + sides / 2), dim=1)
    return torch.minimum(boxes.clamp(min=0), torch.tensor([WIDTH, HEIGHT] * 2)).to(device)


def clustered_boxes(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Boxes (count, 4) around twenty objects, as a trained network proposes them, and scores."""
    objects, size = torch.rand(20, 2) * 1000, torch.exp(torch.rand(20, 2) * 2) * 32
    of = torch.randint(0, 20, (count,))
    centre, sides = (
        objects[of] + torch.randn(count, 2) * size[of] * 0.2,
        size[of] * torch.exp(torch.randn(count, 2) * 0.2),
    )
    return torch.cat((centre - sides / 2, centre + sides / 2), dim=1).to(device), torch.rand(count).to(device)


def nms_in_blocks(boxes: Tensor, scores: Tensor, threshold: float, size: int = 256) -> Tensor:
    """Non-maximum suppression in tensor operations: a block at a time, first within, then against all that follow."""
    order = scores.argsort(descending=True, stable=True)
    ranked, alive = boxes[order], torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    for start in range(0, len(order), size):
        block = slice(start, start + size)
        above = (iou(ranked[block], ranked[block]) > threshold).triu(1).float()
        kept, before = alive[block], None
        while before is None or not torch.equal(kept, before):
            before, kept = kept, alive[block] & ~(kept.float() @ above > 0)
        alive[block] = kept
        rest = torch.where(alive[start + size :])[0] + start + size
        alive[rest[(iou(ranked[block][kept], ranked[rest]) > threshold).any(dim=0)]] = False
    return order[alive]


def library_gradient(table: Tensor, rows: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    """In place of ours: `embedding_bag` with the gradient that comes with it."""
    return F.embedding_bag(rows, table, offsets, mode="sum", per_sample_weights=weights)


def with_gradient(pool: Callable[[list[Tensor]], Tensor], maps: list[Tensor]) -> Step:
    """Forward and backward of `pool`."""
    leaves = [features.detach().requires_grad_() for features in maps]

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        pooled = pool(leaves)
        pooled.backward(torch.ones_like(pooled))

    return step


def pooling(device: torch.device, count: int = 500) -> dict[str, dict[str, Step]]:
    """RoIAlign of `count` regions of each picture: one map at stride 16, a pyramid, fixed and fitted points, both types."""
    boxes = [spread_boxes(count, device) for _ in range(BATCH)]
    float_maps = [torch.randn(BATCH, CHANNELS, HEIGHT // stride, WIDTH // stride, device=device) for stride in STRIDES]
    scales = [1 / stride for stride in STRIDES]
    pooler = torchvision.ops.MultiScaleRoIAlign(["0", "1", "2", "3"], output_size=7, sampling_ratio=2)
    whole = [(HEIGHT, WIDTH)] * BATCH

    def theirs(maps: list[Tensor], points: int) -> Tensor:
        return torchvision.ops.roi_align(maps[0].float(), boxes, (7, 7), 1 / 16, points)

    def their_pyramid(maps: list[Tensor]) -> Tensor:
        return pooler({str(level): features.float() for level, features in enumerate(maps)}, boxes, whole)

    def ours(maps: list[Tensor], points: int) -> Tensor:
        return roi_align(maps[0], boxes, (7, 7), spatial_scale=1 / 16, sampling_ratio=points)

    def our_pyramid(maps: list[Tensor]) -> Tensor:
        return multilevel_roi_align(maps, boxes, (7, 7), spatial_scales=scales)

    def with_library_gradient(maps: list[Tensor]) -> Tensor:
        own, module._weighted_sums = module._weighted_sums, library_gradient
        try:
            return ours(maps, 2)
        finally:
            module._weighted_sums = own

    groups: dict[str, dict[str, Step]] = {}
    for kind in (torch.float32, torch.bfloat16):
        name = str(kind).removeprefix("torch.")
        maps = [m.to(kind).contiguous(memory_format=torch.channels_last) for m in float_maps]
        one = [maps[2]]
        groups[f"roi_align {name}"] = {"ours": lambda m=one: ours(m, 2), "torchvision": lambda m=one: theirs(m, 2)}
        groups[f"roi_align fitted points {name}"] = {
            "ours": lambda m=one: ours(m, 0),
            "torchvision": lambda m=one: theirs(m, 0),
        }
        groups[f"roi_align and gradient {name}"] = {
            "ours": with_gradient(lambda m: ours(m, 2), one),
            "embedding_bag's own gradient": with_gradient(with_library_gradient, one),
            "torchvision": with_gradient(lambda m: theirs(m, 2), one),
        }
        groups[f"pyramid {name}"] = {
            "ours": lambda m=maps: our_pyramid(m),
            "torchvision": lambda m=maps: their_pyramid(m),
        }
    return groups


def suppression(device: torch.device) -> dict[str, dict[str, Step]]:
    """One set of boxes, then groups: of a head (many small ones) and of proposals (a few large ones)."""
    groups: dict[str, dict[str, Step]] = {}
    for count in (1000, 2000):
        boxes, scores = clustered_boxes(count, device)
        groups[f"nms {count}"] = {
            "ours": lambda b=boxes, s=scores: nms(b, s, 0.7),
            "in blocks": lambda b=boxes, s=scores: nms_in_blocks(b, s, 0.7),
        }
    for count, number in ((1000, 80), (3000, 80), (8720, 10)):
        boxes, scores = clustered_boxes(count, device)
        group = torch.randint(0, number, (count,), device=device)
        groups[f"batched_nms {count} in {number}"] = {
            "ours": lambda b=boxes, s=scores, g=group: batched_nms(b, s, g, 0.6),
            "torchvision": lambda b=boxes, s=scores, g=group: torchvision.ops.batched_nms(b, s, g, 0.6),
            "one call": lambda b=boxes, s=scores, g=group: torchvision.ops.nms(b + 2000.0 * g[:, None], s, 0.6),
        }
    return groups


def matching(device: torch.device) -> dict[str, dict[str, Step]]:
    """All anchors of a pyramid with twenty objects in each picture."""
    anchors = torch.cat(
        [
            grid(reference_boxes([8 * s], [2, 1, 0.5]).to(device), (HEIGHT // s, WIDTH // s), (s, s))
            for s in (*STRIDES, 64)
        ]
    )
    objects = torch.stack([spread_boxes(20, device) for _ in range(BATCH)])
    real = torch.ones(BATCH, 20, dtype=torch.bool, device=device)
    theirs = torchvision.models.detection._utils.Matcher(0.7, 0.3, True)
    return {
        f"match {len(anchors)} anchors": {
            "ours": lambda: match(anchors, objects, real, foreground=0.7, background=(0.0, 0.3), low_quality=True),
            "torchvision": lambda: [theirs(torchvision.ops.box_iou(some, anchors)) for some in objects],
        }
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of torch; its own choice when not given")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    device = pick_device()
    result = setting(device)
    for name, steps in {**pooling(device), **suppression(device), **matching(device)}.items():
        seconds = medians(steps, arguments.repeats)
        result[name] = {other: round(1000 * value, 3) for other, value in seconds.items()}
        others = ", ".join(
            f"{other} {1000 * value:.1f} ms ({value / seconds['ours']:.2f}x)"
            for other, value in seconds.items()
            if other != "ours"
        )
        print(f"{name:36} ours {1000 * seconds['ours']:8.1f} ms; {others}", flush=True)
    write(result, arguments.out)


if __name__ == "__main__":
    main()
