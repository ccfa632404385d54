"""Class means, leading dimensions and distances of vectors: pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from registry.errors import InvalidInputError


def class_prototypes(features: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Return the mean of each class's normalised features.

    The means are not normalised again: a class whose features spread has a shorter prototype.

    Args:
        features: vectors of the old model, of any length above 0. Shape: (n, dim).
        labels: class numbers in [0, n_classes). Shape: (n,).
        n_classes: number of classes.

    Returns:
        Prototypes, of norm at most 1. Shape: (n_classes, dim).

    Raises:
        InvalidInputError: if a class has no sample, or a label is out of range.
    """
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        raise InvalidInputError(
            f"labels must be in [0, {n_classes}) but lie in "
            f"[{int(labels.min())}, {int(labels.max())}]"
        )
    counts = torch.bincount(labels, minlength=n_classes)
    empty = torch.nonzero(counts == 0).flatten().tolist()
    if empty:
        raise InvalidInputError(
            f"{len(empty)} of {n_classes} classes have no sample, first class {empty[0]}",
            hint="a prototype is a class's mean: give each class a sample, or number them anew",
        )
    units = functional.normalize(features)
    sums = units.new_zeros(n_classes, units.shape[1]).index_add_(0, labels, units)
    return sums / counts.unsqueeze(1).to(sums.dtype)


def cut(features: Tensor, dims: int) -> Tensor:
    """Return the first dimensions of vectors, each normalised again.

    A slice of a longer unit vector is shorter than 1, by as much as the rest carries.

    Args:
        features: vectors. Shape: (n, dim).
        dims: how many leading dimensions to keep, at most dim.

    Returns:
        Unit vectors. Shape: (n, dims).
    """
    return functional.normalize(features[:, :dims])


def cosine_distance(features: Tensor, targets: Tensor) -> Tensor:
    """Return one minus the cosine similarity of each vector with its target, the mean over vectors.

    Args:
        features: vectors of any length above 0. Shape: (n, dim).
        targets: where each of them should point, likewise. Shape: (n, dim).

    Returns:
        A number in [0, 2]; smaller is closer. Shape: ().
    """
    return (1 - functional.cosine_similarity(features, targets)).mean()
