"""Which pictures of a YOLO data set are in which split: those of its folders, and of its lists.

A picture that is said to be in two splits stays in the last of train, val and test: figures must not change, and training can do without.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sightline.data.annotation_faults import Concern
from sightline.data.counted import counted
from sightline.data.formats.boxes import Found
from sightline.data.formats.elsewhere import folder_elsewhere, name_below, slashes
from sightline.data.formats.pictures import below, pictures_below, text_of
from sightline.data.index import SPLITS


def pictures_of(sources: Mapping[str, Sequence[Path]], found: Found) -> dict[Path, str]:
    """Picture -> its split, or nothing for one in none; what is wrong with lists and folders is noted in `found`.

    `sources` are the folders and lists of each split.
    """
    taken: dict[Path, tuple[str, str, str]] = {}
    shared: Counter[tuple[str, str, str]] = Counter()
    for split in ("", *SPLITS):
        for source in sources.get(split, ()):
            shown = below(source, found.root)
            for picture, line in _listed(source, found) if source.is_file() else _held(source):
                where = f"{shown} line {line}" if line else shown
                before = taken.get(picture)
                taken[picture] = split, where, shown
                if before and not line:
                    shared[before[2], shown, split] += 1
                elif before:
                    name = below(picture, found.root)
                    stays = f"is in {before[1]} too; it stays in {split}"
                    same = f"was listed before, in {before[1]}"
                    twice = f"{where}: {name} {same if before[0] == split else stays}."
                    found.bad_picture(twice, kind="listed twice", absent=False)
    for (before_in, shown, split), count in shared.items():
        there = counted(count, "picture is", "pictures are")
        stay = "it stays" if count == 1 else "they stay"
        found.note_fault(f"{shown}: {there} in {before_in} too; {stay} in {split}.", Concern("shared folder"))
    return {picture: split for picture, (split, _, _) in taken.items()}


def _held(folder: Path) -> Iterator[tuple[Path, int]]:
    return ((picture, 0) for picture in pictures_below(folder))


def _listed(source: Path, found: Found) -> Iterator[tuple[Path, int]]:
    """The pictures that a text file lists, and their lines, seen from the file's folder or from the data set's."""
    shown = below(source, found.root)
    lines = [(number, line.strip()) for number, line in enumerate(text_of(source).splitlines(), start=1)]
    lines = [(number, name) for number, name in lines if name]
    bases = [source.parent, found.root]
    paths = [_place(name, bases) for _, name in lines]
    if not any(paths) and (elsewhere := folder_elsewhere((name for _, name in lines), bases)):
        paths = [_place(name, bases, elsewhere) for _, name in lines]
        nowhere = f"{shown}: no picture is where its line says ({lines[0][1]})"
        found.notes.append(f"{nowhere}; the lines are read without {elsewhere} before the names.")
    for (number, name), path in zip(lines, paths, strict=True):
        if path is None:
            found.bad_picture(f"{shown} line {number}: there is no picture {slashes(name)}; it is left out.")
        else:
            yield path, number


def first_listed(source: Path, root: Path) -> Path | None:
    """The first picture that a text file lists, when it is there."""
    name = next((line.strip() for line in text_of(source).splitlines() if line.strip()), "")
    bases = [source.parent, root]
    return _place(name, bases) or _place(name, bases, folder_elsewhere([name], bases))


def _place(name: str, bases: Sequence[Path], elsewhere: str = "") -> Path | None:
    below_bases = ((base, name_below(base, name, elsewhere)) for base in bases)
    return next((Path(os.path.normpath(base / path)) for base, path in below_bases if path), None)
