"""Explain: why a network said what it said of a picture, as numbers and as a picture."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from sightline.data.decode import decode_file
from sightline.errors import ConfigError, ImageError, InputError, UnknownNameError
from sightline.inference.explain import Cam, ClassMap, class_map, grad_cam
from sightline.inference.predictor import Predictor, load
from sightline.inference.proposals import Proposals, proposals
from sightline.report.explanation import draw_cam, draw_class_map
from sightline.report.proposals import draw_proposals
from sightline.training.runlog import Listener, Silence

Way = Literal["cam", "dense", "proposals"]
WAYS: dict[Way, str] = {"cam": "classification", "dense": "classification", "proposals": "detection"}
"""Way -> the task of the networks that are read so."""
Explanation = Cam | ClassMap | Proposals


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """One picture, explained in one way."""

    path: Path
    way: Way
    found: Explanation | None
    """None when the picture could not be read."""
    error: str | None = None
    """Why it could not be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainResult:
    """A row for each picture and way, in the order given."""

    class_names: tuple[str, ...]
    rows: list[Explained]


def explain(
    run: str | Path,
    paths: Sequence[str | Path],
    ways: Sequence[Way] = ("cam",),
    *,
    class_name: str | None = None,
    stage: str | None = None,
    size: int | None = None,
    listener: Listener | None = None,
) -> ExplainResult:
    """Ask a run (its best weights) or a weights file why it says what it says of the picture files `paths`.

    "cam" is Grad-CAM at `stage` (the last one when not given), "dense" the classifier moved over the picture whose shorter
    side is enlarged to `size` pixels (twice the side of training when not given). Both ask about the class `class_name`, or
    about the one that is predicted. "proposals" is how a detector comes to its detections. A picture that cannot be read has
    its reason in its row.

    Raises `ConfigError` for another way, `UnknownNameError` for a class or a stage that there is not, `InputError` for a
    network that cannot be read so.
    """
    listener = listener or Silence()
    _check(ways, class_name, stage, size)
    # In float32: a picture or two do not take long, and small differences between cells are what one wants to see.
    predictor = load(run, precision="float32")
    _check_task(predictor, ways)
    if class_name is not None and class_name not in predictor.class_names:
        raise UnknownNameError("class", class_name, predictor.class_names)
    label = None if class_name is None else predictor.class_names.index(class_name)
    rows = []
    for path in map(Path, paths):
        for way in ways:
            try:
                found = _found(predictor, path, way, label, stage, size)
                rows.append(Explained(path=path, way=way, found=found))
                if isinstance(found, Cam) and found.values.numel() == 1:
                    listener.say(
                        f"{path}: the map of {found.stage} is a single cell here; choose a finer stage to see where."
                    )
            except ImageError as error:
                listener.say(f"unreadable: {error}")
                rows.append(Explained(path=path, way=way, found=None, error=str(error)))
    return ExplainResult(class_names=predictor.class_names, rows=rows)


def picture_files(
    run: Path, paths: Sequence[Path], ways: Sequence[Way], out: Path | None = None, marks: Sequence[str] = ()
) -> list[Path]:
    """Where the pictures of `explain(run, paths, ways)` go: one PNG file for each row, no two alike.

    `out` is a folder, or a name ending in .png when there is one row. Without it they go to the run's pictures, or here
    when `run` is a weights file. `marks` are words that the names get besides, such as the class asked about.

    >>> picture_files(Path("runs/first"), [Path("a/cat 1.jpg")], ["cam"], marks=["Felis catus"])
    [PosixPath('runs/first/pictures/explain_cam_cat_1_Felis_catus.png')]

    Raises `InputError` for one name and several pictures.
    """
    if out is not None and out.suffix.lower() == ".png" and not out.is_dir():
        if len(paths) * len(ways) > 1:
            raise InputError(f"--out {out}: {len(paths) * len(ways)} pictures come of this. Name a folder for them.")
        return [out]
    folder = out or (Path() if run.is_file() else run / "pictures")
    stems = Counter(path.stem for path in paths)
    files: dict[Path, None] = {}
    for path in paths:
        name = path.stem if stems[path.stem] == 1 else f"{path.parent.name}_{path.stem}"
        for way in ways:
            words = "_".join(re.sub(r"[^\w.-]+", "_", word) for word in ("explain", way, name, *marks))
            numbered = (folder / f"{words}{'' if number == 1 else f'_{number}'}.png" for number in count(1))
            files[next(file for file in numbered if file not in files)] = None
    return list(files)


def draw_explanations(result: ExplainResult, files: Sequence[Path]) -> list[Path | None]:
    """Draw each row into its file; None for a row of a picture that could not be read. What is there is replaced.

    Raises `StorageError` when a file cannot be written.
    """
    written: list[Path | None] = []
    for row, file in zip(result.rows, files, strict=True):
        match row.found:
            case Cam():
                draw_cam(row.found, decode_file(row.path, str(row.path)), result.class_names, file)
            case ClassMap():
                draw_class_map(row.found, decode_file(row.path, str(row.path)), result.class_names, file)
            case Proposals():
                draw_proposals(row.found, decode_file(row.path, str(row.path)), result.class_names, file)
        written.append(file if row.found is not None else None)
    return written


def _found(
    predictor: Predictor, path: Path, way: Way, label: int | None, stage: str | None, size: int | None
) -> Explanation:
    if way == "cam":
        return grad_cam(predictor, path, label, stage)
    return class_map(predictor, path, label, size) if way == "dense" else proposals(predictor, path)


def _check(ways: Sequence[Way], class_name: str | None, stage: str | None, size: int | None) -> None:
    for way in ways:
        if way not in WAYS:
            raise ConfigError(f"ways are {', '.join(WAYS)}, got {way!r}")
    if class_name is not None and "cam" not in ways and "dense" not in ways:
        raise ConfigError("A class is what cam and dense ask about, and neither is asked for.")
    if stage is not None and "cam" not in ways:
        raise ConfigError("A stage says where Grad-CAM looks, which is not asked for.")
    if size is not None and "dense" not in ways:
        raise ConfigError("A size is that of the picture for the dense map, which is not asked for.")


def _check_task(predictor: Predictor, ways: Sequence[Way]) -> None:
    """Raise `InputError` when a way is not for this network."""
    name, task = predictor.header.architecture, predictor.task.name
    for way in ways:
        if WAYS[way] != task:
            kind = "classifiers" if WAYS[way] == "classification" else "detectors"
            instead = " or ".join(f"--{other}" for other, its in WAYS.items() if its == task)
            raise InputError(
                f"--{way} is for {kind}, and {name} was trained for {task}." + (f" Use {instead}." if instead else "")
            )
