"""Several processes: the exit code is the one of the process that failed, and nothing but its own words is said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.errors import ConfigError
from sightline.workflows.launch import is_child, launch


@pytest.mark.slow
def test_a_failure_in_a_process_is_said_once_and_keeps_its_exit_code(tmp_path: Path) -> None:
    line = [
        sys.executable,
        "-m",
        "sightline",
        "train",
        str(tmp_path / "none"),
        "--processes",
        "2",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(
        line, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=200, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("sightline:")
    assert done.stderr.count("does not exist") == 1
    assert "Traceback" not in done.stderr
    assert "torch" not in done.stderr


def test_less_than_one_process_is_refused() -> None:
    with pytest.raises(ConfigError, match="--processes: expected 1 or more, got 0"):
        launch(0, [])


def test_a_process_knows_whether_torchrun_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert not is_child()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert is_child()
