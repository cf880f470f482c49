"""Several processes: the exit code is the one of the process that failed, and nothing but its own words is said."""

from functools import partial
from pathlib import Path

import pytest

from sightline.cli.main import main
from sightline.errors import ConfigError
from sightline.workflows.launch import is_child, launch
from tests.forked import Forked


@pytest.mark.slow
def test_a_failure_in_a_process_is_said_once_and_keeps_its_exit_code(tmp_path: Path) -> None:
    words = ["train", str(tmp_path / "none"), "--processes", "2", "--out", str(tmp_path)]
    done = Forked(partial(main, words))
    assert done.wait() == 2
    assert done.said("out") == ""
    assert done.said("err").startswith("sightline:")
    assert done.said("err").count("does not exist") == 1
    assert "Traceback" not in done.said("err")
    assert "torch" not in done.said("err")


def test_less_than_one_process_is_refused() -> None:
    with pytest.raises(ConfigError, match="--processes: expected 1 or more, got 0"):
        launch(0, [])


def test_a_process_knows_whether_torchrun_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert not is_child()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert is_child()
