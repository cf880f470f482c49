"""Explaining predictions of a run that was really trained."""

from pathlib import Path

import pytest
from PIL import Image

from sightline.checkpoint import save
from sightline.errors import CheckpointError, ConfigError, InputError, UnknownNameError
from sightline.files import require_free
from sightline.inference.explain import Cam, ClassMap
from sightline.inference.proposals import Proposals
from sightline.workflows.explain import draw_explanations, explain, picture_files
from sightline.workflows.predict import predict
from sightline.workflows.train import TrainResult
from tests.inference.planted import detector, header


class Heard:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, progress: object) -> None: ...

    def epoch(self, record: object) -> None: ...


@pytest.mark.slow
def test_both_ways_say_what_predict_says(trained: TrainResult, squares: Path, tmp_path: Path) -> None:
    red = squares / "test" / "red" / "0.png"
    result = explain(trained.run, [red], ("cam", "dense"), stage="c3", size=80)
    cam, dense = (row.found for row in result.rows)
    assert isinstance(cam, Cam)
    assert isinstance(dense, ClassMap)
    assert cam.values.shape == (2, 2)
    assert dense.probabilities.shape == (3, 3, 3)  # (80 - 16) / 32 + 1 = 3 cells
    (row,) = predict(trained.run, [red]).rows
    for found in (cam, dense):
        assert (result.class_names[found.label], round(found.prediction.score, 3)) == (
            "red",
            pytest.approx(row.top[0][1], abs=2e-3),
        )
    files = picture_files(trained.run, [red], ("cam", "dense"), tmp_path / "why")
    assert (
        draw_explanations(result, files) == files == [tmp_path / f"why/explain_{way}_0.png" for way in ("cam", "dense")]
    )
    for file in files:
        with Image.open(file) as image:
            assert image.width > 600
    with pytest.raises(InputError, match=r"explain_cam_0\.png exists already and is not overwritten"):
        require_free(files)


def test_another_class_can_be_asked_about(trained: TrainResult, squares: Path) -> None:
    (row,) = explain(trained.run, [squares / "test" / "red" / "0.png"], class_name="green", stage="c3").rows
    assert row.found is not None
    assert (row.found.label, row.found.prediction.label) == (1, 2)
    with pytest.raises(UnknownNameError, match=r"Unknown class 'gren'. Did you mean 'green'\? Known: blue, green, red"):
        explain(trained.run, [squares], class_name="gren")


def test_a_map_of_one_cell_is_said_to_be_one(trained: TrainResult, squares: Path) -> None:
    heard = Heard()
    explain(trained.run, [squares / "test" / "red" / "0.png"], listener=heard)
    assert any("the map of c5 is a single cell" in line for line in heard.said)


def test_unreadable_pictures_have_their_reason(trained: TrainResult, squares: Path, tmp_path: Path) -> None:
    bad, heard = tmp_path / "bad.png", Heard()
    bad.write_bytes(b"\x89PNG")
    good = squares / "test" / "green" / "0.png"
    result = explain(trained.run, [bad, good], stage="c3", listener=heard)
    assert [row.found is None for row in result.rows] == [True, False]
    assert "bad.png" in str(result.rows[0].error)
    assert any("bad.png" in line for line in heard.said)
    files = [tmp_path / "1.png", tmp_path / "2.png"]
    assert draw_explanations(result, files) == [None, files[1]]
    assert not files[0].exists()


def test_what_makes_no_sense_is_refused(trained: TrainResult, squares: Path, tmp_path: Path) -> None:
    for options, said in (
        ({"ways": ("heat",)}, "ways are cam, dense, proposals, got 'heat'"),
        ({"ways": ("dense",), "stage": "c3"}, "A stage says where Grad-CAM looks"),
        ({"ways": ("cam",), "size": 32}, "A size is that of the picture for the dense map"),
        ({"ways": ("proposals",), "class_name": "red"}, "A class is what cam and dense ask about"),
    ):
        with pytest.raises(ConfigError, match=said):
            explain(trained.run, [squares], **options)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="There is no run at"):
        explain(tmp_path / "none", [])


@pytest.mark.slow
def test_a_detector_shows_its_proposals(tmp_path: Path) -> None:
    weights, picture, torn = tmp_path / "detector.safetensors", tmp_path / "a.png", tmp_path / "torn.png"
    save(weights, detector().state_dict(), header())
    Image.new("RGB", (144, 96), "green").save(picture)
    torn.write_bytes(b"\x89PNG")
    result = explain(weights, [torn, picture], ("proposals",))
    bad, row = result.rows
    assert (bad.found, "torn.png" in str(bad.error)) == (None, True)
    assert isinstance(row.found, Proposals)
    assert (result.class_names, row.found.size, len(row.found.boxes)) == (("red", "green"), (96, 144), 20)
    files = picture_files(weights, [torn, picture], ("proposals",), tmp_path / "why")
    assert draw_explanations(result, files) == [None, tmp_path / "why" / "explain_proposals_a.png"]
    with Image.open(files[1]) as image:
        assert image.width > 1000
    for way in ("cam", "dense"):
        said = f"--{way} is for classifiers, and faster_rcnn was trained for detection. Use --proposals."
        with pytest.raises(InputError, match=said):
            explain(weights, [picture], (way,))  # type: ignore[arg-type]


def test_a_classifier_has_no_proposals(trained: TrainResult, squares: Path) -> None:
    said = r"--proposals is for detectors, and resnet18 was trained for classification. Use --cam or --dense\."
    with pytest.raises(InputError, match=said):
        explain(trained.run, [squares / "test" / "red" / "0.png"], ("proposals",))


def test_names_of_files_are_plain_and_never_alike(tmp_path: Path) -> None:
    run, weights = tmp_path / "run", tmp_path / "best.safetensors"
    run.mkdir()
    weights.touch()
    one = [Path("a/my cat.jpg")]
    assert picture_files(run, one, ["dense"], marks=["Felis/catus"]) == [
        run / "pictures" / "explain_dense_my_cat_Felis_catus.png"
    ]
    assert picture_files(weights, one, ["cam"]) == [Path("explain_cam_my_cat.png")]
    assert picture_files(run, one, ["cam"], Path("why.png")) == [Path("why.png")]
    several = [Path("x/7/1.png"), Path("x/8/1.png"), Path("y/8/1.png"), Path("2.png")]
    names = [file.name for file in picture_files(run, several, ["cam"])]
    assert names == ["explain_cam_7_1.png", "explain_cam_8_1.png", "explain_cam_8_1_2.png", "explain_cam_2.png"]
    with pytest.raises(InputError, match=r"2 pictures come of this\. Name a folder"):
        picture_files(run, one, ["cam", "dense"], Path("why.png"))
