"""Predict for millions: pictures of a folder or of shards, written part by part, so that a job that was stopped goes on.

JOB/job.json              what is worked on: the weights, and a hash of what each part of the pictures was when the job began
JOB/part-000000.jsonl     a line for each of the first 1,000 pictures; a part that is there is done
JOB/masks/000000/...      their masks, of a segmenter
JOB/summary.json          when all parts are there
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

from PIL import Image

from sightline import checkpoint
from sightline.data.counted import counted
from sightline.data.formats import read
from sightline.data.formats.mask_folder import CLASSES, class_file, label_colours
from sightline.data.formats.shards import is_sharded
from sightline.data.index import ImageSource, announce
from sightline.data.shards import ShardPictures
from sightline.data.sources import FileSource
from sightline.errors import CheckpointError, InputError
from sightline.files import write_atomic, write_json
from sightline.inference.draw import write_png
from sightline.inference.predictor import Predictor, load
from sightline.training.claim import claim
from sightline.training.runlog import Listener, Silence
from sightline.workflows.predict import PICTURE_ENDINGS, as_object, find_pictures, row_of

PART = 1000
"""Pictures that are written together."""
_SECONDS = 10
"""Between two lines on how far it is."""
_AHEAD = 64
_READABLE = b'"error": null}\n'


@dataclass(frozen=True, kw_only=True, slots=True)
class JobResult:
    """A job that is done."""

    job: Path
    task: str
    class_names: tuple[str, ...]
    pictures: int
    unreadable: int
    """Pictures that could not be read; the reason is in their lines."""
    parts: int
    done_before: int
    """Parts that were there when it began."""
    seconds: float


def predict_job(
    run: str | Path,
    inputs: Sequence[str | Path],
    job: str | Path,
    *,
    part: int = PART,
    listener: Listener | None = None,
) -> JobResult:
    """Predict for all pictures of `inputs` into the folder `job`, which is new or was begun by the same call.

    `inputs` are files, folders and globs, or one data set in shards, on this machine or at an address. Each picture is in exactly one
    line of one part. Raises `InputError` when the pictures or the weights are not those that the job was begun with, when another
    process works on it, and for a folder that holds something else.
    """
    listener, job, began = listener or Silence(), Path(job), time.perf_counter()
    _require_own(job, inputs)
    source = _source(inputs)
    weights = checkpoint.run_weights(Path(run))
    with _alone(job):
        _begin(job, _description(weights, source, part))
        predictor = load(run)
        if predictor.task.name == "segmentation":
            write_atomic(job / "masks" / CLASSES, class_file(predictor.class_names))
        starts = range(0, len(source), part)
        left = [number for number in range(len(starts)) if not _file(job, number).exists()]
        if len(left) < len(starts):
            listener.say(f"{len(starts) - len(left)} of {len(starts)} parts are done; going on.")
        said, done = time.monotonic(), 0
        for number in left:
            positions = range(starts[number], min(starts[number] + part, len(source)))
            _write_part(job, number, positions, source, predictor)
            done += len(positions)
            if time.monotonic() - said >= _SECONDS:
                said = time.monotonic()
                speed = done / (time.perf_counter() - began)
                listener.say(
                    f"part {number + 1} of {len(starts)}: {counted(done, 'picture')} now, {speed:,.0f} images/s"
                )
        unreadable = sum(
            _unreadable(_file(job, number), min(part, len(source) - start)) for number, start in enumerate(starts)
        )
        result = JobResult(
            job=job,
            task=predictor.task.name,
            class_names=predictor.class_names,
            pictures=len(source),
            unreadable=unreadable,
            parts=len(starts),
            done_before=len(starts) - len(left),
            seconds=round(time.perf_counter() - began, 2),
        )
        write_json(job / "summary.json", {**asdict(result), "job": str(job)})
    return result


def _file(job: Path, number: int) -> Path:
    return job / f"part-{number:06d}.jsonl"


def _write_part(job: Path, number: int, positions: range, source: ImageSource, predictor: Predictor) -> None:
    lines = []
    for position, outcome in predictor.stream(_announced(source, positions), read=source.image):
        row = row_of(source.name(position), outcome, predictor.class_names)
        if row.mask is not None:
            file = job / "masks" / f"{number:06d}" / f"{position:09d}.png"
            labels = Image.fromarray(row.mask.numpy())
            labels.putpalette(label_colours())  # to be seen; the values are the labels
            write_png(file, labels)
            row = replace(row, mask=None, mask_file=str(file))
        lines.append(json.dumps(as_object(row, predictor.task.name)) + "\n")
    write_atomic(_file(job, number), "".join(lines).encode())


def _announced(source: ImageSource, positions: range) -> Iterator[int]:
    remaining = iter(positions)
    while chunk := list(islice(remaining, _AHEAD)):
        announce(source, chunk)
        yield from chunk


def _unreadable(file: Path, pictures: int) -> int:
    """Of a part's pictures, those that could not be read; raises `InputError` when it is not whole."""
    with file.open("rb") as lines:
        readable = [line.endswith(_READABLE) for line in lines]
    if len(readable) != pictures:
        raise InputError(
            f"{file} has {len(readable)} lines and not {pictures}: it was changed since it was written. "
            "Delete it, and run the command again."
        )
    return readable.count(False)


@contextmanager
def _alone(job: Path) -> Iterator[None]:
    """Hold the folder, which no other process may write into meanwhile."""
    try:
        with claim(job):
            yield
    except CheckpointError as error:
        if "Another process" not in str(error):
            raise
        raise InputError(f"Another process works on {job}. Wait for it, or stop it first.") from error


def _require_own(job: Path, inputs: Sequence[str | Path]) -> None:
    if job.exists() and (not job.is_dir() or (_used(job) and not (job / "job.json").is_file())):
        raise InputError(f"{job} holds something else than a job. Choose a new folder.")
    for given in inputs:
        if not is_sharded(given) and Path(given).is_dir() and job.resolve().is_relative_to(Path(given).resolve()):
            raise InputError(
                f"{job} lies in {given}, and its masks would become pictures of it. Choose a folder elsewhere."
            )


def _used(job: Path) -> bool:
    return any(entry.name != ".lock" for entry in job.iterdir())


def _source(inputs: Sequence[str | Path]) -> ImageSource:
    """The pictures of a job in an order that is always the same; raises `InputError` when there are none."""
    if any(map(is_sharded, inputs)):
        if len(inputs) > 1:
            raise InputError("A job works on one data set in shards, or on files and folders: give one of them.")
        return read(inputs[0]).source
    if len(inputs) == 1 and Path(inputs[0]).is_dir():
        source = FileSource(Path(), _pictures_below(str(inputs[0])))
        if not len(source):
            raise InputError(f"{inputs[0]}: no picture in it.")
        return source
    return FileSource(Path(), map(str, find_pictures(inputs)))


def _pictures_below(folder: str) -> Iterator[str]:
    """As `find_pictures`, without an object for each of millions."""
    with os.scandir(folder) as found:
        entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
    for name, is_folder in entries:
        path = os.path.join(folder, name)  # noqa: PTH118
        if is_folder:
            yield from _pictures_below(path)
        elif os.path.splitext(name)[1].lower() in PICTURE_ENDINGS:  # noqa: PTH122
            yield path


def _description(weights: Path, source: ImageSource, part: int) -> dict[str, object]:
    """What a job must find again."""
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    starts = range(0, len(source), part)
    parts = [_digest(source, range(start, min(start + part, len(source)))) for start in starts]
    return {
        "sightline_job": 1,
        "weights": str(weights),
        "weights_sha256": digest,
        "pictures": len(source),
        "part": part,
        "parts": parts,
    }


def _digest(source: ImageSource, positions: range) -> str:
    """Of what is known of some pictures without reading them: names, and sizes and times, or hashes."""
    digest = hashlib.sha256()
    for position in positions:
        known: object = ""
        if isinstance(source, ShardPictures):
            known = source.places.hashes[position].tobytes().hex()
        elif isinstance(source, FileSource):
            try:
                state = source.path(position).stat()
                known = (state.st_size, state.st_mtime_ns)
            except OSError:  # which will be in its line
                known = None
        digest.update(f"{source.name(position)}\0{known}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _begin(job: Path, now: dict[str, object]) -> None:
    """Write down what the job is, or compare with what was written; raises `InputError` for a difference."""
    file = job / "job.json"
    if not file.exists():
        write_json(file, now)
        return
    try:
        before = json.loads(file.read_text())
        parts, ours = list(before["parts"]), list(now["parts"])  # type: ignore[call-overload]
        held, size, weights = int(before["pictures"]), int(before["part"]), before["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read ({error!r}). Choose a new folder.") from error
    if weights != now["weights_sha256"]:
        raise InputError(
            f"{job} was begun with other weights than those of {now['weights']}: its parts would not belong together. Give the weights "
            "that it was begun with, or choose a new folder."
        )
    if size != now["part"]:
        raise InputError(
            f"{job} was begun with {counted(size, 'picture')} in a part, not {now['part']}. Say so again, or choose a new folder."
        )
    if (held, parts) != (now["pictures"], ours):
        other = next(
            (at for at, pair in enumerate(zip(parts, ours, strict=False)) if pair[0] != pair[1]),
            min(len(parts), len(ours)),
        )
        raise InputError(
            f"The pictures have changed since {job} was begun: {held} then, {now['pictures']} now, and the first difference is among the "
            f"pictures {other * size + 1} to {(other + 1) * size}. Bring them back to what they were, or choose a new folder."
        )
