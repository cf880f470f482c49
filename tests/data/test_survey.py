"""Every fault of the table is found and named, and repaired copies have none."""

from pathlib import Path

import pytest

from sightline.data.findings import KINDS, errors
from sightline.data.repairs import MENDS_NOTHING
from sightline.data.survey import place_of
from sightline.errors import DataError
from sightline.report.check_words import sentence
from sightline.workflows.check import look, write_fixed
from tests.data import sound
from tests.data.faults import FAULTS, Fault
from tests.data.sound import SOUND


@pytest.mark.parametrize("format", SOUND)
def test_with_a_sound_data_set_nothing_is_wrong(format: str, tmp_path: Path) -> None:
    data = SOUND[format](tmp_path / "set")
    for paper in ("LICENSE", "README.roboflow.txt"):
        (data if data.is_dir() else data.parent).joinpath(paper).write_text("Free to use.")
    looked = look(data, format)
    assert [finding.sentence for finding in looked.findings] == []
    assert looked.survey is not None
    assert looked.survey.index.format == format


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_fault_is_found_named_and_repaired(fault: Fault, tmp_path: Path) -> None:
    looked = look(fault.make(tmp_path / "set"), fault.format)
    told = [finding.sentence for finding in looked.findings if finding.kind == fault.kind]
    everything = [f"{finding.kind}: {finding.sentence}" for finding in looked.findings]
    assert any(all(text in line for text in fault.named) for line in told), everything
    level = KINDS[fault.kind].level
    assert (errors(looked.findings) > 0) == (level == "error"), everything
    if fault.owner:
        with pytest.raises(DataError, match="there is nothing to repair, since any copy would have the error too"):
            write_fixed(tmp_path / "fixed", looked)
        assert [path.name for path in tmp_path.iterdir()] == ["set"]
    elif level == "error":
        fixed = write_fixed(tmp_path / "fixed", looked)
        assert fixed["left"] == []
        assert fixed["changed"] > 0
        assert MENDS_NOTHING not in Path(fixed["changes"]).read_text()


@pytest.mark.parametrize("folder", ["train", "images/train", "lists"])
def test_an_empty_train_split_is_an_error_where_there_is_another(folder: str, tmp_path: Path) -> None:
    data = tmp_path / "set"
    (data / folder).mkdir(parents=True)
    if folder == "lists":
        (data / folder / "train.txt").touch()
    (data / "labels/val").mkdir(parents=True)
    for number in range(2):
        sound.picture(data / f"images/val/{number}.png", number)
        (data / f"labels/val/{number}.txt").write_text("0 0.5 0.5 0.3 0.3\n")
    (found,) = (finding for finding in look(data).findings if finding.level == "error")
    assert "The train split has no pictures, and there are others (val 2)" in found.what


def test_no_copy_without_a_train_split_is_written(tmp_path: Path) -> None:
    data = sound.yolo(tmp_path / "set")
    for file in (data / "images/train").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match="the train split would have no pictures"):
        write_fixed(tmp_path / "fixed", look(data))
    assert not (tmp_path / "fixed").exists()


def test_a_copy_that_would_be_of_one_class_is_not_written(tmp_path: Path) -> None:
    data = sound.image_folder(tmp_path / "set")
    for picture in (data / "train/dog").iterdir():
        picture.unlink()
    looked = look(data)
    assert [finding.kind for finding in looked.findings if finding.level == "error"] == ["untrained class"]
    with pytest.raises(DataError, match="there is nothing to repair"):
        write_fixed(tmp_path / "fixed", looked)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_table_is_of_every_format_and_of_nearly_every_kind() -> None:
    assert len(FAULTS) >= 60
    assert {fault.format for fault in FAULTS} == set(SOUND)
    assert set(KINDS) - {fault.kind for fault in FAULTS} == set()
    assert len({str(fault) for fault in FAULTS}) == len(FAULTS)
    assert sum(bool(fault.owner) for fault in FAULTS) <= 14, "data sets that only their owner can mend are few"


def test_a_class_that_a_sentence_begins_with_is_named(tmp_path: Path) -> None:
    folder = sound.image_folder(tmp_path / "set")
    for split in ("train", "val", "test"):
        for old, new in (("cat", "t"), ("dog", "T")):
            (folder / split / old).rename(folder / split / new)
    (found,) = look(folder).findings
    assert found.sentence.startswith("t: there is the class 'T' too") or found.sentence.startswith("T: there is")
    assert sentence(found.as_json()) == found.sentence


@pytest.mark.parametrize("name", ["a: b", "a: line 3"])
def test_a_file_may_have_a_colon_in_its_name(name: str, tmp_path: Path) -> None:
    data = sound.yolo(tmp_path / "set")
    for folder, ending in (("images", "png"), ("labels", "txt")):
        (data / f"{folder}/train/1.{ending}").rename(data / f"{folder}/train/{name}.{ending}")
    with (data / f"labels/train/{name}.txt").open("a") as file:
        file.write("1 0.5 0.5 0 0.2\n")
    (data / f"{name}.md").write_text("x")
    assert [finding.where for finding in look(data).findings if finding.kind == "box without area"] == [
        f"labels/train/{name}.txt line 3"
    ]
    assert place_of(f"{name}.md: it is not used", data) == f"{name}.md"


@pytest.mark.parametrize("broken", range(4))
def test_counts_of_a_split_that_training_makes_are_said_to_be(broken: int, tmp_path: Path) -> None:
    """The data set itself has other numbers: so many boxes or cats, before training divides it."""
    for number in range(4):
        sound.picture(tmp_path / f"boxes/images/train/{number}.png", number)
        labels = tmp_path / f"boxes/labels/train/{number}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text("0 .5 .5 .2 .2\n" * (number == broken))
        sound.picture(tmp_path / f"classes/train/dog/{number}.png", number + 4)
        cat = sound.picture(tmp_path / f"classes/train/cat/{number}.png", number + 8)
        cat.write_bytes(cat.read_bytes() if number == broken else b"no picture")
    told = [finding.what for data in ("boxes", "classes") for finding in look(tmp_path / data).findings]
    whole = [what for what in told if "have no boxes" in what or "None of the" in what]
    assert whole
    assert all("The data set came as a single 'train' split and was divided: train " in what for what in whole)
