"""From one format to the next, and around."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.data.annotations import ClassLabels, Objects
from sightline.data.formats import FORMATS, WRITERS, read
from sightline.data.index import Index
from sightline.data.masks import DrawnMasks, Masks
from sightline.data.sources import TensorSource
from sightline.errors import ConfigError, DataError, InputError, UnknownNameError
from sightline.training.runlog import Silence
from sightline.workflows.convert import convert
from tests.data import sound

REAL_SETS = Path(__file__).parents[2].parent / "shared/data"


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """A COCO data set with everything that there is: parts of pixels, a crowd, a difficult object, the area of an outline."""
    pictures = torch.zeros(3, 1, 30, 40, dtype=torch.uint8)
    held = [
        np.array([[0, 0, 40, 30], [1.25, 2.3, 13.4, 4.7], [5, 5, 9, 9], [37.6, 27.6, 40, 30]], np.float32),
        np.empty((0, 4), np.float32),
        np.array([[7.5, 8.5, 9.5, 10.5]], np.float32),
    ]
    index = Index(
        source=TensorSource(pictures, ["one/1.png", "one/2.png", "3.png"]),
        annotations=Objects.of(
            held,
            [np.array([0, 2, 2, 1]), np.array([], np.int64), np.array([0])],
            crowd=[np.array([0, 1, 0, 0], bool), np.array([], bool), np.array([0], bool)],
            difficult=[np.array([0, 0, 1, 0], bool), np.array([], bool), np.array([0], bool)],
            areas=[np.array([700, 20, 16, 5.76]), np.array([]), np.array([4])],
        ),
        class_names=("cell", "dust", "a clump"),
        splits={"train": np.array([0, 1]), "test": np.array([2])},
        format="made",
    )
    WRITERS["coco"](index, tmp_path / "first")
    return tmp_path / "first"


def rows(index: Index) -> dict[str, list[tuple[object, ...]]]:
    """File name -> split, class name, crowd, difficult and edges of each box."""
    split_of = {position: split for split, held in index.splits.items() for position in held.tolist()}
    held = {}
    for at in range(len(index)):
        target = index.annotations.target(at)
        columns = (target.labels, target.crowd, target.difficult, target.boxes)  # type: ignore[union-attr]
        each = zip(*(column.tolist() for column in columns), strict=True)
        held[Path(index.source.name(at)).name] = [
            (split_of.get(at), index.class_names[label], crowd, difficult, *box)
            for label, crowd, difficult, box in each
        ]
    return held


def assert_same(ours: Index, theirs: dict[str, list[tuple[object, ...]]], pixels: float) -> None:
    found = rows(ours)
    assert found.keys() == theirs.keys()
    for name, there in theirs.items():
        assert [row[:4] for row in found[name]] == [row[:4] for row in there]
        assert [edge for row in found[name] for edge in row[4:]] == pytest.approx(
            [edge for row in there for edge in row[4:]], abs=pixels + 1e-4
        )


def test_from_coco_to_voc_to_yolo_to_coco(boxes: Path, tmp_path: Path) -> None:
    first = rows(read(boxes))
    voc = convert(boxes, tmp_path / "voc", "voc")
    assert voc.lost == (
        "1 crowd is written as difficult, with an element iscrowd that other programs ignore.",
        "Areas of outlines are not written: VOC has those of boxes only.",
        "The edges of 3 boxes are rounded to whole pixels.",
    )
    assert (voc.read_as, voc.pictures, voc.splits, voc.task) == ("coco", 3, {"train": 2, "test": 1}, "detection")
    assert_same(read(tmp_path / "voc"), first, pixels=0.5)
    yolo = convert(tmp_path / "voc", tmp_path / "yolo", "yolo")
    assert yolo.lost == (
        "1 crowd is left out: YOLO has no sign for them.",
        "1 difficult object is written as an ordinary one.",
    )
    expected = {name: [(*row[:3], False, *row[4:]) for row in held if not row[2]] for name, held in first.items()}
    assert_same(read(tmp_path / "yolo"), expected, pixels=0.5)
    last = convert(tmp_path / "yolo", tmp_path / "last", "coco")
    assert last.lost == ()
    assert last.class_names == ("cell", "dust", "a clump")
    assert_same(read(tmp_path / "last"), expected, pixels=0.5)
    names = [Path(held.source.name(at)).name for held in (read(boxes), read(tmp_path / "last")) for at in range(3)]
    assert names[:3] == names[3:]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "format"), [("bccd_voc", "voc"), ("coco_cc", "coco")])
def test_real_sets_around_all_formats(name: str, format: str, tmp_path: Path) -> None:
    path = REAL_SETS / "det" / name
    if not path.exists():
        pytest.skip(f"the real data set {path} is not on this machine")
    index = read(path, format)
    first = rows(index)
    convert(path, tmp_path / "coco", "coco", format=format)
    assert_same(read(tmp_path / "coco"), first, pixels=0)
    convert(tmp_path / "coco", tmp_path / "voc", "voc")
    assert_same(read(tmp_path / "voc"), first, pixels=0.5)
    convert(tmp_path / "voc", tmp_path / "yolo", "yolo")
    convert(tmp_path / "yolo", tmp_path / "last", "coco")
    expected = {name: [(*row[:3], False, *row[4:]) for row in held if not row[2]] for name, held in first.items()}
    last = read(tmp_path / "last")
    assert_same(last, expected, pixels=0.5)
    assert last.class_names == index.class_names
    sizes = {name: file.stat().st_size for file in (tmp_path / "last").rglob("*.jp*g") for name in [file.name]}
    assert sizes == {Path(name).name: (path / name).stat().st_size for name in index.source.names}  # type: ignore[attr-defined]


def test_classes_around_all_formats(tmp_path: Path) -> None:
    images = torch.arange(4, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 5, 6)
    index = Index(
        source=TensorSource(images, ["a.png", "b.png", "c.png", "d.png"]),
        annotations=ClassLabels(np.array([0, 1, 0, 1])),
        class_names=("0", "1"),
        splits={"train": np.array([0, 1]), "val": np.array([2, 3])},
        format="made",
    )
    WRITERS["image folder"](index, tmp_path / "folder")
    path = tmp_path / "folder"
    for format, out in (("csv", "t.csv"), ("parquet", "p"), ("idx", "i"), ("image folder", "f")):
        result = convert(path, tmp_path / out, format)
        assert (result.format, result.splits, result.class_names) == (format, {"train": 2, "val": 2}, ("0", "1"))
        path = tmp_path / out
    again = read(path)
    assert {int(again.source.image(at).max()): int(again.labels[at]) for at in range(4)} == {0: 0, 1: 1, 2: 0, 3: 1}


def test_masks_to_outlines_and_back(tmp_path: Path) -> None:
    masks = torch.randint(0, 3, (2, 7, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    index = Index(
        source=TensorSource(torch.zeros(2, 1, 7, 8, dtype=torch.uint8), ["a.png", "b.png"]),
        annotations=Masks(DrawnMasks(list(masks), ["a", "b"])),
        class_names=("background", "road", "tree"),
        splits={},
        format="made",
    )
    WRITERS["mask folder"](index, tmp_path / "masks")
    assert convert(tmp_path / "masks", tmp_path / "coco", "coco masks").lost == ()
    result = convert(tmp_path / "coco", tmp_path / "again", "mask folder", format="coco masks")
    assert result.class_names == index.class_names
    again = read(tmp_path / "again")
    assert [again.annotations.target(at).mask.tolist() for at in range(2)] == masks.tolist()  # type: ignore[union-attr]
    assert convert(tmp_path / "coco", tmp_path / "boxes", "yolo").pictures == 2  # the same file has boxes as well


def test_what_is_refused(boxes: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown format to write 'coko'\. Did you mean 'coco'"):
        convert(boxes, tmp_path / "out", "coko")
    with pytest.raises(UnknownNameError, match="ilsvrc"):
        convert(boxes, tmp_path / "out", "ilsvrc")
    with pytest.raises(
        InputError, match=r"has boxes, which 'idx' cannot hold. Formats that can: coco, voc, yolo, shards\."
    ):
        convert(boxes, tmp_path / "out", "idx")
    with pytest.raises(DataError, match="is not empty"):
        convert(boxes, boxes.parent, "voc")
    with pytest.raises(InputError, match="would become a part of it"):
        convert(boxes, boxes / "out", "voc")
    assert not (boxes / "out").exists()
    (boxes / "xmls").mkdir()
    (boxes / "xmls/1.xml").write_text("<annotation></annotation>")
    with pytest.raises(ConfigError, match=r"read as coco and as voc\. Say which with --from coco or --from voc"):
        convert(boxes, tmp_path / "out", "yolo")


def test_what_cannot_be_read_again_is_not_left(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for name in ("a/1.png", "b/2.png"):
        (folder / name).parent.mkdir(parents=True)
        Image.new("L", (4, 4)).save(folder / name)
    (tmp_path / "idx").mkdir()
    sound.idx_file(tmp_path / "idx/train-images-idx3-ubyte.gz", np.zeros((2, 4, 4), np.uint8))
    sound.idx_file(tmp_path / "idx/train-labels-idx1-ubyte.gz", np.ones(2, np.uint8))
    with pytest.raises(DataError, match=r"nothing is left at .*out: .*/out holds one class only \(1\)"):
        convert(tmp_path / "idx", tmp_path / "out", "image folder")
    (folder / "b/2.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"b/2\.png"):
        convert(folder, tmp_path / "out", "idx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["idx", "set"]


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_can_be_read(name: str) -> None:
    assert name in FORMATS


def test_the_faults_of_what_is_read_are_said(boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = boxes / "annotations/instances_test.json"
    file.write_text(file.read_text().replace("[7.5, 8.5, 2.0, 2.0]", "[7.5, 8.5, 0, 2]"))
    said: list[str] = []
    listener = Silence()
    monkeypatch.setattr(listener, "say", said.append)
    result = convert(boxes, tmp_path / "out", "yolo", listener=listener)
    assert result.left_out == (
        "annotations/instances_test.json: annotation 1: cell [7.5, 8.5, 0, 2] has no area, and is left out.",
    )
    assert result.left_out[0] in said
