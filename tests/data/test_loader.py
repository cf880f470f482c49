import gc
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sightline.data.annotations import ClassLabels
from sightline.data.dataset import Samples
from sightline.data.index import Index
from sightline.data.loader import EpochBatches, collate, epoch_order, equal_sizes, eval_loader, train_loader
from sightline.data.sources import FileSource, MemorySource, TensorSource
from sightline.data.transforms import Augmentation, Crop, train_transform
from sightline.errors import ConfigError, DataError, ImageError
from sightline.structures import Batch, ClassificationTarget, Sample

MakeIndex = Callable[..., Index]
AUGMENTATION = Augmentation(crop="shift", color_jitter=0.3, mixup=0.4, cutmix=1.0)


def keep(image: Tensor) -> Tensor:
    return image


def samples_of(index: Index) -> Samples:
    return Samples(index, range(1, len(index)), train_transform(AUGMENTATION, 16), seed=4, mix=AUGMENTATION.mixing())


def together(parts: list[Batch]) -> tuple[Tensor, tuple[object, ...], tuple[int, ...]]:
    """The batches of the processes as one."""
    images = torch.cat([part.images for part in parts])
    targets = tuple(target for part in parts for target in part.targets)
    return images, targets, tuple(index for part in parts for index in part.indices)


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "world_size", "start"), [(2, 1, 0), (0, 2, 0), (2, 2, 3), (0, 1, 5)])
def test_samples_do_not_depend_on_workers_processes_or_restarts(
    make_index: MakeIndex, workers: int, world_size: int, start: int
) -> None:
    samples = samples_of(make_index(6, 6))
    plain = list(train_loader(samples, 4, total_steps=8))
    assert len(plain) == 8
    loaders = [train_loader(samples, 4, 8, start, workers, rank, world_size) for rank in range(world_size)]
    steps = list(zip(*loaders, strict=True))
    assert len(steps) == 8 - start
    for expected, parts in zip(plain[start:], steps, strict=True):
        images, targets, indices = together(list(parts))
        assert (images == expected.images).all()
        assert targets == expected.targets
        assert indices == expected.indices


def test_loading_leaves_the_callers_generator_alone(make_index: MakeIndex) -> None:
    torch.default_generator.manual_seed(1)
    expected = torch.rand(4)
    for workers in (0, 1):
        torch.default_generator.manual_seed(1)
        for _ in train_loader(samples_of(make_index(3, 3)), 2, total_steps=2, workers=workers):
            pass
        assert (torch.rand(4) == expected).all()


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (8, 4), (3, 4), (1, 4), (5, 12)])
def test_every_sample_comes_in_every_epoch(n: int, batch_size: int) -> None:
    batches = EpochBatches(range(100, 100 + n), batch_size, seed=0, total_steps=3 * -(-n // batch_size))
    assert batches.steps_per_epoch == -(-n // batch_size)
    assert len(batches) == len(list(batches)) == 3 * batches.steps_per_epoch
    for epoch in range(3):
        keys = [key for step, keys in enumerate(batches) if step // batches.steps_per_epoch == epoch for key in keys]
        assert {at for at, _ in keys} == {epoch}
        counts = Counter(position for _, position in keys)
        assert set(counts) == set(range(100, 100 + n))
        assert max(counts.values()) - min(counts.values()) <= 1
        assert len(keys) == batch_size * batches.steps_per_epoch
        order = (epoch_order(n, 0, epoch) + 100).tolist()
        assert [position for _, position in keys[:n]] == order
        assert [position for _, position in keys[n:]] == (order * batch_size)[: len(keys) - n]


def test_orders_differ_between_epochs_and_seeds() -> None:
    orders = [epoch_order(50, seed, epoch).tolist() for seed in range(3) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 9
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert epoch_order(50, 1, 2).tolist() == orders[5]


def test_the_order_is_pinned() -> None:
    """A resumed run must find the order that it began with, in later versions too."""
    assert epoch_order(8, seed=0, epoch=0).tolist() == [0, 5, 2, 4, 1, 3, 6, 7]


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (0, 2), (1, 2), (2, 3)])
@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_takes_each_sample_once(make_index: MakeIndex, rank: int, world_size: int, workers: int) -> None:
    samples = Samples(make_index(5, 6), range(1, 11), keep)
    loader = eval_loader(samples, 3, workers=workers, rank=rank, world_size=world_size)
    seen = [index for batch in loader for index in batch.indices]
    assert seen == list(range(1, 11))[rank::world_size]
    assert len(loader) == -(-len(seen) // 3)
    assert [index for batch in loader for index in batch.indices] == seen


@pytest.mark.parametrize(("count", "workers"), [(0, 0), (3, 0), (4, 2), (6, 2), (7, 3)])
def test_an_evaluation_starts_no_worker_that_has_nothing_to_do(make_index: MakeIndex, count: int, workers: int) -> None:
    assert eval_loader(Samples(make_index(5, 6), range(count), keep), 3, workers=4).num_workers == workers


@pytest.mark.slow
def test_a_worker_closes_nothing_that_it_inherits(make_index: MakeIndex, tmp_path: Path) -> None:
    class Kept:
        """Such as a run's lock: in a circle, so that only the garbage collector finds that nobody needs it any more."""

        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            (tmp_path / str(os.getpid())).touch()

    def collecting(image: Tensor) -> Tensor:
        gc.collect()
        return image

    gc.collect()
    gc.disable()
    try:
        Kept()
        assert len(list(eval_loader(Samples(make_index(2, 2), range(4), collecting), 2, workers=2))) == 2
        assert list(tmp_path.iterdir()) == []
    finally:
        gc.enable()
    gc.collect()
    assert [file.name for file in tmp_path.iterdir()] == [str(os.getpid())]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_vanished_is_named_without_a_traceback(tmp_path: Path, workers: int) -> None:
    index = Index(
        source=FileSource(tmp_path, ["gone.png", "gone2.png"]), annotations=ClassLabels(torch.zeros(2).long().numpy()),
        class_names=("a", "b"), splits={}, format="image folder",
    )  # fmt: skip
    with pytest.raises(ImageError) as caught:
        list(eval_loader(Samples(index, [0, 1], keep), 1, workers=workers))
    assert str(caught.value) == "gone.png: the file cannot be read (No such file or directory)."


def test_no_worker_outlives_its_loader(make_index: MakeIndex) -> None:
    batches = iter(train_loader(samples_of(make_index(4, 4)), 2, total_steps=50, workers=2))
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    del batches
    assert multiprocessing.active_children() == []


def test_what_cannot_be_divided() -> None:
    with pytest.raises(ConfigError, match=r"batch of 10 pictures cannot be divided among 4 processes: .* such as 8"):
        EpochBatches(range(10), 10, seed=0, total_steps=1, world_size=4)
    with pytest.raises(ConfigError, match=r"rank is within 0\.\.1"):
        EpochBatches(range(10), 10, seed=0, total_steps=1, rank=2, world_size=2)
    with pytest.raises(DataError, match="no picture to train on"):
        EpochBatches([], 10, seed=0, total_steps=1)


def test_training_needs_a_seed_and_evaluation_a_batch(make_index: MakeIndex) -> None:
    samples = Samples(make_index(2, 2), range(4), keep)
    with pytest.raises(ValueError, match="with a seed"):
        train_loader(samples, 2, 1)
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        eval_loader(samples, 0)


def test_collate() -> None:
    samples = [
        Sample(torch.full((3, 4, 5), at, dtype=torch.uint8), ClassificationTarget(at), 10 + at) for at in range(3)
    ]
    batch = collate(samples)
    assert batch.images.shape == (3, 3, 4, 5)
    assert [target.label for target in batch.targets] == [0, 1, 2]
    assert batch.indices == (10, 11, 12)
    odd = Sample(torch.zeros(3, 5, 5, dtype=torch.uint8), ClassificationTarget(0), 0)
    with pytest.raises(ValueError, match="pictures of a batch have one size"):
        collate([samples[0], odd])


@pytest.mark.parametrize("crop", ["resized", "paper", "none"])
def test_pictures_stay_as_decoders_write_them_until_they_are_a_batch(crop: Crop) -> None:
    """Pixel by pixel, from the file or from memory: nothing is put in another order on the way, which would take longer than the crop."""
    image = torch.randint(256, (40, 50, 3), dtype=torch.uint8).permute(2, 0, 1)
    below = TensorSource(image[None], ["a"])
    kept = MemorySource(below, {0: image})
    assert torch.equal(kept.image(0), image)
    assert kept.image(0).stride() == image.stride()
    transform = train_transform(Augmentation(crop=crop, mirror=0.5), 24)
    for seed in range(8):
        torch.manual_seed(seed)
        out = transform(image)
        assert out.stride(0) == 1
        torch.manual_seed(seed)
        same = transform(image.contiguous())
        assert torch.equal(out, same)
        batches = [collate([Sample(one, ClassificationTarget(0), 0)] * 2).images for one in (out, same.contiguous())]
        assert batches[0].is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(*batches)


def pictures(*sizes: tuple[int, int]) -> list[Batch]:
    """One batch a picture, which holds its own number."""
    return [
        Batch(torch.full((1, 2, 3, *size), number, dtype=torch.uint8), [ClassificationTarget(number)], [number])
        for number, size in enumerate(sizes)
    ]


def test_pictures_of_equal_sizes_come_together() -> None:
    given = pictures(*[(8, 8), (8, 12), (8, 8), (12, 8), (8, 8), (8, 12), (8, 8)])
    batches = list(equal_sizes(given, batch_size=3))
    assert [tuple(batch.indices) for batch in batches] == [(0, 2, 4), (1, 5), (3,), (6,)]
    for batch in batches:
        assert [target.label for target in batch.targets] == list(batch.indices)
        assert batch.images[:, 0, 0, 0, 0].tolist() == list(batch.indices)


def test_batches_hold_so_many_pixels_and_a_larger_picture_is_alone() -> None:
    batches = list(equal_sizes(pictures(*[(8, 8)] * 5, (20, 20)), batch_size=64, pixels=2 * 2 * 64))
    assert [len(batch) for batch in batches] == [2, 2, 1, 1]


def test_few_pictures_wait_for_others_of_their_size() -> None:
    """Every picture of another size: without a bound all of them would wait until the end."""
    sizes = [(8, 8 + number) for number in range(100)]
    taken = 0

    def counted():
        nonlocal taken
        for batch in pictures(*sizes):
            taken += 1
            yield batch

    pixels = 4 * 2 * 8 * 107  # four of the largest, with two views each
    batches = equal_sizes(counted(), batch_size=4, pixels=pixels)
    assert len(next(batches)) == 1
    assert 40 < taken < 90
    assert len(list(batches)) == 99


def test_a_picture_that_comes_several_times_is_another_one_each_time(make_index: MakeIndex) -> None:
    samples = samples_of(make_index(2, 2))
    samples.positions = np.array([3, 1, 1, 2, 1])
    batches = list(train_loader(samples, 5, total_steps=2))
    for batch in batches:
        assert sorted(batch.indices) == [1, 1, 1, 2, 3]
    shown = {
        batch.images[row].numpy().tobytes()
        for batch in batches
        for row in np.flatnonzero(batch.indices)
        if batch.indices[row] == 1
    }
    assert len(shown) == 6
    once = Samples(samples.index, [1], samples.transform, seed=4)
    assert (once[(0, 1)].image != once[(0, 1, 1)].image).any()
