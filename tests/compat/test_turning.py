"""Turning changes no cosine within a space, and brings it as near to another as a rotation can."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compat.adapters import fit_procrustes, map_queries
from compat.embedding import embed_array
from compat.encoders import Encoder
from compat.preprocessing import Preprocessing
from compat.turning import turned_into
from registry.arrays import Float32Array
from registry.errors import DimensionMismatchError, InvalidInputError


class Activated(nn.Module):
    """Ends in something that no linear layer can take in."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(10, 6)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features."""
        return torch.tanh(self.linear(inputs))


def network(*, bias: bool = True) -> nn.Module:
    return nn.Sequential(nn.Linear(10, 12), nn.ReLU(), nn.Linear(12, 6, bias=bias))


def encoder(backbone: nn.Module, *, normalised: bool = True) -> Encoder:
    return Encoder(backbone, dim=6, preprocessing=Preprocessing(), normalised=normalised).eval()


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(40, 10, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def old(rng: np.random.Generator) -> Float32Array:
    vectors = rng.normal(size=(40, 4))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_its_own_space_stays_and_its_first_dimensions_are_mapped(
    inputs: Tensor, old: Float32Array, *, normalised: bool, bias: bool
) -> None:
    given = encoder(network(bias=bias), normalised=normalised)
    before = embed_array(given, inputs)
    after = embed_array(turned_into(given, inputs, old, device="cpu"), inputs)
    np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-5)
    mapped = map_queries(before, fit_procrustes(before, old))
    first = after[:, :4] / np.linalg.norm(after[:, :4], axis=1, keepdims=True)
    np.testing.assert_allclose(first, mapped, atol=1e-5)
    lengths = np.linalg.norm(before, axis=1, keepdims=True)
    near, was = (float(((v / lengths)[:, :4] * old).sum()) for v in (after, before))
    assert near > was
    np.testing.assert_array_equal(embed_array(given, inputs), before)  # it is not changed itself


def test_what_does_not_end_in_a_linear_layer_is_refused(inputs: Tensor, old: Float32Array) -> None:
    with pytest.raises(InvalidInputError, match="not what a linear layer gives last"):
        turned_into(encoder(Activated()), inputs, old)
    with pytest.raises(InvalidInputError, match="not what a linear layer gives last"):
        turned_into(encoder(nn.Sequential(network(), nn.ReLU())), inputs, old)


def test_an_old_model_with_more_dimensions_is_refused(inputs: Tensor) -> None:
    with pytest.raises(DimensionMismatchError, match="6 dimensions cannot be turned to meet 7"):
        turned_into(encoder(network()), inputs, np.ones((40, 7), dtype=np.float32))
