"""The loss of two-level targets by a naive reading of its docstring: one sample at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.reference.oca import smoothed_cross_entropy, unit


def loss(
    features: Tensor,
    old_features: Tensor,
    labels: Tensor,
    means: Tensor,
    classifier: Tensor,
    *,
    weights: tuple[float, float, float] = (0.1, 0.4, 0.5),
    scales: tuple[float, float] = (16.0, 16.0),
    smoothing: float = 0.0,
) -> Tensor:
    """``0.1 CE(s w · h) + 0.4 CE(s h[:d_old] · p) + 0.5 (1 - cos(h[:d_old], u))``, averaged."""
    old_dim = means.shape[1]
    total = torch.zeros((), dtype=features.dtype)
    for feature, old, label in zip(features, old_features, labels, strict=True):
        y = int(label)
        h_c = unit(feature[:old_dim])
        new_logits = torch.stack([scales[0] * (unit(feature) * unit(w)).sum() for w in classifier])
        old_logits = torch.stack([scales[1] * (h_c * unit(p)).sum() for p in means])
        new = smoothed_cross_entropy(new_logits, y, smoothing)
        classes = smoothed_cross_entropy(old_logits, y, smoothing)
        image = 1 - (h_c * unit(old)).sum()
        total = total + weights[0] * new + weights[1] * classes + weights[2] * image
    return total / len(features)
