"""A run killed with SIGKILL in the middle of an epoch and resumed ends with the bits of the run that was never killed."""

import functools
import json
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from benchmarks.range_server import serving
from sightline.cli.main import main
from sightline.data.samples import write_scenes
from sightline.workflows.shard import shard
from tests.forked import Forked
from tests.workflows.discs import DETECTOR as SMALL
from tests.workflows.discs import write_discs

pytestmark = pytest.mark.slow

SETTINGS = {
    "training.batch_size": 16,
    "training.log_every": 1,
    "training.precision": "float32",
    "training.ema": 0.9,
    "model.arguments.stem": "imagenet",
    "augmentation.mixup": 0.2,
    "optimizer.lr": 0.01,
}
# Quick, and with dropout, whose draws a resume has to find again.
GOOGLENET = {"model.name": "googlenet", "model.arguments.auxiliary": "false"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, generator = tmp_path_factory.mktemp("data") / "colours", np.random.default_rng(0)
    for split, count in (("train", 32), ("val", 8)):
        for channel, name in enumerate(("blue", "green", "red")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 150, (32, 32, 3), dtype=np.uint8)
                pixels[..., channel] += 80
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def command(*words: object, processes: int = 1) -> Forked:
    return Forked(partial(main, ["train", *map(str, words), "--json"]), processes)


def words_of_training(data: Path | str, out: Path, name: str, workers: int) -> list[object]:
    settings = [f"--set={key}={value}" for key, value in {**SETTINGS, **GOOGLENET, "data.workers": workers}.items()]
    return [data, "--name", name, "--out", out, "--epochs", 3, *settings]


def finish(command: Forked, code: int = 0) -> None:
    assert command.wait() == code, command.said("err")


def wait_for_step(run: Path, step: int, command: Forked) -> None:
    limit = time.monotonic() + 200
    while time.monotonic() < limit:
        log = run / "log.jsonl"
        if log.exists() and any(f'"step": {step},' in line for line in log.read_text().splitlines()):
            return
        assert not command.ended, command.said("err")
        time.sleep(0.01)
    raise AssertionError(f"step {step} was not reached")


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The run that was never killed, by its number of processes. How many workers load the pictures changes nothing in it."""

    @functools.cache
    def run(processes: int) -> Path:
        out = tmp_path_factory.mktemp("whole")
        finish(command(*words_of_training(pictures, out, "whole", 0), processes=processes))
        return out / "whole"

    return run


def same_weights(run: Path, other: Path, *names: str) -> None:
    for name in names:
        files = [folder / "weights" / f"{name}.safetensors" for folder in (run, other)]
        # The recipe in the header says how many workers there were.
        contents = [re.sub(rb'(workers\\": )\d', rb"\1some", file.read_bytes()) for file in files]
        assert contents[0] == contents[1], name
        assert len(load_file(files[0])) > 50


def kill_at(step: int, cut: Forked, run: Path) -> None:
    wait_for_step(run, step, cut)
    cut.kill()
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert step <= max(steps) < 18, "the run was to be killed before its end"  # 6 steps an epoch


def test_kill_and_resume_with_workers(pictures: Path, tmp_path: Path, whole: Callable[[int], Path]) -> None:
    cut = command(*words_of_training(pictures, tmp_path, "cut", 2))
    kill_at(8, cut, tmp_path / "cut")
    finish(command("--resume", tmp_path / "cut"))
    same_weights(whole(1), tmp_path / "cut", "last", "best")


def test_term_saves_within_the_epoch_and_says_how_to_go_on(
    pictures: Path, tmp_path: Path, whole: Callable[[int], Path]
) -> None:
    """What goes on is then killed, and goes on again."""
    cut = command(*words_of_training(pictures, tmp_path, "cut", 0))
    wait_for_step(tmp_path / "cut", 3, cut)
    cut.terminate()
    finish(cut, code=1)
    assert "--resume" in cut.said("err")
    saved = sorted(path.name for path in (tmp_path / "cut" / "state").iterdir())
    assert int(saved[-1].removeprefix("step-")) % 6 != 0, "the state is of the step at which it stopped"
    kill_at(9, command("--resume", tmp_path / "cut"), tmp_path / "cut")
    finish(command("--resume", tmp_path / "cut"))
    same_weights(whole(1), tmp_path / "cut", "last", "best")


def test_kill_and_resume_on_shards_at_an_address(pictures: Path, tmp_path: Path) -> None:
    shard(pictures, tmp_path / "shards", pictures=40)
    with serving(tmp_path) as server:
        data = f"{server.address}/shards"
        finish(command(*words_of_training(data, tmp_path, "whole", 0)))
        cut = command(*words_of_training(data, tmp_path, "cut", 2))
        kill_at(8, cut, tmp_path / "cut")
        finish(command("--resume", tmp_path / "cut"))
    same_weights(tmp_path / "whole", tmp_path / "cut", "last", "best")


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_discs(tmp_path_factory.mktemp("data") / "discs", {"train": 24, "val": 4})


DETECTOR = {
    "model.name": "faster_rcnn",
    **{
        f"model.arguments.{name}": json.dumps(value)
        for name, value in SMALL["arguments"].items()
        if not isinstance(value, dict)
    },
    **{
        f"model.arguments.{part}.{name}": json.dumps(value)
        for part in ("proposing", "judging")
        for name, value in SMALL["arguments"][part].items()
    },
}
QUICK_TRAINING = {
    "data.image_size": 64,
    "training.batch_size": 4,
    "training.log_every": 1,
    "training.precision": "float32",
    "optimizer.lr": 0.001,
}


def detector_words(
    data: Path, out: Path, name: str, workers: int, epochs: int = 3, more: Mapping[str, object] = DETECTOR
) -> list[object]:
    settings = {**QUICK_TRAINING, **more, "data.workers": workers}
    return [data, "--name", name, "--out", out, "--epochs", epochs, *(f"--set={k}={v}" for k, v in settings.items())]


@pytest.fixture(scope="module")
def whole_detector(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """As `whole`."""

    @functools.cache
    def run(processes: int) -> Path:
        out = tmp_path_factory.mktemp("whole")
        finish(command(*detector_words(discs, out, "whole", 0), processes=processes))
        return out / "whole"

    return run


@pytest.mark.parametrize(("workers", "processes"), [(2, 1), (0, 2)])
def test_kill_and_resume_a_detector(
    discs: Path, tmp_path: Path, whole_detector: Callable[[int], Path], workers: int, processes: int
) -> None:
    cut = command(*detector_words(discs, tmp_path, "cut", workers), processes=processes)
    kill_at(8, cut, tmp_path / "cut")
    finish(command("--resume", tmp_path / "cut", processes=processes))
    same_weights(whole_detector(processes), tmp_path / "cut", "last")


def one_and_two_agree(out: Path) -> None:
    losses = []
    for name in ("1", "2"):
        records = [json.loads(text) for text in (out / name / "log.jsonl").read_text().splitlines()]
        losses.append([record["loss"] for record in records if record["event"] == "step"][:10])
    assert len(losses[0]) == 10
    np.testing.assert_allclose(losses[0], losses[1], rtol=0, atol=1e-4)


def test_one_and_two_processes_agree_on_a_detector(
    discs: Path, tmp_path: Path, whole_detector: Callable[[int], Path]
) -> None:
    """The same pictures, augmentation and drawn boxes: with batch statistics left alone the first ten losses agree to 1e-4."""
    more = {
        "training.freeze_norm": "true",
        "model.name": "faster_rcnn",
        "model.weights": whole_detector(1),
        "boxes.scale": "[1.0, 1.0]",
        "boxes.crop": 0.0,  # all pictures of one size: padding would be another where batches are
    }
    finish(command(*detector_words(discs, tmp_path, "1", 0, 2, more)))
    finish(command(*detector_words(discs, tmp_path, "2", 0, 2, more), processes=2))
    one_and_two_agree(tmp_path)


SEGMENTER = {
    "model.name": "unet",
    "model.arguments.width": 4,
    "data.passes": 1,
    "masks.elastic": 0.5,
    "segmentation.touching": 10.0,
}


def test_a_segmenter_resumes_to_the_same_bits_and_one_and_two_processes_agree(tmp_path: Path) -> None:
    """Killed with two workers; then, from its weights and with their statistics left alone, the first ten losses agree to 1e-4."""
    data = write_scenes(tmp_path / "masks", counts={"train": 24, "val": 3}, masks=True)
    finish(command(*detector_words(data, tmp_path, "whole", 0, more=SEGMENTER)))
    cut = command(*detector_words(data, tmp_path, "cut", 2, more=SEGMENTER), processes=1)
    kill_at(8, cut, tmp_path / "cut")
    finish(command("--resume", tmp_path / "cut"))
    same_weights(tmp_path / "whole", tmp_path / "cut", "last")
    more = {**SEGMENTER, "training.freeze_norm": "true", "model.weights": tmp_path / "whole"}
    finish(command(*detector_words(data, tmp_path, "1", 0, 2, more)))
    finish(command(*detector_words(data, tmp_path, "2", 0, 2, more), processes=2))
    one_and_two_agree(tmp_path)


def test_one_and_two_processes_agree(pictures: Path, tmp_path: Path) -> None:
    """The same global batches: with batch statistics left alone the first ten losses agree to 1e-4."""
    # A network without dropout, which each process draws for itself.
    settings = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    finish(command(pictures, "--name", "start", "--out", tmp_path, "--epochs", 1, *settings))
    # Frozen statistics are for networks that have some: without, an untrained one multiplies any rounding step by step.
    frozen = {"training.freeze_norm": "true", "model.weights": tmp_path / "start", "training.batch_size": 8}
    settings = [f"--set={key}={value}" for key, value in {**SETTINGS, **frozen}.items()]
    words = (pictures, "--out", tmp_path, "--epochs", 1, *settings, "--name")
    finish(command(*words, "1"))
    finish(command(*words, "2", processes=2))
    one_and_two_agree(tmp_path)


def test_a_process_that_is_killed_is_named_by_the_other_and_the_run_goes_on(
    pictures: Path, tmp_path: Path, whole: Callable[[int], Path]
) -> None:
    cut = command(*words_of_training(pictures, tmp_path, "cut", 0), "--processes", 2)  # torchrun starts the two
    wait_for_step(tmp_path / "cut", 8, cut)
    ranks = {}
    for pid in cut.pids:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        ranks.update({int(v.removeprefix(b"RANK=")): pid for v in variables if v.startswith(b"RANK=")})
    os.kill(ranks[1], signal.SIGKILL)
    assert cut.wait(120) != 0
    assert "bug" not in cut.said("err")
    assert "Traceback" not in cut.said("err")
    assert "Another process of this training ended" in cut.said("err").replace("\n", " ")
    assert "Another process" in json.loads(cut.said("out"))["error"]
    finish(command("--resume", tmp_path / "cut", processes=2))
    same_weights(whole(2), tmp_path / "cut", "last", "best")
