"""A segmenter from one call to pictures: trained, measured, used, stopped and resumed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.checkpoint import Header, load_header, save
from sightline.config import compose, read_recipe
from sightline.data.formats import read
from sightline.data.masks import Masks
from sightline.data.samples import write_digits
from sightline.data.splits import read_splits
from sightline.errors import ConfigError, DataError, InputError
from sightline.inference.predictor import load, to_tensor
from sightline.models import create_model
from sightline.models.unet import UNet
from sightline.ops.images import stretched
from sightline.structures import Windows
from sightline.tasks.tiles import LARGEST
from sightline.workflows.evaluate import evaluate
from sightline.workflows.plan import with_task
from sightline.workflows.predict import PredictResult, Row, predict, write_predictions
from sightline.workflows.train import TrainResult, resume, train
from tests.workflows.discs import Lines

QUICK: dict[str, Any] = {
    "model": {"name": "unet", "arguments": {"width": 8}},
    "training": {"epochs": 2, "batch_size": 4, "precision": "float32"},
    "data": {"image_size": 32, "workers": 0, "passes": 2},
    "optimizer": {"lr": 0.01},
}


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several odd sizes with a bright disc or two, and their 0/255 masks."""
    root, generator = tmp_path_factory.mktemp("data") / "discs", np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 3), ("test", 4)):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for number in range(count):
            height, width = (int(side) for side in generator.integers(30, 60, 2))
            picture = generator.integers(0, 90, (height, width, 3), dtype=np.uint8)
            y, x = generator.integers(8, (height - 8, width - 8))
            rows, columns = np.ogrid[:height, :width]
            inside = (rows - y) ** 2 + (columns - x) ** 2 <= 49
            picture[inside] += 120
            Image.fromarray(picture).save(root / split / "images" / f"{number}.png")
            Image.fromarray((inside * 255).astype(np.uint8)).save(root / split / "masks" / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def found(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(discs, name="discs", out=tmp_path_factory.mktemp("runs"), **QUICK)


def test_masks_alone_are_enough_to_choose_a_segmenter(discs: Path) -> None:
    index = read(discs)
    config = with_task(compose([("test", {"data": {"path": str(discs)}})]), index)
    assert (config.task, config.model.name) == ("segmentation", "unet")
    with pytest.raises(
        ConfigError, match=r"resnet18 is for classification, and .* has masks\. .* --model unet --backbone"
    ):
        with_task(compose([("test", {"model": {"name": "resnet18"}})]), index)


@pytest.mark.slow
def test_evaluate_measures_and_draws(found: TrainResult, tmp_path: Path) -> None:
    assert (found.headline, found.finished) == ("mIoU", True)
    values = evaluate(found.run)
    assert set(values) >= {"mIoU", "dice", "pixel_accuracy", "boundary_f", "per_class", "objects", "merged_objects"}
    assert (values["split"], values["images"], values["task"]) == ("test", 4, "segmentation")
    assert (found.run / "pictures" / "masks_test.png").stat().st_size > 1000
    json.dumps(values, allow_nan=False)
    with pytest.raises(InputError, match="see whole pictures"):
        evaluate(found.run, crops=10)
    with pytest.raises(InputError, match="trained for segmentation"):
        evaluate(found.run, voc=True)
    with pytest.raises(
        DataError, match=r"was trained for segmentation, but the data \(image folder\) has a class for each"
    ):
        evaluate(found.run, write_digits(tmp_path / "digits"))


@pytest.mark.slow
def test_predict_gives_a_mask_of_each_pictures_own_size(found: TrainResult, discs: Path, tmp_path: Path) -> None:
    result = predict(found.run, [discs / "test" / "images"])
    for row in result.rows:
        with Image.open(row.path) as picture:
            assert row.mask is not None
            assert tuple(row.mask.shape) == (picture.height, picture.width)
        assert sum(share for _, share in row.shares) == pytest.approx(1, abs=1e-4)
    written = write_predictions(result, tmp_path / "found.csv")
    masks = ["0.png", "1.png", "2.png", "3.png"]
    assert [path.name for path in written] == ["found.csv", *masks, "classes.yaml", "found.png"]
    with Image.open(tmp_path / "found" / "0.png") as mask:
        assert np.array_equal(np.asarray(mask), result.rows[0].mask)
    with pytest.raises(InputError, match="exists already"):
        write_predictions(result, tmp_path / "found.csv")
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "2.png").touch()
    with pytest.raises(InputError, match=r"2\.png exists already"):
        write_predictions(result, tmp_path / "again.csv")
    assert not (tmp_path / "again.csv").exists()  # all or nothing


def test_predicted_masks_are_named_in_the_table_and_become_a_data_set(tmp_path: Path) -> None:
    rows = []
    for number, mask in enumerate(([[0, 1, 1]], [[2, 0, 0]])):
        (tmp_path / "new" / "images").mkdir(parents=True, exist_ok=True)
        path = tmp_path / "new" / "images" / f"{number}.png"
        Image.new("RGB", (3, 1)).save(path)
        rows.append(Row(path=str(path), shares=[("no", 1.0)], mask=torch.tensor(mask, dtype=torch.uint8)))
    result = PredictResult(
        task="segmentation", class_names=("no", "255", "Ä: b"), rows=[*rows, Row(path="c.png", error="torn")]
    )
    folder = tmp_path / "found"
    write_predictions(result, tmp_path / "found.csv")
    table = (tmp_path / "found.csv").read_text().splitlines()
    assert table[0] == "path,label,share,mask,error"
    assert [line.split(",")[3] for line in table[1:]] == [str(folder / "0.png"), str(folder / "1.png"), ""]
    write_predictions(result, tmp_path / "found.jsonl", overwrite=True)
    lines = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert [line.get("mask") for line in lines] == [str(folder / "0.png"), str(folder / "1.png"), None]
    (folder / "classes.yaml").rename(tmp_path / "new" / "classes.yaml")
    folder.rename(tmp_path / "new" / "masks")
    index = read(tmp_path / "new")
    assert (index.format, index.class_names, index.faults.lines) == ("mask folder", result.class_names, ())
    assert isinstance(index.annotations, Masks)
    for position, row in enumerate(rows):
        assert torch.equal(index.annotations.target(position).mask, row.mask)


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "out"), [(".png", "photos.csv"), (".bmp", "photos.csv"), (".png", "photos/0.csv")])
def test_masks_never_come_over_or_among_the_pictures(
    found: TrainResult, discs: Path, tmp_path: Path, ending: str, out: str
) -> None:
    """The masks of photos.csv would come among the pictures, the sheet of photos/0.csv in place of one."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in (discs / "test" / "images").iterdir():
        Image.open(path).save(photos / f"{path.stem}{ending}")
    before = {path: path.read_bytes() for path in photos.iterdir()}
    result = predict(found.run, [photos])
    with pytest.raises(InputError, match=r"Choose another name"):
        write_predictions(result, tmp_path / out, overwrite=True)
    assert {path: path.read_bytes() for path in photos.iterdir()} == before
    assert not (tmp_path / out).exists()


def write_untrained(weights: Path, class_names: tuple[str, ...]) -> UNet:
    """A segmenter with both classes in its answers."""
    torch.manual_seed(0)
    network = create_model("unet", num_classes=2, width=4).eval()
    assert isinstance(network, UNet)
    with torch.no_grad():
        network.output.bias -= network(torch.randn(1, 3, 48, 48)).mean((0, 2, 3))
    header = Header(
        architecture="unet",
        arguments={"width": 4},
        task="segmentation",
        class_names=class_names,
        preprocessing=Windows(side=32),
    )
    save(weights, network.state_dict(), header)
    return network


@pytest.mark.slow
def test_evaluate_sees_pictures_of_several_sizes_as_predict_does(discs: Path, tmp_path: Path) -> None:
    weights = tmp_path / "untrained.safetensors"
    write_untrained(weights, read(discs).class_names)
    rows = predict(weights, [discs / "test" / "images"]).rows
    right = pixels = 0
    for row in rows:
        with Image.open(discs / "test" / "masks" / Path(row.path).name) as mask:
            right += int(((np.asarray(mask) == 255) == row.mask).sum())
            pixels += mask.width * mask.height
    assert evaluate(weights, discs)["pixel_accuracy"] == pytest.approx(right / pixels, abs=1e-12)


@pytest.mark.slow
def test_a_picture_larger_than_a_tile_is_predicted_and_measured_as_in_one_piece(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the whole below, which is computed without autocast.
    monkeypatch.setattr("sightline.inference.predictor.pick_precision", lambda *_, **__: "float32")
    data, (height, width) = shutil.copytree(discs, tmp_path / "data"), (1301, 1447)
    assert height * width > LARGEST
    noise = np.random.default_rng(0).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    picture = noise.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    for file in (*(data / "test/images").iterdir(), *(data / "test/masks").iterdir()):
        file.unlink()
    Image.fromarray(picture).save(data / "test/images/0.png")
    truth = picture[..., 0] > 127
    Image.fromarray((truth * 255).astype(np.uint8)).save(data / "test/masks/0.png")
    weights = tmp_path / "untrained.safetensors"
    network = write_untrained(weights, read(data).class_names)
    (row,) = predict(weights, [data / "test/images"]).rows
    assert row.mask is not None
    seen = np.asarray(row.mask)
    assert seen.shape == (height, width)
    measured = evaluate(weights, data)["pixel_accuracy"]
    assert measured == pytest.approx(float((seen == truth).mean()), abs=1e-12)
    with torch.inference_mode():
        whole = network(load(weights).inputs(torch.from_numpy(picture).permute(2, 0, 1)[None])).argmax(1)[0].numpy()
    assert (whole == seen).mean() > 0.999
    assert 0.01 < whole.mean() < 0.99


@pytest.mark.slow
def test_a_resumed_segmenter_has_the_same_bits(discs: Path, tmp_path: Path) -> None:
    class Crash(Lines):
        def progress(self, progress: Any) -> None:
            if progress.step == 4:
                raise RuntimeError("crash")

    sections = {**QUICK, "training": {**QUICK["training"], "log_every": 1, "save_every": 2}}
    whole = train(discs, name="whole", out=tmp_path, **sections)
    with pytest.raises(RuntimeError, match="crash"):
        train(discs, name="cut", out=tmp_path, listener=Crash(), **sections)
    assert resume(tmp_path / "cut").finished
    files = [(run / "weights" / "last.safetensors").read_bytes() for run in (whole.run, tmp_path / "cut")]
    assert files[0] == files[1]


@pytest.mark.slow
def test_what_is_learned_by_comes_from_the_recipe(discs: Path, tmp_path: Path) -> None:
    listener = Lines()
    chosen = {"losses": "cross_entropy", "balance": 1.0, "touching": 10.0, "touching_sigma": 3.0}
    run = train(discs, name="weighted", out=tmp_path, listener=listener, segmentation=chosen, **QUICK).run
    kept = compose([("kept", read_recipe(run / "recipe.toml"))]).segmentation
    index = read_splits(read(discs), run / "splits.csv")
    assert isinstance(index.annotations, Masks)
    shares = index.annotations.counts(index.positions("train"), 2) / 12
    shares = shares / shares.sum()
    assert kept.class_weights is not None
    assert np.asarray(kept.class_weights) * shares == pytest.approx(0.5, rel=1e-3)  # each class counts the same
    assert kept.touching == 10.0
    assert any(line.startswith("class weights: background 0.") for line in listener.said)


@pytest.mark.slow
def test_a_validation_split_that_says_nothing_is_refused_before_training(discs: Path, tmp_path: Path) -> None:
    blind = tmp_path / "blind"
    shutil.copytree(discs, blind)
    for path in sorted(blind.rglob("masks/*.png")):
        values = np.asarray(Image.open(path)) // 255
        Image.fromarray(np.full_like(values, 255) if path.parent.parent.name == "val" else values).save(path)
    with pytest.raises(DataError, match=r"validation split \(3 pictures\) has no pixel of a known class"):
        train(blind, name="a", out=tmp_path, **QUICK)


@pytest.mark.slow
def test_pictures_of_unlike_exposure_are_stretched_in_training_and_in_use(discs: Path, tmp_path: Path) -> None:
    dim = tmp_path / "dim"
    shutil.copytree(discs, dim)
    for number, path in enumerate(sorted(dim.rglob("images/*.png"))):
        if number % 2:
            Image.fromarray(np.asarray(Image.open(path)) // 4).save(path)
    listener = Lines()
    run = train(dim, name="seen", out=tmp_path, listener=listener, **QUICK).run
    assert any("exposed very differently" in line for line in listener.said)
    shape = load_header(run / "weights" / "best.safetensors").preprocessing
    assert isinstance(shape, Windows)
    assert shape.stretch
    predictor = load(run)
    image = to_tensor(dim / "test" / "images" / "0.png")
    assert torch.equal(predictor.sample(image).image, stretched(image))
    kept = train(dim, name="kept", out=tmp_path, **{**QUICK, "data": {**QUICK["data"], "stretch": False}}).run
    assert load_header(kept / "weights" / "best.safetensors").preprocessing == Windows(side=32)


@pytest.mark.slow
def test_a_bad_mask_is_named_before_training(discs: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    for path in sorted(discs.rglob("*.png")):
        (bad / path.relative_to(discs)).parent.mkdir(parents=True, exist_ok=True)
        (bad / path.relative_to(discs)).write_bytes(path.read_bytes())
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(bad / "train" / "masks" / "3.png")
    with pytest.raises(DataError, match=r"masks/3\.png.*5 x 5"):
        train(bad, name="a", out=tmp_path, **QUICK)
