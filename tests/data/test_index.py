from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sightline.data.annotations import ClassLabels
from sightline.data.index import Index, natural_order
from sightline.errors import DataError

MakeIndex = Callable[..., Index]


def test_splits_are_put_in_order(make_index: MakeIndex) -> None:
    index = make_index(2, 2, splits={"test": [3], "train": [2, 0], "val": [1]})
    assert list(index.splits) == ["train", "val", "test"]
    assert index.positions("train").tolist() == [0, 2]


@pytest.mark.parametrize(
    ("splits", "text"),
    [
        ({"train": [0, 1], "val": [1]}, "picture 1 is in two splits"),
        ({"train": [0, 4]}, "position 4, but there are 4"),
        ({"dev": [0]}, "Unknown split 'dev': expected train, val, test"),
    ],
)
def test_impossible_splits(make_index: MakeIndex, splits: dict[str, list[int]], text: str) -> None:
    with pytest.raises(DataError, match=text):
        make_index(2, 2, splits=splits)


def test_labels_outside_the_classes_are_named(make_index: MakeIndex) -> None:
    index = make_index(2, 2)
    with pytest.raises(DataError, match=r"picture 2: its label is 2, but there are 2 classes \(0\.\.1\)"):
        replace(index, annotations=ClassLabels(np.array([0, 0, 2, 1])))
    with pytest.raises(DataError, match="annotations of 4 pictures, got 1"):
        replace(index, annotations=ClassLabels(np.array([0])))


def test_an_absent_split_lists_those_there_are(make_index: MakeIndex) -> None:
    with pytest.raises(DataError, match=r"split 'val'; there is train \(2\), test \(1\)"):
        make_index(2, 2, splits={"train": [0, 1], "test": [2]}).positions("val")


def test_fingerprint_tells_what_changed(make_index: MakeIndex) -> None:
    index = make_index(2, 2, splits={"train": [0, 1], "test": [2, 3]})
    others = [
        replace(index, annotations=ClassLabels(np.array([0, 1, 1, 1]))),
        replace(index, class_names=("a", "c")),
        make_index(2, 3),
    ]
    assert len({other.fingerprint() for other in (index, *others)}) == 4
    assert index.fingerprint() == make_index(2, 2).fingerprint()
    assert index.fingerprint("train") != index.fingerprint("test")


def test_counts_and_taking_out(make_index: MakeIndex) -> None:
    index = make_index(3, 1, splits={"train": [0, 1, 3], "val": [2]})
    assert index.class_counts() == {"a": 3, "b": 1}
    assert index.class_counts("val") == {"a": 1, "b": 0}
    fewer = index.without([1], "one is gone")
    assert fewer.positions("train").tolist() == [0, 3]
    assert fewer.notes == ("one is gone",)


def test_natural_order() -> None:
    names = ["img10", "img9", "Img1", "b", "10", "9", "img09"]
    assert sorted(names, key=natural_order) == ["9", "10", "b", "Img1", "img09", "img9", "img10"]
