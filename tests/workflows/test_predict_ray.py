"""Predicting with Ray Data on one machine; without Ray only what its workers do."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.errors import InputError
from sightline.workflows.predict import as_object, predict
from sightline.workflows.predict_ray import Worker, predict_dataset
from sightline.workflows.train import TrainResult


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(6):
        Image.fromarray(np.full((16, 16, 3), 40 * number, np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    return tmp_path


def expected(trained: TrainResult, photos: Path) -> dict[str, object]:
    found = predict(trained.run, [photos])
    return {row.path: as_object(row, found.task) for row in found.rows}


def test_a_worker_says_what_predict_says(trained: TrainResult, photos: Path) -> None:
    paths = sorted(photos.glob("*.png"))
    batch = {
        "path": np.array([str(path) for path in paths], object),
        "bytes": np.array([path.read_bytes() for path in paths], object),
    }
    said = Worker(str(trained.run), "bytes", "path")(batch)
    assert said["path"].tolist() == batch["path"].tolist()
    assert {line["path"]: line for line in map(json.loads, said["prediction"])} == expected(trained, photos)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dataset_of_ray(trained: TrainResult, photos: Path) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed (the extra `ray`)")
    pytest.importorskip("ray.data")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        dataset = ray.data.read_binary_files(str(photos), include_paths=True)
        with pytest.raises(InputError, match="no column 'jpg'"):
            predict_dataset(dataset, trained.run, column="jpg")
        rows = predict_dataset(dataset, trained.run, batch_size=3).take_all()
    finally:
        ray.shutdown()
    found = {Path(row["path"]).name: json.loads(row["prediction"]) for row in rows}
    wanted = {Path(path).name: line for path, line in expected(trained, photos).items()}
    assert len(rows) == len(found) == 7
    assert found.keys() == wanted.keys()
    assert found["bad.png"]["error"] is not None
    assert all(
        found[name]["top"][0]["label"] == wanted[name]["top"][0]["label"] for name in wanted if name != "bad.png"
    )  # type: ignore[index]
