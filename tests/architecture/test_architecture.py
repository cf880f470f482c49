"""The package keeps the rules, and each rule notices a tree that breaks it."""

from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from tests.architecture import source_rules as rules

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sightline"
Rule = Callable[[Path], list[str]]

# A small tree that keeps every rule. What is planted below is written over it.
SOUND = {
    "__init__.py": '"""A package."""\n',
    "errors.py": '"""Errors."""\n\n\nclass Wrong(Exception):\n    """Wrong."""\n',
    "device.py": '"""Devices."""\n\nCPU = "cpu"\n',
    "ops/losses.py": '"""Losses."""\n\n\ndef loss() -> int:\n    """Zero."""\n    return 0\n',
    "models/__init__.py": '"""Networks."""\n\nfrom toy.models.net import Net\n\nMODELS = {"net": Net}\n',
    "models/net.py": '"""A network."""\n\nfrom toy.ops.losses import loss\n\n\nclass Net:\n    """Net."""\n\n    cost = loss\n',
    "data/index.py": '"""Data."""\n\nfrom toy.errors import Wrong\n\nclass Index(Wrong):\n    """Index."""\n',
    "training/trainer.py": '"""The loop."""\n\nfrom toy.device import CPU\n\n\ndef fit(loss: object) -> None:\n    """Fit."""\n'
    "    loss.backward(CPU)\n",
    "cli/train.py": '"""A verb."""\n\nimport typer\n\n\ndef train(a, b, c, d, e, f, g, h) -> None:\n    """Train."""\n    print(typer)\n',
}

LONG_FUNCTION = '"""A."""\n\n\ndef long() -> None:\n    """Long."""\n' + "    x = 1\n" * 80
# Each: the rule, the file, what is written there, and what the rule must say.
PLANTED: list[tuple[Rule, str, str, str]] = [
    (rules.import_direction, "ops/bad.py", '"""A."""\nfrom toy.models.net import Net\n', "ops imports models"),
    (rules.import_direction, "data/bad.py", '"""A."""\nimport toy.models.net\n', "data imports models"),
    (rules.import_direction, "models/bad.py", '"""A."""\ndef f():\n    from toy.data.index import Index\n', "models imports data"),
    (rules.import_direction, "metrics/bad.py", '"""A."""\nfrom toy import models\n', "metrics imports models"),
    (rules.import_direction, "inference/bad.py", '"""A."""\nfrom toy.training.trainer import fit\n', "inference imports training"),
    (rules.import_direction, "training/bad.py", '"""A."""\nfrom toy.inference import load\n', "training imports inference"),
    (rules.import_direction, "training/bad2.py", '"""A."""\nfrom toy.config import RunConfig\n', "training imports config"),
    (rules.import_direction, "cellar/bad.py", '"""A."""\n', "no room"),
    (rules.relative_imports, "data/bad.py", '"""A."""\nfrom .index import Index\n', "relative import"),
    (rules.facades, "tasks/bad.py", '"""A."""\nfrom toy.models import Net\n', "Net is not defined in models/__init__.py"),
    (rules.cycles, "errors.py", '"""A."""\nimport toy.files\n', "errors.py > files.py > errors.py"),
    (rules.third_party, "workflows/bad.py", '"""A."""\nfrom matplotlib import pyplot\n', "matplotlib is imported outside"),
    (rules.third_party, "workflows/bad.py", '"""A."""\ndef f():\n    import rich.table\n', "rich is imported outside"),
    (rules.devices, "models/bad.py", '"""A."""\nfrom toy.device import CPU\n', "models imports device"),
    (rules.reach, "models/far.py", '"""A."""\n' + "".join(f"import toy.models.o{n}\n" for n in range(5)), "reaches 6 files"),
    (rules.reach, "models/long.py", '"""A."""\n' + "x = 1\n" * 700, "701 lines"),
    (rules.file_lengths, "data/bad.py", '"""A."""\n' + "x = 1\n" * 420, "421 lines"),
    (rules.function_lengths, "data/bad.py", LONG_FUNCTION, "long has 82 lines"),
    (rules.parameter_counts, "data/bad.py", '"""A."""\ndef f(a, b, c, d, *, e, f, g, h):\n    """F."""\n', "f has 8 parameters"),
    (rules.task_words, "training/bad.py", '"""A."""\nif task == "Detection":\n    pass\n', "says 'detection'"),
    (rules.banned_names, "data/utils.py", '"""A."""\n', "the name 'utils'"),
    (rules.banned_names, "data/bad.py", '"""A."""\nclass DataManager:\n    """A."""\n', "the name 'DataManager'"),
    (rules.banned_names, "models/bad.py", '"""A."""\ndef f(in_planes):\n    """A."""\n', "the name 'in_planes'"),
    (rules.unsafe_code, "data/bad.py", '"""A."""\nimport pickle\n', "imports pickle"),
    (rules.unsafe_code, "data/bad.py", '"""A."""\nimport torch\ntorch.load("x")\n', "without weights_only"),
    (rules.unsafe_code, "data/bad.py", '"""A."""\neval("1")\n', "calls eval"),
    (rules.unsafe_code, "data/bad.py", '"""A."""\nimport numpy\nnumpy.load("x", allow_pickle=True)\n', "allow_pickle"),
    (rules.registries, "models/bad.py", '"""A."""\n@register_model\ndef f():\n    """A."""\n', "registered by a decorator"),
    (rules.printing, "workflows/bad.py", '"""A."""\nprint("hello")\n', "prints"),
    (rules.backward, "tasks/bad.py", '"""A."""\ndef f(loss):\n    """A."""\n    loss.backward()\n', "calls backward"),
    (rules.docstrings, "data/bad.py", "x = 1\n", "the file has no docstring"),
    (rules.docstrings, "data/bad.py", '"""A."""\nclass A:\n    """A."""\n    def f(self):\n        pass\n', "A.f has no docstring"),
]  # fmt: skip


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    assert rule(PACKAGE) == []


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    package = tmp_path / "toy"
    plant(
        package,
        {**SOUND, **{f"models/o{n}.py": '"""A."""\n' for n in range(5)}, "files.py": '"""A."""\nimport toy.errors\n'},
    )
    return package


def plant(package: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_sound_tree_breaks_no_rule(rule: Rule, toy: Path) -> None:
    assert rule(toy) == []


@pytest.mark.parametrize(("rule", "name", "text", "said"), PLANTED)
def test_the_rule_notices_a_violation(rule: Rule, name: str, text: str, said: str, toy: Path) -> None:
    plant(toy, {name: text})
    violations = rule(toy)
    assert violations, f"{rule.__name__} did not notice {name}"
    assert any(said in violation for violation in violations), violations
    assert all(name in violation for violation in violations), violations


def test_every_rule_has_a_violation_planted() -> None:
    assert {rule for rule, *_ in PLANTED} == set(rules.RULES)


def test_a_weights_only_load_is_allowed(toy: Path) -> None:
    plant(toy, {"data/good.py": '"""A."""\nimport torch\ntorch.load("x", weights_only=True)\nmodel.eval()\n'})
    assert rules.unsafe_code(toy) == []


def test_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    """The medians of the budget, printed with the largest so that they are seen (pytest -s)."""
    files = {path: len(path.read_text().splitlines()) for path in rules.source_files(PACKAGE)}
    lengths = {f"{path.name}:{node.name}": rules.length(node) for path, node in rules.functions(PACKAGE)}
    code = sum(files.values())
    tests = sum(len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py"))
    largest_file = max(files, key=files.__getitem__)
    longest = max(lengths, key=lengths.__getitem__)
    networks = [p for p in sorted((PACKAGE / "models").glob("*.py")) if p.stem not in rules.NOT_NETWORKS]
    with capsys.disabled():
        print(f"\n  files: {len(files)}, median {median(files.values()):g} lines (at most 130), "
              f"longest {files[largest_file]} ({largest_file.relative_to(PACKAGE)}, at most {rules.FILE_LINES})")  # fmt: skip
        print(f"  functions: {len(lengths)}, median {median(lengths.values()):g} lines (at most 10), "
              f"longest {lengths[longest]} ({longest}, at most {rules.FUNCTION_LINES}; verbs apart)")  # fmt: skip
        for path in networks:
            print("  reach of models/{}: {} files, {} lines".format(path.name, *rules.measured_reach(PACKAGE, path)))
        print(f"  lines: {code} code, {tests} tests, {tests / code:.2f} tests a line of code (meant: 0.7 to 1.0)")
    assert median(files.values()) <= 130
    assert median(lengths.values()) <= 10
