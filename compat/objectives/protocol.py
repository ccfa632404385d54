"""What a training objective is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from torch import Tensor, nn

from registry.domain.contracts import Contract
from registry.errors import InvalidInputError

# Named scalar tensors, already weighted; their sum is the loss.
LossTerms: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class CompatBatch:
    """One batch, as an objective sees it.

    Attributes:
        features: what the encoder in training gives, with gradients. Shape: (batch, dim).
        old_features: what the old encoder gives for the same augmented views, without gradients;
            None if the objective does not ask for them. Shape: (batch, old_dim).
        labels: class numbers from 0. Shape: (batch,).
    """

    features: Tensor
    old_features: Tensor | None
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Setting:
    """What an objective is built for.

    Attributes:
        dim: dimensions of the encoder in training.
        n_classes: number of classes of the training data.
        labels: class numbers of the training data. Shape: (n,).
        old_features: the old model's vectors of the training data, not augmented, in the same
            order; None if there is no old model. Shape: (n, old_dim).

    Raises:
        InvalidInputError: if labels and old features do not fit to each other.
    """

    dim: int
    n_classes: int
    labels: Tensor
    old_features: Tensor | None = None

    def __post_init__(self) -> None:
        if self.old_features is None:
            return
        if self.old_features.ndim != 2 or len(self.old_features) != len(self.labels):
            raise InvalidInputError(
                f"old features of shape {tuple(self.old_features.shape)} came with "
                f"{len(self.labels)} labels; one row a label was expected"
            )


class Objective(Protocol):
    """A training objective: an `nn.Module` that turns a batch into named losses.

    Its parameters are trained beside the encoder's. `train` refuses one that is no `nn.Module`.

    Attributes:
        head: what is deployed behind the backbone and saved with it; `nn.Identity` if nothing is.
        needs_old_features: whether batches must carry the old model's features.
        contract: how the new model's queries meet the old model's vectors, or None if it makes
            nothing compatible.
    """

    head: nn.Module
    needs_old_features: bool
    contract: Contract | None

    def forward(self, batch: CompatBatch) -> LossTerms:
        """Return the weighted loss terms of a batch."""
        ...


class ObjectiveModule(Protocol):
    """A module of the catalog: a dataclass of options, and how to build the objective."""

    Options: type[Any]

    def build(self, options: Any, setting: Setting) -> Objective:
        """Return the objective, with fresh weights from torch's global generator."""
        ...
