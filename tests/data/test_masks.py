"""Masks beside the other kinds of annotations: read when asked for, counted, relabelled, divided and checked."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.data.checks import check
from sightline.data.index import Index
from sightline.data.mask_files import Coding, MaskFiles
from sightline.data.masks import DrawnMasks, KeptMasks, Masks
from sightline.data.sources import FileSource
from sightline.data.splits import read_splits, with_splits, write_splits
from sightline.errors import DataError, ImageError
from sightline.structures import IGNORED


def drawn(*rows: list[int]) -> Masks:
    masks = [torch.tensor([row], dtype=torch.uint8) for row in rows]
    return Masks(DrawnMasks(masks, [f"picture {at}" for at in range(len(masks))]))


def test_counts_leave_out_what_is_ignored() -> None:
    masks = drawn([0, 0, 2], [2, 2, IGNORED], [1, 1, 1])
    assert masks.counts(np.array([0, 1]), 4).tolist() == [2, 0, 3, 0]
    assert masks.counts(np.array([], np.int64), 4).tolist() == [0, 0, 0, 0]


def test_relabelled_masks_keep_what_is_ignored() -> None:
    masks = drawn([0, 1, IGNORED]).relabelled(np.array([2, 0])).relabelled(np.array([5, 1, 7]))
    assert masks.target(0).mask.tolist() == [[7, 5, IGNORED]]
    assert masks.counts(np.array([0]), 8).tolist() == [0, 0, 0, 0, 0, 1, 0, 1]


def test_digests_tell_masks_apart() -> None:
    one, other = drawn([0, 1, 0]), drawn([0, 1, 1])
    assert one.digest(0) == drawn([0, 1, 0]).digest(0) != other.digest(0)
    assert one.summary(0, ()) == f"mask {one.digest(0)[:8]}"


def test_kept_masks_are_not_read_again() -> None:
    masks = drawn([0, 1], [1, 1])
    kept = masks.with_kept({1: torch.zeros(1, 2, dtype=torch.uint8)})
    assert isinstance(kept.source, KeptMasks)
    assert [kept.target(at).mask.tolist() for at in (0, 1)] == [[[0, 1]], [[0, 0]]]
    assert kept.digest(1) == masks.digest(1)


def test_an_index_of_masks(make_index: Callable[..., Index], tmp_path: Path) -> None:
    whole = replace(make_index(4, 4), annotations=drawn(*[[0, 1]] * 8))
    with pytest.raises(DataError, match="has masks for its pictures, not classes"):
        _ = whole.labels
    assert whole.class_counts() == {"a": 8, "b": 8}
    divided = with_splits(whole, val=0.25, test=0.25)
    assert {name: len(held) for name, held in divided.splits.items()} == {"train": 4, "val": 2, "test": 2}
    assert "was divided: train 4, val 2, test 2 (seed 0)" in divided.notes[0]
    path = write_splits(divided, tmp_path / "splits.csv")
    assert read_splits(whole, path).positions("val").tolist() == divided.positions("val").tolist()
    with pytest.raises(DataError, match=r"2 with other masks \(first: picture 0\)"):
        read_splits(replace(whole, annotations=drawn(*[[1, 1]] * 2, *[[0, 1]] * 6)), path)
    with pytest.raises(DataError, match="256 classes; masks can tell 255 apart"):
        replace(whole, class_names=tuple(map(str, range(256))))


@pytest.fixture
def masked(tmp_path: Path) -> Index:
    """Forty pictures of 5 x 4 pixels with masks of classes a, b and, named only, c."""
    names = [f"{at}.png" for at in range(40)]
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.fromarray(np.eye(4, 5, dtype=np.uint8)).save(tmp_path / folder / name)
    coding = Coding({0: 0, 1: 1, 2: 2, IGNORED: IGNORED})
    return Index(
        source=FileSource(tmp_path / "images", names),
        annotations=Masks(MaskFiles(tmp_path, [f"masks/{name}" for name in names], coding)),
        class_names=("a", "b", "c"),
        splits={"train": np.arange(30), "val": np.arange(30, 40)},
        format="mask folder",
    )


def test_good_masks_are_counted_and_kept(masked: Index, tmp_path: Path) -> None:
    report = check(masked)
    assert report.faults == ()
    assert report.class_pixels(masked.positions("val")).tolist() == [160, 40, 0]
    assert report.class_pixels([]).tolist() == []
    cleaned = report.without_faults(masked)
    assert cleaned.notes == ("1 of 3 classes has no pixels to train on and cannot be learned: c.",)
    assert cleaned.fingerprint() == masked.fingerprint()
    (tmp_path / "masks/0.png").unlink()
    assert cleaned.annotations.target(0).mask.tolist() == np.eye(4, 5).tolist()  # type: ignore[union-attr]
    assert check(masked, [3], keep_below=79).kept_masks is None
    with pytest.raises(ImageError, match=r"masks/0\.png: the file cannot be read \(No such file"):
        masked.annotations.target(0)


def test_bad_masks_are_named_and_left_out(masked: Index, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((5, 4), np.uint8)).save(tmp_path / "masks/3.png")
    Image.fromarray(np.full((4, 5), 7, np.uint8)).save(tmp_path / "masks/8.png")
    (tmp_path / "images/9.png").write_bytes(b"")
    report = check(masked)
    assert [fault.name for fault in report.faults] == ["masks/3.png", "masks/8.png", "9.png"]
    assert report.faults[0].reason == (
        "the mask has 4 x 5 pixels, and its picture 3.png has 5 x 4 (exchanged: masks refer to the upright picture). Save it in the "
        "size of the picture; when you resize it, take the nearest value and do not smooth."
    )
    assert report.faults[1].reason.startswith("the value 7 (20 pixels) means no class; expected 0..2, or 255")
    with pytest.raises(DataError) as caught:
        report.without_faults(masked)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("3 of 40 pictures (7.50%) cannot be used, for themselves or for their masks; 1.00% may")
    assert lines[2].startswith("masks/8.png: the value 7")
    cleaned = report.without_faults(masked, tolerance=0.1)
    assert len(cleaned.positions("train")) == 27
    assert "3 of 40 pictures cannot be used, for themselves or for their masks, and are left out." in cleaned.notes[0]


def test_masks_of_one_class_cannot_be_learned(masked: Index, tmp_path: Path) -> None:
    for file in (tmp_path / "masks").iterdir():
        Image.fromarray(np.full((4, 5), 1, np.uint8)).save(file)
    with pytest.raises(
        DataError, match=r"of one class only \(b\): .* What they hold:\nmasks/0\.png: 1\n(.*\n){4}\.\.\. and 25 more$"
    ):
        check(masked).without_faults(masked)
    for file in (tmp_path / "masks").iterdir():
        Image.fromarray(np.full((4, 5), IGNORED, np.uint8)).save(file)
    with pytest.raises(DataError, match=r"have no pixels of a known class: .*\nmasks/0\.png: 255\n"):
        check(masked).without_faults(masked)
    memory = replace(masked, annotations=drawn(*[[0] * 5] * 40))
    pixels = {at: np.array([5, 0, 0]) for at in range(40)}
    with pytest.raises(DataError, match=r"\nthe mask of picture 0: a\n"):
        replace(check(masked), pixels=pixels).without_faults(memory)


def test_what_colours_masks_hold_is_said(tmp_path: Path) -> None:
    Image.fromarray(np.array([[(1, 2, 3), (0, 0, 0)]], np.uint8)).save(tmp_path / "a.png")
    assert MaskFiles(tmp_path, ["a.png"], Coding({}, {(0, 0, 0): 0})).held(0) == "(0 0 0), (1 2 3)"


def test_a_split_without_a_usable_mask_is_not_called_undecodable(masked: Index, tmp_path: Path) -> None:
    for at in range(30, 40):
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / f"masks/{at}.png")
    with pytest.raises(
        DataError, match=r"None of the pictures of the val split \(10\) can be used, for themselves or for"
    ):
        check(masked).without_faults(masked, 0.9)


def test_closeness_is_kept_for_the_positions_asked_for() -> None:
    mask = torch.tensor([[1, 1, 0, 2, 0, 0, 255]], dtype=torch.uint8)
    masks = Masks(DrawnMasks([mask, mask.flip(1), mask], ["a", "b", "c"])).with_closeness(np.array([2, 1]), sigma=2.0)
    expected = (255 * np.exp(-4 / 8)).round()
    assert masks.target(2).closeness[0, 2] == masks.target(1).closeness[0, 4] == expected
    assert masks.target(2).closeness[0, [0, 1, 3]].tolist() == [0, 0, 0]


def test_closeness_is_that_of_the_classes_as_they_are_called_now() -> None:
    mask = torch.tensor([[0, 0, 1, 0]], dtype=torch.uint8)  # 1 is background here
    masks = Masks(DrawnMasks([mask], ["a"])).relabelled(np.array([1, 0])).with_closeness(np.array([0]), sigma=2.0)
    assert masks.target(0).closeness.tolist() == [[0, 0, round(255 * np.exp(-4 / 8)), 0]]
