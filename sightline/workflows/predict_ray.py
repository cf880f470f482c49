"""Predict over a cluster with Ray Data: every worker has the network, and rows of pictures flow through."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sightline.data.decode import decode
from sightline.errors import InputError, MissingDependencyError
from sightline.inference.predictor import load
from sightline.workflows.predict import as_object, row_of

BATCH = 64


def predict_dataset(
    dataset: Any,
    run: str | Path,
    *,
    column: str = "bytes",
    name: str = "path",
    batch_size: int = BATCH,
    **resources: Any,
) -> Any:
    """A Ray dataset with a row {`name`, "prediction"} for each row of `dataset`: the prediction as `predict` writes it in JSON lines.

    `dataset` has the bytes of a picture's file in `column`, as `ray.data.read_binary_files(path, include_paths=True)` gives them, or for
    shards `ray.data.read_webdataset(path, decoder=False)` (`column="jpg", name="__key__"`). A picture that cannot be read has its
    reason in its prediction. `run` is a run folder or a weights file that every machine finds there. `resources` are those of
    `Dataset.map_batches`, such as `num_gpus=1` and `concurrency=4`. Masks are not in the predictions, their shares are. Raises
    `MissingDependencyError` without Ray, `InputError` for columns that are not there.
    """
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("ray", "predicting over a cluster", "ray") from error
    there = dataset.columns()
    missing = [wanted for wanted in (column, name) if there is not None and wanted not in there]
    if missing:
        raise InputError(
            f"The dataset has no column {missing[0]!r}; it has {', '.join(there)}. Name it with column= or name=."
        )
    settings = {"concurrency": 1, **resources}
    return dataset.map_batches(
        Worker, fn_constructor_args=(str(run), column, name), batch_size=batch_size, batch_format="numpy", **settings
    )


class Worker:
    """The network of a run on one worker, for batches of rows."""

    def __init__(self, run: str, column: str, name: str) -> None:
        self.predictor = load(run)
        self.column, self.name = column, name

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The names of the rows, and their predictions as JSON."""
        names = [str(name) for name in batch[self.name]]
        contents = batch[self.column]

        def read(row: int) -> Tensor:
            return decode(bytes(contents[row]), names[row])

        lines = [
            json.dumps(as_object(row_of(names[row], outcome, self.predictor.class_names), self.predictor.task.name))
            for row, outcome in self.predictor.stream(range(len(names)), read=read)
        ]
        return {self.name: np.array(names, object), "prediction": np.array(lines, object)}
