"""The regular simplex: as many directions as there are slots, each as far from all others."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from registry.errors import InvalidInputError


def simplex_vertices(n_slots: int) -> Tensor:
    """Return the vertices of a regular simplex around the origin, the same at every call.

    With n = n_slots - 1: the basis vectors e_1 … e_n and the point c·(1, …, 1) with
    c = (1 - √(n + 1)) / n are equally far from each other; their centroid is moved to the origin,
    and every row scaled to unit length [1, §4; 2]. Vertices sum to 0, and every pair has the cosine
    -1 / (n_slots - 1), the least that so many directions can all have.

    Args:
        n_slots: number of vertices K, at least 2.

    Returns:
        Unit rows, float64. Shape: (n_slots, n_slots - 1).

    Raises:
        InvalidInputError: if there are fewer than 2 slots.

    References:
        [1] Pernici et al., "Regular polytope networks", TNNLS 2021, arXiv:2103.15632.
        [2] Biondi et al., "CoReS: compatible representations via stationarity", TPAMI 2023.
    """
    if n_slots < 2:
        raise InvalidInputError(f"a simplex needs at least 2 slots but got {n_slots}")
    dim = n_slots - 1
    last = torch.full((1, dim), (1 - math.sqrt(n_slots)) / dim, dtype=torch.float64)
    points = torch.cat([torch.eye(dim, dtype=torch.float64), last])
    return functional.normalize(points - points.mean(dim=0))


def best_probability(n_slots: int, scale: float) -> float:
    """Return the largest probability that a feature of unit length can get for its class.

    It is that of a feature which lies on its vertex, where the logits are `scale` for the class and
    -scale / (K - 1) for the K - 1 others: 0.027 for K = 100 and a scale of 1.

    Args:
        n_slots: number of vertices K, at least 2.
        scale: factor on the cosines, above 0.
    """
    gap = scale * n_slots / (n_slots - 1)
    return 1 / (1 + (n_slots - 1) * math.exp(-gap))


def scale_for(n_slots: int, probability: float) -> float:
    """Return the scale with which `best_probability` is the given one.

    Args:
        n_slots: number of vertices K, at least 2.
        probability: in (1 / K, 1).
    """
    odds = (n_slots - 1) * probability / (1 - probability)
    return math.log(odds) * (n_slots - 1) / n_slots
