"""The backbone of ``transformers``, on networks so small that nothing need be fetched."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch

from compat.backbones import build_backbone
from compat.embedding import embed_array
from compat.encoder_files import load_encoder, save_encoder
from compat.encoders import Encoder, fingerprint
from registry.errors import BackendUnavailableError, InvalidInputError, NotFoundError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
BERT = {
    "model_type": "bert",
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 16,
}
VIT = {
    "model_type": "vit",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 8,
    "patch_size": 4,
}


@pytest.fixture
def _installed() -> None:
    pytest.importorskip("transformers", exc_type=ImportError)


def network(config: dict[str, Any], **options: object) -> Any:
    torch.manual_seed(0)
    return build_backbone("transformers", {"config": config, **options}).eval()


@pytest.mark.usefixtures("_installed")
def test_padding_does_not_count_in_the_mean() -> None:
    made = network(BERT, dim=6)
    short = torch.tensor([[5.0, 7.0, 9.0]])  # as preprocessing gives token numbers
    padded = torch.tensor([[5.0, 7.0, 9.0, 0.0, 0.0]])
    assert made(short).shape == (1, 6)
    torch.testing.assert_close(made(short), made(padded), rtol=1e-4, atol=1e-5)
    first = network(BERT, pooling="cls")
    assert first(short).shape == (1, 16)
    assert not torch.allclose(first(short), network(BERT)(short))


@pytest.mark.usefixtures("_installed")
def test_images_are_taken_by_their_shape() -> None:
    assert network(VIT)(torch.rand(2, 3, 8, 8)).shape == (2, 16)
    with pytest.raises(InvalidInputError, match="neither tokens nor images"):
        network(VIT)(torch.rand(2, 3, 8))


@pytest.mark.usefixtures("_installed")
def test_a_saved_encoder_is_loaded_without_asking_a_hub(tmp_path: Path) -> None:
    made = network(BERT, dim=6)
    tokens = torch.randint(1, 50, (4, 7))
    encoder = Encoder(
        made, dim=6, backbone_name="transformers", backbone_options=made.rebuild_options
    ).eval()
    save_encoder(encoder, tmp_path / "kept", canaries=tokens)
    loaded = load_encoder(tmp_path / "kept")
    assert fingerprint(loaded) == fingerprint(encoder)
    assert (embed_array(loaded, tokens) == embed_array(encoder, tokens)).all()


@pytest.mark.usefixtures("_installed")
def test_a_model_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no model"):
        build_backbone("transformers", {"model": str(tmp_path / "none")})
    with pytest.raises(InvalidInputError, match="config is none of transformers"):
        build_backbone("transformers", {"config": {"model_type": "nothing-like-it"}})


@pytest.mark.parametrize("options", [{}, {"model": "a", "config": {"model_type": "bert"}}])
def test_it_is_named_or_configured(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="one of them"):
        build_backbone("transformers", options)


def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import_as_ever = builtins.__import__

    def refuse(name: str, *given: Any, **more: Any) -> Any:
        if name == "transformers":
            raise ModuleNotFoundError("No module named 'transformers'", name="transformers")
        return import_as_ever(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(BackendUnavailableError, match="needs transformers") as info:
        build_backbone("transformers", {"model": "bert-base-uncased"})
    assert info.value.hint == "pip install 'samespace[transformers]'"
