"""Recipes: TOML files that say everything about one training. Unknown keys are errors with the nearest names.

A recipe is the owners' dataclasses, section by section; what is written there comes first, flags over it, `--set a.b=c` over both.
"""

import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from sightline.data.box_transforms import BoxAugmentation
from sightline.data.mask_transforms import MaskAugmentation
from sightline.data.transforms import Augmentation
from sightline.errors import ConfigError
from sightline.tasks.segmentation import SegmentationConfig
from sightline.training.optim import OptimizerConfig
from sightline.training.trainer import TrainingConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Which network, and what it starts from."""

    name: str = ""
    """A name that `sightline models` lists; not given, a network that suits what the data has annotations for."""
    weights: str = "none"
    """"none", "imagenet" or "coco" (published weights), or a file with weights, or a run."""
    backbone_weights: str = "none"
    """What the classifier that a detector or a U-Net stands on starts from: "none", "imagenet", a file, or a run."""
    freeze: str | None = None
    """Last stage of the classifier that is not trained, such as "c2" of a ResNet; it and all before it stay as they are."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the network's builder: of a detector `backbone`, `neck`, `proposing`, ..., of a U-Net `backbone`, `skip`,
    `width`. What is not among them is chosen from the data, such as the stem or the sizes of reference boxes."""

    def __post_init__(self) -> None:
        if "none" not in (self.weights, self.backbone_weights):
            raise ConfigError(
                "model.backbone_weights: the whole network starts from model.weights; give one of the two."
            )
        if "num_classes" in self.arguments:
            raise ConfigError("model.arguments.num_classes: the number of classes comes from the data; leave it out.")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where the pictures are and how they are read."""

    path: str = ""
    """With a class for each picture: a folder of class folders, a CSV, a parquet file or folder, a folder of IDX files,
    ILSVRC-2012. With boxes: a folder in the form of COCO, VOC or YOLO. With masks: a folder of pictures and masks."""
    format: str | None = None
    """Name of the format, when it cannot be told from the path."""
    image_size: int | None = None
    """Side of a classifier's input, shorter side of a detector's, side of the windows that a segmenter learns from, in pixels; chosen
    from the pictures when not given."""
    stretch: bool | None = None
    """Whether a segmenter sees each picture stretched to the whole range of brightness; when not given, where the pictures are exposed
    very differently, and no published weights say how they want theirs."""
    val: float = 0.1
    """Share of the training pictures held back when the data has no validation split."""
    test: float = 0.1
    """Share held back when the data has no splits at all."""
    split_seed: int = 0
    """Seed of that division."""
    splits: str | None = None
    """A table of the splits, as `sightline split` writes it; those that the data has are not used then."""
    passes: int | None = None
    """How often an epoch shows each training picture; chosen when not given: once, and for a segmenter with few pictures, of which
    it sees a window at a time, more often."""
    max_bad: float = 0.01
    """Largest share of unreadable pictures, or of bad boxes or masks, to go on without, 0..1."""
    workers: int | None = None
    """Processes that read and augment pictures; chosen from the cores and the size of the pictures when not given."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_bad < 1:
            raise ConfigError(f"data.max_bad: expected a share, 0 <= max_bad < 1, got {self.max_bad}.")
        if not (0 < self.val < 1 and 0 < self.test < 1 and self.val + self.test < 1):
            raise ConfigError(
                f"data.val and data.test: expected shares that leave something to train on, got {self.val}, {self.test}."
            )
        if self.image_size is not None and self.image_size < 8:
            raise ConfigError(f"data.image_size: expected 8 pixels or more, got {self.image_size}.")
        if self.passes is not None and self.passes < 1:
            raise ConfigError(f"data.passes: expected 1 or more, got {self.passes}.")
        if self.workers is not None and self.workers < 0:
            raise ConfigError(f"data.workers: expected 0 or more, got {self.workers}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """One training, from data to weights."""

    task: Literal["classification", "detection", "segmentation"] | None = None
    """What is learned; what the data has annotations for when not given."""
    seed: int = 0
    """Decides the initial weights, the order of the pictures and every augmentation."""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Of pictures with a class each."""
    boxes: BoxAugmentation = field(default_factory=BoxAugmentation)
    """Of pictures with boxes."""
    masks: MaskAugmentation = field(default_factory=MaskAugmentation)
    """Of pictures with masks."""
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    """What is learned of masks."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed: expected a whole number, 0 <= seed < 2**63, got {self.seed}.")


def read_recipe(path: Path) -> dict[str, Any]:
    """The table of a TOML recipe. Raises `ConfigError` when it is missing or not TOML; keys are checked by `compose`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"There is no recipe at {path}.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not a readable TOML file: {error}.") from error


def compose(layers: Sequence[tuple[str, Mapping[str, Any]]]) -> RunConfig:
    """A configuration from tables, later ones over earlier ones; each comes with the name that errors call it by.

    >>> compose([("recipe", {"training": {"epochs": 3}}), ("flags", {"seed": 7})]).training.epochs
    3
    >>> compose([("my.toml", {"training": {"epoch": 3}})])
    Traceback (most recent call last):
    sightline.errors.ConfigError: my.toml: unknown key training.epoch. Did you mean training.epochs? ...
    """
    merged: dict[str, Any] = {}
    for source, table in layers:
        _check_keys(RunConfig, table, source, "")
        _merge(merged, table)
    sources = ", ".join(source for source, table in layers if table) or "defaults"
    return _build(RunConfig, merged, sources, "")


def parse_setting(text: str) -> dict[str, Any]:
    """A `--set a.b=c` as a nested table; the value is read as TOML, and as plain text when it is none.

    >>> parse_setting("training.epochs=3"), parse_setting("model.name=resnet50")
    ({'training': {'epochs': 3}}, {'model': {'name': 'resnet50'}})
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ConfigError(f"--set {text}: expected KEY=VALUE, for example --set training.batch_size=64.")
    try:
        parsed: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    for part in reversed(key.strip().split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def to_table(config: RunConfig) -> dict[str, Any]:
    """The configuration as a table that TOML and JSON can hold; what is not set is left out."""
    return dict(_without_none(asdict(config)))


def to_toml(config: RunConfig, heading: str = "") -> str:
    """The configuration as a recipe that `read_recipe` and `compose` read back to the same value."""
    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    return comment + tomli_w.dumps(to_table(config))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return list(value) if isinstance(value, tuple) else value


def _merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    for key, value in table.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _check_keys(cls: type, table: Mapping[str, Any], source: str, prefix: str) -> None:
    hints = get_type_hints(cls)
    for key, value in table.items():
        dotted = f"{prefix}{key}"
        if key not in hints:
            near = get_close_matches(key, hints, n=1, cutoff=0.5)
            hint = f" Did you mean {prefix}{near[0]}?" if near else ""
            raise ConfigError(f"{source}: unknown key {dotted}.{hint} Known here: {', '.join(hints)}.")
        if is_dataclass(hints[key]):
            if not isinstance(value, Mapping):
                raise ConfigError(
                    f"{source}: {dotted} is a section, got {value!r}. Write [{dotted}] and its keys below."
                )
            _check_keys(hints[key], value, source, f"{dotted}.")


def _build(cls: type[T], table: Mapping[str, Any], source: str, prefix: str) -> T:
    hints = get_type_hints(cls)
    values = {}
    for entry in fields(cls):  # type: ignore[arg-type]
        if entry.name not in table:
            continue
        hint, value, dotted = hints[entry.name], table[entry.name], f"{prefix}{entry.name}"
        if is_dataclass(hint):
            values[entry.name] = _build(hint, value, source, f"{dotted}.")  # type: ignore[arg-type]
        else:
            values[entry.name] = _converted(value, hint, f"{source}: {dotted}")
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from error


def _converted(value: Any, hint: Any, where: str) -> Any:
    """`value` as the type that the field asks for; nothing is guessed but int -> float and list -> tuple."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if value is None else _converted(value, inner, where)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{where}: expected one of {', '.join(map(repr, arguments))}, got {value!r}.")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        count = None if arguments[-1] is Ellipsis else len(arguments)
        if count is not None and len(value) != count:
            raise ConfigError(f"{where}: expected {count} values, got {len(value)}: {list(value)!r}.")
        return tuple(_converted(item, arguments[0], where) for item in value)
    kind = origin or hint
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        expected = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}.get(kind, "a table")
        raise ConfigError(f"{where}: expected {expected}, got {value!r}.")
    return value
