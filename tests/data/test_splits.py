from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sightline.data.annotations import ClassLabels, Objects
from sightline.data.formats import read
from sightline.data.index import Index
from sightline.data.sources import TensorSource
from sightline.data.splits import read_splits, with_splits, write_splits
from sightline.errors import ConfigError, DataError

MakeIndex = Callable[..., Index]


def as_lists(index: Index) -> dict[str, list[int]]:
    return {name: held.tolist() for name, held in index.splits.items()}


def test_an_undivided_set_is_divided_class_by_class(make_index: MakeIndex) -> None:
    index = with_splits(make_index(100, 40, 7), seed=3, val=0.1, test=0.2)
    assert index.class_counts("train") == {"a": 70, "b": 28, "c": 5}
    assert index.class_counts("val") == {"a": 10, "b": 4, "c": 1}
    assert index.class_counts("test") == {"a": 20, "b": 8, "c": 1}
    assert sorted(p for held in as_lists(index).values() for p in held) == list(range(147))
    assert index.notes == (
        "The data set had no splits and was divided: train 103, val 15, test 29 (stratified, seed 3).",
    )


def test_the_seed_decides_and_nothing_else(make_index: MakeIndex) -> None:
    index = make_index(30, 30)
    assert as_lists(with_splits(index, seed=1)) == as_lists(with_splits(index, seed=1))
    assert as_lists(with_splits(index, seed=1)) != as_lists(with_splits(index, seed=2))


def test_a_picture_more_moves_at_most_a_few(make_index: MakeIndex) -> None:
    before, after = make_index(100, 100), make_index(100, 101)
    before, after = with_splits(before), with_splits(after)
    of = {p: name for name, held in as_lists(before).items() for p in held}
    moved = [p for name, held in as_lists(after).items() for p in held if p in of and of[p] != name]
    assert len(moved) <= 2


def test_train_and_test_give_val_from_train(make_index: MakeIndex) -> None:
    index = with_splits(make_index(20, 20, splits={"train": [*range(10), *range(20, 30)], "test": [10, 30]}), val=0.2)
    assert index.positions("test").tolist() == [10, 30]
    assert index.class_counts("val") == {"a": 2, "b": 2}
    assert index.class_counts("train") == {"a": 8, "b": 8}
    assert "taken from train: train 16, val 4, test 2" in index.notes[0]


def test_what_is_given_stays(make_index: MakeIndex) -> None:
    whole = {"train": [0, 1, 4, 5], "val": [2], "test": [3]}
    assert as_lists(with_splits(make_index(4, 2, splits=whole))) == whole
    two = with_splits(make_index(4, 2, splits={"train": [0, 1, 4, 5], "val": [2]}))
    assert list(two.splits) == ["train", "val"]
    assert "no test split" in two.notes[0]


def test_a_single_split_is_divided_aloud(make_index: MakeIndex) -> None:
    index = with_splits(make_index(20, 20, splits={"test": list(range(40))}))
    assert {name: len(held) for name, held in index.splits.items()} == {"train": 32, "val": 4, "test": 4}
    assert index.notes[0].startswith("The data set came as a single 'test' split and was divided")


def test_a_tiny_class_keeps_a_picture_for_training(make_index: MakeIndex) -> None:
    index = with_splits(make_index(1, 2, 3))
    assert index.class_counts("train") == {"a": 1, "b": 1, "c": 1}
    assert index.class_counts("val") == {"a": 0, "b": 1, "c": 1}


@pytest.mark.parametrize(
    ("counts", "splits", "text"),
    [
        ((4, 4), {"val": [0], "test": [4]}, "only the splits val, test: there is no train split"),
        ((4, 4), {"train": [], "test": [4]}, r"train split has no pictures, and there are others \(test 1\)"),
        ((4,), {}, r"one class only \(a\)"),
        ((4, 4), {"train": [0, 1], "val": [4]}, "class 'b' has no pictures in the train split"),
    ],
)
def test_sets_that_cannot_be_trained_on(
    make_index: MakeIndex, counts: tuple[int, ...], splits: dict[str, list[int]], text: str
) -> None:
    with pytest.raises(DataError, match=text):
        with_splits(make_index(*counts, splits=splits))


@pytest.mark.parametrize("shares", [{"val": 0.0}, {"val": 0.6, "test": 0.4}, {"test": -0.1}])
def test_impossible_shares(make_index: MakeIndex, shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="together below 1"):
        with_splits(make_index(4, 4), **shares)


def test_what_is_written_is_read_again(make_index: MakeIndex, tmp_path: Path) -> None:
    whole = make_index(20, 20)
    index = with_splits(whole).without([3, 4])
    path = write_splits(index, tmp_path / "splits.csv")
    assert path.read_text().splitlines()[:2] == ["path,label,split", "picture 0,a,train"]
    assert as_lists(read_splits(whole, path)) == as_lists(index)


def test_a_set_that_has_changed_is_refused_with_counts(make_index: MakeIndex, tmp_path: Path) -> None:
    index = with_splits(make_index(5, 5))
    path = write_splits(index, tmp_path / "splits.csv")
    names = [f"picture {number}" for number in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11)]
    images = index.source.images  # type: ignore[attr-defined]
    labels = index.labels.copy()
    labels[2] = 1
    changed = replace(index, source=TensorSource(images, names), annotations=ClassLabels(labels))
    with pytest.raises(DataError) as caught:
        read_splits(changed, path)
    expected = (
        "of 10 pictures, 2 missing (first: picture 8), 2 new (first: picture 10), 1 in another class (first: picture 2)"
    )
    assert expected in str(caught.value)


def test_odd_names_survive(tmp_path: Path, make_index: MakeIndex) -> None:
    index = make_index(2, 2, splits={"train": [0, 2], "val": [1, 3]})
    images = index.source.images  # type: ignore[attr-defined]
    odd = replace(index, source=TensorSource(images, ["a,b", ' "c" ', "d\ne", "ü"]), class_names=("x, y", "z "))
    assert as_lists(read_splits(odd, write_splits(odd, tmp_path / "splits.csv"))) == as_lists(odd)


def with_boxes(index: Index, *labels: list[int]) -> Index:
    """The same pictures with a box for each label."""
    boxes = [np.array([[0, 0, 4, 4]] * len(held), np.float32) for held in labels]
    return replace(index, annotations=Objects.of(boxes, [np.array(held, np.int64) for held in labels]))


def test_pictures_with_boxes_are_divided_all_together(make_index: MakeIndex, tmp_path: Path) -> None:
    whole = with_boxes(make_index(20, 20), *[[0, 1]] * 5, *[[1]] * 25, *[[]] * 10)
    index = with_splits(whole, seed=1, val=0.1, test=0.2)
    assert {name: len(held) for name, held in index.splits.items()} == {"train": 28, "val": 4, "test": 8}
    assert index.notes == ("The data set had no splits and was divided: train 28, val 4, test 8 (seed 1).",)
    path = write_splits(index, tmp_path / "splits.csv")
    assert path.read_text().splitlines()[1].startswith('picture 0,"1 a, 1 b, boxes ')
    assert path.read_text().splitlines()[40].startswith("picture 39,no objects,")
    assert as_lists(read_splits(whole, path)) == as_lists(index)
    moved = replace(whole, annotations=replace(whole.annotations, boxes=whole.annotations.boxes + 1))  # type: ignore[type-var,union-attr]
    with pytest.raises(DataError, match=r"of 40 pictures, 30 with other boxes \(first: picture 0\)"):
        read_splits(moved, path)


def test_classes_of_boxes_that_cannot_be_learned_are_said(make_index: MakeIndex) -> None:
    index = with_boxes(make_index(2, 2, splits={"train": [0, 1], "val": [2, 3]}), [0], [], [1], [])
    assert "1 of 2 classes has no boxes to train on and cannot be learned: b." in with_splits(index).notes
    with pytest.raises(DataError, match="train split have no boxes: there is nothing to learn from"):
        with_splits(with_boxes(index, [], [], [1], []))
    with pytest.raises(DataError, match="val split have no boxes: nothing says which weights are the best"):
        with_splits(with_boxes(index, [0], [], [], []))
    boxes = index.annotations
    difficult = replace(boxes, difficult=np.array([False, True]))  # type: ignore[type-var]
    with pytest.raises(DataError, match="val split have no boxes"):
        with_splits(replace(index, annotations=difficult))
    one_class = replace(with_boxes(index, [0], [0], [0], []), class_names=("a",))
    assert with_splits(one_class).notes == (
        "The data set has no test split: results are of the val split, which picks the weights.",
    )


def test_real_set(real_set: Callable[[str], Path]) -> None:
    index = with_splits(read(real_set("mnist_t10k_idx")))
    assert {name: len(held) for name, held in index.splits.items()} == {"train": 8000, "val": 1000, "test": 1000}
    shares = np.array(list(index.class_counts("val").values())) / np.array(list(index.class_counts().values()))
    assert np.abs(shares - 0.1).max() < 0.001
