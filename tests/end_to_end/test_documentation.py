"""The commands of the pages for newcomers work as they are written, one after the other."""

import re
from pathlib import Path

import pytest

from sightline.cli.main import main
from sightline.data import samples

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/getting-started.md"]
PAGES += [f"docs/how-to/{page}.md" for page in ("explain", "detect", "ablate", "convert-and-split", "shards")]

# As written, but one epoch on fewer pixels: the page is tested, not the network.
QUICK = [
    "--epochs",
    "1",
    "--set",
    "data.image_size=16",
    "--set",
    "model.arguments.stem=imagenet",
    "--set",
    "training.precision=float32",
]
# A detector, narrower too, on a few scenes.
QUICK_DETECTOR = ["--set", "data.image_size=64"]
QUICK_DETECTOR += [
    "--set",
    'model.arguments.stages=["c2"]',
    "--set",
    "model.arguments.width=16",
    "--set",
    "model.arguments.hidden=32",
]
SCENES = {"train": 8, "val": 2, "test": 3}


def commands(page: str) -> list[str]:
    """Lines of the ```sh blocks, `make` apart: that would run this test again."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("make ")]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one_of_ours(page) -> None:
    assert len(commands(page)) >= 4
    assert all(line.startswith("sightline ") for line in commands(page)), commands(page)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_that_do_no_work_can_be_parsed(page, capsys) -> None:
    """`--help` after the words of a command checks the verb and that the page names no option that is not there."""
    for line in commands(page):
        words = line.split()[1:]
        assert main([words[0], "--help"] if not words[0].startswith("-") else words) == 0
        shown = capsys.readouterr().out
        assert all(word in shown for word in words if word.startswith("--")), line


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_the_page_work(page, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(samples, "SCENES", SCENES)
    monkeypatch.setattr(samples.write_scenes, "__defaults__", (0, SCENES))
    for line in commands(page):
        words = line.split()[1:]
        if words[0] in ("train", "ablate") and "--help" not in words:
            words += [*QUICK[:2], *QUICK[-2:], *QUICK_DETECTOR] if "faster_rcnn" in words else QUICK
            words += ["--seeds", "2"] if words[0] == "ablate" else []
        assert main(words) == 0, f"{line}\n{capsys.readouterr().err}"
        assert capsys.readouterr().out
        if words[:2] == [
            "sample",
            "digits",
        ]:  # a quarter is enough to train on and to measure, with the one that pages name
            for number, path in enumerate(sorted(Path("digits").rglob("*.png"))):
                if number % 4 and path.name != "000094.png":
                    path.unlink()


@pytest.mark.parametrize(
    "path", sorted(p.relative_to(ROOT) for p in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]), ids=str
)
def test_links_between_pages_lead_somewhere(path) -> None:
    text = (ROOT / path).read_text()
    targets = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    missing = [target for target in targets if not (ROOT / path).parent.joinpath(target).exists()]
    assert not missing
