"""Write a reference page for each verb from the command line itself: `make docs`.

The pages are kept in the repository; a test compares them with what the code gives.
"""

from pathlib import Path
from typing import Any

import typer

from sightline.cli.main import app

FOLDER = Path(__file__).parent / "reference" / "cli"


def pages() -> dict[str, str]:
    """The text of each page by its file name."""
    root = typer.main.get_command(app)
    written = {f"{name}.md": verb_page(name, verb) for name, verb in root.commands.items()}  # type: ignore[attr-defined]
    return {"README.md": overview(root), **written}


def overview(root: Any) -> str:
    """The page that lists the verbs."""
    lines = [
        f"- [`sightline {name}`]({name}.md): {verb.get_short_help_str(200)}" for name, verb in root.commands.items()
    ]
    return "\n".join(["# The command line", "", _HEAD, "", *_paragraphs(root.help), *lines, "", *_epilog(root.epilog)])


def verb_page(name: str, verb: Any) -> str:
    """The page of one verb: what it does, an example, its arguments and options."""
    arguments = [parameter for parameter in verb.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in verb.params if parameter.param_type_name == "option"]
    usage = " ".join(["sightline", name, "[OPTIONS]", *(_usage(argument) for argument in arguments)])
    lines = [f"# sightline {name}", "", _HEAD, "", "```text", usage, "```", "", *_paragraphs(verb.help)]
    lines += _epilog(verb.epilog)
    if arguments:
        lines += ["## Arguments", "", "| argument | |", "|---|---|"]
        lines += [f"| `{_cell(argument.metavar)}` | {_help(argument)} |" for argument in arguments] + [""]
    lines += ["## Options", "", "| option | |", "|---|---|"]
    lines += [f"| `{_cell(_option(option))}` | {_help(option)} |" for option in options]
    return "\n".join([*lines, ""])


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"wrote {FOLDER / name}")


_HEAD = "*Made from the code by `make docs`.*"


def _paragraphs(text: str) -> list[str]:
    return [line for part in text.strip().split("\n\n") for line in (" ".join(part.split()), "")]


def _epilog(text: str) -> list[str]:
    """The example as a block of shell; what follows it as text."""
    example, _, rest = text.partition("\n\n")
    commands = [line.strip() for line in example.splitlines()[2:]]
    return ["```sh", *commands, "```", "", *(_paragraphs(rest) if rest else [])]


def _usage(argument: Any) -> str:
    return argument.metavar if argument.required else f"[{argument.metavar}]"


def _option(option: Any) -> str:
    return option.opts[0] if option.is_flag else f"{option.opts[0]} {option.metavar}"


def _help(parameter: Any) -> str:
    text = " ".join(parameter.help.split())
    if parameter.default not in (None, False, ()) and not parameter.required and "[default:" not in text:
        text += f" [default: {parameter.default}]"
    return _cell(text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
