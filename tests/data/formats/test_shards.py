"""Shards: written, read from a folder and from addresses, and what is wrong with them said."""

import hashlib
import io
import json
import pickle
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from PIL import Image

from benchmarks.range_server import RangeServer, serving
from sightline.data.annotations import Annotations, ClassLabels, Objects
from sightline.data.checks import check
from sightline.data.dataset import Samples
from sightline.data.formats import read
from sightline.data.formats.shard_writing import write
from sightline.data.formats.shards import COLUMNS, DESCRIPTION
from sightline.data.index import Index
from sightline.data.loader import EpochBatches, train_loader
from sightline.data.masks import DrawnMasks, Masks
from sightline.data.sources import FileSource
from sightline.data.transforms import Augmentation, train_transform
from sightline.errors import DataError, ImageError, MissingDependencyError
from sightline.workflows import check as check_workflow

COUNT = 12


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Index]:
    """Files with annotations of a kind: 12 pictures of their own values, the last three for testing."""

    def made(kind: type[Annotations] = ClassLabels) -> Index:
        names = [f"{'train' if at < COUNT - 3 else 'test'}/{'ab'[at % 2]}/p.{at}.png" for at in range(COUNT)]
        for at, name in enumerate(names):
            (tmp_path / "made" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((6, 5, 3), 10 * at, np.uint8)).save(tmp_path / "made" / name)
        masks = [torch.full((6, 5), [0, 1, 255][at % 3], dtype=torch.uint8) for at in range(COUNT)]
        boxes = [np.array([[1, 1, 3 + at / 8, 4]] * (at % 3), float) for at in range(COUNT)]
        annotations: dict[type, Annotations] = {
            ClassLabels: ClassLabels(np.arange(COUNT) % 2),
            Objects: Objects.of(boxes, [np.ones(len(rows), np.int64) for rows in boxes]),
            Masks: Masks(DrawnMasks(masks, names)),
        }
        return Index(
            source=FileSource(tmp_path / "made", names),
            annotations=annotations[kind],
            class_names=("a", "b"),
            splits={"train": np.arange(COUNT - 3), "test": np.arange(COUNT - 3, COUNT)},
            format="made",
        )

    return made


@pytest.fixture
def shards(make: Callable[..., Index], tmp_path: Path) -> Path:
    """Of pictures with classes: five in a shard."""
    (dots,) = write(make(), tmp_path / "shards", pictures=5)
    assert dots.startswith("The dots in 12 names become _, since")
    return tmp_path / "shards"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    with serving(tmp_path) as running:
        yield running


def original(index: Index, position: int) -> int:
    """Which picture it was, by its value."""
    return int(index.source.image(position)[0, 0, 0]) // 10


@pytest.mark.parametrize("kind", [ClassLabels, Objects, Masks])
def test_pictures_and_annotations_come_back(
    kind: type[Annotations], make: Callable[..., Index], tmp_path: Path
) -> None:
    index = make(kind)
    write(index, tmp_path / "shards", pictures=5)
    again = read(tmp_path / "shards")
    assert (again.format, again.class_names) == ("shards", ("a", "b"))
    order = [original(again, at) for at in range(len(again))]
    assert sorted(order) == list(range(COUNT)) != order
    assert {split: sorted(order[at] for at in held) for split, held in again.splits.items()} == {
        split: held.tolist() for split, held in index.splits.items()
    }
    for at, before in enumerate(order):
        if kind is Masks:
            assert again.annotations.target(at).mask.equal(index.annotations.target(before).mask)
        else:
            assert again.annotations.digest(at) == index.annotations.digest(before)
        assert isinstance(index.source, FileSource)
        assert again.source.content(at) == index.source.path(before).read_bytes()  # type: ignore[attr-defined]
    assert not check(again).faults


def test_other_programs_can_read_them(make: Callable[..., Index], tmp_path: Path) -> None:
    """A member's name begins with a key without dots, those of one picture follow each other, and hashes are of the files."""
    write(make(Objects), tmp_path / "shards", pictures=5)
    described = json.loads((tmp_path / "shards" / DESCRIPTION).read_text())
    assert [(shard["file"], shard["pictures"]) for shard in described["shards"]] == [
        ("train/000000.tar", 5),
        ("train/000001.tar", 4),
        ("test/000000.tar", 3),
    ]
    for shard in described["shards"]:
        content = (tmp_path / "shards" / shard["file"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (shard["sha256"], shard["bytes"])
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            names = tar.getnames()
            assert all(name.count(".") == 1 and name[:2] in ("a/", "b/") for name in names)
            assert [name.split(".")[0] for name in names[::2]] == [name.split(".")[0] for name in names[1::2]]
            assert {name.split(".")[1] for name in names[1::2]} == {"json"}
            member = tar.extractfile(names[1])
            assert member is not None
            assert json.load(member).keys() == {"boxes", "labels", "crowd", "difficult", "areas"}


def test_the_same_seed_gives_the_same_bytes(make: Callable[..., Index], tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        write(make(), tmp_path / name, seed=seed)
    one, same, other = ((tmp_path / name / "train/000000.tar").read_bytes() for name in ("one", "same", "other"))
    assert one == same != other


def test_a_shard_is_no_larger_than_was_asked_for(make: Callable[..., Index], tmp_path: Path) -> None:
    write(make(), tmp_path / "shards", size=8 * 1024)
    sizes = [file.stat().st_size for file in (tmp_path / "shards").rglob("*.tar")]
    assert max(sizes) <= 8 * 1024 < sum(sizes)


def test_one_changed_byte_names_the_shard_and_leaves_the_picture_out(shards: Path) -> None:
    before = read(shards)
    place = int(before.source.places.starts[2]) + 40  # type: ignore[attr-defined]
    file = shards / "train/000000.tar"
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    index = read(shards)
    with pytest.raises(
        ImageError, match=r"train/000000\.tar/.*png: the bytes from .* in the shard train/000000\.tar are not"
    ):
        index.source.image(2)
    report = check(index)
    assert [fault.position for fault in report.faults] == [2]
    with pytest.raises(DataError, match=r"1 of 12 pictures .*\n.*train/000000\.tar"):
        report.without_faults(index)
    assert len(report.without_faults(index, tolerance=0.1).positions("train")) == COUNT - 4


def test_a_shard_that_is_cut_or_missing_is_named(shards: Path) -> None:
    index = read(shards)
    file = shards / "train/000000.tar"
    file.write_bytes(file.read_bytes()[: int(index.source.places.starts[4])])  # type: ignore[attr-defined]
    (shards / "test/000000.tar").unlink()
    reasons = {fault.position: str(fault) for fault in check(index).faults}
    assert reasons.keys() == {4, 9, 10, 11}
    assert "train/000000.tar/" in reasons[4]
    assert "it is shorter than it was" in reasons[4]
    assert "No such file" in reasons[9]


@pytest.mark.parametrize("remote", [False, True])
def test_an_index_that_is_damaged_is_refused(remote: bool, shards: Path, server: RangeServer) -> None:
    path: Path | str = f"{server.address}/shards" if remote else shards
    (shards / COLUMNS).write_bytes((shards / COLUMNS).read_bytes()[:-1] + b"\x01")
    with pytest.raises(DataError, match=r"columns\.safetensors is not the one"):
        read(path)
    (shards / DESCRIPTION).write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        read(path)
    (shards / DESCRIPTION).write_text('{"sightline_shards": 7}')
    with pytest.raises(DataError, match="version 7"):
        read(path)


def change(shards: Path, columns: dict[str, np.ndarray]) -> None:
    """Put other columns in, with a hash that is right."""
    held = safetensors.numpy.load((shards / COLUMNS).read_bytes()) | columns
    content = safetensors.numpy.save(held)
    (shards / COLUMNS).write_bytes(content)
    described = json.loads((shards / DESCRIPTION).read_text())
    (shards / DESCRIPTION).write_text(json.dumps(described | {"columns_sha256": hashlib.sha256(content).hexdigest()}))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"starts": np.full(COUNT, 10**6)}, "outside its shard"),
        ({"lengths": np.full(COUNT, -1)}, "outside its shard"),
        ({"lengths": np.full(COUNT, 2**63 - 1)}, "outside its shard"),
        ({"shards": np.full(COUNT, 3, np.int32)}, "do not fit"),
        ({"shards": np.full(COUNT, -1, np.int32)}, "outside its shard"),
        ({"starts": np.zeros(3, np.int64)}, "do not fit"),
        ({"labels": np.full(COUNT, 2)}, "there are 2 classes"),
        ({"ends": np.arange(COUNT + 1)[::-1].copy()}, "do not fit"),
    ],
)
def test_an_index_of_nonsense_is_refused(columns: dict[str, np.ndarray], said: str, shards: Path) -> None:
    change(shards, columns)
    with pytest.raises(DataError, match=said):
        read(shards)


@pytest.mark.parametrize("file", ["../made/x.tar", "/etc/x.tar", "train/../x.tar", "train\\x.tar", "http://a/x.tar"])
def test_no_shard_lies_outside_the_folder(file: str, shards: Path) -> None:
    described = json.loads((shards / DESCRIPTION).read_text())
    described["shards"][0]["file"] = file
    (shards / DESCRIPTION).write_text(json.dumps(described))
    with pytest.raises(DataError, match="has the shard"):
        read(shards)


def test_the_order_is_the_same_for_any_number_of_processes(shards: Path) -> None:
    positions = read(shards).positions("train")
    orders = []
    for size in (1, 2, 4):
        ranks = [EpochBatches(positions, 4, 7, total_steps=6, rank=rank, world_size=size) for rank in range(size)]
        orders.append([[key for part in step for key in part] for step in zip(*ranks, strict=True)])
    assert orders[0] == orders[1] == orders[2]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["folder", "http", "memory", "file"])
def test_batches_are_the_same_from_everywhere(place: str, shards: Path, server: RangeServer) -> None:
    """With workers, and from the middle on."""
    fsspec = pytest.importorskip("fsspec")
    path: Path | str = shards
    if place == "http":
        path = f"{server.address}/shards"
    elif place == "file":
        path = f"file://{shards}"
    elif place == "memory":
        path = "memory://shards"
        for file in shards.rglob("*.*"):
            fsspec.filesystem("memory").pipe_file(f"/shards/{file.relative_to(shards)}", file.read_bytes())

    def batches(path: Path | str, workers: int, start: int = 0) -> list[torch.Tensor]:
        index = read(path)
        assert not check(index).faults  # with threads and connections, which no worker may go on with
        samples = Samples(index, index.positions("train"), train_transform(Augmentation(), 8), seed=3)
        return [batch.images for batch in train_loader(samples, 4, 6, start, workers)]

    expected = batches(shards, 0)
    assert torch.equal(torch.stack(batches(path, 0)), torch.stack(expected))
    assert torch.equal(torch.stack(batches(path, 2, start=3)), torch.stack(expected[3:]))


def test_neighbours_are_fetched_in_one_piece(shards: Path, server: RangeServer) -> None:
    index = read(Path(f"{server.address}/shards"))  # a Path has lost a slash
    server.asked.clear()
    assert not check(index).faults
    assert len(server.asked) == 3  # shards


def test_a_server_that_is_busy_or_closes_is_asked_again(
    shards: Path, server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    index = read(f"{server.address}/shards")
    server.failing = [503, 429]
    assert original(index, 0) in range(COUNT)
    server.failing = [503] * 5
    with pytest.raises(ImageError, match="503 Busy, 5 times"):
        index.source.image(0)
    with pytest.raises(DataError, match="404"):
        read(f"{server.address}/elsewhere")


def test_a_flipped_byte_on_a_server_is_found(shards: Path, server: RangeServer) -> None:
    index = read(f"{server.address}/shards")
    start = int(index.source.places.starts[0])  # type: ignore[attr-defined]
    content = bytearray((shards / "train/000000.tar").read_bytes())
    content[start] ^= 128
    (shards / "train/000000.tar").write_bytes(content)
    (fault,) = check(index).faults
    assert fault.position == 0
    assert "SHA-256" in fault.reason


def test_addresses_that_need_more(shards: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"pip install 'sightline\[remote\]'"):
        read("s3://bucket/shards")
    with pytest.raises(DataError, match="only shards"):
        read("http://127.0.0.1:9/x", "csv")


def test_pictures_that_cannot_be_read_are_left_out_up_to_a_hundredth(
    make: Callable[..., Index], tmp_path: Path
) -> None:
    index = make()
    (tmp_path / "made/train/a/p.0.png").unlink()
    with pytest.raises(DataError, match=r"(?s)Too many.*p\.0\.png"):
        write(index, tmp_path / "shards")
    assert not (tmp_path / "shards" / DESCRIPTION).exists()


def test_a_source_can_go_to_another_process(shards: Path) -> None:
    index = read(shards)
    again = pickle.loads(pickle.dumps(index.source))
    assert again.image(3).equal(index.source.image(3))


def test_what_is_a_shard_is_recognised_by_its_index(shards: Path) -> None:
    assert read(shards / DESCRIPTION).format == "shards"
    shutil.rmtree(shards / "train")
    assert read(shards).format == "shards"


@pytest.mark.parametrize("remote", [False, True])
def test_a_check_names_the_shard_and_writes_a_copy_without_the_picture(
    remote: bool, make: Callable[..., Index], server: RangeServer, tmp_path: Path
) -> None:
    write(make(Masks), tmp_path / "shards", pictures=5)
    before = read(tmp_path / "shards")
    file = tmp_path / "shards/train/000000.tar"
    content = bytearray(file.read_bytes())
    content[int(before.source.places.starts[2]) + 40] ^= 1  # type: ignore[attr-defined]
    file.write_bytes(content)
    path = Path(f"{server.address}/shards") if remote else tmp_path / "shards"
    result = check_workflow.check(path, fixed=tmp_path / "fixed")
    (found,) = [finding for finding in result["findings"] if finding["kind"] == "corrupt picture"]
    assert found["where"].startswith("train/000000.tar/")
    assert "in the shard train/000000.tar are not those that were written" in found["what"]
    again = read(tmp_path / "fixed")
    assert sorted(again.source.content(at) for at in range(len(again))) == sorted(  # type: ignore[attr-defined]
        before.source.content(at)
        for at in range(COUNT)
        if at != 2  # type: ignore[attr-defined]
    )
    assert not check(again).faults


def test_a_check_names_a_shard_that_changed_where_no_picture_is(make: Callable[..., Index], tmp_path: Path) -> None:
    """Its labels are in the index too, but other programs read them from the shard."""
    write(make(ClassLabels), tmp_path / "shards", pictures=5)
    assert not [f for f in check_workflow.check(tmp_path / "shards")["findings"] if f["kind"] == "broken file"]
    with tarfile.open(tmp_path / "shards/train/000000.tar") as tar:
        place = next(member.offset_data for member in tar if member.name.endswith(".cls"))
    content = bytearray((tmp_path / "shards/train/000000.tar").read_bytes())
    content[place] ^= 1
    (tmp_path / "shards/train/000000.tar").write_bytes(content)
    result = check_workflow.check(tmp_path / "shards", fixed=tmp_path / "fixed")
    assert [(f["kind"], f["where"]) for f in result["findings"] if f["level"] == "error"] == [
        ("broken file", "train/000000.tar")
    ]
    assert result["fixed"]["left"] == []


def test_pictures_are_decoded_smaller_as_files_are(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(generator.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(tmp_path / name)
    source = FileSource(tmp_path, ["a.jpg", "b.jpg"])
    index = Index(
        source=source, annotations=ClassLabels(np.arange(2)), class_names=("a", "b"), splits={}, format="made"
    )
    write(index, tmp_path / "shards")
    again = read(tmp_path / "shards")
    for at, before in enumerate(again.labels.tolist()):
        assert again.source.shrunk(at, lambda *_: 2).equal(source.shrunk(before, lambda *_: 2))  # type: ignore[attr-defined]
    assert again.source.shrunk(0, lambda *_: 2).shape == (3, 32, 48)  # type: ignore[attr-defined]
