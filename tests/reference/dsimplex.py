"""The simplex, CoReS and d-Simplex-HOC by a naive reading of METHODS.md §§2-3."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tests.reference.oca import smoothed_cross_entropy, unit


def vertices(n_slots: int) -> Tensor:
    """Basis vectors and one more point, moved to the centroid, each row of unit length."""
    n = n_slots - 1
    c = (1 - math.sqrt(n + 1)) / n
    points = [[1.0 if i == j else 0.0 for j in range(n)] for i in range(n)] + [[c] * n]
    centroid = [sum(point[j] for point in points) / n_slots for j in range(n)]
    rows = []
    for point in points:
        moved = [x - m for x, m in zip(point, centroid, strict=True)]
        length = math.sqrt(sum(x * x for x in moved))
        rows.append([x / length for x in moved])
    return torch.tensor(rows, dtype=torch.float64)


def classification(features: Tensor, slots: list[int], n_slots: int, scale: float = 1.0) -> Tensor:
    """Cross-entropy over all slots; features as they are."""
    corners = vertices(n_slots)
    total = torch.zeros((), dtype=features.dtype)
    for z, slot in zip(features, slots, strict=True):
        logits = torch.stack([scale * (z * corner).sum() for corner in corners])
        total = total + smoothed_cross_entropy(logits, slot, 0.0)
    return total / len(features)


def hoc(old: Tensor, new: Tensor, labels: Tensor, mu: float, *, as_released: bool) -> Tensor:
    """The contrast of old anchors with new candidates."""
    total = torch.zeros((), dtype=new.dtype)
    for i in range(len(new)):
        own = mu * (unit(old[i]) * unit(new[i])).sum()
        summed = torch.zeros((), dtype=new.dtype) if as_released else torch.exp(own)
        for j in range(len(new)):
            similarity = mu * (unit(old[i]) * unit(new[j])).sum()
            if int(labels[j]) != int(labels[i]):
                summed = summed + torch.exp(similarity)
            elif as_released:
                summed = summed + torch.exp(0 * similarity)
        total = total - own + torch.log(summed)
    return total / len(new)
