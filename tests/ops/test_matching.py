import pytest
import torch

from sightline.ops import matching
from sightline.ops.matching import BACKGROUND, IGNORED, match, positions, sample

# Boxes 10 high that begin at 0: the IoU with the first is the width by 10.
STRIP = torch.tensor([[0.0, 0.0, float(width), 10.0] for width in (10, 9, 7, 5, 3, 1)])
FAR = torch.tensor([500.0, 500.0, 510.0, 510.0])
ONE = torch.tensor([[True]])


def _random(batch, count, seed):
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(batch, count, 2, generator=generator) * 60
    return torch.cat((start, start + torch.rand(batch, count, 2, generator=generator) * 50 + 5), dim=-1)


def _match(boxes, objects, real, **options):
    return match(boxes, objects, real, **{"foreground": 0.7, "background": (0.0, 0.3), **options})


def test_a_threshold_belongs_to_what_is_above_it():
    assert _match(STRIP, STRIP[None, :1], ONE).tolist() == [[0, 0, 0, IGNORED, IGNORED, BACKGROUND]]


@pytest.mark.parametrize(("low", "smallest"), [(0.0, BACKGROUND), (0.1, BACKGROUND), (0.2, IGNORED)])
def test_background_can_begin_above_0(low, smallest):
    matches = _match(STRIP, STRIP[None, :1], ONE, background=(low, 0.5))
    assert matches.tolist() == [[0, 0, 0, IGNORED, BACKGROUND, smallest]]


def test_a_box_is_on_the_object_that_it_overlaps_most():
    objects = STRIP[[4, 0, 2]][None]
    assert _match(STRIP, objects, torch.ones(1, 3, dtype=torch.bool)).tolist() == [[1, 1, 2, 2, 0, IGNORED]]


def test_with_low_quality_an_object_keeps_all_its_best_boxes():
    objects = torch.tensor([[[0.0, 0.0, 10.0, 2.0]]])
    boxes = torch.stack((STRIP[0], STRIP[5], STRIP[0]))
    assert _match(boxes, objects, ONE).tolist() == [[BACKGROUND] * 3]
    assert _match(boxes, objects, ONE, low_quality=True).tolist() == [[0, BACKGROUND, 0]]


def test_a_kept_box_is_on_the_object_that_it_overlaps_most():
    # The only box near the second object overlaps the first more.
    objects = torch.stack((STRIP[3], STRIP[5]))[None]
    both = torch.ones(1, 2, dtype=torch.bool)
    assert _match(STRIP[:1], objects, both, low_quality=True).tolist() == [[0]]


def test_an_object_that_no_box_overlaps_keeps_none():
    objects = torch.stack((STRIP[0], FAR))[None]
    both = torch.ones(1, 2, dtype=torch.bool)
    matches = _match(STRIP[[0, 5]], objects, both, low_quality=True)
    assert matches.tolist() == [[0, BACKGROUND]]


def test_padding_is_no_object():
    objects = torch.stack((FAR, STRIP[0], STRIP[3]))[None].expand(2, 3, 4)
    real = torch.tensor([[True, False, False], [True, True, False]])
    matches = _match(STRIP, objects, real, low_quality=True)
    assert matches.tolist() == [[BACKGROUND] * 6, [1, 1, 1, IGNORED, IGNORED, BACKGROUND]]
    assert torch.equal(matches, _match(STRIP, objects.where(real[..., None], torch.nan), real, low_quality=True))


@pytest.mark.parametrize("padded", [0, 2])
def test_without_objects_all_is_background(padded):
    objects, real = torch.zeros(1, padded, 4), torch.zeros(1, padded, dtype=torch.bool)
    assert _match(STRIP, objects, real, low_quality=True).tolist() == [[BACKGROUND] * 6]


def test_what_is_not_usable_is_ignored_and_nobodys_best():
    usable = torch.tensor([False, False, False, True, True, True])
    matches = _match(STRIP, STRIP[None, :1], ONE, low_quality=True, usable=usable)
    assert matches.tolist() == [[IGNORED, IGNORED, IGNORED, 0, IGNORED, BACKGROUND]]
    broken = STRIP.where(usable[:, None], torch.nan)
    assert torch.equal(matches, _match(broken, STRIP[None, :1], ONE, low_quality=True, usable=usable))


@pytest.mark.parametrize("low_quality", [False, True])
def test_a_batch_is_its_pictures(low_quality):
    boxes, objects = _random(3, 40, seed=0), _random(3, 5, seed=1)
    real = torch.arange(5) < torch.tensor([[5], [2], [0]])
    usable = torch.rand(3, 40, generator=torch.Generator().manual_seed(2)) < 0.8
    thresholds = {"foreground": 0.4, "background": (0.0, 0.2), "low_quality": low_quality}
    together = match(boxes, objects, real, usable=usable, **thresholds)
    assert together.dtype == torch.int64
    for i in range(3):
        count = int(real[i].sum())
        alone = match(boxes[i], objects[i, None, :count], real[i, None, :count], usable=usable[i], **thresholds)
        assert torch.equal(together[i], alone[0])
    assert set(together.unique().tolist()) >= {IGNORED, BACKGROUND, 0, 1}


def test_a_large_batch_is_matched_in_parts(monkeypatch):
    boxes, objects = _random(5, 40, seed=0), _random(5, 3, seed=1)
    real = torch.arange(3) < torch.tensor([[3], [2], [0], [1], [3]])
    whole = _match(boxes, objects, real, low_quality=True)
    monkeypatch.setattr(matching, "_PAIRS", 2 * 40 * 3)
    assert torch.equal(_match(boxes, objects, real, low_quality=True), whole)
    monkeypatch.setattr(matching, "_PAIRS", 1)
    assert torch.equal(
        _match(boxes[0], objects, real),
        torch.stack([_match(boxes[0], o[None], r[None])[0] for o, r in zip(objects, real, strict=True)]),
    )


@pytest.mark.parametrize("low_quality", [False, True])
def test_no_boxes_match_nothing(low_quality):
    assert _match(torch.zeros(0, 4), STRIP[None, :1], ONE, low_quality=low_quality).shape == (1, 0)


@pytest.mark.parametrize(
    ("foreground", "background"), [(0.3, (0.0, 0.5)), (0.5, (0.4, 0.2)), (0.5, (-0.1, 0.2)), (0, (0, 0))]
)
def test_thresholds_in_another_order_are_refused(foreground, background):
    with pytest.raises(ValueError, match="expected 0 <= background <= foreground"):
        match(STRIP, STRIP[None, :1], ONE, foreground=foreground, background=background)


def _matches(on_object, background, ignored):
    return torch.tensor([0] * on_object + [BACKGROUND] * background + [IGNORED] * ignored)


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("on_object", "background", "ignored", "expected"),
    [
        (50, 50, 0, (8, 24)),
        (3, 95, 2, (3, 29)),
        (95, 5, 0, (8, 5)),
        (0, 90, 10, (0, 32)),
        (100, 0, 0, (8, 0)),
        (0, 0, 100, (0, 0)),
    ],
)
def test_as_many_are_drawn_as_asked_for(on_object, background, ignored, expected):
    matches = _matches(on_object, background, ignored).repeat(2, 1)
    positive, negative = sample(matches, 32, 0.25, _seeded())
    assert positive.sum(dim=1).tolist() == [expected[0]] * 2
    assert negative.sum(dim=1).tolist() == [expected[1]] * 2
    assert (matches[positive] >= 0).all()
    assert (matches[negative] == BACKGROUND).all()


def test_each_picture_has_its_own_numbers():
    matches = torch.stack((_matches(50, 50, 0), _matches(1, 4, 95), _matches(0, 100, 0)))
    positive, negative = sample(matches, 32, 0.5, _seeded())
    assert positive.sum(dim=1).tolist() == [16, 1, 0]
    assert negative.sum(dim=1).tolist() == [16, 4, 32]


@pytest.mark.parametrize("count", [0, 6, 1000])
def test_more_or_less_can_be_asked_for_than_there_is(count):
    positive, negative = sample(_matches(4, 6, 0)[None], count, 1.0, _seeded())
    assert (int(positive.sum()), int(negative.sum())) == (min(count, 4), min(max(count - 4, 0), 6))
    empty = sample(torch.zeros(2, 0, dtype=torch.int64), count, 0.5, _seeded())
    assert [mask.shape for mask in empty] == [(2, 0), (2, 0)]


def test_the_same_generator_draws_the_same_and_another_something_else():
    matches = _matches(40, 60, 0)[None]
    drawn = [torch.stack(sample(matches, 32, 0.5, _seeded(seed))) for seed in (5, 5, 6)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_what_is_drawn_next_does_not_depend_on_what_was_found():
    one, other = _seeded(), _seeded()
    sample(_matches(40, 60, 0)[None], 32, 0.5, one)
    sample(_matches(0, 0, 100)[None], 8, 0.1, other)
    assert torch.equal(one.get_state(), other.get_state())


def test_what_is_drawn_next_for_a_picture_does_not_depend_on_how_many_rows_its_batch_has():
    one, other = _seeded(), _seeded()
    sample(_matches(40, 60, 0)[None], 32, 0.5, [one])
    sample(_matches(40, 60, 900)[None], 32, 0.5, [other])
    assert torch.equal(one.get_state(), other.get_state())


def test_every_box_of_a_kind_is_as_likely():
    # 4,000 pictures at once; each of 10 positives is drawn with probability 0.4, each of 20 negatives with 0.3.
    positive, negative = sample(_matches(10, 20, 3).repeat(4000, 1), 10, 0.4, _seeded())
    for mask, share, members in ((positive, 0.4, slice(0, 10)), (negative, 0.3, slice(10, 30))):
        found = mask[:, members].double().mean(dim=0)
        deviation = (share * (1 - share) / 4000) ** 0.5
        assert ((found - share).abs() < 4.5 * deviation).all()
        # Not always the same together: the number of pairs is that of draws without putting back.
        size, drawn = found.numel(), round(share * found.numel())
        pair = (mask[:, members][:, 0] & mask[:, members][:, 1]).double().mean()
        assert pair.item() == pytest.approx(drawn * (drawn - 1) / size / (size - 1), abs=0.03)


def test_positions_of_the_true_ones_keep_their_order():
    mask = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)
    found, filled = positions(mask, 3)
    assert found.tolist() == [[0, 2, 3], [4, 0, 0], [0, 0, 0]]
    assert filled.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    assert positions(mask, 2)[0].tolist() == [[0, 2], [4, 0], [0, 0]]
    assert positions(mask, 1)[0].tolist() == [[0], [4], [0]]
    found, filled = positions(mask, 9)
    assert found.shape == filled.shape == (3, 9)
    assert filled.sum(dim=1).tolist() == [3, 1, 0]
