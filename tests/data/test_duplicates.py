"""Pictures that are the same or nearly so, against each compared with each."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits, load_sample_images

from sightline.data.duplicates import ALIKE, CELLS, alike, thumbnail


def picture(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file)


def by_comparing_all(thumbnails: np.ndarray, likeness: float) -> list[int]:
    """The lowest position that a chain of likenesses leads to."""
    likes = np.corrcoef(thumbnails.reshape(len(thumbnails), -1)) >= likeness
    group = list(range(len(thumbnails)))
    for _ in group:
        group = [min(group[other] for other in np.flatnonzero(likes[row])) for row in range(len(group))]
    return group


@pytest.mark.slow
@pytest.mark.parametrize("likeness", [0.8, 0.9, ALIKE])
def test_groups_are_those_of_comparing_each_with_each(likeness: float) -> None:
    rng = np.random.default_rng(1)
    scenes = rng.integers(0, 200, (60, CELLS, CELLS))
    noise = rng.integers(0, 40, (5, 60, CELLS, CELLS))
    thumbnails = (scenes + noise).reshape(-1, CELLS, CELLS)[rng.permutation(300)].astype(np.uint8)
    groups = alike(thumbnails, likeness)
    assert groups.tolist() == by_comparing_all(thumbnails, likeness)
    assert 60 <= len(set(groups.tolist())) <= 300


def test_more_pictures_than_are_compared_at_once() -> None:
    thumbnails = np.random.default_rng(2).integers(0, 256, (1500, CELLS, CELLS), dtype=np.uint8)
    thumbnails[1400] = thumbnails[3] // 2
    groups = alike(thumbnails)
    assert groups[1400] == 3
    assert len(set(groups.tolist())) == 1499


def test_changed_copies_of_photographs_are_alike_and_other_scenes_are_not() -> None:
    china, flower = (Image.fromarray(image) for image in load_sample_images().images)
    changed = [
        china.resize((china.width // 2, china.height // 2)),
        recompressed(china),
        ImageEnhance.Contrast(china).enhance(0.8),
        china.convert("L"),
        flower,
        flower.resize((900, 700)),
    ]
    thumbnails = np.stack([thumbnail(picture(image)) for image in (china, *changed)])
    assert alike(thumbnails).tolist() == [0, 0, 0, 0, 0, 5, 5]


def test_digits_are_not_taken_for_each_other() -> None:
    digits = torch.from_numpy(load_digits().images * 15).to(torch.uint8)
    large = torch.nn.functional.interpolate(digits[:, None].float(), (28, 28), mode="bilinear").to(torch.uint8)
    thumbnails = np.stack([thumbnail(image.expand(3, -1, -1)) for image in large])
    groups = alike(thumbnails)
    again = np.flatnonzero(groups != np.arange(len(groups)))
    assert len(again) <= 3  # of 1,797; these differ by a grey level here and there


def test_copies_are_one_group_however_many_and_flat_pictures_none() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (1, CELLS, CELLS), dtype=np.uint8)
    flat = np.full((4, CELLS, CELLS), 9, np.uint8)
    groups = alike(np.concatenate([flat, noise.repeat(3000, axis=0)]))
    assert groups.tolist() == [0, 1, 2, 3, *[4] * 3000]


@pytest.mark.parametrize("count", [0, 1])
def test_there_need_not_be_two(count: int) -> None:
    assert alike(np.zeros((count, CELLS, CELLS), np.uint8)).tolist() == list(range(count))


def test_without_pairs_copies_are_grouped_and_scipy_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most data sets have none, and the import takes a good part of what it takes to check a small one."""
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    thumbnails = np.random.default_rng(0).integers(0, 256, (4, CELLS, CELLS), dtype=np.uint8)
    assert alike(thumbnails[[0, 1, 0, 2, 1, 3]]).tolist() == [0, 1, 0, 3, 1, 5]
