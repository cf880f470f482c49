"""Every way in which VOC's files lie, what its numbers mean, and each thing that can be wrong with them."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.data.annotations import Objects
from sightline.data.formats import read, voc, voc_xml
from sightline.data.index import Index
from sightline.data.splits import with_splits
from sightline.errors import DataError

MakePicture = Callable[..., Path]
BoxesOf = Callable[[Index, str], list[tuple[object, ...]]]
Set = Callable[..., Path]


def xml(
    *boxes: tuple[object, ...], size: str = "<width>40</width><height>30</height>", filename: str = "", extra: str = ""
) -> str:
    """An annotation file with a line for each object, from line 3 on: (name, xmin, ymin, xmax, ymax[, more elements])."""
    lines = [f"<annotation><filename>{filename}</filename>", f"<size>{size}</size>"]
    for name, left, top, right, bottom, *more in boxes:
        sides = f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
        lines.append(f"<object><name>{name}</name>{''.join(map(str, more))}<bndbox>{sides}</bndbox></object>")
    return "\n".join([*lines, extra, "</annotation>"])


CAT = ("cat", 5, 6, 15, 16)


@pytest.fixture
def make_voc(tmp_path: Path, make_picture: MakePicture) -> Set:
    """Annotations/NAME.xml from the given texts, with a picture for each in JPEGImages; lists name pictures by split."""

    def make(texts: dict[str, str], lists: dict[str, list[str]] | None = None, root: str = "set") -> Path:
        folder = tmp_path / root
        for name, text in texts.items():
            make_picture(folder / "JPEGImages" / f"{name}.jpg")
            write_text(folder / "Annotations" / f"{name}.xml", text)
        for split, names in (lists or {}).items():
            write_text(folder / "ImageSets/Main" / f"{split}.txt", "\n".join(names))
        return folder

    return make


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def sizes(index: Index) -> dict[str, int]:
    return {split: len(held) for split, held in index.splits.items()}


def test_devkit_layout(make_voc: Set, boxes_of: BoxesOf) -> None:
    texts = {
        "1": xml(CAT, ("dog", 1, 1, 40, 30)),
        "2": xml(),
        "3": xml(("dog", 2, 3, 4, 5, "<difficult>1</difficult>")),
    }
    folder = make_voc(
        texts, {"train": ["1"], "val": ["2 "], "test": ["3"], "trainval": ["1", "2"], "cat_train": ["1 -1"]}
    )
    index = read(folder)
    assert (index.format, index.class_names, sizes(index)) == ("voc", ("cat", "dog"), {"train": 1, "val": 1, "test": 1})
    assert boxes_of(index, "JPEGImages/1.jpg") == [("cat", 4, 5, 15, 16), ("dog", 0, 0, 40, 30)]
    assert boxes_of(index, "JPEGImages/2.jpg") == []
    assert isinstance(index.annotations, Objects)
    assert index.annotations.difficult.tolist() == [False, False, True]
    assert index.annotations.areas.tolist() == [121, 1200, 9]
    assert index.faults.lines == ()
    assert index.ignored == ()
    assert index.notes[0].startswith("VOC: coordinates are VOC's: counted from 1")
    for above in (folder.parent, folder):
        assert voc.recognises(above) == (above == folder)


@pytest.mark.parametrize("given", ["VOC2007", "VOCdevkit", "VOCdevkit/VOC2007", ""])
def test_the_devkits_folders_above(make_voc: Set, given: str, tmp_path: Path) -> None:
    root = "VOC2007" if given == "VOC2007" else "VOCdevkit/VOC2007"
    make_voc({"1": xml(CAT)}, root=root)
    path = tmp_path / given if given != "VOC2007" else tmp_path
    assert read(path).fingerprint() == voc.read(tmp_path / root).fingerprint()
    if given == "":
        make_voc({"1": xml(CAT)}, root="VOCdevkit/VOC2012")
        with pytest.raises(DataError, match=r"holds several data sets: .*VOC2007, .*VOC2012\. Give the path of one"):
            read(tmp_path)


LAYOUTS = {
    "annotations and images": ("annotations/{}.xml", "images/{}.jpg", ""),
    "xml beside the picture": ("{}.xml", "{}.jpg", ""),
    "a folder a split": ("valid/{}.xml", "valid/{}.jpg", "val"),
    "both in a folder a split": ("Train/Annotations/{}.xml", "Train/JPEGImages/{}.jpg", "train"),
    "splits inside": ("annotations/test/{}.xml", "images/test/{}.jpg", "test"),
    "xmls": ("annotations/xmls/{}.xml", "images/{}.jpg", ""),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_without_lists(tmp_path: Path, make_picture: MakePicture, boxes_of: BoxesOf, layout: str) -> None:
    file, picture, split = LAYOUTS[layout]
    for number in (1, 2):
        write_text(tmp_path / file.format(number), xml(CAT))
        make_picture(tmp_path / picture.format(number))
    make_picture(tmp_path / picture.format(3))
    index = read(tmp_path)
    assert (index.format, sizes(index)) == ("voc", {split: 2} if split else {})
    assert boxes_of(index, picture.format(2)) == [("cat", 4, 5, 15, 16)]
    assert index.ignored == (f"{picture.format(3)}: it has no XML file",)


def test_coordinates_from_zero_are_edges(make_voc: Set, boxes_of: BoxesOf) -> None:
    folder = make_voc(
        {"1": xml(("cat", 0, 3, 10, 10)), "2": xml(("cat", 1, 3, 10, 10)), "3": xml(("cat", 5.5, 0.0, 40, 30))}
    )
    index = read(folder)
    assert boxes_of(index, "JPEGImages/2.jpg") == [("cat", 1, 3, 10, 10)]
    assert boxes_of(index, "JPEGImages/3.jpg") == [("cat", 5.5, 0, 40, 30)]
    assert index.notes[0].startswith("VOC: more boxes begin at 0 than at 1")


def test_one_slip_to_zero_does_not_move_the_others(make_voc: Set, boxes_of: BoxesOf) -> None:
    index = read(make_voc({"1": xml(("cat", 0, 3, 10, 10)), "2": xml(("cat", 1, 3, 10, 10))}))
    assert boxes_of(index, "JPEGImages/1.jpg") == boxes_of(index, "JPEGImages/2.jpg") == [("cat", 0, 2, 10, 10)]
    assert index.faults.lines == ()
    assert "1 box reaches over the edge of its picture by 1 px at most, and is cut there." in index.notes


def test_a_row_of_pixels_has_an_area_and_a_point_has_none(make_voc: Set, boxes_of: BoxesOf) -> None:
    index = read(make_voc({"1": xml(("cat", 5, 6, 5, 16), ("cat", 7, 7, 7, 7))}))
    assert boxes_of(index, "JPEGImages/1.jpg") == [("cat", 4, 5, 5, 16)]
    assert index.faults.lines == ("Annotations/1.xml line 4: cat [7, 7, 7, 7] has no area, and is left out.",)


BAD_BOXES = {
    "no area": (("cat", 9, 9, 9, 9), "cat [9, 9, 9, 9] has no area, and is left out."),
    "negative": (("cat", 9, 9, 5, 20), "cat [9, 9, 5, 20] has no area, and is left out."),
    "outside": (("cat", 41, 3, 60, 9), "cat [41, 3, 60, 9] lies outside its picture of 40 x 30 pixels, and is left out."),
    "nan": (("cat", "nan", 3, 6, 9), "cat [nan, 3, 6, 9] has a number that is not finite, and is left out."),
    "infinite": (("cat", 1, 3, "1e999", 9), "cat [1, 3, inf, 9] has a number that is not finite, and is left out."),
    "no number": (("cat", "x", 3, 6, 9), "an object is left out: expected four numbers, got 'x', '3', '6', '9'."),
    "no name": ((" ", 2, 3, 6, 9), "an object is left out: it has no name."),
    "unknown": (("cta", 2, 3, 6, 9), "an object is left out: the class 'cta' is none of those in classes.txt."),
    "too thin for float32": (("cat", 31.00000001, 3, 30.00000002, 9), "has no area"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_BOXES)
def test_a_bad_box_is_left_out_and_its_picture_stays(make_voc: Set, boxes_of: BoxesOf, case: str) -> None:
    box, text = BAD_BOXES[case]
    folder = make_voc({"1": xml(CAT, box, CAT), "2": xml(CAT)})
    (folder / "classes.txt").write_text("dog\ncat\n")
    index = read(folder)
    assert index.class_names == ("dog", "cat")
    assert boxes_of(index, "JPEGImages/1.jpg") == [("cat", 4, 5, 15, 16)] * 2
    (line,) = index.faults.lines
    assert line.startswith("Annotations/1.xml line 4: ")
    assert text in line
    assert (index.faults.boxes, index.faults.bad_boxes, index.faults.bad_pictures) == (4, 1, 0)
    with pytest.raises(
        DataError, match=r"1 of 4 boxes \(25\.00%\) bad; 1\.00% may be lost\. .* data\.max_bad=0\.25:\nAnnotations/1"
    ):
        index.faults.require_few(0.01)
    index.faults.require_few(0.25)


def test_a_box_over_the_edge_is_cut_and_named(make_voc: Set, boxes_of: BoxesOf) -> None:
    index = read(make_voc({"1": xml(("cat", 30, -5, 55, 9), ("cat", 3, 3, 41, 9))}))
    assert boxes_of(index, "JPEGImages/1.jpg") == [("cat", 29, 0, 40, 9), ("cat", 2, 2, 40, 9)]
    assert index.faults.lines == (
        "Annotations/1.xml line 3: cat [30, -5, 55, 9] reaches over the edge of its picture of 40 x 30 pixels, and is cut there.",
    )
    assert index.faults.bad_boxes == 0


def test_objects_without_a_box_and_parts_of_objects(make_voc: Set, boxes_of: BoxesOf) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part>"
    no_box = "<object><name>cat</name><bndbox><xmin>1</xmin></bndbox></object>"
    index = read(make_voc({"1": xml((*CAT, part), extra=no_box)}))
    assert boxes_of(index, "JPEGImages/1.jpg") == [("cat", 4, 5, 15, 16)]
    assert index.faults.lines == (
        "Annotations/1.xml line 4: an object is left out: expected a bndbox with xmin, ymin, xmax, ymax, and ymin is missing.",
    )


BAD_FILES = {
    "cut short": (xml(CAT)[:-20], r"line 3: this is no XML \(unclosed token\); its picture is left out"),
    "mismatched": ("<annotation>\n<size>\n</annotation>", r"line 3: this is no XML \(mismatched tag\)"),
    "empty": ("", r"line 1: this is no XML \(no element found\)"),
    "another root": ("<html>\n</html>", r"line 1: expected <annotation>, got <html>"),
    "laughs": (
        '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;">]>\n<annotation>&c;</annotation>',
        r"line 2: it declares a document type .* remove that line",
    ),
    "another file": (
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>',
        "line 1: it declares a document",
    ),
    "odd encoding": (
        '<?xml version="1.0" encoding="gb2312"?><annotation></annotation>',
        "line 1: its encoding is not known",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_broken_file_takes_its_picture_with_it(make_voc: Set, case: str) -> None:
    text, reason = BAD_FILES[case]
    index = read(make_voc({"1": xml(CAT), "2": text, "3": xml(CAT)}))
    assert [index.source.name(position) for position in range(len(index))] == ["JPEGImages/1.jpg", "JPEGImages/3.jpg"]
    (line,) = index.faults.lines
    assert line.startswith("Annotations/2.xml line ")
    with pytest.raises(DataError, match=rf"1 of 3 pictures \(33\.33%\) bad.*\n.*2\.xml {reason}"):
        index.faults.require_few(0.01)


def test_a_picture_whose_file_is_broken_has_one(make_voc: Set, make_picture: MakePicture) -> None:
    folder = make_voc({"1": xml(CAT), "2": "<annotation>"})
    make_picture(folder / "JPEGImages/3.jpg")
    assert read(folder).ignored == ("JPEGImages/3.jpg: it has no XML file",)


@pytest.mark.parametrize(("count", "pictures"), [(3, "Images"), (30, "JPEGImages")])
def test_a_set_is_recognised_though_its_first_files_are_broken(make_voc: Set, count: int, pictures: str) -> None:
    folder = make_voc({f"{number:02}": "" for number in range(count)} | {"99": xml(CAT)})
    (folder / "JPEGImages").rename(folder / pictures)
    index = read(folder)
    assert (index.format, len(index), index.faults.bad_pictures) == ("voc", 1, count)


def test_deep_files_are_no_trap(tmp_path: Path) -> None:
    write_text(tmp_path / "1.xml", xml(CAT, extra="<a>" * 9_000 + "x" + "</a>" * 9_000))
    annotation = voc_xml.Reader().read(tmp_path / "1.xml")
    assert len(annotation.objects) == 1
    assert max(len(key) for key in annotation.fields) < 20  # and not one key for each depth


def test_a_missing_picture(make_voc: Set) -> None:
    folder = make_voc({"1": xml(CAT), "2": xml(CAT, CAT, filename="other.jpg")})
    (folder / "JPEGImages/2.jpg").unlink()
    index = read(folder)
    assert len(index) == 1
    assert index.faults.lines == (
        "Annotations/2.xml: there is no picture 2.jpg (or of another kind) in JPEGImages, ., Annotations; its 2 boxes are left out.",
    )
    (folder / "JPEGImages/1.jpg").rename(folder / "JPEGImages/other.jpg")
    (folder / "Annotations/1.xml").unlink()
    assert [read(folder).source.name(0)] == ["JPEGImages/other.jpg"]
    (folder / "JPEGImages/other.jpg").unlink()
    with pytest.raises(
        DataError, match=r"holds no picture of a data set in the format voc\.\nAnnotations/2\.xml: there is no"
    ):
        read(folder)


def test_one_picture_for_two_files(make_voc: Set) -> None:
    folder = make_voc({"1": xml(CAT), "2": xml(CAT, filename="..\\JPEGImages\\1.jpg")})
    (folder / "JPEGImages/2.jpg").unlink()
    index = read(folder)
    assert index.faults.lines == (
        "Annotations/2.xml: JPEGImages/1.jpg is the picture of Annotations/1.xml too; its 1 box is left out.",
    )


def test_a_wrong_size_is_named_and_the_picture_counts(
    make_voc: Set, make_picture: MakePicture, boxes_of: BoxesOf
) -> None:
    size = "<width>80</width>\n<height>60</height>"
    folder = make_voc(
        {"1": xml(CAT, ("cat", 50, 3, 70, 9), size=size), "2": xml(CAT, size="<width>0</width><height>0</height>")}
    )
    index = read(folder)
    assert boxes_of(index, "JPEGImages/1.jpg") == [("cat", 4, 5, 15, 16)]
    assert index.faults.lines[0] == (
        "Annotations/1.xml line 2: the size of JPEGImages/1.jpg is given as 80 x 60, and the picture has 40 x 30 pixels; "
        "its boxes are used as they are."
    )
    assert "line 5: cat [50, 3, 70, 9] lies outside" in index.faults.lines[1]
    assert (index.faults.bad_pictures, index.faults.pictures) == (1, 2)
    make_picture(folder / "JPEGImages/2.jpg", 40, 30, orientation=6)
    (folder / "Annotations/2.xml").write_text(xml(CAT))
    assert "40 x 30, and the picture has 30 x 40 pixels (exchanged: boxes refer to the upright picture)" in str(
        read(folder).faults.lines
    )


def test_names_beyond_ascii(make_voc: Set, boxes_of: BoxesOf, tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Käfig_猫 1")
    folder = make_voc(
        {"Käfig_猫 1": xml(("Kätzchen & Co".replace("&", "&amp;"), 5, 6, 15, 16))}, {"train": [decomposed]}
    )
    index = read(folder)
    assert (index.class_names, sizes(index)) == (("Kätzchen & Co",), {"train": 1})
    (folder / "JPEGImages/Käfig_猫 1.jpg").rename(folder / "JPEGImages" / f"{decomposed}.jpg")
    index = read(folder)
    assert boxes_of(index, f"JPEGImages/{decomposed}.jpg") == [("Kätzchen & Co", 4, 5, 15, 16)]
    voc.write(index, tmp_path / "out")
    assert read(tmp_path / "out").class_names == index.class_names


def test_lists_with_faults(make_voc: Set) -> None:
    texts = dict.fromkeys("1234", xml(CAT))
    index = read(make_voc(texts, {"train": ["1", "9", "", "1", "2.jpg"], "val": ["3"], "test": ["7", "8"]}))
    assert sizes(index) == {"train": 2, "val": 1}
    assert index.faults.lines == (
        "ImageSets/Main/train.txt line 2: there is no Annotations/9.xml; it is left out.",
        "ImageSets/Main/train.txt line 4: 1 was listed before, in ImageSets/Main/train.txt line 1.",
    )
    assert (index.faults.pictures, index.faults.bad_pictures) == (4, 2)
    assert "The pictures of ImageSets/Main/test.txt (2) have no XML files and are left out." in index.notes
    assert "1 of 4 XML files are in no list and are left out." in index.notes


def test_a_list_without_annotations_is_a_fault(make_voc: Set) -> None:
    index = read(make_voc(dict.fromkeys("12", xml(CAT)), {"train": ["1", "2"], "val": ["8", "9"]}))
    assert index.faults.lines == (
        "ImageSets/Main/val.txt: none of its names (2) has an XML file in Annotations; all are left out.",
    )
    assert index.faults.concerns[0].kind == "missing annotation"
    assert (index.faults.bad_pictures, index.faults.pictures) == (2, 4)


def test_a_picture_in_two_lists(make_voc: Set) -> None:
    index = read(make_voc(dict.fromkeys("123", xml(CAT)), {"train": ["1", "3"], "val": ["2", "1"]}))
    (line,) = index.faults.lines
    assert line == "ImageSets/Main/val.txt line 2: 1 is in ImageSets/Main/train.txt line 1 too; it stays in val."
    there = {split: [index.source.name(p) for p in held.tolist()] for split, held in index.splits.items()}
    assert there == {"train": ["JPEGImages/3.jpg"], "val": ["JPEGImages/1.jpg", "JPEGImages/2.jpg"]}
    assert (index.faults.pictures, index.faults.bad_pictures) == (3, 1)


def test_trainval_stands_for_what_is_missing(make_voc: Set) -> None:
    texts = dict.fromkeys("1234", xml(CAT))
    folder = make_voc(texts, {"trainval": ["1", "2", "3"], "test": ["4"]})
    assert sizes(read(folder)) == {"train": 3, "test": 1}
    make_voc({}, {"train": ["1", "2"]})
    index = read(folder)
    assert sizes(index) == {"train": 2, "val": 1, "test": 1}
    assert index.notes[1].startswith("There is no val.txt: the val split is what trainval.txt names")


def test_what_is_written_is_read_again(make_boxes: Callable[..., Index], boxes_of: BoxesOf, tmp_path: Path) -> None:
    first = [(0, 0, 40, 30, 0), (1, 2, 3, 4, 2, 1), (5, 5, 9, 9, 2, 0, 1)]
    index = make_boxes(first, [], [(7, 8, 9, 10, 0)], splits={"train": [0, 1], "val": [2]})
    assert voc.write(index, tmp_path / "out") == (
        "1 crowd is written as difficult, with an element iscrowd that other programs ignore.",
    )
    again = read(tmp_path / "out")
    assert (again.class_names, sizes(again), again.faults.lines) == (("a", "b", "c"), {"train": 2, "val": 1}, ())
    assert boxes_of(again, "JPEGImages/0.jpg") == [("a", 0, 0, 40, 30), ("c", 1, 2, 3, 4), ("c", 5, 5, 9, 9)]
    assert isinstance(again.annotations, Objects)
    assert again.annotations.crowd.tolist() == [False, True, False, False]
    assert again.annotations.difficult.tolist() == [False, False, True, False]
    assert (tmp_path / "out/JPEGImages/2.jpg").read_bytes() == (tmp_path / "source/2.jpg").read_bytes()
    assert "<difficult>1</difficult>\n    <iscrowd>1</iscrowd>" in (tmp_path / "out/Annotations/0.xml").read_text()


def test_boxes_of_less_than_a_pixel_are_kept(
    make_boxes: Callable[..., Index], boxes_of: BoxesOf, tmp_path: Path
) -> None:
    rows = [(10.1, 10.2, 10.3, 10.4, 0), (39.2, 29.2, 39.9, 29.9, 0), (3, 3, 3.2, 9, 0)]
    index = make_boxes(rows, [(1, 1, 4, 4, 0, 0, 0, 2)])
    assert voc.write(index, tmp_path / "out") == (
        "Areas of outlines are not written: VOC has those of boxes only.",
        "The edges of 3 boxes are rounded to whole pixels.",
        "2 boxes of a pixel or less are written as two pixels, the least that is not a point.",
    )
    again = read(tmp_path / "out")
    assert boxes_of(again, "JPEGImages/0.jpg") == [("a", 10, 10, 12, 11), ("a", 38, 29, 40, 30), ("a", 3, 3, 4, 9)]
    assert sizes(again) == {}


def test_writing_where_something_is(make_boxes: Callable[..., Index], tmp_path: Path) -> None:
    index = make_boxes([(1, 1, 4, 4, 0)])
    with pytest.raises(DataError, match="is not empty"):
        voc.write(index, tmp_path)


def test_real_set(real_set: Callable[..., Path]) -> None:
    index = read(real_set("bccd_voc", "det"))
    assert (index.format, sizes(index)) == ("voc", {"train": 205, "val": 87, "test": 72})
    assert index.class_counts() == {"Platelets": 361, "RBC": 4153, "WBC": 372}
    assert set(index.faults.lines) == {
        "Annotations/BloodImage_00338.xml line 158: RBC [504, 337, 504, 337] has no area, and is left out.",
        "Annotations/BloodImage_00343.xml line 50: RBC [181, 329, 181, 329] has no area, and is left out.",
    }
    assert (index.faults.boxes, index.faults.bad_boxes) == (4888, 2)
    index.faults.require_few(0.01)
    assert with_splits(index).fingerprint() == index.fingerprint()
