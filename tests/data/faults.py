"""A table of faults: small data sets with one thing wrong each, and what a check must say of it.

`FAULTS` holds the format, what is broken, how the sound data set is changed, the kind of the finding, and the texts that it names.
"""
# ruff: noqa: E501 - a row is a line

import gzip
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.data import sound
from tests.data.sound import HEIGHT, WIDTH, Table, picture

Change = Callable[[Path], object]


@dataclass(frozen=True)
class Fault:
    """One data set with one fault."""

    format: str
    broken: str
    """What is wrong, in words."""
    make: Callable[[Path], Path]
    """Writes it into a folder; gives what to name."""
    kind: str
    named: tuple[str, ...]
    """What the finding must say: file, and line or id."""
    owner: str = ""
    """Why nobody but the owner of the data can mend it; empty where a repaired copy is written."""

    def __str__(self) -> str:
        return f"{self.format}: {self.broken}"


def fault(format: str, broken: str, change: Change, kind: str, *named: str, owner: str = "") -> Fault:
    """A sound data set, written and then changed."""

    def make(root: Path) -> Path:
        path = sound.SOUND[format](root)
        change(root)
        return path

    return Fault(format, broken, make, kind, named, owner)


def table_fault(
    format: str, broken: str, change: Callable[[Table], object], kind: str, *named: str, owner: str = ""
) -> Fault:
    """A COCO data set whose table of the train split is changed."""
    write = sound.coco if format == "coco" else sound.coco_masks
    return Fault(format, broken, lambda root: write(root, change), kind, named, owner)


def write(name: str, content: bytes | str) -> Change:
    def change(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def cut(name: str, share: float = 0.5) -> Change:
    def change(root: Path) -> None:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: int(len(content) * share)])

    return change


def copy(source: str, target: str) -> Change:
    return lambda root: shutil.copyfile(root / source, root / target)


def remove(*names: str) -> Change:
    def change(root: Path) -> None:
        for name in names:
            path = root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def move(source: str, target: str) -> Change:
    return lambda root: (root / source).rename(root / target)


def each(*changes: Change) -> Change:
    def change(root: Path) -> None:
        for one in changes:
            one(root)

    return change


def saved(name: str, draw: Callable[[Image.Image], Image.Image], source: str = "", **options: Any) -> Change:
    """Draw a picture anew."""

    def change(root: Path) -> None:
        with Image.open(root / (source or name)) as image:
            image.load()
        draw(image).save(root / name, **options)

    return change


def replaced(name: str, old: str, new: str) -> Change:
    def change(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new, 1))

    return change


def blank(image: Image.Image) -> Image.Image:
    return Image.new("RGB", image.size, "grey")


def faint(image: Image.Image) -> Image.Image:
    """As a photon count in a file of 16 bits."""
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) // 4)


def twice_as_large(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST)


def bomb() -> bytes:
    """A PNG that claims 60,000 x 60,000 pixels."""
    header = struct.pack(">II5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"

IMAGE_FOLDER = (
    fault("image folder", "an empty file", write("train/cat/1.png", b""), "corrupt picture", "train/cat/1.png", "empty"),
    fault("image folder", "a picture cut short", cut("val/dog/0.png"), "corrupt picture", "val/dog/0.png"),
    fault("image folder", "a text", write("train/cat/1.png", "hello"), "corrupt picture", "train/cat/1.png", "hello"),
    fault("image folder", "a web page", write("train/cat/1.png", "<html>"), "corrupt picture", "train/cat/1.png", "web page"),
    fault("image folder", "a Git LFS pointer", write("test/dog/1.png", LFS), "corrupt picture", "test/dog/1.png", "git lfs pull"),
    fault("image folder", "too many pixels", write("train/dog/3.png", bomb()), "corrupt picture", "train/dog/3.png", "pixels"),
    fault("image folder", "a HEIC file", write("train/dog/a.heic", b"\0\0\0\x18ftypheic"), "corrupt picture", "train/dog/a.heic"),
    fault("image folder", "a picture in two splits", copy("test/cat/0.png", "train/cat/9.png"), "leak", "train/cat/9.png", "test/cat/0.png"),
    fault("image folder", "the same pixels in other files", saved("val/dog/9.bmp", lambda i: i, "train/dog/0.png"), "leak", "val/dog/9.bmp", "train/dog/0.png"),
    fault("image folder", "a picture in three splits", each(copy("test/cat/0.png", "train/cat/8.png"), copy("test/cat/0.png", "val/cat/8.png")), "leak", "train/cat/8.png", "val/cat/8.png", "test/cat/0.png"),
    fault("image folder", "a picture in two classes", copy("train/cat/0.png", "train/dog/9.png"), "contradiction", "train/cat/0.png", "train/dog/9.png", "cat and dog"),
    fault("image folder", "two classes and two splits", copy("train/cat/0.png", "val/dog/9.png"), "contradiction", "val/dog/9.png", "train/cat/0.png"),
    fault("image folder", "a picture twice in a split", copy("train/cat/0.png", "train/cat/9.png"), "duplicate", "train/cat/0.png", "train/cat/9.png"),
    fault("image folder", "a resized copy in another split", saved("test/cat/9.png", twice_as_large, "train/cat/0.png"), "near leak", "test/cat/9.png", "train/cat/0.png"),
    fault("image folder", "a resized copy", saved("train/cat/9.png", twice_as_large, "train/cat/0.png"), "near duplicate", "train/cat/9.png", "train/cat/0.png"),
    fault("image folder", "a resized copy in another class", saved("train/dog/9.png", twice_as_large, "train/cat/0.png"), "near contradiction", "train/dog/9.png", "cat and dog"),
    fault("image folder", "a hidden file", write("train/cat/.1.png.swp", b"x"), "unused file", "train/cat/.1.png.swp", "hidden"),
    fault("image folder", "a program's file", write("train/cat/Thumbs.db", b"x"), "unused file", "train/cat/Thumbs.db", ".db"),
    fault("image folder", "a picture without an ending", copy("train/cat/0.png", "val/cat/photo"), "unused file", "val/cat/photo", "PNG"),
    fault("image folder", "a link out of the data set", lambda root: (root / "train/cat/9.png").symlink_to(os.devnull), "unused file", "train/cat/9.png", "link out of the data set, to /dev/null"),
    fault("image folder", "a folder beside the splits", write("more/1.png", b"x"), "unused file", "more"),
    fault("image folder", "a JPEG called PNG", saved("train/cat/1.png", lambda i: i, format="JPEG"), "wrong ending", "train/cat/1.png", "JPEG", "1.jpg"),
    fault("image folder", "a grey picture among coloured ones", saved("train/cat/1.png", lambda i: i.convert("L")), "odd picture", "train/cat/1.png", "grey"),
    fault("image folder", "pictures that show nothing", each(saved("train/cat/1.png", blank), saved("train/dog/1.png", blank)), "blank picture", "train/cat/1.png"),
    fault("image folder", "16 bits of which few are used", saved("train/cat/1.png", faint), "dark picture", "train/cat/1.png", "is above 257"),
    fault("image folder", "a class of one picture", lambda root: picture(root / "train/owl/0.png", 99), "rare class", "owl", "train/owl/0.png"),
    fault("image folder", "a class that is not in val", each(remove("val/dog/0.png"), remove("val/dog/1.png")), "class missing", "val", "dog"),
    fault("image folder", "a split without pictures", remove("test/cat/0.png", "test/cat/1.png", "test/dog/0.png", "test/dog/1.png"), "empty split", "test"),
    fault("image folder", "two spellings of a class", lambda root: [picture(root / f"train/Dog_/{n}.png", 90 + n) for n in (1, 2)], "class names alike", "Dog_", "'dog'"),
    fault("image folder", "a class that is in val only", lambda root: picture(root / "val/Cat/9.png", 99), "untrained class", "train/Cat", "'Cat'"),
    fault("image folder", "an empty class folder", lambda root: (root / "train/owl").mkdir(), "untrained class", "train/owl"),
    fault("image folder", "two folders for one split", lambda root: picture(root / "valid/cat/0.png", 99), "two folders", "valid", "val"),
    fault("image folder", "one class", remove("train/dog", "val/dog", "test/dog"), "unreadable data", "one class only", "cat", owner="what the other class is, and its pictures"),
    fault("image folder", "no train split", remove("train"), "cannot train", "no train split", owner="which pictures are to be learned from"),
)  # fmt: skip

CSV = (
    fault("csv", "a missing file", remove("train01.png"), "missing picture", "set.csv line 3", "train01.png"),
    fault("csv", "a missing file, in a table of another machine", replaced("set.csv", "train01.png", "D:\\x\\train01.png"), "missing picture", "set.csv line 3", "D:\\x\\train01.png"),
    fault("csv", "a line twice", replaced("set.csv", "train01.png", "train00.png"), "listed twice", "set.csv line 3", "line 2"),
    fault("csv", "a picture in two lines with two splits", replaced("set.csv", "val00.png", "test01.png"), "listed twice", "set.csv line 15", "line 10", "stays in test"),
    fault("csv", "a picture in two lines with two labels", replaced("set.csv", "train10.png", "train01.png"), "bad entry", "set.csv line 6", "line 3", "as cat and not as dog"),
    fault("csv", "no label", replaced("set.csv", "train01.png,cat", "train01.png,"), "bad entry", "set.csv line 3", "label"),
    fault("csv", "no path", replaced("set.csv", "train01.png,cat", ",cat"), "bad entry", "set.csv line 3", "path"),
    fault("csv", "an unknown split", replaced("set.csv", "cat,val", "cat,later"), "bad entry", "set.csv line 10", "later"),
    fault("csv", "a field too many", replaced("set.csv", "cat,val", "cat,val,x"), "bad entry", "set.csv line 10", "fields"),
    fault("csv", "a field too few", replaced("set.csv", "cat,val", "cat"), "bad entry", "set.csv line 10", "fields"),
    fault("csv", "no column of labels", replaced("set.csv", "label", "when"), "unreadable data", "set.csv line 1", "path,when,split", owner="which column is the label"),
    fault("csv", "a quotation mark that is not closed", replaced("set.csv", "train01.png", '"train01.png'), "unreadable data", "set.csv line 3", "no CSV", owner="where the field ends: all that follows is in it"),
    fault("csv", "a corrupt picture", write("train01.png", b"no"), "corrupt picture", "train01.png"),
    fault("csv", "a picture in two splits", copy("test00.png", "train01.png"), "leak", "train01.png", "test00.png"),
    fault("csv", "a picture in two classes", copy("train00.png", "train10.png"), "contradiction", "train00.png", "train10.png"),
    fault("csv", "a class that is not in train", replaced("set.csv", "cat,val", "owl,val"), "untrained class", "owl", "val00.png"),
)  # fmt: skip


def parquet_fault(broken: str, change: Callable[[Any], object], kind: str, *named: str) -> Fault:
    def make(root: Path) -> Path:
        rows = sound.parquet_rows()
        change(rows)
        return sound.parquet(root, rows)

    return Fault("parquet", broken, make, kind, named)


def one_of_two(root: Path) -> None:
    """The train split is in two files, the second of which is cut short."""
    whole = root / TRAIN
    first, second = (root / f"train-0000{number}-of-00002.parquet" for number in range(2))
    whole.rename(first)
    second.write_bytes(first.read_bytes()[:500])


def put(split: str, row: int, content: bytes | None = None, label: int | None = 0) -> Callable[[Any], None]:
    return lambda rows: rows[split].__setitem__(row, (content, label))


TRAIN, TEST = "train-00000-of-00001.parquet", "test-00000-of-00001.parquet"
PARQUET = (
    parquet_fault("bytes of no picture", put("train", 1, b"no"), "corrupt picture", f"{TRAIN} row 1"),
    parquet_fault("no bytes", put("train", 2), "corrupt picture", f"{TRAIN} row 2", "null"),
    parquet_fault("no label", put("val", 1, sound.encoded(9), None), "bad entry", "val-00000-of-00001.parquet row 1"),
    parquet_fault("a label of no class", put("val", 1, sound.encoded(9), 7), "bad entry", "val-00000-of-00001.parquet row 1", "7"),
    parquet_fault("a picture in two splits", put("train", 0, sound.encoded(12)), "leak", f"{TRAIN} row 0", f"{TEST} row 0"),
    parquet_fault("a picture in two classes", put("train", 1, sound.encoded(4)), "contradiction", f"{TRAIN} row 1", f"{TRAIN} row 4"),
    fault("parquet", "one of two files cut short", one_of_two, "broken file", "train-00001-of-00002.parquet"),
    fault("parquet", "the only file cut short", cut(TRAIN), "unreadable data", TRAIN, owner="all training pictures: the end of the file says where they are"),
    Fault("parquet", "other class names in a file", lambda root: sound.parquet(root, None, {"val": ["cat", "cow"]}), "untrained class", ("val-00000", "cow")),
)  # fmt: skip

LABELS, IMAGES = "train-labels-idx1-ubyte.gz", "train-images-idx3-ubyte.gz"


def idx_copies(root: Path) -> None:
    """A training picture of class 0 is in the test split and, with class 1, in the train split."""
    train = np.stack([sound.pixels(seed)[..., 0] for seed in range(8)])
    train[0] = sound.pixels(12)[..., 0]
    sound.idx_file(root / IMAGES, train)


def idx_contradiction(root: Path) -> None:
    train = np.stack([sound.pixels(seed)[..., 0] for seed in range(8)])
    train[5] = train[0]
    sound.idx_file(root / IMAGES, train)


IDX = (
    fault("idx", "a file cut short", cut(IMAGES, 0.9), "broken file", IMAGES, "ends after 7"),
    fault("idx", "another magic number", write(LABELS, gzip.compress(b"\1\2\3\4" * 4)), "unreadable data", LABELS, "01 02 03 04", owner="the labels: the file is another one"),
    fault("idx", "fewer labels than pictures", lambda root: sound.idx_file(root / LABELS, np.zeros(3, np.uint8)), "unreadable data", LABELS, "3 labels", owner="which label is whose"),
    fault("idx", "no labels", remove(LABELS), "unreadable data", IMAGES, "labels", owner="the labels"),
    fault("idx", "a picture in two splits", idx_copies, "leak", f"{IMAGES} picture 0", "t10k-images-idx3-ubyte.gz picture 0"),
    fault("idx", "a picture in two classes", idx_contradiction, "contradiction", f"{IMAGES} picture 0", f"{IMAGES} picture 5"),
)  # fmt: skip


def entry(number: int, **values: Any) -> Callable[[Table], None]:
    """Change the annotation at that position; its id is one more."""
    return lambda table: table["annotations"][number].update(values)


def image(number: int, **values: Any) -> Callable[[Table], None]:
    return lambda table: table["images"][number].update(values)


def added(**values: Any) -> Callable[[Table], None]:
    return lambda table: table["annotations"].append({"id": 77, "image_id": 2, "category_id": 1, **values})


def boxes(*numbers: float) -> Callable[[Table], None]:
    """All boxes are nearly these four numbers."""

    def change(table: Table) -> None:
        for place, row in enumerate(table["annotations"]):
            row["bbox"] = [number - 0.01 * place for number in numbers]

    return change


def without(number: int) -> Callable[[Table], None]:
    """The image of that id has no annotations."""
    return lambda table: table.update(annotations=[row for row in table["annotations"] if row["image_id"] != number])


JSON = "annotations/instances_train.json"
COCO = (
    table_fault("coco", "a box without width", entry(2, bbox=[5, 5, 0, 4]), "box without area", JSON, "annotation 3"),
    table_fault("coco", "a box of negative height", entry(2, bbox=[5, 5, 4, -3]), "box without area", JSON, "annotation 3"),
    table_fault("coco", "a box outside", entry(2, bbox=[90, 5, 4, 3]), "box outside", JSON, "annotation 3", f"{WIDTH} x {HEIGHT}"),
    table_fault("coco", "a box over the edge", entry(2, bbox=[5, 5, 60, 4]), "box over the edge", JSON, "annotation 3"),
    table_fault("coco", "a box of three numbers", entry(2, bbox=[5, 5, 6]), "bad box", JSON, "annotation 3", "four numbers"),
    table_fault("coco", "a box of no numbers", entry(2, bbox=[5, 5, "a", 6]), "bad box", JSON, "annotation 3"),
    table_fault("coco", "no box", lambda table: table["annotations"][2].pop("bbox"), "bad box", JSON, "annotation 3"),
    table_fault("coco", "a number that is not finite", entry(2, bbox=[5, 5, float("nan"), 6]), "bad box", JSON, "annotation 3"),
    table_fault("coco", "an unknown image", entry(2, image_id=99), "bad box", JSON, "annotation 3", "99"),
    table_fault("coco", "an unknown category", entry(2, category_id=99), "bad box", JSON, "annotation 3", "99"),
    table_fault("coco", "an id twice", entry(3, id=3), "bad box", JSON, "annotation 3", "twice"),
    table_fault("coco", "a missing picture", image(1, file_name="absent.png"), "missing picture", JSON, "image 2", "absent.png"),
    table_fault("coco", "an image without a name", lambda table: table["images"][1].pop("file_name"), "bad entry", JSON, "image 2"),
    table_fault("coco", "an image listed twice", lambda table: table["images"].append({"id": 50, "file_name": "2.png"}), "listed twice", JSON, "image 50", "2.png"),
    table_fault("coco", "a picture in the files of two splits", lambda table: table["images"].append({"id": 50, "file_name": "../val/1.png"}), "listed twice", JSON, "image 50", "val/1.png", "annotations/instances_val.json"),
    table_fault("coco", "two pictures of one id", image(1, id=1), "bad entry", JSON, "image 1"),
    table_fault("coco", "another size", image(1, width=48, height=40), "wrong size", JSON, "image 2", "48 x 40"),
    table_fault("coco", "width and height exchanged", image(1, width=HEIGHT, height=WIDTH), "wrong size", JSON, "image 2", "exchanged"),
    table_fault("coco", "boxes as corners", boxes(12, 5, 28, 14), "other coordinates", JSON, "8 of 8 boxes", "x1,y1,x2,y2"),
    table_fault("coco", "boxes as shares", boxes(0.2, 0.1, 0.6, 0.5), "other coordinates", JSON, "8 boxes", "between 0 and 1"),
    table_fault("coco", "a box over all", added(bbox=[0, 0, WIDTH, HEIGHT]), "box over all", JSON, "annotation 77"),
    table_fault("coco", "a tiny box", added(bbox=[1, 1, 1, 6]), "tiny box", JSON, "annotation 77"),
    table_fault("coco", "a box twice", added(bbox=[4, 5, 8, 7]), "duplicate box", JSON, "annotation 77", "annotation 3"),
    table_fault("coco", "a box of two classes", added(bbox=[8, 5, 8, 7]), "two labels", JSON, "annotation 77", "annotation 4", "dog"),
    table_fault("coco", "a picture without objects", without(2), "no objects", "train/2.png"),
    table_fault("coco", "a class without boxes", lambda table: table["categories"].append({"id": 3, "name": "owl"}), "class missing", "train", "owl"),
    table_fault("coco", "a category without a name", lambda table: table["categories"][1].pop("name"), "bad entry", JSON, "category 2"),
    table_fault("coco", "no images", lambda table: table.pop("images"), "unreadable data", JSON, "images", owner="which picture an annotation is of"),
    fault("coco", "a file cut short", cut(JSON), "unreadable data", "instances_train.json line 1", "cut short", owner="what is missing at its end"),
    fault("coco", "a corrupt picture", write("train/2.png", b"no"), "corrupt picture", "train/2.png"),
    fault("coco", "a picture in two splits", lambda root: coco_copy(root, same=True), "leak", "train/1.png", "val/1.png"),
    fault("coco", "the same picture with other boxes", lambda root: coco_copy(root, same=False), "contradiction", "train/1.png", "val/1.png"),
    fault("coco", "a picture that no file names", lambda root: picture(root / "train/9.png", 99), "unused file", "train: 1 picture in it is in no JSON file that is read (9.png)"),
    fault("coco", "another file beside the annotations", copy(JSON, "annotations/captions_train.json"), "unused file", "annotations/captions_train.json"),
)  # fmt: skip


def coco_copy(root: Path, same: bool) -> None:
    """The first picture of train is that of val too, with its boxes or with others."""
    shutil.copyfile(root / "train/1.png", root / "val/1.png")
    if not same:
        file = root / "annotations/instances_val.json"
        table = json.loads(file.read_text())
        table["annotations"][0]["bbox"] = [1, 1, 5, 5]
        file.write_text(json.dumps(table))


CAT, DOG = ("cat", 2, 3, 10, 10), ("dog", 8, 5, 20, 15)


def xml(*objects: tuple[Any, ...], **size: int) -> Change:
    return write("Annotations/train1.xml", sound.voc_xml(*objects, **size))


XML = "Annotations/train1.xml"
VOC = (
    fault("voc", "a box that is a point", xml(CAT, ("dog", 5, 5, 5, 5)), "box without area", f"{XML} line 9"),
    fault("voc", "corners exchanged", xml(CAT, ("dog", 15, 5, 5, 15)), "box without area", f"{XML} line 9"),
    fault("voc", "a box outside", xml(CAT, ("dog", 50, 5, 60, 15)), "box outside", f"{XML} line 9"),
    fault("voc", "a box over the edge", xml(CAT, ("dog", 5, 5, 60, 15)), "box over the edge", f"{XML} line 9"),
    fault("voc", "text for a number", xml(CAT, ("dog", 5, "five", 9, 15)), "bad box", f"{XML} line 9", "five"),
    fault("voc", "a box without a side", replaced(XML, "<ymax>15</ymax>", ""), "bad box", f"{XML} line 9", "ymax"),
    fault("voc", "an object without a name", replaced(XML, "<name>dog</name>", ""), "bad box", f"{XML} line 9", "name"),
    fault("voc", "a class that classes.txt has not", each(write("classes.txt", "cat\ndog\n"), xml(CAT, ("dgo", 8, 5, 20, 15))), "bad box", f"{XML} line 9", "'dgo'"),
    fault("voc", "an XML file cut short", cut(XML), "bad annotation file", XML, "line"),
    fault("voc", "a document type", replaced(XML, "<annotation>", '<!DOCTYPE a [<!ENTITY b "c">]>\n<annotation>'), "bad annotation file", f"{XML} line 1", "DOCTYPE"),
    fault("voc", "no picture", remove("JPEGImages/train1.png"), "missing picture", XML, "train1"),
    fault("voc", "a name without an XML file", write("ImageSets/Main/val.txt", "val1\nval2\nnone\n"), "missing annotation", "ImageSets/Main/val.txt line 3", "none"),
    fault("voc", "a name twice in a list", write("ImageSets/Main/val.txt", "val1\nval2\nval1\n"), "listed twice", "ImageSets/Main/val.txt line 3", "val1"),
    fault("voc", "a name in two lists", write("ImageSets/Main/val.txt", "val1\ntrain1\n"), "listed twice", "val.txt line 2", "train1", "stays in val"),
    fault("voc", "another size", xml(CAT, DOG, width=99), "wrong size", f"{XML} line 3", "99"),
    fault("voc", "a box twice", xml(CAT, DOG, DOG), "duplicate box", f"{XML} line 14", f"{XML} line 9"),
    fault("voc", "a corrupt picture", write("JPEGImages/train1.png", b"no"), "corrupt picture", "JPEGImages/train1.png"),
    fault("voc", "a picture in two splits", each(copy("JPEGImages/train1.png", "JPEGImages/val1.png"), copy(XML, "Annotations/val1.xml")), "leak", "train1.png", "val1.png"),
)  # fmt: skip

TXT = "labels/train/1.txt"


def lines(*texts: str) -> Change:
    return write(TXT, "0 0.3 0.4 0.2 0.3\n" + "".join(f"{text}\n" for text in texts))


def yolo_lists(train: str, val: str) -> Change:
    """The pictures of train and val are those of two lists."""
    named = [replaced("data.yaml", f"{split}: images/{split}", f"{split}: {split}.txt") for split in ("train", "val")]
    return each(write("train.txt", train), write("val.txt", val), *named)


YOLO = (
    fault("yolo", "a word for a number", lines("1 0.5 half 0.2 0.2"), "bad box", f"{TXT} line 2", "half"),
    fault("yolo", "a column too few", lines("1 0.5 0.2 0.2"), "bad box", f"{TXT} line 2", "4 columns"),
    fault("yolo", "an unknown class", lines("7 0.5 0.5 0.2 0.2"), "bad box", f"{TXT} line 2", "7"),
    fault("yolo", "pixels for shares", lines("1 12 10 5 5"), "bad box", f"{TXT} line 2", "shares"),
    fault("yolo", "a number that is not finite", lines("1 nan 0.5 0.2 0.2"), "bad box", f"{TXT} line 2", "finite"),
    fault("yolo", "a box without width", lines("1 0.5 0.5 0 0.2"), "box without area", f"{TXT} line 2"),
    fault("yolo", "a box outside", lines("1 1.7 0.5 0.2 0.2"), "box outside", f"{TXT} line 2"),
    fault("yolo", "a box over the edge", lines("1 0.9 0.5 0.6 0.2"), "box over the edge", f"{TXT} line 2"),
    fault("yolo", "a box over all", lines("1 0.5 0.5 1 1"), "box over all", f"{TXT} line 2"),
    fault("yolo", "a box twice", lines("1 0.6 0.5 0.3 0.4", "1 0.6 0.5 0.3 0.4"), "duplicate box", f"{TXT} line 3", f"{TXT} line 2"),
    fault("yolo", "a bad box in a file that ends in .TXT", each(remove(TXT), write("labels/train/1.TXT", "0 0.3 0.4 0.2 0.3\n1 0.5 0.5 0 0.2\n")), "box without area", "labels/train/1.TXT line 2"),
    fault("yolo", "labels that end in .TXT, without a picture", copy(TXT, "labels/train/absent.TXT"), "missing picture", "labels/train/absent.TXT"),
    fault("yolo", "labels without a picture", copy(TXT, "labels/train/absent.txt"), "missing picture", "labels/train/absent.txt"),
    fault("yolo", "a picture without labels", remove(TXT), "no objects", "images/train/1.png"),
    fault("yolo", "a list with a missing picture", each(write("list.txt", "images/train/1.png\nimages/train/2.png\nimages/train/9.png\n"), replaced("data.yaml", "train: images/train", "train: list.txt")), "missing picture", "list.txt line 3", "9.png"),
    fault("yolo", "a list of another machine with a missing picture", each(write("list.txt", "C:\\my\\images\\train\\1.png\nC:\\my\\images\\train\\9.png\n"), replaced("data.yaml", "train: images/train", "train: list.txt")), "missing picture", "list.txt line 2", "9.png"),
    fault("yolo", "a list with a picture twice", each(write("list.txt", "images/train/1.png\nimages/train/2.png\nimages/train/1.png\n"), replaced("data.yaml", "train: images/train", "train: list.txt")), "listed twice", "list.txt line 3", "line 1"),
    fault("yolo", "a picture in the lists of two splits", yolo_lists("images/train/1.png\nimages/train/2.png\n", "images/val/1.png\nimages/train/1.png\n"), "listed twice", "val.txt line 2: images/train/1.png is in train.txt line 1 too; it stays in val"),
    fault("yolo", "one folder for two splits", replaced("data.yaml", "val: images/val", "val: images/train"), "shared folder", "data.yaml line 3: images/train is given as train too, in line 2"),
    fault("yolo", "a split's folder in that of another", each(move("images/val", "images/train/val"), move("labels/val", "labels/train/val"), replaced("data.yaml", "images/val", "images/train/val")), "shared folder", "images/train/val: ", "in images/train too; they stay in val"),
    fault("yolo", "a file that names no classes", each(remove("data.yaml"), write("classes.txt", "")), "unreadable data", "classes.txt names no classes", owner="the names"),
    fault("yolo", "broken YAML", replaced("data.yaml", "names: [cat, dog]", "names: [cat, dog"), "unreadable data", "data.yaml line", owner="what was meant to be there"),
    fault("yolo", "a folder that is not there", replaced("data.yaml", "val: images/val", "val: images/later"), "missing split", "data.yaml line 3", "images/later"),
    fault("yolo", "a corrupt picture", cut("images/train/1.png"), "corrupt picture", "images/train/1.png"),
    fault("yolo", "a picture in two splits", each(copy("images/train/1.png", "images/test/1.png"), copy(TXT, "labels/test/1.txt")), "leak", "images/train/1.png", "images/test/1.png"),
)  # fmt: skip

MASK = "masks/train/1.png"


def masked(values: np.ndarray, name: str = MASK) -> Change:
    return lambda root: sound.mask(root / name, values)


def mask_lists(root: Path) -> None:
    """The splits are lists, with and without endings; the first picture of train is in test too."""
    for folder in ("images", "masks"):
        for number, file in enumerate(sorted((root / folder).glob("*/*.png")), start=1):
            file.rename(root / folder / f"{number}.png")
        for split in ("train", "val", "test"):
            (root / folder / split).rmdir()
    each(
        write("splits/train.txt", "1\n2\n3\n"),
        write("splits/val.txt", "4\n5\n"),
        write("splits/test.txt", "6\n1.png\n7\n8\n"),
    )(root)


MASK_FOLDER = (
    fault("mask folder", "no mask", remove(MASK), "missing mask", "images/train/1.png"),
    fault("mask folder", "a mask without a picture", remove("images/train/1.png"), "missing picture", MASK),
    fault("mask folder", "a mask of another size", masked(np.eye(7)), "bad mask", MASK, "7 x 7"),
    fault("mask folder", "a mask turned", masked(sound.half(1).T), "bad mask", MASK, "exchanged"),
    fault("mask folder", "a value of no class", masked(sound.half(1) * 9), "bad mask", MASK, "9"),
    fault("mask folder", "colours", masked(sound.pixels(5)), "bad mask", MASK, "colours"),
    fault("mask folder", "a JPEG", each(remove(MASK), lambda root: sound.mask(root / "masks/train/1.jpg", sound.half(1))), "bad mask", "masks/train/1.jpg", "JPEG"),
    fault("mask folder", "an empty mask file", write(MASK, b""), "bad mask", MASK, "empty"),
    fault("mask folder", "a mask cut short", cut(MASK), "bad mask", MASK),
    fault("mask folder", "everything ignored", masked(np.full((HEIGHT, WIDTH), 255)), "empty mask", MASK),
    fault("mask folder", "one class only", masked(np.zeros((HEIGHT, WIDTH))), "one-class mask", MASK, "ground"),
    fault("mask folder", "a corrupt picture", cut("images/train/1.png"), "corrupt picture", "images/train/1.png"),
    fault("mask folder", "a picture in two splits", each(copy("images/train/1.png", "images/val/1.png")), "leak", "images/train/1.png", "images/val/1.png"),
    fault("mask folder", "a picture in the lists of two splits", mask_lists, "listed twice", "splits/test.txt line 2: images/1.png is in splits/train.txt line 1 too; it stays in test"),
    fault("mask folder", "the same picture with other masks", copy("images/train/1.png", "images/train/2.png"), "contradiction", "images/train/1.png", "images/train/2.png"),
    fault("mask folder", "two files that name classes", each(write("a.yaml", "names: [a, b]\n"), write("b.yaml", "names: [c, d]\n")), "unreadable data", "a.yaml, b.yaml", owner="which names are right"),
    fault("mask folder", "a file that names no classes", write("classes.txt", "\n"), "unreadable data", "classes.txt names no classes", owner="the names"),
    fault("mask folder", "a class without pixels", write("classes.txt", "ground\nroad\nowl\n"), "class missing", "train", "owl"),
    fault("mask folder", "a file beside the folders", write("notes.md", "x"), "unused file", "notes.md"),
)  # fmt: skip


def outline(*numbers: float) -> Callable[[Table], None]:
    return entry(2, segmentation=[list(numbers)])


def runs(counts: list[int], size: tuple[int, int] = (HEIGHT, WIDTH)) -> Callable[[Table], None]:
    return entry(2, segmentation={"counts": counts, "size": list(size)})


COCO_MASKS = (
    table_fault("coco masks", "no outline", lambda table: table["annotations"][2].pop("segmentation"), "bad outline", JSON, "annotation 3", "no outline"),
    table_fault("coco masks", "two points", outline(1, 1, 5, 5), "bad outline", JSON, "annotation 3", "2 points"),
    table_fault("coco masks", "an odd number of coordinates", outline(1, 1, 5, 5, 9, 9, 3), "bad outline", JSON, "annotation 3", "odd"),
    table_fault("coco masks", "an outline without area", outline(1, 1, 5, 1, 9, 1), "bad outline", JSON, "annotation 3", "area"),
    table_fault("coco masks", "an outline outside", outline(91, 91, 95, 91, 95, 95), "bad outline", JSON, "annotation 3", "outside"),
    table_fault("coco masks", "run lengths that add up to less", runs([3, 4]), "bad outline", JSON, "annotation 3", "add up to 7"),
    table_fault("coco masks", "run lengths of another size", runs([30, 70], (10, 10)), "bad outline", JSON, "annotation 3", "10 x 10"),
    table_fault("coco masks", "run lengths without a pixel", runs([HEIGHT * WIDTH]), "bad outline", JSON, "annotation 3", "no pixel"),
    table_fault("coco masks", "an unknown category", entry(2, category_id=99), "bad outline", JSON, "annotation 3", "99"),
    table_fault("coco masks", "a picture without objects", without(2), "one-class mask", "image 2", "background"),
    table_fault("coco masks", "another size", image(1, width=48, height=40), "bad mask", JSON, "image 2", "48 x 40"),
    fault("coco masks", "a picture in two splits", copy("train/1.png", "val/1.png"), "leak", "train/1.png", "val/1.png"),
)  # fmt: skip

FAULTS = (*IMAGE_FOLDER, *CSV, *PARQUET, *IDX, *COCO, *VOC, *YOLO, *MASK_FOLDER, *COCO_MASKS)
