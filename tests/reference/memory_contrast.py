"""The contrast with a memory of old features, read naively: one sample and one memory at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.reference.oca import unit


def contrast(
    features: Tensor,
    labels: Tensor,
    means: Tensor,
    memory: tuple[Tensor, Tensor],
    temperature: float,
) -> Tensor:
    """Attracted by the class's mean direction, repelled by every old item of another class."""
    old_dim = means.shape[1]
    total = torch.zeros((), dtype=features.dtype)
    for feature, label in zip(features, labels, strict=True):
        first = unit(feature[:old_dim])
        own = torch.exp((first * unit(means[int(label)])).sum() / temperature)
        others = torch.zeros((), dtype=features.dtype)
        for item, its_label in zip(*memory, strict=True):
            if int(its_label) != int(label):
                others = others + torch.exp((first * unit(item)).sum() / temperature)
        total = total - torch.log(own / (own + others))
    return total / len(features)


def image(features: Tensor, old_features: Tensor) -> Tensor:
    old_dim = old_features.shape[1]
    pairs = zip(features, old_features, strict=True)
    away = [1 - (unit(f[:old_dim]) * unit(u)).sum() for f, u in pairs]
    return torch.stack(away).mean()
