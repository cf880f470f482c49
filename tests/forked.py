"""Work in processes of its own that can be killed, forked from one that has loaded torch: a start would take seconds."""

import atexit
import contextlib
import functools
import itertools
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.distributed import TCPStore

import sightline

SERVER = multiprocessing.get_context("forkserver")
# Nothing computes there: threads that torch had started would be missing after a fork. (NumPy's know how to fork.)
LOADED = ("sightline.cli.main", "sightline.workflows.train", "matplotlib.backends.backend_agg")
SERVER.set_forkserver_preload([*LOADED, "torch._dynamo", "torch.distributed.run"])
_numbers = itertools.count()


class Forked:
    """A call at work, in as many processes as are asked for, each told what torchrun would tell it; what it gives is its exit code."""

    def __init__(self, work: Callable[[], object], processes: int = 1) -> None:
        told = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)] if processes > 1 else [{}]
        shared = {}
        if processes > 1:
            self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
            shared = {
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(self._store.port),
                "TORCHELASTIC_RESTART_COUNT": "0",
                "TORCHELASTIC_RUN_ID": "test",
                "TORCHELASTIC_USE_AGENT_STORE": "True",
                "WORLD_SIZE": str(processes),
            }
        self._said = [_folder() / str(next(_numbers)) for _ in told]
        self._processes = []
        for own, said in zip(told, self._said, strict=True):
            arguments = (work, said, {**shared, **own}, sightline.__file__)
            self._processes.append(SERVER.Process(target=_do, args=arguments))
            self._processes[-1].start()

    @property
    def pids(self) -> list[int]:
        """Of all processes and those below them."""
        own = [process.pid for process in self._processes if process.pid]
        return own + [pid for parent in own for pid in descendants(parent)]

    @property
    def ended(self) -> bool:
        return any(process.exitcode is not None for process in self._processes)

    def said(self, stream: str) -> str:
        """What was written to `out` or `err` so far."""
        files = [said.with_suffix(f".{stream}") for said in self._said]
        return "".join(file.read_text() for file in files if file.exists())

    def wait(self, seconds: float = 240) -> int:
        """Until all have ended; the exit code of the first that failed, less than 0 after a signal, or 0."""
        for process in self._processes:
            process.join(seconds)
        if any(process.exitcode is None for process in self._processes):
            self.kill()
            raise AssertionError(f"not done after {seconds} s: {self.said('err')}")
        return next((process.exitcode for process in self._processes if process.exitcode), 0)

    def terminate(self) -> None:
        for process in self._processes:
            process.terminate()

    def kill(self) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            process.join()


def print_peak_memory_of(work: Callable[[], object]) -> None:
    """In KB, of a process that does nothing else."""
    work()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def descendants(pid: int) -> list[int]:
    """Every process below one; torchrun puts its children into sessions of their own."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    below = [child for child, parent in parents.items() if parent == pid]
    return below + [deeper for child in below for deeper in descendants(child)]


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    return Path(folder)


def _do(work: Callable[[], object], said: Path, environment: dict[str, str], source: str) -> None:
    for descriptor, stream in ((1, "out"), (2, "err")):
        os.dup2(os.open(said.with_suffix(f".{stream}"), os.O_WRONLY | os.O_CREAT), descriptor)
    assert sightline.__file__ == source, "another copy of sightline was loaded"
    os.environ.update(environment, OMP_NUM_THREADS="1")
    torch.set_num_threads(1)
    code = work()
    sys.exit(code if isinstance(code, int) else 0)
