"""`sightline models`: the networks there are."""

from typing import Any

from sightline.cli.options import Json
from sightline.cli.output import print_json, print_table

NAMES = {"top1": "top-1", "top5": "top-5", "AP": "AP"}


def models(as_json: Json = False) -> None:
    """List the networks.

    For each: its parameters, and published weights with what is reported for them: on ImageNet for classifiers, on COCO for
    detectors. A classifier is counted with 1000 classes and without the auxiliary classifiers of its training, a detector with
    90 classes, a segmenter with 2.
    """
    described = describe_models()
    if as_json:
        print_json({"models": described})
        return
    rows = []
    for entry in described:
        published = [
            f"{weights['name']} ({', '.join(f'{NAMES[key]} {weights[key]:.2f} %' for key in NAMES if key in weights)})"
            for weights in entry["weights"]
        ]
        rows.append([entry["name"], f"{entry['parameters'] / 1e6:.1f} M", ", ".join(published) or "none"])
    print_table(("model", "parameters", "published weights"), rows, numbers=("parameters",))


def describe_models() -> list[dict[str, Any]]:
    """Each network with its number of parameters and its published weights, in the order of the table of models."""
    import inspect

    import torch

    from sightline.models import MODELS, create_model
    from sightline.models.weights import PUBLISHED

    described = []
    for name in MODELS:
        taken = inspect.signature(MODELS[name]).parameters
        # Without memory: only the shapes are counted.
        with torch.device("meta"):
            model = create_model(name, **({"auxiliary": False} if "auxiliary" in taken else {}))
        parameters = sum(parameter.numel() for parameter in model.parameters())
        weights = [{"name": version, **entry.reported} for version, entry in PUBLISHED.get(name, {}).items()]
        described.append({"name": name, "parameters": parameters, "weights": weights})
    return described
