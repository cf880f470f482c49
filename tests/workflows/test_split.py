"""A division as a file: what is in it, what stays together, and who reads it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.config import DataConfig
from sightline.data.counted import counted
from sightline.data.formats import coco, mask_folder, read
from sightline.data.samples import digits
from sightline.data.scenes import scenes
from sightline.data.splits import read_splits, with_splits
from sightline.errors import ConfigError, DataError, InputError
from sightline.workflows.evaluate import evaluate
from sightline.workflows.pictures import divided
from sightline.workflows.split import split
from sightline.workflows.train import TrainResult, train
from tests.workflows.squares import QUICK


def noise(seed: int, side: int = 64) -> Image.Image:
    """A picture like no other of another seed, also when it is made smaller."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of 30 pictures, ten of each patient; the first eight of a class once more, as a copy or smaller."""
    for number in range(60):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture = noise(number)
        picture.save(folder / f"patient-{number // 10}_{number}.png")
        if number < 8:
            picture.save(folder / f"copy_{number}.png")
        elif number < 16:
            picture.resize((32, 32), Image.Resampling.BILINEAR).save(folder / f"small_{number}.png")
    return tmp_path / "photos"


def sides(data: Path, file: Path) -> dict[str, str]:
    """Name of a picture -> its split."""
    index = read_splits(read(data), file)
    return {Path(index.source.name(at)).stem: name for name, held in index.splits.items() for at in held.tolist()}


def test_copies_stay_on_one_side(photos: Path, tmp_path: Path) -> None:
    for seed in range(3):
        file = tmp_path / f"{seed}.csv"
        result = split(photos, shares={"val": 0.2, "test": 0.2}, seed=seed, out=file)
        assert (result.alike, result.alike_groups, result.largest_group, result.named_groups) == (32, 16, 2, None)
        assert sum(result.splits.values()) == 76
        assert abs(result.splits["val"] - 15) <= 1
        assert abs(result.splits["test"] - 15) <= 1
        assert result.classes["a"]["train"] + result.classes["b"]["train"] == result.splits["train"]
        of = sides(photos, file)
        for number in range(16):
            twin = f"copy_{number}" if number < 8 else f"small_{number}"
            assert of[twin] == of[f"patient-{number // 10}_{number}"]


def test_flat_copies_are_copies(tmp_path: Path) -> None:
    """What shows too little for thumbnails to be compared is still the same picture when every pixel is."""
    for number in range(12):
        (tmp_path / "set" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number // 4).save(tmp_path / "set" / "ab"[number % 2] / f"{number}.png")
    result = split(tmp_path / "set", shares={"val": 0.3, "test": 0.3}, out=tmp_path / "out.csv")
    of = sides(tmp_path / "set", tmp_path / "out.csv")
    assert result.alike_groups == 3
    assert all(len({of[str(at)] for at in range(4 * group, 4 * group + 4)}) == 1 for group in range(3))


def test_groups_by_name(photos: Path, tmp_path: Path) -> None:
    said: list[str] = []
    result = split(
        photos,
        shares={"val": 0.2, "test": 0.2},
        group_by=r"patient-(\d+)",
        out=tmp_path / "out.csv",
        listener=Heard(said.append),
    )
    assert result.named_groups == 6 + 16
    of = sides(photos, tmp_path / "out.csv")
    for patient in range(6):
        assert len({side for name, side in of.items() if name.startswith(f"patient-{patient}_")}) == 1
    assert of["copy_3"] == of["patient-0_3"]
    assert result.largest_group == 10 + 8 + 2  # of the first patient, with the copies
    assert any(line.startswith("--group-by fits 60 of 76 names; not a/copy_0.png") for line in said)


class Heard:
    """A listener that keeps what is said."""

    def __init__(self, say: Callable[[str], Any]) -> None:
        self.say = say

    def progress(self, progress: object) -> None: ...

    def epoch(self, record: dict[str, Any]) -> None: ...


def test_the_same_seed_divides_the_same_way(photos: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        split(photos, seed=seed, out=tmp_path / f"{name}.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert (tmp_path / "one.csv").read_bytes() != (tmp_path / "three.csv").read_bytes()
    noise(99).save(photos / "a/new.png")
    split(photos, seed=1, out=tmp_path / "more.csv")
    before, after = sides_of(tmp_path / "one.csv"), sides_of(tmp_path / "more.csv")
    assert sum(after[name] != side for name, side in before.items()) <= 2


def sides_of(file: Path) -> dict[str, str]:
    rows = (line.split(",") for line in file.read_text().splitlines()[1:])
    return {name: side for name, _, side in rows}


def test_nothing_is_overwritten_or_left_to_chance(photos: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert split(photos).out == "photos.splits.csv"
    before = Path("photos.splits.csv").read_bytes()
    with pytest.raises(InputError, match=r"photos\.splits\.csv exists already and is not overwritten"):
        split(photos, seed=5)
    assert Path("photos.splits.csv").read_bytes() == before
    for val, test in ((0.5, 0.5), (-0.1, 0.2), (0, 0), (float("nan"), 0.1)):
        with pytest.raises(ConfigError, match="together above 0 and below 1"):
            split(photos, shares={"val": val, "test": test}, out=tmp_path / "x.csv")
    with pytest.raises(ConfigError, match="no regular expression"):
        split(photos, group_by="(", out=tmp_path / "x.csv")
    with pytest.raises(ConfigError, match="into parentheses, such as"):
        split(photos, group_by="patient", out=tmp_path / "x.csv")
    with pytest.raises(DataError, match=r"fits none of the 76 names, such as a/"):
        split(photos, group_by="person-(.)", out=tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_groups_that_leave_a_split_empty_are_refused(photos: Path, tmp_path: Path) -> None:
    for group_by, groups, empty in ((r"/(.)", 1, "val and test"), (r"^([ab])/", 2, "test")):
        said = f"No picture is left for {empty}: 76 pictures are in {counted(groups, 'group that stays', 'groups that stay')} together"
        if groups == 1:
            for picture in photos.rglob("*.png"):
                picture.rename(picture.with_name(f"p{picture.name}"))
        with pytest.raises(DataError, match=said):
            split(photos, group_by=group_by, out=tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_a_table_without_val_is_not_divided_again(photos: Path, tmp_path: Path) -> None:
    split(photos, shares={"val": 0, "test": 0.25}, group_by=r"patient-(\d)_", out=tmp_path / "out.csv")
    data = DataConfig(path=str(photos), splits=str(tmp_path / "out.csv"))
    with pytest.raises(DataError, match=r"out\.csv has no picture in val \(train \d+, test \d+\).*--val 0\.1"):
        divided(read(photos), data)
    (tmp_path / "out.csv").unlink()
    split(photos, shares={"val": 0.25}, out=tmp_path / "out.csv")
    assert [*divided(read(photos), data).splits] == ["train", "val"]


def test_unreadable_pictures_are_named_and_divided(photos: Path, tmp_path: Path) -> None:
    (photos / "a/broken.png").write_bytes(b"no picture")
    result = split(photos, out=tmp_path / "out.csv")
    assert [line.split(":")[0] for line in result.unreadable] == ["a/broken.png"]
    assert "broken" in sides(photos, tmp_path / "out.csv")


@pytest.mark.slow
def test_pictures_with_boxes_and_with_masks(make_scenes: Callable[..., Any], tmp_path: Path) -> None:
    for masks, kind in ((False, coco), (True, mask_folder)):
        index = make_scenes(masks=masks)
        data = tmp_path / f"set{masks}"
        kind.write(index, data)
        file = tmp_path / f"{masks}.csv"
        result = split(data, shares={"val": 0.25, "test": 0.25}, out=file)
        again = read_splits(read(data), file)
        assert {name: len(held) for name, held in again.splits.items()} == result.splits
        assert result.splits["val"] >= 2
        for name, counts in result.classes.items():
            assert counts["train"] > 0, name
        assert sum(result.splits.values()) == len(index)


@pytest.fixture
def make_scenes() -> Callable[..., Any]:
    def make(*, masks: bool) -> Any:
        return scenes(with_splits(digits()), 0, {"train": 12, "val": 4}, masks=masks)

    return make


def test_a_recipe_takes_its_splits_from_the_file(photos: Path, tmp_path: Path) -> None:
    split(photos, shares={"val": 0.2, "test": 0.2}, out=tmp_path / "out.csv")
    index = divided(read(photos), DataConfig(path=str(photos), splits=str(tmp_path / "out.csv")))
    assert {Path(index.source.name(at)).stem for at in index.positions("val")} == {
        name for name, side in sides(photos, tmp_path / "out.csv").items() if side == "val"
    }
    assert index.notes[-1].startswith(f"The splits are those of {tmp_path}/out.csv: train ")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    (tmp_path / "none.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    with pytest.raises(DataError, match="says of no picture in which split it is"):
        divided(read(photos), DataConfig(splits=str(tmp_path / "none.csv")))
    (photos / "a/copy_0.png").unlink()
    with pytest.raises(DataError, match=r"of 76 pictures, 1 missing \(first: a/copy_0\.png\)"):
        divided(read(photos), DataConfig(splits=str(tmp_path / "out.csv")))


@pytest.mark.slow
def test_a_run_keeps_the_splits_of_the_file(squares: Path, tmp_path: Path, monkeypatch: Any) -> None:
    split(squares, shares={"val": 0.3, "test": 0.2}, seed=7, out=tmp_path / "out.csv")
    monkeypatch.chdir(tmp_path)
    training = {**QUICK["training"], "epochs": 1}
    quick = {**QUICK, "data": {**QUICK["data"], "splits": "out.csv"}, "training": training}
    result: TrainResult = train(squares, name="divided", out=tmp_path / "runs", **quick)
    assert (result.run / "splits.csv").read_text() == (tmp_path / "out.csv").read_text()
    assert f'splits = "{tmp_path}/out.csv"' in (result.run / "recipe.toml").read_text()
    counts = json.loads((result.run / "data.json").read_text())["pictures"]
    assert evaluate(result.run)["images"] == counts["test"]
    other = evaluate(result.run, DataConfig(path=str(squares), splits="out.csv"), split="val")
    assert (other["images"], other["data"]) == (counts["val"], str(squares))
