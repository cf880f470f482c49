import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from sightline.data.formats import image_folder, read
from sightline.data.index import Index
from sightline.errors import DataError

MakeFolder = Callable[..., Path]


def content(index: Index) -> list[tuple[str, str, list[int]]]:
    """(split, class name, pixels) of every picture: all that a data set is."""
    split_of = {position: split for split, held in index.splits.items() for position in held.tolist()}
    return sorted(
        (split_of.get(p, ""), index.class_names[index.labels[p]], index.source.image(p).flatten().tolist())
        for p in range(len(index))
    )


def test_splits_and_classes(make_folder: MakeFolder) -> None:
    folder = make_folder(
        "train/b 10/1.png", "train/b 9/1.png", "train/b 9/2.png", "validation/b 9/1.png", "test/b 10/1.png"
    )
    index = read(folder)
    assert index.format == "image folder"
    assert index.class_names == ("b 9", "b 10")
    assert {name: len(held) for name, held in index.splits.items()} == {"train": 3, "val": 1, "test": 1}
    names = [index.source.name(p) for p in index.positions("train")]
    assert names == ["train/b 9/1.png", "train/b 9/2.png", "train/b 10/1.png"]
    assert index.labels.tolist() == [0, 0, 1, 0, 1]
    assert index.source.image(0).tolist() == np.full((3, 6, 5), 1).tolist()
    assert index.notes == ("The val split has no pictures of b 10.", "The test split has no pictures of b 9.")


def test_a_class_without_pictures_in_a_set_that_is_not_divided(make_folder: MakeFolder) -> None:
    folder = make_folder("cat/1.png", "dog/1.png")
    (folder / "empty").mkdir()
    assert read(folder).notes == ("The data set has no pictures of empty.",)


@pytest.mark.parametrize("val", ["valid", "validation", "Dev"])
@pytest.mark.parametrize("test", ["testing", "eval", "Evaluation"])
def test_other_names_of_splits(make_folder: MakeFolder, val: str, test: str) -> None:
    names = ("Training/a/1.png", "Training/b/1.png", f"{val}/a/1.png", f"{test}/b/1.png", "more/a/1.png")
    index = read(make_folder(*names))
    assert {name: len(held) for name, held in index.splits.items()} == {"train": 2, "val": 1, "test": 1}
    assert index.class_names == ("a", "b")
    assert index.ignored == (f"more: it lies beside the folders Training, {val}, {test}",)


def test_a_class_called_like_a_split(make_folder: MakeFolder, tmp_path: Path) -> None:
    # A class that is called so, without folders in it, is still a class, also after writing.
    index = read(make_folder("training/1.png", "b/1.png", root="classes"))
    image_folder.write(index, tmp_path / "out")
    assert read(tmp_path / "out").class_names == index.class_names == ("b", "training")


def test_one_folder_of_classes(make_folder: MakeFolder) -> None:
    index = read(make_folder("cat/1.png", "dog/deeper/2.png", "train/3.png"))
    assert index.class_names == ("cat", "dog", "train")
    assert index.splits == {}


def test_the_order_does_not_depend_on_the_file_system(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(*(f"{name}/{number}.png" for name in "ab" for number in range(12)))
    names = read(folder).source.names  # type: ignore[attr-defined]
    assert names[:3] == ["a/0.png", "a/1.png", "a/2.png"]
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: nullcontext(reversed(list(scandir(path)))))
    assert read(folder).source.names == names  # type: ignore[attr-defined]


@pytest.mark.parametrize("of_folders", [True, False])
@pytest.mark.parametrize("split", ["", "train/"])
def test_a_data_set_of_links_is_refused_with_what_to_do(make_folder: MakeFolder, of_folders: bool, split: str) -> None:
    real = make_folder("cat/1.png", "dog/2.png", root="real")
    folder = make_folder(root="links")
    for name in ("cat", "dog"):
        link, target = (
            (split + name, real / name) if of_folders else (f"{split}{name}/1.png", next((real / name).iterdir()))
        )
        (folder / link).parent.mkdir(parents=True, exist_ok=True)
        (folder / link).symlink_to(target)
    with pytest.raises(DataError, match=r"holds no class folders with pictures") as raised:
        image_folder.read(folder) if split and of_folders else read(folder)
    said = f"a link to a folder, {real}/cat" if of_folders else f"a link out of the data set, to {real}/cat/1.png"
    assert said in str(raised.value)
    assert "2 links out of the data set or to folders are not followed. " in str(raised.value)
    assert f"Copy what they lead to with cp -rL {folder} COPY, or give the path" in str(raised.value)


def test_everything_that_is_ignored_is_named(make_folder: MakeFolder, tmp_path: Path) -> None:
    outside = make_folder("1.png", root="outside")
    folder = make_folder(
        "train/a/1.png", "train/b/2.png", "train/a/Thumbs.db", "train/a/.hidden.png", "train/a/README", "train/3.png",
        "train/a/.git/4.png", "LICENSE", "more/a/5.png", ".DS_Store", "val/a/6.png",
    )  # fmt: skip
    (folder / "train/a/link.png").symlink_to(outside / "1.png")
    (folder / "train/a/inside.png").symlink_to(folder / "train/a/1.png")
    (folder / "train/a/around").symlink_to(folder)
    (folder / "train/linked").symlink_to(outside)
    (folder / "train/a/nowhere.png").symlink_to(folder / "absent.png")
    os.mkfifo(folder / "train/a/pipe.png")
    index = read(folder)
    assert [index.source.name(p) for p in range(len(index))] == [
        "train/a/1.png", "train/a/inside.png", "train/b/2.png", "val/a/6.png",
    ]  # fmt: skip
    reasons = dict(line.split(": ") for line in index.ignored)
    assert reasons == {
        "train/3.png": "it lies beside the class folders, not inside one",
        "train/linked": f"it is a link to a folder, {outside}",
        "train/a/.git": "it is a hidden folder",
        "train/a/.hidden.png": "it is a hidden file",
        "train/a/README": "it has no ending",
        "train/a/Thumbs.db": "the ending .db is none of a picture's",
        "train/a/around": f"it is a link to a folder, {folder}",
        "train/a/link.png": f"it is a link out of the data set, to {outside}/1.png",
        "train/a/nowhere.png": "it is no ordinary file",
        "train/a/pipe.png": "it is no ordinary file",
        ".DS_Store": "it lies beside the folders train, val",
        "LICENSE": "it lies beside the folders train, val",
        "more": "it lies beside the folders train, val",
    }


def test_a_folder_that_cannot_be_read(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder("a/1.png", "b/2.png")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"The folder .*set cannot be read \(Permission denied\)"):
        read(folder)


def test_names_that_are_not_text(make_folder: MakeFolder) -> None:
    folder = make_folder("a/1.png", "b/2.png")
    (Path(os.fsdecode(os.fsencode(folder) + b"/a/\xff.png"))).touch()
    assert read(folder).ignored == ("a/\\udcff.png: its name is not UTF-8 text",)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xfe")).mkdir()
    with pytest.raises(DataError, match=r"is not UTF-8 text\. Rename the folder"):
        read(folder)


def test_pictures_that_cannot_be_read_count_as_pictures(make_folder: MakeFolder) -> None:
    assert len(read(make_folder("a/1.png", "b/2.PNG", "b/3.heic"))) == 3


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a/1.png", "b/note.txt"], r"/set: b is empty or missing: the class 'b' has no pictures to train on"),
        (["a/1.png", "2.png"], r"one class only \(a\).*Ignored were: 2\.png: it lies beside"),
        (["1.png", "2.png"], r"no class folders with pictures: expected .*CLASS/PICTURE"),
    ],
)
def test_sets_that_cannot_be_used(make_folder: MakeFolder, names: list[str], text: str) -> None:
    folder = make_folder(*(name for name in names if not name.endswith("/")))
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=text):
        read(folder)


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        (["train/a/1.png", "train/c/1.png", "train/b/", "val/b/2.png"], ["train/b is empty or missing: the class 'b' has no"]),
        (["train/a/1.png", "val/b/2.png", "val/c/2.png"], ["train/b is empty", "train/c is empty"]),
        (["a/1.png", "c/1.png", "b/note.txt"], ["b is empty or missing: the class 'b' has no pictures to train on. Put"]),
    ],
)  # fmt: skip
def test_classes_that_cannot_be_trained_stop_training_alone(
    make_folder: MakeFolder, names: list[str], lines: list[str]
) -> None:
    folder = make_folder(*(name for name in names if not name.endswith("/")))
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
    faults = read(folder).faults
    assert [said.startswith(line) for said, line in zip(faults.lines, lines, strict=True)] == [True] * len(lines)
    assert faults.bad_pictures == 0
    with pytest.raises(DataError, match=lines[0]):
        faults.require_few(1.0)


def test_two_folders_for_one_split_are_taken_together(make_folder: MakeFolder) -> None:
    index = read(make_folder("train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/b/1.png", "valid/a/1.png"))
    val = [index.source.name(p) for p in index.positions("val").tolist()]
    assert val == ["val/a/1.png", "valid/a/1.png", "valid/b/1.png"]
    assert index.faults.lines == ("valid: val and valid both mean val, and are taken together.",)
    index.faults.require_few(0.0)


def test_read_undoes_write(make_folder: MakeFolder, tmp_path: Path) -> None:
    index = read(make_folder("train/a/1.png", "train/a/deep/1.png", "train/b/2.jpg", "test/a/3.png"))
    assert image_folder.write(index, tmp_path / "copy") == ()
    again = read(tmp_path / "copy")
    assert content(again) == content(index)
    assert again.source.names == index.source.names  # type: ignore[attr-defined]
    assert (tmp_path / "copy/train/b/2.jpg").read_bytes() == (tmp_path / "set/train/b/2.jpg").read_bytes()
    with pytest.raises(DataError, match="not empty"):
        image_folder.write(index, tmp_path / "copy")


def test_pictures_in_memory_are_written_too(make_index: Callable[..., Index], tmp_path: Path) -> None:
    index = make_index(2, 2)
    image_folder.write(index, tmp_path / "copy")
    assert content(read(tmp_path / "copy")) == content(index)


def test_real_sets(real_set: Callable[[str], Path]) -> None:
    cifar = read(real_set("cifar10_sub"))
    assert {name: len(held) for name, held in cifar.splits.items()} == {"train": 5000, "val": 1000, "test": 1000}
    assert set(cifar.class_counts("train").values()) == {500}
    assert (cifar.notes, cifar.ignored) == ((), ())
    assert cifar.source.image(0).shape == (3, 32, 32)
    trash = read(real_set("trashnet_sub"))
    assert trash.class_names == ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    assert {name: len(held) for name, held in trash.splits.items()} == {"train": 240, "val": 60, "test": 72}
    assert trash.ignored == ("LICENSE: it lies beside the folders train, val, test",)
    assert trash.source.image(0).shape == (3, 512, 384)
