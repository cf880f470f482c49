"""The YAML file of a YOLO data set: class names, and where the pictures of each split are.

    path: .                     the data set's folder, seen from this file; this file's own folder when there is no such path
    train: images/train         a folder, a text file that lists pictures, or several of them
    val: images/val
    names: [cat, dog]           or {0: cat, 1: dog}

Every value is taken as the text that is there: a class called `no` is not a truth value. Other keys are not read, but for `nc` and
`kpt_shape`, which says how many numbers of key points follow a box.
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

import yaml

from sightline.data.formats.elsewhere import folder_elsewhere, slashes
from sightline.data.formats.pictures import below, start_of, text_of
from sightline.data.index import SPLIT_ALIASES
from sightline.errors import DataError

ENDINGS = (".yaml", ".yml")
_READ = {"path", "names", "nc", *SPLIT_ALIASES}
_LOOKS_RIGHT = re.compile(
    r"^(names|nc)\s*:.*^(path|train|val|test)\s*:|^(path|train|val|test)\s*:.*^(names|nc)\s*:", re.M | re.S
)
_OUTSIDE = re.compile(r"/|[A-Za-z]:/|\.\./")
"""How paths begin that are not below the folder that they are seen from."""


class Config(NamedTuple):
    """What is known of a data set before its label files are read."""

    root: Path
    """The data set's folder."""
    shown: str = ""
    """Name of the YAML file; empty when there is none."""
    names: dict[int, str] | None = None
    """Class number in the label files -> name; None when no file says so."""
    sources: dict[str, list[Path]] | None = None
    """Split -> folders with pictures, or text files that list them."""
    key_points: int = 0
    """Numbers that follow a box."""
    notes: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()
    """A line, and its kind of finding, for what is wrong with where the splits are."""
    unread: tuple[str, ...] = ()
    """Keys that say nothing of classes, pictures and boxes."""


def is_config(path: Path) -> bool:
    """Whether a file is YAML that describes a data set: it has the names of classes, and where something is."""
    if path.suffix.lower() not in ENDINGS or not path.is_file():
        return False
    return _LOOKS_RIGHT.search(start_of(path, 2**20).decode(errors="replace")) is not None


def read_config(path: Path) -> Config:
    """What a YAML file says; raises `DataError` with file and line."""
    keys = _mapping(path, _root_node(path))
    notes: list[str] = []
    names = _names(path, keys, notes)
    given = _text(path, keys, "path")
    bases = [base for base in dict.fromkeys((path.parent / slashes(given), path.parent)) if base.is_dir()]
    sources: dict[str, list[Path]] = {}
    faults: list[tuple[str, str]] = []
    given_as: dict[Path, tuple[str, int]] = {}
    values = [slashes(value) for key in SPLIT_ALIASES for value, _ in _texts(path, keys, key)]
    outside = (value for value in values if _OUTSIDE.match(value) and not (bases[0] / value).exists())
    elsewhere = folder_elsewhere(outside, bases)
    for key, split in SPLIT_ALIASES.items():
        for value, line in _texts(path, keys, key):
            place = f"{path.name} line {line}"
            source = _found(bases, value, place, notes, elsewhere)
            if source in given_as:
                faults.append((_shared(place, value, split, *given_as[source]), "shared folder"))
            elif source is not None:
                given_as[source] = split, line
                sources.setdefault(split, []).append(source)
            elif split == "test":
                notes.append(f"{place}: there is no {value}; the data set has no test split.")
            else:
                nowhere = f"there is no {value}, below {' or '.join(map(str, bases))}"
                if split == "train":
                    raise DataError(f"{path} line {line}: {nowhere}. Write where the pictures are.")
                left_out = f"{place}: {nowhere}; it is left out. Write where it is, or take the line out."
                faults.append((left_out, "missing split"))
    shape = [int(number) for number, _ in _texts(path, keys, "kpt_shape") if number.isdecimal()]
    key_points = math.prod(shape) if shape else 0
    return Config(
        bases[0].resolve(),
        path.name,
        names,
        sources or None,
        key_points,
        tuple(notes),
        tuple(faults),
        tuple(key for key in keys if key not in _READ),
    )


def read_names(path: Path) -> tuple[dict[int, str], int | None]:
    """The names of classes in any YAML file, under `names` or `classes`, by number, and the number under `ignore`; none where missing.

    Raises `DataError` with file and line.
    """
    keys = _mapping(path, _root_node(path))
    ignored = _text(path, keys, "ignore")
    if ignored and not ignored.isdecimal():
        raise DataError(f"{path}: expected a number as ignore, got {ignored!r}.")
    names = _names(path, keys, [], "names") or _names(path, keys, [], "classes")
    return names or {}, int(ignored) if ignored else None


def _root_node(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(text_of(path), Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataError(
            f"{path} line {line}: this is no YAML ({error.problem}). Mend it there, or in the lines before."
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} is no YAML ({' '.join(str(error).split())}).") from error


def _mapping(path: Path, node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1 if node else 1
        raise DataError(f"{path} line {line}: expected keys with values, such as names: [cat, dog].")
    keys: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        if name in keys:
            raise DataError(f"{path} line {key.start_mark.line + 1}: {name!r} is there twice.")
        keys[name] = value
    return keys


def _scalars(path: Path, keys: dict[str, yaml.Node], key: str) -> list[tuple[str, int]]:
    """The value of a key, or the values of a list, with their lines; none when the key is missing."""
    node = keys.get(key)
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node] if node is not None else []
    for item in nodes:
        if not isinstance(item, yaml.ScalarNode):
            raise DataError(f"{path} line {item.start_mark.line + 1}: expected text, or a list of it, as {key}.")
    return [(item.value.strip(), item.start_mark.line + 1) for item in nodes]


def _texts(path: Path, keys: dict[str, yaml.Node], key: str) -> list[tuple[str, int]]:
    """The same without what YAML calls empty."""
    return [(value, line) for value, line in _scalars(path, keys, key) if value not in ("", "null", "~")]


def _text(path: Path, keys: dict[str, yaml.Node], key: str) -> str:
    return next((value for value, _ in _texts(path, keys, key)), "")


def _names(path: Path, keys: dict[str, yaml.Node], notes: list[str], key: str = "names") -> dict[int, str] | None:
    node = keys.get(key)
    if isinstance(node, yaml.MappingNode):
        inner = _mapping(path, node)
        for number, value in inner.items():
            if not number.isdecimal():
                raise DataError(f"{path} line {value.start_mark.line + 1}: expected a class number, got {number!r}.")
        pairs = [(int(number), *item) for number in inner for item in _scalars(path, inner, number)]
    else:
        pairs = [(position, *item) for position, item in enumerate(_scalars(path, keys, key))]
    unnamed = [line for _, name, line in pairs if not name]
    if unnamed:
        raise DataError(f"{path} line {unnamed[0]}: a class has no name.")
    if len({number for number, _, _ in pairs}) < len(pairs):
        raise DataError(f"{path}: a class number has two names.")
    count = _text(path, keys, "nc")
    if count and pairs and count != str(len(pairs)):
        notes.append(f"{path.name}: nc is {count}, and there are {len(pairs)} names; the names count.")
    names = {number: name for number, name, _ in pairs}
    if len(set(names.values())) < len(names):
        twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
        notes.append(f"{path.name}: the class {twice!r} has several numbers, which are taken as one class.")
    return names or ({number: str(number) for number in range(int(count))} if count.isdecimal() else None)


def _shared(place: str, value: str, split: str, before: str, line: int) -> str:
    """What is said of a folder or list that was given before, in that line: a picture cannot be in two splits."""
    if split == before:
        return f"{place}: {value} was given before, in line {line}; it is taken once."
    return (
        f"{place}: {value} is given as {before} too, in line {line}, and is taken as {before} only: on pictures that were learned, "
        f"figures come out too good. Give {split} pictures of its own, or take the line out."
    )


def _found(bases: list[Path], value: str, place: str, notes: list[str], elsewhere: str) -> Path | None:
    """Where a folder or list is, also without the folder `elsewhere`; said when it is not where the file says."""
    plain = slashes(value)
    literal = bases[0] / plain
    if literal.exists():
        return literal.resolve()
    # Exports are moved about: a path seen from elsewhere is looked for here, as the programs that wrote it do.
    tails = [plain, plain.removeprefix("../").removeprefix("./"), plain.removeprefix(elsewhere)]
    for candidate in (base / tail for base in bases for tail in tails):
        if candidate.exists():
            notes.append(f"{place}: there is no {value}; {below(candidate.resolve(), bases[0].resolve())} is taken.")
            return candidate.resolve()
    return None
