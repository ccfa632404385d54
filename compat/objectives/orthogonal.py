"""An orthogonal layer: a trainable map that keeps all distances."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize


class OrthogonalLayer(nn.Module):
    """``T h + b`` with an orthogonal T, and so an isometry; computed in float32 under autocast.

    Without the bias it is a rotation or a reflection, which keeps norms as well as distances.

    T is the exponential of a skew-symmetric matrix, as `torch.nn.utils.parametrizations.orthogonal`
    builds it. It is built once a forward, since that reads it once; reading `linear.weight` more
    often within one step wants `torch.nn.utils.parametrize.cached`.

    Attributes:
        linear: the layer with its parametrised weight. Weight shape: (dim, dim).
    """

    def __init__(self, dim: int, *, bias: bool = True) -> None:
        super().__init__()
        self.linear = parametrizations.orthogonal(
            nn.Linear(dim, dim, bias=bias), orthogonal_map="matrix_exp"
        )

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
