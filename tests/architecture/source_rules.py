"""The rules of `docs/explanation/architecture.md` as functions from a source tree to the places that break them.

Each takes the folder of the package and returns one text a violation, so that the tests can also show them trees that break a rule.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

LEVELS = (
    {"structures", "errors", "files"},
    {"ops", "device"},
    {"models", "data", "metrics"},
    {"tasks"},
    {"checkpoint"},
    {"training", "inference"},
    {"config", "export", "serving", "report"},
    {"workflows"},
    {"cli"},
    {"__init__", "__main__"},
)
"""Rooms from low to high; a room imports lower ones only. Those at the bottom may import each other."""

ONLY_IN = {"matplotlib": "report", "typer": "cli", "rich": "cli"}
"""Libraries that one room alone imports."""

WITHOUT_DEVICE = {"ops", "models", "data", "metrics"}
"""Rooms that choose no device and no precision."""

FILE_LINES, FUNCTION_LINES, PARAMETERS = 420, 80, 7
REACH_FILES, REACH_LINES = 5, 700
LONGER_REACH = {"faster_rcnn": (6, 1110)}
"""Networks that need more files and lines. A detector stands on the backbone's contract, a pyramid and the numbers of its papers."""
NOT_NETWORKS = {"__init__", "backbone", "detectors", "download", "weights"}
"""Files in models/ that hold no network."""

BANNED_NAMES = {"utils", "util", "misc", "helper", "helpers", "common", "manager", "handler", "handlers", "planes"}
TASK_WORDS = ("classification", "detection", "segmentation")
UNSAFE_MODULES = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef


def source_files(package: Path) -> list[Path]:
    """Every Python file of the package, in a fixed order."""
    return sorted(package.rglob("*.py"))


def room(package: Path, path: Path) -> str:
    """The first part of a module's name below the package."""
    return path.relative_to(package).with_suffix("").parts[0]


def functions(package: Path) -> Iterator[tuple[Path, Definition]]:
    """Every function and method, nested ones too."""
    for path in source_files(package):
        for node in _nodes(path):
            if isinstance(node, Definition):
                yield path, node


def length(node: ast.stmt) -> int:
    """Lines from the first to the last, decorators apart."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def import_direction(package: Path) -> list[str]:
    """A room imports lower rooms only, and never its neighbours."""
    level = {name: number for number, names in enumerate(LEVELS) for name in names}
    found = []
    for path in source_files(package):
        here = room(package, path)
        if here not in level:
            found.append(f"{_at(package, path)}: {here!r} is no room of LEVELS")
            continue
        for line, module, _ in _own_imports(package, path):
            there = module.partition(".")[0]
            if there == here or not there or level.get(there, 99) < level[here] or {here, there} <= LEVELS[0]:
                continue
            found.append(f"{_at(package, path, line)}: {here} imports {there}")
    return found


def relative_imports(package: Path) -> list[str]:
    """Imports name the whole path."""
    return [
        f"{_at(package, path, node.lineno)}: relative import"
        for path in source_files(package)
        for node in _nodes(path)
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def facades(package: Path) -> list[str]:
    """Inside, a name is imported from the file that defines it; what users import from is for users."""
    found = []
    for path in source_files(package):
        if path == package / "__init__.py":
            continue
        for line, module, name in _own_imports(package, path):
            target = _file_of(package, module)
            if name is None or target is None or _file_of(package, f"{module}.{name}".strip(".")):
                continue
            if name not in _defined(target):
                found.append(f"{_at(package, path, line)}: {name} is not defined in {_at(package, target)}")
    return found


def cycles(package: Path) -> list[str]:
    """No file needs itself through others, imports inside functions apart."""
    edges = {path: _targets(package, path, top_only=True) for path in source_files(package)}
    found, finished = [], set()

    def visit(path: Path, trail: list[Path]) -> None:
        if path in trail:
            found.append(" > ".join(_at(package, step) for step in [*trail[trail.index(path) :], path]))
        elif path not in finished:
            for target in sorted(edges.get(path, ())):
                visit(target, [*trail, path])
            finished.add(path)

    for path in edges:
        visit(path, [])
    return found


def third_party(package: Path) -> list[str]:
    """Some libraries are imported in one room only."""
    found = []
    for path in source_files(package):
        for line, library in _libraries(path):
            allowed = ONLY_IN.get(library)
            if allowed and room(package, path) != allowed:
                found.append(f"{_at(package, path, line)}: {library} is imported outside {allowed}")
    return found


def devices(package: Path) -> list[str]:
    """Networks, data and metrics take the device that they are given."""
    return [
        f"{_at(package, path, line)}: {room(package, path)} imports device"
        for path in source_files(package)
        if room(package, path) in WITHOUT_DEVICE
        for line, module, _ in _own_imports(package, path)
        if module == "device"
    ]


def reach(package: Path) -> list[str]:
    """To read a network one reads few files."""
    found = []
    for path in sorted((package / "models").glob("*.py")):
        if path.stem in NOT_NETWORKS:
            continue
        files, lines = measured_reach(package, path)
        most_files, most_lines = LONGER_REACH.get(path.stem, (REACH_FILES, REACH_LINES))
        if files > most_files or lines > most_lines:
            found.append(f"{_at(package, path)}: reaches {files} files with {lines} lines")
    return found


def measured_reach(package: Path, path: Path) -> tuple[int, int]:
    """Files and lines of our own that a file needs, itself included.

    Functions of `ops` are left out: their names and docstrings say what they do, and one is looked up at a time.
    """
    reached: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in reached and room(package, current) != "ops":
            reached.add(current)
            waiting += _targets(package, current)
    return len(reached), sum(_lines(file) for file in reached)


def file_lengths(package: Path) -> list[str]:
    """No file is longer than a reader's patience."""
    return [
        f"{_at(package, path)}: {_lines(path)} lines, at most {FILE_LINES}"
        for path in source_files(package)
        if _lines(path) > FILE_LINES
    ]


def function_lengths(package: Path) -> list[str]:
    """No function is longer than a screen or two."""
    return [
        f"{_at(package, path, node.lineno)}: {node.name} has {length(node)} lines, at most {FUNCTION_LINES}"
        for path, node in functions(package)
        if length(node) > FUNCTION_LINES and not _is_verb(package, path, node)
    ]


def parameter_counts(package: Path) -> list[str]:
    """At most 7 parameters; networks have as many as their papers, and a verb's parameters are its options."""
    found = []
    for path, node in functions(package):
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        count = len([name for name in names if name not in ("self", "cls")])
        if count > PARAMETERS and room(package, path) != "models" and not _is_verb(package, path, node):
            found.append(f"{_at(package, path, node.lineno)}: {node.name} has {count} parameters, at most {PARAMETERS}")
    return found


def task_words(package: Path) -> list[str]:
    """The trainer does not know which task it trains."""
    found = []
    for path in sorted((package / "training").rglob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            found += [f"{_at(package, path, number)}: says {word!r}" for word in TASK_WORDS if word in line.lower()]
    return found


def banned_names(package: Path) -> list[str]:
    """Names that say nothing are not used."""
    found = []
    for path in source_files(package):
        names = [(0, part) for part in path.relative_to(package).with_suffix("").parts]
        for node in _nodes(path):
            if isinstance(node, Definition | ast.ClassDef):
                names.append((node.lineno, node.name))
            elif isinstance(node, ast.arg):
                names.append((node.lineno, node.arg))
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.append((node.lineno, node.id))
        for line, name in names:
            words = {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)}
            found += [f"{_at(package, path, line)}: the name {name!r}" for _ in words & BANNED_NAMES]
    return found


def unsafe_code(package: Path) -> list[str]:
    """Nothing that is read from a file is ever executed."""
    found = []
    for path in source_files(package):
        found += [f"{_at(package, path, line)}: imports {n}" for line, n in _libraries(path) if n in UNSAFE_MODULES]
        for node in _nodes(path):
            if isinstance(node, ast.Call) and (what := _unsafe_call(node)):
                found.append(f"{_at(package, path, node.lineno)}: {what}")
    return found


def registries(package: Path) -> list[str]:
    """Names stand in literal tables, not in decorators."""
    return [
        f"{_at(package, path, node.lineno)}: {node.name} is registered by a decorator"
        for path in source_files(package)
        for node in _nodes(path)
        if isinstance(node, Definition | ast.ClassDef)
        and any("regist" in ast.unparse(decorator).lower() for decorator in node.decorator_list)
    ]


def printing(package: Path) -> list[str]:
    """Only the command line prints; the rooms below talk through a listener."""
    return _calls_outside(
        package, {"cli"}, lambda call: isinstance(call.func, ast.Name) and call.func.id == "print", "prints"
    )


def backward(package: Path) -> list[str]:
    """Only the trainer asks for gradients; the probe of the arithmetic times a step and throws them away."""
    return _calls_outside(
        package,
        {"training", "device"},
        lambda call: isinstance(call.func, ast.Attribute) and call.func.attr == "backward",
        "calls backward",
    )


def docstrings(package: Path) -> list[str]:
    """Every file, and every public class, function and method in it, says what it is."""
    found = []
    for path in source_files(package):
        tree = _tree(path)
        for name, node in [("the file", tree), *_public(tree.body)]:
            if not ast.get_docstring(node):
                found.append(f"{_at(package, path, getattr(node, 'lineno', 1))}: {name} has no docstring")
    return found


RULES = (
    import_direction,
    relative_imports,
    facades,
    cycles,
    third_party,
    devices,
    reach,
    file_lengths,
    function_lengths,
    parameter_counts,
    task_words,
    banned_names,
    unsafe_code,
    registries,
    printing,
    backward,
    docstrings,
)


def _tree(path: Path) -> ast.Module:
    return _parsed(path.read_text(encoding="utf-8"))


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _nodes(path: Path) -> tuple[ast.AST, ...]:
    return _walked(path.read_text(encoding="utf-8"))


@cache
def _walked(text: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_parsed(text)))


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _at(package: Path, path: Path, line: int = 0) -> str:
    return path.relative_to(package).as_posix() + (f":{line}" if line else "")


def _libraries(path: Path) -> Iterator[tuple[int, str]]:
    """(line, first part of the name) of every absolute import."""
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, (node.module or "").partition(".")[0]


def _own_imports(package: Path, path: Path, *, top_only: bool = False) -> Iterator[tuple[int, str, str | None]]:
    """(line, module below the package, name taken from it) of every import from our own package."""
    own = package.name
    for node in _tree(path).body if top_only else _nodes(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == own:
                    yield node.lineno, alias.name[len(own) + 1 :], None
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] == own:
            module = (node.module or "")[len(own) + 1 :]
            for alias in node.names:
                inner = f"{module}.{alias.name}".strip(".")
                if _file_of(package, inner):
                    yield node.lineno, inner, None
                else:
                    yield node.lineno, module, alias.name


def _file_of(package: Path, module: str) -> Path | None:
    base = package.joinpath(*module.split(".")) if module else package
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file() and path != package.with_suffix(".py"):
            return path
    return None


def _targets(package: Path, path: Path, *, top_only: bool = False) -> set[Path]:
    found = (_file_of(package, module) for _, module, _ in _own_imports(package, path, top_only=top_only))
    return {target for target in found if target is not None and target != path}


def _defined(path: Path) -> frozenset[str]:
    return _names(path.read_text(encoding="utf-8"))


@cache
def _names(text: str) -> frozenset[str]:
    names = set()
    for node in _parsed(text).body:
        if isinstance(node, Definition | ast.ClassDef):
            names.add(node.name)
        names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return frozenset(names)


def _is_verb(package: Path, path: Path, node: Definition) -> bool:
    """The function of a verb: as long as its options need."""
    return path.parent == package / "cli" and node.name == path.stem


def _public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.ClassDef | Definition]]:
    for node in body:
        if isinstance(node, Definition | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body, f"{node.name}.")


def _unsafe_call(call: ast.Call) -> str | None:
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}

    def is_true(name: str) -> bool:
        value = keywords.get(name)
        return isinstance(value, ast.Constant) and value.value is True

    if isinstance(call.func, ast.Name) and call.func.id in ("eval", "exec", "compile", "__import__"):
        return f"calls {call.func.id}"
    called = ast.unparse(call.func)
    if called == "torch.load" and not is_true("weights_only"):
        return "torch.load without weights_only=True"
    if is_true("allow_pickle") or is_true("shell"):
        return f"{called} with allow_pickle or shell"
    return None


def _calls_outside(package: Path, allowed: set[str], matches: Callable[[ast.Call], bool], what: str) -> list[str]:
    return [
        f"{_at(package, path, node.lineno)}: {what}"
        for path in source_files(package)
        if room(package, path) not in allowed
        for node in _nodes(path)
        if isinstance(node, ast.Call) and matches(node)
    ]
