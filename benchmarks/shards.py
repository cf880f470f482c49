"""Loading from a folder, from shards on the same disk, and from these shards by a web server on the same machine.

    python benchmarks/shards.py DATA [--repeats 5] [--workers 2] [--out FILE.json]

DATA is any data set of pictures with a class. It is written as shards into a temporary folder; a server in a process of its own
(`range_server.py`) gives ranges of them. Each side gives training crops of 224 pixels in random order, in batches of 32, as a
training gets them; the sides run in turn, in one process, after the start of their workers. Medians of the repeats and their ratios.

Then the same without decoding: the bytes of each picture, in random order, with and without SHA-256.
"""

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from sides import setting, write
from torch import Tensor

from sightline.data.dataset import Samples
from sightline.data.formats import read, shard_writing
from sightline.data.index import HasContent, Index, announce
from sightline.data.loader import epoch_order, train_loader
from sightline.data.transforms import Augmentation, train_transform

BATCH, SIDE = 32, 224
STEPS, WARM_UP = 16, 4


def batches(index: Index, workers: int) -> Iterator[Tensor]:
    """As a training gets them, not yet normalised."""
    samples = Samples(index, index.positions("train"), train_transform(Augmentation(), SIDE), seed=0)
    for batch in train_loader(samples, BATCH, STEPS + WARM_UP, workers=workers):
        yield batch.images


def pace(index: Index, workers: int) -> float:
    """Pictures a second once the loader is under way; all its batches are taken, so that its workers end."""
    times = [time.perf_counter() for _ in batches(index, workers)]
    return (len(times) - WARM_UP) * BATCH / (times[-1] - times[WARM_UP - 1])


def reading(index: Index) -> float:
    """Pictures a second that are read and not decoded, in random order, told of a batch at a time."""
    source, order = index.source, epoch_order(len(index), seed=0, epoch=0).tolist()
    assert isinstance(source, HasContent)
    begun = time.perf_counter()
    for at in range(0, len(order), BATCH):
        announce(source, order[at : at + BATCH])
        for position in order[at : at + BATCH]:
            source.content(position)
    return len(order) / (time.perf_counter() - begun)


def hashing(index: Index) -> float:
    """Milliseconds of SHA-256 a picture."""
    assert isinstance(index.source, HasContent)
    contents = [index.source.content(position) for position in range(min(500, len(index)))]
    begun = time.perf_counter()
    for content in contents:
        hashlib.sha256(content).digest()
    return (time.perf_counter() - begun) / len(contents) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    folder = read(arguments.data)
    with tempfile.TemporaryDirectory() as temporary:
        shards = Path(temporary) / "shards"
        shard_writing.write(folder, shards)
        line = [sys.executable, str(Path(__file__).with_name("range_server.py")), str(shards)]
        with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            sides = {"folder": folder, "shards": read(shards), "http": read(server.stdout.readline().strip())}
            result: dict[str, Any] = setting(torch.device("cpu")) | {
                "pictures": len(folder.positions("train")),
                "hash_ms_a_picture": round(hashing(folder), 3),
                "loading": measured(sides, lambda index: pace(index, arguments.workers), arguments.repeats),
                "reading": measured(sides, reading, arguments.repeats),
            }
            server.stdin.close()
    print("  ".join(f"{name} {value}" for name, value in result.items() if not isinstance(value, dict)))
    for what in ("loading", "reading"):
        print(f"{what}: " + ", ".join(f"{name} {value}" for name, value in result[what].items()))
    write(result, arguments.out)


def measured(sides: dict[str, Index], pace_of: Any, repeats: int) -> dict[str, float]:
    """Medians of pictures a second of each side, in turn, and ratios."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, index in sides.items():
            found[name].append(pace_of(index))
    medians = {name: statistics.median(values) for name, values in found.items()}
    return {
        **{f"{name}_images_per_second": round(value, 1) for name, value in medians.items()},
        "shards_to_folder": round(medians["shards"] / medians["folder"], 2),
        "http_to_shards": round(medians["http"] / medians["shards"], 2),
    }


if __name__ == "__main__":
    main()
