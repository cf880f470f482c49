"""Demo: write the sample data, train, evaluate on pictures that were not trained on, label a few, keep the pictures."""

import time
from pathlib import Path
from typing import Any

from sightline.config import compose
from sightline.data.samples import write_digits
from sightline.errors import InputError, TrainingError
from sightline.training.runlog import Listener, Silence
from sightline.workflows.evaluate import evaluate
from sightline.workflows.predict import predict, write_predictions
from sightline.workflows.train import start

# Digits are learnt at a quarter of the resolution of the stem for small images as well, four times faster; and a mirrored digit
# is no digit, or another one.
RECIPE = {
    "model": {"name": "resnet18", "arguments": {"stem": "small_pooled"}},
    "training": {"epochs": 6},
    "augmentation": {"mirror": 0.0},
}
SHOWN = 30


def demo(out: str | Path = "runs/demo", *, listener: Listener | None = None) -> dict[str, Any]:
    """Learn handwritten digits (scikit-learn's 1,797 real ones) and say where everything lies; JSON can hold the result.

    Raises `InputError` when `out` is there already.
    """
    began, out, listener = time.perf_counter(), Path(out), listener or Silence()
    if out.exists() and any(out.iterdir()):
        raise InputError(
            f"{out} exists already and is not overwritten. Remove it, or choose another folder with --out."
        )
    data = write_digits(out / "digits")
    listener.say(f"sample data: {data}")
    result = start(
        compose([("demo", {**RECIPE, "data": {"path": str(data)}})]), name="classifier", out=out, listener=listener
    )
    if not result.finished:
        raise TrainingError(f"The demo was stopped while it trained. Go on with: sightline train --resume {result.run}")
    tested = evaluate(result.run, split="test", listener=listener)
    pictures = sorted((data / "test").rglob("*.png"))
    shown = predict(result.run, [pictures[i * len(pictures) // SHOWN] for i in range(SHOWN)], listener=listener)
    written = write_predictions(shown, result.run / "pictures" / "predictions.csv")
    return {
        "data": str(data),
        "run": str(result.run),
        "test": tested,
        "predictions": [{"path": row.path, "top": row.top} for row in shown.rows],
        "pictures": [
            str(path) for path in sorted({*written, *(result.run / "pictures").glob("*.png")}) if path.suffix == ".png"
        ],
        "seconds": round(time.perf_counter() - began, 1),
    }
