"""Predicting for many pictures, in parts, going on after it was killed."""

import json
import os
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.checkpoint import Header, save
from sightline.cli.main import main
from sightline.data.formats import read
from sightline.errors import InputError
from sightline.models import create_model
from sightline.structures import Preprocessing
from sightline.workflows import predict_job as workflow
from sightline.workflows.predict import predict
from sightline.workflows.predict_job import predict_job
from sightline.workflows.shard import shard
from tests.forked import Forked

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network that learned nothing."""
    path = tmp_path_factory.mktemp("run") / "weights.safetensors"
    arguments = {"stem": "small"}
    header = Header(
        architecture="resnet18",
        arguments=arguments,
        task="classification",
        class_names=("a", "b"),
        preprocessing=Preprocessing(resize=16, crop=16),
    )
    save(path, create_model("resnet18", num_classes=2, **arguments).state_dict(), header)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "many", 25)


def write_pictures(folder: Path, count: int, side: int = 16) -> Path:
    generator = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
    return folder


def lines(job: Path) -> list[dict[str, object]]:
    return [json.loads(line) for file in sorted(job.glob("part-*.jsonl")) for line in file.read_text().splitlines()]


def test_every_picture_is_in_one_line_and_said_as_predict_says_it(
    weights: Path, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "2/bad.png").write_bytes(b"nothing")
    result = predict_job(weights, [pictures], tmp_path / "job", part=8)
    assert (result.pictures, result.unreadable, result.parts, result.done_before) == (26, 1, 4, 0)
    found = lines(tmp_path / "job")
    expected = {row.path: row for row in predict(weights, [pictures]).rows}
    assert sorted(str(line["path"]) for line in found) == sorted(expected)
    for line in found:
        row = expected[str(line["path"])]
        assert line["error"] == row.error
        tops = [(top["label"], top["score"]) for top in line["top"]]  # type: ignore[attr-defined]
        assert [name for name, _ in tops] == [name for name, _ in row.top]
        np.testing.assert_allclose([score for _, score in tops], [score for _, score in row.top], atol=1e-4)


def test_only_parts_that_are_missing_are_done(
    weights: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / "job"
    written = workflow._write_part

    def stopping(*arguments: object) -> None:
        if arguments[1] == 2:
            raise KeyboardInterrupt
        written(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(workflow, "_write_part", stopping)
    with pytest.raises(KeyboardInterrupt):
        predict_job(weights, [pictures], job, part=8)
    before = {file: file.stat().st_mtime_ns for file in job.glob("part-*")}
    assert len(before) == 2
    assert not (job / "summary.json").exists()
    monkeypatch.undo()
    result = predict_job(weights, [pictures], job, part=8)
    assert (result.done_before, result.parts) == (2, 4)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert len({str(line["path"]) for line in lines(job)}) == len(lines(job)) == 25
    assert predict_job(weights, [pictures], job, part=8).done_before == 4


def test_what_a_job_does_not_go_on_with(weights: Path, pictures: Path, tmp_path: Path) -> None:
    job = tmp_path / "job"
    predict_job(weights, [pictures], job, part=8)
    with pytest.raises(InputError, match="with 8 pictures in a part, not 9"):
        predict_job(weights, [pictures], job, part=9)
    other = tmp_path / "other.safetensors"
    save(
        other,
        {},
        Header(
            architecture="resnet18",
            arguments={},
            task="classification",
            class_names=("a", "b"),
            preprocessing=Preprocessing(resize=16, crop=16),
        ),
    )
    with pytest.raises(InputError, match="with other weights"):
        predict_job(other, [pictures], job, part=8)
    os.utime(pictures / "1/10.png", (1, 1))
    with pytest.raises(InputError, match="25 then, 25 now, and the first difference is among the pictures 9 to 16"):
        predict_job(weights, [pictures], job, part=8)
    (pictures / "3.png").touch()
    with pytest.raises(InputError, match=r"25 then, 26 now.*choose a new folder"):
        predict_job(weights, [pictures], job, part=8)
    with pytest.raises(InputError, match="something else than a job"):
        predict_job(weights, [pictures], pictures.parent, part=8)
    with pytest.raises(InputError, match="would become pictures"):
        predict_job(weights, [pictures], pictures / "job", part=8)
    with pytest.raises(InputError, match="no picture in it"):
        predict_job(weights, [job], tmp_path / "new", part=8)


def test_a_part_that_was_changed_is_named(weights: Path, pictures: Path, tmp_path: Path) -> None:
    predict_job(weights, [pictures], tmp_path / "job", part=8)
    file = tmp_path / "job/part-000001.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match=r"part-000001\.jsonl has 7 lines and not 8"):
        predict_job(weights, [pictures], tmp_path / "job", part=8)


def test_a_job_over_shards(weights: Path, pictures: Path, tmp_path: Path) -> None:
    shard(pictures, tmp_path / "shards")
    result = predict_job(weights, [tmp_path / "shards"], tmp_path / "job", part=8)
    assert (result.pictures, result.unreadable) == (25, 0)
    source = read(tmp_path / "shards").source
    assert [line["path"] for line in lines(tmp_path / "job")] == [source.name(at) for at in range(25)]
    with pytest.raises(InputError, match="one of them"):
        predict_job(weights, [tmp_path / "shards", pictures], tmp_path / "both")
    with pytest.raises(InputError, match=r"Shards are read with --job"):
        predict(weights, [tmp_path / "shards"])


def test_the_verb(weights: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(weights), str(pictures), "--job", str(tmp_path / "job"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["pictures"], said["unreadable"], said["parts"], said["done_before"]) == (25, 0, 1, 0)
    (pictures / "0/0.png").write_bytes(b"")
    assert main(["predict", str(weights), str(pictures), "--job", str(tmp_path / "two")]) == 1
    assert "two: 25 pictures, 1 could not be read, in 1 part" in capsys.readouterr().out
    assert main(["predict", str(weights), str(pictures), "--job", "a", "--out", "b.csv"]) == 2


def test_a_job_that_is_killed_twice_has_every_picture_once(weights: Path, tmp_path: Path) -> None:
    """20,000 pictures where SIGHTLINE_JOB_PICTURES says so, 900 else."""
    count = int(os.environ.get("SIGHTLINE_JOB_PICTURES", "900"))
    part = min(1000, count // 6)
    pictures, job = write_pictures(tmp_path / "many", count, side=32), tmp_path / "job"
    work = partial(predict_job, weights, [pictures], job, part=part)
    for kill in (1, 2):
        process, limit = Forked(work), time.monotonic() + 200
        while len(list(job.glob("part-*.jsonl"))) < kill:
            assert not process.ended, process.said("err")
            assert time.monotonic() < limit
            time.sleep(0.002)
        process.kill()
        assert kill <= len(list(job.glob("part-*.jsonl"))) < count // part
    process = Forked(work)
    assert process.wait() == 0, process.said("err")
    said = json.loads((job / "summary.json").read_text())
    assert said["pictures"] == count
    assert said["done_before"] >= 2
    found = [str(line["path"]) for line in lines(job)]
    assert sorted(found) == sorted(str(path) for path in pictures.rglob("*.png"))
    assert not list(job.glob(".*partial"))
