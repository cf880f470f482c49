"""pycocotools against our average precision on the same random detections of 80 classes.

    python benchmarks/average_precision.py [--images 2000] [--detections 100] [--repeats 3] [--out FILE.json]

Both in one process, in turn, from what each is given: pycocotools from its loaded annotations through `evaluate` and `accumulate`,
ours from predictions and targets through `update` (in batches of 16) and `compute`. Medians of the repeats and their ratio; the
twelve figures of both must be equal to 1e-12. Making the data is not timed, and neither is loading them into pycocotools.
"""

import argparse
import contextlib
import io
import json
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sightline.metrics.average_precision import AveragePrecision
from sightline.structures import DetectionPrediction, DetectionTarget

CLASSES, BATCH, SIZE = 80, 16, 640
FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
Pair = tuple[DetectionPrediction, DetectionTarget]


def scene(generator: np.random.Generator, detections: int) -> Pair:
    """An image as in COCO's validation split: 7 objects on average of few classes, and detections as of a fair detector.

    Half of the detections lie around objects, the others anywhere; most are of a class that is in the image.
    """
    count = generator.poisson(7)
    present = generator.integers(0, CLASSES, 3)
    boxes, labels = random_boxes(generator, count), generator.choice(present, count)
    guesses = random_boxes(generator, detections)
    guessed = np.where(generator.random(detections) < 0.7, generator.choice(present, detections), 0)
    if count:
        near = generator.integers(0, count, detections // 2)
        sizes = np.tile(boxes[near, 2:] - boxes[near, :2], 2)
        guesses[: len(near)] = boxes[near] + generator.normal(0, 0.08, sizes.shape) * sizes
        guessed[: len(near)] = labels[near]
        guesses[:, 2:] = np.maximum(guesses[:, 2:], guesses[:, :2] + 1)
    scores = torch.from_numpy(generator.random(detections)).float().sort(descending=True).values
    target = DetectionTarget.of(torch.from_numpy(boxes).float(), torch.from_numpy(labels))
    order = torch.from_numpy(generator.permutation(detections))
    found = torch.from_numpy(guesses).float()[order], torch.from_numpy(guessed)[order]
    return DetectionPrediction(boxes=found[0], scores=scores, labels=found[1]), target


def random_boxes(generator: np.random.Generator, count: int) -> np.ndarray:
    """(count, 4) left, top, right, bottom; from 8 to 300 pixels a side, small ones more often."""
    sides = np.exp(generator.uniform(np.log(8), np.log(300), (count, 2)))
    corners = generator.random((count, 2)) * (SIZE - sides)
    return np.concatenate([corners, corners + sides], axis=1)


def peer_data(pairs: list[Pair]) -> tuple[COCO, COCO]:
    """The same as pycocotools has it once it has read its files."""
    truth: dict[str, Any] = {
        "images": [{"id": image + 1} for image in range(len(pairs))],
        "categories": [{"id": label + 1} for label in range(CLASSES)],
        "annotations": [],
    }
    results: list[dict[str, Any]] = []
    for image, (prediction, target) in enumerate(pairs, start=1):
        for box, label, area in zip(wide(target.boxes), target.labels.tolist(), target.areas.tolist(), strict=True):
            own = {"image_id": image, "category_id": label + 1, "bbox": box, "area": area, "iscrowd": 0}
            truth["annotations"].append(own | {"id": len(truth["annotations"]) + 1})
        for box, label, score in zip(
            wide(prediction.boxes), prediction.labels.tolist(), prediction.scores.tolist(), strict=True
        ):
            results.append({"image_id": image, "category_id": label + 1, "bbox": box, "score": score})
    coco = COCO()
    coco.dataset = truth
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        return coco, coco.loadRes(results)


def wide(boxes: torch.Tensor) -> list[list[float]]:
    """Left, top, width, height."""
    exact = boxes.double()
    return torch.cat([exact[:, :2], exact[:, 2:] - exact[:, :2]], dim=1).tolist()


def peer_run(coco: COCO, results: COCO) -> tuple[float, list[float]]:
    """Seconds of evaluate and accumulate, and the twelve figures."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco, results, "bbox")
        begin = time.perf_counter()
        evaluation.evaluate()
        evaluation.accumulate()
        seconds = time.perf_counter() - begin
        evaluation.summarize()
    return seconds, evaluation.stats.tolist()


def our_run(pairs: list[Pair]) -> tuple[float, list[float]]:
    """Seconds of update and compute, and the twelve figures."""
    metric = AveragePrecision([str(label) for label in range(CLASSES)])
    begin = time.perf_counter()
    for first in range(0, len(pairs), BATCH):
        batch = pairs[first : first + BATCH]
        metric.update([prediction for prediction, _ in batch], [target for _, target in batch])
    result = metric.compute()
    return time.perf_counter() - begin, [result[name] for name in FIGURES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--detections", type=int, default=100, help="in each image")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()

    generator = np.random.default_rng(0)
    pairs = [scene(generator, arguments.detections) for _ in range(arguments.images)]
    coco, results = peer_data(pairs)
    ours, peer = [], []
    for _ in range(arguments.repeats):
        seconds, figures = our_run(pairs)
        ours.append(seconds)
        seconds, expected = peer_run(coco, results)
        peer.append(seconds)
        np.testing.assert_allclose(figures, expected, rtol=0, atol=1e-12)
    ratio = statistics.median(peer) / statistics.median(ours)
    result = {
        "processor": platform.processor() or platform.machine(),
        "pycocotools": version("pycocotools"),
        "images": arguments.images,
        "detections": arguments.images * arguments.detections,
        "ours_seconds": round(statistics.median(ours), 3),
        "pycocotools_seconds": round(statistics.median(peer), 3),
        "ratio": round(ratio, 2),
        "AP": figures[0],
    }
    print(json.dumps(result, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
