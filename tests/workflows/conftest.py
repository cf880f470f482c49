"""One data set and one run that learnt it, made once a test session."""

from pathlib import Path

import pytest

from sightline.workflows.train import TrainResult, train
from tests.workflows.squares import QUICK, write_squares


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("data") / "squares", {"train": 24, "val": 6, "test": 8})


@pytest.fixture(scope="session")
def trained(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(squares, name="squares", out=tmp_path_factory.mktemp("runs"), **QUICK)
