"""The log, and TensorBoard events beside it."""

from pathlib import Path

import pytest

from sightline.training.runlog import RunLog, read_log


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write({"event": "step", "step": 1, "loss": 0.5})
    with log.path.open("a") as file:
        file.write('{"event": "step", "st')
    assert [record["step"] for record in read_log(log.path)] == [1]
    assert read_log(tmp_path / "none.jsonl") == []


def test_a_rewind_forgets_what_will_be_written_again(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for step in range(1, 6):
        log.write({"event": "step", "step": step})
    log.rewind(3)
    log.write({"event": "step", "step": 4, "again": True})
    assert [(record["step"], "again" in record) for record in read_log(log.path)] == [
        (1, False),
        (2, False),
        (3, False),
        (4, True),
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_numbers_become_tensorboard_scalars(tmp_path: Path) -> None:
    loading = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the extra is not installed"
    )
    log = RunLog(tmp_path, tensorboard=True)
    for step in (1, 2):
        log.write({"event": "step", "step": step, "loss": 1.0 / step})
    log.close()
    events = loading.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("step/loss")] == [(1, 1.0), (2, 0.5)]
