import pytest
import torch
from torch import nn

from sightline.errors import InputError, SightlineError
from sightline.models import create_model
from sightline.structures import Batch, ClassificationTarget
from sightline.tasks import TASKS
from sightline.tasks.classification import ClassificationTask
from sightline.tasks.task import Task

NAMES = ("cat", "dog", "eel")


class Mean(nn.Module):
    """Logits are the channel means, so that an image says what it is."""

    def forward(self, images):
        return images.mean((2, 3))


def _batch(rows, targets):
    images = torch.tensor(rows, dtype=torch.float32)[..., None, None].expand(*torch.tensor(rows).shape, 2, 2)
    return Batch(images, targets, list(range(10, 10 + len(rows))))


def test_the_table_names_the_task():
    for name, task in TASKS.items():
        assert task(NAMES).name == name


def test_it_is_a_task_to_the_type_checker_and_to_the_reader():
    task: Task = ClassificationTask(NAMES)
    assert (task.name, task.headline, task.class_names) == ("classification", "top1", NAMES)


def test_the_loss_is_the_cross_entropy_of_the_labels():
    batch = _batch([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]], [ClassificationTarget(0), ClassificationTarget(2)])
    losses = ClassificationTask(NAMES).loss(Mean(), batch)
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]])
    torch.testing.assert_close(losses, {"classification": nn.functional.cross_entropy(logits, torch.tensor([0, 2]))})


def test_mixed_targets_and_smoothing_reach_the_loss():
    batch = _batch([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]], [ClassificationTarget(0, 1, 0.3), ClassificationTarget(2)])
    loss = ClassificationTask(NAMES, label_smoothing=0.2).loss(Mean(), batch)["classification"]
    target = torch.tensor([[0.3, 0.7, 0.0], [0.0, 0.0, 1.0]])
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]])
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits, target, label_smoothing=0.2))


def test_a_prediction_is_the_softmax_in_float32_on_the_cpu():
    batch = _batch([[1.0, 2.0, 3.0]], [ClassificationTarget(0)])
    half = Batch(batch.images.bfloat16(), batch.targets, batch.indices)
    (prediction,) = ClassificationTask(NAMES).predict(Mean(), half)
    torch.testing.assert_close(prediction.probabilities, torch.tensor([1.0, 2.0, 3.0]).softmax(0))
    assert prediction.probabilities.device.type == "cpu"


def test_views_are_averaged_after_the_softmax_and_images_stay_apart():
    rows = [[[9.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]]
    batch = _batch(rows, [ClassificationTarget(0), ClassificationTarget(2)])
    predictions = ClassificationTask(NAMES).predict(Mean(), batch)
    expected = torch.tensor(rows).softmax(2).mean(1)
    torch.testing.assert_close(torch.stack([p.probabilities for p in predictions]), expected)


def test_no_images_give_no_predictions():
    empty = Batch(torch.zeros(0, 3, 2, 2), [], [])
    assert ClassificationTask(NAMES).predict(Mean(), empty) == []


def test_views_are_refused_in_training():
    batch = _batch([[[1.0, 2.0, 3.0]] * 2], [ClassificationTarget(0)])
    with pytest.raises(ValueError, match="one view"):
        ClassificationTask(NAMES).loss(Mean(), batch)


def test_a_label_beyond_the_classes_is_named():
    with pytest.raises(InputError, match=r"labels in 0\.\.2, got 3"):
        ClassificationTask(NAMES).loss(Mean(), _batch([[1.0, 2.0, 3.0]], [ClassificationTarget(3)]))


def test_a_model_for_other_classes_is_refused():
    with pytest.raises(InputError, match=r"The model has 3 classes, the task has 2 \(cat, dog\)"):
        ClassificationTask(("cat", "dog")).predict(Mean(), _batch([[1.0, 2.0, 3.0]], [ClassificationTarget(0)]))


def test_an_output_that_is_not_a_number_is_named_by_its_image():
    batch = _batch([[1.0, 2.0, 3.0], [float("nan"), 0.0, 0.0]], [ClassificationTarget(0)] * 2)
    with pytest.raises(SightlineError, match="index 11 is not a number"):
        ClassificationTask(NAMES).predict(Mean(), batch)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"class_names": ()}, "at least one class"),
        ({"class_names": ("cat", "dog", "cat")}, "given twice: cat"),
        ({"class_names": NAMES, "label_smoothing": 1.0}, "label_smoothing"),
        ({"class_names": NAMES, "label_smoothing": -0.1}, "label_smoothing"),
    ],
)
def test_impossible_tasks_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        ClassificationTask(**arguments)


class Helped(nn.Module):
    """Logits are the channel means; two helpers see them doubled and negated."""

    auxiliary_heads = ("a", "b")

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, images, auxiliary=False):
        logits = self.scale * images.mean((2, 3))
        return (logits, 2 * logits, -logits) if auxiliary else logits


def test_auxiliary_classifiers_share_labels_mixing_and_smoothing_at_three_tenths():
    batch = _batch([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]], [ClassificationTarget(0, 1, 0.3), ClassificationTarget(2)])
    losses = ClassificationTask(NAMES, label_smoothing=0.2).loss(Helped(), batch)
    target = torch.tensor([[0.3, 0.7, 0.0], [0.0, 0.0, 1.0]])
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]])
    own, first, second = (
        nn.functional.cross_entropy(scale * logits, target, label_smoothing=0.2) for scale in (1, 2, -1)
    )
    torch.testing.assert_close(losses, {"classification": own, "auxiliary": 0.3 * (first + second)})


@pytest.mark.parametrize("heads", [(), None])
def test_a_network_without_auxiliary_classifiers_is_not_asked_for_them(heads):
    model = Mean()
    if heads is not None:
        model.auxiliary_heads = heads
    losses = ClassificationTask(NAMES).loss(model, _batch([[1.0, 2.0, 3.0]], [ClassificationTarget(0)]))
    assert list(losses) == ["classification"]


def test_auxiliary_classifiers_play_no_part_in_prediction():
    (prediction,) = ClassificationTask(NAMES).predict(Helped(), _batch([[1.0, 2.0, 3.0]], [ClassificationTarget(0)]))
    torch.testing.assert_close(prediction.probabilities, torch.tensor([1.0, 2.0, 3.0]).softmax(0))


@pytest.fixture
def one_process(tmp_path):
    """A world of one, as torchrun makes it for several."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_auxiliary_classifiers_are_found_in_a_network_shared_among_processes(one_process):
    model = nn.parallel.DistributedDataParallel(Helped())
    losses = ClassificationTask(NAMES).loss(model, _batch([[1.0, 2.0, 3.0]], [ClassificationTarget(0)]))
    assert list(losses) == ["classification", "auxiliary"]
    sum(losses.values()).backward()
    assert model.module.scale.grad.abs().sum() > 0


@pytest.mark.slow
def test_auxiliary_classifiers_are_found_in_a_compiled_network(one_process):
    batch = _batch([[1.0, 2.0, 3.0]], [ClassificationTarget(0)])
    for model in (
        torch.compile(Helped(), backend="eager"),
        torch.compile(nn.parallel.DistributedDataParallel(Helped()), backend="eager"),
        nn.parallel.DistributedDataParallel(torch.compile(Helped(), backend="eager")),
    ):
        assert list(ClassificationTask(NAMES).loss(model, batch)) == ["classification", "auxiliary"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "googlenet_2014"])
def test_the_auxiliary_losses_change_the_gradient_of_the_stem(name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=3, stem="small").eval()  # without dropout, so that all see the same
    batch = Batch(torch.randn(2, 3, 32, 32), [ClassificationTarget(0), ClassificationTarget(2)], [0, 1])
    losses = ClassificationTask(NAMES).loss(model, batch)
    stem = model.get_submodule(model.first).weight
    own, auxiliary = (torch.autograd.grad(loss, stem, retain_graph=True)[0] for loss in losses.values())
    (both,) = torch.autograd.grad(sum(losses.values()), stem)
    torch.testing.assert_close(both, own + auxiliary)
    assert auxiliary.norm() > 0.01 * own.norm()
