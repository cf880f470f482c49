"""How a training went: the loss, and the metric that decides, over epochs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.report.figure import BLUE, FAINT, INK, ORANGE, PALE_BLUE, new_figure, quiet, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Records = Sequence[dict[str, Any]]


def draw_curves(records: Records, headline: str, path: Path) -> None:
    """Draw the records of a `log.jsonl` into a PNG file: loss on the left, the metric called `headline` on the right.

    A run without an epoch gets its loss over steps and an empty right half. Raises `StorageError` when `path` cannot be
    written.
    """
    steps = [record for record in records if record.get("event") == "step"]
    epochs = [record for record in records if record.get("event") == "epoch" and headline in record]
    per_epoch = epochs[-1]["step"] / epochs[-1]["epoch"] if epochs else None
    figure = new_figure(9, 3.4)
    left, right = figure.subplots(1, 2)
    _draw_loss(left, steps, per_epoch)
    _draw_metric(right, epochs, headline)
    if per_epoch:
        end = max(record["step"] for record in (*steps, *epochs)) / per_epoch
        for axes in (left, right) if steps else (right,):
            axes.set_xlim(0, end * 1.02)
            axes.locator_params(axis="x", integer=True, nbins=8)
    save(figure, path)


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and its neighbours, `window` of them on each side; fewer at the ends.

    >>> smoothed([4.0, 2.0, 0.0, 0.0], window=1)
    [3.0, 2.0, 0.666..., 0.0]
    """
    around = [values[max(0, place - window) : place + window + 1] for place in range(len(values))]
    return [sum(near) / len(near) for near in around]


def _draw_loss(axes: "Axes", steps: Records, per_epoch: float | None) -> None:
    quiet(axes, "training loss", "epoch" if per_epoch else "step", "")
    if not steps:
        _say_nothing(axes, "no steps logged yet")
        return
    at = [record["step"] / (per_epoch or 1) for record in steps]
    loss = [record["loss"] for record in steps]
    axes.plot(at, loss, color=PALE_BLUE, linewidth=1)
    axes.plot(at, smoothed(loss, len(loss) // 25), color=BLUE, linewidth=2)
    axes.set_ylim(0, max(loss) * 1.05 or 1)


def _draw_metric(axes: "Axes", epochs: Records, headline: str) -> None:
    quiet(axes, f"validation {headline}", "epoch", "")
    if not epochs:
        _say_nothing(axes, "no epoch finished yet")
        return
    at = [record["epoch"] for record in epochs]
    values = [record[headline] for record in epochs]
    axes.plot(at, values, color=BLUE, linewidth=2, marker="o", markersize=4 if len(at) <= 40 else 0)
    best = max(range(len(values)), key=values.__getitem__)
    axes.plot(at[best], values[best], "o", color=ORANGE, markersize=8, zorder=3)
    room = (max(values) - min(values)) or 0.1
    axes.set_ylim(min(values) - 0.08 * room, max(values) + 0.2 * room)
    right_half = at[best] > at[-1] / 2
    axes.annotate(
        f"{values[best]:.4f} in epoch {at[best]}",
        (at[best], values[best]),
        xytext=(6 if not right_half else 0, 9),
        textcoords="offset points",
        ha="right" if right_half else "left",
        color=INK,
        fontsize=9.5,
    )


def _say_nothing(axes: "Axes", text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", color=FAINT, transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])
