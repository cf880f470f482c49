"""torchvision's ImageFolder with the transforms of its training reference against our loader, from files to normalised batches.

    python benchmarks/loading.py DATA [--repeats 5] [--workers 2] [--enlarge 1] [--out FILE.json]

DATA is an image folder with a folder `train`. Both cut random parts of 8 to 100 % of a picture, resize them to 224 pixels, mirror
half of them, and give normalised float32 batches of 32. Theirs is what its reference for classification does: Pillow, v2
transforms, normalised by the workers. Ours hands uint8 from the workers to the process that trains, which normalises; nothing
is kept in memory between epochs. Both are measured in one process, in turn, with 0 and with `--workers` workers, after their
start; medians of the repeats and their ratio. With `--enlarge 8` both read copies whose sides are eight times as long, such as
phones take them: 32 of them, saved as JPEGs of quality 90 in a temporary folder.

Then the memory of the workers: how much more an index of 2,000,000 pictures takes than one of 32, as the proportional share
that Linux counts (PSS) of the workers, and of all processes together.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sides import print_speeds, setting, write
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from sightline.data.annotations import ClassLabels
from sightline.data.dataset import Samples
from sightline.data.formats import read
from sightline.data.index import Index
from sightline.data.loader import train_loader
from sightline.data.sources import FileSource
from sightline.data.transforms import Augmentation, train_transform
from sightline.ops.images import normalise
from sightline.structures import IMAGENET_MEAN, IMAGENET_STD

BATCH, SIDE = 32, 224
STEPS, WARM_UP = 16, 4
ENTRIES = 2_000_000


def peer_batches(data: Path, workers: int) -> Iterator[Tensor]:
    """Theirs, with the settings of its reference (pinned memory is for a GPU alone)."""
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(SIDE, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            v2.ToPureTensor(),
        ]
    )
    dataset = ImageFolder(data / "train", transform)
    sampler = RandomSampler(dataset, num_samples=(STEPS + WARM_UP) * BATCH)
    for images, _ in DataLoader(dataset, BATCH, sampler=sampler, num_workers=workers):
        yield images


def our_batches(index: Index, workers: int, steps: int = STEPS + WARM_UP) -> Iterator[Tensor]:
    """As a training gets them, straight from the files."""
    samples = Samples(index, index.positions("train"), train_transform(Augmentation(), SIDE), seed=0)
    for batch in train_loader(samples, BATCH, steps, workers=workers):
        yield normalise(batch.images, IMAGENET_MEAN, IMAGENET_STD)


def pace(batches: Iterator[Tensor]) -> float:
    """Pictures a second once the loader is under way; all its batches are taken, so that its workers end."""
    times = [time.perf_counter() for _ in batches]
    return (len(times) - WARM_UP) * BATCH / (times[-1] - times[WARM_UP - 1])


def enlarged(data: Path, times: int, folder: Path) -> Path:
    """Copies of some of the training pictures, larger, in two class folders."""
    pictures = [
        path for path in sorted((data / "train").rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    ]
    for number, path in enumerate(pictures[:: max(1, len(pictures) // BATCH)][:BATCH]):
        target = folder / "train" / f"class {number % 2}" / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            size = (image.width * times, image.height * times)
            image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(target, "JPEG", quality=90)
    return folder


class OneFile(FileSource):
    """As many names as asked for, and the same picture behind each."""

    def path(self, position: int) -> Path:
        return self.root


def held(data: Path, entries: int, workers: int) -> dict[str, float]:
    """Megabytes of the workers, and of all processes, in the middle of a training over so many pictures."""
    picture = next(path for path in sorted((data / "train").rglob("*")) if path.is_file())
    names = (f"train/{number % 1000:03}/picture_{number:08}.jpg" for number in range(entries))
    index = Index(
        source=OneFile(picture, names),
        annotations=ClassLabels(np.arange(entries) % 1000),
        class_names=tuple(f"{number:03}" for number in range(1000)),
        splits={"train": np.arange(entries)},
        format="image folder",
    )
    batches = our_batches(index, workers, steps=40)
    for _ in range(30):
        next(batches)
    children = Path(f"/proc/self/task/{Path('/proc/self').resolve().name}/children").read_text().split()
    shares = [_megabytes(child) for child in children]
    return {"workers": round(sum(shares), 1), "all": round(sum(shares) + _megabytes("self"), 1)}


def _megabytes(process: str) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def memory(data: Path, workers: int) -> dict[str, Any]:
    """Of a large index above a small one, each in a process of its own."""
    found = {}
    for entries in (BATCH, ENTRIES):
        line = [sys.executable, __file__, str(data), "--held", str(entries), "--workers", str(workers)]
        found[entries] = json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout)
    more = {name: round(found[ENTRIES][name] - found[BATCH][name], 1) for name in ("workers", "all")}
    return {"entries": ENTRIES, "small_mb": found[BATCH], "large_mb": found[ENTRIES], "more_mb": more}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--enlarge", type=int, default=1, help="how many times longer the pictures' sides are made first"
    )
    parser.add_argument(
        "--held", type=int, help="print the memory held over an index of so many pictures, and nothing else"
    )
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    if arguments.held:
        print(json.dumps(held(arguments.data, arguments.held, arguments.workers)))
        return
    kept = tempfile.TemporaryDirectory()
    if arguments.enlarge > 1:
        arguments.data = enlarged(arguments.data, arguments.enlarge, Path(kept.name))
    index = read(arguments.data, "image folder")
    result: dict[str, Any] = setting(torch.device("cpu")) | {"pictures": len(index.positions("train"))}
    print("  ".join(f"{name} {value}" for name, value in result.items()))
    for workers in sorted({0, arguments.workers}):
        ours, theirs = [], []
        for _ in range(arguments.repeats):
            ours.append(pace(our_batches(index, workers)))
            theirs.append(pace(peer_batches(arguments.data, workers)))
        speeds = {
            "ours_images_per_second": round(statistics.median(ours), 1),
            "torchvision_images_per_second": round(statistics.median(theirs), 1),
            "ratio": round(statistics.median(ours) / statistics.median(theirs), 2),
        }
        result[f"workers_{workers}"] = speeds
        print_speeds(f"{workers} workers", speeds)
    if sys.platform.startswith("linux"):
        result["memory"] = memory(arguments.data, arguments.workers)
        more = result["memory"]["more_mb"]
        print(
            f"an index of {ENTRIES:,} pictures holds {more['workers']} MB more in the workers, {more['all']} MB more in all"
        )
    write(result, arguments.out)
    kept.cleanup()


if __name__ == "__main__":
    main()
