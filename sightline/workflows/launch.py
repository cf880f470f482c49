"""Several processes on one machine: torchrun's own engine starts this command line again in each."""

import logging
import os
from collections.abc import Sequence

from sightline.errors import ConfigError


def is_child() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run `sightline ARGUMENTS` in so many processes under torchrun; the exit code of the first that fails, or 0.

    For several machines call torchrun itself: `torchrun --nnodes ... -m sightline train ...`.
    Raises `ConfigError` for less than one process.
    """
    if processes < 1:
        raise ConfigError(f"--processes: expected 1 or more, got {processes}.")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    # torchrun would give each process one thread; the cores are shared equally instead.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    # Its log repeats at length what the process that failed has said in a sentence.
    logging.disable(logging.CRITICAL)
    try:
        options = ["--standalone", f"--nproc-per-node={processes}"]
        run(parse_args([*options, "-m", "sightline", *arguments]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        return max(1, error.get_first_failure()[1].exitcode)
    except (SignalException, KeyboardInterrupt):
        return 1
    finally:
        logging.disable(logging.NOTSET)
    return 0
