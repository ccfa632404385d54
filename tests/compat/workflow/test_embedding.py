from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from compat.backbones import build_backbone
from compat.embedding import embed_array
from compat.encoder_files import save_encoder
from compat.encoders import Encoder
from compat.workflow.embedding import canary_deviation, embed_inputs, load_version, read_inputs
from registry import ModelVersion, Registry
from registry.artifacts import CANARIES
from registry.domain.canonical import Json
from registry.errors import (
    CorruptFileError,
    DigestMismatchError,
    InvalidInputError,
    NotFoundError,
    SpaceMismatchError,
)
from tests.conftest import declared

MLP: dict[str, Json] = {"in_features": 5, "dim": 3, "hidden": [4]}
OWN = """
from torch import nn

def build(width=4):
    return nn.Sequential(nn.Linear(5, width), nn.Tanh(), nn.Linear(width, 3))
"""


def an_encoder(seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    network = build_backbone("mlp", MLP)
    return Encoder(network, dim=3, backbone_name="mlp", backbone_options=MLP)


@pytest.fixture
def encoder() -> Encoder:
    return an_encoder()


@pytest.fixture
def version(registry: Registry, encoder: Encoder, tmp_path: Path) -> ModelVersion:
    save_encoder(encoder, tmp_path / "run", canaries=torch.rand(4, 5))
    return registry.register("docs", tmp_path / "run").version


@pytest.fixture
def inputs(rng: np.random.Generator) -> Any:
    return rng.normal(size=(600, 5)).astype(np.float32)


def test_a_registered_version_embeds_as_it_did_before(
    registry: Registry, version: ModelVersion, encoder: Encoder, inputs: Any
) -> None:
    done: list[int] = []
    ids = np.arange(600)[::-1].copy()
    found = embed_inputs(registry, version, inputs, ids, on_batch=done.append)
    assert found.version == version
    assert (found.ids == ids).all()
    assert found.vectors == pytest.approx(embed_array(encoder, inputs), abs=1e-6)
    assert sum(done) == 600
    assert len(done) > 1
    again = embed_inputs(registry, version, inputs)
    assert (again.vectors == found.vectors).all()
    assert (again.ids == np.arange(600)).all()


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((2, 4), np.float32), np.zeros(3, np.float32), np.array([["a"] * 5])],
)
def test_inputs_that_it_cannot_take_are_one_line(
    registry: Registry, version: ModelVersion, wrong: Any
) -> None:
    with pytest.raises(InvalidInputError, match="docs@1 cannot embed inputs of") as caught:
        embed_inputs(registry, version, wrong)
    assert "\n" not in str(caught.value)


def test_a_version_of_which_only_vectors_are_known_embeds_nothing(
    registry: Registry, inputs: Any
) -> None:
    only_vectors = declared(registry, "texts", "acme", dim=3)
    with pytest.raises(NotFoundError, match="has no artifact: only its vectors are known"):
        embed_inputs(registry, only_vectors, inputs)


def test_a_changed_artifact_is_not_loaded(
    registry: Registry, version: ModelVersion, inputs: Any
) -> None:
    weights = registry.models.artifact_directory(version) / "model.safetensors"
    tensors = load_file(weights)
    tensors = {name: np.asarray(value + 1) for name, value in tensors.items()}
    save_file(tensors, weights)
    with pytest.raises(DigestMismatchError, match="is missing or was changed"):
        embed_inputs(registry, version, inputs)


def test_canaries_sing_as_they_did(registry: Registry, version: ModelVersion) -> None:
    deviation = canary_deviation(registry.models.artifact_directory(version))
    assert deviation is not None
    assert deviation < 1e-6


def test_no_canaries_are_no_deviation(tmp_path: Path, encoder: Encoder) -> None:
    save_encoder(encoder, tmp_path / "plain")
    assert canary_deviation(tmp_path / "plain") is None


def test_canaries_that_changed_are_caught(tmp_path: Path, encoder: Encoder) -> None:
    folder = tmp_path / "run"
    save_encoder(encoder, folder, canaries=torch.rand(4, 5))
    saved = load_file(folder / CANARIES)
    saved["vectors"] = saved["vectors"] + np.float32(1e-3)
    save_file(saved, folder / CANARIES)
    with pytest.raises(SpaceMismatchError, match=r"canaries deviate by 0\.001"):
        canary_deviation(folder)
    (folder / CANARIES).write_bytes(b"nothing")
    with pytest.raises(CorruptFileError, match="is not a file of canaries"):
        canary_deviation(folder)


def test_a_backbone_of_ones_own_is_named_when_it_is_needed(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    (tmp_path / "my_own_backbones.py").write_text(OWN)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    encoder = Encoder(network, dim=3, backbone_options={"width": 6})
    save_encoder(encoder, tmp_path / "run")
    version = registry.register("docs", tmp_path / "run").version
    with pytest.raises(InvalidInputError, match="not in samespace's catalog"):
        load_version(registry, version)
    found = embed_inputs(registry, version, inputs, factory="my_own_backbones:build")
    assert found.vectors == pytest.approx(embed_array(encoder, inputs), abs=1e-6)
    (tmp_path / "another_backbone.py").write_text(OWN.replace("Tanh", "ReLU"))
    with pytest.raises(DigestMismatchError, match="structure is not the one"):
        load_version(registry, version, factory="another_backbone:build")
    for wrong, words in (("nowhere:build", "no module 'nowhere'"), ("nowhere", "names no")):
        with pytest.raises((NotFoundError, InvalidInputError), match=words):
            load_version(registry, version, factory=wrong)


def test_a_backbone_of_the_catalog_needs_no_factory(
    registry: Registry, version: ModelVersion
) -> None:
    assert load_version(registry, version, factory="nowhere:build").backbone_name == "mlp"


def test_inputs_come_with_their_ids_if_they_have_any(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, inputs=np.zeros((2, 3)), ids=np.array(["a", "b"]), labels=np.zeros(9))
    inputs, ids = read_inputs(path)
    assert inputs.shape == (2, 3)
    assert ids is not None
    assert ids.tolist() == ["a", "b"]
    np.savez(path, inputs=np.zeros((2, 3)))
    assert read_inputs(path)[1] is None


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"data": np.zeros(3)}, "has no array 'inputs'"),
        ({"inputs": np.zeros((2, 3)), "ids": np.arange(3)}, "has 2 inputs but 3 ids"),
        ({"inputs": np.float32(3)}, "a single number"),
        ({"inputs": np.array([{}], dtype=object)}, "not an .npz file of plain arrays"),
    ],
)
def test_wrong_inputs_are_refused(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)
    with pytest.raises((InvalidInputError, CorruptFileError), match=words):
        read_inputs(path)


@pytest.mark.parametrize("keep", [0.0, 0.4, 0.95])
def test_truncated_inputs_are_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, inputs=np.arange(1000.0))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(CorruptFileError, match=r"not an \.npz file"):
        read_inputs(path)
    path.unlink()
    with pytest.raises(NotFoundError, match="there is no file"):
        read_inputs(path)


def test_a_bare_array_is_no_npz_file(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(CorruptFileError, match=r"not an \.npz file"):
        read_inputs(path)
    np.savez_compressed(path, inputs=np.zeros(100))
    whole = bytearray(path.read_bytes())
    whole[60] ^= 255
    path.write_bytes(whole)
    with pytest.raises(CorruptFileError):
        read_inputs(path)
