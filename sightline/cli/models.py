"""`sightline models`: the networks there are."""

from typing import Any

from sightline.cli.options import Json
from sightline.cli.output import print_json, print_table


def models(as_json: Json = False) -> None:
    """List the networks.

    For each: its parameters with 1000 classes, and published ImageNet weights with the accuracy reported for them.
    """
    described = describe_models()
    if as_json:
        print_json({"models": described})
        return
    rows = []
    for entry in described:
        published = [f"{w['name']} (top-1 {w['top1']:.2f} %, top-5 {w['top5']:.2f} %)" for w in entry["weights"]]
        rows.append([entry["name"], f"{entry['parameters'] / 1e6:.1f} M", ", ".join(published) or "none"])
    print_table(("model", "parameters", "published weights"), rows, numbers=("parameters",))


def describe_models() -> list[dict[str, Any]]:
    """Each network with its number of parameters and its published weights, in the order of the table of models."""
    import torch

    from sightline.models import MODELS, create_model
    from sightline.models.weights import PUBLISHED

    described = []
    for name in MODELS:
        # Without memory: only the shapes are counted.
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in create_model(name).parameters())
        weights = [
            {"name": version, "top1": entry.top1, "top5": entry.top5}
            for version, entry in PUBLISHED.get(name, {}).items()
        ]
        described.append({"name": name, "parameters": parameters, "weights": weights})
    return described
