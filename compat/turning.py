"""An encoder turned into another one's space: the same network, in other coordinates."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from registry.arrays import Float32Array, Float64Array
from registry.errors import DimensionMismatchError, InvalidInputError

from .adapters import fit_rotation
from .devices import DeviceName
from .embedding import Inputs, embed_array
from .encoders import Encoder

_N_PROBES = 8
_TOLERANCE = 1e-4


def turned_into(
    encoder: Encoder, inputs: Inputs, old_vectors: Float32Array, *, device: DeviceName = "auto"
) -> Encoder:
    """Return the encoder with its vectors rotated towards those of an old model.

    The rotation is the solution of the orthogonal Procrustes problem, folded into the last linear
    layer. Within the encoder's own space nothing changes: all norms and cosines stay. But its first
    old_dim dimensions can now be compared with the old vectors, as far as a rotation goes, and a
    compatible training can begin there instead of in a random corner.

    Args:
        encoder: is not changed.
        inputs: raw inputs, better as many as there are dimensions or more. Shape: (n, ...)
        old_vectors: the old model's vectors of the same inputs. Shape: (n, old_dim)
        device: where the inputs are embedded.

    Raises:
        DimensionMismatchError: if the old vectors have more dimensions.
        InvalidInputError: if the network's features are not what a linear layer gives last.
    """
    old_dim = old_vectors.shape[1]
    if old_dim > encoder.dim:
        raise DimensionMismatchError(
            f"{encoder.dim} dimensions cannot be turned to meet {old_dim}",
            hint="turn a version that has at least as many dimensions as the old one",
        )
    vectors = embed_array(encoder, inputs, device=device)
    rotation = fit_rotation(vectors, old_vectors)
    turned = copy.deepcopy(encoder)
    _fold(_last_linear(turned), torch.from_numpy(rotation))
    _check(turned, inputs[:_N_PROBES], vectors[:_N_PROBES], rotation, device)
    return turned


def _last_linear(encoder: Encoder) -> nn.Linear:
    layers = [m for m in encoder.backbone.modules() if isinstance(m, nn.Linear)]
    if not layers or layers[-1].out_features != encoder.dim:
        raise _no_linear()
    return layers[-1]


def _fold(layer: nn.Linear, rotation: Tensor) -> None:
    """Turn what a layer gives: y becomes rotation.T y."""
    with torch.no_grad():
        layer.weight.copy_(rotation.T @ layer.weight.double())
        if layer.bias is not None:
            layer.bias.copy_(rotation.T @ layer.bias.double())


def _check(
    turned: Encoder,
    inputs: Inputs,
    before: Float32Array,
    rotation: Float64Array,
    device: DeviceName,
) -> None:
    after = embed_array(turned, inputs, device=device)
    error = np.abs(after - before @ rotation).max()
    if not error <= _TOLERANCE * max(1.0, float(np.abs(before).max())):
        raise _no_linear()


def _no_linear() -> InvalidInputError:
    return InvalidInputError(
        "the network's features are not what a linear layer gives last, so they cannot be turned",
        hint="put a linear layer last, or drop turned from [model]",
    )
