"""What is done to a raw input before the network sees it: part of what makes a space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from registry.domain.canonical import Json
from registry.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Turn raw inputs into float32 and standardise them: ``(inputs * scale - mean) / std``.

    Attributes:
        scale: factor on raw values, such as 1/255 for bytes; not 0.
        mean: subtracted after scaling; one value, or one for each channel.
        std: divided by after that, each above 0; one value, or one for each channel.

    Raises:
        InvalidInputError: if a value is out of its range.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.scale == 0:
            raise InvalidInputError("preprocessing scale must not be 0")
        if not self.mean or not self.std or min(self.std) <= 0:
            raise InvalidInputError(
                f"preprocessing needs a mean and std above 0 but got {self.mean} and {self.std}"
            )

    def apply(self, inputs: Tensor) -> Tensor:
        """Return standardised float32 inputs of the same shape.

        Args:
            inputs: raw values of any real type; channels stand in the second place.
                Shape: (n, ...).

        Raises:
            InvalidInputError: if there are several means or stds, but not one for each channel.
        """
        values = inputs.to(torch.float32)
        if self.scale != 1:
            values = values * self.scale
        if self.mean != (0.0,):
            values = values - _by_channel("mean", self.mean, values)
        if self.std != (1.0,):
            values = values / _by_channel("std", self.std, values)
        return values

    def to_json(self) -> dict[str, Json]:
        """Return the preprocessing as JSON values."""
        return {"scale": self.scale, "mean": list(self.mean), "std": list(self.std)}


def _by_channel(name: str, given: tuple[float, ...], values: Tensor) -> Tensor:
    if len(given) == 1:
        return values.new_tensor(given[0])
    if values.ndim < 2 or values.shape[1] != len(given):
        raise InvalidInputError(
            f"preprocessing has {len(given)} values for {name} but inputs of shape "
            f"{tuple(values.shape)}",
            hint="give one value, or one for each channel; channels stand in the second place",
        )
    return values.new_tensor(given).view(1, -1, *[1] * (values.ndim - 2))
