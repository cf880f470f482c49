from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.data.formats import csv_table, read
from sightline.data.index import Index
from sightline.errors import DataError

MakeFolder = Callable[..., Path]


@pytest.fixture
def table(make_folder: MakeFolder) -> Callable[[str], Path]:
    folder = make_folder("1.png", "more/2.png", "3, three.png")

    def write(text: str, encoding: str = "utf-8") -> Path:
        path = folder / "table.csv"
        path.write_text(text, encoding=encoding)
        return path

    return write


def test_paths_labels_and_splits(table: Callable[..., Path], tmp_path: Path) -> None:
    rows = f'split,label,path\ntrain, cat ,1.png\nvalid,dog,{tmp_path}/set/more/2.png\nTest,ant,"3, three.png"\n'
    for encoding in ("utf-8", "utf-8-sig"):
        index = read(table(rows, encoding))
        assert index.class_names == ("ant", "cat", "dog")
        assert index.labels.tolist() == [1, 2, 0]
        assert {name: held.tolist() for name, held in index.splits.items()} == {"train": [0], "val": [1], "test": [2]}
        assert [int(index.source.image(p).max()) for p in range(3)] == [0, 1, 2]


def test_without_splits_and_with_further_columns(table: Callable[..., Path]) -> None:
    index = read(table("path,label,who\n1.png,a,me\nmore/2.png,b,you\n"))
    assert index.splits == {}
    assert index.notes == ("table.csv: the columns who are not used.",)


def test_rows_without_a_split_are_in_none_and_counted(table: Callable[..., Path]) -> None:
    index = read(table("path,label,split\n1.png,a,train\nmore/2.png,b,\n"))
    assert {name: held.tolist() for name, held in index.splits.items()} == {"train": [0]}
    assert index.notes == ("table.csv: 1 of 2 rows have no split, and are in none.",)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("file,label\n1.png,a\n", r"table\.csv line 1: expected the columns path,label\[,split\], got file,label\."),
        ("path;label\n1.png;a\n", "separated by semicolons"),
        ("", "got nothing"),
        ("path,label,label\n1.png,a,b\n", "named twice"),
        ("path,label\n", "a header and no rows"),
        ("path,label\n1.png,a\nmore/2.png,\n", "line 3: the label is empty"),
        ("path,label\n1.png,a\n ,b\n", "line 3: the path is empty"),
        (
            "path,label,split\n1.png,a,train\nmore/2.png,b,holdout\n",
            "line 3: unknown split 'holdout'; expected one of train, training, val",
        ),
        ("path,label\n1.png,a\n4.png,b\n5.png,b\n", r"line 3: there is no file 4\.png \(and 1 more lines.*relative to"),
        ("path,label\n1.png,a\n1.png,b\n", r"line 3: 1\.png was listed before, in line 2"),
        ("path,label\n1.png,a,b\n", "line 2: it has more or fewer fields"),
        ("path,label\n1.png\n", "line 2: it has more or fewer fields"),
        ('path,label\n"1.png,a\n', "line 2: this is no CSV"),
        ('path,label\n1.png,a\n\n"more/2.png,b\n5.png,c\n', "line 4: this is no CSV"),
        (f"path,label\n1.png,a\nmore/2.png,{'b' * 2**17}b\n", "line 3: this is no CSV"),
        ("path,label\n1.png,a\n\nmore/2.png,\n", "line 4: the label is empty"),
        ("path,label\n1.png,a\nmore/2.png,a\n", r"one class only \(a\)"),
    ],
)
def test_errors_name_the_line(table: Callable[..., Path], text: str, error: str) -> None:
    with pytest.raises(DataError, match=error):
        read(table(text))


def test_other_encodings_are_refused(table: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"is not UTF-8 text \(byte 17\)"):
        read(table("path,label\n1.png,\xe9\n", "latin-1"))


def test_read_undoes_write(table: Callable[..., Path], tmp_path: Path, make_index: Callable[..., Index]) -> None:
    index = read(table('path,label,split\n1.png,"a, or b",train\nmore/2.png,c,\n"3, three.png",c,test\n'))
    for copy in (tmp_path / "set" / "copy.csv", tmp_path / "elsewhere" / "copy.csv"):
        assert csv_table.write(index, copy) == ("1 picture is in no split and is not written.",)
        again = read(copy)
        assert again.class_names == index.class_names
        assert again.labels.tolist() == [0, 1]
        assert {name: held.tolist() for name, held in again.splits.items()} == {"train": [0], "test": [1]}
        assert [int(again.source.image(p).max()) for p in range(2)] == [0, 2]
    assert (tmp_path / "set/copy.csv").read_text().splitlines()[1] == '1.png,"a, or b",train'
    with pytest.raises(DataError, match=r"copy\.csv exists already"):
        csv_table.write(index, tmp_path / "set/copy.csv")
    with pytest.raises(DataError, match=r"write to .*/x\.csv"):
        csv_table.write(index, tmp_path / "x")


def test_pictures_that_are_no_files_lie_beside_the_table(tmp_path: Path, make_index: Callable[..., Index]) -> None:
    index = make_index(1, 1, splits={"train": [0], "val": [1]})
    (said,) = csv_table.write(index, tmp_path / "x.csv")
    assert said == "The pictures are no files: they are written as PNG into x/, beside the table."
    again = read(tmp_path / "x.csv")
    assert [again.source.name(p) for p in range(2)] == ["x/train/000000.png", "x/val/000001.png"]
    assert (again.source.image(1) == index.source.image(1)).all()


def test_names_with_any_line_break_come_back(tmp_path: Path) -> None:
    names = ["a\rb.png", "c\nd.png", "e\r\nf.png", 'g"h.png', "i, j.png"]
    (tmp_path / "table.csv").write_bytes(
        csv_table.text_of_rows([("path", "label"), *((name, "x") for name in names)]).encode()
    )
    rows, _ = csv_table.read_rows(tmp_path / "table.csv")
    assert [row.path for row in rows] == names
    assert [row.line for row in rows][:2] == [2, 4], "a lone \\r begins a line for all readers"
