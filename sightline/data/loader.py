"""In which order samples come, in which batches, to which process.

The order is a pure function of (seed, epoch). A loader asks for `(epoch, position)` pairs, so workers keep nothing, and neither
their number nor the number of processes nor a restart in the middle changes a sample.
"""

import gc
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from sightline.data.dataset import JointSamples, Key, Samples, mixed_seed
from sightline.data.index import Positions
from sightline.errors import ConfigError, DataError
from sightline.structures import Batch, Preprocessing, Sample, Shape, WholePicture, Windows


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """The order of `n` samples in an epoch: (n,) int64, a permutation of 0..n-1.

    >>> epoch_order(5, seed=0, epoch=0).sort().values
    tensor([0, 1, 2, 3, 4])
    """
    return torch.randperm(n, generator=torch.Generator().manual_seed(mixed_seed(seed, epoch)))


BATCH_PIXELS = 2**21
"""Pixels in a batch of whole pictures: forty of 224 x 224. The first maps of a VGG then take half a gigabyte each."""


def together(shape: Shape, most: int) -> int:
    """How many pictures a network looks at together when it does not learn: `most`, and fewer whole ones when they are large.

    A segmenter's are looked at one by one: padding to a common size is not what lies around a picture when it is predicted.

    >>> together(WholePicture(shorter=600, longer=1000), most=64), together(Windows(side=256), most=64)
    (3, 1)
    """
    match shape:
        case Preprocessing():
            return most
        case WholePicture():
            return min(most, max(1, BATCH_PIXELS // (shape.shorter * shape.longer)))
        case Windows():
            return 1


class EpochBatches(Sampler[list[Key]]):
    """The batches of a whole training, or of the rest of one: lists of keys, see `sightline.data.dataset.Key`.

    An epoch has ceil(n / B) steps. Its last batch is filled up from the start of its order, so that every batch has B
    samples and every sample comes in every epoch. Process `rank` of `world_size` takes the slice of each batch
    that begins at rank * B / world_size.

    Raises `ConfigError` when the batch cannot be divided, `DataError` when there is nothing to train on.

    >>> batches = EpochBatches([7, 8, 9], batch_size=2, seed=0, total_steps=4)
    >>> batches.steps_per_epoch, [[epoch for epoch, _ in keys] for keys in batches]
    (2, [[0, 0], [0, 0], [1, 1], [1, 1]])
    >>> sorted(*EpochBatches([7, 8, 8, 8], batch_size=4, seed=0, total_steps=1))
    [(0, 7), (0, 8), (0, 8, 1), (0, 8, 2)]
    """

    def __init__(
        self,
        positions: Sequence[int] | np.ndarray,
        batch_size: int,
        seed: int,
        total_steps: int,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check_share(rank, world_size)
        if batch_size < 1 or batch_size % world_size:
            raise ConfigError(
                f"The batch of {batch_size} pictures cannot be divided among {world_size} processes: "
                f"choose a multiple of {world_size}, such as {max(1, round(batch_size / world_size)) * world_size}."
            )
        if not len(positions):
            raise DataError("There is no picture to train on: the train split is empty.")
        self.positions = np.asarray(positions, dtype=np.int64)
        self._times = _times(self.positions)
        self.batch_size = batch_size
        self.seed = seed
        self.total_steps = total_steps
        self.start_step = start_step
        self.rank = rank
        self.world_size = world_size

    @property
    def steps_per_epoch(self) -> int:
        """ceil(n / B)."""
        return -(-len(self.positions) // self.batch_size)

    def __len__(self) -> int:
        return max(0, self.total_steps - self.start_step)

    def __iter__(self) -> Iterator[list[Key]]:
        share = self.batch_size // self.world_size
        epoch, order = -1, np.empty(0, np.int64)
        for step in range(self.start_step, self.total_steps):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = epoch_order(len(self.positions), self.seed, epoch).numpy()
            first = step % self.steps_per_epoch * self.batch_size + self.rank * share
            yield [self._key(epoch, row) for row in np.take(order, range(first, first + share), mode="wrap")]

    def _key(self, epoch: int, row: int) -> Key:
        again = int(self._times[row])
        return (epoch, int(self.positions[row]), again) if again else (epoch, int(self.positions[row]))


class PictureLoader(DataLoader[Batch]):
    """A `DataLoader` of batches that raises a sample's `DataError` as it was, from whichever process it comes."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        with _quiet():
            batches = super().__iter__()
        while (batch := next(batches, None)) is not None:
            if isinstance(batch, DataError):
                # Ends the workers now; the error's traceback would keep them until nobody looks at it any more.
                del batches
                raise batch
            yield batch


def train_loader(
    samples: Samples,
    batch_size: int,
    total_steps: int,
    start_step: int = 0,
    workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> PictureLoader:
    """Batches `start_step`, ..., `total_steps` - 1 of a training, in one go: the workers live as long as the training.

    `batch_size` counts the pictures of all processes together; this one gets `batch_size / world_size` a step. The
    order's seed is that of `samples`, which must have one.
    """
    if samples.seed is None:
        raise ValueError("training needs samples with a seed")
    batches = EpochBatches(
        samples.positions,
        batch_size,
        samples.seed,
        total_steps,
        start_step=start_step,
        rank=rank,
        world_size=world_size,
    )
    return _loader(samples, batches, workers)


def eval_loader(
    samples: Samples, batch_size: int, workers: int = 0, rank: int = 0, world_size: int = 1
) -> PictureLoader:
    """Every sample once, in order: process `rank` takes every `world_size`-th. The last batch is as short as it is.

    `batch_size` counts the pictures of this process.
    """
    _check_share(rank, world_size)
    if batch_size < 1:
        raise ConfigError(f"batch_size is at least 1, got {batch_size}")
    keys = [(0, int(position)) for position in samples.positions[rank::world_size]]
    batches = [keys[at : at + batch_size] for at in range(0, len(keys), batch_size)]
    # A worker takes whole batches: a second one has nothing to do where there is one, and the first only takes time to start.
    return _loader(samples, batches, min(workers, len(batches)) if len(batches) > 1 else 0)


def equal_sizes(batches: Iterable[Batch], batch_size: int, pixels: int = BATCH_PIXELS) -> Iterator[Batch]:
    """The pictures of `batches` in batches of one size each: the same pictures in another order.

    A batch has at most `batch_size` pictures and, unless one picture has more by itself, `pixels` pixels in all its views.
    While batches fill, at most eight times as many pixels wait.
    """
    waiting: dict[torch.Size, list[Batch]] = {}
    held = 0  # pixels
    for batch in batches:
        for row in range(len(batch)):
            size = batch.images.shape[1:]
            waiting.setdefault(size, []).append(batch.part(row, row + 1))
            held += _pixels(size)
            full = len(waiting[size]) >= min(batch_size, max(1, pixels // _pixels(size)))
            if not full and held > 8 * pixels:
                size = max(waiting, key=lambda size: len(waiting[size]) * _pixels(size))
            if full or held > 8 * pixels:
                group = waiting.pop(size)
                held -= len(group) * _pixels(size)
                yield _joined(group)
    for group in waiting.values():
        yield _joined(group)


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples of one size as a `Batch` of (N, 3, H, W) or (N, V, 3, H, W) uint8 images."""
    sizes = {tuple(sample.image.shape) for sample in samples}
    if len(sizes) > 1:
        raise ValueError(
            f"the pictures of a batch have one size; got {sorted(sizes)}: give them a transform that crops"
        )
    images = [sample.image for sample in samples]
    # Pictures lie in memory pixel by pixel, as decoders write them, or colour by colour; copying them as they lie is soonest done.
    if images[0].stride(-3) == 1:
        stacked = torch.stack([image.movedim(-3, -1) for image in images]).movedim(-1, -3)
    else:
        stacked = torch.stack(images)
    return Batch(
        stacked,
        tuple(sample.target for sample in samples),
        tuple(sample.index for sample in samples),
    )


def collate_padded(samples: Sequence[Sample], multiple: int = 32) -> Batch:
    """Samples of any sizes as a `Batch` padded at the right and bottom to the largest, and to a multiple of `multiple` pixels."""
    sizes = torch.tensor([sample.image.shape[1:] for sample in samples])
    height, width = (-(-int(side) // multiple) * multiple for side in sizes.amax(dim=0))
    # Pixel by pixel, as networks read them.
    images = samples[0].image.new_zeros(len(samples), height, width, 3).movedim(-1, 1)
    for image, sample in zip(images, samples, strict=True):
        image[:, : sample.image.shape[1], : sample.image.shape[2]] = sample.image
    originals = [sample.original_size for sample in samples]
    seeds = [sample.seed for sample in samples]
    return Batch(
        images,
        tuple(sample.target for sample in samples),
        tuple(sample.index for sample in samples),
        sizes,
        None if None in originals else torch.tensor(originals),
        None if None in seeds else [seed for seed in seeds if seed is not None],
    )


def _collate_or_error(samples: Sequence[Sample | DataError]) -> Batch | DataError:
    return samples[0] if isinstance(samples[0], DataError) else collate(samples)  # type: ignore[arg-type]


def _padded_or_error(samples: Sequence[Sample | DataError], multiple: int) -> Batch | DataError:
    return samples[0] if isinstance(samples[0], DataError) else collate_padded(samples, multiple)  # type: ignore[arg-type]


def _times(positions: Positions) -> Positions:
    """(n,) how often each position stands before itself.

    >>> _times(np.array([4, 2, 4, 4])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(positions, kind="stable")
    _, first, counts = np.unique(positions[order], return_index=True, return_counts=True)
    times = np.empty_like(positions)
    times[order] = np.arange(len(positions)) - np.repeat(first, counts)
    return times


def _pixels(size: torch.Size) -> int:
    """Of a (3, H, W) image, or of (V, 3, H, W) views."""
    return size.numel() // 3


def _joined(group: Sequence[Batch]) -> Batch:
    return Batch(
        torch.cat([batch.images for batch in group]),
        tuple(target for batch in group for target in batch.targets),
        tuple(index for batch in group for index in batch.indices),
    )


def _loader(samples: Samples, batches: Any, workers: int) -> PictureLoader:
    collate_fn: Any = _collate_or_error
    if isinstance(samples, JointSamples):
        collate_fn = partial(_padded_or_error, multiple=samples.multiple)
    with _quiet():
        return PictureLoader(
            samples,  # type: ignore[arg-type]
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=collate_fn,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_start_worker,
            # A forked worker shares the pictures in memory with this process, where a spawned one would copy them.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            # The loader draws a seed for its workers; from a generator of its own, it leaves the caller's alone.
            generator=torch.Generator().manual_seed(0),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without two warnings that tell a user nothing to act on."""
    with warnings.catch_warnings():
        # Python >= 3.12 warns of any fork in a process that has threads. Ours only read, decode and use one thread.
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
        # More workers than cores were asked for then; they wait for each other, and nothing else is wrong with them.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        yield


def _start_worker(worker: int) -> None:
    # Ctrl-C reaches every process of the terminal, and a service manager's SIGTERM every one of the group; the training decides
    # when to stop, and needs its workers until then. They end when it does: each looks now and then whether it is there.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    # What a forked worker inherits is not its own to close, and to look through it would copy the memory that it shares.
    gc.freeze()


def _check_share(rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise ConfigError(f"rank is within 0..{world_size - 1} for {world_size} processes, got {rank}")
