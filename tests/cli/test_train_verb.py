"""`sightline train` with the work itself replaced: what is parsed, layered, refused and printed."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sightline.cli.train import without_option
from sightline.workflows import launch as launching
from sightline.workflows import train as workflow

RESULT = workflow.TrainResult(
    run=Path("runs/first"),
    finished=True,
    epochs=3,
    best_epoch=2,
    headline="top1",
    metrics={"top1": 0.5, "images": 10},
    seconds=75.0,
)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What `start` and `resume` were called with; `result` is what they return."""
    calls = SimpleNamespace(result=RESULT, config=None, resumed=None)

    def start(config: Any, *, name: Any, out: Any, listener: Any) -> Any:
        calls.config, calls.name, calls.out = config, name, out
        listener.say("said by the workflow")
        return calls.result

    def resume(run: Any, *, listener: Any) -> Any:
        calls.resumed = run
        return calls.result

    monkeypatch.setattr(workflow, "start", start)
    monkeypatch.setattr(workflow, "resume", resume)
    return calls


def test_flags_arrive_where_they_belong(cli, started) -> None:
    words = "train data --model resnet50 --weights imagenet --freeze c3 --epochs 7 --seed 5 --compile --name n --out o"
    assert cli(*words.split()).code == 0
    config = started.config
    assert (config.data.path, config.model.name, config.model.weights, config.model.freeze) == (
        "data", "resnet50", "imagenet", "c3")  # fmt: skip
    assert (config.training.epochs, config.seed, config.training.compile) == (7, 5, True)
    assert (started.name, started.out) == ("n", Path("o"))


def test_nothing_given_leaves_the_defaults(cli, started) -> None:
    from sightline.config import compose

    assert cli("train", "data").code == 0
    assert started.config == compose([("data", {"data": {"path": "data"}})])
    assert (started.name, started.out) == (None, Path("runs"))


def test_the_recipe_is_first_flags_over_it_and_set_over_both(cli, started, tmp_path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('seed = 1\n[data]\npath = "from-recipe"\n[training]\nepochs = 1\nclip = 0.5\n')
    settings = ["--set", "training.epochs=3", "--set", "optimizer.lr=0.25"]
    assert cli("train", "--recipe", recipe, "--epochs", "2", "--seed", "2", *settings).code == 0
    config = started.config
    assert (config.training.epochs, config.seed, config.training.clip) == (3, 2, 0.5)
    assert (config.optimizer.lr, config.data.path) == (0.25, "from-recipe")


@pytest.mark.parametrize(
    ("words", "recipe", "said"),
    [
        (["data", "--set", "training.epoch=3"], "", "--set training.epoch=3: unknown key training.epoch. Did you mean"),
        (["data"], "[training]\nepoch = 3\n", "r.toml: unknown key training.epoch. Did you mean training.epochs?"),
        (["data"], "not toml", "r.toml is not a readable TOML file"),
        (["data", "--epochs", "0"], "", "training.epochs: expected 1 or more, got 0"),
        (["data", "--set", "training.epochs"], "", "--set training.epochs: expected KEY=VALUE"),
        (["data", "--set", "seed=many"], "", "seed: expected a whole number, got 'many'"),
        ([], "", "No data given. Name a folder or a file"),
    ],
)
def test_wrong_settings_name_their_source(cli, started, tmp_path, words, recipe, said) -> None:
    if recipe:
        (tmp_path / "r.toml").write_text(recipe)
        words = [*words, "--recipe", tmp_path / "r.toml"]
    done = cli("train", *words)
    assert done.code == 2
    assert done.err.startswith("sightline:")  # a long path begins on the next line
    assert said in done.said
    assert done.out == ""
    assert started.config is None


def test_a_recipe_that_is_not_there(cli, started) -> None:
    done = cli("train", "--recipe", "nowhere.toml")
    assert (done.code, done.said) == (2, "sightline: There is no recipe at nowhere.toml.")


def test_resume_goes_on(cli, started) -> None:
    assert cli("train", "--resume", "runs/first").code == 0
    assert started.resumed == Path("runs/first")


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["data"], "DATA"),
        (["--model", "resnet18"], "--model"),
        (["--weights", "none"], "--weights"),
        (["--freeze", "c2"], "--freeze"),
        (["--epochs", "3"], "--epochs"),
        (["--seed", "0"], "--seed"),
        (["--compile"], "--compile"),
        (["--recipe", "r.toml"], "--recipe"),
        (["--name", "n"], "--name"),
        (["--out", "runs"], "--out"),
        (["--set", "seed=1"], "--set"),
    ],
)
def test_resume_takes_its_recipe_and_no_other_option(cli, started, words, flag) -> None:
    done = cli("train", "--resume", "runs/first", *words)
    assert done.code == 2
    assert f"so {flag} cannot be given with it" in done.said
    assert started.resumed is None


def test_an_interrupted_training_says_how_to_go_on(cli, started) -> None:
    from dataclasses import replace

    started.result = replace(RESULT, finished=False)
    done = cli("train", "data")
    assert done.code == 1
    assert "Stopped and saved. Go on with: sightline train --resume runs/first" in done.err
    assert "evaluate" not in done.out


def test_the_result_for_people(cli, started) -> None:
    done = cli("train", "data")
    assert done.out.splitlines() == [
        "best validation top1 0.5000 in epoch 2, 3 epochs in 1:15",
        "run: runs/first",
        "next: sightline evaluate runs/first",
    ]
    assert done.err == "said by the workflow\n"


def test_json_is_one_object_and_talk_goes_elsewhere(cli, started) -> None:
    done = cli("train", "data", "--json")
    assert json.loads(done.out) == {
        "run": "runs/first",
        "finished": True,
        "epochs": 3,
        "best_epoch": 2,
        "headline": "top1",
        "metrics": {"top1": 0.5, "images": 10},
        "seconds": 75.0,
    }
    assert done.out.count("\n") == 1
    assert done.err == "said by the workflow\n"


@pytest.mark.parametrize("spelling", [["--processes", "2"], ["--processes=2"]])
def test_several_processes_are_launched_with_the_same_words(cli, started, monkeypatch, spelling) -> None:
    launched = []
    monkeypatch.setattr(launching, "launch", lambda processes, words: launched.append((processes, words)) or 1)
    done = cli("train", "data", *spelling, "--epochs", "3")
    assert launched == [(2, ["train", "data", "--epochs", "3"])]
    assert (done.code, started.config) == (1, None)


def test_wrong_words_are_refused_before_processes_start(cli, started, monkeypatch) -> None:
    monkeypatch.setattr(launching, "launch", lambda processes, words: pytest.fail("started"))
    assert cli("train", "data", "--processes", "2", "--set", "nonsense=1").code == 2


def test_one_of_several_processes_works_itself(cli, started, monkeypatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setattr(launching, "launch", lambda processes, words: pytest.fail("started"))
    assert cli("train", "data", "--processes", "2").code == 0
    assert started.config.data.path == "data"


def test_only_the_first_process_talks(cli, started, monkeypatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("RANK", "1")
    done = cli("train", "data", "--json")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_less_than_one_process_is_a_usage_error(cli, started) -> None:
    assert cli("train", "data", "--processes", "0").code == 2


def test_an_option_at_the_end_is_taken_out_too() -> None:
    assert without_option(["train", "data", "--processes", "4"], "--processes") == ["train", "data"]
