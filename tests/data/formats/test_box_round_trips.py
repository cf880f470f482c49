"""From one format of boxes to the next and back."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline.data.annotations import ClassLabels, Objects
from sightline.data.formats import coco, read, voc, yolo
from sightline.data.index import Index
from sightline.data.names import Names
from sightline.data.sources import TensorSource
from sightline.errors import DataError

FORMATS = {"coco": coco, "voc": voc, "yolo": yolo}
TOLERANCE = {"coco": 0.0, "voc": 0.5, "yolo": 1e-4}
"""Pixels by which an edge may move: VOC's are whole, YOLO's have seven decimals."""


def rows(index: Index) -> dict[str, list[tuple[object, ...]]]:
    """File name -> class name, flags and edges of each box."""
    held = {}
    for position in range(len(index)):
        target = index.annotations.target(position)
        columns = (target.labels, target.crowd, target.difficult, target.boxes)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        named = [(index.class_names[label], crowd, difficult, *box) for label, crowd, difficult, box in rows]
        held[Path(index.source.name(position)).name] = named
    return held


def assert_close(ours: Index, theirs: Index, pixels: float) -> None:
    assert rows(ours).keys() == rows(theirs).keys()
    for name, boxes in rows(theirs).items():
        for here, there in zip(rows(ours)[name], boxes, strict=True):
            assert here[:3] == there[:3]
            assert here[3:] == pytest.approx(there[3:], abs=pixels + 1e-6)
    assert {split: len(held) for split, held in ours.splits.items()} == {
        split: len(held) for split, held in theirs.splits.items()
    }
    assert ours.class_names == theirs.class_names


def test_around_all_formats(make_boxes: Callable[..., Index], tmp_path: Path) -> None:
    first = [(0, 0, 40, 30, 0), (1.25, 2.3, 13.4, 4.7, 2, 1), (5, 5, 9, 9, 2, 0, 1), (37.6, 27.6, 40, 30, 1)]
    index = make_boxes(first, [], [(7.5, 8.5, 9.5, 10.5, 0)], splits={"train": [0, 1], "test": [2]})
    coco.write(index, tmp_path / "coco")
    said = voc.write(read(tmp_path / "coco"), tmp_path / "voc")
    assert "1 crowd is written as difficult" in said[0]
    assert_close(read(tmp_path / "voc"), index, pixels=0.5)
    lost = yolo.write(read(tmp_path / "voc"), tmp_path / "yolo")
    assert lost == (
        "1 crowd is left out: YOLO has no sign for them.",
        "1 difficult object is written as an ordinary one.",
    )
    coco.write(read(tmp_path / "yolo"), tmp_path / "again")
    again = read(tmp_path / "again")
    expected = make_boxes(
        [first[0], (*first[2][:5],), first[3]], [], [(7.5, 8.5, 9.5, 10.5, 0)], splits={"train": [0, 1], "test": [2]}
    )
    assert_close(again, expected, pixels=0.5)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[list[list[tuple[float, ...]]], list[str]]:
    """Boxes in three pictures of 40 x 30 pixels, of two pixels or more, and the split of each picture."""
    edge = st.floats(0, 1, width=32)

    def row() -> tuple[float, ...]:
        left, top = draw(edge) * 37, draw(edge) * 27
        right, bottom = left + 2 + draw(edge) * (38 - left), top + 2 + draw(edge) * (28 - top)
        return left, top, min(right, 40.0), min(bottom, 30.0), draw(st.integers(0, 2))

    held = [[row() for _ in range(draw(st.integers(0, 3)))] for _ in range(3)]
    return held, draw(st.lists(st.sampled_from(["train", "val"]), min_size=3, max_size=3))


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(made=pictures())
def test_reading_undoes_writing(
    name: str,
    made: tuple[list[list[tuple[float, ...]]], list[str]],
    make_boxes: Callable[..., Index],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    held, splits = made
    index = make_boxes(*held, splits={split: [p for p in range(3) if splits[p] == split] for split in set(splits)})
    out = tmp_path_factory.mktemp("out") / "set"
    FORMATS[name].write(index, out)
    again = read(out)
    assert again.format == name
    assert again.faults.lines == ()
    assert_close(again, index, TOLERANCE[name])


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_pictures_that_are_no_files_become_png(format: ModuleType, tmp_path: Path) -> None:
    images = torch.arange(2 * 6 * 8, dtype=torch.uint8).view(2, 1, 6, 8)
    boxes = [np.array([[1, 2, 5, 6]], np.float32), np.empty((0, 4), np.float32)]
    index = Index(
        source=TensorSource(images, ["one", "two"]),
        annotations=Objects.of(boxes, [np.array([0]), np.array([], np.int64)]),
        class_names=("x: #1", "yes"),
        splits={},
        format="made",
    )
    format.write(index, tmp_path / "out")
    again = read(tmp_path / "out")
    assert again.class_names == index.class_names
    assert torch.equal(again.source.image(0), images[0].expand(3, -1, -1))
    assert again.annotations.target(0).boxes.tolist() == [[1, 2, 5, 6]]


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_equal_names_from_different_folders(
    format: ModuleType, make_boxes: Callable[..., Index], tmp_path: Path
) -> None:
    index = make_boxes([(1, 1, 9, 9, 0)], [(2, 2, 8, 8, 1)], names="ab")
    source = index.source
    (source.root / "deeper").mkdir()  # type: ignore[attr-defined]
    (source.root / "1.jpg").rename(source.root / "deeper/0.jpg")  # type: ignore[attr-defined]
    source.names = Names([source.name(0), "deeper/0.jpg"])  # type: ignore[attr-defined]
    said = format.write(index, tmp_path / "out")
    again = read(tmp_path / "out")
    found = {again.source.name(p).partition("/")[2]: again.annotations.target(p).labels.tolist() for p in range(2)}
    if format is voc:  # which has all pictures in one folder
        assert found == {"0.jpg": [0], "0_1.jpg": [1]}
        assert said == ("1 picture has another name, since its own was taken (first: deeper/0.jpg is 0_1.jpg).",)
    else:
        assert found == {"0.jpg": [0], "deeper/0.jpg": [1]}
        assert said == ()


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_what_cannot_be_written(
    format: ModuleType, make_boxes: Callable[..., Index], make_index: Callable[..., Index], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"The data set \(idx\) has no boxes"):
        format.write(make_index(2, 2), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert isinstance(make_index(2).annotations, ClassLabels)
    index = make_boxes([(1, 1, 9, 9, 0)])
    (tmp_path / "source/0.jpg").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"0\.jpg: it cannot be read, so its annotations cannot be written"):
        format.write(index, tmp_path / "out")
    with pytest.raises(DataError, match="is not empty"):
        format.write(index, tmp_path / "source")


def test_real_sets_around_all_formats(real_set: Callable[..., Path], tmp_path: Path) -> None:
    official = coco.read(real_set("coco_cc", "det"))
    voc.write(official, tmp_path / "voc")
    as_voc = read(tmp_path / "voc")
    assert as_voc.faults.lines == ()
    assert_close(as_voc, official, pixels=0.5)
    yolo.write(as_voc, tmp_path / "yolo")
    coco.write(read(tmp_path / "yolo"), tmp_path / "coco")
    again = read(tmp_path / "coco")
    assert len(again.annotations.labels) == 352
    assert again.class_names == official.class_names
    picture = official.source.name(3)
    assert (tmp_path / "coco/train" / Path(picture).name).read_bytes() == (official.source.root / picture).read_bytes()  # type: ignore[attr-defined]
