"""What a resume needs, beside the weights that users take: complete or absent, never in between.

    state/step-00000120/weights.safetensors     the network as it is being trained
                        optimizer.safetensors   momentum and the like
                        average.safetensors     the moving average, when there is one
                        loop.json               where the loop stands
                        manifest.json           SHA-256 of each, written last

A folder whose manifest is missing or does not agree with its files was cut off while it was written: the one before it counts.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
from torch import Tensor

from sightline.errors import CheckpointError
from sightline.files import sha256, sync_folder, write_atomic, write_json

KEPT_STATES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopState:
    """Where the training loop stands after `step` optimiser steps."""

    step: int = 0
    best_value: float | None = None
    """Best value of the task's headline metric so far; larger is better."""
    best_epoch: int = 0
    seconds: float = 0.0
    """Time spent training so far, over all sittings."""
    stopped_early: bool = False


def save_state(folder: Path, parts: dict[str, dict[str, Tensor]], loop: LoopState) -> None:
    """Write one complete state, then remove all but the newest two.

    Raises `StorageError` when the disk is full; the states before it are intact then.
    """
    target = folder / f"step-{loop.step:08d}"
    contents = {f"{name}.safetensors": safetensors.torch.save(_on_cpu(tensors)) for name, tensors in parts.items()}
    contents["loop.json"] = json.dumps(asdict(loop), indent=2).encode()
    if (
        target / "manifest.json"
    ).exists():  # of the same step, from before a resume: it stops counting before it changes
        (target / "manifest.json").unlink()
    for name, content in contents.items():
        write_atomic(target / name, content)
    sync_folder(folder)
    write_json(target / "manifest.json", {name: sha256(content) for name, content in contents.items()})
    finished = [path for path in sorted(folder.glob("step-*")) if (path / "manifest.json").exists()]
    for path in folder.glob("step-*"):
        if path not in finished[-KEPT_STATES:]:
            # The manifest goes first: a removal that is cut off leaves a folder that does not count, not a torn one.
            (path / "manifest.json").unlink(missing_ok=True)
            shutil.rmtree(path)


def load_state(folder: Path) -> tuple[dict[str, dict[str, Tensor]], LoopState] | None:
    """The newest complete state under `folder`, or None when there is none."""
    newest = next((path for path in sorted(folder.glob("step-*"), reverse=True) if _is_complete(path)), None)
    if newest is None:
        return None
    try:
        loop = LoopState(**json.loads((newest / "loop.json").read_text()))
        parts = {path.stem: safetensors.torch.load_file(path) for path in sorted(newest.glob("*.safetensors"))}
    except (TypeError, ValueError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{newest} was written by another version of Sightline: {error}.") from error
    return parts, loop


def has_state(folder: Path) -> bool:
    """Whether there is a complete state under `folder`."""
    return any(_is_complete(path) for path in folder.glob("step-*"))


def _is_complete(state: Path) -> bool:
    try:
        manifest = json.loads((state / "manifest.json").read_text())
        return all(sha256((state / name).read_bytes()) == digest for name, digest in manifest.items())
    except (OSError, ValueError):
        return False


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
