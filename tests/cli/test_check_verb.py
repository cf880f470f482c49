"""`sightline check`: exit codes, the screen, JSON, the page and the repaired copy."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.data.formats import WRITERS
from sightline.data.index import Index
from tests.data import faults, sound


def test_a_sound_data_set_is_0_and_says_what_there_is(cli: Callable, tmp_path: Path) -> None:
    done = cli("check", sound.image_folder(tmp_path / "set"))
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith(f"{tmp_path}/set: image folder, classification, 2 classes, 16 pictures, looked at in ")
    assert lines[2].split() == ["train", "val", "test"]
    assert lines[3].split() == ["pictures", "8", "4", "4"]
    assert lines[4].split() == ["cat", "4", "2", "2"]
    assert "sizes       all 32 x 16" in lines
    assert lines[-1] == "no errors, no warnings"
    assert done.err == ""


def test_errors_are_1_and_come_before_warnings(cli: Callable, tmp_path: Path) -> None:
    data = sound.coco(tmp_path / "set", faults.entry(2, bbox=[5, 5, 0, 4]))
    faults.write("annotations/captions.json", "{}")(data)
    done = cli("check", data)
    assert done.code == 1
    assert "ERROR  box without area (1): training leaves it out" in done.out
    assert (
        "    annotations/instances_train.json: annotation 3: cat [5, 5, 0, 4] has no area, and is left out." in done.out
    )
    assert done.out.index("ERROR") < done.out.index("warning  unused file (1)")
    assert done.out.splitlines()[-1] == "1 error, 1 warning"


def test_the_first_of_many_are_shown(cli: Callable, tmp_path: Path) -> None:
    data = sound.image_folder(tmp_path / "set")
    for number in range(5):
        (data / f"train/cat/bad{number}.png").write_bytes(b"")
    done = cli("check", data)
    assert done.out.count("the file is empty") == 3
    assert "    ... and 2 more" in done.out
    assert done.out.splitlines()[-1] == "5 errors, no warnings. All of them: --json; with pictures: --out page.html"


def test_warnings_alone_are_0(cli: Callable, tmp_path: Path) -> None:
    data = sound.image_folder(tmp_path / "set")
    faults.write("notes.txt", "x")(data)
    assert cli("check", data).code == 0


def test_what_is_not_there_is_2(cli: Callable, tmp_path: Path) -> None:
    done = cli("check", tmp_path / "absent")
    assert done.code == 2
    assert "does not exist" in done.said
    assert cli("check", tmp_path, "--formats", "x").code == 2
    assert cli("check", tmp_path, "--format", "x").code == 2


def test_what_cannot_be_read_is_an_error_with_its_text(cli: Callable, tmp_path: Path) -> None:
    path = sound.csv(tmp_path / "set")
    faults.replaced("set.csv", "train01.png", '"train01.png')(tmp_path / "set")
    done = cli("check", path, "--write-fixed", tmp_path / "fixed")
    assert done.code == 1
    assert "ERROR  unreadable data (1)" in done.out
    assert "set.csv line 3: this is no CSV (unexpected end of data). A quotation mark may lack its partner." in done.out
    assert (
        "No repaired copy was written: there is nothing to repair, since any copy would have the error too" in done.said
    )
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_json_holds_everything(cli: Callable, tmp_path: Path) -> None:
    data = sound.coco(tmp_path / "set", faults.entry(2, bbox=[5, 5, 0, 4]))
    done = cli("check", data, "--json")
    assert done.code == 1
    result = json.loads(done.out)
    assert (result["format"], result["task"], result["errors"], result["warnings"]) == ("coco", "detection", 1, 0)
    assert result["classes"]["train"] == {"cat": 3, "dog": 4}
    assert result["boxes"]["boxes"] == 15
    assert result["boxes"]["width"] == {"min": 8.0, "p5": 8.0, "median": 8.0, "p95": 8.0, "max": 8.0}
    assert result["sizes"]["usual"] == [{"width": 32, "height": 16, "pictures": 8}]
    (found,) = result["findings"]
    assert found["kind"] == "box without area"
    assert found["level"] == "error"
    assert found["where"] == "annotations/instances_train.json: annotation 3"
    assert found["positions"] == [1]


def test_masks_are_counted_in_shares_of_pixels(cli: Callable, tmp_path: Path) -> None:
    data = sound.mask_folder(tmp_path / "set")
    values = sound.half(1)
    values[-8:] = 255
    faults.masked(values)(data)
    result = json.loads(cli("check", data, "--json").out)
    known = 4 * 16 * 32 - 8 * 32
    road = sum((4 + number) * 9 for number in (1, 2, 3, 4))
    assert abs(result["masks"]["shares"]["train"]["road"] - road / known) < 1e-6
    assert abs(result["masks"]["ignored"] - 8 * 32 / (8 * 16 * 32)) < 1e-6
    assert "  road" in cli("check", data).out


def test_the_page_is_not_overwritten_unasked(cli: Callable, tmp_path: Path) -> None:
    data, page = sound.image_folder(tmp_path / "set"), tmp_path / "page.html"
    assert cli("check", data, "--out", page).out.splitlines()[-1] == f"page: {page}"
    page.write_text("mine")
    assert cli("check", data, "--out", page).code == 2
    assert page.read_text() == "mine"
    assert cli("check", data, "--out", page, "--overwrite").code == 0
    assert "mine" not in page.read_text()


def test_the_repaired_copy_and_its_list(cli: Callable, tmp_path: Path) -> None:
    data = sound.image_folder(tmp_path / "set")
    faults.copy("test/cat/0.png", "train/cat/9.png")(data)
    faults.copy("train/dog/0.png", "train/cat/8.png")(data)
    faults.write("val/dog/1.png", b"")(data)
    before = sorted(path.name for path in data.rglob("*"))
    done = cli("check", data, "--write-fixed", tmp_path / "fixed")
    assert done.code == 1, "the data itself still has errors"
    assert done.out.splitlines()[-1].endswith("checked: no errors")
    assert sorted(path.name for path in data.rglob("*")) == before
    kept = {str(path.relative_to(tmp_path / "fixed")) for path in (tmp_path / "fixed").rglob("*.png")}
    gone = {"train/cat/9.png", "train/cat/8.png", "train/dog/0.png", "val/dog/1.png"}
    assert kept == {str(path.relative_to(data)) for path in data.rglob("*.png")} - gone
    with (tmp_path / "fixed.changes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["kind"], row["where"]) for row in rows} == {
        ("corrupt picture", "val/dog/1.png"),
        ("contradiction", "train/cat/8.png"),
        ("contradiction", "train/dog/0.png"),
        ("leak", "train/cat/9.png"),
    }
    assert cli("check", tmp_path / "fixed").code == 0
    again = cli("check", data, "--write-fixed", tmp_path / "fixed")
    assert again.code == 2
    assert "is not empty" in again.said


def test_a_table_of_splits_counts_instead_of_those_of_the_data(cli: Callable, tmp_path: Path) -> None:
    data = sound.image_folder(tmp_path / "set")
    for label in sound.CLASSES:
        faults.copy(f"train/{label}/0.png", f"train/{label}/9.png")(data)
    assert cli("check", data).code == 0, "copies in one split are a warning"
    rows = ["path,label,split"]
    for path in sorted(data.rglob("*.png")):
        split = "test" if path.name == "9.png" else path.parts[-3]
        rows.append(f"{path.relative_to(data)},{path.parts[-2]},{split}")
    (tmp_path / "splits.csv").write_text("\n".join(rows) + "\n")
    done = cli("check", data, "--splits", tmp_path / "splits.csv")
    assert done.code == 1
    assert "ERROR  leak (2)" in done.out
    assert cli("check", data, "--splits", tmp_path / "absent.csv").code == 2


def test_a_task_that_the_data_set_is_not_for_is_refused(cli: Callable, tmp_path: Path) -> None:
    data = sound.image_folder(tmp_path / "set")
    for words in ((), ("--format", "image folder")):
        done = cli("check", data, "--task", "detection", *words)
        assert (done.code, done.out) == (2, "")
        assert f"--task detection: {data} is read as image folder, which is for classification" in done.said
    assert cli("check", data, "--task", "classification").code == 0


def no_survey(*_: object, **__: object) -> None:
    raise AssertionError("the pictures are looked at")


def test_where_nothing_can_be_written_is_said_before_the_pictures_are_looked_at(
    cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightline.workflows.check.survey", no_survey)
    data, table = sound.image_folder(tmp_path / "set"), sound.csv(tmp_path / "listed")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "old.changes.csv").write_text("mine")
    (tmp_path / "new.csv.changes.csv").write_text("mine")
    for what, reason in (
        ((data, "--out", data / "page.html"), "would become a part of it"),
        ((data, "--out", tmp_path / "file", "--overwrite"), "does not end in .html"),
        ((data, "--out", tmp_path / "folder.html", "--overwrite"), "is a folder"),
        ((data, "--out", tmp_path / "file/page.html"), "file is not a folder"),
        ((data, "--out", tmp_path / "new/page.html", "--write-fixed", tmp_path / "new"), "would become a part of it"),
        ((data, "--write-fixed", data / "fixed"), "would become a part of it"),
        ((data, "--write-fixed", tmp_path / "file/fixed"), "file is not a folder"),
        ((data, "--write-fixed", tmp_path / "file"), "is not empty"),
        ((data, "--write-fixed", tmp_path / "old"), "old.changes.csv exists already"),
        ((table, "--write-fixed", tmp_path / "new"), "new.csv.changes.csv exists already"),
    ):
        done = cli("check", *what)
        assert (done.code, done.out) == (2, ""), reason
        assert reason in done.said
    assert not (data / "fixed").exists()
    assert (tmp_path / "file").read_text() == (tmp_path / "old.changes.csv").read_text() == "mine"


def test_a_report_survives_that_nothing_can_be_written(
    cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sound.image_folder(tmp_path / "set")

    def full(path: Path, *_: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("sightline.workflows.check.write_page", full)
    monkeypatch.setitem(WRITERS, "image folder", lambda _, out: full(out))
    targets = ("--out", tmp_path / "page.html", "--write-fixed", tmp_path / "fixed")
    done = cli("check", data, *targets)
    assert done.code == 1
    assert done.out.splitlines()[-1] == "no errors, no warnings"
    assert "No page was written: [Errno 28]" in done.said
    assert "No repaired copy was written: The disk is full" in done.said
    result = json.loads(cli("check", data, *targets, "--json").out)
    assert (result["pictures"], len(result["failed"])) == (16, 2)


def test_half_a_repaired_copy_is_never_there(cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, write = sound.image_folder(tmp_path / "set"), WRITERS["image folder"]

    def stopped(index: Index, out: Path) -> tuple[str, ...]:
        write(index, out)
        raise KeyboardInterrupt

    monkeypatch.setitem(WRITERS, "image folder", stopped)
    assert cli("check", data, "--write-fixed", tmp_path / "fixed").code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
