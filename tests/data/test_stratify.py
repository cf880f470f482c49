"""Shares of every class in every split, groups on one side, and an order that hardly moves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightline.data.stratify import stratified

SHARES = {"val": 0.1, "test": 0.2}


def names(count: int) -> list[str]:
    return [f"folder/{number}.jpg" for number in range(count)]


def alone(count: int) -> NDArray[np.int64]:
    return np.arange(count)


def split_of(found: dict[str, NDArray[np.int64]]) -> dict[int, str]:
    return {position: split for split, held in found.items() for position in held.tolist()}


@pytest.fixture
def classes() -> NDArray[np.bool_]:
    """(3000, 7) one class a picture, from 1500 pictures to 3."""
    return np.eye(7, dtype=bool)[np.repeat(np.arange(7), [1500, 800, 400, 200, 80, 17, 3])]


@pytest.fixture
def several() -> NDArray[np.bool_]:
    """(3000, 6) any number of classes a picture, as of boxes; two of them usually come together."""
    random = np.random.default_rng(0)
    found = random.random((3000, 6)) < np.array([0.9, 0.5, 0.3, 0.05, 0.02, 0.6])
    found[:, 3] |= found[:, 4] & (random.random(3000) < 0.8)
    return found


def test_each_class_has_its_share(classes: NDArray[np.bool_]) -> None:
    found = stratified(classes, alone(3000), names(3000), SHARES)
    assert sorted(split_of(found)) == list(range(3000))
    assert classes[found["val"]].sum(0).tolist() == [150, 80, 40, 20, 8, 2, 1]
    assert classes[found["test"]].sum(0).tolist() == [300, 160, 80, 40, 16, 3, 1]


def test_a_picture_of_several_classes(several: NDArray[np.bool_]) -> None:
    found = stratified(several, alone(3000), names(3000), SHARES)
    for split, share in SHARES.items():
        assert np.abs(several[found[split]].sum(0) - share * several.sum(0)).max() <= 1
        assert abs(len(found[split]) - share * 3000) <= share * 30


@pytest.mark.parametrize("kind", ["classes", "several"])
def test_groups_stay_together_and_shares_do_too(kind: str, request: pytest.FixtureRequest) -> None:
    present = request.getfixturevalue(kind)
    random = np.random.default_rng(1)
    groups = np.where(random.random(3000) < 0.3, 10_000 + random.integers(0, 250, 3000), alone(3000))
    found = stratified(present, groups, names(3000), SHARES)
    sides = split_of(found)
    for group in np.unique(groups):
        assert len({sides[at] for at in np.flatnonzero(groups == group).tolist()}) == 1
    many = present.sum(0) > 50  # of a rarer class, groups may hold everything
    for split, share in SHARES.items():
        assert np.abs(present[found[split]].sum(0) - share * present.sum(0))[many].max() <= 1


@pytest.mark.slow
def test_the_seed_and_the_names_decide_and_nothing_else(several: NDArray[np.bool_]) -> None:
    first = split_of(stratified(several, alone(3000), names(3000), SHARES, 3))
    assert split_of(stratified(several, alone(3000) * 7 + 5, names(3000), SHARES, 3)) == first
    assert split_of(stratified(several, alone(3000), names(3000), SHARES, 4)) != first
    order = np.random.default_rng(0).permutation(3000)
    shuffled = stratified(several[order], alone(3000), [names(3000)[at] for at in order], SHARES, 3)
    assert {int(order[at]): split for at, split in split_of(shuffled).items()} == first


@pytest.mark.parametrize("kind", ["classes", "several"])
def test_a_picture_more_moves_few(kind: str, request: pytest.FixtureRequest) -> None:
    present = request.getfixturevalue(kind)
    before = split_of(stratified(present[:-1], alone(2999), names(2999), SHARES))
    after = split_of(stratified(present, alone(3000), names(3000), SHARES))
    assert sum(after[at] != split for at, split in before.items()) <= 6


def test_few_large_groups() -> None:
    present = np.ones((30, 1), bool)
    found = stratified(present, np.repeat(np.arange(3), [14, 10, 6]), names(30), {"val": 0.1, "test": 0.1})
    assert {split: len(held) for split, held in found.items()} == {"train": 14, "val": 6, "test": 10}
    assert list(stratified(present, np.zeros(30), names(30), SHARES)) == ["train"]


def test_many_rare_classes_do_not_fill_the_small_splits() -> None:
    """As in a small data set of boxes with 80 classes: one picture of each class for val would be a third of it."""
    present = np.random.default_rng(0).random((60, 80)) < 0.04
    found = stratified(present, alone(60), names(60), {"val": 0.1, "test": 0.1})
    assert {split: len(held) for split, held in found.items()} == {"train": 46, "val": 7, "test": 7}
    single = np.eye(20, dtype=bool)[np.repeat(np.arange(20), 3)]
    found = stratified(single, alone(60), names(60), {"val": 0.1, "test": 0.1})
    assert {split: len(held) for split, held in found.items()} == {"train": 20, "val": 20, "test": 20}


def test_a_class_with_one_picture_is_trained_on() -> None:
    present = np.zeros((40, 2), bool)
    present[7, 1] = present[:, 0] = True
    for seed in range(10):
        assert 7 in stratified(present, alone(40), names(40), {"val": 0.3, "test": 0.3}, seed)["train"]


def test_shares_of_nothing_make_no_split() -> None:
    found = stratified(np.ones((10, 1), bool), alone(10), names(10), {"val": 0, "test": 0.3})
    assert {split: len(held) for split, held in found.items()} == {"train": 7, "test": 3}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), count=st.integers(1, 25), classes=st.integers(0, 4), seed=st.integers(0, 3))
def test_every_picture_is_in_one_split(data: st.DataObject, count: int, classes: int, seed: int) -> None:
    rows = data.draw(
        st.lists(st.lists(st.booleans(), min_size=classes, max_size=classes), min_size=count, max_size=count)
    )
    groups = np.array(data.draw(st.lists(st.integers(0, 8), min_size=count, max_size=count)))
    found = stratified(np.array(rows, bool).reshape(count, classes), groups, names(count), SHARES, seed)
    assert sorted(split_of(found)) == list(range(count))
    assert len(split_of(found)) == sum(map(len, found.values()))
    assert len(found["train"])
    for group in set(groups.tolist()):
        assert len({split_of(found)[at] for at in np.flatnonzero(groups == group).tolist()}) == 1
