from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from torch import nn

from compat.backbones import build_backbone
from compat.embedding import embed, embed_array
from compat.encoders import Encoder, describe, fingerprint
from registry.domain.refs import VersionRef
from registry.domain.versions import ModelVersion
from registry.errors import InvalidInputError, SpaceMismatchError


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    network = build_backbone("mlp", {"in_features": 5, "dim": 3})
    return Encoder(nn.Sequential(nn.Dropout(), network), dim=3)


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(23, 5, generator=torch.Generator().manual_seed(1))


def version_of(encoder: Encoder) -> ModelVersion:
    return ModelVersion(
        ref=VersionRef("things", 1),
        fingerprint=fingerprint(encoder),
        description=describe(encoder),
        artifact_path=None,
        artifact_digest=None,
        training={},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        created_by="test",
    )


def test_rows_keep_their_order_whatever_the_batch_size(
    encoder: Encoder, inputs: torch.Tensor
) -> None:
    whole = embed_array(encoder, inputs)
    assert whole.dtype == np.float32
    assert whole.shape == (23, 3)
    for batch_size in (1, 4, 23, 100):
        np.testing.assert_allclose(
            embed_array(encoder, inputs, batch_size=batch_size), whole, atol=1e-6
        )
    np.testing.assert_array_equal(embed_array(encoder, inputs), whole)


def test_it_takes_arrays_and_tensors(encoder: Encoder, inputs: torch.Tensor) -> None:
    np.testing.assert_array_equal(
        embed_array(encoder, inputs.numpy()), embed_array(encoder, inputs)
    )


def test_it_takes_read_only_and_reversed_arrays(encoder: Encoder, inputs: torch.Tensor) -> None:
    given = inputs.numpy()[::-1]
    given.flags.writeable = False
    np.testing.assert_array_equal(embed_array(encoder, given), embed_array(encoder, inputs.flip(0)))


def test_the_mode_of_the_encoder_comes_back(encoder: Encoder, inputs: torch.Tensor) -> None:
    encoder.train()
    frozen = encoder.backbone.eval()
    before = fingerprint(encoder)
    embed_array(encoder, inputs)
    assert encoder.training
    assert not frozen.training
    assert fingerprint(encoder) == before  # no batch statistics were gathered


def test_progress_counts_inputs(encoder: Encoder, inputs: torch.Tensor) -> None:
    seen: list[tuple[int, int]] = []
    embed_array(encoder, inputs, batch_size=10, progress=lambda *done: seen.append(done))
    assert seen == [(10, 23), (20, 23), (23, 23)]


def test_no_inputs_give_no_vectors(encoder: Encoder, inputs: torch.Tensor) -> None:
    assert embed_array(encoder, inputs[:0]).shape == (0, 3)


def test_a_batch_size_below_one_is_refused(encoder: Encoder, inputs: torch.Tensor) -> None:
    with pytest.raises(InvalidInputError, match="at least 1"):
        embed_array(encoder, inputs, batch_size=0)


def test_embeddings_carry_their_version(encoder: Encoder, inputs: torch.Tensor) -> None:
    version = version_of(encoder)
    found = embed(encoder, inputs, np.arange(23), version)
    assert found.version is version
    np.testing.assert_array_equal(found.vectors, embed_array(encoder, inputs))


def test_an_encoder_of_another_version_is_refused(encoder: Encoder, inputs: torch.Tensor) -> None:
    version = version_of(encoder)
    with torch.no_grad():
        next(encoder.parameters()).add_(1)
    with pytest.raises(SpaceMismatchError, match="things@1"):
        embed(encoder, inputs, np.arange(23), version)
