"""BCT's loss by a naive reading of METHODS.md §6.1: one sample at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.reference.oca import smoothed_cross_entropy, unit


def loss(
    features: Tensor,
    labels: Tensor,
    *,
    classifier: tuple[Tensor, Tensor],
    old: tuple[Tensor, Tensor],
    rows: list[int],
    weights: tuple[float, float] = (1.0, 1.0),
    smoothing: float = 0.1,
    normalised: bool = True,
) -> Tensor:
    """``CE(fc(f)) + CE(W f[:d_old] + b)``; the latter over samples with an old class only."""
    new = torch.zeros((), dtype=features.dtype)
    influence, n_known = torch.zeros((), dtype=features.dtype), 0
    for feature, label in zip(features, labels, strict=True):
        y = int(label)
        logits = classifier[0] @ feature + classifier[1]
        new = new + smoothed_cross_entropy(logits, y, smoothing)
        if rows[y] < 0:
            continue
        first = feature[: old[0].shape[1]]
        first = unit(first) if normalised else first
        old_logits = torch.stack([(w * first).sum() + b for w, b in zip(*old, strict=True)])
        influence = influence + smoothed_cross_entropy(old_logits, rows[y], smoothing)
        n_known += 1
    return weights[0] * new / len(features) + weights[1] * influence / max(n_known, 1)
