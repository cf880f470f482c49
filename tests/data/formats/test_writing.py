"""Every format writes what it can hold, so that reading it gives the same again, and says what it cannot."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sightline.data.annotations import Annotations, ClassLabels, Objects
from sightline.data.formats import FORMATS, GOING_WITH, WRITERS
from sightline.data.formats.copying import own_name
from sightline.data.index import Index, natural_order
from sightline.data.masks import DrawnMasks, Masks
from sightline.data.sources import FileSource, TensorSource
from sightline.errors import DataError

SIDE = 6
KIND = {name: kind for kind, names in GOING_WITH.items() for name in names} | {"shards": Objects}
"""Of shards, which hold any, boxes."""


def written_to(name: str, folder: Path) -> Path:
    return folder / ("out.csv" if name == "csv" else "out")


def content(index: Index) -> list[tuple[object, ...]]:
    """Split, annotation and pixels of each picture, in an order of their own: all that a data set is but for names."""
    split_of = {position: split for split, held in index.splits.items() for position in held.tolist()}
    rows = []
    for position in range(len(index)):
        if index.splits and position not in split_of:
            continue
        match index.annotations:
            case ClassLabels():
                said: object = index.class_names[index.labels[position]]
            case Objects():
                target = index.annotations.target(position)
                columns = (
                    target.labels,
                    target.boxes.round(decimals=3),
                    target.crowd,
                    target.difficult,
                    target.areas.round(decimals=3),
                )
                said = [column.tolist() for column in columns]
            case Masks():
                said = index.annotations.target(position).mask.tolist()
        rows.append((split_of.get(position, ""), index.source.image(position).tolist(), said))
    return sorted(rows, key=str)


@st.composite
def data_sets(draw: st.DrawFn, name: str) -> Index:
    """What the format of that name can hold: a few pictures in memory, some in no split."""
    kind, count = KIND[name], draw(st.integers(3, 5))
    letters = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=8)
    usable = letters.filter(lambda text: text == text.strip() and "/" not in text and text[0] != ".")
    others = draw(st.lists(usable, min_size=2, max_size=3, unique_by=str.casefold))
    class_names = tuple(map(str, range(len(others)))) if name == "idx" else tuple(sorted(others, key=natural_order))
    if name == "coco masks":
        class_names = ("background", *(other for other in class_names if other != "background"))
    pixels = draw(st.binary(min_size=count, max_size=count))
    channels = 1 if name == "idx" else 3
    images = torch.tensor(list(pixels), dtype=torch.uint8)[:, None, None, None].repeat(1, channels, SIDE, SIDE)
    images[:, :, 0, 0] = torch.arange(count)[:, None]
    folder = draw(st.sampled_from(["", "deep/", "Straße/"]))
    # Each class has a picture to train on, as formats of folders ask for.
    labels = [at if at < len(class_names) else draw(st.integers(0, len(class_names) - 1)) for at in range(count)]
    divided = name == "idx" or draw(st.booleans())
    split = [
        "train" if at < len(class_names) else draw(st.sampled_from(["train", "val", "test", ""])) for at in range(count)
    ]
    splits = {key: np.flatnonzero(np.array(split) == key) for key in set(split) - {""}} if divided else {}
    return Index(
        source=TensorSource(images, [f"{folder}{at}.png" for at in range(count)]),
        annotations=draw(annotations(name, kind, labels, len(class_names))),
        class_names=class_names,
        splits=splits,
        format="made",
    )


@st.composite
def annotations(draw: st.DrawFn, name: str, kind: type, labels: list[int], classes: int) -> Annotations:
    if kind is ClassLabels:
        return ClassLabels(np.array(labels))
    if kind is Masks:
        values = [*range(classes), *([255] if name == "mask folder" else [])]
        row = st.lists(st.sampled_from(values), min_size=SIDE**2, max_size=SIDE**2)
        masks = [torch.tensor(draw(row), dtype=torch.uint8).view(SIDE, SIDE) for _ in labels]
        return Masks(DrawnMasks(masks, [str(at) for at in range(len(masks))]))
    flags = {"coco": (True, True), "voc": (True, True), "shards": (True, True), "yolo": (False, False)}[name]
    boxes, found, crowd, difficult = [], [], [], []
    for _ in labels:
        corners = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(draw(st.integers(0, 3)))]
        boxes.append(
            np.array([[x, y, x + draw(st.integers(2, 3)), y + draw(st.integers(1, 3))] for x, y in corners], float)
        )
        found.append(np.array([draw(st.integers(0, classes - 1)) for _ in corners], np.int64))
        crowd.append(np.array([flags[0] and draw(st.booleans()) for _ in corners], bool))
        difficult.append(np.array([flags[1] and draw(st.booleans()) for _ in corners], bool) & ~crowd[-1])
    return Objects.of(boxes, found, crowd, difficult)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_reading_undoes_writing(name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    index = data.draw(data_sets(name))
    path = written_to(name, tmp_path_factory.mktemp("made"))
    said = WRITERS[name](index, path)
    again = FORMATS[name](path)
    assert content(again) == content(index)
    assert again.class_names == index.class_names
    assert again.faults.lines == ()
    left = len(index) - sum(len(held) for held in index.splits.values()) if index.splits else 0
    assert len(again) == len(index) - left
    assert not left or any(re.match(rf"{left} pictures? (is|are) in no split", line) for line in said)
    if name not in ("idx", "parquet", "voc", "csv"):  # which have no names, or no folders, or all below one
        kept = [at for held in index.splits.values() for at in held.tolist()] if index.splits else range(len(index))
        assert {own_name(again, at) for at in range(len(again))} >= {own_name(index, at) for at in kept}


@pytest.fixture
def odd_names(tmp_path: Path) -> Callable[[type], Index]:
    """Files whose names are odd, one of them outside the data set; with annotations of a kind."""
    root = tmp_path / "made"
    names = ["train/1.png", "1.png", "deep/er/1.PNG", "../outside.png", f"{tmp_path}/absolute.png", "images/train/2",
             "a\\b.png", "1_1.png", "d/.hidden/é.png", "1.gif"]  # fmt: skip

    def make(kind: type) -> Index:
        for value, name in enumerate(names):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(np.full((4, 5), value, np.uint8))
            picture.save(root / name, "GIF" if name.endswith("gif") else "PNG")
        count = len(names)
        made: dict[type, Annotations] = {
            ClassLabels: ClassLabels(np.arange(count) % 2),
            Objects: Objects.of([np.array([[1.0, 1, 4, 3]])] * count, [np.array([at % 2]) for at in range(count)]),
            Masks: Masks(DrawnMasks([torch.full((4, 5), at % 2, dtype=torch.uint8) for at in range(count)], names)),
        }
        return Index(
            source=FileSource(root, names),
            annotations=made[kind],
            class_names=("background", "cat"),
            splits={},
            format="made",
        )

    return make


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "idx"])
def test_no_picture_is_lost_or_leaves_the_target(name: str, odd_names: Callable[[type], Index], tmp_path: Path) -> None:
    index = odd_names(KIND[name])
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    path = written_to(name, tmp_path)
    WRITERS[name](index, path)
    after = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(file.is_relative_to(path) for file in after)
    again = FORMATS[name](path)
    assert content(again) == content(index)
    if name not in ("csv", "parquet", "shards"):
        files = sorted(file.read_bytes() for file in after if "masks" not in file.parts)
        source = index.source
        assert isinstance(source, FileSource)
        assert [file for file in files if file[:3] in (b"\x89PN", b"GIF")] == sorted(
            source.path(at).read_bytes() for at in range(len(index))
        )


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_refused(name: str, odd_names: Callable[[type], Index], tmp_path: Path) -> None:
    write = WRITERS[name]
    kind = KIND[name]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").touch()
    (tmp_path / "taken.csv").touch()
    index = odd_names(kind)
    with pytest.raises(DataError, match=r"is not empty|exists already"):
        write(index, tmp_path / ("taken.csv" if name == "csv" else "taken"))
    for other in [other for other, names in GOING_WITH.items() if name not in names]:
        with pytest.raises(DataError, match="has no"):
            write(odd_names(other), written_to(name, tmp_path))
    assert not written_to(name, tmp_path).exists()
    with pytest.raises(DataError, match="no pictures to write"):
        write(index.divided({"train": np.array([], np.int64)}), written_to(name, tmp_path))


@pytest.mark.parametrize("bad", ["", " cat", "a\nb", "a\u2028b", "a\x07"])
def test_class_names_that_no_text_gives_back(bad: str, make_index: Callable[..., Index], tmp_path: Path) -> None:
    made = make_index(1, 1)
    index = Index(source=made.source, annotations=made.annotations, class_names=("dog", bad), splits={}, format="made")
    for name in ("image folder", "csv"):
        with pytest.raises(DataError, match="cannot be written"):
            WRITERS[name](index, written_to(name, tmp_path))
    WRITERS["parquet"](index, tmp_path / "out")
    assert FORMATS["parquet"](tmp_path / "out").class_names == ("dog", bad)


def test_what_a_class_cannot_be_called_as_a_folder(make_index: Callable[..., Index], tmp_path: Path) -> None:
    made = make_index(1, 1)
    for bad in ("a/b", "..", "x" * 256):
        index = Index(
            source=made.source, annotations=made.annotations, class_names=("dog", bad), splits={}, format="made"
        )
        with pytest.raises(DataError, match="No folder can be called"):
            WRITERS["image folder"](index, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_what_folders_and_tables_do_not_hold(make_index: Callable[..., Index], tmp_path: Path) -> None:
    made = make_index(2, 0, 1)
    index = Index(
        source=made.source, annotations=made.annotations, class_names=("dog", "emu", "cat"), splits={}, format="made"
    )
    said = (
        "The class emu has no pictures and is not written.",
        "Classes are in the order of their names, so their numbers are others.",
    )
    assert WRITERS["image folder"](index, tmp_path / "out") == said
    assert WRITERS["csv"](index, tmp_path / "table.csv")[-2:] == said


def test_a_class_called_like_a_split(tmp_path: Path) -> None:
    """Folders in it would be taken for classes of that split."""
    index = Index(
        source=TensorSource(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), ["deep/1.png", "deep/2.png"]),
        annotations=ClassLabels(np.array([0, 1])),
        class_names=("test", "train"),
        splits={},
        format="made",
    )
    WRITERS["image folder"](index, tmp_path / "out")
    again = FORMATS["image folder"](tmp_path / "out")
    assert (again.class_names, again.splits) == (index.class_names, {})


def test_idx_holds_grey_of_one_size(make_index: Callable[..., Index], tmp_path: Path) -> None:
    index = make_index(1, 2)
    said = WRITERS["idx"](index, tmp_path / "out")
    assert said == (
        "The data set has no splits; all of it is written as train.",
        "3 pictures had colours; only their brightness is written.",
        "Classes have no names in it; their numbers are 0 a, 1 b.",
        "Pictures have no names in it; they are called by file and number.",
    )
    again = FORMATS["idx"](tmp_path / "out")
    grey = (index.source.image(0).float() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    assert (again.source.image(0)[0] - grey).abs().max() < 1
    for number, side in enumerate((4, 5)):
        Image.fromarray(np.zeros((side, side), np.uint8)).save(tmp_path / f"{number}.png")
    files = Index(
        source=FileSource(tmp_path, ["0.png", "1.png"]),
        annotations=ClassLabels(np.array([0, 1])),
        class_names=("0", "1"),
        splits={},
        format="made",
    )
    with pytest.raises(DataError, match=r"1\.png has 5 x 5 pixels, and the first picture 4 x 4"):
        WRITERS["idx"](files, tmp_path / "other")


def test_outlines_stay_outlines(tmp_path: Path) -> None:
    """Polygons are not turned into pixels on the way."""
    images = torch.zeros(1, 1, 8, 9, dtype=torch.uint8)
    first = Index(
        source=TensorSource(images, ["1.png"]),
        annotations=Masks(DrawnMasks([torch.zeros(8, 9, dtype=torch.uint8)], ["1.png"])),
        class_names=("background", "cat"),
        splits={},
        format="made",
    )
    WRITERS["coco masks"](first, tmp_path / "out")
    file = tmp_path / "out/annotations/instances_default.json"
    objects = (
        '{"id": 1, "image_id": 1, "category_id": 2, "segmentation": [[1, 1, 6.5, 1, 6.5, 5], [0, 6, 2, 6, 2, 8]]}',
        '{"id": 2, "image_id": 1, "category_id": 2, "segmentation": {"counts": [60, 4, 8], "size": [8, 9]}}',
    )
    file.write_text(file.read_text().replace('"annotations": []', f'"annotations": [{", ".join(objects)}]'))
    index = FORMATS["coco masks"](tmp_path / "out")
    assert index.annotations.counts(np.array([0]), 2)[1] > 10
    WRITERS["coco masks"](index, tmp_path / "again")
    text = (tmp_path / "again/annotations/instances_default.json").read_text()
    assert '"segmentation": [[1.0, 1.0, 6.5, 1.0, 6.5, 5.0], [0.0, 6.0, 2.0, 6.0, 2.0, 8.0]]' in text
    assert '"segmentation": {"counts": [60, 4, 8], "size": [8, 9]}, "bbox": [7, 4, 1, 4], "area": 4' in text
    assert content(FORMATS["coco masks"](tmp_path / "again")) == content(index)


def test_coco_adds_background_and_forgets_what_is_ignored(tmp_path: Path) -> None:
    masks = [torch.tensor([[0, 1, 255]], dtype=torch.uint8)]
    index = Index(
        source=TensorSource(torch.zeros(1, 1, 1, 3, dtype=torch.uint8), ["1.png"]),
        annotations=Masks(DrawnMasks(masks, ["1.png"])),
        class_names=("no", "yes"),
        splits={},
        format="made",
    )
    assert WRITERS["coco masks"](index, tmp_path / "out") == (
        "Class 0 of COCO's outlines is background; the other classes follow it.",
        "1 pixel that is ignored becomes background: COCO has no sign for what is ignored.",
    )
    again = FORMATS["coco masks"](tmp_path / "out")
    assert again.class_names == ("background", "no", "yes")
    assert again.annotations.target(0).mask.tolist() == [[1, 2, 0]]  # type: ignore[union-attr]
