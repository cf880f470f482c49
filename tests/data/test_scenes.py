"""Scenes are looked at from outside: each is found again in its photograph, and what differs there is the digits."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images

from sightline.data import scenes as drawing
from sightline.data.annotations import ClassLabels, Objects
from sightline.data.formats import read
from sightline.data.index import Index
from sightline.data.masks import Masks
from sightline.data.samples import digits, write_scenes
from sightline.data.scenes import CONTRAST, OVERLAP, SIDES, SIZE, scenes
from sightline.data.sources import TensorSource
from sightline.data.splits import with_splits
from sightline.structures import DetectionTarget

pytestmark = pytest.mark.slow

COUNTS = {"train": 40, "val": 20, "test": 20}
FEW = {"train": 3, "val": 2, "test": 2}


class Recording(TensorSource):
    """Remembers which pictures it was asked for."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.asked = []

    def image(self, position):
        self.asked.append(position)
        return super().image(position)


class Located(NamedTuple):
    """A scene, and where it is from."""

    split: str
    photograph: int
    rows: range
    columns: range
    boxes: NDArray[np.int64]
    ink: NDArray[np.float64]
    """(H, W) grey levels by which the scene differs from the photograph."""


@pytest.fixture(scope="module")
def divided() -> Index:
    return with_splits(digits(), 0, val=0.1, test=0.2)


@pytest.fixture(scope="module")
def drawn(divided: Index) -> Index:
    return scenes(divided, 0, COUNTS)


@pytest.fixture(scope="module")
def located(drawn: Index) -> list[Located]:
    return [locate(drawn, split, position) for split in COUNTS for position in drawn.positions(split).tolist()]


def objects(index: Index) -> Objects:
    assert isinstance(index.annotations, Objects)
    return index.annotations


def locate(index: Index, split: str, position: int) -> Located:
    """Look for the scene in both photographs, by the pixels outside its boxes."""
    picture = index.source.image(position).permute(1, 2, 0).numpy()
    boxes = objects(index).boxes[objects(index).rows(position)].astype(np.int64)
    free = np.ones(SIZE, np.bool_)
    for left, top, right, bottom in boxes:
        free[top:bottom, left:right] = False
    probes = np.argwhere(free)[:: max(1, free.sum() // 40)]
    for number, photograph in enumerate(load_sample_images().images):
        numbers, wanted = one_number(photograph), one_number(picture)
        places = (
            np.indices([whole - part + 1 for whole, part in zip(numbers.shape, SIZE, strict=True)]).reshape(2, -1).T
        )
        for probe in probes:
            places = places[numbers[*(places + probe).T] == wanted[*probe]]
        for top, left in places:
            part = photograph[top : top + SIZE[0], left : left + SIZE[1]]
            if (part == picture)[free].all():
                ink = np.abs((picture.astype(float) - part) @ (0.299, 0.587, 0.114))
                return Located(split, number, range(top, top + SIZE[0]), range(left, left + SIZE[1]), boxes, ink)
    raise AssertionError(f"scene {position} is no part of a photograph, or was changed outside its boxes")


def one_number(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(H, W) the colour of each pixel, (H, W, 3), as one number."""
    return picture.astype(np.int64) @ (1, 256, 65536)


def test_scenes_have_what_was_asked_for(drawn: Index) -> None:
    assert {split: len(held) for split, held in drawn.splits.items()} == COUNTS
    assert drawn.source.image(0).shape == (3, *SIZE)
    assert drawn.class_names == tuple("0123456789")
    for split in COUNTS:
        there = np.diff(objects(drawn).offsets)[drawn.positions(split)]
        assert set(there) == {0, 1, 2, 3, 4, 5}
        assert (there == 0).sum() == len(there) / 20
        assert min(drawn.class_counts(split).values()) > 0
    heights = objects(drawn).boxes @ (0, -1, 0, 1)
    assert SIDES[0] * 0.75 <= heights.min() < 22 < 44 < heights.max() <= SIDES[1]


def test_boxes_are_tight_around_the_ink(located: list[Located]) -> None:
    for scene in located:
        for left, top, right, bottom in scene.boxes:
            ink = scene.ink[top:bottom, left:right] > 0
            assert ink[[0, -1]].any(1).all(), "the first or the last row of a box has no ink"
            assert ink[:, [0, -1]].any(0).all(), "the first or the last column of a box has no ink"


def test_a_digit_is_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    two_bars = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    two_bars[..., 4:8, 6:20] = two_bars[..., 20:28, 6:20] = 255
    digit = Index(
        source=TensorSource(two_bars, ["bars"]),
        annotations=ClassLabels(np.array([0])),
        class_names=("bars",),
        splits={"test": np.array([0])},
        format="",
    )
    monkeypatch.setattr(drawing, "SIDES", (32, 32))
    scene = locate(scenes(digit, 0, {"test": 1}), "test", 0)
    for left, top, right, bottom in scene.boxes:
        inked = scene.ink[top:bottom, left:right].any(1)
        assert (right - left, bottom - top) == (14, 24)
        assert inked.tolist() == [True] * 4 + [False] * 12 + [True] * 8
    assert len(scene.boxes)


def test_digits_stand_out(located: list[Located]) -> None:
    for scene in located:
        for left, top, right, bottom in scene.boxes:
            ink = scene.ink[top:bottom, left:right]
            assert np.median(ink[ink > 0]) > CONTRAST * 0.6


def test_digits_hardly_overlap(located: list[Located]) -> None:
    for scene in located:
        for one, other in itertools.combinations(scene.boxes, 2):
            sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
            smaller = min((box[2:] - box[:2]).prod() for box in (one, other))
            assert np.maximum(sides, 0).prod() <= OVERLAP * smaller


def test_no_part_of_a_photograph_is_in_two_splits(located: list[Located]) -> None:
    used = np.zeros((len(COUNTS), 2, 427, 640), np.bool_)
    for scene in located:
        used[list(COUNTS).index(scene.split), scene.photograph][np.ix_(scene.rows, scene.columns)] = True
    assert used.any((2, 3)).all(), "each split has scenes of both photographs"
    assert used.sum(0).max() == 1


def test_no_digit_is_in_two_splits(divided: Index) -> None:
    source = Recording(divided.source.images, divided.source.names)
    recorded = replace(divided, source=source)
    for split in COUNTS:
        source.asked.clear()
        drawn = scenes(recorded, 0, {split: 5})
        assert objects(drawn).labels.tolist() == divided.labels[source.asked].tolist()
        assert set(source.asked) <= set(divided.positions(split).tolist())
        assert len(set(source.asked)) == len(source.asked) > 0, "a digit comes twice while others are left"


def test_what_is_written_is_read_back(divided: Index, tmp_path: Path) -> None:
    expected, index = scenes(divided, 0, FEW), read(write_scenes(tmp_path / "scenes", 0, FEW))
    assert (index.format, index.class_names) == ("coco", expected.class_names)
    assert (index.ignored, index.faults.lines, index.faults.boxes) == ((), (), len(objects(expected).labels))
    for split in FEW:
        for ours, theirs in zip(expected.positions(split), index.positions(split), strict=True):
            assert np.array_equal(expected.source.image(int(ours)), index.source.image(int(theirs)))
            assert expected.annotations.digest(int(ours)) == index.annotations.digest(int(theirs))


def test_the_seed_decides_every_byte(divided: Index, tmp_path: Path) -> None:
    first, again, other = (
        content(write_scenes(tmp_path / name, seed, FEW)) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)
    one, two = (objects(scenes(divided, seed, FEW)).boxes.tolist() for seed in (0, 1))
    assert one != two, "the seed has no say in where digits are"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_scenes_with_masks_are_the_same_pictures_and_say_where_the_ink_is(tmp_path: Path, divided: Index) -> None:
    boxed, masked = scenes(divided, 0, FEW), scenes(divided, 0, FEW, masks=True)
    assert masked.class_names == ("background", "digit")
    assert isinstance(masked.annotations, Masks)
    for position in range(len(boxed)):
        assert torch.equal(boxed.source.image(position), masked.source.image(position))
        mask, target = masked.annotations.target(position).mask, boxed.annotations.target(position)
        assert isinstance(target, DetectionTarget)
        inside = torch.zeros(SIZE, dtype=torch.bool)
        for left, top, right, bottom in target.boxes.long().tolist():
            inside[top:bottom, left:right] = True
            digit = mask[top:bottom, left:right]
            assert digit[0].any()
            assert digit[-1].any()
            assert digit[:, 0].any()
            assert digit[:, -1].any()
        assert not mask[~inside].any()
    written = read(write_scenes(tmp_path / "masks", counts=FEW, masks=True))
    assert (written.format, written.class_names) == ("mask folder", masked.class_names)
    assert torch.equal(
        written.annotations.target(0).mask, masked.annotations.target(int(masked.positions("test")[0])).mask
    )
