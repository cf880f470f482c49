"""The pictures of a run: they are PNG files with what was asked for on them, whatever the run looks like."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.errors import StorageError
from sightline.report.confusion import draw_confusion, row_shares
from sightline.report.curves import draw_curves
from sightline.report.figure import BLUE, ORANGE, new_figure, save

BLUE_RGB, ORANGE_RGB = (tuple(int(colour[n : n + 2], 16) for n in (1, 3, 5)) for colour in (BLUE, ORANGE))


def steps(count: int) -> list[dict]:
    return [{"event": "step", "step": n, "loss": 2.0 / n, "lr": 0.1, "seconds": 1.0} for n in range(1, count + 1)]


def epochs(*values: float, per_epoch: int = 4) -> list[dict]:
    return [{"event": "epoch", "step": n * per_epoch, "epoch": n, "top1": v} for n, v in enumerate(values, start=1)]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def columns_of(picture: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    """Columns in which a colour occurs, 0..1 from left to right."""
    return np.flatnonzero((picture == colour).all(-1).any(0)) / picture.shape[1]


@pytest.mark.slow
def test_curves_show_loss_on_the_left_and_the_metric_on_the_right(tmp_path) -> None:
    draw_curves([*steps(12), *epochs(0.2, 0.8, 0.6)], "top1", tmp_path / "c.png")
    picture = pixels(tmp_path / "c.png")
    blue = columns_of(picture, BLUE_RGB)
    assert blue.min() < 0.2
    assert blue.max() > 0.9
    best = columns_of(picture, ORANGE_RGB)
    assert 0.7 < best.mean() < 0.9, "the second of three epochs is the best one"


@pytest.mark.slow
@pytest.mark.parametrize(
    "records",
    [
        [],
        steps(1),
        steps(30),
        epochs(0.5),
        [*steps(4), *epochs(0.5)],
        [*steps(400), *epochs(*np.linspace(0.1, 0.9, 100))],
        [*steps(4), {"event": "epoch", "step": 4, "epoch": 1, "another": 0.3}],
        [{"event": "step", "step": 1, "loss": 0.0}],
    ],
    ids=["nothing", "one step", "steps", "one epoch alone", "one epoch", "many", "another metric", "no loss"],
)
def test_curves_of_unusual_runs(records, tmp_path) -> None:
    draw_curves(records, "top1", tmp_path / "c.png")
    assert pixels(tmp_path / "c.png").shape[0] > 300


def test_row_shares_are_of_the_row() -> None:
    counts = np.array([[8, 2, 0], [0, 0, 0], [1, 1, 2]])
    assert row_shares(counts).tolist() == [[0.8, 0.2, 0.0], [0.0, 0.0, 0.0], [0.25, 0.25, 0.5]]


def test_rows_are_true_classes_and_columns_predicted_ones(tmp_path) -> None:
    """All pictures of the first class are taken for the last: the dark cell is at the top right."""
    counts = np.zeros((4, 4), int)
    counts[0, 3] = 10
    draw_confusion(counts, ["a", "b", "c", "d"], tmp_path / "m.png")
    picture = pixels(tmp_path / "m.png").astype(int)
    # The last colour of the scale, where the scale beside the matrix does not reach.
    dark = (np.abs(picture - (0x16, 0x3C, 0x58)).max(-1) <= 2)[:, : int(picture.shape[1] * 0.78)]
    rows, columns = np.nonzero(dark)
    assert rows.mean() < picture.shape[0] * 0.35
    assert columns.mean() > picture.shape[1] * 0.5


@pytest.mark.parametrize("classes", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (12, 31, 100, 130, 400))])
def test_matrices_of_any_size(classes, tmp_path) -> None:
    rng = np.random.default_rng(classes)
    draw_confusion(rng.integers(0, 50, (classes, classes)), [f"class {n}" for n in range(classes)], tmp_path / "m.png")
    height, width, _ = pixels(tmp_path / "m.png").shape
    assert 300 < height < 4000
    assert 300 < width < 4000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["$a$", "$", "100% \\frac", "", "名前", "x" * 200])
def test_any_class_name_can_be_drawn(name, tmp_path) -> None:
    draw_confusion([[1, 0], [0, 1]], [name, "other"], tmp_path / "m.png", title=f"test: {name[:20]}")
    assert max(pixels(tmp_path / "m.png").shape) < 2500


def test_names_and_matrix_must_fit(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"expected a \(3, 3\) matrix for 3 class names, got \(2, 2\)"):
        draw_confusion([[1, 0], [0, 1]], ["a", "b", "c"], tmp_path / "m.png")


def test_a_figure_that_cannot_be_written_says_so(tmp_path) -> None:
    (tmp_path / "m.png").mkdir()
    with pytest.raises(StorageError, match="could not be written"):
        save(new_figure(1, 1), tmp_path / "m.png")


@pytest.mark.slow
def test_matplotlib_s_global_state_is_not_touched() -> None:
    import subprocess
    import sys

    code = "import sys; from sightline.report.figure import new_figure; new_figure(1, 1); sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
