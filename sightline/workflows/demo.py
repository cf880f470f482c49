"""Demo: a classifier of digits, a detector of digits on photographs, and a segmenter of the same; each trained, measured and used."""

import time
from pathlib import Path
from typing import Any

from sightline.config import compose
from sightline.data.samples import write_digits, write_scenes
from sightline.errors import InputError, TrainingError
from sightline.training.runlog import Listener, Silence
from sightline.workflows.evaluate import evaluate
from sightline.workflows.explain import draw_explanations, explain, picture_files
from sightline.workflows.predict import predict, write_predictions
from sightline.workflows.train import TrainResult, start

# Digits are learnt at a quarter of the resolution of the stem for small images as well, four times faster; and a mirrored digit
# is no digit, or another one.
CLASSIFIER: dict[str, Any] = {
    "model": {"name": "resnet18", "arguments": {"stem": "small_pooled"}},
    "training": {"epochs": 4},
    "augmentation": {"mirror": 0.0},
}
# A small detector for small pictures: two stages of the classifier, a narrow pyramid, and a tenth of the usual numbers of regions.
DETECTOR: dict[str, Any] = {
    "model": {
        "name": "faster_rcnn",
        "arguments": {
            "backbone": "resnet18",
            "neck": "fpn",
            "stages": ["c2", "c3"],
            "width": 64,
            "hidden": 256,
            "proposing": {"candidates": [300, 200], "proposals": [200, 100], "samples": 64},
            "judging": {"samples": 64},
        },
    },
    "training": {"epochs": 8, "batch_size": 4, "ema": 0.99},
    "optimizer": {"lr": 1e-3},
    "boxes": {"mirror": 0.0, "crop": 0.0},
}
# The lecture's U-Net with a quarter of its channels.
SEGMENTER: dict[str, Any] = {
    "model": {"name": "unet", "arguments": {"width": 16}},
    "training": {"epochs": 4},
    "optimizer": {"lr": 3e-3},
}
SHOWN = 30


def demo(out: str | Path = "runs/demo", *, listener: Listener | None = None) -> dict[str, Any]:
    """Learn to name handwritten digits (scikit-learn's 1,797 real ones), to find them on photographs, and to cut them out.

    The result says where everything lies; JSON can hold it. Raises `InputError` when `out` is there already.
    """
    began, out, listener = time.perf_counter(), Path(out), listener or Silence()
    if out.exists() and any(out.iterdir()):
        raise InputError(
            f"{out} exists already and is not overwritten. Remove it, or choose another folder with --out."
        )
    classifier = _trained(write_digits(out / "digits"), CLASSIFIER, "classifier", listener)
    detector = _trained(write_scenes(out / "scenes"), DETECTOR, "detector", listener)
    segmenter = _trained(write_scenes(out / "masks", masks=True), SEGMENTER, "segmenter", listener)
    scene = [next(path for path in _pictures(out / "scenes"))]
    files = picture_files(detector.run, scene, ["proposals"])
    draw_explanations(explain(detector.run, scene, ["proposals"], listener=listener), files)
    return {
        "classification": _shown(classifier, listener),
        "detection": _shown(detector, listener),
        "segmentation": _shown(segmenter, listener),
        "pictures": [str(path) for path in sorted(out.glob("*/pictures/*.png"))],
        "seconds": round(time.perf_counter() - began, 1),
    }


def _trained(data: Path, recipe: dict[str, Any], name: str, listener: Listener) -> TrainResult:
    listener.say(f"sample data: {data}")
    config = compose([("demo", {**recipe, "data": {**recipe.get("data", {}), "path": str(data)}})])
    result = start(config, name=name, out=data.parent, listener=listener)
    if not result.finished:
        raise TrainingError(f"The demo was stopped while it trained. Go on with: sightline train --resume {result.run}")
    return result


def _shown(result: TrainResult, listener: Listener) -> dict[str, Any]:
    """What the run reaches on the test split, and some of its predictions, drawn too."""
    tested = evaluate(result.run, split="test", listener=listener)
    data = Path(tested["data"])
    pictures = _pictures(data)
    shown = predict(result.run, [pictures[i * len(pictures) // SHOWN] for i in range(SHOWN)], listener=listener)
    write_predictions(shown, result.run / "pictures" / "predictions.csv")
    return {"data": str(data), "run": str(result.run), "test": tested, "predictions": len(shown.rows)}


def _pictures(data: Path) -> list[Path]:
    beside_masks = data / "images" / "test"
    return sorted((beside_masks if beside_masks.is_dir() else data / "test").rglob("*.png"))
