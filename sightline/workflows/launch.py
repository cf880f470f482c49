"""Several processes on one machine: start torchrun, which starts this command line again in each."""

import os
import subprocess
import sys
from collections.abc import Sequence

from sightline.errors import ConfigError


def is_child() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run `sightline ARGUMENTS` in so many processes under torchrun; the exit code of the whole.

    For several machines call torchrun itself: `torchrun --nnodes ... -m sightline train ...`.
    Raises `ConfigError` for less than one process.
    """
    if processes < 1:
        raise ConfigError(f"--processes: expected 1 or more, got {processes}.")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    # torchrun would give each process one thread; the cores are shared equally instead.
    threads = max(1, (os.cpu_count() or 1) // processes)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
    process = subprocess.Popen([*command, "-m", "sightline", *arguments], env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # torchrun got the signal as well; wait until its children have saved.
            continue
