"""Pictures that are decoded smaller, since only a part of them will be seen, and that smaller too."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from sightline.data.annotations import ClassLabels
from sightline.data.dataset import Samples
from sightline.data.decode import Shrink, decode
from sightline.data.index import Index
from sightline.data.sources import FileSource
from sightline.data.transforms import SLACK, Augmentation, train_transform


def photograph(side: int = 600, quality: int = 90) -> bytes:
    """A JPEG with detail down to its pixels."""
    file = io.BytesIO()
    Image.fromarray(load_sample_image("china.jpg")).crop((0, 0, side, 420)).save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.mark.parametrize("seed", range(20))
def test_a_part_is_the_same_whether_it_is_known_before_the_picture(seed: int) -> None:
    """Against torchvision's transform, in the same random numbers."""
    image, peer = decode(photograph(), "a.jpg"), v2.RandomResizedCrop(48, (0.08, 1), (0.75, 4 / 3), antialias=True)
    transform = train_transform(Augmentation(mirror=0.0, scale=(0.08, 1), ratio=(0.75, 4 / 3)), 48)
    torch.manual_seed(seed)
    expected = peer(image)
    torch.manual_seed(seed)
    assert torch.equal(transform(image), expected)
    torch.manual_seed(seed)
    times, then = transform.for_size(*image.shape[1:])
    assert times in (1, 2, 4)
    assert torch.equal(then(image), expected)
    smaller = decode(photograph(), "a.jpg", shrink=lambda height, width: times)
    assert smaller.shape[1:] == (-(-image.shape[1] // times), -(-image.shape[2] // times))
    torch.manual_seed(seed)
    part = peer.make_params([image])
    snapped = {name: round(length / times) * times for name, length in part.items()}
    near = F.resized_crop_image(image, **snapped, size=[48, 48], antialias=True)
    assert float((then(smaller).float() - near).abs().mean()) < 2.0


def test_decoding_smaller_changes_less_than_saving_as_a_jpeg_does() -> None:
    original = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[:, :420, :600]
    saved = decode(photograph(quality=75), "a.jpg")
    lost = float((saved.float() - original).abs().mean())
    size = [420 // (2 * SLACK), 600 // (2 * SLACK)]
    half = decode(photograph(quality=75), "a.jpg", shrink=lambda height, width: 2)
    one, other = (F.resize_image(image, size, antialias=True).float() for image in (saved, half))
    assert 0 < float((one - other).abs().mean()) < 0.5 * lost


def test_pictures_are_decoded_as_small_as_their_part_allows(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photograph())
    asked: list[int] = []

    class Watched(FileSource):
        def shrunk(self, position: int, shrink: Shrink) -> torch.Tensor:
            image = super().shrunk(position, shrink)
            asked.append(image.shape[1])
            return image

    index = Index(
        source=Watched(tmp_path, ["a.jpg"]),
        annotations=ClassLabels(np.array([0])),
        class_names=("a",),
        splits={},
        format="made up",
    )
    samples = Samples(index, [0], train_transform(Augmentation(scale=(0.9, 1)), 48), seed=0)
    assert samples[(0, 0)].image.shape == (3, 48, 48)
    assert asked == [105]  # of 420: four times shorter, as a part of 380 px is more than twice the 48 * 4 wanted
    plain = Samples(index, [0], train_transform(Augmentation(crop="shift"), 48), seed=0)
    assert plain[(0, 0)].image.shape == (3, 48, 48)
    assert asked[1:] == [420]
