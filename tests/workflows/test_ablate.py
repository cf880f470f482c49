"""A comparison from one call: trained, stopped, gone on with, measured."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.config import compose
from sightline.errors import ConfigError, DataError
from sightline.workflows.ablate import AblateResult, ablate
from sightline.workflows.evaluate import evaluate
from tests.workflows.discs import Lines

SECTIONS: dict[str, Any] = {
    "model": {"name": "unet", "arguments": {"width": 4}},
    "training": {"epochs": 1, "batch_size": 4, "precision": "float32"},
    "data": {"image_size": 32, "workers": 0, "passes": 2},
    "optimizer": {"lr": 0.01},
}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright discs and their masks."""
    root, generator = tmp_path_factory.mktemp("data") / "cells", np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 2), ("test", 5)):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for number in range(count):
            y, x = generator.integers(10, 30, 2)
            rows, columns = np.ogrid[:40, :40]
            inside = (rows - y) ** 2 + (columns - x) ** 2 <= 64
            picture = generator.integers(0, 90, (40, 40, 3), dtype=np.uint8)
            picture[inside] += 120
            Image.fromarray(picture).save(root / split / "images" / f"{number}.png")
            Image.fromarray((inside * 255).astype(np.uint8)).save(root / split / "masks" / f"{number}.png")
    return root


def base(data: Path, **sections: Any) -> Any:
    return compose([("test", {**SECTIONS, **sections, "data": {**SECTIONS["data"], "path": str(data)}})])


@pytest.fixture(scope="module")
def done(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[AblateResult, list[str]]:
    """Stopped by a crash in its third training, then gone on with."""
    out = tmp_path_factory.mktemp("runs")

    class Crash(Lines):
        def progress(self, progress: Any) -> None:
            if sum(line.startswith("[") for line in self.said) == 3:
                raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        ablate(base(cells), "skip=concat,none", seeds=2, name="skip", out=out, listener=Crash())
    lines = Lines()
    return ablate(base(cells), "skip=concat,none", seeds=2, name="skip", out=out, listener=lines), lines.said


@pytest.mark.slow
def test_variants_are_compared_in_their_figures(done) -> None:
    result, _ = done
    assert result.finished
    found = result.comparison
    assert (found.key, found.split, found.pictures, found.seeds) == ("skip", "test", 5, 2)
    assert found.metrics == ("mIoU", "dice")
    concat, none = found.variants
    assert (concat.value, none.value, concat.differences) == ("concat", "none", {})
    assert [run.name for run in none.runs] == ["skip=none-seed0", "skip=none-seed1"]
    assert all(seconds > 0 for seconds in none.seconds)
    measured = evaluate(none.runs[1])
    assert none.figures["mIoU"][1] == pytest.approx(measured["mIoU"], abs=1e-9)
    assert none.figures["dice"][1] == pytest.approx(measured["dice"], abs=1e-9)
    for name in found.metrics:
        pairs = np.array(none.figures[name]) - np.array(concat.figures[name])
        difference = none.differences[name]
        assert difference.mean == pytest.approx(pairs.mean())
        assert difference.low <= difference.mean <= difference.high
        assert none.means[name] == pytest.approx(np.mean(none.figures[name]))
    assert found.sentences[0].startswith("none - concat: ")
    assert "mIoU over 2 seeds and 5 pictures; the interval " in found.sentences[0]


@pytest.mark.slow
def test_the_result_is_written_beside_the_runs(done) -> None:
    result, _ = done
    kept = json.loads((result.folder / "ablation.json").read_text())
    assert kept["comparison"]["variants"][1]["means"] == result.comparison.variants[1].means
    assert kept["comparison"]["sentences"] == list(result.comparison.sentences)
    assert (result.folder / "skip=none-seed1" / "weights" / "best.safetensors").is_file()


@pytest.mark.slow
def test_what_is_trained_is_not_trained_again(done) -> None:
    _, said = done
    steps = [line.partition(": ")[2] for line in said if line.startswith("[")]
    assert [line.endswith("trained already") for line in steps] == [True, True, False, False]
    assert steps[2].startswith("going on with ")
    assert steps[3].endswith("skip=none-seed1")


@pytest.mark.slow
def test_going_on_with_another_recipe_is_refused(done, cells: Path) -> None:
    out = done[0].folder.parent
    with pytest.raises(ConfigError, match=r"skip=concat-seed0 was begun with another recipe: training.epochs 1, now 2"):
        ablate(
            base(cells, training={**SECTIONS["training"], "epochs": 2}),
            "skip=concat,none",
            seeds=2,
            name="skip",
            out=out,
        )
    with pytest.raises(ConfigError, match="is a run, not a folder of runs"):
        ablate(base(cells), "skip=concat,none", name="skip=none-seed0", out=out / "skip")


@pytest.mark.slow
def test_one_seed_says_what_it_cannot_say(done, cells: Path) -> None:
    out = done[0].folder.parent
    (found,) = [ablate(base(cells), "skip=none,concat", seeds=1, split="val", name="skip", out=out).comparison]
    assert (found.split, found.seeds) == ("val", 1)
    assert found.sentences[0].startswith("concat - none: ")
    assert "over 1 seed and 2 pictures" in found.sentences[0]
    assert "with one seed it says nothing of the luck of the seed" in found.sentences[0]


@pytest.mark.slow
def test_runs_of_other_data_are_not_compared(done, cells: Path) -> None:
    result, _ = done
    splits = result.folder / "skip=none-seed1" / "splits.csv"
    before = splits.read_text()
    splits.write_text(before.replace("val", "train"))
    try:
        with pytest.raises(DataError, match=r"skip=none-seed1 was trained on other data.* than .*skip=concat-seed0"):
            ablate(base(cells), "skip=concat,none", seeds=2, name="skip", out=result.folder.parent)
    finally:
        splits.write_text(before)


@pytest.mark.parametrize(
    ("over", "others", "kind", "said"),
    [
        ("skip=concat,nothing", {}, ConfigError, r"--over skip=nothing: .*'nothing'.*concat"),
        ("colour=red,blue", {}, ConfigError, r"--over colour=red: unet does not take the argument 'colour'"),
        ("backbone=resnet18,resnet17", {}, ConfigError, r"--over backbone=resnet17: .*resnet17"),
        ("skip=concat,none", {"seeds": 0}, ConfigError, r"--seeds: expected 1 or more, got 0"),
        ("skip=concat,none", {"split": "tests"}, DataError, r"no pictures in the split 'tests'; there is train"),
        ("skip=concat,none", {"name": "a/b"}, ConfigError, r"--name a/b: expected a plain folder name"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_trained(over, others, kind, said, cells, tmp_path) -> None:
    with pytest.raises(kind, match=said):
        ablate(base(cells), over, out=tmp_path / "runs", **others)
    assert not (tmp_path / "runs").exists()
