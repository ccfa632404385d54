"""An orthogonal layer: a trainable map that keeps all distances."""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize


class OrthogonalLayer(nn.Module):
    """``T h + b`` with an orthogonal T, and so an isometry; computed in float32 under autocast.

    Without the bias it is a rotation or a reflection, which keeps norms as well as distances.

    T is a first orthogonal matrix times the exponential of a skew-symmetric one, as
    `torch.nn.utils.parametrizations.orthogonal` builds it. It is built once a forward, since that
    reads it once; reading `linear.weight` more often within one step wants
    `torch.nn.utils.parametrize.cached`.

    Attributes:
        linear: the layer with its parametrised weight. Weight shape: (dim, dim).
    """

    def __init__(self, dim: int, *, bias: bool = True) -> None:
        super().__init__()
        linear = nn.Linear(dim, dim, bias=bias)
        self.linear = parametrizations.orthogonal(linear, orthogonal_map="matrix_exp")
        maps = cast("dict[str, nn.ModuleList]", self.linear.parametrizations)["weight"]
        maps[0] = _Orthogonal(cast("Tensor", maps[0].base))

    def forward(self, features: Tensor) -> Tensor:
        """Return the mapped features. Shape: (n, dim) to (n, dim)."""
        with torch.autocast(features.device.type, enabled=False):
            dtype = next(self.linear.parameters()).dtype
            mapped: Tensor = self.linear(features.to(dtype))
        return mapped

    def matrix(self) -> Tensor:
        """Return T. Shape: (dim, dim)."""
        weight = self.linear.weight
        assert isinstance(weight, Tensor)  # noqa: S101 (torch's promise)
        return weight

    def offset(self) -> Tensor:
        """Return b, zeros if there is no bias. Shape: (dim,)."""
        bias = self.linear.bias
        return bias if isinstance(bias, Tensor) else self.matrix().new_zeros(len(self.matrix()))


class _Orthogonal(nn.Module):
    """``B · exp(X - Xᵀ)`` of the lower triangle X, in torch's place: its own wants MPS to have exp.

    It is torch's map, number by number, and has its buffer and its name: by those are weights
    loaded, and runs told from each other (`compat.encoders.structure_digest`).
    """

    def __init__(self, base: Tensor) -> None:
        super().__init__()
        self.base: Tensor
        self.register_buffer("base", base)

    def forward(self, original: Tensor) -> Tensor:
        """Return the orthogonal matrix. Shape: (dim, dim) to (dim, dim)."""
        lower = original.tril()
        device = exponential_device(original.device)
        return self.base @ exponential(lower - lower.mH, device=device)


def exponential(matrix: Tensor, *, device: torch.device) -> Tensor:
    """Return the exponential of a matrix, where that is; its gradient takes the same way back.

    Args:
        matrix: any square one. Shape: (dim, dim).
        device: where to compute.
    """
    found: Tensor = torch.linalg.matrix_exp(matrix.to(device))
    return found.to(matrix.device)


def exponential_device(device: torch.device) -> torch.device:
    """Return where to exponentiate a device's matrices: torch (2.13) cannot do it on MPS."""
    return torch.device("cpu") if device.type == "mps" else device


def baked(module: nn.Module) -> nn.Module:
    """Return a copy whose parametrised weights are plain ones with the same values.

    It is what gets deployed: nothing is computed anew at every call, and a file holds the map
    itself rather than what it is the exponential of.

    Args:
        module: any network; one without parametrisations is only copied.
    """
    copy = deepcopy(module)
    for part in list(copy.modules()):
        if parametrize.is_parametrized(part):
            _bake(part)
    return copy


def _bake(part: nn.Module) -> None:
    """Undo the parametrisation of a copy; torch's own way would undo it in the original as well."""
    parametrizations_of = part.parametrizations
    assert isinstance(parametrizations_of, nn.ModuleDict)  # noqa: S101 (torch's promise)
    values = {name: getattr(part, name).detach().clone() for name in parametrizations_of}
    part.__class__ = parametrize.type_before_parametrizations(part)
    del part.parametrizations
    for name, value in values.items():
        part.register_parameter(name, nn.Parameter(value))
