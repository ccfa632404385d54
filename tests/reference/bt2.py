"""BT²'s vector and loss by a naive reading of METHODS.md §4: one sample at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tests.reference.oca import smoothed_cross_entropy, unit


class Maps(NamedTuple):
    """P, Q, the added linear map (weight and bias), and C."""

    inner: Tensor
    outer: Tensor
    added: tuple[Tensor, Tensor]
    radius: float


def vector(x: Tensor, maps: Maps) -> tuple[Tensor, Tensor]:
    """f and phi of one backbone feature."""
    old_dim, twin_dim = len(maps.outer), len(maps.inner)
    f = unit(x[:twin_dim])
    g = unit(maps.added[0] @ torch.clamp(x, min=0) + maps.added[1])
    h = torch.cat([g, maps.inner @ (maps.radius * f)])
    u = maps.outer @ h[:old_dim]
    left_over = h[old_dim:]
    return f, torch.cat([u, left_over])


def loss(
    features: Tensor,
    labels: Tensor,
    old_features: Tensor,
    twin_features: Tensor,
    *,
    maps: Maps,
    classifier: tuple[Tensor, Tensor],
    means: Tensor,
    weights: tuple[float, float, float, float] = (1.0, 1.0, 10.0, 5.0),
) -> Tensor:
    """``CE(fc(f)) + l1 (1 - cos(f, twin)) + l2 CE(unit(u) W_old) + l3 (1 - cos(u, old))``."""
    old_dim = means.shape[1]
    total = torch.zeros((), dtype=features.dtype)
    for x, label, old, twin in zip(features, labels, old_features, twin_features, strict=True):
        f, phi = vector(x, maps)
        u = phi[:old_dim]
        own = smoothed_cross_entropy(classifier[0] @ f + classifier[1], int(label), 0.0)
        like_twin = 1 - (f * unit(twin)).sum()
        against = torch.stack([(unit(u) * p).sum() for p in means])
        like_class = smoothed_cross_entropy(against, int(label), 0.0)
        like_old = 1 - (unit(u) * unit(old)).sum()
        parts = (own, like_twin, like_class, like_old)
        total = total + torch.stack([w * p for w, p in zip(weights, parts, strict=True)]).sum()
    return total / len(features)
