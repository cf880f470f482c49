"""Where COCO's files lie, what of them is used, and each thing that can be wrong with them."""

import json
import tracemalloc
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.data.annotation_faults import Concern
from sightline.data.annotations import Objects
from sightline.data.formats import coco, read
from sightline.data.index import Index
from sightline.errors import DataError

MakePicture = Callable[..., Path]
BoxesOf = Callable[[Index, str], list[tuple[object, ...]]]
MakeCoco = Callable[..., Path]

CATEGORIES = [{"id": 3, "name": "dog"}, {"id": 1, "name": "cat"}]
BOX = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [4, 5, 11, 11], "iscrowd": 0}


def image(identity: Any, name: str, width: Any = 40, height: Any = 30, **more: Any) -> dict[str, Any]:
    return {"id": identity, "file_name": name, "width": width, "height": height, **more}


def sizes(index: Index) -> dict[str, int]:
    return {split: len(held) for split, held in index.splits.items()}


def write_json(path: Path, images: list[Any], annotations: list[Any], categories: list[Any] | None = None) -> Path:
    content = {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": CATEGORIES if categories is None else categories,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False))
    return path


@pytest.fixture
def make_coco(tmp_path: Path, make_picture: MakePicture) -> MakeCoco:
    """annotations/instances_train2017.json with the given lists; pictures 1.jpg and 2.jpg are in train2017."""

    def make(annotations: list[Any], images: list[Any] | None = None, categories: list[Any] | None = None) -> Path:
        for name in ("1.jpg", "2.jpg"):
            make_picture(tmp_path / "set/train2017" / name)
        images = [image(1, "1.jpg"), image(2, "2.jpg")] if images is None else images
        write_json(tmp_path / "set/annotations/instances_train2017.json", images, annotations, categories)
        return tmp_path / "set"

    return make


def test_official_layout(make_coco: MakeCoco, make_picture: MakePicture, boxes_of: BoxesOf) -> None:
    crowd = {**BOX, "id": 8, "iscrowd": 1, "bbox": [0, 0, 40, 30], "segmentation": {"counts": [1], "size": [30, 40]}}
    folder = make_coco([{**BOX, "area": 60.5, "segmentation": [[1, 2, 3, 4, 5, 6]]}, crowd])
    make_picture(folder / "val2017/3.jpg")
    # The ids of the other split differ: names count.
    other = [{"id": 1, "name": "dog"}, {"id": 2, "name": "bird"}]
    ignored = {"id": 1, "image_id": 3, "category_id": 1, "bbox": [1.5, 2, 3, 4], "ignore": 1}
    write_json(folder / "annotations/instances_val2017.json", [image(3, "3.jpg")], [ignored], other)
    for kind in ("captions_train2017", "panoptic_val2017", "person_keypoints_val2017"):
        write_json(folder / f"annotations/{kind}.json", [], [])
    index = read(folder)
    assert (index.format, index.class_names) == ("coco", ("cat", "bird", "dog"))
    assert sizes(index) == {"train": 2, "val": 1}
    assert boxes_of(index, "train2017/1.jpg") == [("cat", 4, 5, 15, 16), ("cat", 0, 0, 40, 30)]
    assert boxes_of(index, "train2017/2.jpg") == []
    assert boxes_of(index, "val2017/3.jpg") == [("dog", 1.5, 2, 4.5, 6)]
    assert isinstance(index.annotations, Objects)
    assert index.annotations.crowd.tolist() == [False, True, False]
    assert index.annotations.difficult.tolist() == [False, False, True]
    assert index.annotations.areas.tolist() == [60.5, 1200, 12]
    assert index.faults.lines == ()
    assert index.notes == (
        "The outlines of 2 objects are not read; boxes are. For masks of them: --format 'coco masks'.",
        "The val split has no objects of cat, bird.",
    )
    assert [line.partition(":")[0] for line in index.ignored] == [
        "annotations/captions_train2017.json",
        "annotations/panoptic_val2017.json",
        "annotations/person_keypoints_val2017.json",
    ]
    both = "come from instances_train2017.json, instances_val2017.json"
    assert all(line.endswith(both) for line in (*index.ignored, *read(folder, "coco masks").ignored))


LAYOUTS = {
    "official": ("annotations/instances_val2017.json", "val2017/1.jpg", "val"),
    "below images": ("annotations/instances_train2014.json", "images/train2014/1.jpg", "train"),
    "flat images": ("annotations/instances_train.json", "images/1.jpg", "train"),
    "exported by CVAT": ("annotations/instances_default.json", "images/1.jpg", ""),
    "exported by Roboflow": ("valid/_annotations.coco.json", "valid/1.jpg", "val"),
    "exported by FiftyOne": ("train/labels.json", "train/data/1.jpg", "train"),
    "one file": ("labels.json", "data/1.jpg", ""),
    "files at the top": ("test.json", "test/1.jpg", "test"),
    "below each split": ("test/annotations/all.json", "test/images/1.jpg", "test"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, make_picture: MakePicture, layout: str, boxes_of: BoxesOf) -> None:
    file, picture, split = LAYOUTS[layout]
    write_json(tmp_path / file, [image(1, "1.jpg")], [BOX])
    make_picture(tmp_path / picture)
    index = read(tmp_path)
    assert (index.format, sizes(index)) == ("coco", {split: 1} if split else {})
    assert boxes_of(index, picture) == [("cat", 4, 5, 15, 16)]
    alone = read(tmp_path / file)
    assert alone.annotations.labels.tolist() == [0]


@pytest.mark.parametrize("name", ["photos/1.jpg", "./1.jpg", "..\\photos\\1.jpg", "/home/someone/1.jpg", "../../1.jpg"])
def test_folders_in_the_names_of_pictures(tmp_path: Path, make_picture: MakePicture, name: str) -> None:
    write_json(tmp_path / "set/labels.json", [image(1, name)], [BOX])
    make_picture(tmp_path / "set/images/1.jpg")
    make_picture(tmp_path / "1.jpg")
    index = read(tmp_path / "set")
    assert index.source.name(0) == "images/1.jpg"
    said = f"labels.json: no picture is where its name says ({name}); the last parts of the names are looked for in images."
    assert (said in index.notes) == (name != "./1.jpg")


def test_boxes_are_of_the_picture_that_is_named_and_no_other(
    tmp_path: Path, make_picture: MakePicture, make_coco: MakeCoco, boxes_of: BoxesOf
) -> None:
    other = {**BOX, "id": 8, "image_id": 2}
    absent = "annotations/instances_train2017.json: image 2: there is no picture {} in train2017; it is left out with its objects."
    # Another picture of the folder has the same last part, listed or not.
    for name in ("1.jpg", "2.jpg"):
        folder = make_coco([BOX, other], [image(1, name), image(2, "night/2.jpg")])
        index = read(folder)
        assert [index.source.name(at) for at in range(len(index))] == [f"train2017/{name}"]
        assert index.faults.lines == (absent.format("night/2.jpg"),)
    with pytest.raises(DataError, match=r"none of its pictures \(2\) is there"):
        read(make_coco([BOX, other], [image(1, "day/1.jpg"), image(2, "night/1.jpg")]))
    # Another folder that is named is there.
    make_picture(folder / "train2017/day/1.jpg")
    index = read(make_coco([BOX, other], [image(1, "day/1.jpg"), image(2, "night/2.jpg")]))
    assert [index.source.name(at) for at in range(len(index))] == ["train2017/day/1.jpg"]
    assert index.faults.lines == (absent.format("night/2.jpg"),)
    # The folder that is named is that of another split, absent at first.
    for name in ("2.jpg", "photos/2.jpg"):
        index = read(make_coco([BOX, other], [image(1, name), image(2, "../val2017/1.jpg")]))
        assert index.faults.lines == (absent.format("../val2017/1.jpg"),)
    read(make_coco([BOX, other], [image(1, "2.jpg"), image(2, "../val2017/1.jpg")]))
    make_picture(folder / "val2017/1.jpg")
    assert boxes_of(read(folder), "val2017/1.jpg") == [("cat", 4, 5, 15, 16)]


def test_what_is_no_coco_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/config.json").write_text('{"images": 3}')
    assert not coco.recognises(tmp_path)
    with pytest.raises(DataError, match="no COCO data set"):
        coco.read(tmp_path)
    # The three keys may be at the end of a long file.
    (tmp_path / "annotations/long.json").write_text(
        json.dumps({"annotations": ["x" * 300_000], "categories": [], "images": []})
    )
    assert coco.recognises(tmp_path)


BAD_BOXES: dict[str, tuple[Any, str]] = {
    "no area": ({"bbox": [5, 5, 0, 3]}, "7: cat [5, 5, 0, 3] has no area, and is left out."),
    "negative": ({"bbox": [5, 5, -2, 3]}, "7: cat [5, 5, -2, 3] has no area, and is left out."),
    "outside": ({"bbox": [-9, 5, 9, 3]}, "7: cat [-9, 5, 9, 3] lies outside its picture of 40 x 30 pixels, and is left out."),
    "nan": ({"bbox": [float("nan"), 5, 3, 3]}, "7: cat [nan, 5, 3, 3] has a number that is not finite, and is left out."),
    "infinite": ({"bbox": [5, 5, float("inf"), 3]}, "7: cat [5, 5, inf, 3] has a number that is not finite, and is left out."),
    "too large": ({"bbox": [5, 5, 10**400, 3]}, "7 is left out: a number of its bbox is not finite."),
    "beyond float32": ({"bbox": [5, 5, 1e300, 3]}, "7: cat [5, 5, 1e+300, 3] has a number that is not finite, and is left out."),
    "three numbers": ({"bbox": [5, 5, 3]}, "7 is left out: expected four numbers as its bbox, got [5, 5, 3]."),
    "text": ({"bbox": ["5px", 5, 3, 3]}, "7 is left out: expected four numbers as its bbox, got ['5px', 5, 3, 3]."),
    "no box": ({"bbox": None}, "7 is left out: expected four numbers as its bbox, got None."),
    "unknown class": ({"category_id": 2}, "7 is left out: its category_id 2 is none of the categories."),
    "unknown picture": ({"image_id": 9}, "7 is left out: its image_id 9 is none of the images."),
    "odd picture": ({"image_id": [1]}, "7 is left out: its image_id [1] is none of the images."),
    "no id": ({"id": None, "bbox": [5, 5, 0, 3]}, "at position 1: cat [5, 5, 0, 3] has no area, and is left out."),
    "id twice": ({"id": 6}, "6 is left out: the id is there twice."),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_BOXES)
def test_a_bad_box_is_left_out_and_its_picture_stays(make_coco: MakeCoco, boxes_of: BoxesOf, case: str) -> None:
    change, text = BAD_BOXES[case]
    folder = make_coco([{**BOX, "id": 6}, {**BOX, **change}, {**BOX, "id": 8}])
    index = read(folder)
    assert boxes_of(index, "train2017/1.jpg") == [("cat", 4, 5, 15, 16)] * 2
    assert index.faults.lines == (f"annotations/instances_train2017.json: annotation {text}",)
    assert (index.faults.boxes, index.faults.bad_boxes, index.faults.pictures, index.faults.bad_pictures) == (
        3,
        1,
        2,
        0,
    )


def test_boxes_may_be_in_any_order(make_coco: MakeCoco, boxes_of: BoxesOf) -> None:
    bird = {"image_id": 2, "category_id": 3, "area": 5}
    rows = [{**BOX, "id": 1, **bird}, {**BOX, "id": 2, "area": 6}, {**BOX, "id": 3, **bird, "bbox": [1, 1, 2, 2]}]
    index = read(make_coco(rows))
    assert boxes_of(index, "train2017/1.jpg") == [("cat", 4, 5, 15, 16)]
    assert boxes_of(index, "train2017/2.jpg") == [("dog", 4, 5, 15, 16), ("dog", 1, 1, 3, 3)]
    assert isinstance(index.annotations, Objects)
    assert index.annotations.areas.tolist() == [6, 5, 5]


def test_outlines_take_no_memory(make_coco: MakeCoco) -> None:
    outline = [[float(number) + 0.5 for number in range(200)]]
    folder = make_coco([{**BOX, "id": number, "segmentation": outline} for number in range(800)])
    size = (folder / "annotations/instances_train2017.json").stat().st_size
    tracemalloc.start()
    try:
        read(folder)
        assert (
            tracemalloc.get_traced_memory()[1] < 4 * size
        )  # the file as bytes and as text; its numbers would add three times that
    finally:
        tracemalloc.stop()


def test_entries_that_are_no_objects(make_coco: MakeCoco) -> None:
    index = read(make_coco([BOX, 5], [image(1, "1.jpg"), "2.jpg", image(None, "2.jpg")]))
    assert index.faults.lines == (
        "annotations/instances_train2017.json: image at position 1: expected an id and a file_name, got '2.jpg'; it is left out.",
        "annotations/instances_train2017.json: image at position 2: expected an id and a file_name, got "
        "{'id': None, 'file_name': '2.jpg', 'width': 40, 'height': 30}; it is left out.",
        "annotations/instances_train2017.json: annotation at position 1 is left out: expected an object, got 5.",
    )
    assert (index.faults.pictures, index.faults.bad_pictures) == (3, 2)


def test_a_missing_picture(make_coco: MakeCoco) -> None:
    index = read(make_coco([BOX, {**BOX, "id": 8, "image_id": 9}], [image(1, "1.jpg"), image(9, "9.jpg")]))
    assert index.faults.lines == (
        "annotations/instances_train2017.json: image 9: there is no picture 9.jpg in train2017; it is left out with its objects.",
    )
    assert len(index) == 1
    with pytest.raises(DataError, match=r"^1 of 2 pictures \(50\.00%\) bad"):
        index.faults.require_few()


def test_ids_and_pictures_that_are_there_twice(make_coco: MakeCoco, boxes_of: BoxesOf) -> None:
    index = read(make_coco([BOX], [image(1, "1.jpg"), image(1, "2.jpg"), image(3, "2.jpg")]))
    assert [index.source.name(position) for position in range(len(index))] == ["train2017/2.jpg"]
    assert [line.partition("json: ")[2] for line in index.faults.lines] == [
        "image 1: the id is that of 2 pictures, here of 1.jpg; it is left out with its objects.",
        "image 1: the id is that of 2 pictures, here of 2.jpg; it is left out with its objects.",
        "annotation 7 is left out: its image_id 1 is that of several pictures.",
    ]
    assert (index.faults.boxes, index.faults.bad_boxes) == (1, 1)
    index = read(make_coco([BOX], [image(1, "1.jpg"), image(1, "1.jpg")]))
    assert boxes_of(index, "train2017/1.jpg") == [("cat", 4, 5, 15, 16)]
    assert "image 1: train2017/1.jpg is listed twice; the objects of both are taken." in index.faults.lines[0]
    index = read(make_coco([BOX, {**BOX, "id": 8, "image_id": 2}], [image(1, "1.jpg"), image(2, "1.jpg")]))
    assert boxes_of(index, "train2017/1.jpg") == [("cat", 4, 5, 15, 16)] * 2
    assert "image 2: train2017/1.jpg is listed twice; the objects of both are taken." in index.faults.lines[0]
    assert (index.faults.pictures, index.faults.bad_pictures) == (1, 1)


def test_a_picture_in_two_files_stays_in_the_later_split(
    tmp_path: Path, make_picture: MakePicture, boxes_of: BoxesOf
) -> None:
    for name in ("1.jpg", "2.jpg"):
        make_picture(tmp_path / "images" / name)
    write_json(tmp_path / "annotations/instances_val.json", [image(1, "1.jpg")], [BOX])
    both = [image(1, "2.jpg"), image(5, "1.jpg")]
    boxes = [BOX, {**BOX, "id": 8, "image_id": 5, "bbox": [5, 5, 3, 3]}]
    write_json(tmp_path / "annotations/instances_train.json", both, boxes)
    index = read(tmp_path)
    assert {split: [index.source.name(at) for at in held] for split, held in index.splits.items()} == {
        "train": ["images/2.jpg"],
        "val": ["images/1.jpg"],
    }
    assert boxes_of(index, "images/1.jpg") == [("cat", 4, 5, 15, 16)]
    assert index.faults.lines == (
        "annotations/instances_train.json: image 5: images/1.jpg is in annotations/instances_val.json too and stays there; it is left "
        "out here, with its objects.",
    )


def test_pictures_that_no_file_names_are_said(tmp_path: Path, make_picture: MakePicture) -> None:
    for number in range(1, 8):
        make_picture(tmp_path / f"images/{number}.jpg")
    write_json(tmp_path / "annotations/instances_train.json", [image(1, "1.jpg")], [BOX])
    assert read(tmp_path).ignored == (
        "images: 6 pictures in it are in no JSON file that is read (2.jpg, 3.jpg, 4.jpg, ...)",
    )
    write_json(tmp_path / "annotations/instances_val.json", [image(n, f"{n}.jpg") for n in range(2, 8)], [])
    assert read(tmp_path).ignored == ()
    # What the other file names is not known to one that is read alone.
    assert read(tmp_path / "annotations/instances_train.json").ignored == ()


def test_numbers_may_be_written_as_text(make_coco: MakeCoco, boxes_of: BoxesOf) -> None:
    texts = {"id": "7", "image_id": "1", "category_id": str(BOX["category_id"]), "iscrowd": "1", "area": "20.5"}
    boxes = [
        {**BOX, **texts, "bbox": ["4", 5, "10.5", "1e1"]},
        {**BOX, "id": 8},
        {**BOX, "id": 9, "bbox": [1, 1, "inf", 1]},
    ]
    index = read(make_coco(boxes, [{"id": "1", "file_name": "1.jpg", "width": "30", "height": "40"}]))
    assert boxes_of(index, "train2017/1.jpg") == [("cat", 4, 5, 14.5, 15), ("cat", 4, 5, 15, 16)]
    assert isinstance(index.annotations, Objects)
    assert (index.annotations.crowd.tolist(), index.annotations.areas.tolist()[0]) == ([True, False], 20.5)
    file = "annotations/instances_train2017.json"
    assert f"{file}: numbers are written as text ('30'); they are read as numbers." in index.notes
    left_out, size = sorted(index.faults.lines)
    assert left_out.endswith("annotation 9 is left out: expected four numbers as its bbox, got [1, 1, 'inf', 1].")
    assert "is given as 30 x 40" in size


def test_a_wrong_size(make_coco: MakeCoco, boxes_of: BoxesOf) -> None:
    images = [image(1, "1.jpg", 30, 40), image(2, "2.jpg", 0, None)]
    index = read(make_coco([BOX, {**BOX, "id": 8, "bbox": [28, 5, 12.4, 4]}], images))
    assert index.faults.lines == (
        "annotations/instances_train2017.json: image 1: the size of train2017/1.jpg is given as 30 x 40, and the picture has 40 x 30 "
        "pixels (exchanged: boxes refer to the upright picture); its boxes are used as they are.",
    )
    assert boxes_of(index, "train2017/1.jpg")[1] == ("cat", 28, 5, 40, 9)
    assert "1 box reaches over the edge of its picture by 1 px at most, and is cut there." in index.notes


def test_a_picture_that_cannot_be_read_has_the_size_that_is_given(make_coco: MakeCoco, boxes_of: BoxesOf) -> None:
    folder = make_coco([{**BOX, "bbox": [30, 5, 30, 4]}])
    (folder / "train2017/1.jpg").write_bytes(b"")
    index = read(folder)
    assert boxes_of(index, "train2017/1.jpg") == [("cat", 30, 5, 40, 9)]
    assert "reaches over the edge of its picture of 40 x 30 pixels, and is cut there" in index.faults.lines[0]


def test_json_that_is_none(make_coco: MakeCoco) -> None:
    folder = make_coco([BOX])
    file = folder / "annotations/instances_train2017.json"
    text = file.read_text()
    file.write_text(text[: len(text) // 2])
    with pytest.raises(DataError, match=rf"{file} line 1 column \d+: this is no JSON .* cut short: fetch it again\.$"):
        read(folder)
    file.write_text('{"images": [],\n "annotations": [,')
    with pytest.raises(DataError, match=r"line 2 column 18: this is no JSON \(Expecting value\)"):
        read(folder)
    for content, reason in (("[" * 100_000, "cannot be read as JSON"), ("[]", "expected an object .* got a list")):
        file.write_text(content)
        with pytest.raises(DataError, match=reason):
            read(folder)
    file.write_bytes(b'{"images": "\xff\xfe"}')
    with pytest.raises(DataError, match=r"cannot be read as JSON \('utf-8' codec"):
        read(folder)


@pytest.mark.parametrize(
    ("images", "annotations", "categories", "reason"),
    [
        (None, None, [], r"expected a list 'images' of a COCO data set, and it has a NoneType there"),
        ([], {}, [], r"is a COCO data set without pictures\. .*train2017\.json is left out: none of its pictures \(0\) is there"),
        ([image(1, "a.jpg"), image(2, "b.jpg")], [], [], r"none of its pictures \(2\) is there; looked in train2017, annotations, "),
        ([image(1, "1.jpg")], {}, [], "expected a list 'annotations' of a COCO data set, and it has a dict there"),
        ([image(1, "1.jpg")], [], [*CATEGORIES, {"id": 1, "name": "bird"}], "category 1 is there twice, as 'cat' and as 'bird'"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used(
    make_coco: MakeCoco, images: Any, annotations: Any, categories: Any, reason: str
) -> None:
    folder = make_coco([])
    write_json(folder / "annotations/instances_train2017.json", images, annotations, categories)
    with pytest.raises(DataError, match=reason):
        read(folder)


def test_a_category_without_a_name_is_left_out_with_its_objects(make_coco: MakeCoco) -> None:
    folder = make_coco([])
    boxes = [{**BOX, "id": number, "category_id": category} for number, category in ((1, 1), (2, 9))]
    file = folder / "annotations/instances_train2017.json"
    write_json(file, [image(1, "1.jpg")], boxes, [*CATEGORIES, {"id": 9}])
    index = read(folder)
    assert index.class_names == ("cat", "dog")
    assert index.faults.lines[0].endswith(
        "category 9: expected an id and a name, got {'id': 9}; it is left out with its objects."
    )
    assert (index.faults.bad_boxes, index.faults.boxes) == (1, 2)


def test_missing_keys_are_named(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('{"annotations": [], "categories": [], "licenses": []}')
    with pytest.raises(
        DataError, match=r"expected a list 'images' .* and it has the keys annotations, categories, licenses"
    ):
        read(tmp_path)


def test_a_split_without_pictures_is_a_fault_unless_it_is_the_test(make_coco: MakeCoco) -> None:
    folder = make_coco([BOX])
    for split in ("val", "test"):
        write_json(folder / f"annotations/instances_{split}2017.json", [image(1, "5.jpg"), image(2, "6.jpg")], [BOX])
    index = read(folder)
    assert sizes(index) == {"train": 2}
    assert index.notes[0].startswith(
        "annotations/instances_test2017.json is left out: none of its pictures (2) is there; looked in "
    )
    assert [line[:77] for line in index.faults.lines] == [
        "annotations/instances_val2017.json: none of its pictures (2) is there; looked"
    ]
    assert index.faults.concerns == (Concern("missing picture"),)
    assert (index.faults.bad_pictures, index.faults.pictures) == (2, 4)


def test_two_files_for_one_split(make_coco: MakeCoco) -> None:
    folder = make_coco([BOX])
    write_json(folder / "annotations/instances_train2014.json", [image(1, "1.jpg")], [BOX])
    with pytest.raises(
        DataError, match=r"two files for the train split: .*2014\.json and .*2017\.json\. Give the path of one"
    ):
        read(folder)
    (folder / "annotations/instances_train2014.json").rename(folder / "annotations/instances_all.json")
    with pytest.raises(DataError, match=r"instances_all\.json: its name says no split, and there are others"):
        read(folder)
    assert sizes(read(folder / "annotations/instances_train2017.json")) == {"train": 2}


def test_categories_that_group_or_repeat_others(make_coco: MakeCoco) -> None:
    categories = [
        {"id": 0, "name": "animals", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "animals"},
        {"id": 10, "name": "dog", "supercategory": "animals"},
        {"id": 2, "name": "cat", "supercategory": "animals"},
        {"id": 9, "name": "bird", "supercategory": "animals"},
    ]
    index = read(make_coco([BOX, {**BOX, "id": 8, "category_id": 2}], categories=categories))
    assert index.class_names == ("cat", "bird", "dog")
    assert index.annotations.labels.tolist() == [0, 0]
    assert "The category animals only groups the others, and is no class." in index.notes
    assert "the category 'cat' has several ids" in str(index.notes)


def test_names_beyond_ascii(tmp_path: Path, make_picture: MakePicture, boxes_of: BoxesOf) -> None:
    name = "Käfig_猫 1.jpg"
    categories = [{"id": 1, "name": "Kätzchen"}]
    write_json(tmp_path / "set/labels.json", [image(1, unicodedata.normalize("NFD", name))], [BOX], categories)
    make_picture(tmp_path / "set/images" / name)
    make_picture(tmp_path / "set/images/other.jpg")
    index = read(tmp_path / "set")
    assert boxes_of(index, f"images/{name}") == [("Kätzchen", 4, 5, 15, 16)]
    coco.write(index, tmp_path / "out")
    assert boxes_of(read(tmp_path / "out"), f"images/{name}") == [("Kätzchen", 4, 5, 15, 16)]


def test_what_is_written_is_read_again(make_boxes: Callable[..., Index], boxes_of: BoxesOf, tmp_path: Path) -> None:
    first = [(0, 0, 40, 30, 0), (1.25, 2.3, 3.4, 4.7, 2, 1), (5, 5, 9, 9, 2, 0, 1, 7.5)]
    index = make_boxes(first, [], [(7, 8, 9, 10, 0)], splits={"train": [0, 1], "val": [2]})
    (text,) = coco.write(index, tmp_path / "out")
    assert text.startswith("1 difficult object is written with `ignore`")
    again = read(tmp_path / "out")
    assert (again.class_names, sizes(again), again.faults.lines) == (("a", "b", "c"), {"train": 2, "val": 1}, ())
    for column in ("boxes", "labels", "crowd", "difficult", "areas", "offsets"):
        assert getattr(again.annotations, column).tolist() == getattr(index.annotations, column).tolist()
    assert (tmp_path / "out/train/1.jpg").read_bytes() == (tmp_path / "source/1.jpg").read_bytes()


def test_real_set(real_set: Callable[..., Path]) -> None:
    index = coco.read(real_set("coco_cc", "det"))
    assert (sizes(index), len(index.class_names), index.class_names[:3]) == (
        {"train": 26, "val": 27},
        80,
        ("person", "bicycle", "car"),
    )
    assert isinstance(index.annotations, Objects)
    assert (len(index.annotations.labels), index.annotations.crowd.sum()) == (355, 3)
    empty = [index.source.name(p) for p in range(len(index)) if not len(index.annotations.target(p).labels)]
    assert empty == ["images/train2017/000000000508.jpg"]
    assert index.faults.lines == ()
    assert index.annotations.target(0).boxes[0].tolist() == [205, 31, 460, 355]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([20, 10, 38, 28], "5 of 5 boxes reach beyond their pictures when read as x,y,width,height"),
        ([20, 10, 18, 18], ""),
        ([30, 20, 8, 8], ""),
        ([0.5, 0.5, 0.2, 0.2], "all numbers of its 5 boxes are between 0 and 1"),
        ([0, 0, 1, 2], ""),
    ],
)
def test_boxes_in_other_coordinates_are_doubted_once_a_file(
    make_coco: MakeCoco, numbers: list[float], said: str
) -> None:
    folder = make_coco([{**BOX, "id": number, "bbox": numbers} for number in range(5)])
    faults = read(folder).faults
    doubts = [
        line for line, concern in zip(faults.lines, faults.concerns, strict=True) if concern.kind == "other coordinates"
    ]
    assert len(doubts) == bool(said)
    assert all(f"annotations/instances_train2017.json: {said}" in line for line in doubts)


def test_a_file_of_another_name_is_recognised_by_what_it_holds(make_coco: MakeCoco) -> None:
    folder = make_coco([{**BOX, "keypoints": [1, 2, 2], "num_keypoints": 1}])
    annotations = folder / "annotations"
    for name in ("person_keypoints_train2017.json", "stuff_train2017.json", "our_own_labels_train2017.json"):
        next(annotations.iterdir()).rename(annotations / name)
        assert read(folder).format == "coco", name
        assert sizes(read(folder)) == {"train": 2}


@pytest.mark.parametrize(
    ("name", "row", "holds"),
    [
        ("captions_train2017.json", {"caption": "a cat"}, "captions"),
        (
            "panoptic_train2017.json",
            {"file_name": "1.png", "segments_info": [{"id": 1, "bbox": [1, 1, 2, 2]}]},
            "panoptic",
        ),
        ("person_keypoints_train2017.json", {"category_id": 1, "keypoints": [1, 2, 2]}, "keypoints"),
    ],
)
def test_files_without_boxes_say_what_they_are(make_coco: MakeCoco, name: str, row: dict[str, Any], holds: str) -> None:
    folder = make_coco([{"id": 1, "image_id": 1, **row}], categories=[] if "caption" in row else None)
    (folder / "annotations/instances_train2017.json").rename(folder / "annotations" / name)
    expected = rf"{name} holds {holds}.*, and no objects with boxes or outlines: expected annotations with category_id"
    for path in (folder, folder / "annotations" / name):
        for task in (None, "segmentation"):
            with pytest.raises(DataError, match=expected):
                read(path, None if path == folder else "coco", task)


def test_a_file_with_addresses_instead_of_names_says_so(make_coco: MakeCoco) -> None:
    images = [{"id": 1, "coco_url": "http://images.cocodataset.org/train2017/1.jpg", "width": 40, "height": 30}]
    with pytest.raises(
        DataError, match=r"instances_train2017\.json gives addresses .*as LVIS does.*expected a file_name"
    ):
        read(make_coco([BOX], images))
