"""Write a reference page for each verb from the command line itself, and one for the keys of a recipe: `make docs`.

The pages are kept in the repository; a test compares them with what the code gives.
"""

import ast
import inspect
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from sightline.cli.main import app
from sightline.config import RunConfig
from sightline.models.detector_settings import Judging, Proposing

FOLDER = Path(__file__).parent / "reference" / "cli"
RECIPE = FOLDER.parent / "recipe.md"


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


def recipe_page() -> str:
    """The page of all keys of a recipe, from the dataclasses that read it."""
    config = RunConfig()
    sections = [entry.name for entry in fields(RunConfig) if is_dataclass(getattr(config, entry.name))]
    lines = ["# The keys of a recipe", "", _HEAD, "", *_paragraphs(_RECIPE), *_keys(RunConfig, set(sections))]
    said = _field_docs(RunConfig)
    for name in sections:
        section = type(getattr(config, name))
        what = inspect.cleandoc(section.__doc__ or "").partition(".")[0]
        lines += ["", f"## [{name}]", "", *_paragraphs(f"{what}. {said.get(name, '')}"), *_keys(section, set())]
    for name, settings in DETECTOR.items():
        said_of_it = inspect.cleandoc(settings.__doc__ or "")
        lines += [
            "",
            f"## [model.arguments.{name}]",
            "",
            *_paragraphs(f"{_OF_DETECTORS} {said_of_it}"),
            *_keys(settings, set()),
        ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    texts = {FOLDER / name: text for name, text in pages().items()} | {RECIPE: recipe_page()}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")


_HEAD = "*Made from the code by `make docs`.*"

_RECIPE = """
A recipe is a TOML file for `sightline train --recipe FILE`; [recipes](../../recipes) has some. Every key may be left out: what has no
default here is then chosen from the data and said, or not used. Flags stand over the recipe, and `--set SECTION.KEY=VALUE` over both.
A run folder keeps the recipe that it was trained with, with everything decided, as `recipe.toml`.
"""
DETECTOR = {"proposing": Proposing, "judging": Judging}
_OF_DETECTORS = "Of detectors ([Ren et al. 2015](architectures/faster_rcnn.md), and Girshick 2015, arXiv:1504.08083)."
_WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", dict: "table"}


def _keys(section: Any, without: set[str]) -> list[str]:
    """A table of the keys of a section, `without` some."""
    config, hints, said = section(), get_type_hints(section), _field_docs(section)
    rows = ["| key | value | default | |", "|---|---|---|---|"]
    for name in (entry.name for entry in fields(section) if entry.name not in without):
        default = getattr(config, name)
        shown = "" if default is None or default in ("", {}) else f"`{_value(default)}`"
        rows.append(f"| `{name}` | {_cell(_kind(hints[name]))} | {_cell(shown)} | {_cell(said[name])} |")
    return rows


def _field_docs(section: Any) -> dict[str, str]:
    """The text below each field of a dataclass that has one."""
    (body,) = ast.parse(inspect.cleandoc(inspect.getsource(section))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for entry, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(entry, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[ast.unparse(entry.target)] = " ".join(str(after.value.value).split())
    return found


def _kind(hint: Any) -> str:
    """What a key takes, in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{_value(argument)}`" for argument in arguments)
    if origin in (Union, UnionType):
        return ", ".join(_kind(argument) for argument in arguments if argument is not type(None))
    if origin is tuple:
        if get_origin(arguments[0]) is tuple:
            return "lists of numbers"
        return "numbers" if Ellipsis in arguments else f"{len(arguments)} numbers"
    return _WORDS[origin or hint]


def _value(value: Any) -> str:
    """A value as TOML writes it, with as many digits as are needed to know it again."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


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
