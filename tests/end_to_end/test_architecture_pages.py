"""The pages of the networks are what the code makes, and their commands work."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from sightline.cli.main import main
from sightline.config import compose
from sightline.data.checks import check
from sightline.data.formats import read
from sightline.data.samples import digits, write_scenes
from sightline.data.splits import with_splits
from sightline.models import BACKBONES, DETECTORS, SEGMENTERS
from sightline.workflows.plan import complete

ROOT = Path(__file__).parents[2]


def _pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_architectures", ROOT / "docs" / "make_architectures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


written = _pages()
# All networks are traced for these: seconds.
every_family = pytest.mark.parametrize(
    "family",
    [
        family if family in ("alexnet", "unet") else pytest.param(family, marks=pytest.mark.slow)
        for family in written.families()
    ],
)


@pytest.mark.slow
def test_the_commands_for_masks_fit_each_other_and_work(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    sample, train, again, describe = commands("unet")
    assert (sample, train) == (["sample", "masks"], ["train", "masks", "--model", "unet"])
    assert again == [*train, "--backbone", "resnet18"]
    assert describe[:2] == ["describe", "unet"]
    told = {name: describe[describe.index(name) + 1] for name in ("--image-size", "--set", "--out")}
    assert told["--set"] == "backbone=resnet18"
    write_scenes(tmp_path / "masks", counts={"train": 3, "val": 1, "test": 1}, masks=True)
    index = read(tmp_path / "masks")
    model = {"name": "unet", "arguments": {"backbone": "resnet18"}}
    recipe = {"model": model, "data": {"path": "masks"}, "training": {"precision": "float32"}, "task": "segmentation"}
    _, windows, _ = complete(compose([("train", recipe)]), index, check(index))
    assert told["--image-size"] == str(windows.side)
    assert len(index.class_names) == 2  # as many as `describe` takes
    assert main(describe) == 0, capsys.readouterr().err
    assert (tmp_path / told["--out"]).read_text().startswith("<svg ")


@pytest.mark.slow
def test_the_commands_for_boxes_fit_each_other_and_work(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    sample, train, single, describe = commands("faster_rcnn")
    assert sample == ["sample", "scenes"]
    assert train[:4] == single[:4] == ["train", "scenes", "--model", "faster_rcnn"]
    write_scenes(tmp_path / "scenes", counts={"train": 3, "val": 1, "test": 1})
    index = read(tmp_path / "scenes")
    for command in (train, single):
        arguments = {
            name: command[command.index(f"--{name}") + 1] for name in ("backbone", "neck") if f"--{name}" in command
        }
        recipe = {"model": {"name": "faster_rcnn", "arguments": arguments}, "data": {"path": "scenes"}}
        planned, shape, _ = complete(compose([("train", {**recipe, "task": "detection"})]), index, check(index))
        assert planned.model.arguments["proposing"]["sizes"]
    assert describe[describe.index("--set") + 1] == f"backbone={planned.model.arguments['backbone']}"
    assert describe[describe.index("--image-size") + 1] == str(shape.shorter)
    assert main(describe) == 0, capsys.readouterr().err


def test_the_page_of_the_detector_has_the_figures_of_the_papers_form() -> None:
    module, _ = written.families()["faster_rcnn"]
    page = (written.FOLDER / "faster_rcnn.md").read_text()
    assert "| **total** | | | **137,073,622** |" in page  # VGG-16, 21 classes, one objectness logit
    assert "coco-v1 (37.0)" in page
    for part in re.findall(r"^\d\. `(\w+)(?:\.(\w+))?`", page, re.MULTILINE):
        owner = getattr(module, part[0])
        assert not part[1] or callable(getattr(owner, part[1]))


@every_family
def test_a_page_and_its_drawings_are_what_the_code_gives(family) -> None:
    for name, text in written.pages(family).items():
        assert (written.FOLDER / name).read_text() == text, f"{name} is out of date: make docs"


@pytest.mark.slow
def test_the_list_of_families_is_what_the_code_gives() -> None:
    assert {"README.md": (written.FOLDER / "README.md").read_text()} == written.overview(), "out of date: make docs"


def test_no_page_and_no_drawing_is_left_over() -> None:
    families = written.families()
    shown = [name for family, (_, names) in families.items() for name in written.SHOWN.get(family, names[:1])]
    expected = {"README.md", *(f"{family}.md" for family in families), *(f"{name}.svg" for name in shown)}
    assert {path.name for path in written.FOLDER.iterdir()} == expected
    assert sum(path.stat().st_size for path in written.FOLDER.iterdir()) < 500_000


def test_every_network_has_its_family() -> None:
    names = [name for _, names in written.families().values() for name in names]
    assert sorted(names) == sorted([*BACKBONES, *DETECTORS, *SEGMENTERS])


@pytest.mark.parametrize("family", written.families())
def test_the_page_says_where_the_network_departs_from_its_paper(family) -> None:
    module, _ = written.families()[family]
    title, paper, _, differences = written.told(module)
    page = (written.FOLDER / f"{family}.md").read_text()
    assert page.startswith(f"# {title}\n")
    assert paper in page
    assert "\n".join(differences) in page.partition("## Differences from the paper")[2]
    assert sum(line.startswith("- ") for line in differences) >= 1
    assert "Shape letters" not in page
    said = [*(line for line in (module.__doc__ or "").splitlines() if line.startswith("- "))]
    assert all(line in page for line in said)


def commands(family: str) -> list[list[str]]:
    (*_, first, second) = re.findall(r"```sh\n(.*?)```", (written.FOLDER / f"{family}.md").read_text(), re.DOTALL)
    return [line.split()[1:] for line in (first + second).splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in written.families() if family not in ("unet", "faster_rcnn")])
def test_the_commands_of_a_page_fit_each_other_and_work(family, tmp_path, monkeypatch, capsys) -> None:
    """What `train` would build for the sample data is what `describe` is told to build; so it takes such pictures."""
    monkeypatch.chdir(tmp_path)
    sample, train, describe = commands(family)
    assert sample == ["sample", "digits"]
    assert train[:3] == ["train", "digits", "--model"]
    assert describe[:2] == ["describe", train[3]]
    index = with_splits(digits(), 0)
    recipe = {"model": {"name": train[3]}, "data": {"path": "digits"}, "training": {"precision": "float32"}}
    planned, preprocessing, _ = complete(compose([("train", recipe)]), index, check(index))
    told = {name: describe[describe.index(name) + 1] for name in ("--image-size", "--num-classes", "--set", "--out")}
    assert told["--image-size"] == str(preprocessing.crop)
    assert told["--num-classes"] == str(len(index.class_names))
    assert told["--set"] == f"stem={planned.model.arguments['stem']}"
    assert main(describe) == 0, capsys.readouterr().err
    assert (tmp_path / told["--out"]).read_text().startswith("<svg ")
