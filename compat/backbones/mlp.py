"""A multi-layer perceptron over feature vectors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from registry.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes of the network.

    Attributes:
        in_features: length of an input vector.
        dim: number of features that it gives.
        hidden: sizes of the layers between; none gives a linear map.
        batch_norm: whether each hidden layer is batch-normalised before its ReLU.
    """

    in_features: int
    dim: int
    hidden: tuple[int, ...] = (128,)
    batch_norm: bool = True

    def __post_init__(self) -> None:
        if min(self.in_features, self.dim, *self.hidden, 1) < 1:
            raise InvalidInputError(f"every size of an mlp must be at least 1 but got {self}")


def build(options: Options) -> nn.Module:
    """Return a perceptron. Input shape: (n, in_features). Output shape: (n, dim)."""
    layers: list[nn.Module] = []
    width = options.in_features
    for size in options.hidden:
        layers.append(nn.Linear(width, size, bias=not options.batch_norm))
        if options.batch_norm:
            layers.append(nn.BatchNorm1d(size))
        layers.append(nn.ReLU())
        width = size
    return nn.Sequential(*layers, nn.Linear(width, options.dim))
