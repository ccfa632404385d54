"""Comparison contracts: how queries of one version are compared with vectors of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from ..errors import InvalidInputError
from .canonical import Json


class ContractKind(StrEnum):
    """The ways in which two versions may be compared."""

    SAME_SPACE = "same-space"
    PREFIX = "prefix"
    OWN_ENCODER = "own-encoder"


@dataclass(frozen=True, slots=True)
class Contract:
    """How a query of one version meets a vector of another.

    Both sides are cut to their first `dims` dimensions; under the cosine metric both are then
    normalised again, so that a slice of a longer unit vector is on the same scale as a whole one.
    With its own encoder a segment is searched by queries that its own version embedded, and only
    the rankings are merged; so whoever searches brings those as well.

    Attributes:
        kind: the same space on both sides, a common prefix, or the gallery version's own encoder.
        dims: number of leading dimensions that are compared, at least 1.
    """

    kind: ContractKind
    dims: int

    def __post_init__(self) -> None:
        if self.dims < 1:
            raise InvalidInputError(f"a contract compares at least 1 dimension, not {self.dims}")

    @property
    def has_own_encoder(self) -> bool:
        """Whether the vectors are searched by queries of the version that made them."""
        return self.kind is ContractKind.OWN_ENCODER

    def to_json(self) -> dict[str, Json]:
        """Return the contract as JSON values."""
        return {"kind": self.kind.value, "dims": self.dims}

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Contract:
        """Read what `to_json` wrote."""
        return cls(ContractKind(str(value["kind"])), int(cast("int", value["dims"])))

    def __str__(self) -> str:
        if self.kind is ContractKind.SAME_SPACE:
            return "same space"
        if self.has_own_encoder:
            return "gallery version's own encoder"
        return f"first {self.dims} dimensions, re-normalised"
