import pytest
import torch

from sightline.data.mixing import Mixing, cut_mixed

WHITE = torch.full((3, 20, 30), 255, dtype=torch.uint8)
BLACK = torch.zeros(3, 20, 30, dtype=torch.uint8)


def test_mixup_shares_are_those_of_the_pixels() -> None:
    torch.default_generator.manual_seed(0)
    for _ in range(50):
        image, share = Mixing(0.4, 0)(WHITE, BLACK)
        assert image.dtype == torch.uint8
        assert (image == round(255 * share)).all()


def test_cutmix_shares_are_those_of_the_pixels() -> None:
    torch.default_generator.manual_seed(0)
    for _ in range(50):
        image, share = Mixing(0, 1.0)(WHITE, BLACK)
        assert set(image.unique().tolist()) <= {0, 255}
        assert abs(image.float().mean() / 255 - share) < 1e-6


def test_cutmix_pastes_one_box_of_the_other_in_its_place() -> None:
    torch.default_generator.manual_seed(3)
    other = torch.arange(3 * 20 * 30).view(3, 20, 30).remainder(200).to(torch.uint8)
    image, share = cut_mixed(WHITE, other, 0.75)
    box = (image != WHITE).any(0)
    rows, columns = box.any(1).nonzero(), box.any(0).nonzero()
    assert len(rows) * len(columns) == box.sum()
    assert (image[:, box] == other[:, box]).all()
    assert share == pytest.approx(1 - int(box.sum()) / 600)
    assert (WHITE == 255).all()


def test_both_come_with_equal_chance_and_the_mean_share_is_a_half() -> None:
    torch.default_generator.manual_seed(0)
    mixed = [Mixing(1.0, 1.0)(WHITE, BLACK) for _ in range(400)]
    cut = sum(set(image.unique().tolist()) <= {0, 255} for image, _ in mixed)
    assert 160 <= cut <= 240
    ups = [Mixing(1.0, 0)(WHITE, BLACK)[1] for _ in range(400)]
    assert 0.45 < sum(ups) / 400 < 0.55


@pytest.mark.parametrize("alphas", [(0, 0), (-1, 1)])
def test_alphas(alphas: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="alphas of at least 0"):
        Mixing(*alphas)
