"""Write a reference page for each family of networks, with drawings, from the networks themselves: `make docs`.

A family is a file in `sightline/models/`; what its page says of the paper is that file's docstring. The pages are kept in
the repository; a test compares them with what the code gives.
"""

import inspect
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from sightline.models import BACKBONES, DETECTORS, SEGMENTERS
from sightline.models.faster_rcnn import FasterRCNN
from sightline.models.weights import PUBLISHED
from sightline.report.summary import Row, grouped
from sightline.workflows.describe import Description, describe, drawing

FOLDER = Path(__file__).parent / "reference" / "architectures"
CODE = "../../../sightline/models"
# Of each family: what is drawn and listed, and what the reader is told to train; else its first network.
SHOWN = {
    "alexnet": ("alexnet_2012", "alexnet"),
    "vgg": ("vgg16",),
    "googlenet": ("googlenet_2014",),
    "resnet": ("resnet34", "resnet50", "resnet152"),
    "unet": ("unet_2015", "unet"),
    "faster_rcnn": (),
}
TRAINED = {"vgg": "vgg16_bn", "resnet": "resnet18", "unet": "unet"}
# Of detectors there is no drawing: the title of each table, and what `describe` takes for it.
ON_VGG: dict[str, Any] = {"num_classes": 20, "arguments": {"backbone": "vgg16"}}
DETECTORS_LISTED: dict[str, tuple[str, dict[str, Any]]] = {
    "faster_rcnn on VGG-16, for the 20 classes of PASCAL VOC": ("faster_rcnn", ON_VGG),
    "fasterrcnn_resnet50_fpn": ("fasterrcnn_resnet50_fpn", {}),
}
STEPS = """
1. `Features`: the classifier makes its map of the picture, or several and the pyramid over them.
2. `RegionProposalNetwork.anchors`: around each cell lie reference boxes, all combinations of sizes and ratios (section 3.1.1).
3. `ProposalHead`: for each of them, how likely there is an object, and by how much x, y, width and height are to change (section 3.1).
4. `RegionProposalNetwork.propose`: the likeliest are changed so and cut at the picture's edge; of those that overlap, the best stays
   (section 3.3).
5. `RegionHeads`: what the map holds in each region becomes 7 x 7 cells, and those a class, background among them, and an offset for each
   class (Girshick 2015, section 2).
6. `FasterRCNN.detections`: regions are moved by the offsets; of those of one class that overlap, the best stays.

In training a few reference boxes and a few regions are drawn, on objects and beside them, and the losses look at those alone (sections
3.1.2 and 3.1.3; Girshick 2015, section 2.3). `sightline explain RUN IMAGE --proposals` draws the steps on a picture, see
[explain](../../how-to/explain.md).
"""
_HEAD = "*Made from the code by `make docs`.*"


def families() -> dict[str, tuple[ModuleType, list[str]]]:
    """The file of each family and the networks in it, in the order of the table of networks."""
    found: dict[str, tuple[ModuleType, list[str]]] = {}
    for name, builder in (BACKBONES | SEGMENTERS).items():
        module = inspect.getmodule(builder.func if isinstance(builder, partial) else builder)
        assert module is not None
        found.setdefault(module.__name__.rpartition(".")[2], (module, []))[1].append(name)
    module = inspect.getmodule(FasterRCNN)
    assert module is not None
    return {**found, "faster_rcnn": (module, list(DETECTORS))}


def pages(family: str) -> dict[str, str]:
    """The page of a family and its drawings, by file name."""
    module, names = families()[family]
    shown = SHOWN.get(family, names[:1])
    written = {f"{name}.svg": drawing(described(name)) for name in shown}
    text = detector_page(module, names) if family == "faster_rcnn" else page(family, module, names)
    return {f"{family}.md": text, **written}


def overview() -> dict[str, str]:
    """The page that lists the families."""
    lines = ["# Architectures", "", _HEAD, ""]
    lines += [
        "The networks that `sightline models` lists, by family. Parameters and multiply-adds are those of one image and 1000 classes,"
    ]
    lines += ["of detectors 90, of segmenters 2; `sightline describe MODEL` counts them for others.", ""]
    for family, (module, names) in families().items():
        title, paper, _, _ = told(module)
        lines += [f"## [{title}]({family}.md)", "", paper, "", *_sizes(names)]
    return {"README.md": "\n".join(lines)}


def page(family: str, module: ModuleType, names: list[str]) -> str:
    """What the paper did, the sizes, figures with their tables, the differences from the paper, and how to train one."""
    title, paper, text, differences = told(module)
    shown = SHOWN.get(family, names[:1])
    trained = TRAINED.get(family, shown[0])
    lines = [f"# {title}", "", _HEAD, "", paper, "", *text, f"The code: [`{family}.py`]({CODE}/{family}.py).", ""]
    lines += ["## Sizes", "", *_sizes(names)]
    for name in shown:
        lines += [f"## {name}", "", f"![The layers of {name}, from the images to the logits]({name}.svg)", ""]
        lines += _layers(described(name))
    lines += ["## Differences from the paper", "", *differences, "## Train one", ""]
    lines += _training_masks(trained) if trained in SEGMENTERS else _training_digits(trained)
    return "\n".join(lines)


def detector_page(module: ModuleType, names: list[str]) -> str:
    """What the paper did, the sizes, tables of two detectors, the differences from the paper, and how to train one."""
    title, paper, text, differences = told(module)
    lines = [f"# {title}", "", _HEAD, "", paper, "", *text]
    lines += [f"The code: [`faster_rcnn.py`]({CODE}/faster_rcnn.py), with the pyramid in [`fpn.py`]({CODE}/fpn.py)."]
    lines += [
        "What can be set, with the values of the papers: [the keys of a recipe](../recipe.md#modelargumentsproposing).",
        "",
    ]
    lines += ["## Sizes", "", *_sizes(names)]
    lines += ["## What it does, in the order of the paper", "", *STEPS.strip().splitlines(), ""]
    for shown, (name, given) in DETECTORS_LISTED.items():
        lines += [f"## {shown}", "", *_layers(described(name) if not given else describe(name, **given))]
    lines += ["## Differences from the paper", "", *differences, "## Train one", ""]
    lines += [
        "On the sample data, photographs with scikit-learn's handwritten digits, and the boxes of the digits:",
        "",
        "```sh",
    ]
    lines += [
        "sightline sample scenes",
        f"sightline train scenes --model {names[0]} --backbone resnet18 --neck fpn",
        "```",
        "",
    ]
    lines += [
        "The same network without a pyramid, as in the paper, on any classifier; and what it is made of:",
        "",
        "```sh",
    ]
    lines += [f"sightline train scenes --model {names[0]} --backbone vgg11"]
    return "\n".join(
        [*lines, f"sightline describe {names[0]} --set backbone=vgg11 --image-size 128 --num-classes 10", "```", ""]
    )


def _training_digits(name: str) -> list[str]:
    return [
        *["On the sample data, scikit-learn's handwritten digits:", "", "```sh", "sightline sample digits"],
        *[f"sightline train digits --model {name}", "```", ""],
        "The digits have 32 pixels, so the network is built with its stem for small images. Its layers and a drawing:",
        *["", "```sh"],
        f"sightline describe {name} --image-size 32 --num-classes 10 --set stem=small --out {name}_small.svg",
        *["```", ""],
    ]


def _training_masks(name: str) -> list[str]:
    return [
        "On the sample data, photographs with scikit-learn's handwritten digits, and the masks of the digits:",
        *["", "```sh", "sightline sample masks", f"sightline train masks --model {name}", "```", ""],
        "It learns from windows of 128 pixels. The same network with a classifier in its contracting path, and a drawing of it:",
        *["", "```sh", f"sightline train masks --model {name} --backbone resnet18"],
        f"sightline describe {name} --image-size 128 --set backbone=resnet18 --out {name}_resnet18.svg",
        *["```", ""],
    ]


@cache
def described(name: str) -> Description:
    """A network at its usual size, a classifier with 1000 classes, a detector with 90 and a segmenter with 2."""
    return describe(name)


def told(module: ModuleType) -> tuple[str, str, list[str], list[str]]:
    """Of the docstring of a file: the name of the network, its paper, what is said of it, and the differences from the paper."""
    first, *paragraphs = (inspect.getdoc(module) or "").split("\n\n")
    title, _, paper = first.partition(": ")
    differing = [text for text in paragraphs if "depart" in text.partition(":")[0]]
    others = [text for text in paragraphs if text not in differing and not text.startswith("Shape letters")]
    assert differing, f"{module.__name__} does not say where it departs from the paper"
    return title, paper, _paragraphs(others), _paragraphs(differing)


def _paragraphs(texts: list[str]) -> list[str]:
    """Lines of Markdown; a list begins after an empty line."""
    return [line for text in texts for line in (*text.replace(":\n- ", ":\n\n- ", 1).splitlines(), "")]


def _sizes(names: list[str]) -> list[str]:
    rows = []
    for name in names:
        description = described(name)
        architecture, size = description.architecture, description.image_size
        published = [f"{version} ({_score(weights.reported)})" for version, weights in PUBLISHED.get(name, {}).items()]
        parameters = f"{architecture.parameters():,}"
        if extra := architecture.parameters(auxiliary=True):
            parameters += f" (and {extra:,} in training)"
        costs = f"{parameters} | {architecture.multiply_adds():,} | {size} x {size}"
        rows.append(f"| `{name}` | {costs} | {', '.join(published)} |")
    score = "AP" if names[0] in DETECTORS else "top-1"
    head = [f"| name | parameters | multiply-adds | pixels | published weights ({score}) |", "|---|---:|---:|---|---|"]
    note = (
        "`faster_rcnn` stands on ResNet-50 here, without a neck. Multiply-adds are those with one region in the head."
    )
    return [*head, *rows, "", *([note, ""] if names[0] in DETECTORS else [])]


def _score(reported: Mapping[str, float]) -> str:
    return f"{reported['AP']:.1f}" if "AP" in reported else f"{reported['top1']:.2f} %"


def _layers(description: Description) -> list[str]:
    rows = grouped(description.architecture)
    lines = ["| name | layers | output | parameters | multiply-adds |", "|---|---|---|---:|---:|"]
    lines += [_line(row) for row in rows if not row.auxiliary]
    architecture = description.architecture
    lines.append(f"| **total** | | | **{architecture.parameters():,}** | **{architecture.multiply_adds():,}** |")
    lines += [_line(row) for row in rows if row.auxiliary]
    notes = {
        " > ": "`>` leads to the next layer.",
        " | ": "`|` stands between branches that are concatenated.",
        " + ": "`+` stands between branches that are added; `input` is what the block was given, unchanged.",
    }
    said = [note for sign, note in notes.items() if any(sign in row.what for row in rows)]
    if architecture.parameters(auxiliary=True):
        said.append("Below the total: what helps in training alone.")
    if any("(stage" in row.what for row in rows):
        said.append("`stage` is a map of the contracting path, by name.")
    said += description.remarks()
    return [*lines, "", *([" ".join(said), ""] if said else [])]


def _line(row: Row) -> str:
    costs = " | ".join(f"{number:,}" if number else "" for number in (row.parameters, row.multiply_adds))
    what = row.what.replace("|", "\\|")
    return f"| `{row.name}` | {what} | {row.output} | {costs} |"


def main() -> None:
    """Write every page and every drawing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for files in (overview(), *map(pages, families())):
        for name, text in files.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
            print(f"wrote {FOLDER / name}")


if __name__ == "__main__":
    main()
