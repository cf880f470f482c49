"""Where YOLO's files lie, what a line means, and each thing that can be wrong with them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.data.annotations import Objects
from sightline.data.formats import coco, read, yolo
from sightline.data.index import Index
from sightline.errors import DataError

MakePicture = Callable[..., Path]
BoxesOf = Callable[[Index, str], list[tuple[object, ...]]]
MakeYolo = Callable[..., Path]

BOX = "1 0.25 0.5 0.1 0.2"
"""8..12, 12..18 of 40 x 30 pixels."""
EDGES = ("dog", 8, 12, 12, 18)
YAML = "path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n"


def sizes(index: Index) -> dict[str, int]:
    return {split: len(held) for split, held in index.splits.items()}


def rounded(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return [tuple(round(value, 3) if isinstance(value, float) else value for value in row) for row in rows]


@pytest.fixture
def make_yolo(tmp_path: Path, make_picture: MakePicture) -> MakeYolo:
    """images/train/1.jpg and images/val/2.jpg; the labels of the first are the given text; data.yaml if it is not empty."""

    def make(labels: str | None, yaml: str = YAML) -> Path:
        folder = tmp_path / "set"
        for name in ("train/1", "val/2"):
            make_picture(folder / f"images/{name}.jpg")
        write_text(folder / "labels/val/2.txt", BOX)
        if labels is not None:
            write_text(folder / "labels/train/1.txt", labels)
        if yaml:
            write_text(folder / "data.yaml", yaml)
        return folder

    return make


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_usual_layout(make_yolo: MakeYolo, boxes_of: BoxesOf) -> None:
    folder = make_yolo(f"{BOX}\r\n\r\n  0.0 0.5 0.5 1 1  \n")
    index = read(folder)
    assert (index.format, index.class_names, sizes(index)) == ("yolo", ("cat", "dog"), {"train": 1, "val": 1})
    assert rounded(boxes_of(index, "images/train/1.jpg")) == [EDGES, ("cat", 0, 0, 40, 30)]
    assert (index.faults.lines, index.notes) == ((), ("The val split has no objects of cat.",))
    assert read(folder / "data.yaml").fingerprint() == index.fingerprint()


YAMLS = {
    "names with numbers": "train: images/train\nval: images/val\nnames:\n  1: dog\n  0: cat\n",
    "block of names": "names:\n- cat   # the first\n- 'dog'\nnc: 2\ntrain: images/train\nval: [images/val]\ntest:\n",
    "path from elsewhere": "path: ../datasets/set  # root\ntrain: images/train\nval: images/val\nnames: ['cat', \"dog\"]",
    "exported by Roboflow": "train: ../images/train\nval: ../images/val\ntest: ../images/test\nnc: 2\nnames: ['cat',\n 'dog']",
    "code to download": "train: images/train\nval: images/val\nnames: {0: cat, 1: dog}\ndownload: |\n  names: [x]\n  print('a: b')\n",
    "a folder for both": "train: ./images/train/\nval: images/val/\nnames: &n [cat, dog]\nothers: *n\n",
}


@pytest.mark.parametrize("case", YAMLS)
def test_descriptions(make_yolo: MakeYolo, boxes_of: BoxesOf, case: str) -> None:
    index = read(make_yolo(BOX, YAMLS[case]))
    assert (index.class_names, sizes(index)) == (("cat", "dog"), {"train": 1, "val": 1})
    assert rounded(boxes_of(index, "images/train/1.jpg")) == [EDGES]


def test_a_path_that_is_found_elsewhere_is_said(make_yolo: MakeYolo) -> None:
    notes = read(make_yolo(BOX, YAMLS["exported by Roboflow"])).notes
    assert notes[:3] == (
        "data.yaml line 1: there is no ../images/train; images/train is taken.",
        "data.yaml line 2: there is no ../images/val; images/val is taken.",
        "data.yaml line 3: there is no ../images/test; the data set has no test split.",
    )


def test_text_in_yaml_stays_text(make_yolo: MakeYolo) -> None:
    index = read(make_yolo(BOX, YAML.replace("[cat, dog]", "[no, 1.0, Kätzchen, null]")))
    assert index.class_names == ("no", "1.0", "Kätzchen", "null")
    index = read(make_yolo(BOX, YAML.replace("names: [cat, dog]", "nc: 3")))
    assert index.class_names == ("0", "1", "2")


def test_numbers_with_holes_become_labels_without(make_yolo: MakeYolo, boxes_of: BoxesOf) -> None:
    index = read(make_yolo("90 0.25 0.5 0.1 0.2", YAML.replace("[cat, dog]", "{90: cat, 1: dog}")))
    assert index.class_names == ("dog", "cat")
    assert index.annotations.labels.tolist() == [1, 0]


BAD_YAML = {
    "cut short": (
        "names: [cat, dog\ntrain: images/train\n",
        r"data\.yaml line 2: this is no YAML \(expected ',' or '\]'",
    ),
    "tab": ("names: [cat]\ntrain:\timages/train\n\tval: x\n", r"data\.yaml line 2: this is no YAML \(found character"),
    "control": ("train: images/train\nnames: [\x00]\n", r"is no YAML \(unacceptable character #x0000"),
    "deep": ("train: images/train\nnames: " + "[" * 600, "is no YAML"),
    "a list": ("- train: images/train\n- names: [cat]\n", "line 1: expected keys with values"),
    "number": ("train: images/train\nnames:\n  0: cat\n  x: dog\n", r"line 4: expected a class number, got 'x'"),
    "twice": ("train: images/train\nnames:\n  0: cat\n  0: dog\n", r"line 4: '0' is there twice"),
    "key twice": ("train: images/train\nnames: [cat]\ntrain: images/val\n", r"line 3: 'train' is there twice"),
    "no name": ("train: images/train\nnames:\n  0: cat\n  1:\n  2: dog\n", r"line 4: a class has no name"),
    "empty item": ("train: images/train\nnames: [cat, '', dog]\n", r"line 2: a class has no name"),
    "two names": ("train: images/train\nnames:\n  1: cat\n  01: dog\n", "a class number has two names"),
    "nested": ("train: images/train\nnames: [cat, [dog]]\n", "line 2: expected text, or a list of it, as names"),
    "absent": (
        "train: images/none\nval: images/val\nnames: [cat]\n",
        r"line 1: there is no images/none, below .*set\. Write where the pictures are\.$",
    ),
}


@pytest.mark.parametrize("case", BAD_YAML)
def test_descriptions_that_cannot_be_used(make_yolo: MakeYolo, case: str) -> None:
    text, reason = BAD_YAML[case]
    with pytest.raises(DataError, match=reason):
        yolo.read(make_yolo(BOX, text) / "data.yaml")


def test_without_the_val_folder_training_stops_and_a_check_goes_on(make_yolo: MakeYolo) -> None:
    index = read(make_yolo(BOX, YAML.replace("images/val", "images/later")))
    assert set(index.splits) == {"train"}
    (line,) = index.faults.lines
    assert line.startswith("data.yaml line 3: there is no images/later, below ")
    assert line.endswith("; it is left out. Write where it is, or take the line out.")
    with pytest.raises(DataError, match=r"^data\.yaml line 3: there is no images/later"):
        index.faults.require_few(1.0)


def test_odd_descriptions_are_said(make_yolo: MakeYolo) -> None:
    index = read(make_yolo(BOX, YAML.replace("names: [cat, dog]", "nc: 4\nnames: [cat, dog, cat]")))
    assert index.class_names == ("cat", "dog")
    assert "data.yaml: nc is 4, and there are 3 names; the names count." in index.notes
    assert "data.yaml: the class 'cat' has several numbers, which are taken as one class." in index.notes


def test_several_descriptions(make_yolo: MakeYolo) -> None:
    folder = make_yolo(BOX)
    write_text(folder / "other.yml", YAML)
    write_text(folder / "semantic.yaml", "train:\n  images: x\nclasses:\n  0: cat\n")
    with pytest.raises(
        DataError, match=r"several descriptions of a YOLO data set: data\.yaml, other\.yml\. Give the path of one"
    ):
        read(folder)
    assert len(read(folder / "other.yml")) == 2


LAYOUTS = {
    "coco128": ("images/train2017/{}.jpg", "labels/train2017/{}.txt", "train"),
    "no splits": ("images/{}.jpg", "labels/{}.txt", ""),
    "no splits, deeper": ("images/more/{}.jpg", "labels/more/{}.txt", ""),
    "splits above": ("valid/images/{}.jpg", "valid/labels/{}.txt", "val"),
    "beside the pictures": ("{}.jpg", "{}.txt", ""),
    "beside, in splits": ("test/{}.jpg", "test/{}.txt", "test"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_without_a_description(
    tmp_path: Path, make_picture: MakePicture, boxes_of: BoxesOf, layout: str
) -> None:
    picture, labels, split = LAYOUTS[layout]
    for name in "abc":
        make_picture(tmp_path / picture.format(name))
    write_text(tmp_path / labels.format("a"), "12 0.25 0.5 0.1 0.2")
    write_text(tmp_path / labels.format("b"), "2 0.25 0.5 0.1 0.2")
    index = read(tmp_path)
    assert (index.format, sizes(index), index.class_names) == ("yolo", {split: 3} if split else {}, ("2", "12"))
    assert rounded(boxes_of(index, picture.format("a"))) == [("12", *EDGES[1:])]
    assert "No file names the classes; they are called by their numbers." in index.notes
    assert "1 picture has no label file: it counts as one without objects." in index.notes
    write_text(tmp_path / "classes.txt", "".join(f"class {number}\n" for number in range(13)))
    assert read(tmp_path).class_names[12] == "class 12"


@pytest.mark.parametrize("folder", ["labels/{}", "images/{}", "{}/labels", "{}", "{}/images"])
def test_class_names_may_lie_beside_the_labels(tmp_path: Path, make_picture: MakePicture, folder: str) -> None:
    labels, pictures = (folder.replace(one, other) for one, other in (("images", "labels"), ("labels", "images")))
    for split in ("train", "val"):
        make_picture(tmp_path / pictures.format(split) / f"{split}.jpg")
        write_text(tmp_path / labels.format(split) / f"{split}.txt", BOX)
        write_text(tmp_path / folder.format(split) / "classes.txt", "cat\ndog\n" + "cow\n" * (split == "val"))
    assert read(tmp_path).class_names == ("cat", "dog", "cow")
    write_text(tmp_path / folder.format("val") / "classes.txt", "cat\ncow\n")
    with pytest.raises(
        DataError, match=r"classes\.txt line 2: the class 1 is called '(cow|dog)' here, and '(dog|cow)' in .*classes"
    ):
        read(tmp_path)
    write_text(tmp_path / "classes.txt", "cat\nhen\n")
    assert read(tmp_path).class_names == ("cat", "hen")


@pytest.mark.parametrize(
    ("text", "faults"), [("\ufeff12 .25 .5 .1 .2", 0), ("# by hand\n\n12 .25 .5 .1 .2", 0), ("dog\n12 .25 .5 .1 .2", 1)]
)
def test_a_set_is_recognised_whatever_its_files_begin_with(
    tmp_path: Path, make_picture: MakePicture, boxes_of: BoxesOf, text: str, faults: int
) -> None:
    make_picture(tmp_path / "images/a.jpg")
    write_text(tmp_path / "labels/a.txt", text)
    index = read(tmp_path)
    assert rounded(boxes_of(index, "images/a.jpg")) == [("12", *EDGES[1:])]
    assert (index.format, index.faults.bad_boxes) == ("yolo", faults)


def test_lists_of_pictures(make_yolo: MakeYolo, make_picture: MakePicture) -> None:
    folder = make_yolo(BOX, "")
    write_text(folder / "coco.names", "cat\ndog\n")
    make_picture(folder / "images/3.jpg")
    for name in ("images/train/1.jpg", "images/val/2.jpg"):
        (folder / name).rename(folder / "images" / Path(name).name)
    for name in ("train/1", "val/2"):
        (folder / f"labels/{name}.txt").rename(folder / "labels" / f"{Path(name).name}.txt")
        (folder / "images" / name).parent.rmdir()
    write_text(folder / "train.txt", "./images/1.jpg\n\nimages/1.jpg\nimages\\9.jpg\n")
    write_text(folder / "val.txt", str(folder / "images/2.jpg"))
    index = read(folder)
    assert (sizes(index), index.class_names) == ({"train": 1, "val": 1}, ("cat", "dog"))
    assert index.faults.lines == (
        "train.txt line 3: images/1.jpg was listed before, in train.txt line 1.",
        "train.txt line 4: there is no picture images/9.jpg; it is left out.",
    )
    assert (index.faults.pictures, index.faults.bad_pictures) == (3, 2)


def test_a_picture_in_two_lists_stays_in_the_later_split(make_yolo: MakeYolo, boxes_of: BoxesOf) -> None:
    folder = make_yolo(BOX, YAML.replace("images/train", "train.txt").replace("images/val", "val.txt"))
    write_text(folder / "train.txt", "images/train/1.jpg\nimages/val/2.jpg\n")
    write_text(folder / "val.txt", "images/val/../val/2.jpg\n")
    index = read(folder)
    assert sizes(index) == {"train": 1, "val": 1}
    assert rounded(boxes_of(index, "images/val/2.jpg")) == [EDGES]
    assert index.faults.lines == ("val.txt line 1: images/val/2.jpg is in train.txt line 2 too; it stays in val.",)


@pytest.mark.parametrize(
    ("elsewhere", "slash"), [("/home/me/data", "/"), (r"C:\Users\me\data", "\\"), ("../../my data", "/")]
)
@pytest.mark.parametrize("described", [True, False])
def test_lists_of_another_machine(make_yolo: MakeYolo, elsewhere: str, slash: str, described: bool) -> None:
    folder = make_yolo(
        BOX, YAML.replace("images/train", "train.txt").replace("images/val", "val.txt") if described else ""
    )
    for picture in list(folder.glob("images/*/*.jpg")):
        labels = folder / "labels" / picture.parent.name / f"{picture.stem}.txt"
        picture.rename(folder / "images" / picture.name)
        labels.rename(folder / "labels" / labels.name)
    for split in ("train", "val"):
        (folder / "images" / split).rmdir()
        (folder / "labels" / split).rmdir()
    gone, first, second = (slash.join([elsewhere, "images", name]) for name in ("0.jpg", "1.jpg", "2.jpg"))
    write_text(folder / "train.txt", f"{gone}\r\n{first}\r\n/other{second}\r\n")
    write_text(folder / "val.txt", second)
    index = read(folder)
    assert sizes(index) == {"train": 1, "val": 1}
    start = elsewhere.replace("\\", "/")
    assert (
        f"train.txt: no picture is where its line says ({gone}); the lines are read without {start}/ before the names."
        in index.notes
    )
    assert index.faults.lines == (
        f"train.txt line 1: there is no picture {start}/images/0.jpg; it is left out.",
        f"train.txt line 3: there is no picture /other{start}/images/2.jpg; it is left out.",
    )


@pytest.mark.parametrize("elsewhere", ["/content/data/", "D:\\data\\", "../../"])
def test_a_description_of_another_machine(make_yolo: MakeYolo, elsewhere: str) -> None:
    yaml = YAML.replace("images/", f"{elsewhere}images/")
    folder = make_yolo(BOX, yaml)
    index = read(folder)
    assert sizes(index) == {"train": 1, "val": 1}
    assert f"data.yaml line 2: there is no {elsewhere}images/train; images/train is taken." in index.notes
    # What is not there is not found in another place, though its last part alone is.
    write_text(folder / "data.yaml", yaml.replace("images/val", "later/images"))
    assert sizes(read(folder)) == {"train": 1}


def test_a_folder_of_two_splits_is_that_of_the_first(make_yolo: MakeYolo) -> None:
    both = YAML.replace("images/val", "./images/train") + "test: images/train\n"
    index = read(make_yolo(BOX, both))
    assert sizes(index) == {"train": 1}
    first, second = index.faults.lines
    assert first.startswith(
        "data.yaml line 3: ./images/train is given as train too, in line 2, and is taken as train only: "
    )
    assert second.endswith("Give test pictures of its own, or take the line out.")
    index.faults.require_few()


BAD_BOXES = {
    "no area": ("1 0.5 0.5 0 0.2", "dog [0.5, 0.5, 0, 0.2] has no area, and is left out."),
    "negative": ("1 0.5 0.5 -0.1 0.2", "dog [0.5, 0.5, -0.1, 0.2] has no area, and is left out."),
    "outside": ("1 1.5 0.5 0.1 0.2", "dog [1.5, 0.5, 0.1, 0.2] lies outside its picture of 40 x 30 pixels, and is left out."),
    "pixels": ("1 20 15 4 6", "a box is left out: expected shares of the picture's width and height, 0..1, got 20."),
    "nan": ("1 nan 0.5 0.1 0.2", "a box is left out: a number is not finite."),
    "infinite": ("1 0.5 0.5 0.1 -inf", "expected shares of the picture's width and height, 0..1, got -inf."),
    "unknown class": ("2 0.5 0.5 0.1 0.2", "a box is left out: 2 is no class number of data.yaml (0..1)."),
    "negative class": ("-1 0.5 0.5 0.1 0.2", "a box is left out: -1 is no class number of data.yaml (0..1)."),
    "half a class": ("0.5 0.5 0.5 0.1 0.2", "a box is left out: 0.5 is no class number of data.yaml (0..1)."),
    "four columns": ("1 0.5 0.5 0.1", "expected a class and 4 numbers, or a class and 3 points or more, got 4 columns."),
    "six columns": ("1 0.5 0.5 0.1 0.1 0.9", "expected a class and 4 numbers, or a class and 3 points or more, got 6 columns."),
    "half a point": ("1 .1 .2 .3 .4 .5 .6 .7", "expected a class and 4 numbers, or a class and 3 points or more, got 8 columns."),
    "name": ("dog 0.5 0.5 0.1 0.2", "a box is left out: expected numbers, got 'dog 0.5 0.5 0.1 0.2'."),
    "commas": ("1,0.5,0.5,0.1,0.2", "a box is left out: expected numbers, got '1,0.5,0.5,0.1,0.2'."),
    "binary": ("\udcff\x01", "a box is left out: expected numbers"),
    "outline": ("1 nan 0.5 0.1 0.2 0.3 0.4", "a box is left out: a number is not finite."),
    "flat outline": ("1 .1 .1 .2 .1 .3 .1", "dog [0.2, 0.1, 0.2, 0] has no area, and is left out."),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_BOXES)
def test_a_bad_line_is_left_out_and_its_picture_stays(make_yolo: MakeYolo, boxes_of: BoxesOf, case: str) -> None:
    line, text = BAD_BOXES[case]
    folder = make_yolo("")
    (folder / "labels/train/1.txt").write_bytes(f"{BOX}\n{line}\n{BOX}".encode(errors="surrogateescape"))
    index = read(folder)
    assert rounded(boxes_of(index, "images/train/1.jpg")) == [EDGES, EDGES]
    (said,) = index.faults.lines
    assert said.startswith("labels/train/1.txt line 2: ")
    assert text in said
    assert (index.faults.boxes, index.faults.bad_boxes, index.faults.bad_pictures) == (4, 1, 0)


def test_outlines_become_boxes(make_yolo: MakeYolo, boxes_of: BoxesOf) -> None:
    index = read(make_yolo(f"0 .25 .5 .5 .5 .5 1\n{BOX}\n0 0.3 0.4 0.5 0.4 0.5 0.6 0.3 0.6"))
    assert rounded(boxes_of(index, "images/train/1.jpg")) == [("cat", 10, 15, 20, 30), EDGES, ("cat", 12, 12, 20, 18)]
    assert isinstance(index.annotations, Objects)
    assert index.annotations.areas.tolist()[:3] == pytest.approx([75, 24, 48])
    assert "2 outlines are read as the boxes around them." in index.notes


def test_key_points_follow_the_box(make_yolo: MakeYolo, boxes_of: BoxesOf) -> None:
    index = read(make_yolo(f"{BOX} .1 .2 2 .3 .4 2 .5 .6 2 .7 .8 2", f"{YAML}kpt_shape: [4, 3]\n"))
    assert rounded(boxes_of(index, "images/train/1.jpg")) == [EDGES]


def test_a_label_file_without_a_picture(make_yolo: MakeYolo) -> None:
    folder = make_yolo(BOX)
    write_text(folder / "labels/train/7.txt", BOX)
    write_text(folder / "labels/train/classes.txt", "cat\ndog\n")
    index = read(folder)
    assert index.faults.lines == (
        "labels/train/7.txt: there is no picture 7.jpg (or of another kind) in images/train.",
    )
    assert (index.faults.pictures, index.faults.bad_pictures) == (3, 1)


@pytest.mark.parametrize("layout", ["coco128", "beside the pictures"])
def test_the_endings_of_label_files_count_in_any_case(
    tmp_path: Path, make_picture: MakePicture, boxes_of: BoxesOf, layout: str
) -> None:
    picture, labels, _ = LAYOUTS[layout]
    for name in "ab":
        make_picture(tmp_path / picture.format(name))
        write_text((tmp_path / labels.format(name)).with_suffix(".TXT"), BOX)
    index = read(tmp_path)
    assert rounded(boxes_of(index, picture.format("b"))) == [("1", *EDGES[1:])]
    assert not any("label file" in note for note in index.notes)


def test_boxes_of_a_picture_that_cannot_be_read(make_yolo: MakeYolo, boxes_of: BoxesOf) -> None:
    folder = make_yolo(f"{BOX}\n{BOX}")
    (folder / "images/train/1.jpg").write_bytes(b"nothing")
    index = read(folder)
    assert boxes_of(index, "images/train/1.jpg") == []
    assert "2 boxes are left out with their pictures, which cannot be read." in index.notes
    assert (index.faults.lines, index.faults.bad_boxes) == ((), 0)


def test_shares_are_of_the_upright_picture(make_yolo: MakeYolo, make_picture: MakePicture, boxes_of: BoxesOf) -> None:
    folder = make_yolo("0 0.5 0.5 1 1")
    make_picture(folder / "images/train/1.jpg", 40, 30, orientation=8)
    index = read(folder)
    assert boxes_of(index, "images/train/1.jpg") == [("cat", 0, 0, 30, 40)]
    assert index.source.image(0).shape[1:] == (40, 30)


def test_names_beyond_ascii(make_yolo: MakeYolo, make_picture: MakePicture, boxes_of: BoxesOf, tmp_path: Path) -> None:
    folder = make_yolo(BOX, YAML.replace("dog", "Kätzchen: 'eins'").replace("[cat, ", '[cat, "').replace("]", '"]'))
    make_picture(folder / "images/train/Käfig_猫 1.jpg")
    write_text(folder / "labels/train/Käfig_猫 1.txt", BOX)
    index = read(folder)
    assert rounded(boxes_of(index, "images/train/Käfig_猫 1.jpg")) == [("Kätzchen: 'eins'", *EDGES[1:])]
    yolo.write(index, tmp_path / "out")
    assert read(tmp_path / "out").class_names == index.class_names


def test_what_is_no_yolo_set(tmp_path: Path, make_picture: MakePicture) -> None:
    make_picture(tmp_path / "images/1.jpg")
    write_text(tmp_path / "labels/1.txt", "a cat on a mat with a hat\n")
    assert not yolo.recognises(tmp_path)
    with pytest.raises(DataError, match="holds no YOLO data set"):
        yolo.read(tmp_path / "labels/1.txt")


def test_what_is_written_is_read_again(make_boxes: Callable[..., Index], boxes_of: BoxesOf, tmp_path: Path) -> None:
    first = [(0, 0, 40, 30, 0), (1.25, 2.3, 3.4, 4.7, 2, 1), (5, 5, 9, 9, 2, 0, 1, 7.5)]
    index = make_boxes(first, [], [(7, 8, 9, 10, 0)], splits={"train": [0, 1], "val": [2]})
    assert yolo.write(index, tmp_path / "out") == (
        "1 crowd is left out: YOLO has no sign for them.",
        "1 difficult object is written as an ordinary one.",
        "Areas of outlines are not written: YOLO has those of boxes only.",
    )
    again = read(tmp_path / "out")
    assert (again.class_names, sizes(again), again.faults.lines) == (("a", "b", "c"), {"train": 2, "val": 1}, ())
    assert rounded(boxes_of(again, "images/train/0.jpg")) == [("a", 0, 0, 40, 30), ("c", 5, 5, 9, 9)]
    assert (tmp_path / "out/images/train/1.jpg").read_bytes() == (tmp_path / "source/1.jpg").read_bytes()
    # "." would be a folder of their own to other programs.
    assert (tmp_path / "out/data.yaml").read_text().splitlines()[:2] == ["train: images/train", "val: images/val"]
    undivided = make_boxes([(7, 8, 9, 10, 0)])
    assert yolo.write(undivided, tmp_path / "other") == ()
    assert sizes(read(tmp_path / "other")) == {}


def test_real_set(real_set: Callable[..., Path], boxes_of: BoxesOf) -> None:
    folder = real_set("coco_cc", "det")
    index = yolo.read(folder / "yolo_config.yaml")
    assert (sizes(index), len(index.class_names)) == ({"train": 26, "val": 27}, 80)
    assert index.faults.lines == ()
    assert "1 picture has no label file: it counts as one without objects." in index.notes
    # The same boxes as in the JSON, crowds apart: those are in no label file.
    official = coco.read(folder)
    name = "images/train2017/000000000030.jpg"
    pairs = zip(sorted(rounded(boxes_of(index, name))), sorted(boxes_of(official, name)), strict=True)
    assert all(ours[0] == theirs[0] and ours[1:] == pytest.approx(theirs[1:], abs=1.0) for ours, theirs in pairs)
    with pytest.raises(DataError, match="158 of 354 boxes have class numbers that it does not name"):
        read(folder / "yolo_seg_config.yaml")


@pytest.mark.parametrize("yaml", [YAML, ""])
def test_label_files_may_begin_with_a_byte_order_mark(make_yolo: MakeYolo, boxes_of: BoxesOf, yaml: str) -> None:
    folder = make_yolo(f"\ufeff{BOX}\n", yaml)
    (folder / "labels/val/2.txt").write_text(f"\ufeff{BOX}\n")
    index = read(folder)
    assert (index.format, index.faults.lines) == ("yolo", ())
    assert [row[1:] for row in rounded(boxes_of(index, "images/train/1.jpg"))] == [EDGES[1:]]


def test_a_yaml_file_of_other_labels_is_one_error(make_yolo: MakeYolo) -> None:
    many = "".join(f"{number} 0.5 0.5 0.1 0.1\n" for number in (0, 1, *range(7, 17)))
    with pytest.raises(DataError) as caught:
        read(make_yolo(many))
    assert "data.yaml: 10 of 13 boxes have class numbers that it does not name (7, 8" in str(caught.value)
    assert "first in labels/train/1.txt line 3" in str(caught.value)
    few = read(make_yolo(many.replace("\n7 ", "\n0 ")))
    assert few.faults.bad_boxes == 9
