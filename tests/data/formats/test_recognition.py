import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.data.formats import FORMATS, read, recognised, voc
from sightline.errors import ConfigError, DataError, UnknownNameError
from tests.data.sound import SOUND, yolo

MakeFolder = Callable[..., Path]


def test_a_missing_path_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "absent")
    assert str(caught.value).startswith(
        f"{tmp_path / 'absent'} does not exist. Expected a data set: a folder with train"
    )


def test_what_is_no_data_set_says_what_was_looked_for(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder("notes.txt", "more/notes.md")
    with pytest.raises(DataError, match=r"no data set.*path,label.*parquet.*idx3.* It holds more, notes\.txt\."):
        read(folder)
    with pytest.raises(DataError, match=r"a file with the ending '\.txt'"):
        read(folder / "notes.txt")
    (folder / "labels.csv").touch()
    with pytest.raises(DataError, match=r"give its path, .*labels\.csv"):
        read(folder)
    with pytest.raises(DataError, match=r"neither a file nor a folder\."):
        read("/dev/null")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="It is empty"):
        read(tmp_path / "empty")


def test_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'parquet'"):
        read(tmp_path, "parket")


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_refuses_what_is_not_its_own(make_folder: MakeFolder, format: str) -> None:
    with pytest.raises(DataError, match="set"):
        read(make_folder("notes.txt"), format)


VOC_XML = "<annotation><filename>none.jpg</filename></annotation>"


def test_formats_of_boxes_come_before_folders_of_classes(make_folder: MakeFolder) -> None:
    folder = make_folder("JPEGImages/1.jpg", "Annotations/1.xml")
    assert voc.recognises(folder)  # by the names of its folders
    (folder / "Annotations").rename(folder / "labels")
    assert not voc.recognises(folder)
    (folder / "labels").rename(folder / "Annotations")
    (folder / "Annotations/1.xml").write_text(VOC_XML)
    assert read(folder).format == "voc"
    folder = make_folder("images/a/1.jpg", "images/b/1.jpg", "labels/a/1.txt", root="other")
    (folder / "labels/a/1.txt").write_text("0 0.5 0.5 0.1 0.1")
    assert read(folder).format == "yolo"


def test_several_formats_of_boxes_are_named(make_folder: MakeFolder) -> None:
    folder = make_folder("images/1.jpg", "labels/1.txt", "annotations/1.xml", "annotations/instances_default.json")
    (folder / "labels/1.txt").write_text("0 0.5 0.5 0.1 0.1")
    with pytest.raises(
        ConfigError, match=r"can be read as coco and as yolo\. Say which with --format coco or --format yolo\."
    ):
        read(folder)
    (folder / "annotations/1.xml").write_text(VOC_XML)
    with pytest.raises(ConfigError, match=r"can be read as coco and as voc and as yolo"):
        read(folder)
    assert read(folder, "yolo").format == "yolo"
    assert read(folder, "voc").format == "voc"


def test_folders_of_classes_with_tables_in_them_stay_so(make_folder: MakeFolder) -> None:
    names = [
        "train/cat/1.jpg",
        "train/dog/2.jpg",
        "test/cat/3.jpg",
        "train/cat/1.txt",
        "info.json",
        "train/cat/1.xml",
        "data.yaml",
    ]
    folder = make_folder(*names)
    (folder / "train/cat/1.txt").write_text("1 2 3 4 5")
    (folder / "info.json").write_text('{"images": 3}')
    (folder / "data.yaml").write_text("names: [cat, dog]")
    assert read(folder).format == "image folder"


@pytest.mark.parametrize(
    ("name", "format"),
    [("trashnet_sub", "image folder"), ("cifar10_parquet", "parquet"), ("mnist_t10k_idx", "idx")],
)
def test_real_sets(real_set: Callable[..., Path], name: str, format: str) -> None:
    assert read(real_set(name)).format == format


def test_a_real_set_with_several_readings(real_set: Callable[..., Path]) -> None:
    folder = real_set("coco_cc", "det")
    several = r"can be read as coco \(detection\) and as yolo \(detection\) and as mask folder \(segmentation\)\. Say"
    with pytest.raises(ConfigError, match=several):
        read(folder)
    with pytest.raises(ConfigError, match=r"as coco and as yolo\. Say"):
        read(folder, task="detection")
    with pytest.raises(ConfigError, match=r"as mask folder and as coco masks\. Say which .* or --format 'coco masks'"):
        read(folder, task="segmentation")


def test_a_task_decides_between_readings(make_folder: MakeFolder) -> None:
    folder = make_folder("images/1.jpg", "images/2.jpg", "masks/1.png", "masks/2.png", "annotations/1.xml")
    (folder / "annotations/1.xml").write_text(VOC_XML)
    with pytest.raises(ConfigError, match="can be read as voc"):
        read(folder)
    assert read(folder, task="detection").format == "voc"
    assert read(folder, task="segmentation").format == "mask folder"
    (folder / "annotations/1.xml").unlink()
    (folder / "annotations").rmdir()
    assert read(folder, task="classification").format == "mask folder"
    assert read(folder, task="detection").format == "mask folder"  # there is nothing else: who asked for boxes says so
    with pytest.raises(UnknownNameError, match="Unknown task 'detect'"):
        recognised(folder, "detect")


def test_outlines_are_masks_where_masks_are_asked_for(make_folder: MakeFolder) -> None:
    folder = make_folder("train/1.jpg", "train/2.jpg", "train.json")
    objects = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2], "segmentation": [[0, 0, 2, 0, 2, 2]]}]
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 8, "height": 8} for number in (1, 2)]
    content = {"images": images, "categories": [{"id": 1, "name": "cell"}], "annotations": objects}
    (folder / "train.json").write_text(json.dumps(content))
    assert read(folder).format == "coco"
    assert read(folder, task="segmentation").format == "coco masks"


def test_pictures_with_masks_come_before_folders_of_classes(make_folder: MakeFolder) -> None:
    folder = make_folder("images/1.jpg", "images/2.jpg", "masks/1.png", "masks/2.png")
    assert read(folder).format == "mask folder"
    assert read(folder, "image folder").class_names == ("images", "masks")
    assert read(make_folder("train/a/1.jpg", "train/a/1_mask.png", "train/b/2.jpg", root="c")).format == "image folder"
    assert (
        read(
            make_folder("train/masks/1.jpg", "train/hats/1.jpg", "train/caps/1.jpg", "train/gloves/1.jpg", root="hats")
        ).format
        == "image folder"
    )


def test_boxes_and_masks_of_the_same_pictures_are_both_named(make_folder: MakeFolder) -> None:
    folder = make_folder("images/1.jpg", "labels/1.txt", "masks/1.png")
    (folder / "labels/1.txt").write_text("0 0.5 0.5 0.1 0.1")
    with pytest.raises(ConfigError, match=r"Say which with --format yolo or --format 'mask folder'\."):
        read(folder)
    assert read(folder, "mask folder").format == "mask folder"


@pytest.mark.parametrize("name", ["isbi2012_em", "nuclei_dsb2018_sub"])
def test_real_sets_of_masks(real_set: Callable[..., Path], name: str) -> None:
    assert read(real_set(name, "seg")).format == "mask folder"


IDX = "t10k-images-idx3-ubyte.gz"


@pytest.mark.parametrize(("file", "format"), [(IDX, "idx"), ("data/train-00000-of-00001.parquet", "parquet")])
def test_files_beside_class_folders_are_asked_about(make_folder: MakeFolder, file: str, format: str) -> None:
    folder = make_folder("train/cat/1.png", "train/dog/2.png")
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).touch()
    both = (
        rf"can be read as {format} and as image folder\. Say which with --format {format} or --format 'image folder'\."
    )
    with pytest.raises(ConfigError, match=both):
        read(folder)
    with pytest.raises(ConfigError, match=both):
        read(folder, task="classification")
    assert read(folder, "image folder").class_names == ("cat", "dog")


def test_folders_of_one_class_do_not_compete(make_folder: MakeFolder) -> None:
    folder = make_folder("previews/1.png")
    (folder / IDX).touch()
    assert recognised(folder) == "idx"
    assert recognised(make_folder("train/cat/1.png", "val/cat/2.png", root="one class")) is None
    with pytest.raises(DataError, match=r"holds one class only \(cat\)"):
        read(make_folder("train/cat/1.png", "val/cat/2.png", root="the same"))


def test_folders_called_like_splits_are_no_classes(make_folder: MakeFolder) -> None:
    folder = make_folder("train/1.png", "test/2.png")
    with pytest.raises(
        DataError, match=r"the folders test, train, which are called like splits.*--format 'image folder'"
    ):
        read(folder)
    assert read(folder, "image folder").class_names == ("test", "train")
    assert read(make_folder("cat/1.png", "test/2.png", root="some")).class_names == ("cat", "test")


@pytest.mark.parametrize("above", ["archive", "archive/photos"])
def test_a_data_set_further_down_is_named(make_folder: MakeFolder, above: str) -> None:
    folder = make_folder(f"{above}/train/cat/1.png", f"{above}/train/dog/2.png", "notes.txt", "__MACOSX/archive/1.png")
    with pytest.raises(DataError) as caught:
        read(folder)
    down = f"Further down there is a data set (image folder): give its path, {folder / above}."
    assert str(caught.value).endswith(down)


def test_only_few_folders_are_searched_for_a_data_set(make_folder: MakeFolder) -> None:
    folder = make_folder(
        *(f"{number:02}/notes.txt" for number in range(30)), "99/train/cat/1.txt", "99/train/dog/2.txt"
    )
    (folder / "99" / IDX).touch()
    with pytest.raises(DataError) as caught:
        read(folder)
    assert "Further down" not in str(caught.value)


@pytest.mark.parametrize("format", ["image folder", "coco", "coco masks", "voc", "yolo", "mask folder"])
@pytest.mark.parametrize("names", [("training", "dev", "eval"), ("Train", "Valid", "Testing")])
def test_splits_have_other_names_too(format: str, names: tuple[str, str, str], tmp_path: Path) -> None:
    folder = SOUND[format](tmp_path / "set")
    usual = ("train", "val", "test")
    there = {name: len(held) for name, held in read(folder, format).splits.items()}
    for path in sorted(folder.rglob("*"), key=lambda path: -len(path.parts)):
        for name, other in zip(usual, names, strict=True):
            if name in (path.name, path.stem, path.stem.removeprefix("instances_")):
                path.rename(path.with_name(path.name.replace(name, other)))
    for file in folder.glob("*.yaml"):
        file.unlink()
        (folder / "classes.txt").write_text("cat\ndog\n")
    assert {name: len(held) for name, held in read(folder, format).splits.items()} == there


def test_lists_of_splits_have_other_names_too(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "data.yaml").unlink()
    (folder / "classes.txt").write_text("cat\ndog\n")
    (folder / "labels").rename(folder / "held")
    (folder / "images").rename(folder / "other")
    for split, name in (("train", "training"), ("val", "dev"), ("test", "test2017")):
        for kind, into in (("other", "images"), ("held", "labels")):
            (folder / into / "all").mkdir(parents=True, exist_ok=True)
            for file in sorted((folder / kind / split).iterdir()):
                file.rename(folder / into / "all" / f"{split}{file.name}")
        pictures = sorted((folder / "images/all").glob(f"{split}*"))
        (folder / f"{name}.txt").write_text("".join(f"images/all/{file.name}\n" for file in pictures))
    assert {name: len(held) for name, held in read(folder, "yolo").splits.items()} == {"train": 4, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["images/1.png", "trimaps/7.png"], "trimaps is called like masks or annotations of the pictures in images"),
        (["train/image/1.png", "train/label/2.png"], "train/label is called like masks .* in train/image"),
        (["leftImg8bit/a/1.png", "gtFine/a/1_c.png"], "gtFine is called like .* in leftImg8bit"),
        (["CT/ct_1.png", "Ground Truth/gt_1.png"], "Ground Truth is called like .* in CT"),
        (["Task1_Input/1.png", "Task1_GroundTruth/9.png"], "Task1_GroundTruth is called like"),
        (["imagesTr/1_0.png", "imagesTs/2_0.png", "labelsTr/1.png"], "labelsTr is called like .* in imagesTr"),
        (["img/1.png", "masks_human/1.png", "masks_machine/1.png"], "masks_human is called like .* in img"),
        (["train/1.png", "ann_dir/1.png"], "ann_dir is called like .* in train"),
        (["input/1.png", "target/1.png"], "target is called like"),
        (["scans/1.png", "mask/1.png"], "mask and scans hold files of the same names"),
        (["frames/1.png", "edges/1.png"], "edges and frames hold files of the same names"),
        (["x/1.png", "y/1.png"], "x and y hold files of the same names"),
        (["a/1.png", "a/2.png", "b/1_segmentation.png", "b/2_segmentation.png"], "a and b hold files of the same"),
        (
            ["p1/1.tif", "p1/1_mask.tif", "p2/2.tif", "p2/2_mask.tif"],
            r"such as p1/1\.tif and 1_mask\.tif\. .* one folder",
        ),
        (["p1/0/1.png", "p1/1/2.png", "p2/0/1.png", "p2/1/2.png"], "the same folders, 0, 1.* such as .*/set/p1"),
        (
            ["p1/image/1.png", "p1/mask/7.png", "p2/image/2.png", "p2/mask/8.png"],
            "each of them holds the same folders, image, mask, as pictures and their masks",
        ),
        (["cat/train/1.png", "cat/val/2.png", "dog/train/1.png", "dog/val/2.png"], "rename the folders to train/cat"),
        (
            [
                "seg_pred/seg_pred/1.png",
                *(f"{name}/{name}/{label}/1.png" for name in ("seg_train", "seg_test") for label in "ab"),
            ],
            "rename seg_test/seg_test to test and seg_train/seg_train to train",
        ),
    ],
)
def test_folders_that_look_like_no_classes_are_asked_about(
    make_folder: MakeFolder, names: list[str], text: str
) -> None:
    folder = make_folder(*names)
    ask = rf"may be no image folder with the classes .*: .*{text}.*classes: --format 'image folder'\.$"
    with pytest.raises(ConfigError, match=ask):
        read(folder)
    with pytest.raises(ConfigError, match=ask):
        read(folder, task="segmentation")
    assert len(read(folder, "image folder")) == len(names)


@pytest.mark.parametrize(
    "names",
    [
        [f"{digit}/{number}.png" for digit in range(10) for number in range(3)],
        [f"{digit}/{number}.png" for digit in range(2) for number in range(3)],
        ["cat/1.png", "dog/1.png"],
        ["with_mask/1.png", "without_mask/1.png", "mask_weared_incorrect/1.png"],
        ["mask/1.png", "no_mask/1.png"],
        ["mask/1.png", "nomask/1.png"],
        ["real_images/1.png", "fake_images/1.png"],
        ["original/1.png", "altered/1.png"],
        [f"{letter}/1.png" for letter in "wxyz"],
        ["x/1.png", "o/1.png"],
        ["target/1.png", "clutter/2.png"],
        ["label_0/1.png", "label_1/1.png"],
        ["Ford GT/1.png", "Audi TT/1.png", "Audi S4/1.png", "Fiat 500/1.png"],
        ["shoe/1.png", "shoe/1_l.png", "shoe/2.png", "shoe/3.png", "shoe/4.png", "hat/1.png"],
        ["a/images/1.png", "b/images/1.png"],
        ["cat/1.png", "cat/more/2.png", "cat/rest/3.png", "dog/1.png", "dog/more/2.png", "dog/rest/3.png"],
        ["train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/dog/1.png", "masks/1.png"],
    ],
)
def test_classes_are_not_asked_about(make_folder: MakeFolder, names: list[str]) -> None:
    assert recognised(make_folder(*names)) == "image folder"


def test_data_sets_in_the_folders_are_named(make_folder: MakeFolder) -> None:
    folder = make_folder(
        "one/images/1.png", "one/masks/1.png", "two/train/a/1.png", "two/train/b/2.png", "three/more/1.png"
    )
    (folder / "three" / IDX).touch()
    named = (
        rf"whole data sets, {folder}/one \(mask folder\), {folder}/three \(idx\), {folder}/two \(image folder\)\. Give"
    )
    with pytest.raises(ConfigError, match=named):
        read(folder)
    assert read(folder, "image folder").class_names == ("one", "three", "two")
    # Beside the folders of splits, nothing is a class.
    folder = make_folder("train/a/1.png", "train/b/2.png", "more/images/1.png", "more/masks/1.png", root="beside")
    assert recognised(folder) == "image folder"


@pytest.mark.parametrize("name", ["cls", "det", "seg", "."])
def test_folders_of_real_sets_are_no_classes(real_set: Callable[..., Path], name: str) -> None:
    above = real_set("trashnet_sub").parents[1] / name
    with pytest.raises(ConfigError, match="it holds whole data sets"):
        read(above)


def test_a_table_in_a_folder_of_pictures_is_read(make_folder: MakeFolder) -> None:
    folder = make_folder("images/1.png", "images/2.png", "classes.csv")
    (folder / "classes.csv").write_text("name,r,g,b\ncat,0,0,0\n")
    (folder / "labels.tsv").write_text("image\tlabel\nimages/1.png\tcat\nimages/2.png\tdog\n")
    index = read(folder)
    assert (index.format, index.class_names) == ("csv", ("cat", "dog"))
    assert index.notes[0] == "labels.tsv: this table in the folder says the classes."
    (folder / "more.csv").write_text("path,label\nimages/1.png,cat\nimages/2.png,dog\n")
    with pytest.raises(DataError, match=r"holds several tables: labels\.tsv, more\.csv\. Give the path of one"):
        read(folder)


@pytest.mark.parametrize(
    "rows",
    ["other/1.png,cat\nother/2.png,dog", "images/1.png,masks/1.png\nimages/2.png,masks/2.png", "", "1,0\n2,1"],
)
def test_tables_that_cannot_be_used_are_left_alone(make_folder: MakeFolder, rows: str) -> None:
    folder = make_folder("images/1.png", "images/2.png")
    (folder / "train.csv").write_text(f"path,label\n{rows}\n")
    assert recognised(folder) is None
    (folder / "train.csv").write_text("path,label\nimages/1.png,cat\nimages/2.png,dog\n")
    (folder / "masks").mkdir()
    (folder / "masks/1.png").write_bytes((folder / "images/1.png").read_bytes())
    assert recognised(folder) == "mask folder"


@pytest.mark.parametrize("above", ["", "train/"])
def test_a_table_beside_class_folders_is_asked_about(make_folder: MakeFolder, above: str) -> None:
    folder = make_folder(f"{above}part 1/1.png", f"{above}part 2/2.png")
    rows = f"path,label\n{above}part 1/1.png,x\n{above}part 2/2.png,y\n"
    (folder / "train.csv").write_text(rows)
    with pytest.raises(
        ConfigError, match=r"as csv and as image folder\. Say which with --format csv or --format 'image"
    ):
        read(folder)
    assert read(folder, "csv").class_names == ("x", "y")
    assert read(folder, "image folder").class_names == ("part 1", "part 2")
    # The table of splits that `sightline split` writes says what the folders say.
    (folder / "train.csv").write_text(rows.replace(",x", ",part 1").replace(",y", ",part 2"))
    assert recognised(folder) == "image folder"


@pytest.mark.parametrize("above", ["", "VOCdevkit/VOC2007/"])
@pytest.mark.parametrize(
    "names",
    [
        (
            "JPEGImages/1.jpg",
            "JPEGImages/2.jpg",
            "Annotations/1.xml",
            "SegmentationClass/1.png",
            "SegmentationObject/1.png",
        ),
        ("images/1.jpg", "images/2.jpg", "annotations/xmls/1.xml", "annotations/trimaps/1.png"),
    ],
)
def test_voc_with_boxes_and_masks_is_asked_about(make_folder: MakeFolder, above: str, names: tuple[str, ...]) -> None:
    folder = make_folder(*(above + name for name in names))
    (folder / above / names[2]).write_text(VOC_XML)
    if names[0].startswith("images"):
        folder = folder / above
    both = r"as voc \(detection\) and as mask folder \(segmentation\)\. Say which with --format voc or --format 'mask"
    with pytest.raises(ConfigError, match=both):
        read(folder)
    assert recognised(folder, "detection") == "voc"
    index = read(folder, task="segmentation")
    assert (index.format, len(index)) == ("mask folder", 1)


def test_masks_of_several_years_of_voc_are_named(make_folder: MakeFolder) -> None:
    years = [f"VOCdevkit/VOC{year}" for year in (2007, 2012)]
    folder = make_folder(*(f"{year}/{name}/1.png" for year in years for name in ("JPEGImages", "SegmentationClass")))
    with pytest.raises(DataError, match=rf"holds several data sets: {folder}/{years[0]}, {folder}/{years[1]}\. Give"):
        read(folder)
    assert len(read(folder / years[0])) == 1


def test_several_data_sets_further_down_are_all_named(make_folder: MakeFolder) -> None:
    folder = make_folder("default/test/0000.parquet", "default/train/0000.parquet")
    with pytest.raises(DataError) as caught:
        read(folder)
    named = f"{folder}/default/test (parquet), {folder}/default/train (parquet)"
    assert f"or parts of one: {named}. Give the path of one, or bring the parts together." in str(caught.value)
