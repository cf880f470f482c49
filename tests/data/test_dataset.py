from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sightline.data.dataset import Samples, mixed_seed
from sightline.data.index import Index
from sightline.data.transforms import Augmentation, train_transform

MakeIndex = Callable[..., Index]
EVERYTHING = Augmentation(color_jitter=0.3, alexnet_color=0.1, erasing=0.5, mixup=0.4, cutmix=1.0)


def keep(image: Tensor) -> Tensor:
    return image


def test_without_a_seed_nothing_is_random(make_index: MakeIndex) -> None:
    samples = Samples(make_index(3, 3), [1, 4], keep)
    sample = samples[(7, 4)]
    assert len(samples) == 2
    assert (sample.image == samples.index.source.image(4)).all()
    assert (sample.index, sample.target.label, sample.target.second_label) == (4, 1, None)


def test_a_sample_depends_on_seed_epoch_and_position_alone(make_index: MakeIndex) -> None:
    index = make_index(5, 5)
    transform, mix = train_transform(EVERYTHING, 16), EVERYTHING.mixing()
    first, again = (Samples(index, range(10), transform, seed=5, mix=mix) for _ in range(2))
    keys = [(epoch, position) for epoch in (0, 1, 1000) for position in range(10)]
    there = {key: first[key] for key in keys}
    for key in reversed(keys):
        torch.rand(3)
        sample = again[key]
        assert (sample.image == there[key].image).all()
        assert sample.target == there[key].target
    pictures = {sample.image.numpy().tobytes() for sample in there.values()}
    assert len(pictures) == len(keys)
    other = Samples(index, range(10), transform, seed=6, mix=mix)
    assert any((other[key].image != there[key].image).any() for key in keys)


def test_the_callers_generator_is_left_alone(make_index: MakeIndex) -> None:
    samples = Samples(make_index(5, 5), range(10), train_transform(EVERYTHING, 16), seed=5, mix=EVERYTHING.mixing())
    torch.default_generator.manual_seed(1)
    expected = torch.rand(4)
    torch.default_generator.manual_seed(1)
    samples[(0, 3)]
    assert (torch.rand(4) == expected).all()

    def fail(image: Tensor) -> Tensor:
        torch.rand(9)
        raise RuntimeError("planted")

    torch.default_generator.manual_seed(1)
    with pytest.raises(RuntimeError, match="planted"):
        Samples(make_index(2, 2), range(4), fail, seed=5)[(0, 3)]
    assert (torch.rand(4) == expected).all()


def test_partners_come_from_the_same_positions(make_index: MakeIndex) -> None:
    index, mix = make_index(5, 5), Augmentation(mixup=1.0).mixing()
    samples = Samples(index, range(5), keep, seed=0, mix=mix)
    assert {samples[(0, p)].target.second_label for p in range(5)} == {0}
    both = Samples(index, range(10), keep, seed=0, mix=mix)
    targets = [both[(epoch, p)].target for epoch in range(5) for p in range(10)]
    assert {target.second_label for target in targets} == {0, 1}
    assert all(0 <= target.share <= 1 for target in targets)


def test_mixing_needs_a_seed(make_index: MakeIndex) -> None:
    with pytest.raises(ValueError, match="give a seed"):
        Samples(make_index(2, 2), range(4), keep, mix=Augmentation(mixup=1.0).mixing())


def test_seeds_spread() -> None:
    seeds = {mixed_seed(seed, epoch, p) for seed in range(8) for epoch in range(8) for p in range(256)}
    assert len(seeds) >= 8 * 8 * 256 - 1
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert mixed_seed(1, 2) != mixed_seed(2, 1)
    ones = [bin(mixed_seed(0, 0, p) ^ mixed_seed(0, 0, p + 1)).count("1") for p in range(500)]
    assert 15 < sum(ones) / 500 < 17
