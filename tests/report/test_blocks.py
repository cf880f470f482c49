import pytest

from sightline.report.architecture import Architecture, Layer
from sightline.report.blocks import Block, Step, label, parts, repeats, steps, words
from sightline.report.summary import grouped


def conv(*inputs: int, kernel: int = 3, name: str = "conv", channels: int = 8, stride: int = 1, **others) -> Layer:
    window = {"kernel": (kernel, kernel), "stride": (stride, stride)}
    return Layer(name=name, kind="conv", inputs=inputs, output=(channels, 4, 4), **window, **others)


def layer(kind: str, *inputs: int, name: str = "", **others) -> Layer:
    return Layer(name=name, kind=kind, inputs=inputs, output=(8, 4, 4), **others)


IMAGES = Layer(name="", kind="images", inputs=(), output=(3, 4, 4))


def chain(*layers: Layer) -> tuple:
    return parts(Architecture(layers=(IMAGES, *layers)))


def test_batch_norm_and_relu_belong_to_the_step_before() -> None:
    images, first, second = chain(conv(0), layer("batch norm", 1), layer("ReLU", 2), conv(3))
    assert [layer.kind for layer in first.layers] == ["conv", "batch norm", "ReLU"]
    assert (images.main.kind, len(second.layers)) == ("images", 1)


def test_a_relu_whose_input_is_read_by_others_too_is_a_step_of_its_own() -> None:
    *_, block = chain(conv(0), layer("ReLU", 1), layer("add", 2, 1))
    assert words(block) == "ReLU + input"


def test_a_pool_that_changes_nothing_is_not_told() -> None:
    same = layer("avg pool", 1, kernel=(1, 1), stride=(1, 1))
    assert [words(part) for part in chain(conv(0), same, conv(2))] == ["images, 3 channels", *["3x3 conv, 8"] * 2]


@pytest.mark.parametrize(("channels", "said"), [(1, "images, 1 channel"), (4, "images, 4 channels")])
def test_the_images_are_told_with_their_channels(channels: int, said: str) -> None:
    assert label(Step(layers=(Layer(name="", kind="images", inputs=(), output=(channels, 8, 8)),))) == said


@pytest.mark.parametrize("order", [(2, 1), (1, 2)])
def test_a_bypass_is_found_whichever_side_of_the_sum_it_is_on(order) -> None:
    *_, block = chain(conv(0), conv(1), layer("add", *order), layer("ReLU", 3))
    assert isinstance(block, Block)
    assert block.bypass == order.index(1)
    assert [len(branch) for branch in block.branches] == [source - 1 for source in order]
    assert block.end.layers[-1].kind == "ReLU"


def test_a_projected_bypass_is_the_branch_of_one_step() -> None:
    _, _, block = chain(conv(0), conv(1), conv(2), conv(1, kernel=1), layer("add", 3, 4))
    assert block.bypass == 1
    assert words(block) == "3x3 conv, 8 > 3x3 conv, 8 + 1x1 conv, 8"


def test_two_equal_branches_are_no_bypass() -> None:
    _, _, block = chain(conv(0), conv(1), conv(1), layer("add", 2, 3))
    assert block.bypass is None


def test_branches_stand_in_the_order_in_which_they_are_concatenated() -> None:
    *_, block = chain(conv(0), conv(1, kernel=5), conv(1, kernel=1), conv(3), layer("concat", 4, 2))
    assert words(block) == "1x1 conv, 8 > 3x3 conv, 8 | 5x5 conv, 8"


def test_blocks_stand_in_blocks() -> None:
    inner = [conv(1), conv(2, kernel=1), conv(2, kernel=5), layer("concat", 3, 4)]
    *_, block, end = chain(conv(0), *inner, conv(1, kernel=7), layer("concat", 5, 6), conv(7))
    assert words(block) == "3x3 conv, 8 > (1x1 conv, 8 | 5x5 conv, 8) | 7x7 conv, 8"
    assert isinstance(end, Step)


def test_a_block_follows_a_block() -> None:
    _, *blocks = chain(conv(0), layer("add", 1, 0), conv(2), layer("add", 3, 2), conv(4), layer("add", 5, 4))
    assert [words(block) for block in blocks] == ["3x3 conv, 8 + input"] * 3
    assert [len(group) for group in repeats(tuple(blocks))] == [3]


def test_an_auxiliary_classifier_hangs_at_the_side() -> None:
    layers = (conv(0), conv(1), conv(1, kernel=1, name="aux.conv", auxiliary=True), layer("linear", 3, auxiliary=True))
    _, stem, end = chain(*layers)
    assert [words(part) for part in stem.side] == ["1x1 conv, 8", "linear, 8"]
    assert end.side == ()
    assert [row.name for row in grouped(Architecture(layers=(IMAGES, *layers))) if row.auxiliary] == ["aux"]


def test_only_blocks_that_look_alike_are_told_together() -> None:
    blocks = [conv(0), layer("add", 1, 0), conv(2), layer("add", 3, 2), conv(4, kernel=5), layer("add", 5, 4)]
    found = chain(*blocks, conv(6), conv(7))
    assert [len(group) for group in repeats(found)] == [1, 2, 1, 1, 1]


def test_ways_that_cross_are_refused() -> None:
    """As in a dense block, where each concatenation reads all before."""
    dense = [conv(0), layer("concat", 0, 1), conv(2), layer("concat", 0, 1, 3)]
    with pytest.raises(ValueError, match="do not fall into blocks"):
        chain(*dense)


def test_every_layer_is_told_once(backbone, traced) -> None:
    architecture = traced(backbone)
    told = [layer for step in steps(parts(architecture)) for layer in step.layers]
    assert sorted(told, key=architecture.layers.index) == list(architecture.layers)


def test_the_rows_add_up(backbone, traced) -> None:
    architecture = traced(backbone)
    for auxiliary in (False, True):
        rows = [row for row in grouped(architecture) if row.auxiliary == auxiliary]
        assert sum(row.parameters for row in rows) == architecture.parameters(auxiliary=auxiliary)
        assert sum(row.multiply_adds for row in rows) == architecture.multiply_adds(auxiliary=auxiliary)


def test_resnet18_in_eleven_rows(traced) -> None:
    rows = grouped(traced("resnet18"))
    assert [row.name for row in rows] == [
        "conv1", "maxpool", "layer1.0 to 1", "layer2.0", "layer2.1", "layer3.0", "layer3.1", "layer4.0", "layer4.1",
        "avgpool", "fc",
    ]  # fmt: skip
    assert rows[2].what == "2 x (3x3 conv, 64 > 3x3 conv, 64 + input)"
    assert rows[3].what == "3x3 conv, 128, /2 > 3x3 conv, 128 + 1x1 conv, 128, /2"


def test_inception_3a_as_in_table_1_of_the_paper(traced) -> None:
    (row,) = [row for row in grouped(traced("googlenet_2014")) if row.name == "inception3a"]
    assert row.what == (
        "1x1 conv, 64 | 1x1 conv, 96 > 3x3 conv, 128 | 1x1 conv, 16 > 5x5 conv, 32 | 3x3 max pool > 1x1 conv, 32"
    )
    assert (row.output, row.multiply_adds) == ("256 x 28 x 28", 128_049_152)
