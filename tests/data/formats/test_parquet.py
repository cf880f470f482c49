import io
import json
import multiprocessing
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.data.formats import image_folder, parquet, read
from sightline.data.formats.parquet import ParquetSource
from sightline.data.subset import only
from sightline.errors import DataError, ImageError, MissingDependencyError
from tests.data import sound

pa: Any = pytest.importorskip("pyarrow")
pq: Any = pytest.importorskip("pyarrow.parquet")


def picture(value: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 5), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def write(
    path: Path,
    labels: list[Any],
    first: int = 0,
    names: list[str] | None = None,
    columns: tuple[str, str] = ("image", "label"),
    rows_a_group: int = 3,
) -> Path:
    """Pictures of the values first, first + 1, ... with the given labels."""
    pictures = [{"bytes": picture(first + at), "path": None} for at in range(len(labels))]
    table = pa.table({columns[0]: pictures, columns[1]: labels})
    if names is not None:
        features = {columns[0]: {"_type": "Image"}, columns[1]: {"_type": "ClassLabel", "names": names}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows_a_group)
    return path


@pytest.mark.parametrize("below", ["", "data"])
def test_shards_and_splits(tmp_path: Path, below: str) -> None:
    write(tmp_path / below / "train-00000-of-00002.parquet", [0, 1, 0, 1], 0, ["cat", "dog"])
    write(tmp_path / below / "train-00001-of-00002.parquet", [1, 1], 10, ["cat", "dog"])
    write(tmp_path / below / "validation-00000-of-00001.parquet", [1], 20, ["cat", "dog"])
    index = read(tmp_path)
    assert index.format == "parquet"
    assert index.class_names == ("cat", "dog")
    assert {name: held.tolist() for name, held in index.splits.items()} == {"train": [0, 1, 2, 3, 4, 5], "val": [6]}
    assert index.labels.tolist() == [0, 1, 0, 1, 1, 1, 1]
    assert [int(index.source.image(p).max()) for p in range(7)] == [0, 1, 2, 3, 10, 11, 20]
    assert index.source.name(5) == "train-00001-of-00002.parquet row 1"


def test_shards_that_are_missing_are_named(tmp_path: Path) -> None:
    write(tmp_path / "data/test-1-of-2-1a2b.parquet", [0, 1], names=["cat", "dog"])
    write(tmp_path / "data/test-2-of-2-3c4d.parquet", [0, 1], names=["cat", "dog"])
    assert len(read(tmp_path)) == 4
    one = write(tmp_path / "data/train-00001-of-00003.parquet", [0, 1], names=["cat", "dog"])
    with pytest.raises(
        DataError, match=r"lacks 2 of .*: train-00000-of-00003\.parquet, train-00002-of-00003\.parquet\. Fetch them"
    ):
        read(tmp_path)
    assert len(read(one)) == 2


def test_a_single_file(tmp_path: Path) -> None:
    index = read(write(tmp_path / "photos.parquet", [1, 0], names=["a", "b"]))
    assert index.splits == {}
    assert read(write(tmp_path / "test.parquet", [1, 0], names=["a", "b"])).positions("test").tolist() == [0, 1]


def test_columns_of_other_names_are_found_in_the_metadata(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", [1, 0], names=["a", "b"], columns=("img", "fine_label"))
    assert read(path).labels.tolist() == [1, 0]
    with pytest.raises(DataError, match="expected a column 'image', got img, kind"):
        read(write(tmp_path / "train.parquet", [1, 0], columns=("img", "kind")))


def test_classes_without_metadata(tmp_path: Path) -> None:
    numbers = read(write(tmp_path / "train.parquet", [2, 0]))
    assert (numbers.class_names, numbers.labels.tolist()) == (("0", "2"), [1, 0])  # of 1 there is no picture
    assert numbers.notes == ("The files name no classes; classes are called by their numbers.",)
    words = read(write(tmp_path / "train.parquet", ["dog", "cat", "dog"]))
    assert (words.class_names, words.labels.tolist()) == (("cat", "dog"), [1, 0, 1])


def test_a_split_without_labels_is_left_out_aloud(tmp_path: Path) -> None:
    write(tmp_path / "test-0.parquet", [-1, -1], 10, ["a", "b"])
    write(tmp_path / "train-0.parquet", [0, 1], 0, ["a", "b"])
    index = read(tmp_path)
    assert len(index) == 2
    assert int(index.source.image(0).max()) == 0
    assert index.notes == ("The test split has no labels (all are -1) and is left out.",)


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [
        ([0, None, 1], "it has no label"),
        ([0, -1, 1], "its label is -1, none of the classes (a, b)"),
        ([0, 5, 1], "its label is 5, none of the classes (a, b)"),
        (["a", "x", "b"], "its label is 'x', none of the classes (a, b)"),
        (["a", None, "b"], "it has no label"),
    ],
)
def test_only_a_row_whose_label_is_none_is_left_out(tmp_path: Path, labels: list[Any], wrong: str) -> None:
    write(tmp_path / "test.parquet", [1, 1], 10, names=["a", "b"])
    write(tmp_path / "train.parquet", labels, names=["a", "b"])
    index = read(tmp_path)
    assert index.faults.lines == (f"train.parquet row 1: {wrong}; it is left out.",)
    assert (index.faults.pictures, index.faults.bad_pictures) == (5, 1)
    assert index.labels.tolist() == [1, 1, 0, 1]
    assert [int(index.source.image(p).max()) for p in range(4)] == [10, 11, 0, 2]
    assert index.source.name(3) == "train.parquet row 2"
    with pytest.raises(DataError, match=r"1 of 5 pictures \(20\.00%\) bad; 1\.00% may be lost"):
        index.faults.require_few()


def test_labels_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels are whole numbers or text"):
        read(write(tmp_path / "train.parquet", [0.5, 1.0], names=["a", "b"]))
    with pytest.raises(DataError, match=r"No row has a label that is one .*\ntrain\.parquet row 0: its label is 7"):
        read(write(tmp_path / "train.parquet", [7, 8], names=["a", "b"]))


def test_classes_of_several_files_are_matched_by_name(tmp_path: Path) -> None:
    write(tmp_path / "test-0.parquet", [0, 1], names=["b", "a"])
    write(tmp_path / "train-0.parquet", [0, 1], names=["a", "c"])
    index = read(tmp_path)
    assert [index.class_names[label] for label in index.labels] == ["b", "a", "a", "c"]
    assert index.notes == ("The files name different classes, or in another order; they are matched by their names.",)
    write(tmp_path / "train-0.parquet", [0, 1])
    with pytest.raises(DataError, match="differ in their class_names"):
        read(tmp_path)


def test_one_of_several_files_that_is_cut_short_is_left_out(tmp_path: Path) -> None:
    broken = write(tmp_path / "train-00000-of-00002.parquet", [0, 1])
    write(tmp_path / "train-00001-of-00002.parquet", [0, 1, 1], 10)
    write(tmp_path / "test-00000-of-00001.parquet", [0, 1], 20)
    broken.write_bytes(broken.read_bytes()[:-20])
    index = read(tmp_path)
    assert [int(index.source.image(p).max()) for p in range(len(index))] == [20, 21, 10, 11, 12]
    (line,) = index.faults.lines
    assert line.startswith("train-00000-of-00002.parquet: cannot be read as parquet (")
    assert line.endswith("fetch it again. It is left out with its pictures, about 3.")
    assert (index.faults.pictures, index.faults.bad_pictures) == (8, 3)


def test_a_truncated_file(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", [0, 1])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train\.parquet cannot be read as parquet .*fetch it again"):
        read(path)


def test_rows_without_a_picture(tmp_path: Path) -> None:
    pictures = [{"bytes": None, "path": "a.png"}, {"bytes": b"text", "path": None}]
    pq.write_table(pa.table({"image": pictures, "label": [0, 1]}), tmp_path / "train.parquet")
    source = read(tmp_path / "train.parquet").source
    with pytest.raises(ImageError, match=r"train\.parquet row 0: the row holds no picture"):
        source.image(0)
    with pytest.raises(ImageError, match=r"train\.parquet row 1: it begins with b'text'"):
        source.image(1)


def test_plain_bytes(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [picture(7), picture(8)], "label": [0, 1]}), tmp_path / "x.parquet")
    assert int(read(tmp_path / "x.parquet").source.image(1).max()) == 8


def test_row_groups_are_read_when_needed_and_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = read(write(tmp_path / "train.parquet", [0, 1] * 5)).source
    assert isinstance(source, parquet.ParquetSource)
    read_groups: list[int] = []
    really = source._read_group
    monkeypatch.setattr(source, "_read_group", lambda group: read_groups.append(group) or really(group))
    assert [int(source.image(p).max()) for p in (9, 0, 8, 2, 1, 9)] == [9, 0, 8, 2, 1, 9]
    assert read_groups == [3, 0, 2]
    monkeypatch.setattr(parquet, "KEPT_BYTES", 1)
    assert [int(source.image(p).max()) for p in (5, 9, 4)] == [5, 9, 4]
    assert read_groups == [3, 0, 2, 1, 3, 1]


def _sum(source: parquet.ParquetSource, answer: Any) -> None:
    answer.put([int(source.image(p).max()) for p in range(len(source))])


def test_other_processes_read_the_same(tmp_path: Path) -> None:
    source = read(write(tmp_path / "train.parquet", [0, 1] * 4)).source
    assert int(source.image(0).max()) == 0  # the file is open, as it is when a loader forks
    copy = pickle.loads(pickle.dumps(source))
    assert int(copy.image(7).max()) == 7
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    process = context.Process(target=_sum, args=(source, answer))
    process.start()
    assert answer.get(timeout=60) == list(range(8))
    process.join()


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "train.parquet", [0, 1])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'sightline\[parquet\]'"):
        read(path)


def test_real_set(real_set: Callable[[str], Path]) -> None:
    index = read(real_set("cifar10_parquet"))
    assert {name: len(held) for name, held in index.splits.items()} == {"train": 50_000, "test": 10_000}
    assert index.class_names[:3] == ("airplane", "automobile", "bird")
    assert set(index.class_counts("train").values()) == {5000}
    assert index.source.image(59_999).shape == (3, 32, 32)
    assert index.source.name(50_000).startswith("train-")


def test_pictures_are_copied_byte_for_byte(tmp_path: Path) -> None:
    jpegs = []
    for value in range(4):
        file = io.BytesIO()
        Image.fromarray(np.full((4, 5), 50 * value, np.uint8)).save(file, "JPEG")
        jpegs.append(file.getvalue())
    held: list[tuple[bytes | None, int | None]] = [(content, at % 2) for at, content in enumerate(jpegs)]
    index = only(read(sound.parquet(tmp_path / "set", {"train": held})), np.array([0, 1, 3]))
    assert [index.source.name(at).rpartition(" ")[2] for at in range(3)] == ["0", "1", "3"]
    parquet.write(index, tmp_path / "new")
    again = read(tmp_path / "new").source
    assert isinstance(again, ParquetSource)
    assert [again.content(at) for at in range(3)] == [jpegs[0], jpegs[1], jpegs[3]]
    image_folder.write(index, tmp_path / "folder")
    written = {path.name: path.read_bytes() for path in (tmp_path / "folder").rglob("*.*")}
    assert written == {"000000.jpg": jpegs[0], "000001.jpg": jpegs[1], "000002.jpg": jpegs[3]}
