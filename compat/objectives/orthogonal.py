"""An orthogonal layer: a trainable map that keeps all distances."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations


class OrthogonalLayer(nn.Module):
    """``T h + b`` with an orthogonal T, and so an isometry; computed in float32 under autocast.

    T is the exponential of a skew-symmetric matrix, as `torch.nn.utils.parametrizations.orthogonal`
    builds it. It is built once a forward, since that reads it once; reading `linear.weight` more
    often within one step wants `torch.nn.utils.parametrize.cached`.

    Attributes:
        linear: the layer with its parametrised weight. Weight shape: (dim, dim).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = parametrizations.orthogonal(nn.Linear(dim, dim), orthogonal_map="matrix_exp")

    def forward(self, features: Tensor) -> Tensor:
        """Return the mapped features. Shape: (n, dim) to (n, dim)."""
        with torch.autocast(features.device.type, enabled=False):
            dtype = next(self.linear.parameters()).dtype
            mapped: Tensor = self.linear(features.to(dtype))
        return mapped
