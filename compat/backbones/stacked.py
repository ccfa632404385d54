"""One backbone behind another: a frozen one, and the small network that was trained on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from registry.errors import InvalidInputError

from .catalog import build_backbone
from .own import is_own


@dataclass(frozen=True, slots=True)
class Options:
    """The two networks, each by its name in the catalog and its options.

    Attributes:
        first: takes the inputs.
        second: takes the features of the first.
        first_options: of the first.
        second_options: of the second.
    """

    first: str
    second: str
    first_options: dict[str, object] = field(default_factory=dict)
    second_options: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.first, self.second):
            if is_own(name):
                raise InvalidInputError(f"{name!r} is no backbone of the catalog")


class Stacked(nn.Module):
    """The features of the second network, of the features of the first.

    Attributes:
        first: output shape: (n, in_features).
        second: output shape: (n, dim).
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features. Shape: (n, ...) to (n, dim)."""
        features: Tensor = self.second(self.first(inputs))
        return features


def build(options: Options) -> nn.Module:
    """Return both networks with fresh weights."""
    return Stacked(
        build_backbone(options.first, options.first_options),
        build_backbone(options.second, options.second_options),
    )
