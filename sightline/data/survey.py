"""All that is wrong with a data set or odd about it, in one pass over its pictures: `survey(index) -> Survey`.

Shape letters: `N` pictures, `n` of them good.
"""

import hashlib
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.data.annotations import ClassLabels
from sightline.data.checks import SMALL, Report, check
from sightline.data.copies import copies
from sightline.data.decode import picture_kind
from sightline.data.duplicates import CELLS, thumbnails
from sightline.data.findings import Finding
from sightline.data.index import Index, Positions
from sightline.data.mask_files import listed
from sightline.data.shards import ShardPictures
from sightline.data.sources import FileSource
from sightline.data.splits import how_divided, with_splits
from sightline.data.suspects import suspicious
from sightline.errors import DataError

_BATCH = 64
_NAMED = 4
_ODD = 0.02
"""Pictures are odd for how their pixels are kept when so small a share, or a single one of ten, is kept so."""
_DARK = 16
"""Of 255: a picture of 16 bits of which no pixel is as bright uses fewer than 12 of them."""
_DIGEST = 16
_WITH_ID = re.compile(r".+?: (annotation|image|category) (at position \d+|'[^']*'|[^\s:]+)")
"""How a line about an entry of a JSON file begins."""
_LINE = re.compile(r" (line|row) \d+$")
_PAPERS = re.compile(r"(.*/)?(licen[cs]e|copying|readme|notice|citation|changelog)([._-].*)?", re.IGNORECASE)
"""Files that lie beside most data sets, and hold nothing that could be used by mistake or left out by one."""
_COLONS = 8
"""Parts of a line that are tried as the beginning of a file's name."""
_ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
"""Kind of file, as Pillow calls it -> its endings."""
_MODES = {"L": "grey", "1": "black and white", "P": "palette", "RGBA": "transparent", "LA": "transparent grey"}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Survey:
    """What a look at a whole data set found."""

    index: Index
    report: Report
    positions: Positions
    """The pictures that were looked at: those of all splits, or all."""
    sizes: NDArray[np.int64]
    """(N, 2) heights and widths in pixels, 0 for what was not looked at or cannot be decoded."""
    ways: dict[str, int]
    """How many pictures are kept in which way: "JPEG RGB"; those in files only."""
    findings: tuple[Finding, ...]


def survey(index: Index, workers: int | None = None, progress: Callable[[int, int], None] | None = None) -> Survey:
    """Look at all that an index holds; arguments as in `sightline.data.checks.check`.

    Raises `DataError` when its source can give no pictures at all.
    """
    seen = _Seen(index)
    with _one_thread_each():
        report = check(index, workers=workers, progress=progress, keep_below=0, also=seen)
        seen.finish()
    looked_at = np.sort(np.concatenate([*index.splits.values()])) if index.splits else np.arange(len(index))
    good = looked_at[seen.sizes[looked_at].all(axis=1)]
    ways = _ways(index, good)
    nothing = list(_of_nothing(index, good, seen, ways))
    # They are equal for another reason than others are.
    shown = np.setdiff1d(good, [position for finding in nothing for position in finding.positions])
    findings = [
        *_of_reading(index),
        *_of_shards(index),
        *_of_decoding(index, report),
        *_of_training(index, report),
        *nothing,
        *copies(index, shown, seen.digests[shown], seen.cells[shown], seen.masks),
        *suspicious(index, good, seen.sizes, report.pixels),
        *_of_ways(index, ways),
    ]
    return Survey(
        index=index,
        report=report,
        positions=looked_at,
        sizes=seen.sizes,
        ways=dict(Counter(" ".join(way) for way in ways.values()).most_common()),
        findings=tuple(findings),
    )


@dataclass
class _Seen:
    """What is kept of each picture while it is decoded; called in several threads."""

    index: Index
    masks: dict[int, bytes] = field(default_factory=dict)
    """Of each mask's pixels."""
    brightest: dict[int, int] = field(default_factory=dict)
    """The largest value 0..255 in the pictures that are all dark."""
    blank: set[int] = field(default_factory=set)
    """Pictures of which all pixels are equal."""
    _waiting: dict[tuple[int, ...], list[tuple[int, Tensor]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        count = len(self.index)
        self.sizes = np.zeros((count, 2), np.int64)
        self.digests = np.zeros((count, _DIGEST), np.uint8)
        self.cells = np.zeros((count, CELLS, CELLS), np.uint8)

    def __call__(self, position: int, image: Tensor, mask: Tensor | None) -> None:
        self.digests[position] = np.frombuffer(_digest(image.movedim(0, -1)), np.uint8)
        self.sizes[position] = image.shape[1:]
        if mask is not None:
            self.masks[position] = _digest(mask)
        if image.shape[1] * image.shape[2] > SMALL:
            self._take([(position, image)])
            return
        with self._lock:
            waiting = self._waiting.setdefault(tuple(image.shape), [])
            waiting.append((position, image))
            if len(waiting) < _BATCH:
                return
            del self._waiting[tuple(image.shape)]
        self._take(waiting)

    def finish(self) -> None:
        """Look at those that still wait for others of their size."""
        for waiting in self._waiting.values():
            self._take(waiting)
        self._waiting.clear()

    def _take(self, waiting: list[tuple[int, Tensor]]) -> None:
        cells = thumbnails(torch.stack([image for _, image in waiting]))
        self.cells[[position for position, _ in waiting]] = cells
        lowest, highest = cells.min(axis=(1, 2)), cells.max(axis=(1, 2))
        for row in np.flatnonzero((lowest == highest) | (highest < _DARK)).tolist():
            position, image = waiting[row]
            if bool((image == image[:, :1, :1]).all()):
                self.blank.add(position)
            if (brightest := int(image.max())) < _DARK:
                self.brightest[position] = brightest


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """There is a thread for each processor already: were each to share its small operations with others, they would wait for them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _digest(pixels: Tensor) -> bytes:
    digest = hashlib.blake2b(str(tuple(pixels.shape)).encode(), digest_size=_DIGEST)
    digest.update(pixels.contiguous().numpy().data)
    return digest.digest()


def place_of(line: str, root: Path | None) -> str:
    """What a line such as "a.txt line 3: there is no picture" begins with; names of files below `root` may hold a colon."""
    place = _WITH_ID.match(line)
    if place:
        return place[0]
    parts = line.split(": ")[:_COLONS]
    for count in range(len(parts), 1, -1) if root is not None else ():
        begins = ": ".join(parts[:count])
        if os.path.exists(f"{root}/{_LINE.sub('', begins)}"):  # noqa: PTH110 - raises for nothing
            return begins
    return parts[0]


def _of_reading(index: Index) -> Iterator[Finding]:
    """What the format has found: faults of annotations, and files that are not used."""
    root = index.source.root if isinstance(index.source, FileSource) else None
    for line, concern in zip(index.faults.lines, index.faults.concerns, strict=True):
        where = place_of(line, root)
        positions = () if concern.position is None else (concern.position,)
        yield Finding(concern.kind, where, line, positions, concern.box)
    for line in index.ignored:
        where = place_of(line, root)
        if _PAPERS.fullmatch(where):
            continue
        reason = line[len(where) :].removeprefix(": ")
        kind = picture_kind(root / where) if root is not None and (root / where).is_file() else None
        held = (
            f". It holds a picture ({kind[0]}): give it an ending that says so" if kind and "ending" in reason else ""
        )
        yield Finding("unused file", where, f"{reason}{held}.")


def _of_shards(index: Index) -> Iterator[Finding]:
    for file in index.source.members.changed() if isinstance(index.source, ShardPictures) else ():
        what = "its bytes are not those that were written (its SHA-256 differs). Fetch it again, or write the shards again."
        yield Finding("broken file", file, what)


def _of_decoding(index: Index, report: Report) -> Iterator[Finding]:
    for fault in report.faults:
        kind = "corrupt picture" if fault.name == index.source.name(fault.position) else "bad mask"
        yield Finding(kind, fault.name, fault.reason, (fault.position,))


def _of_training(index: Index, report: Report) -> Iterator[Finding]:
    """What a training would stop at before it begins, single faults apart."""
    named = any(concern.kind == "untrained class" for concern in index.faults.concerns)
    untrained = [] if named else list(_untrained(index))
    yield from untrained
    if named or untrained:
        return  # no other reason is found before this one
    divided = index
    try:
        divided = with_splits(index)
        report.without_faults(divided, tolerance=1.0)
    except DataError as error:
        yield Finding("cannot train", index.format, f"{error}{how_divided(index, divided)}")


def _untrained(index: Index) -> Iterator[Finding]:
    """Classes of pictures that the train split has none of."""
    if not isinstance(index.annotations, ClassLabels):
        return
    every = index.annotations.counts(np.arange(len(index)), len(index.class_names))
    trained = index.annotations.counts(index.splits.get("train", np.arange(len(index))), len(index.class_names))
    for label in np.flatnonzero(trained == 0).tolist():
        held = np.flatnonzero(index.labels == label)
        there = (
            f"it has no pictures to train on, and {every[label]} in other splits" if len(held) else "it has no pictures"
        )
        first = f": {listed((index.source.name(int(position)) for position in held), _NAMED)}" if len(held) else ""
        yield Finding(
            "untrained class", index.class_names[label], f"{there}{first}. Put some into train, or leave the class out."
        )


def _of_nothing(index: Index, positions: Positions, seen: _Seen, ways: dict[int, tuple[str, str]]) -> Iterator[Finding]:
    """About pictures in which nothing can be seen, or nothing that was there before they were read."""
    for position in positions.tolist():
        name, brightest = index.source.name(position), seen.brightest.get(position, 255)
        wide = ways.get(position, ("", ""))[1].startswith("I")
        if wide and brightest < _DARK:
            what = f"it has 16 bits a pixel, of which 65,535 is white, and none of its values is above {(brightest + 1) * 257:,}"
            yield Finding("dark picture", name, f"{what}: it is read as nearly black. Scale the values.", (position,))
        elif position in seen.blank:
            yield Finding("blank picture", name, "all of its pixels are equal.", (position,))


def _ways(index: Index, positions: Positions) -> dict[int, tuple[str, str]]:
    """Kind of file and how its pixels are kept, of those pictures that are files."""
    if not isinstance(index.source, FileSource):
        return {}
    kinds = ((position, picture_kind(index.source.path(position))) for position in positions.tolist())
    return {position: kind for position, kind in kinds if kind is not None}


def _of_ways(index: Index, ways: dict[int, tuple[str, str]]) -> Iterator[Finding]:
    modes = Counter(mode for _, mode in ways.values())
    usual = modes.most_common(1)[0][0] if modes else ""
    odd = {
        mode for mode, count in modes.items() if mode != usual and count <= max(len(ways) // 10 and 1, _ODD * len(ways))
    }
    for position, (kind, mode) in ways.items():
        name = index.source.name(position)
        if mode in odd:
            others = f"{modes[usual]} others are {_MODES.get(usual, usual)}"
            yield Finding("odd picture", name, f"it is {_MODES.get(mode, mode)}, and {others}.", (position,))
        ending = Path(name).suffix.lower()
        endings = _ENDINGS.get(kind)
        if endings and ending not in endings:
            yield Finding(
                "wrong ending", name, f"it is a {kind} file. Call it {Path(name).stem}{endings[0]}.", (position,)
            )
