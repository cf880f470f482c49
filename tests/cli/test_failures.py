"""What a person sees when something goes wrong: a paragraph, a code, never a traceback that was not asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.cli import sample as sample_file
from sightline.cli.failures import describe, paragraph
from sightline.data import samples
from sightline.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    SightlineError,
    StorageError,
    TrainingError,
    UnknownNameError,
)


@pytest.fixture
def failing(cli, monkeypatch):
    """Run `sightline sample` while its work raises an error."""

    def run(error: BaseException, *words: str):
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(samples, "write_digits", fail)
        return cli("sample", "out", *words)

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("The folder is empty."), 2),
        (ConfigError("Unknown key."), 2),
        (CheckpointError("There is no run."), 2),
        (UnknownNameError("model", "resnet81", ["resnet18"]), 2),
        (StorageError("The disk is full."), 1),
        (TrainingError("The loss is nan."), 1),
        (SightlineError("It failed."), 1),
    ],
)
def test_our_errors_are_a_paragraph_and_a_code(failing, error, code) -> None:
    done = failing(error)
    assert (done.code, done.out) == (code, "")
    assert done.said == f"sightline: {error}"


def test_a_bug_says_that_it_is_one_and_how_to_see_more(failing) -> None:
    done = failing(ZeroDivisionError("division by zero\nsecond line"))
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "sightline: this is a bug in Sightline: ZeroDivisionError: division by zero (set SIGHTLINE_TRACEBACK=1 to see where)\n"
    )


def test_a_traceback_is_shown_when_asked_for(failing, monkeypatch) -> None:
    run = failing
    monkeypatch.setenv("SIGHTLINE_TRACEBACK", "1")
    done = run(ZeroDivisionError("division by zero"))
    assert done.code == 1
    assert "Traceback (most recent call last)" in done.err
    assert sample_file.__file__ in done.err


def test_ctrl_c_leaves_without_a_word(failing) -> None:
    done = failing(KeyboardInterrupt())
    assert (done.code, done.out, done.err) == (130, "", "")


@pytest.mark.parametrize("error", [DataError("The folder is empty."), ValueError("odd")])
def test_json_has_the_error_too(failing, error) -> None:
    done = failing(error, "--json")
    assert set(json.loads(done.out)) == {"error"}
    assert str(error) in json.loads(done.out)["error"]
    assert str(error) in done.err


def test_one_of_several_processes_does_not_repeat_what_the_user_got_wrong(failing, monkeypatch) -> None:
    run = failing
    monkeypatch.setenv("RANK", "1")
    done = run(DataError("The folder is empty."), "--json")
    assert (done.code, done.out, done.err) == (2, "", "")
    assert "The loss is nan." in run(TrainingError("The loss is nan.")).err


@pytest.mark.parametrize(
    "words",
    [["trian"], ["train", "--nothing"], ["train", "--epochs", "many"], ["evaluate"], ["predict", "run"], ["sample"]],
)
def test_usage_errors_exit_with_two(cli, words) -> None:
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert "Usage: sightline" in done.err
    assert "Traceback" not in done.err


def test_a_usage_error_in_json(cli) -> None:
    assert "No such option" in json.loads(cli("train", "--nothing", "--json").out)["error"]


def test_no_words_show_the_help(cli) -> None:
    done = cli()
    assert done.code in (0, 2)
    assert "Commands:" in done.out + done.err


def test_the_version(cli) -> None:
    from sightline import __version__

    assert (cli("--version").code, cli("--version").out) == (0, f"{__version__}\n")


@pytest.mark.parametrize("verb", ["train", "evaluate", "predict", "models", "sample", "demo"])
def test_every_verb_explains_itself_with_an_example(cli, verb) -> None:
    done = cli(verb, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Usage: sightline {verb}" in done.out
    assert f"Example:\n    sightline {verb}" in done.out
    assert "--json" in done.out


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "import sys; from sightline.cli.main import main; sys.exit(main(['--help']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_paragraphs_keep_lines_and_never_cut_words() -> None:
    text = paragraph("sightline: three things:\n  a/very/long/path/that/does/not/fit.png\n\nthe end", width=20)
    assert text.splitlines() == [
        "sightline: three",
        "things:",
        "  a/very/long/path/that/does/not/fit.png",
        "",
        "the end",
    ]


def test_what_goes_to_a_file_is_not_wrapped(tmp_path: Path, cli) -> None:
    """A long path breaks no line in the middle of what a program looks for in a log."""
    done = cli("train", tmp_path / ("long" * 30))
    assert done.code == 2
    assert f"sightline: {tmp_path / ('long' * 30)} does not exist." in done.err


def test_exit_codes_pass_through() -> None:
    assert describe(SystemExit(3)) == 3
