"""What a check found, in the words that the screen and the page share. `result` is what `sightline.workflows.check` gives."""

from collections.abc import Iterator, Mapping
from typing import Any

from sightline.data.counted import counted
from sightline.data.findings import sentence as told

CLASSES_SHOWN = 20
"""Rows of the table of classes; of more, the numbers are summed up."""

Result = Mapping[str, Any]


def headline(result: Result) -> str:
    """What the data set is."""
    if "format" not in result:
        return f"{result['data']}: it cannot be read"
    classes = counted(len(result["class_names"]), "class", "classes")
    return (
        f"{result['data']}: {result['format']}, {result['task']}, {classes}, {counted(result['pictures'], 'picture')}"
    )


def verdict(result: Result) -> str:
    """How much was found."""
    return f"{counted(result['errors'], 'error')}, {counted(result['warnings'], 'warning')}"


def counts(result: Result) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of splits and classes; classes are counted in pictures, boxes, or shares of pixels."""
    splits, names = list(result["splits"]), result["class_names"]
    rows = [["pictures", *(f"{count:,}" for count in result["splits"].values())]]
    held = [result["classes"][split] for split in splits]
    if "masks" in result:
        rows.append(["pixels", *("" for _ in splits)])
        shares = [result["masks"]["shares"][split] for split in splits]
        cells = {name: [f"{of.get(name, 0):.2%}" for of in shares] for name in names}
    else:
        if "boxes" in result:
            rows.append(["boxes", *(f"{sum(of.values()):,}" for of in held)])
        cells = {name: [f"{of[name]:,}" for of in held] for name in names}
    if len(names) <= CLASSES_SHOWN:
        return ["", *splits], [*rows, *([f"  {name}", *row] for name, row in cells.items())]
    ordered = [sorted(of.values()) for of in held]
    places = {"in a class, least": 0, "median": len(names) // 2, "most": -1}
    return ["", *splits], [*rows, *([f"  {n}", *(f"{of[at]:,}" for of in ordered)] for n, at in places.items())]


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """A name and a line about sizes, boxes, and how pictures are kept."""
    sizes = result["sizes"]
    if sizes["different"] == 1:
        (only,) = sizes["usual"]
        yield "sizes", f"all {only['width']} x {only['height']}"
    elif sizes["different"]:
        usual = sizes["usual"][0]
        most = f"{usual['pictures']:,} are {usual['width']} x {usual['height']}"
        yield "sizes", f"width {_spread(sizes['width'])}, height {_spread(sizes['height'])}"
        yield "", f"{sizes['different']:,} different ones; {most}"
    if result["kept_as"]:
        yield "kept as", ", ".join(f"{kind} ({count:,})" for kind, count in result["kept_as"].items())
    if "boxes" in result:
        yield from _boxes(result["boxes"])
    if "masks" in result and result["masks"]["ignored"]:
        yield "ignored", f"{result['masks']['ignored']:.2%} of the pixels"


def sentence(finding: Mapping[str, Any]) -> str:
    """Where and what, in one line."""
    return told(" ".join(finding["where"].split()), " ".join(finding["what"].split()))


def _boxes(boxes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    crowds = [counted(boxes["crowds"], "crowd")] if boxes["crowds"] else []
    special = [*crowds, *([f"{boxes['difficult']:,} difficult"] if boxes["difficult"] else [])]
    among = f" ({', '.join(special)})" if special else ""
    yield "boxes", f"{boxes['boxes']:,}{among}; in a picture {_spread(boxes['in_a_picture'])}"
    if boxes["boxes"]:
        yield "box sizes", f"width {_spread(boxes['width'])}, height {_spread(boxes['height'])}"
        shares = _spread(boxes["share_of_picture"], percent=True)
        yield "box shapes", f"width to height {_spread(boxes['width_to_height'])}; share of the picture {shares}"


def _spread(values: Mapping[str, float] | None, *, percent: bool = False) -> str:
    """Least, largest and median."""
    if values is None:
        return "-"
    least, median, most = (_number(values[key], percent) for key in ("min", "median", "max"))
    return f"{least} to {most} (median {median})" if least != most else f"{least} always"


def _number(value: float, percent: bool) -> str:
    if percent:
        return f"{value:.2%}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
