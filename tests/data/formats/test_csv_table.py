from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data.formats import csv_table, read, shard_writing
from sightline.data.formats.csv_rows import read_rows
from sightline.data.index import Index
from sightline.data.subset import only
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


BACKSLASHES = "table.csv: backslashes in paths are read as slashes ({})."
WITHOUT = "table.csv: no file is where its row says ({}); the paths are read without {} at their beginning."


@pytest.mark.parametrize(
    ("first", "second", "note"),
    [
        ("1.png", r"more\2.png", BACKSLASHES.format(r"more\2.png")),
        (r"C:\my data\1.png", r"C:\my data\more\2.png", WITHOUT.format(r"C:\my data\1.png", "C:/my data/")),
        ("/home/me/1.png", "/home/me/more/2.png", WITHOUT.format("/home/me/1.png", "/home/me/")),
        ("../set 2/1.png", "../set 2/more/2.png", WITHOUT.format("../set 2/1.png", "../set 2/")),
    ],
)
def test_paths_of_another_machine(table: Callable[..., Path], first: str, second: str, note: str) -> None:
    index = read(table(f"path,label\n{first},a\n{second},b\n"))
    assert [index.source.name(at) for at in range(2)] == ["1.png", "more/2.png"]
    assert index.notes == (note,)


def test_a_backslash_may_be_part_of_a_name(table: Callable[..., Path]) -> None:
    path = table("path,label\n1.png,a\nmore\\2.png,b\n")
    (path.parent / "1.png").rename(path.parent / "more\\2.png")
    (path.parent / "more/2.png").rename(path.parent / "1.png")
    index = read(path)
    assert ([index.source.name(at) for at in range(2)], index.notes) == (["1.png", "more\\2.png"], ())


def test_without_splits_and_with_further_columns(table: Callable[..., Path]) -> None:
    index = read(table("path,label,who\n1.png,a,me\nmore/2.png,b,you\n"))
    assert index.splits == {}
    assert index.notes == ("table.csv: the column who is not used.",)


def test_rows_without_a_split_are_in_none_and_counted(table: Callable[..., Path]) -> None:
    index = read(table("path,label,split\n1.png,a,train\nmore/2.png,b,\n"))
    assert {name: held.tolist() for name, held in index.splits.items()} == {"train": [0]}
    assert index.notes == ("table.csv: 1 of 2 rows have no split, and are in none.",)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("where,label\n1.png,a\n", r"table\.csv line 1: expected the columns path,label\[,split\], got where,label\. Name"),
        ("", "got nothing"),
        ("path,label,label\n1.png,a,b\n", "line 1: which column is the label is not clear: label, label"),
        ("image,File,label\n1.png,2.png,b\n", "line 1: which column is the path is not clear: image, File. Call one of them"),
        ("filename,class,xmin,ymin\n1.png,a,1,2\n", "speak of boxes, .* Write the boxes as COCO"),
        ("path,label\n", "a header and no rows"),
        ("path,label\n4.png,b\n5.png,b\n", r"line 2: there is no file 4\.png, nor any of the 2 .* relative to"),
        ("path,label\n1.png\n2.png\n", r"has no row that can be used:\ntable\.csv line 2: it has 1 fields, and the header 2 "),
        ('path,label\n"1.png,a\n', "line 2: this is no CSV"),
        ('path,label\n1.png,a\n\n"more/2.png,b\n5.png,c\n', "line 4: this is no CSV"),
        (f"path,label\n1.png,a\nmore/2.png,{'b' * 2**17}b\n", "line 3: this is no CSV"),
        ("path,label\n1.png,a\nmore/2.png,a\n", r"one class only \(a\)"),
        ("path,label\n1.png,a\nmore/2.png,\n", r"one class only \(a\).*\ntable\.csv line 3: the label is empty"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_pictures(table: Callable[..., Path], text: str, error: str) -> None:
    with pytest.raises(DataError, match=error):
        read(table(text))


GOOD = "1.png,a,train\nmore/2.png,b,train\n"


@pytest.mark.parametrize(
    ("row", "kind", "line"),
    [
        ('"3, three.png",,train', "bad entry", "table.csv line 4: the label is empty; it is left out."),
        (" ,b,train", "bad entry", "table.csv line 4: the path is empty; it is left out."),
        ('"3, three.png",b,holdout', "bad entry", "table.csv line 4: unknown split 'holdout', expected one of train, training, val"),
        ("3, three.png,b,test", "bad entry", "table.csv line 4: it has 4 fields, and the header 3 (fields with separators"),
        ("5.png,b,test", "missing picture", "table.csv line 4: there is no file 5.png; it is left out."),
    ],
)  # fmt: skip
def test_only_a_bad_row_is_left_out(table: Callable[..., Path], row: str, kind: str, line: str) -> None:
    index = read(table(f"path,label,split\n{GOOD}{row}\n"))
    assert [index.source.name(p) for p in range(len(index))] == ["1.png", "more/2.png"]
    assert index.class_names == ("a", "b")
    assert [concern.kind for concern in index.faults.concerns] == [kind]
    assert index.faults.lines[0].startswith(line)
    assert (index.faults.pictures, index.faults.bad_pictures) == (3, 1)
    with pytest.raises(DataError, match=r"1 of 3 pictures \(33\.33%\) bad; 1\.00% may be lost"):
        index.faults.require_few()


def test_all_bad_rows_are_named_at_once(table: Callable[..., Path]) -> None:
    index = read(table(f"path,label,split\n{GOOD}5.png,b,\n\n,b,train\n6.png,b,train\n"))
    assert [line.partition(":")[0] for line in index.faults.lines] == [f"table.csv line {n}" for n in (6, 4, 7)]


@pytest.mark.parametrize(
    ("again", "splits", "said"),
    [
        ("1.png,a,train", {"train": [0, 1]}, "line 2."),
        ("1.png,a,test", {"train": [1], "test": [0]}, "line 2, in train and in test; it stays in test."),
        ("1.png,a,", {"train": [0, 1]}, "line 2, in train and in no split; it stays in train."),
        ("1.png,b,train\n1.png,c,train", {"train": [0]}, "line 2, as a and not as b; the picture is left out."),
    ],
)
def test_a_picture_in_two_rows(table: Callable[..., Path], again: str, splits: dict[str, list[int]], said: str) -> None:
    index = read(table(f'path,label,split\n{GOOD}{again}\n"3, three.png",c,val\n'))
    assert index.faults.lines[0] == f"table.csv line 4: 1.png was listed before, in {said}"
    assert (index.faults.pictures, index.faults.bad_pictures) == (3, 1)
    there = {split: held.tolist() for split, held in index.splits.items() if split != "val"}
    assert there == splits


def test_columns_and_separators_that_others_write(table: Callable[..., Path]) -> None:
    index = read(table("Image;Class;split\n1.png;a;train\nmore/2.png;b;val\n"))
    assert (index.class_names, index.faults.lines) == (("a", "b"), ())
    assert index.notes == (
        "table.csv: it is separated by semicolons.",
        "table.csv: the column Image for the path and Class for the label is taken.",
    )
    assert len(read(table("file name\tlabel\n1.png\ta\n3, three.png\tb\n"))) == 2
    assert read(table("path,label,class\n1.png,a,x\nmore/2.png,b,y\n")).class_names == ("a", "b")


def test_other_encodings_are_read_aloud(table: Callable[..., Path]) -> None:
    rows = "path,label\n1.png,k\xe4tzchen\nmore/2.png,dog\n"
    said = "table.csv is not UTF-8 and is read as Windows-1252, so that it says 'k\xe4tzchen'."
    for encoding, notes in (("cp1252", (f"{said} Where that is wrong, save it as UTF-8.",)), ("utf-16", ())):
        index = read(table(rows, encoding))
        assert (index.class_names, index.notes) == (("dog", "k\xe4tzchen"), notes)
    path = table(rows)
    path.write_bytes(b"path,label\n1.png,\x81\n")
    with pytest.raises(DataError, match="Save the table as UTF-8"):
        read(path)


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


def test_pictures_in_shards_are_written_as_they_are(tmp_path: Path) -> None:
    for at, name in enumerate(("ant/1.5.jpg", "bee/2.jpg")):
        (tmp_path / "set" / name).parent.mkdir(parents=True)
        Image.new("L", (4, 4), 9 * at).save(tmp_path / "set" / name)
    dots = (
        "The dots in 1 name become _, since other programs take what follows a dot for the ending (first: 1.5 is 1_5)."
    )
    assert shard_writing.write(read(tmp_path / "set"), tmp_path / "shards") == (dots,)
    said = csv_table.write(read(tmp_path / "shards"), tmp_path / "x.csv")
    assert said == ("The pictures are parts of files: they are written as they are into x/, beside the table.",)
    assert sorted(path.read_bytes() for path in tmp_path.glob("x/**/*.jpg")) == sorted(
        path.read_bytes() for path in tmp_path.glob("set/*/*.jpg")
    )


def test_names_with_any_line_break_come_back(tmp_path: Path) -> None:
    names = ["a\rb.png", "c\nd.png", "e\r\nf.png", 'g"h.png', "i, j.png"]
    (tmp_path / "table.csv").write_bytes(
        csv_table.text_of_rows([("path", "label"), *((name, "x") for name in names)]).encode()
    )
    rows = read_rows(tmp_path / "table.csv").rows
    assert [row.path for row in rows] == names
    assert [row.line for row in rows][:2] == [2, 4], "a lone \\r begins a line for all readers"


def test_a_copy_keeps_the_other_columns_of_the_rows_that_stay(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png", "4.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    rows = ["age;image;patient;class;split;", "3;1.png;p 1;cat;train;x", "", "4;5.png;p5;cat;train;y"]
    rows += ['5;2.png;"a, b";dog;val;', "6;3.png;p3;dog;train;z", "7;4.png;p4;cat;train;", "8;4.png;p4"]
    (tmp_path / "old.csv").write_text("\n".join(rows))
    index = csv_table.read(tmp_path / "old.csv")
    assert index.unread == ("what is in the columns age, patient, number 6 without a name",)
    assert csv_table.write(only(index, np.array([0, 1, 3])), tmp_path / "new.csv") == ()
    assert (tmp_path / "new.csv").read_text().splitlines() == [
        "path,label,split,age,patient,",
        "1.png,cat,train,3,p 1,x",
        "4.png,cat,train,7,p4,",
        '2.png,dog,val,5,"a, b",',
    ]
