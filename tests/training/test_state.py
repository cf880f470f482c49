"""A save that is cut off anywhere leaves a state that loads: the old one or the new one, never a mixture."""

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch

from sightline import checkpoint
from sightline.errors import StorageError
from sightline.files import write_atomic
from sightline.structures import Preprocessing
from sightline.training.claim import claim
from sightline.training.state import LoopState, load_state, save_state
from tests.training.build_job import CLASSES

OPERATIONS = ("open", "write", "fsync", "replace", "close", "unlink", "rmdir")


class Killed(BaseException):
    """What a kill -9 is to the code: nothing after it runs (and nothing may catch it)."""


def parts(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {
        "weights": {"w": torch.full((64,), float(value))},
        "optimizer": {"0.momentum_buffer": torch.full((64,), -float(value))},
    }


def stop_after(monkeypatch: pytest.MonkeyPatch, operations: int, error: BaseException | None = None) -> list[str]:
    """From the given number of file operations on, every further one fails: the process is gone."""
    done: list[str] = []
    for name in OPERATIONS:
        real = getattr(os, name)

        def counted(*arguments: object, real: object = real, name: str = name, **keywords: object) -> object:
            if len(done) >= operations:
                raise error or Killed
            done.append(name)
            return real(*arguments, **keywords)  # type: ignore[operator]

        monkeypatch.setattr(os, name, counted)
    return done


def check_loads(folder: Path, allowed: set[int]) -> int:
    found = load_state(folder)
    assert found is not None
    tensors, loop = found
    assert loop.step in allowed
    torch.testing.assert_close(tensors["weights"]["w"], torch.full((64,), float(loop.step)))
    torch.testing.assert_close(tensors["optimizer"]["0.momentum_buffer"], torch.full((64,), -float(loop.step)))
    return loop.step


def test_a_save_can_be_cut_off_after_every_file_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tmp_path / "before"
    for step in (1, 2):
        save_state(before, parts(step), LoopState(step=step))
    with monkeypatch.context() as patch:
        operations = len(stop_after_all(patch, tmp_path / "whole", before))
    assert operations > 20
    reached = set()
    for count in range(operations):
        folder = tmp_path / f"cut-{count}"
        shutil.copytree(before, folder)
        with monkeypatch.context() as patch:
            stop_after(patch, count)
            with pytest.raises(Killed):
                save_state(folder, parts(3), LoopState(step=3))
        reached.add(check_loads(folder, {2, 3}))
        save_state(folder, parts(3), LoopState(step=3))
        assert check_loads(folder, {3}) == 3
    assert reached == {2, 3}


def stop_after_all(patch: pytest.MonkeyPatch, folder: Path, before: Path) -> list[str]:
    shutil.copytree(before, folder)
    done = stop_after(patch, 10**6)
    save_state(folder, parts(3), LoopState(step=3))
    return list(done)


def test_weights_can_be_cut_off_after_every_file_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.safetensors"
    header = checkpoint.Header(
        architecture="resnet18",
        arguments={},
        task="classification",
        class_names=CLASSES,
        preprocessing=Preprocessing(resize=8, crop=8),
    )
    checkpoint.save(path, {"w": torch.zeros(4)}, header)
    seen, count = set(), 0
    while True:
        with monkeypatch.context() as patch:
            stop_after(patch, count)
            try:
                checkpoint.save(path, {"w": torch.ones(4)}, header)
                finished = True
            except Killed:
                finished = False
        seen.add(float(checkpoint.load(path).tensors["w"].sum()))
        if finished:
            break
        count += 1
    assert seen == {0.0, 4.0}
    assert count >= 6


def test_a_full_disk_is_named_and_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, parts(1), LoopState(step=1))
    with monkeypatch.context() as patch:
        real = os.write

        def full(descriptor: int, content: bytes) -> int:
            if len(content) > 100:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(descriptor, content)

        patch.setattr(os, "write", full)
        with pytest.raises(
            StorageError, match=r"The disk is full: .* could not be written\. What was saved before is intact"
        ):
            save_state(tmp_path, parts(2), LoopState(step=2))
    assert check_loads(tmp_path, {1}) == 1
    assert not list(tmp_path.rglob("*.partial"))


def test_a_state_with_one_changed_byte_does_not_count(tmp_path: Path) -> None:
    for step in (1, 2):
        save_state(tmp_path, parts(step), LoopState(step=step))
    path = tmp_path / "step-00000002" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert check_loads(tmp_path, {1}) == 1


def test_only_two_states_are_kept(tmp_path: Path) -> None:
    for step in range(5):
        save_state(tmp_path, parts(step), LoopState(step=step))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-00000003", "step-00000004"]


def test_a_claim_removes_what_a_killed_process_left_and_names_what_it_cannot_do(tmp_path: Path) -> None:
    write_atomic(tmp_path / "weights" / "last.safetensors", b"x")
    torn = tmp_path / "weights" / ".last.safetensors.123.partial"
    torn.write_bytes(b"torn")
    with claim(tmp_path):
        assert not torn.exists()
    assert (tmp_path / "weights" / "last.safetensors").exists()
    with pytest.raises(StorageError, match=r"could not be written"), claim(tmp_path / "weights" / "last.safetensors"):
        pass


def test_no_state_is_none(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state") is None
