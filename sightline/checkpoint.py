"""One file that is enough to use a trained network: safetensors with a JSON header.

The header says which network to build and with which arguments, what its classes are called and how a picture becomes its input.
Nothing in the file is ever executed: tensors are read by safetensors, the header by `json`, and the network is built from our own tables.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from sightline.errors import CheckpointError, InputError
from sightline.files import write_atomic
from sightline.models import create_model
from sightline.structures import Shape, read_shape
from sightline.tasks import TASKS
from sightline.tasks.task import Task

FORMAT_VERSION = 1
_HEADER_KEY = "sightline"


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What the weights are, in words that JSON can hold."""

    architecture: str
    """Name in `sightline.models.MODELS`."""
    arguments: dict[str, Any]
    """Arguments of that builder, `num_classes` apart."""
    task: str
    """Name in `sightline.tasks.TASKS`."""
    class_names: tuple[str, ...]
    """Name of class 0..K-1."""
    preprocessing: Shape
    metrics: dict[str, Any] = field(default_factory=dict)
    """Metrics on the validation split when the weights were kept."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """The resolved recipe that made them."""
    data_fingerprint: str = ""
    """Fingerprint of the data set that they were trained on."""
    licence: str = ""
    """Licence of the weights that training started from, empty when it started from nothing."""
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A header and the tensors beside it."""

    header: Header
    tensors: dict[str, Tensor]
    path: Path


def save(path: Path, state: dict[str, Tensor], header: Header) -> None:
    """Write weights and header to `path` in one atomic step.

    Raises `StorageError` when the disk is full; what was at `path` before is intact then.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    text = json.dumps(asdict(header), sort_keys=True, allow_nan=False)
    write_atomic(path, safetensors.torch.save(tensors, metadata={_HEADER_KEY: text}))


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises `CheckpointError` when `path` is missing, torn, or not one of ours."""
    header, tensors = _read(path, with_tensors=True)
    return Checkpoint(header, tensors, path)


def load_header(path: Path) -> Header:
    """The header alone, without reading the tensors. Raises like `load`."""
    return _read(path, with_tensors=False)[0]


def _read(path: Path, *, with_tensors: bool) -> tuple[Header, dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"There is no weights file at {path}. A run keeps them in RUN/weights/best.safetensors.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_HEADER_KEY)
            names = file.keys() if with_tensors else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        way = "Bring a whole copy of it."
        if path.suffix != ".safetensors":
            way = f"Name a run or its .safetensors file; to start training from others, use `sightline train --weights {path}`."
        raise CheckpointError(f"{path} is not a readable safetensors file ({error}). {way}") from error
    if text is None:
        raise CheckpointError(
            f"{path} holds tensors but no Sightline header. To start training from it, use `sightline train --weights {path}`."
        )
    return _header(text, path), tensors


def build(checkpoint: Checkpoint) -> tuple[nn.Module, Task]:
    """The network in evaluation mode with its weights, and its task.

    Raises `CheckpointError` when the tensors do not fit the architecture that the header names.
    """
    header = checkpoint.header
    try:
        # Built without memory first: a header that asks for more than the file holds costs nothing.
        with torch.device("meta"):
            model = create_model(header.architecture, num_classes=len(header.class_names), **header.arguments)
        model.load_state_dict(checkpoint.tensors, strict=True, assign=True)
    except (InputError, RuntimeError, TypeError, ValueError) as error:
        first = str(error).strip().splitlines()[:3]
        raise CheckpointError(
            f"{checkpoint.path}: the tensors do not fit {header.architecture} with {len(header.class_names)} classes: "
            + " ".join(line.strip() for line in first)
        ) from error
    return model.eval(), TASKS[header.task](header.class_names)


def run_weights(run: Path, which: str = "best") -> Path:
    """The weights file of a run folder, or `run` itself when it is a file.

    Raises `CheckpointError` when there is neither.
    """
    if run.is_file():
        return run
    path = run / "weights" / f"{which}.safetensors"
    if run.suffix in (".pth", ".pt", ".safetensors") and not run.exists():
        raise CheckpointError(f"There is no weights file at {run}. Check the path.")
    if not run.is_dir():
        raise CheckpointError(f"There is no run at {run}. Train one with: sightline train DATA --name {run.name}")
    if not path.is_file():
        raise CheckpointError(
            f"{run} holds no {path.relative_to(run)}: it has not finished an epoch yet, or is no run folder."
        )
    return path


def _header(text: str, path: Path) -> Header:
    try:
        values = json.loads(text)
        version = values.get("format_version")
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format version {version}; this Sightline reads version {FORMAT_VERSION}. Use a matching release."
            )
        known = {entry.name for entry in fields(Header)}
        if values["task"] not in TASKS:
            raise CheckpointError(f"{path} is for the task {values['task']!r}, which this Sightline does not have.")
        preprocessing = read_shape(values["preprocessing"])
        rest = {name: value for name, value in values.items() if name in known - {"preprocessing", "class_names"}}
        return Header(**rest, preprocessing=preprocessing, class_names=tuple(values["class_names"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: the header is incomplete or malformed ({error!r}).") from error
