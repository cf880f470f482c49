"""Every recipe can be composed, planned and built; those of papers say what the papers say; all take a step."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.config import RunConfig, compose, read_recipe
from sightline.data.checks import Report, check
from sightline.data.formats import read
from sightline.data.index import Index
from sightline.data.mask_transforms import GRID
from sightline.data.samples import write_scenes
from sightline.data.splits import with_splits
from sightline.models import create_model
from sightline.training.distributed import World
from sightline.training.optim import build_optimizer, lr_factor
from sightline.training.runlog import Silence
from sightline.training.trainer import train_step
from sightline.workflows.pictures import training_samples
from sightline.workflows.plan import complete, with_task
from sightline.workflows.train import _job
from tests.workflows.discs import write_discs

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
DETECTORS = [path for path in RECIPES if read_recipe(path)["model"]["name"] == "faster_rcnn"]
SEGMENTERS = [path for path in RECIPES if read_recipe(path)["model"]["name"].startswith("unet")]
CLASSIFIERS = [path for path in RECIPES if path not in (*DETECTORS, *SEGMENTERS)]
IMAGENET = [path for path in RECIPES if path.stem.startswith("imagenet")]
PAPERS = [path for path in IMAGENET if path.stem != "imagenet_resnet50"]
SYNSETS = ("n01440764", "n02012849", "n03126707")


@pytest.fixture(scope="module")
def tiny_imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six training and three validation pictures in the official layout."""
    root = tmp_path_factory.mktemp("ilsvrc")
    generator = np.random.default_rng(0)
    names = [f"train/{synset}/{synset}_{number}.JPEG" for synset in SYNSETS for number in (1, 2)]
    names += [f"val/ILSVRC2012_val_0000000{number}.JPEG" for number in (1, 2, 3)]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(root / name)
    (root / "imagenet_2012_validation_synset_labels.txt").write_text("\n".join(reversed(SYNSETS)))
    return root


@pytest.fixture(scope="module")
def looked_at(tiny_imagenet: Path) -> tuple[Index, Report]:
    index = with_splits(read(tiny_imagenet))
    return index, check(index)


def composed(path: Path, **sections: Any) -> RunConfig:
    return compose([(path.name, read_recipe(path)), ("test", sections)])


def stands(written: Any, kept: Any) -> bool:
    """Whether what a recipe says is there; tables may have more."""
    if isinstance(written, dict):
        return all(stands(value, kept[name]) for name, value in written.items())
    return written == (list(kept) if isinstance(kept, tuple) else kept)


def planned(path: Path, index: Index, report: Report, **sections: Any) -> tuple[RunConfig, Any]:
    """The configuration and the shape of the pictures; what the recipe says stands."""
    written = read_recipe(path)
    config = with_task(composed(path, training={"precision": "float32"}, **sections), index)
    config, shape, _ = complete(config, index, report)
    for section, values in written.items():
        for name, value in values.items() if isinstance(values, dict) else ():
            kept = getattr(getattr(config, section), name)
            if name != "balance":  # becomes class weights
                assert stands(value, kept), f"{section}.{name}"
    return config, shape


@pytest.mark.slow
@pytest.mark.parametrize("path", DETECTORS, ids=lambda path: path.stem)
def test_a_detectors_recipe_is_planned_as_it_is_written_and_its_network_built(path: Path, tmp_path: Path) -> None:
    index = read(write_discs(tmp_path / "discs", {"train": 3, "val": 2}))
    config, shape = planned(path, index, check(index))
    assert shape.shorter == read_recipe(path)["data"]["image_size"]
    with torch.device("meta"):
        model = create_model(config.model.name, num_classes=2, **config.model.arguments)
        if config.model.freeze:
            model.freeze(config.model.freeze)


@pytest.mark.parametrize("path", SEGMENTERS, ids=lambda path: path.stem)
def test_a_segmenters_recipe_is_planned_as_it_is_written_and_its_network_built(path: Path, tmp_path: Path) -> None:
    index = read(write_scenes(tmp_path / "masks", counts={"train": 3, "val": 2}, masks=True))
    config, shape = planned(path, index, check(index))
    assert shape.side == read_recipe(path)["data"]["image_size"]
    with torch.device("meta"):
        create_model(config.model.name, num_classes=2, **config.model.arguments)


def test_the_recipe_of_unet_follows_the_paper() -> None:
    config = composed(next(path for path in SEGMENTERS if path.stem == "isbi2012"))
    assert (config.model.name, config.training.batch_size, config.optimizer.momentum) == ("unet_2015", 1, 0.99)
    chosen = config.segmentation
    assert (chosen.losses, chosen.touching, chosen.touching_sigma, chosen.balance) == ("cross_entropy", 10, 5, 1)
    assert (config.masks.elastic, config.masks.elastic_pixels, GRID) == (1, 10, 3)
    assert config.data.image_size == 572 - 184


@pytest.mark.slow
@pytest.mark.parametrize("path", CLASSIFIERS, ids=lambda path: path.stem)
def test_a_recipe_is_planned_as_it_is_written_and_its_network_built(
    path: Path, looked_at: tuple[Index, Report]
) -> None:
    written = read_recipe(path)
    config, preprocessing = planned(path, *looked_at)
    assert preprocessing.crop == written.get("data", {}).get("image_size", preprocessing.crop)
    with torch.device("meta"):
        model = create_model(config.model.name, num_classes=1000, **config.model.arguments)
    shape = (1, 3, preprocessing.crop, preprocessing.crop)
    assert model.eval()(torch.empty(shape, device="meta")).shape == (1, 1000)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_how_it_is_called_and_whether_it_was_run(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.startswith("#")]
    starts = {line[2:12].strip(): line[12:].strip() for line in lines}
    assert starts["Command"].startswith(f"sightline train DATA --recipe recipes/{path.name} --name ")
    assert starts["DATA"]
    assert starts["Was run"]
    if path in IMAGENET:
        assert starts["Was run"].startswith("not here")
        assert path.stem.removeprefix("imagenet_") == read_recipe(path)["model"]["name"]


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_a_papers_recipe_has_nothing_that_is_younger(path: Path) -> None:
    config = composed(path)
    assert (config.optimizer.name, config.optimizer.momentum, config.optimizer.nesterov) == ("sgd", 0.9, False)
    assert config.optimizer.schedule == "step"
    # Only what has no batch norm needs an epoch to get going, with weights that start larger than the papers'.
    warmup = 0 if config.model.name.startswith("resnet") else 1
    assert config.optimizer.warmup * config.training.epochs == pytest.approx(warmup, rel=1e-4)
    assert config.training.label_smoothing == 0
    assert (config.augmentation.mixup, config.augmentation.cutmix, config.augmentation.erasing) == (0, 0, 0)
    assert config.model.arguments.get("zero_init", False) is False
    assert ("zero_init" in config.model.arguments) == config.model.name.startswith("resnet")
    assert None not in (config.optimizer.lr, config.optimizer.weight_decay, config.training.batch_size)


# recipe: the shares of the peak rate at some epochs, weight decay, images a step, shorter side of the pictures
SAYS: dict[str, tuple[dict[float, float], float, int, tuple[int, int]]] = {
    "alexnet_2012": ({1.1: 1, 22.4: 1, 22.6: 0.1, 45.1: 0.01, 89.9: 0.001}, 5e-4, 128, (256, 256)),
    "vgg16": ({1.1: 1, 18.4: 1, 18.6: 0.1, 37.1: 0.01, 73.9: 0.001}, 5e-4, 256, (256, 512)),
    "resnet50_2015": ({0: 1, 29.9: 1, 30.1: 0.1, 60.1: 0.01, 119.9: 0.01}, 1e-4, 256, (256, 480)),
    "googlenet_2014": ({1.1: 1, 7.9: 1, 8.1: 0.96, 16.1: 0.96**2, 247.9: 0.96**30, 249.9: 0.96**31}, 2e-4, 256, (256, 256)),
}  # fmt: skip


@pytest.mark.parametrize("name", SAYS)
def test_a_papers_recipe_follows_the_paper(name: str) -> None:
    rates, decay, batch_size, sides = SAYS[name]
    config = composed(next(path for path in PAPERS if path.stem == f"imagenet_{name}"))
    steps = 5000
    for epoch, share in rates.items():
        factor = lr_factor(config.optimizer, round(epoch * steps), config.training.epochs * steps)
        assert math.isclose(factor, share, rel_tol=1e-9), epoch
    assert (config.optimizer.weight_decay, config.training.batch_size) == (decay, batch_size)
    assert tuple(round(224 * share) for share in config.augmentation.scale_jitter) == sides


@pytest.mark.slow
@pytest.mark.parametrize("path", IMAGENET, ids=lambda path: path.stem)
def test_an_imagenet_recipe_takes_a_step(path: Path, looked_at: tuple[Index, Report], tmp_path: Path) -> None:
    # The small stem spares VGG's 100 million weights that read 7 x 7 cells; the recipe's own stem is built above.
    small = {"data": {"image_size": 64}, "training": {"batch_size": 4, "precision": "float32"}}
    config = with_task(composed(path, model={"arguments": {"stem": "small"}}, **small), looked_at[0])
    config, preprocessing, _ = complete(config, *looked_at)
    samples = training_samples(looked_at[0], config, preprocessing, looked_at[1])
    job = _job(tmp_path, samples, config, preprocessing, Silence(), World(), fresh=True)
    job.model.train()
    weight = dict(job.model.named_parameters())[f"{job.model.head}.weight"]  # type: ignore[attr-defined]
    before = weight.detach().clone()
    optimizer = build_optimizer(job.model, job.optimizer)
    loss = train_step(job, job.model, optimizer, next(iter(job.train_batches(0))), World())
    if "googlenet" in path.stem:  # with its two auxiliary classifiers of weight 0.3
        assert float(loss) == pytest.approx(1.6 * math.log(3), rel=0.15)
    assert math.isfinite(float(loss))
    assert bool((weight != before).any())
