"""What objectives ask of their options, settings and batches: each rule once, in one wording."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from registry.errors import DimensionMismatchError, InvalidInputError

from .protocol import Setting


def check_weights(weights: tuple[float, ...]) -> None:
    """Refuse weights of loss terms of which one is below 0, or all are 0."""
    if not all(0 <= weight < math.inf for weight in weights) or sum(weights) == 0:
        raise InvalidInputError(
            f"weights must be finite, at least 0 and not all 0, but got {weights}"
        )


def check_label_smoothing(label_smoothing: float) -> None:
    """Refuse a share of the target that is not in [0, 1)."""
    if not 0 <= label_smoothing < 1:
        raise InvalidInputError(f"label_smoothing must be in [0, 1) but got {label_smoothing}")


def check_positive(values: Mapping[str, float]) -> None:
    """Refuse values by name of which one is not above 0."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise InvalidInputError(f"{name} must be above 0 and finite but got {value}")


def old_features_of(setting: Setting, objective: str) -> Tensor:
    """Return the old model's features of the training data. Shape: (n, old_dim).

    Raises:
        InvalidInputError: if there is no old model.
    """
    if setting.old_features is None:
        raise InvalidInputError(
            f"objective {objective!r} needs an old model to be compatible with",
            hint='name it in [objective], as in against = "products@1"',
        )
    return setting.old_features


def check_growth(dim: int, old_dim: int) -> None:
    """Refuse a new space of fewer dimensions than the old one.

    Raises:
        DimensionMismatchError: if it has fewer.
    """
    if old_dim > dim:
        raise DimensionMismatchError(
            f"the old model has {old_dim} dimensions but the new one only {dim}",
            hint=f"a space may only grow: give the new backbone dim = {old_dim} or more",
        )


def carried(features: Tensor | None, whose: str) -> Tensor:
    """Return a batch's old or twin features.

    Raises:
        InvalidInputError: if the batch carries none.
    """
    if features is None:
        raise InvalidInputError(
            f"the batch carries no features of the {whose} model, which the objective needs",
            hint="training gives what `compat.objectives.protocol.needs_of` asks for",
        )
    return features
