"""A backbone with the head that an objective deploys behind it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from registry.domain.canonical import Json
from registry.errors import InvalidInputError


class Headed(nn.Module):
    """First a backbone, then a head, which an objective trained and whose weights are kept.

    Attributes:
        backbone: gives features. Output shape: (n, in_dim).
        head: turns them into vectors. Output shape: (n, dim).
        objective: the objective's name in the catalog.
        head_options: what the head was built with.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        *,
        objective: str,
        head_options: Mapping[str, Json],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.objective = objective
        self.head_options = dict(head_options)

    @property
    def in_dim(self) -> int:
        """Dimensions of the features between backbone and head."""
        stated = self.head_options.get("in_dim")
        if not isinstance(stated, int):
            raise InvalidInputError(
                f"the head of objective {self.objective!r} does not say 'in_dim' in its options"
            )
        return stated

    def forward(self, inputs: Tensor) -> Tensor:
        """Return vectors, not normalised. Shape: (n, ...) to (n, dim)."""
        vectors: Tensor = self.head(self.backbone(inputs))
        return vectors

    def to_json(self) -> dict[str, Json]:
        """Return what it takes to build the head again, as JSON values."""
        return {"objective": self.objective, "options": self.head_options}
