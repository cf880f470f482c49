"""The layers of a network as a reader sees them: steps in a row, and blocks whose branches part and meet again.

A step is a layer with the batch norm and the ReLU that follow it. Where several steps read the same one, the network
splits: into the branches of an inception module, which meet in a concatenation, or into a residual block and its bypass,
which meet in an addition. Both are found from what reads what, not from the names of modules. An auxiliary classifier
leaves from the side of a step and meets nothing.

What reads feature maps from several places, as the expanding path of a U-Net and the necks of detectors do, does not fall
into such blocks; there the names of modules tell what belongs together (`sections`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from sightline.data.counted import counted
from sightline.report.architecture import IMAGES, Architecture, Layer


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One box of a drawing: a layer, and what is done to each of its numbers after it."""

    layers: tuple[Layer, ...]
    """The layer, then its batch norm and its ReLU, if any."""
    side: tuple["Part", ...] = ()
    """The auxiliary classifier that reads it."""

    @property
    def main(self) -> Layer:
        """The layer itself."""
        return self.layers[0]

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of what it hands on: (C, H, W) or (K,)."""
        return self.layers[-1].output

    @property
    def name(self) -> str:
        """Path of its module."""
        return self.main.name

    @property
    def end(self) -> "Step":
        """The step whose output is that of the part."""
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Branches that read the same step, and the step in which they meet."""

    branches: tuple[tuple["Part", ...], ...]
    """In the order in which the join reads them; an empty one hands on what the block was given."""
    join: Step

    @property
    def name(self) -> str:
        """Path of its module."""
        return self.join.name

    @property
    def end(self) -> Step:
        """The step whose output is that of the part."""
        return self.join

    @property
    def bypass(self) -> int | None:
        """Which of two branches that are added is a bypass: the shorter one, if it is empty or a single step."""
        lengths = [len(branch) for branch in self.branches]
        if self.join.main.kind != "add" or len(lengths) != 2 or lengths[0] == lengths[1]:
            return None
        shorter = lengths.index(min(lengths))
        single = lengths[shorter] == 1 and isinstance(self.branches[shorter][0], Step)
        return shorter if single or not lengths[shorter] else None


Part = Step | Block
SIGNS = {"add": " + ", "concat": " | "}


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Steps of one module that run one after the other."""

    name: str
    """Path of the module."""
    what: str
    """The steps in words; maps from elsewhere that are added or concatenated by the name of their stage or module."""
    steps: tuple[Step, ...]


def parts(architecture: Architecture) -> tuple[Part, ...]:
    """The whole network as parts in a row, auxiliary classifiers at the sides.

    Raises `ValueError` for a network whose ways cross, as no block with branches has them: the skips of a U, dense blocks.
    """
    graph = _Graph(architecture)
    if architecture.trunk is not None:
        raise ValueError("the maps of this network are read at several places: see its trunk, and `sections`")
    found = graph.chain(0, None)
    if sum(1 for _ in steps(found)) != len(graph.members):
        raise ValueError("the layers of this network do not fall into blocks whose branches part and meet again")
    return found


def trunk(architecture: Architecture) -> tuple[Part, ...]:
    """The parts that lead to the logits of a classifier, or to the coarsest map of another network."""
    return parts(Architecture(layers=architecture.layers[: architecture.trunk]))


def sections(architecture: Architecture) -> list[Section]:
    """What comes after the trunk, in the order in which it runs; nothing for a classifier."""
    if architecture.trunk is None:
        return []
    graph = _Graph(architecture)
    inside = {id(layer) for layer in architecture.layers[: architecture.trunk]}
    beyond = [number for number, layers in enumerate(graph.members) if id(layers[0]) not in inside]
    found = []
    for name, group in groupby(beyond, key=lambda number: _module(graph.members[number][0].name)):
        numbers = list(group)
        steps = tuple(Step(layers=tuple(graph.members[number])) for number in numbers)
        found.append(Section(name=name, what=graph.written(numbers[-1], numbers), steps=steps))
    return found


def repeats(chain: Sequence[Part]) -> list[list[Part]]:
    """Neighbouring blocks that look alike, together; everything else alone."""
    found = []
    for _, alike in groupby(chain, key=lambda part: (words(part), part.end.output, part.end.side)):
        group = list(alike)
        found += [group] if isinstance(group[0], Block) else [[part] for part in group]
    return found


def steps(chain: Sequence[Part], *, sides: bool = True) -> Iterator[Step]:
    """Every step, in the order in which they run; auxiliary classifiers too unless `sides` is off."""
    for part in chain:
        if isinstance(part, Block):
            for branch in part.branches:
                yield from steps(branch, sides=sides)
        yield part.end
        if sides:
            yield from steps(part.end.side)


def label(step: Step) -> str:
    """What a box says: window, kind, channels, stride.

    >>> conv = Layer(name="conv1", kind="conv", inputs=(0,), output=(64, 112, 112), kernel=(7, 7), stride=(2, 2))
    >>> label(Step(layers=(conv,)))
    '7x7 conv, 64, /2'
    """
    layer = step.main
    if layer.kind == IMAGES:
        return f"images, {counted(layer.output[0], 'channel')}"
    words = [layer.kind]
    if layer.kernel is not None:
        words[0] = f"{layer.kernel[0]}x{layer.kernel[1]} {layer.kind}"
    elif layer.kind in ("avg pool", "RoIAlign", "RoIPool"):  # windows of several sizes
        words.append(f"to {layer.output[1]}x{layer.output[2]}")
    if layer.kind in ("conv", "up-conv", "linear", "concat"):
        words.append(str(layer.output[0]))
    if layer.groups > 1:
        words.append(f"{layer.groups} groups")
    smaller = layer.kind != "up-conv" and layer.output[1:] != (1, 1)
    if smaller and layer.stride is not None and layer.stride != (1, 1):
        words.append("/" + "x".join(map(str, dict.fromkeys(layer.stride))))
    return ", ".join(words)


def words(part: Part) -> str:
    """A part on one line: ">" leads to the next step, "|" parts branches that are concatenated, "+" such that are added."""
    if isinstance(part, Step):
        return label(part)
    branches = [" > ".join(_inner(step) for step in branch) or "input" for branch in part.branches]
    kind = part.join.main.kind
    return SIGNS.get(kind, f" {kind} ").join(branches)


def _inner(part: Part) -> str:
    return f"({words(part)})" if isinstance(part, Block) else words(part)


class _Graph:
    """Steps by number, and which step reads which."""

    def __init__(self, architecture: Architecture) -> None:
        readers = _readers([layer.inputs for layer in architecture.layers])
        self.members: list[list[Layer]] = []
        self.inputs: list[tuple[int, ...]] = []
        number: list[int] = []  # of the step that each layer is in
        for layer in architecture.layers:
            (before, *others) = layer.inputs or (None,)
            if before is not None and not others and _follows(layer) and len(readers[before]) == 1:
                number.append(number[before])
                self.members[number[before]].append(layer)
            else:
                number.append(len(self.members))
                self.members.append([layer])
                self.inputs.append(tuple(number[n] for n in layer.inputs))
        everyone = _readers(self.inputs)
        self.readers = {n: [r for r in everyone[n] if not self.auxiliary(r) or self.auxiliary(n)] for n in everyone}
        self.sides = {n: [r for r in everyone[n] if r not in self.readers[n]] for n in everyone}

    def auxiliary(self, number: int) -> bool:
        return self.members[number][0].auxiliary

    def chain(self, start: int, end: int | None) -> tuple[Part, ...]:
        """The parts from the step `start` on, up to the step `end` (left out) or to where nothing reads further."""
        if start == end:
            return ()
        found: list[Part] = [self.step(start)]
        number = start
        while self.readers[number] not in ([], [end]):
            readers = self.readers[number]
            if len(readers) == 1:
                number = readers[0]
                found.append(self.step(number))
            else:
                split, number = number, self.join(number)
                branches = (self.chain(reader, number) for reader in self.in_order(split, number))
                found.append(Block(branches=tuple(branches), join=self.step(number)))
        return tuple(found)

    def step(self, number: int) -> Step:
        """The step with its auxiliary classifier."""
        side = tuple(part for reader in self.sides[number] for part in self.chain(reader, None))
        return Step(layers=tuple(self.members[number]), side=side)

    def join(self, split: int) -> int:
        """The first step at which all ways from `split` have met."""
        open_ways = {(split, reader) for reader in self.readers[split]}
        for number in range(split + 1, len(self.members)):
            arriving = {(source, number) for source in self.inputs[number]} & open_ways
            open_ways -= arriving
            if arriving and not open_ways:
                return number
            if arriving:
                open_ways |= {(number, reader) for reader in self.readers[number]}
        raise AssertionError(f"the ways from {self.members[split][0].name} do not meet")

    def in_order(self, split: int, join: int) -> list[int]:
        """The readers of `split`, as the join reads the ends of their branches."""

        def place(reader: int) -> int:
            end = split
            while reader != join:
                end, reader = reader, self.readers[reader][0]
            return self.inputs[join].index(end)

        return sorted(self.readers[split], key=place)

    def written(self, end: int, inside: Sequence[int]) -> str:
        """The step `end` and what leads to it as far as it is among the steps `inside`, in words."""
        step, sources = Step(layers=tuple(self.members[end])), self.inputs[end]
        kind = step.main.kind
        if kind in SIGNS:
            own = f"{_module(step.name)}."
            return SIGNS[kind].join(
                self.written(source, inside) if source in inside else self.named(source).removeprefix(own)
                for source in sources
            )
        if len(sources) != 1 or sources[0] not in inside:
            from_afar = [self.named(source) for source in sources if self.stage(source) and source != inside[0] - 1]
            return " > ".join([*from_afar, label(step)])
        before = self.written(sources[0], inside)
        joined = self.members[sources[0]][0].kind in SIGNS
        return f"({before}) > {label(step)}" if joined else f"{before} > {label(step)}"

    def named(self, number: int) -> str:
        """The stage that a step ends, or else its module."""
        stage = self.stage(number)
        return f"stage {stage}" if stage else self.members[number][0].name

    def stage(self, number: int) -> str | None:
        """The stage that a step ends, if it ends one."""
        return next((layer.stage for layer in self.members[number] if layer.stage), None)


def _module(name: str) -> str:
    """The first of a numbered row of modules that `name` lies in, else the module itself.

    >>> _module("expanding.0.convs.3"), _module("output")
    ('expanding.0', 'output')
    """
    found = re.match(r".*?\.\d+(?=\.|$)", name)
    return found[0] if found else name


def _follows(layer: Layer) -> bool:
    """Whether a layer is told with the one before it: it keeps the shape and treats every number for itself."""
    return layer.kind in ("batch norm", "ReLU") or (layer.kind == "avg pool" and layer.kernel == (1, 1))


def _readers(inputs: list[tuple[int, ...]]) -> dict[int, list[int]]:
    readers: dict[int, list[int]] = {number: [] for number in range(len(inputs))}
    for number, sources in enumerate(inputs):
        for source in sources:
            readers[source].append(number)
    return readers
