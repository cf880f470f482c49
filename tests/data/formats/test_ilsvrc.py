"""Every way in which ILSVRC-2012 lies on disks, with the labels that belong to it, and the lists that do not."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from sightline.data.formats import ilsvrc, read
from sightline.data.index import Index
from sightline.errors import DataError

MakeFolder = Callable[..., Path]

TENCH, CRANE, OTHER_CRANE = "n01440764", "n02012849", "n03126707"
SYNSETS = (TENCH, CRANE, OTHER_CRANE)
TRAIN = [f"train/{synset}/{synset}_{number}.JPEG" for synset in SYNSETS for number in (9, 10)]
VAL = [f"val/ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 13)]
LABELS = [CRANE, TENCH, OTHER_CRANE, TENCH] * 3
"""Of the twelve validation pictures, in order."""
NUMBERS = {OTHER_CRANE: 1, TENCH: 2, CRANE: 3}
"""As in meta.mat: an order of its own."""
SYNSET_LIST = "imagenet_2012_validation_synset_labels.txt"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
DEVKIT = "ILSVRC2012_devkit_t12/data"
KAGGLE = "LOC_val_solution.csv"
DEEP = "ILSVRC/Data/CLS-LOC"


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_meta(folder: Path) -> None:
    """A meta.mat with the columns of the real one, inner nodes of the hierarchy included."""
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    rows = [(float(number), synset, "words", 0.0) for synset, number in NUMBERS.items()]
    savemat(folder / "meta.mat", {"synsets": np.array([*rows, (1001.0, "n00001740", "entity", 2.0)], dtype=kinds)})


def write_devkit(root: Path, lines: list[str] | None = None) -> None:
    write_lines(root / DEVKIT / TRUTH, lines or [str(NUMBERS[synset]) for synset in LABELS])
    write_meta(root / DEVKIT)


def write_kaggle(path: Path, labels: list[str] = LABELS) -> None:
    rows = [f"ILSVRC2012_val_{number:08d},{synset} 1 2 3 4 " for number, synset in enumerate(labels, start=1)]
    rows[1] += f"{labels[1]} 5 6 7 8 "  # two boxes of one class
    write_lines(path, ["ImageId,PredictionString", *reversed(rows)])


def val_labels(index: Index) -> dict[str, str]:
    return {index.source.name(p): index.class_names[index.labels[p]] for p in index.positions("val").tolist()}


EXPECTED = dict(zip(VAL, LABELS, strict=True))


def test_flat_validation_with_a_list_of_synsets(make_folder: MakeFolder) -> None:
    folder = make_folder(*TRAIN, *VAL)
    write_lines(folder / SYNSET_LIST, LABELS)
    index = read(folder)
    assert index.format == "ilsvrc"
    assert index.class_names == SYNSETS
    assert {name: len(held) for name, held in index.splits.items()} == {"train": 6, "val": 12}
    assert val_labels(index) == EXPECTED
    assert [index.source.name(p) for p in index.positions("train")] == TRAIN
    assert index.ignored == ()
    assert index.notes == (
        f"The labels of val come from {folder / SYNSET_LIST}.",
        "Classes are called by their synsets, such as n01440764; two synsets can share a word.",
    )


def test_the_numbers_of_the_development_kit_follow_its_own_order(make_folder: MakeFolder) -> None:
    folder = make_folder(*TRAIN, *VAL, "LOC_synset_mapping.txt")
    write_devkit(folder)
    index = read(folder)
    assert val_labels(index) == EXPECTED
    assert index.ignored == (f"LOC_synset_mapping.txt: it lies beside the folders train, val, {Path(DEVKIT).parts[0]}",)


@pytest.mark.parametrize("given", ["", "ILSVRC", "ILSVRC/Data", DEEP])
def test_kaggles_archive_from_any_of_its_folders(make_folder: MakeFolder, given: str) -> None:
    test = [f"test/ILSVRC2012_test_{number:08d}.JPEG" for number in range(1, 4)]
    folder = make_folder(
        *(f"{DEEP}/{name}" for name in (*TRAIN, *VAL, *test)),
        "ILSVRC/Annotations/CLS-LOC/val/x.xml",
        "ILSVRC/ImageSets/CLS-LOC/val.txt",
    )
    write_kaggle(folder / KAGGLE)
    index = read(folder / given)
    assert val_labels(index) == EXPECTED
    assert {name: len(held) for name, held in index.splits.items()} == {"train": 6, "val": 12}
    assert index.ignored == ("test: its pictures (3) have no labels",)
    assert str(folder / KAGGLE) in index.notes[0]
    assert (str(folder / DEEP) in index.notes[1]) == (given != DEEP)


def test_kaggles_archive_with_sorted_validation_pictures(make_folder: MakeFolder) -> None:
    sorted_val = [name.replace("val/", f"val/{synset}/") for name, synset in EXPECTED.items()]
    index = read(make_folder(*(f"{DEEP}/{name}" for name in (*TRAIN, *sorted_val))))
    assert index.format == "ilsvrc"
    assert val_labels(index) == {name.replace("val/", f"val/{synset}/"): synset for name, synset in EXPECTED.items()}


def test_the_usual_layout_is_an_image_folder(make_folder: MakeFolder) -> None:
    folder = make_folder(*TRAIN, *(f"val/{synset}/ILSVRC2012_val_0000000{n}.JPEG" for n, synset in enumerate(SYNSETS)))
    index = read(folder)
    assert (index.format, index.class_names) == ("image folder", SYNSETS)
    as_told = read(folder, "ilsvrc")
    assert as_told.fingerprint() == index.fingerprint()


def test_a_picture_left_over_from_sorting_is_named(make_folder: MakeFolder) -> None:
    index = read(make_folder(*TRAIN, f"val/{TENCH}/ILSVRC2012_val_00000002.JPEG", VAL[0]))
    assert index.format == "image folder"
    assert index.ignored == (f"{VAL[0]}: it lies beside the class folders, not inside one",)


def test_validation_pictures_alone_are_enough_to_evaluate(make_folder: MakeFolder) -> None:
    folder = make_folder(*(name.replace("val/", "validation/") for name in VAL))
    write_lines(folder / SYNSET_LIST, LABELS)
    index = read(folder)
    assert (index.class_names, list(index.splits)) == (SYNSETS, ["val"])
    assert list(val_labels(index).values()) == LABELS


def test_the_list_that_names_its_pictures_comes_first(make_folder: MakeFolder) -> None:
    folder = make_folder(*TRAIN, *VAL)
    write_kaggle(folder / KAGGLE)
    write_lines(folder / SYNSET_LIST, [TENCH] * 12)
    assert val_labels(read(folder)) == EXPECTED


def test_what_is_no_validation_picture_is_named(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder(*TRAIN, *VAL, "val/cat.JPEG", "val/.DS_Store", "val/README.txt", "val/more/1.JPEG")
    write_lines(folder / SYNSET_LIST, LABELS)
    index = read(folder)
    assert val_labels(index) == EXPECTED
    assert dict(line.split(": ") for line in index.ignored) == {
        "val/cat.JPEG": "it is not named like ILSVRC2012_val_00000001.JPEG",
        "val/.DS_Store": "it is a hidden file",
        "val/README.txt": "the ending .txt is none of a picture's",
        "val/more": "it is no ordinary file",
    }


def test_the_order_of_the_file_system_does_not_matter(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(*TRAIN, *VAL)
    write_lines(folder / SYNSET_LIST, LABELS)
    expected = read(folder).fingerprint()
    scandir = os.scandir

    class Backwards:
        def __init__(self, path: Path) -> None:
            self.entries = list(reversed(list(scandir(path))))

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    assert read(folder).fingerprint() == expected


WRONG: dict[str, tuple[list[str], str]] = {
    "one line too few": (LABELS[:-1], r"labels\.txt has labels for 11 pictures, and .*val holds 12\. Bring"),
    "one line too many": ([*LABELS, TENCH], r"labels for 13 pictures, and .*val holds 12"),
    "no synset": ([*LABELS[:-1], "tench"], r"expected a synset such as n01440764 for .*00000012\.JPEG, got 'tench'"),
    "unknown": (["n99999999", *LABELS[1:]], r"val_00000001\.JPEG is of the class n99999999, which is none of the 3"),
    "empty": ([], r"labels for no pictures"),
}


@pytest.mark.parametrize("case", WRONG)
def test_lists_of_synsets_that_do_not_fit(make_folder: MakeFolder, case: str) -> None:
    lines, text = WRONG[case]
    folder = make_folder(*TRAIN, *VAL)
    write_lines(folder / SYNSET_LIST, lines)
    with pytest.raises(DataError, match=text):
        read(folder)


def test_a_missing_picture_would_shift_the_labels(make_folder: MakeFolder) -> None:
    folder = make_folder(*TRAIN, *VAL, "val/ILSVRC2012_val_00000013.JPEG")
    (folder / VAL[4]).unlink()
    write_lines(folder / SYNSET_LIST, LABELS)
    with pytest.raises(
        DataError, match=r"where ILSVRC2012_val_00000005\.JPEG was expected .* there is .*val_00000006\.JPEG"
    ):
        read(folder)
    write_kaggle(folder / KAGGLE)
    with pytest.raises(DataError, match=r"it has no row for ILSVRC2012_val_00000013 and 0 more pictures"):
        read(folder)


def test_development_kits_that_cannot_be_used(make_folder: MakeFolder) -> None:
    folder = make_folder(*TRAIN, *VAL)
    write_devkit(folder, ["7", *["1"] * 11])
    with pytest.raises(DataError, match=r"ground_truth\.txt line 1: expected a number that meta\.mat has .* got '7'"):
        read(folder)
    write_devkit(folder)
    meta = folder / DEVKIT / "meta.mat"
    meta.write_bytes(meta.read_bytes()[:200])
    with pytest.raises(DataError, match=r"meta\.mat cannot be read .* Bring it again"):
        read(folder)
    meta.unlink()
    with pytest.raises(DataError, match=r"numbers the classes in an order of its own, which meta\.mat says: bring it"):
        read(folder)
    (folder / DEVKIT / TRUTH).unlink()
    with pytest.raises(DataError, match=r"val holds 12 pictures .* no labels.* LOC_val_solution\.csv, .*meta\.mat"):
        read(folder)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["path,label", "a,b"], r"LOC_val_solution\.csv line 1: expected the columns ImageId,PredictionString, got path"),
        ([], "got nothing"),
        (["ImageId,PredictionString", "ILSVRC2012_val_00000001,"], "line 2: expected a picture"),
        (["ImageId,PredictionString", f"ILSVRC2012_val_00000001,{TENCH} 1 2 3 4 {CRANE} 1 2 3 4"], "boxes of one synset"),
        (["ImageId,PredictionString", *[f"ILSVRC2012_val_00000001,{TENCH} 1 2 3 4"] * 2], "line 3: expected a picture that was not"),
        (["ImageId,PredictionString", f"ILSVRC2012_val_00000001,{TENCH} 1 2 3 4"], "has labels for 1 picture, and .*val holds 12"),
    ],
)  # fmt: skip
def test_kaggles_tables_that_do_not_fit(make_folder: MakeFolder, lines: list[str], text: str) -> None:
    folder = make_folder(*TRAIN, *VAL)
    write_lines(folder / KAGGLE, lines)
    with pytest.raises(DataError, match=text):
        read(folder)


def test_a_list_that_is_not_text(make_folder: MakeFolder) -> None:
    folder = make_folder(*TRAIN, *VAL)
    (folder / SYNSET_LIST).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"labels\.txt cannot be read"):
        read(folder)


def test_archives_that_were_not_unpacked(make_folder: MakeFolder) -> None:
    folder = make_folder("train/n01440764.tar", *VAL)
    write_lines(folder / SYNSET_LIST, LABELS)
    with pytest.raises(DataError, match=r"train holds no class folders\. Unpack the archive of each class"):
        read(folder)


def test_two_validation_folders(make_folder: MakeFolder) -> None:
    folder = make_folder(*TRAIN, *VAL, f"validation/{TENCH}/1.JPEG")
    with pytest.raises(DataError, match="two folders for one split: val and validation"):
        read(folder)


def test_only_such_a_layout_is_recognised(make_folder: MakeFolder) -> None:
    assert not ilsvrc.recognises(make_folder("train/cat/1.png", "train/dog/2.png", "val/3.png", root="pets"))
    assert not ilsvrc.recognises(make_folder(*TRAIN, root="train only"))
    assert ilsvrc.recognises(make_folder(*(f"{DEEP}/{name}" for name in TRAIN), root="deep"))
    assert ilsvrc.recognises(make_folder(*VAL, root="val only"))
