from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from compat.augmentation import Augmentation
from compat.building import encoder_from_config, objective_from_config
from compat.encoders import fingerprint
from compat.objectives import Setting
from compat.preprocessing import Preprocessing
from compat.training_config import TrainingConfig, parse_training_config, read_training_config
from compat.training_data import read_training_data
from registry.errors import CorruptFileError, InvalidInputError, NotFoundError, SamespaceError

TEXT = """
[model]
name = "characters"
backbone = "mlp"
normalise = true
options = { in_features = 4, dim = 6, hidden = [8] }

[data]
train = "train.npz"

[objective]
name = "oca"
against = "characters@1"
options = { compatible_scale = 16 }

[preprocessing]
scale = 0.5
mean = [0.5]

[augmentation]
rotation = 10
padding = "border"

[training]
epochs = 3
learning_rate = 1
optimizer = "adamw"
checkpoint = "kept/run.safetensors"
seed = 4
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "v2.toml").write_text(TEXT)
    labels = np.repeat([30, 10, 20], 2)
    np.savez(tmp_path / "train.npz", inputs=np.eye(6, 4, dtype=np.float32), labels=labels)
    return tmp_path / "v2.toml"


def test_a_file_is_read_into_dataclasses(path: Path) -> None:
    config = read_training_config(path)
    assert config.model.name == "characters"
    assert config.model.options == {"in_features": 4, "dim": 6, "hidden": [8]}
    assert config.data.train == path.parent / "train.npz"
    assert config.objective.against == "characters@1"
    assert config.preprocessing == Preprocessing(scale=0.5, mean=(0.5,))
    assert config.training.learning_rate == 1.0
    assert isinstance(config.training.learning_rate, float)
    assert config.training.checkpoint == path.parent / "kept/run.safetensors"
    assert config.training.augmentation == Augmentation(rotation=10.0, padding="border")


def test_what_is_left_out_has_its_default() -> None:
    tables = {"model": {"name": "a", "backbone": "mlp"}, "data": {"train": "/data/t.npz"}}
    config = parse_training_config(tables, directory=Path("elsewhere"))
    assert config.objective.name == "independent"
    assert config.objective.against is None
    assert config.training.augmentation.is_none
    assert config.data.train == Path("/data/t.npz")


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("[training]", "[trainning]", "section", "did you mean 'training'"),
        ("epochs", "epoch", r"option of \[training\]", "did you mean 'epochs'"),
        ("normalise", "normalize", r"option of \[model\]", "did you mean 'normalise'"),
        ("rotation = 10", "rotate = 10", r"option of \[augmentation\]", "'rotation'"),
        ('name = "characters"', "", r"\[model\] lacks 'name'", "add name"),
        ("epochs = 3", 'epochs = "3"', r"epochs of \[training\] must be a int", ""),
        ("epochs = 3", "epochs = true", r"epochs of \[training\] must be a int", ""),
        ("epochs = 3", "epochs = 0", "epochs cannot be 0", ""),
        ('"adamw"', '"adam"', "'adam'", "did you mean 'adamw'"),
        ('name = "characters"', 'name = "a b"', "cannot name a model", ""),
        ("[data]", "[[data]]", "must be a section", r"\[data\]"),
        ("seed = 4", "augmentation = {}", "own section", ""),
    ],
)
def test_mistakes_are_refused_with_a_remedy(
    path: Path, old: str, new: str, message: str, hint: str
) -> None:
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(SamespaceError, match=message) as info:
        read_training_config(path)
    assert hint.replace("\\", "") in (info.value.hint or "")


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no configuration file"):
        read_training_config(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[model")
    with pytest.raises(CorruptFileError, match="is not TOML"):
        read_training_config(tmp_path / "broken.toml")


def test_classes_are_numbered_in_sorted_order(path: Path) -> None:
    data = read_training_data(path.parent / "train.npz")
    assert data.labels.tolist() == [2, 2, 0, 0, 1, 1]
    assert data.labels.dtype == torch.int64
    assert data.inputs.shape == (6, 4)
    assert data.n_classes == 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": np.zeros((2, 3), np.float32)}, "no 'labels'"),
        ({"inputs": np.zeros((2, 3)), "labels": np.arange(2)}, "uint8 or float32"),
        ({"inputs": np.zeros((2, 3), np.uint8), "labels": np.zeros(2)}, "labels must be integers"),
        ({"inputs": np.zeros((2, 3), np.uint8), "labels": np.arange(3)}, "one label for each"),
        (
            {"inputs": np.zeros((1, 3), np.uint8), "labels": np.array([2**63], np.uint64)},
            "must fit into int64",
        ),
        ({"inputs": np.zeros((0, 3), np.uint8), "labels": np.arange(0)}, "at least one"),
    ],
)
def test_training_data_of_a_wrong_form_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "t.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=message):
        read_training_data(tmp_path / "t.npz")


def test_training_data_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no training data"):
        read_training_data(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("not a zip file")
    with pytest.raises(CorruptFileError, match=r"not an \.npz file"):
        read_training_data(tmp_path / "text.npz")
    objects = np.array([{}, {}], dtype=object)
    np.savez(tmp_path / "objects.npz", inputs=objects, labels=np.arange(2))
    with pytest.raises(CorruptFileError, match="plain arrays"):
        read_training_data(tmp_path / "objects.npz")
    np.savez(tmp_path / "cut.npz", inputs=np.zeros((99, 9), np.uint8), labels=np.arange(99))
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFileError, match=r"not an \.npz file"):
        read_training_data(tmp_path / "cut.npz")
    np.save(tmp_path / "single.npy", np.arange(3))
    with pytest.raises(CorruptFileError, match=r"not an \.npz file"):
        read_training_data(tmp_path / "single.npy")


def build(config: TrainingConfig, directory: Path) -> tuple[str, list[torch.Tensor]]:
    data = read_training_data(config.data.train)
    encoder = encoder_from_config(config, directory=directory)
    old = torch.eye(6, 5)
    setting = Setting(encoder.dim, data.n_classes, data.labels, old)
    objective = objective_from_config(config, setting)
    assert isinstance(objective, torch.nn.Module)
    return fingerprint(encoder), list(objective.state_dict().values())


def test_first_weights_follow_from_the_seed(path: Path, tmp_path: Path) -> None:
    config = read_training_config(path)
    first, tensors = build(config, tmp_path)
    torch.rand(5)
    again, same = build(config, tmp_path)
    assert first == again
    assert all(torch.equal(a, b) for a, b in zip(tensors, same, strict=True))
    path.write_text(TEXT.replace("seed = 4", "seed = 5"))
    assert build(read_training_config(path), tmp_path)[0] != first


def test_a_backbone_of_the_users_own_is_built(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [])
    (tmp_path / "own_models_1.py").write_text(
        "from torch import nn\ndef build(width):\n    return nn.Linear(4, width)\n"
    )
    own = TEXT.replace('"mlp"', '"own_models_1:build"').replace(
        "options = { in_features = 4, dim = 6, hidden = [8] }", "options = { width = 6 }\ndim = 6"
    )
    path.write_text(own)
    encoder = encoder_from_config(read_training_config(path), directory=tmp_path)
    assert encoder.backbone_name is None
    assert encoder(torch.zeros(2, 4)).shape == (2, 6)
    path.write_text(own.replace("\ndim = 6", ""))
    with pytest.raises(InvalidInputError, match="how many dimensions"):
        encoder_from_config(read_training_config(path), directory=tmp_path)
    path.write_text(own.replace("width = 6", "wide = 6"))
    with pytest.raises(InvalidInputError, match="refuses its options"):
        encoder_from_config(read_training_config(path), directory=tmp_path)
