from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from compat.backbones import build_backbone
from compat.encoder_files import check_canaries, load_encoder, save_encoder
from compat.encoders import (
    Encoder,
    cpu_tensors,
    describe,
    digest_tensors,
    fingerprint,
    structure_digest,
)
from compat.preprocessing import Preprocessing
from registry.artifacts import DESCRIPTION, WEIGHTS, read_artifact, weights_digest
from registry.domain.canonical import Json
from registry.errors import (
    DigestMismatchError,
    DimensionMismatchError,
    InvalidInputError,
    NotFoundError,
    SpaceMismatchError,
)

MLP: dict[str, Json] = {"in_features": 5, "dim": 3, "hidden": [4]}


def mlp_encoder(seed: int = 0, preprocessing: Preprocessing | None = None) -> Encoder:
    torch.manual_seed(seed)
    return Encoder(
        build_backbone("mlp", MLP),
        dim=3,
        preprocessing=preprocessing,
        backbone_name="mlp",
        backbone_options=MLP,
    ).eval()


class Own(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, width), nn.Linear(width, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(inputs)))  # type: ignore[no-any-return]


def test_vectors_are_of_unit_length_if_normalised() -> None:
    inputs = torch.randn(6, 5)
    encoder = mlp_encoder()
    torch.testing.assert_close(encoder(inputs).norm(dim=1), torch.ones(6))
    plain = Encoder(encoder.backbone, dim=3, normalised=False)
    torch.testing.assert_close(nn.functional.normalize(plain(inputs)), encoder(inputs))


def test_a_backbone_of_another_dimension_is_refused() -> None:
    encoder = Encoder(nn.Linear(5, 4), dim=3)
    with pytest.raises(DimensionMismatchError, match=r"shape \(2, 4\) but \(2, 3\)"):
        encoder(torch.zeros(2, 5))
    with pytest.raises(InvalidInputError, match="at least 1"):
        Encoder(nn.Linear(5, 4), dim=0)


def test_the_vectors_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert mlp_encoder()(torch.randn(2, 5)).dtype == torch.float32


def test_a_saved_encoder_comes_back_the_same(tmp_path: Path) -> None:
    encoder = mlp_encoder(preprocessing=Preprocessing(0.5, mean=(0.1,), std=(2.0,)))
    inputs = torch.randn(4, 5)
    save_encoder(encoder, tmp_path / "v1", canaries=inputs)
    loaded = load_encoder(tmp_path / "v1")
    assert torch.equal(loaded(inputs), encoder(inputs))
    assert describe(loaded) == describe(encoder)
    assert fingerprint(loaded) == fingerprint(encoder)
    assert fingerprint(encoder) == read_artifact(tmp_path / "v1").fingerprint
    assert check_canaries(loaded, tmp_path / "v1", 1e-6) == 0


def test_a_convolutional_encoder_comes_back_the_same(tmp_path: Path) -> None:
    options = {"dim": 3, "width": 4, "image_size": 8}
    encoder = Encoder(
        build_backbone("small_convnet", options),
        dim=3,
        backbone_name="small_convnet",
        backbone_options=options,
    ).eval()
    save_encoder(encoder, tmp_path / "v1")
    images = torch.rand(4, 8, 8)
    assert torch.equal(load_encoder(tmp_path / "v1")(images), encoder(images))


def test_the_digest_of_tensors_is_that_of_the_file(tmp_path: Path) -> None:
    tensors = {
        "b": torch.randn(3, 2),
        "a": torch.arange(3),
        "c": torch.tensor(4),
        "d": torch.randn(2).bfloat16(),
        "e": torch.tensor([True, False]),
        "f": torch.zeros(0, 3),
    }
    save_file(tensors, tmp_path / "t.safetensors")
    assert digest_tensors(tensors) == weights_digest(tmp_path / "t.safetensors")


@pytest.mark.parametrize(
    "other",
    [
        lambda _: mlp_encoder(seed=1),
        lambda _: mlp_encoder(preprocessing=Preprocessing(scale=2.0)),
        lambda e: Encoder(e.backbone, dim=3, normalised=False),
        lambda e: Encoder(nn.Sequential(*e.backbone, nn.ReLU()), dim=3),
    ],
    ids=["weights", "preprocessing", "normalisation", "structure"],
)
def test_whatever_makes_a_space_makes_the_fingerprint(other: object) -> None:
    encoder = mlp_encoder()
    assert callable(other)
    assert fingerprint(other(encoder)) != fingerprint(encoder)


def test_the_structure_knows_settings_but_not_modules() -> None:
    class Moved(Own):
        pass

    Moved.__name__ = "Own"
    Moved.__module__ = "elsewhere"
    assert structure_digest(Moved()) == structure_digest(Own())
    assert structure_digest(Own(5)) != structure_digest(Own())
    kernel, strided = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=2)
    assert structure_digest(kernel) != structure_digest(strided)


def test_no_module_path_is_persisted(tmp_path: Path) -> None:
    save_encoder(Encoder(Own(), dim=3).eval(), tmp_path / "own")
    text = (tmp_path / "own" / DESCRIPTION).read_text()
    assert "compat" not in text
    assert "torch" not in text
    assert "Own" not in text
    assert json.loads(text)["architecture"]["backbone"] is None


def test_the_users_own_backbone_must_be_given(tmp_path: Path) -> None:
    encoder = Encoder(Own(), dim=3).eval()
    save_encoder(encoder, tmp_path / "own")
    with pytest.raises(InvalidInputError, match="not in samespace's catalog"):
        load_encoder(tmp_path / "own")
    for backbone in (Own, Own()):
        loaded = load_encoder(tmp_path / "own", backbone=backbone)
        assert fingerprint(loaded) == fingerprint(encoder)


def test_another_structure_is_refused(tmp_path: Path) -> None:
    save_encoder(Encoder(Own(), dim=3).eval(), tmp_path / "own")
    with pytest.raises(DigestMismatchError, match="structure"):
        load_encoder(tmp_path / "own", backbone=Own(6))


def test_a_backbone_that_alters_its_weights_on_loading_is_refused(tmp_path: Path) -> None:
    class Doubling(Own):
        def load_state_dict(self, state: dict[str, Tensor], *_: object) -> object:  # type: ignore[override]
            return super().load_state_dict({name: 2 * t for name, t in state.items()})

    Doubling.__name__ = "Own"
    save_encoder(Encoder(Own(), dim=3).eval(), tmp_path / "own")
    with pytest.raises(DigestMismatchError, match="as loaded has the fingerprint"):
        load_encoder(tmp_path / "own", backbone=Doubling)


def test_a_used_folder_is_not_written_to(tmp_path: Path) -> None:
    save_encoder(mlp_encoder(), tmp_path)
    with pytest.raises(InvalidInputError, match="not empty"):
        save_encoder(mlp_encoder(), tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    save_encoder(mlp_encoder(), tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(NotFoundError, match="no model artifact"):
        load_encoder(tmp_path)


def test_canaries_catch_another_computation(tmp_path: Path) -> None:
    encoder = mlp_encoder()
    save_encoder(encoder, tmp_path, canaries=torch.randn(4, 5))
    with torch.no_grad():
        next(encoder.parameters()).add_(0.01)
    with pytest.raises(SpaceMismatchError, match="canaries deviate"):
        check_canaries(encoder, tmp_path, 1e-4)
    assert 0 < check_canaries(encoder, tmp_path, 1.0) < 1


def test_a_folder_without_canaries_is_told(tmp_path: Path) -> None:
    save_encoder(mlp_encoder(), tmp_path)
    with pytest.raises(NotFoundError, match="no canaries"):
        check_canaries(mlp_encoder(), tmp_path, 1e-4)


def test_shared_weights_are_saved(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3)
            self.b = nn.Linear(3, 3)
            self.b.weight = self.a.weight

        def forward(self, inputs: Tensor) -> Tensor:
            return self.b(self.a(inputs))  # type: ignore[no-any-return]

    encoder = Encoder(Tied(), dim=3).eval()
    save_encoder(encoder, tmp_path)
    assert set(load_file(tmp_path / WEIGHTS)) == set(cpu_tensors(encoder.backbone))
    assert fingerprint(load_encoder(tmp_path, backbone=Tied)) == fingerprint(encoder)


def test_vectors_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    encoder = Encoder(nn.Linear(5, 3), dim=3)
    with torch.no_grad():
        next(encoder.parameters()).fill_(float("nan"))
    with pytest.raises(InvalidInputError, match="vectors that are NaN or infinite"):
        save_encoder(encoder, tmp_path / "v1", canaries=torch.ones(2, 5))
    assert not list((tmp_path / "v1").iterdir())
