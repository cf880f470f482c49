"""Train, evaluate and use image classifiers, object detectors and segmenters, from Python or from the shell.

    import sightline

    sightline.write_digits("digits")                                  # real handwritten digits, from scikit-learn
    print(sightline.check("digits")["errors"])
    result = sightline.train("digits", model="resnet18", name="first", training={"epochs": 5})
    print(sightline.evaluate(result.run, split="test")["top1"])
    print(sightline.load(result.run).predict(["digits/test/7"]))
    print(sightline.predict(result.run, ["digits/test/*/*.png"]).rows[0])

The names below are loaded when they are first used, so `import sightline` costs nothing. Everything that goes wrong on purpose is a
`SightlineError`; its kinds are drawn in `sightline.errors`.

>>> from sightline import SightlineError, create_model
>>> create_model("resnet18", num_classes=10).strides["c5"]
32
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.data.formats import read as read
    from sightline.data.samples import write_digits as write_digits
    from sightline.data.samples import write_scenes as write_scenes
    from sightline.errors import SightlineError as SightlineError
    from sightline.inference.predictor import load as load
    from sightline.models import create_model as create_model
    from sightline.workflows.ablate import ablate as ablate
    from sightline.workflows.check import check as check
    from sightline.workflows.convert import convert as convert
    from sightline.workflows.describe import describe as describe
    from sightline.workflows.evaluate import evaluate as evaluate
    from sightline.workflows.explain import explain as explain
    from sightline.workflows.predict import predict as predict
    from sightline.workflows.shard import shard as shard
    from sightline.workflows.split import split as split
    from sightline.workflows.train import resume as resume
    from sightline.workflows.train import train as train

__version__ = "0.1.0"

__all__ = [
    "SightlineError",
    "__version__",
    "ablate",
    "check",
    "convert",
    "create_model",
    "describe",
    "evaluate",
    "explain",
    "load",
    "predict",
    "read",
    "resume",
    "shard",
    "split",
    "train",
    "write_digits",
    "write_scenes",
]

_DEFINED_IN = {
    "SightlineError": "sightline.errors",
    "ablate": "sightline.workflows.ablate",
    "check": "sightline.workflows.check",
    "convert": "sightline.workflows.convert",
    "create_model": "sightline.models",
    "describe": "sightline.workflows.describe",
    "evaluate": "sightline.workflows.evaluate",
    "explain": "sightline.workflows.explain",
    "load": "sightline.inference.predictor",
    "predict": "sightline.workflows.predict",
    "read": "sightline.data.formats",
    "resume": "sightline.workflows.train",
    "shard": "sightline.workflows.shard",
    "split": "sightline.workflows.split",
    "train": "sightline.workflows.train",
    "write_digits": "sightline.data.samples",
    "write_scenes": "sightline.data.samples",
}


def __getattr__(name: str) -> Any:
    if name not in _DEFINED_IN:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}. It has: {', '.join(__all__)}.")
    value = getattr(import_module(_DEFINED_IN[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
