"""OCA's loss by a naive reading of METHODS.md §5: one sample, one class and one sum at a time."""

from __future__ import annotations

import torch
from torch import Tensor


def unit(vector: Tensor) -> Tensor:
    return vector / torch.sqrt((vector * vector).sum())


def prototypes(old_features: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    rows = []
    for k in range(n_classes):
        of_class = [unit(f) for f, y in zip(old_features, labels, strict=True) if int(y) == k]
        rows.append(sum(of_class[1:], start=of_class[0]) / len(of_class))
    return torch.stack(rows)


def smoothed_cross_entropy(logits: Tensor, label: int, smoothing: float) -> Tensor:
    """Minus the mean log-likelihood of ``(1 - s)`` one-hot plus ``s`` uniform."""
    log_probabilities = logits - torch.log(torch.exp(logits).sum())
    n_classes = len(logits)
    loss = torch.zeros((), dtype=logits.dtype)
    for k in range(n_classes):
        target = smoothing / n_classes + (1 - smoothing if k == label else 0.0)
        loss = loss - target * log_probabilities[k]
    return loss


def loss(
    features: Tensor,
    labels: Tensor,
    means: Tensor,
    *,
    orthogonal: tuple[Tensor, Tensor] | None,
    classifier: tuple[Tensor, Tensor],
    weights: tuple[float, float, float] = (5.0, 10.0, 5.0),
    smoothing: float = 0.1,
) -> Tensor:
    """``5 CE(fc(T h)) + 10 CE(unit(h[:d_old]) · p) + 5 (1 - cos(p_y, h[:d_old]))``, averaged."""
    old_dim = means.shape[1]
    total = torch.zeros((), dtype=features.dtype)
    for feature, label in zip(features, labels, strict=True):
        y = int(label)
        h = unit(feature)
        h_bct = h[:old_dim]
        h_perp = h if orthogonal is None else orthogonal[0] @ h + orthogonal[1]
        new = smoothed_cross_entropy(classifier[0] @ h_perp + classifier[1], y, smoothing)
        against = torch.stack([(unit(h_bct) * p).sum() for p in means])
        old = smoothed_cross_entropy(against, y, smoothing)
        away = 1 - (unit(h_bct) * unit(means[y])).sum()
        total = total + weights[0] * new + weights[1] * old + weights[2] * away
    return total / len(features)
