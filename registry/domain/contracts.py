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


@dataclass(frozen=True, slots=True)
class Contract:
    """How a query of one version meets a vector of another.

    Both sides are cut to their first `dims` dimensions; under the cosine metric both are then
    normalised again, so that a slice of a longer unit vector is on the same scale as a whole one.

    Attributes:
        kind: the same space on both sides, or a common prefix.
        dims: number of leading dimensions that are compared, at least 1.
    """

    kind: ContractKind
    dims: int

    def __post_init__(self) -> None:
        if self.dims < 1:
            raise InvalidInputError(f"a contract compares at least 1 dimension, not {self.dims}")

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
        return f"first {self.dims} dimensions, re-normalised"
