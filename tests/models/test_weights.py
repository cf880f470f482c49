import hashlib
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from sightline.errors import UnknownNameError, WeightsError
from sightline.models import create_model, weights
from sightline.models.alexnet import AlexNet, Form
from sightline.models.resnet import BasicBlock, Bottleneck, ResNet
from sightline.models.weights import Published, cache_folder, fetch, find, load_file, load_published, read_tensors


@pytest.fixture(scope="module")
def teacher():
    """A small ResNet of 6 classes, in the place of a published one."""
    torch.manual_seed(1)
    return _network(num_classes=6)


def _network(blocks=(1, 1, 1, 1), **arguments):
    return ResNet(BasicBlock, blocks, **arguments)


@pytest.fixture
def published(teacher, tmp_path, monkeypatch):
    """The teacher's weights as the published ones of resnet18, already in the cache folder."""
    torch.save(teacher.state_dict(), tmp_path / "new.pth")
    digest = hashlib.sha256((tmp_path / "new.pth").read_bytes()).hexdigest()[:8]
    (tmp_path / "new.pth").rename(tmp_path / f"resnet18-{digest}.pth")
    entry = Published(
        file=f"resnet18-{digest}.pth",
        reported={"top1": 1.0, "top5": 5.0},
        folder_url="http://127.0.0.1:9/",
        num_classes=6,
    )
    monkeypatch.setattr(weights, "PUBLISHED", {"resnet18": {"imagenet-v1": entry}})
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    return entry


def _same(model, teacher, *, but=()):
    theirs = teacher.state_dict()
    return all(torch.equal(t, theirs[n]) for n, t in model.state_dict().items() if n not in but)


def test_the_whole_network_is_loaded_when_the_classes_agree(published, teacher):
    model = _network(num_classes=6)
    report = load_published(model, "resnet18")
    assert _same(model, teacher)
    assert (report.new, report.loaded) == ((), len(teacher.state_dict()))
    assert report.source == published.file
    assert report.preprocessing == published.preprocessing
    assert "BSD-3-Clause" in report.licence


def test_a_head_for_other_classes_stays_new_and_is_reported(published, teacher):
    model = _network(num_classes=9)
    before = model.fc.weight.clone()
    report = load_published(model, "resnet18")
    assert report.new == ("fc.weight", "fc.bias")
    assert _same(model, teacher, but=report.new)
    assert torch.equal(model.fc.weight, before)


@pytest.mark.parametrize("arguments", [{"stem": "small"}, {"in_channels": 1}])
def test_a_first_convolution_of_another_shape_stays_new_and_is_reported(published, teacher, arguments):
    model = _network(num_classes=6, **arguments)
    report = load_published(model, "resnet18")
    assert report.new == ("conv1.weight",)
    assert _same(model, teacher, but=report.new)


@pytest.mark.slow
def test_a_first_linear_layer_of_another_stem_stays_new_and_is_reported(tmp_path):
    thin = Form(widths=(4, 4, 4, 4, 4), groups=(1, 1, 1, 1, 1), normalised=False, dropout_first=True)
    teacher, model = AlexNet(thin, num_classes=6), AlexNet(thin, num_classes=6, stem="small")
    torch.save(teacher.state_dict(), tmp_path / "large.pth")
    report = load_file(model, tmp_path / "large.pth")
    assert report.new == ("features.0.weight", "features.0.bias", "classifier.1.weight", "classifier.1.bias")
    assert _same(model, teacher, but=report.new)


@pytest.fixture(scope="module")
def with_auxiliary(tmp_path_factory):
    """A GoogLeNet of 6 classes, and its file."""
    torch.manual_seed(2)
    model = create_model("googlenet", num_classes=6, stem="small")
    path = tmp_path_factory.mktemp("weights") / "googlenet.pth"
    torch.save(model.state_dict(), path)
    return model, path


def test_auxiliary_classifiers_of_the_file_are_loaded_where_there_are_some(with_auxiliary):
    teacher, path = with_auxiliary
    model = create_model("googlenet", num_classes=6, stem="small")
    report = load_file(model, path)
    assert (report.new, report.left_out) == ((), ())
    assert _same(model, teacher)


def test_auxiliary_classifiers_that_the_model_lacks_are_left_out_and_reported(with_auxiliary):
    teacher, path = with_auxiliary
    model = create_model("googlenet", num_classes=6, stem="small", auxiliary=False)
    report = load_file(model, path)
    assert report.new == ()
    assert set(report.left_out) == {n for n in teacher.state_dict() if n.startswith(("aux1.", "aux2."))}
    assert report.loaded == len(model.state_dict())
    assert _same(model, teacher)


def test_heads_of_auxiliary_classifiers_for_other_classes_stay_new(with_auxiliary):
    teacher, path = with_auxiliary
    model = create_model("googlenet", num_classes=9, stem="small")
    report = load_file(model, path)
    heads = ("aux1.fc2", "aux2.fc2", "fc")
    assert report.new == tuple(f"{head}.{part}" for head in heads for part in ("weight", "bias"))
    assert _same(model, teacher, but=report.new)


def test_a_file_without_auxiliary_classifiers_leaves_them_new(with_auxiliary, tmp_path):
    teacher, _ = with_auxiliary
    torch.save({n: t for n, t in teacher.state_dict().items() if not n.startswith("aux")}, tmp_path / "final.pth")
    model = create_model("googlenet", num_classes=6, stem="small")
    report = load_file(model, tmp_path / "final.pth")
    assert set(report.new) == {n for n, _ in model.named_parameters() if n.startswith("aux")}
    assert report.loaded == len([n for n in teacher.state_dict() if not n.startswith("aux")])
    unfilled = {n for n in model.state_dict() if n.startswith("aux")}
    assert _same(model, teacher, but=unfilled)


def test_a_file_with_half_an_auxiliary_classifier_is_refused(with_auxiliary, tmp_path):
    teacher, _ = with_auxiliary
    torch.save({n: t for n, t in teacher.state_dict().items() if n != "aux2.fc1.weight"}, tmp_path / "torn.pth")
    with pytest.raises(WeightsError, match=r"1 of its .* tensors are missing \(aux2.fc1.weight\)"):
        load_file(create_model("googlenet", num_classes=6, stem="small"), tmp_path / "torn.pth")


def test_the_two_forms_of_googlenet_do_not_load_each_other(with_auxiliary):
    _, path = with_auxiliary
    with pytest.raises(WeightsError, match="not for this GoogLeNet"):
        load_file(create_model("googlenet_2014", num_classes=6, stem="small"), path)


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "resnet152"])
@pytest.mark.parametrize("version", ["imagenet-v1", "imagenet-v2"])
def test_weights_for_the_other_stride_placement_are_refused(name, version):
    with torch.device("meta"):
        model = ResNet(Bottleneck, (1, 1, 1, 1), stride_in="1x1")
    with pytest.raises(WeightsError, match="trained with stride_in='3x3', but the model has stride_in='1x1'"):
        load_published(model, name, version)


def test_a_published_file_is_known_by_its_name_wherever_it_lies(published, teacher, tmp_path):
    (tmp_path / "downloads").mkdir()
    brought = (tmp_path / published.file).rename(tmp_path / "downloads" / published.file)
    report = load_file(_network(num_classes=6), brought)
    assert (report.preprocessing, report.licence) == (published.preprocessing, published.licence)
    with torch.device("meta"):
        model = ResNet(Bottleneck, (1, 1, 1, 1), stride_in="1x1")
    entry = replace(published, architecture={"stride_in": "3x3"})
    weights.PUBLISHED["resnet18"]["imagenet-v1"] = entry
    with pytest.raises(WeightsError, match="trained with stride_in='3x3', but the model has stride_in='1x1'"):
        load_file(model, brought)


def test_another_file_under_the_name_of_a_published_one_is_refused(published, teacher, tmp_path):
    path = tmp_path / "own" / published.file
    path.parent.mkdir()
    torch.save({name: tensor + 1 for name, tensor in teacher.state_dict().items()}, path)
    with pytest.raises(
        WeightsError, match=r"damaged or is another file.*If it holds weights of your own, give it another name"
    ):
        load_file(_network(num_classes=6), path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_and_nothing_is_changed(teacher, tmp_path, value):
    state = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    state["layer1.0.conv1.weight"][0, 0, 0, 0] = value
    torch.save(state, tmp_path / "torn.pth")
    model = _network(num_classes=6)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    with pytest.raises(
        WeightsError, match=r"torn\.pth holds values .* in 1 of its \d+ tensors \(layer1\.0\.conv1\.weight\)"
    ):
        load_file(model, tmp_path / "torn.pth")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_weights_of_another_network_are_refused_and_nothing_is_changed(published):
    model = _network((2, 1, 1, 1), num_classes=6)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    with pytest.raises(WeightsError, match=r"not for this ResNet.* are missing \(layer1.1.conv1.weight, .*Choose the"):
        load_published(model, "resnet18")
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_tensors_of_another_shape_are_named(tmp_path, teacher):
    state = teacher.state_dict() | {"layer1.0.bn1.weight": torch.ones(3)}
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=r"layer1.0.bn1.weight \(3,\) for \(64,\)"):
        load_file(_network(num_classes=6), tmp_path / "odd.pth")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_file_of_the_user_is_loaded(tmp_path, teacher, suffix):
    path = tmp_path / f"mine{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(teacher.state_dict(), path)
    model = _network(num_classes=6)
    report = load_file(model, path)
    assert _same(model, teacher)
    assert report.preprocessing is None


def test_tensors_without_names_are_refused(tmp_path):
    torch.save({0: torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"should hold a state dict .* but holds a dictionary with the keys 0"):
        read_tensors(tmp_path / "a.pth")


def test_a_file_saved_from_several_gpus_is_loaded(tmp_path, teacher):
    torch.save({f"module.{name}": tensor for name, tensor in teacher.state_dict().items()}, tmp_path / "a.pth")
    model = _network(num_classes=6)
    assert load_file(model, tmp_path / "a.pth").new == ()
    assert _same(model, teacher)


def test_files_without_batch_counters_are_loaded(tmp_path, teacher):
    state = {n: t for n, t in teacher.state_dict().items() if "num_batches_tracked" not in n}
    torch.save(state, tmp_path / "old.pth")
    model = _network(num_classes=6)
    assert load_file(model, tmp_path / "old.pth").loaded == len(state)
    assert _same(model, teacher)


class _Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.pth", b"PK\x03\x04 torn", "not a readable weights file"),
        ("cut.safetensors", b"\x00", "not a readable weights file"),
        ("empty.pth", b"", "not a readable weights file"),
    ],
)
def test_an_unreadable_file_is_a_weights_error(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=words):
        read_tensors(tmp_path / name)


def test_nothing_in_a_file_is_executed(tmp_path, capsys):
    torch.save({"weight": _Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="holds more than tensors is not opened"):
        read_tensors(tmp_path / "evil.pth")
    assert capsys.readouterr().out == ""


def test_a_training_state_is_explained(tmp_path):
    torch.save({"model": {"w": torch.ones(1)}, "epoch": 3}, tmp_path / "run.pth")
    with pytest.raises(WeightsError, match="dictionary with the keys model, epoch"):
        read_tensors(tmp_path / "run.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file at .*nowhere.pth"):
        read_tensors(tmp_path / "nowhere.pth")


def test_names_that_are_not_published():
    with pytest.raises(UnknownNameError, match="Known: imagenet, imagenet-v1\\."):
        find("resnet18", "imagenet-v2")
    with pytest.raises(UnknownNameError, match="model with published weights 'lenet'"):
        find("lenet")


def test_offline_the_error_says_which_file_to_bring_where(tmp_path):
    entry = replace(find("resnet50"), folder_url="http://127.0.0.1:9/")
    with pytest.raises(WeightsError, match=r"resnet50-11ad3fa6.pth could not be downloaded") as caught:
        fetch(entry, tmp_path)
    assert f"bring the file from {entry.url} and put it at {tmp_path / entry.file}" in str(caught.value)


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SIGHTLINE_CACHE")
    assert cache_folder().parts[-3:] == (".cache", "sightline", "weights")
