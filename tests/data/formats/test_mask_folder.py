"""Where pictures and masks lie, what the masks' values mean, and each thing that can be missing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.data.checks import check
from sightline.data.formats import mask_folder, read
from sightline.data.index import Index
from sightline.data.masks import DrawnMasks, Masks
from sightline.data.sources import TensorSource
from sightline.errors import DataError

MakeFolder = Callable[..., Path]
BINARY_NOTE = "The masks hold 0 and 255: these are read as two classes, 0 as background and 255 as foreground; nothing is ignored."


def splits(index: Index) -> dict[str, list[str]]:
    return {split: [index.source.name(at) for at in held] for split, held in index.splits.items()}


def mask_of(index: Index, at: int = 0) -> list[list[int]]:
    assert isinstance(index.annotations, Masks)
    return index.annotations.target(at).mask.tolist()


@pytest.fixture
def make_masks(make_folder: MakeFolder, tmp_path: Path) -> Callable[..., Path]:
    """images/0.jpg, images/1.jpg, ... of 3 x 1 pixels, masks/0.png, ... with the given rows, and text files."""

    def make(*rows: list[int] | list[tuple[int, int, int]], **texts: str) -> Path:
        for folder in ("images", "masks"):
            (tmp_path / "set" / folder).mkdir(parents=True)
        for at, row in enumerate(rows):
            Image.new("RGB", (len(row), 1)).save(tmp_path / f"set/images/{at}.jpg")
            dtype = np.uint16 if np.max(row) > 255 else np.uint8
            Image.fromarray(np.array([row], dtype)).save(tmp_path / f"set/masks/{at}.png")
        for name, text in texts.items():
            (tmp_path / "set" / name.replace("__", ".")).write_text(text)
        return tmp_path / "set"

    return make


LAYOUTS = {
    "two folders": (["images/1.jpg", "images/2.jpg", "masks/1.png", "masks/2.png"], {}),
    "other names, suffixes": (["image/1.jpg", "image/b/2.jpg", "label/1_mask.png", "label/b/2_L.png"], {}),
    "splits inside": (
        ["images/train/1.jpg", "images/val/2.jpg", "masks/train/1.png", "masks/validation/2.png"],
        {"train": ["images/train/1.jpg"], "val": ["images/val/2.jpg"]},
    ),
    "splits around": (
        ["Train/images/1.jpg", "test/imgs/2.jpg", "Train/masks/1.png", "test/labels/2.png"],
        {"train": ["Train/images/1.jpg"], "test": ["test/imgs/2.jpg"]},
    ),
    "folder and its masks": (
        ["train/1.jpg", "val/1.jpg", "train_masks/1_mask.png", "val_masks/1_mask.png"],
        {"train": ["train/1.jpg"], "val": ["val/1.jpg"]},
    ),
    "side by side": (["1.jpg", "2.png", "1_mask.png", "2_mask.png"], {}),
    "side by side in splits": (["train/1.jpg", "train/1_mask.png", "val/2.jpg", "val/2_mask.png"],
                               {"train": ["train/1.jpg"], "val": ["val/2.jpg"]}),
    "VOC without boxes": (["JPEGImages/1.jpg", "JPEGImages/2.jpg", "SegmentationClass/1.png", "SegmentationClass/2.png"], {}),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(make_folder: MakeFolder, layout: str) -> None:
    names, expected = LAYOUTS[layout]
    index = read(make_folder(*names))
    assert (index.format, len(index), index.faults.lines) == ("mask folder", 2, ())
    assert splits(index) == expected
    assert isinstance(index.annotations, Masks)
    for at in range(2):
        picture, mask = Path(index.source.name(at)), Path(index.annotations.source.name(at))
        assert mask.stem.removesuffix("_mask").removesuffix("_L") == picture.stem
        assert picture != mask


LISTS = {
    "stems": ("splits/train.txt", "1\n", "splits/val.txt", "2\n\n"),
    "paths": ("train2017.txt", "images/1.jpg\n", "val2017.txt", "images/2.jpg\n"),
    "pictures and masks": ("splits/train.txt", "1.jpg 1.png\n", "splits/valid.txt", "2.jpg 2.png\n"),
}


@pytest.mark.parametrize("case", LISTS)
def test_lists_of_splits(make_folder: MakeFolder, case: str) -> None:
    train, first, val, second = LISTS[case]
    folder = make_folder("images/1.jpg", "images/2.jpg", "images/3.jpg", "masks/1.png", "masks/2.png", train, val)
    (folder / train).write_text(first)
    (folder / val).write_text(second)
    index = read(folder)
    assert splits(index) == {"train": ["images/1.jpg"], "val": ["images/2.jpg"]}
    assert index.notes[-1] == "1 picture is in no list of a split and has no mask; it is left out."
    assert index.ignored == ()


def test_pictures_with_a_mask_in_no_list_are_counted(make_folder: MakeFolder) -> None:
    folder = make_folder("images/1.jpg", "images/2.jpg", "masks/1.png", "masks/2.png", "splits/train.txt")
    (folder / "splits/train.txt").write_text("1\n")
    index = read(folder)
    assert splits(index) == {"train": ["images/1.jpg"]}
    assert "1 picture with a mask is in no list of a split; it is in none." in index.notes


def test_lists_that_are_wrong(make_folder: MakeFolder) -> None:
    folder = make_folder("images/1.jpg", "images/2.jpg", "masks/1.png", "splits/train.txt", "splits/val.txt")
    (folder / "splits/train.txt").write_text("1\n2\n3\n")
    assert read(folder).faults.lines == (
        "images/2.jpg: there is no mask 2.png (or of another kind) in masks; the picture is left out. Draw the mask, or remove the "
        "picture.",
        "splits/train.txt line 3: there is no picture 3 in images.",
    )
    (folder / "splits/val.txt").write_text("1\n")
    index = read(folder)
    assert {split: len(held) for split, held in index.splits.items()} == {"train": 0, "val": 1}
    assert (
        "splits/val.txt line 1: images/1.jpg is in splits/train.txt line 1 too; it stays in val." in index.faults.lines
    )
    (folder / "splits/val.txt").write_text("1.jpg\nimages/1.jpg\n")
    assert read(folder).faults.lines[:2] == (
        "splits/val.txt line 1: images/1.jpg is in splits/train.txt line 1 too; it stays in val.",
        "splits/val.txt line 2: images/1.jpg was listed before, in splits/val.txt line 1.",
    )


def test_what_has_no_partner_is_named(make_folder: MakeFolder) -> None:
    folder = make_folder("images/1.jpg", "images/2.jpg", "masks/1.png", "masks/3.png", "masks/1.tif", "notes.md")
    (folder / "masks/1.tif").write_bytes((folder / "masks/1.png").read_bytes())
    index = read(folder)
    assert len(index) == 1
    assert index.faults.lines[0].startswith("images/2.jpg: there is no mask 2.png")
    assert index.faults.lines[1] == "masks/3.png: there is no picture 3 in images; the mask is left out."
    assert index.ignored == (
        "masks/1.tif: masks/1.png has the same name and is taken",
        "notes.md: it lies beside the pictures and masks",
    )
    with pytest.raises(DataError, match=r"2 of 3 pictures \(66\.67%\) bad"):
        index.faults.require_few()
    (folder / "masks/1.png").unlink()
    (folder / "masks/1.tif").unlink()
    with pytest.raises(DataError, match=r"holds no picture with a mask:\nimages/1\.jpg: there is no mask"):
        mask_folder.read(folder)


def test_side_by_side_a_mask_without_its_picture_is_no_picture(make_folder: MakeFolder) -> None:
    folder = make_folder("1.png", "1_mask.png", "2.png", "4_mask.png", "5_mask.png", "5_mask_mask.png", "6_seg.png")
    index = read(folder)
    assert splits(index) == {}
    assert [index.source.name(at) for at in range(len(index))] == ["1.png", "5_mask.png"]
    assert [line.partition(" (or")[0].partition(" in .;")[0] for line in index.faults.lines] == [
        "2.png: there is no mask 2_mask.png",
        "6_seg.png: there is no mask 6_seg_mask.png",
        "4_mask.png: there is no picture 4",
    ]


def test_zero_and_255_are_two_classes(make_masks: Callable[..., Path]) -> None:
    index = read(make_masks([0, 0, 255], [0, 0, 0], [0, 128, 255]))
    assert (index.class_names, index.notes) == (("background", "foreground"), (BINARY_NOTE,))
    assert mask_of(index) == [[0, 0, 1]]
    (fault,) = check(index).faults
    assert (fault.name, fault.reason[:26]) == ("masks/2.png", "the value 128 (1 pixel) me")
    assert "save them without" in fault.reason


def test_zero_and_65535_are_two_classes(make_masks: Callable[..., Path]) -> None:
    index = read(make_masks([0, 0, 65535], [65535, 0, 0]))
    assert (index.class_names, index.notes) == (("background", "foreground"), (BINARY_NOTE.replace("255", "65535"),))
    assert mask_of(index) == [[0, 0, 1]]


def test_zero_and_65535_with_names(make_masks: Callable[..., Path]) -> None:
    index = read(make_masks([0, 0, 65535], [65535, 0, 0], classes__txt="sky\ncell\n"))
    assert (index.class_names, mask_of(index)) == (("sky", "cell"), [[0, 0, 1]])
    assert "0 as sky and 65535 as cell" in index.notes[0]


def test_65535_beside_other_values_is_a_class_like_them(make_masks: Callable[..., Path]) -> None:
    assert read(make_masks([0, 7, 65535], [0, 0, 65535], [0, 7, 0])).class_names == ("0", "7", "65535")


TWO = {
    "named": ("classes__txt", "sky\ncell\n", ("sky", "cell")),
    "one name": ("classes__txt", "cell\n", ("background", "cell")),
    "YAML": ("about__yaml", "names: {0: sky, 1: cell}", ("sky", "cell")),
    "named by value": ("about__yaml", "names: {255: cell, 0: sky}", ("sky", "cell")),
}


@pytest.mark.parametrize("case", TWO)
def test_zero_and_255_with_names(make_masks: Callable[..., Path], case: str) -> None:
    file, text, names = TWO[case]
    index = read(make_masks([0, 0, 255], [0, 255, 255], **{file: text}))
    assert index.class_names == names
    assert mask_of(index) == [[0, 0, 1]]


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ([[0, 1, 255], [0, 0, 255], [0, 0, 255]], {"classes__txt": "sky\ncell\n"}),
        ([[0, 0, 255], [0, 0, 255]], {"classes__txt": "sky\ncell\nroad\n"}),
        ([[0, 0, 255], [0, 0, 255]], {"classes__yaml": "names: [sky, cell]\nignore: 255\n"}),
    ],
)
def test_255_is_ignored_where_there_are_other_classes(
    make_masks: Callable[..., Path], rows: list[list[int]], texts: dict[str, str]
) -> None:
    index = read(make_masks(*rows, **texts))
    assert mask_of(index)[0][2] == 255
    assert "The value 255 in masks is ignored." in index.notes
    assert index.class_names[:2] == ("sky", "cell")


def test_values_without_names_are_the_names(make_masks: Callable[..., Path]) -> None:
    index = read(make_masks([0, 7, 255], [3, 0, 0], [0, 0, 1000]))
    assert index.class_names == ("0", "3", "7", "1000")
    assert (mask_of(index, 0), mask_of(index, 2)) == ([[0, 2, 255]], [[0, 0, 3]])
    assert index.notes[0] == (
        "No file names the classes: all masks (3) were read for their values, which are the names: 0, 3, 7, 1000."
    )


def test_sparse_ids_with_names(make_masks: Callable[..., Path]) -> None:
    folder = make_masks([0, 200, 13], a__yaml="classes:\n  0: none\n  13: stop\n  200: rug\n", b__yaml="- a list\n")
    index = read(folder)
    assert index.class_names == ("none", "stop", "rug")
    assert mask_of(index) == [[0, 2, 1]]
    assert read(folder / "a.yaml").fingerprint() == index.fingerprint()


TABLE = "name,r,g,b\nroad,10,20,30\nsky,0,0,200\nvoid,0,0,0\nroad,11,20,30\n"


def test_colours(make_masks: Callable[..., Path]) -> None:
    folder = make_masks(
        [(10, 20, 30), (0, 0, 200), (0, 0, 0)], [(11, 20, 30), (9, 9, 9), (0, 0, 0)], classes__csv=TABLE
    )
    index = read(folder)
    assert (index.class_names, index.notes) == (("road", "sky"), ("Pixels of the colour of void are ignored.",))
    assert mask_of(index) == [[0, 1, 255]]
    assert "the colour (9 9 9) (1 pixel) means no class" in check(index).faults[0].reason


def test_a_table_beside_numbers(make_masks: Callable[..., Path]) -> None:
    index = read(make_masks([0, 1, 2], [3, 1, 255], classes__csv=TABLE))
    assert (mask_of(index, 0), mask_of(index, 1)) == ([[0, 1, 255]], [[0, 1, 255]])
    assert "their values are taken as the numbers of its rows, from 0" in index.notes[1]


BACKGROUND_LAST: dict[str, tuple[list[object], dict[str, str]]] = {
    "colours": ([(255, 255, 255), (0, 0, 0)], {"classes__csv": "name,r,g,b\nroad,255,255,255\nBackground,0,0,0\n"}),
    "numbers": ([0, 1], {"classes__txt": "road\n_background_\n"}),
    "0 and 255": ([0, 255], {"classes__txt": "road\nbackground\n"}),
}


@pytest.mark.parametrize("case", BACKGROUND_LAST)
def test_background_is_class_0_wherever_it_is_named(make_masks: Callable[..., Path], case: str) -> None:
    row, texts = BACKGROUND_LAST[case]
    index = read(make_masks(row, row, **texts))
    assert [name.casefold().strip("_") for name in index.class_names] == ["background", "road"]
    assert mask_of(index) == [[1, 0]]


def test_a_table_of_colours_whose_masks_belong_to_no_picture(make_folder: MakeFolder) -> None:
    folder = make_folder("train/1_sat.jpg", "train/1_mask.png")
    (folder / "class_dict.csv").write_text(TABLE)
    with pytest.raises(
        DataError, match=r"class_dict\.csv names the colours of masks, .* or 1_mask\.png beside 1\.jpg\."
    ):
        read(folder)


ROBOFLOW = "Pixel Value, Class\n0, background\n1, cat\n2, dog\n"


def test_a_table_of_values(make_masks: Callable[..., Path]) -> None:
    index = read(make_masks([0, 2, 1], [0, 0, 1], _classes__csv=ROBOFLOW))
    assert (index.class_names, index.notes, index.ignored) == (("background", "cat", "dog"), (), ())


def test_tables_of_values_in_the_folders_of_splits(make_folder: MakeFolder) -> None:
    folder = make_folder("train/1.jpg", "train/1_mask.png", "valid/2.jpg", "valid/2_mask.png")
    for split in ("train", "valid"):
        (folder / split / "_classes.csv").write_text(ROBOFLOW)
    assert read(folder).class_names == ("background", "cat", "dog")
    (folder / "valid/_classes.csv").write_text(ROBOFLOW.replace("dog", "cow"))
    with pytest.raises(
        DataError, match=r"valid/_classes\.csv names other classes than .*train/_classes\.csv\. Make them"
    ):
        read(folder)


def test_masks_that_number_objects_are_refused(make_masks: Callable[..., Path]) -> None:
    rows = [list(range(13)), [0, 1, 2, 3], [0, 0, 0], list(range(11)), [1, 2]]
    folder = make_masks(*rows)
    said = (
        r"\(5\) count from 1 without a gap, masks/4\.png to 2 and masks/0\.png to 12, .* Save the class of each pixel"
    )
    with pytest.raises(DataError, match=said):
        read(folder)
    (folder / "classes.txt").write_text("\n".join(f"class {number}" for number in range(13)))
    assert len(read(folder).class_names) == 13


@pytest.mark.parametrize(
    "rows",
    [
        [list(range(13)), list(range(13))],  # every mask has all classes
        [[0, 1, 2, 3], [0, 1], [0, 1, 2]],  # few, such as grades
        [list(range(13)), [0, 4, 9], [0, 7]],
        [[0, 0], [0, 0]],
    ],
)
def test_masks_whose_values_may_be_classes_are_read(make_masks: Callable[..., Path], rows: list[list[int]]) -> None:
    assert len(read(make_masks(*rows)).class_names) == len({value for row in rows for value in row})


BAD: dict[str, tuple[list[object], dict[str, str], str]] = {
    "colours without a table": ([[(1, 2, 3)], [(9, 8, 7)]], {}, r"masks/0\.png: the mask has colours, \(1 2 3\).*2, are all like that"),
    "grey pictures": ([list(range(256)), [300]], {}, r"hold 256 different values \(0, 1, .*name the classes in classes\.txt"),
    "smooth edges": ([[0, 64, 128, 191, 255]], {}, r"hold 0, 255 and 3 values between them \(64, 128, 191\), .* name them in classes"),
    "from a JPEG": ([[0, 255], [0, 1, 2, 252, 255]], {}, r"hold 0, 255 and 3 values between them \(1, 2, 252\)"),
    "a value twice": ([[0]], {"_classes__csv": ROBOFLOW.replace("2,", "1,")}, r"_classes\.csv line 4: expected a new value.*'1, dog'"),
    "too many names": ([[0]], {"classes__txt": "\n".join(map(str, range(300)))}, r"classes\.txt names 300 classes; masks can"),
    "two files": ([[0]], {"a__yaml": "names: [a]", "b__yml": "names: [b]"}, r"several files that name classes: a\.yaml, b\.yml"),
    "a row": ([[0]], {"classes__csv": "name,r,g,b\nroad,1,2,256\n"}, r"classes\.csv line 2: expected a name and three numbers"),
    "a colour twice": ([[0]], {"classes__csv": "Name,R,G,B\na,1,2,3\nb,1,2,3\n"}, r"line 3: the colour \(1, 2, 3\) was given before"),
    "no rows": ([[0]], {"classes__csv": "name,r,g,b\n"}, "and no rows"),
    "ignore": ([[0]], {"a__yaml": "names: [a]\nignore: none"}, "expected a number as ignore, got 'none'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_sets_that_cannot_be_used(make_masks: Callable[..., Path], case: str) -> None:
    rows, texts, reason = BAD[case]
    with pytest.raises(DataError, match=reason):
        read(make_masks(*rows, **texts))


def test_masks_that_are_all_jpegs(make_folder: MakeFolder) -> None:
    folder = make_folder("images/1.jpg", "masks/1.jpg")
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(folder / "masks/1.jpg")
    with pytest.raises(DataError, match=r"masks/1\.jpg: the mask is a JPEG .* Save masks as PNG"):
        read(folder)


def test_read_undoes_write(tmp_path: Path) -> None:
    rows = torch.tensor([[[0, 255, 0]], [[0, 0, 255]], [[1, 0, 0]]], dtype=torch.uint8)
    index = Index(
        source=TensorSource(torch.zeros(3, 1, 1, 3, dtype=torch.uint8), ["a", "b", "c"]),
        annotations=Masks(DrawnMasks(list(rows), ["a", "b", "c"])),
        class_names=("no", "yes"),
        splits={"train": np.array([0, 1]), "test": np.array([2])},
        format="made",
    )
    assert mask_folder.write(index, tmp_path / "copy") == ()
    again = read(tmp_path / "copy")
    assert again.class_names == index.class_names
    assert [mask_of(again, at) for at in (1, 2, 0)] == rows.tolist()
    assert splits(again) == {
        "train": ["images/train/000000.png", "images/train/000001.png"],
        "test": ["images/test/000002.png"],
    }
    with Image.open(tmp_path / "copy/masks/test/000002.png") as mask:
        assert mask.mode == "P"
        assert mask.convert("RGB").getpixel((0, 0)) == (128, 0, 0)
    mask_folder.write(again, tmp_path / "third")
    assert read(tmp_path / "third").notes == again.notes
    with pytest.raises(DataError, match="not empty"):
        mask_folder.write(index, tmp_path / "copy")


def test_what_has_no_masks_is_not_written(make_index: Callable[..., Index], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no masks"):
        mask_folder.write(make_index(1, 1), tmp_path / "copy")


@pytest.mark.parametrize(("name", "train"), [("isbi2012_em", 24), ("nuclei_dsb2018_sub", 112)])
def test_real_sets(real_set: Callable[..., Path], name: str, train: int) -> None:
    index = read(real_set(name, "seg"))
    assert (len(index.positions("train")), index.class_names) == (train, ("background", "foreground"))
    assert (index.notes, index.faults.lines) == ((BINARY_NOTE,), ())
    report = check(index, index.positions("val")[:3])
    assert report.faults == ()
    share = report.class_pixels(index.positions("val"))[1] / report.class_pixels(index.positions("val")).sum()
    assert (0.7 < share < 0.85) if name == "isbi2012_em" else (0.01 < share < 0.5)


def test_real_set_of_sparse_ids(real_set: Callable[..., Path]) -> None:
    index = read(real_set("coco_cc", "det"), "mask folder")
    assert {split: len(held) for split, held in index.splits.items()} == {"train": 26, "val": 27}
    assert (len(index.class_names), index.class_names[12], index.class_names[-1]) == (130, "stop sign", "rug-merged")
    assert check(index, index.positions("train")[:5]).faults == ()
