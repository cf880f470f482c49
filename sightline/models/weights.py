"""Published weights: where they are, what they reach, how pictures must be prepared for them; and loading them.

The files are torchvision's, under its BSD-3-Clause licence, and were trained on ImageNet-1k (1000 classes), whose
pictures are for non-commercial research; whether that binds the weights is for the user to judge. Each file is a plain
dictionary of tensors and is read as such: nothing in it is executed. The first 8 digits of its SHA-256 are in its name.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from sightline.errors import StorageError, UnknownNameError, WeightsError
from sightline.models.backbone import Backbone
from sightline.models.detectors import current_names
from sightline.models.download import Progress, fetch_file, require_published
from sightline.models.faster_rcnn import FasterRCNN
from sightline.models.unet import UNet
from sightline.structures import Preprocessing, Shape, WholePicture

LICENCE = "BSD-3-Clause (torchvision); trained on ImageNet-1k"
COCO_LICENCE = "BSD-3-Clause (torchvision); trained on COCO 2017"
DEFAULT = "imagenet"
COCO = "coco"
_WRAPPED = "module."
_V1 = Preprocessing(resize=256, crop=224)
_V2 = Preprocessing(resize=232, crop=224)
_V1_5 = {"stride_in": "3x3"}  # the paper's placement, "1x1", has the same names and shapes
# GoogLeNet and Inception v3 were trained on values from -1 to 1.
_GOOGLENET = Preprocessing(resize=256, crop=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
_INCEPTION = Preprocessing(resize=342, crop=299, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One checkpoint that someone has published."""

    file: str
    """Its name; the digits between the last "-" and the "." start its SHA-256."""
    reported: Mapping[str, float]
    """What its publisher reports, in percent: `top1` and `top5` on ImageNet's validation images, one centre crop; `AP` on
    COCO's of 2017."""
    preprocessing: Shape = _V1
    """What its pictures went through when it was evaluated."""
    num_classes: int = 1000
    """Outputs of its head."""
    architecture: Mapping[str, object] = field(default_factory=dict)
    """Attributes that a model must have for the weights to mean something, beyond what names and shapes show."""
    licence: str = LICENCE
    """What one may do with it."""
    folder_url: str = "https://download.pytorch.org/models/"
    """Where it lies."""

    @property
    def url(self) -> str:
        """The address of the file."""
        return self.folder_url + self.file

    @property
    def sha256_prefix(self) -> str:
        """The first digits of the file's SHA-256.

        >>> find("resnet18").sha256_prefix
        'f37072fd'
        """
        return self.file.rpartition("-")[2].partition(".")[0]


_COCO = WholePicture(shorter=800, longer=1333)

# Accuracies are torchvision's. V2 was trained longer, with stronger augmentation. The last of each is the default.
PUBLISHED: dict[str, dict[str, Published]] = {
    "alexnet": {"imagenet-v1": Published(file="alexnet-owt-7be5be79.pth", reported={"top1": 56.522, "top5": 79.066})},
    "vgg11": {"imagenet-v1": Published(file="vgg11-8a719046.pth", reported={"top1": 69.020, "top5": 88.628})},
    "vgg11_bn": {"imagenet-v1": Published(file="vgg11_bn-6002323d.pth", reported={"top1": 70.370, "top5": 89.810})},
    "vgg13": {"imagenet-v1": Published(file="vgg13-19584684.pth", reported={"top1": 69.928, "top5": 89.246})},
    "vgg13_bn": {"imagenet-v1": Published(file="vgg13_bn-abd245e5.pth", reported={"top1": 71.586, "top5": 90.374})},
    "vgg16": {"imagenet-v1": Published(file="vgg16-397923af.pth", reported={"top1": 71.592, "top5": 90.382})},
    "vgg16_bn": {"imagenet-v1": Published(file="vgg16_bn-6c64b313.pth", reported={"top1": 73.360, "top5": 91.516})},
    "vgg19": {"imagenet-v1": Published(file="vgg19-dcbb9e9d.pth", reported={"top1": 72.376, "top5": 90.876})},
    "vgg19_bn": {"imagenet-v1": Published(file="vgg19_bn-c79401a0.pth", reported={"top1": 74.218, "top5": 91.842})},
    "googlenet": {
        "imagenet-v1": Published(
            file="googlenet-1378be20.pth", reported={"top1": 69.778, "top5": 89.530}, preprocessing=_GOOGLENET
        )
    },
    "inception_v3": {
        "imagenet-v1": Published(
            file="inception_v3_google-0cc3c7bd.pth", reported={"top1": 77.294, "top5": 93.450}, preprocessing=_INCEPTION
        )
    },
    "resnet18": {"imagenet-v1": Published(file="resnet18-f37072fd.pth", reported={"top1": 69.758, "top5": 89.078})},
    "resnet34": {"imagenet-v1": Published(file="resnet34-b627a593.pth", reported={"top1": 73.314, "top5": 91.420})},
    "resnet50": {
        "imagenet-v1": Published(
            file="resnet50-0676ba61.pth", reported={"top1": 76.130, "top5": 92.862}, architecture=_V1_5
        ),
        "imagenet-v2": Published(
            file="resnet50-11ad3fa6.pth",
            reported={"top1": 80.858, "top5": 95.434},
            preprocessing=_V2,
            architecture=_V1_5,
        ),
    },
    "resnet101": {
        "imagenet-v1": Published(
            file="resnet101-63fe2227.pth", reported={"top1": 77.374, "top5": 93.546}, architecture=_V1_5
        ),
        "imagenet-v2": Published(
            file="resnet101-cd907fc2.pth",
            reported={"top1": 81.886, "top5": 95.780},
            preprocessing=_V2,
            architecture=_V1_5,
        ),
    },
    "resnet152": {
        "imagenet-v1": Published(
            file="resnet152-394f9c45.pth", reported={"top1": 78.312, "top5": 94.046}, architecture=_V1_5
        ),
        "imagenet-v2": Published(
            file="resnet152-f82ba261.pth",
            reported={"top1": 82.284, "top5": 96.002},
            preprocessing=_V2,
            architecture=_V1_5,
        ),
    },
    "fasterrcnn_resnet50_fpn": {
        "coco-v1": Published(
            file="fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
            reported={"AP": 37.0},
            preprocessing=_COCO,
            num_classes=90,
            architecture={"norm_eps": 0.0},
            licence=COCO_LICENCE,
        )
    },
    "fasterrcnn_resnet50_fpn_v2": {
        "coco-v1": Published(
            file="fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
            reported={"AP": 46.7},
            preprocessing=_COCO,
            num_classes=90,
            licence=COCO_LICENCE,
        )
    },
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadReport:
    """What came from a file and what did not; to be said aloud."""

    source: str
    """The file's name."""
    loaded: int
    """Tensors taken from the file."""
    new: tuple[str, ...]
    """Parameters that stay untrained: the head, the first convolution and what else depends on the stem, where the file's
    have another shape; auxiliary classifiers that the file lacks."""
    left_out: tuple[str, ...] = ()
    """Tensors of the file that the model has no place for: those of auxiliary classifiers that it was built without."""
    preprocessing: Shape | None
    """How the weights want their pictures; None for a file that does not say."""
    licence: str | None
    """None for a file that does not say."""


def find(name: str, weights: str = DEFAULT) -> Published:
    """The published weights of the model `name`; "imagenet" (of a detector "coco") is the best of them.

    Raises `UnknownNameError` for a model without published weights or for weights that it does not have.

    >>> find("resnet50").file, find("resnet50", "imagenet-v1").file
    ('resnet50-11ad3fa6.pth', 'resnet50-0676ba61.pth')
    """
    if name not in PUBLISHED:
        raise UnknownNameError("model with published weights", name, PUBLISHED)
    versions = PUBLISHED[name]
    best = next(iter(versions)).partition("-")[0]
    if weights == best:
        return list(versions.values())[-1]
    if weights not in versions:
        raise UnknownNameError(f"published weights of {name}", weights, [best, *versions])
    return versions[weights]


def find_file(path: Path) -> Published | None:
    """The published weights whose file has this name, wherever it lies; None for a file of another name.

    >>> find_file(Path("downloads/googlenet-1378be20.pth")).preprocessing.mean
    (0.5, 0.5, 0.5)
    """
    entries = (entry for versions in PUBLISHED.values() for entry in versions.values())
    return next((entry for entry in entries if entry.file == path.name), None)


def cache_folder() -> Path:
    """Where downloads are kept: the folder in $SIGHTLINE_CACHE, or ~/.cache/sightline/weights."""
    chosen = os.environ.get("SIGHTLINE_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "sightline" / "weights"


def fetch(entry: Published, folder: Path | None = None, progress: Progress | None = None) -> Path:
    """The file of `entry` on this machine, downloaded if it is not in `folder` (default `cache_folder()`), and checked.

    See `sightline.models.download.fetch_file` for what it raises.
    """
    path = (folder or cache_folder()) / entry.file
    try:
        return fetch_file(entry.url, path, entry.sha256_prefix, progress=progress)
    except StorageError as error:
        raise StorageError(
            f"{error} Downloads go into the folder that the environment variable SIGHTLINE_CACHE names: choose one that can "
            f"be written and has room, or one with {entry.file} in it."
        ) from error


def is_published(weights: str) -> bool:
    """Whether this names published weights, and no file.

    >>> is_published("imagenet-v1"), is_published("runs/first")
    (True, False)
    """
    return weights.partition("-")[0] in (DEFAULT, COCO)


def load_published(
    model: Backbone | FasterRCNN | UNet,
    name: str,
    weights: str = DEFAULT,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> LoadReport:
    """Load the published weights of the model `name` into `model`.

    A head for another number of classes, a first convolution of another stem or number of channels, and a first linear
    layer of another stem stay new; auxiliary classifiers that the model was built without are left out; the report names
    all of them. Raises `UnknownNameError` (see `find`) and `WeightsError`: not to be had, or not for this model.
    """
    entry = find(name, weights)
    _require_architecture(model, entry)
    path = fetch(entry, folder, progress)
    return _load(model, path, entry.preprocessing, entry.licence)


def load_file(model: Backbone | FasterRCNN | UNet, path: Path) -> LoadReport:
    """Load a file of the user: a PyTorch state dict (.pth, .pt) or .safetensors.

    What stays new is as in `load_published`, and auxiliary classifiers that the file lacks. Raises `WeightsError` if
    there is no such file, it is something else, or it is not for this model. Of a published file, which its name tells,
    as much is known and asked for as in `load_published`; another one of its name is refused.
    """
    entry = find_file(path)
    if entry is None:
        return _load(model, path, None, None)
    _require_architecture(model, entry)
    if path.is_file():
        require_published(path, entry.url, entry.sha256_prefix)
    return _load(model, path, entry.preprocessing, entry.licence)


def _require_architecture(model: Backbone | FasterRCNN | UNet, entry: Published) -> None:
    """Raise `WeightsError` where the weights would load and mean something else."""
    for attribute, value in entry.architecture.items():
        if getattr(model, attribute, value) != value:
            raise WeightsError(
                f"{entry.file} was trained with {attribute}={value!r}, but the model has "
                f"{attribute}={getattr(model, attribute)!r}: it would load, but be less accurate. "
                f"Build it with {value!r}."
            )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors in a .safetensors file or in a PyTorch file (.pth, .pt), on the CPU. Nothing is executed.

    Raises `WeightsError` if there is no such file or it holds something else.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weights file at {path}. Check the path, or use the name of published weights.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file as read_safetensors

            content: object = read_safetensors(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the two readers raise half a dozen unrelated kinds, and all mean the same to a user
        raise WeightsError(
            f"{path} is not a readable weights file ({type(error).__name__}). Expected .safetensors, or a state dict "
            "saved with torch.save(model.state_dict(), ...). A file that holds more than tensors is not opened."
        ) from error
    named = isinstance(content, dict) and all(isinstance(n, str) and isinstance(t, Tensor) for n, t in content.items())
    if not isinstance(content, dict) or not content or not named:
        held = f"a dictionary with the keys {_some(content)}" if isinstance(content, dict) else type(content).__name__
        raise WeightsError(
            f"{path} should hold a state dict (names and tensors), but holds {held}. Save that part alone."
        )
    # Saved from torch's wrapper for several GPUs, every name begins so.
    wrapped = all(name.startswith(_WRAPPED) for name in content)
    return {name.removeprefix(_WRAPPED): tensor for name, tensor in content.items()} if wrapped else content


def _load(
    model: Backbone | FasterRCNN | UNet, path: Path, preprocessing: Shape | None, licence: str | None
) -> LoadReport:
    given, wanted = current_names(read_tensors(path)), model.state_dict()
    auxiliary = tuple(part + "." for part in model.auxiliary_parts)
    left_out = [name for name in given if name not in wanted and name.startswith(auxiliary)]
    lacking = [name for name in wanted if name not in given]
    # A file without any auxiliary classifier is that of a network that has done with training.
    without = auxiliary if not any(name.startswith(auxiliary) for name in given) else ()
    # Counters of batches have no influence with a fixed momentum, and files from before 2018 lack them.
    missing = [name for name in lacking if not name.startswith(without) and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in given if name not in wanted and name not in left_out]
    if missing or unexpected:
        raise WeightsError(
            f"{path.name} is not for this {type(model).__name__}: "
            f"{len(missing)} of its {len(wanted)} tensors are missing ({_some(missing)}), "
            f"{len(unexpected)} are unknown ({_some(unexpected)}). Choose the model that the file was made for."
        )
    fitting = {name: tensor for name, tensor in given.items() if name in wanted}
    other = [name for name in fitting if fitting[name].shape != wanted[name].shape]
    may_differ = tuple(f"{name}." for name in model.replaceable)
    misfits = [
        f"{n} {tuple(given[n].shape)} for {tuple(wanted[n].shape)}" for n in other if not n.startswith(may_differ)
    ]
    if misfits:
        raise WeightsError(
            f"{path.name} is not for this {type(model).__name__}: {len(misfits)} tensors have another shape "
            f"({_some(misfits)}). Choose the model that the file was made for."
        )
    torn = [name for name, tensor in fitting.items() if not tensor.isfinite().all()]
    if torn:
        raise WeightsError(
            f"{path.name} holds values that are not numbers, or infinite, in {len(torn)} of its {len(given)} tensors ({_some(torn)}): "
            "what is computed with them would be so too. The training that wrote it had failed; take an earlier file."
        )
    # A layer is new as a whole: old biases under new weights would mean nothing.
    new = [n for n in fitting if any(n.startswith(p) and o.startswith(p) for p in may_differ for o in other)]
    parameters = dict(model.named_parameters())
    never = [name for name in lacking if name in parameters]
    model.load_state_dict({name: tensor for name, tensor in fitting.items() if name not in new}, strict=False)
    return LoadReport(
        source=path.name,
        loaded=len(fitting) - len(new),
        new=(*new, *never),
        left_out=tuple(left_out),
        preprocessing=preprocessing,
        licence=licence,
    )


def _some(names: list[str] | dict[object, object], count: int = 3) -> str:
    shown = [str(name) for name in names][:count]
    return ", ".join(shown + ["..."] * (len(names) > count)) or "none"
