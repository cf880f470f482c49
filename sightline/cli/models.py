"""`sightline models`: the networks there are."""

from sightline.cli.options import Json
from sightline.cli.output import print_json, print_table


def models(as_json: Json = False) -> None:
    """List the networks.

    For each: its parameters with 1000 classes, and published ImageNet weights with the accuracy reported for them.
    """
    from sightline.models.create import describe_models

    described = describe_models()
    if as_json:
        print_json({"models": described})
        return
    rows = []
    for entry in described:
        published = [f"{w['name']} (top-1 {w['top1']:.2f} %, top-5 {w['top5']:.2f} %)" for w in entry["weights"]]
        rows.append([entry["name"], f"{entry['parameters'] / 1e6:.1f} M", ", ".join(published) or "none"])
    print_table(("model", "parameters", "published weights"), rows, numbers=("parameters",))
