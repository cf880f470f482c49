"""Shards at s3://, on a server of this machine; `uv sync --group s3` brings it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightline.data.checks import check
from sightline.data.dataset import Samples
from sightline.data.formats import read
from sightline.data.formats.shard_writing import write
from sightline.data.index import Index
from sightline.data.loader import train_loader
from sightline.data.transforms import Augmentation, train_transform

COUNT = 12


@pytest.fixture(scope="module")
def store() -> Iterator[Any]:
    """A file system of fsspec on an empty store."""
    servers = pytest.importorskip("moto.server", reason="needs an S3-compatible server: uv sync --group s3")
    s3fs = pytest.importorskip("s3fs", reason="needs s3fs: uv sync --group s3")
    server = servers.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "of no use elsewhere")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        files = s3fs.S3FileSystem()
        files.mkdir("pictures")
        yield files
    server.stop()


@pytest.fixture
def shards(tmp_path: Path, make_index: Callable[..., Index]) -> Path:
    """Two shards of training pictures."""
    index = make_index(6, 6, splits={"train": list(range(COUNT))})
    write(index, tmp_path / "shards", pictures=6)
    return tmp_path / "shards"


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_batches_as_from_the_disk(store: Any, shards: Path, workers: int) -> None:
    """Also in workers that were forked after the store was asked in this process."""
    store.put(str(shards), f"pictures/whole{workers}", recursive=True)

    def batches(data: Path | str) -> list[torch.Tensor]:
        samples = Samples(read(data), np.arange(COUNT), train_transform(Augmentation(crop="shift"), 16), seed=1)
        return [batch.images for batch in train_loader(samples, 4, 6, workers=workers)]

    there = batches(f"s3://pictures/whole{workers}")
    for ours, local in zip(there, batches(shards), strict=True):
        assert torch.equal(ours, local)


def test_a_flipped_byte_is_found(store: Any, shards: Path) -> None:
    spoilt = sorted((shards / "train").glob("*.tar"))[1]
    content = bytearray(spoilt.read_bytes())
    content[600] ^= 1
    spoilt.write_bytes(content)
    store.put(str(shards), "pictures/spoilt", recursive=True)
    (fault,) = check(read("s3://pictures/spoilt")).faults
    assert "train/000001.tar" in fault.name
