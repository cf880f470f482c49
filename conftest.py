"""For all tests and docstring examples."""

import os

# Several processes test side by side (pytest-xdist), and each would start as many threads as there are cores. Set before
# torch is imported; what the tests start inherits it.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))))

from collections.abc import Iterator

import pytest

# Examples in docstrings that train: slow, as a test that does so would be.
LONG_EXAMPLES = {"sightline.workflows.train.train"}
# The first test of a process that asks for one of these trains a network.
LONG_FIXTURES = {"trained"}


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests from end to end come first: each takes long, and at the end all other processes would wait for the last of them.

    With them those that fork, which share what they are forked from as long as they run in one process.
    """
    items.sort(
        key=lambda item: "end_to_end" not in item.path.parts and not hasattr(getattr(item, "module", None), "Forked")
    )
    for item in items:
        if item.name in LONG_EXAMPLES or LONG_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def quick_disk() -> Iterator[None]:
    """No test in this process can see whether the disk really wrote; waiting for it would take a good part of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield
