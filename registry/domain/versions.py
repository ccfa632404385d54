"""Model versions and what identifies the space that each one embeds into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import cast

from ..errors import InvalidInputError
from .canonical import Json, digest_json
from .refs import VersionRef


class Provenance(StrEnum):
    """What a fingerprint rests on."""

    ARTIFACT = "artifact"  # computed from the loaded weights
    DECLARED = "declared"  # vectors only: somebody's word for what made them


@dataclass(frozen=True, slots=True)
class SpaceDescription:
    """What, beside the weights, determines an embedding space.

    Attributes:
        architecture: the computation: names, sizes and structure of the network, its pooling.
        preprocessing: everything done to raw input first: scaling, tokenizer, prefixes per role.
        normalised: whether vectors leave the model with unit L2 norm.
        dim: number of dimensions of a vector, at least 1.
        dtype: the type in which vectors are computed and kept.
    """

    architecture: Mapping[str, Json]
    preprocessing: Mapping[str, Json]
    normalised: bool
    dim: int
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise InvalidInputError(f"dim must be at least 1 but got {self.dim}")
        if self.dtype != "float32":
            raise InvalidInputError(f"dtype must be 'float32' but got {self.dtype!r}")

    def to_json(self) -> dict[str, Json]:
        """Return the description as JSON values."""
        return {
            "architecture": dict(self.architecture),
            "preprocessing": dict(self.preprocessing),
            "normalised": self.normalised,
            "dim": self.dim,
            "dtype": self.dtype,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> SpaceDescription:
        """Read what `to_json` wrote.

        Raises:
            InvalidInputError: if a key is missing or unknown, or a value is of another type.
        """
        known = {"architecture", "preprocessing", "normalised", "dim", "dtype"}
        if set(value) != known:
            wrong = sorted(set(value) ^ known)
            raise InvalidInputError(f"a space description has missing or unknown keys: {wrong}")
        _check_types(value)
        return cls(
            architecture=cast("Mapping[str, Json]", value["architecture"]),
            preprocessing=cast("Mapping[str, Json]", value["preprocessing"]),
            normalised=cast("bool", value["normalised"]),
            dim=cast("int", value["dim"]),
            dtype=str(value["dtype"]),
        )


def _check_types(value: Mapping[str, Json]) -> None:
    kinds = {"architecture": Mapping, "preprocessing": Mapping, "normalised": bool, "dim": int}
    for name, kind in kinds.items():
        found = value[name]
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise InvalidInputError(f"a space description: {name} cannot be {found!r}")


def fingerprint_artifact(weights_digest: str, description: SpaceDescription) -> str:
    """Return the fingerprint of a space whose weights are at hand.

    Two artifacts have the same fingerprint exactly if their tensors and their description agree;
    file names, dates and metadata do not count.
    """
    body: dict[str, Json] = {"weights": weights_digest, **description.to_json()}
    return "sha256:" + digest_json(body)


def fingerprint_declared(identity: Mapping[str, Json], description: SpaceDescription) -> str:
    """Return the fingerprint of a space known only by its vectors and its maker's word."""
    body: dict[str, Json] = {"identity": dict(identity), **description.to_json()}
    return "declared:" + digest_json(body)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable member of a model line.

    Attributes:
        ref: its name, as ``products@3``.
        fingerprint: identifies its space; equal fingerprints mean comparable vectors.
        description: what determines the space beside the weights.
        artifact_path: folder of the weights, relative to the registry's storage, or None.
        artifact_digest: SHA-256 over the artifact's files, or None.
        training: how it came to be: objective, losses, seeds, data; free JSON.
        created_at: when it was registered, in UTC.
        created_by: who registered it.
    """

    ref: VersionRef
    fingerprint: str
    description: SpaceDescription
    artifact_path: str | None
    artifact_digest: str | None
    training: Mapping[str, Json]
    created_at: datetime
    created_by: str

    @property
    def dim(self) -> int:
        """Number of dimensions of this version's vectors."""
        return self.description.dim

    @property
    def provenance(self) -> Provenance:
        """Whether the fingerprint was computed or only declared."""
        declared = self.fingerprint.startswith("declared:")
        return Provenance.DECLARED if declared else Provenance.ARTIFACT


@dataclass(frozen=True, slots=True)
class LineageEdge:
    """A version came from, or was made compatible with, an earlier one."""

    child: VersionRef
    parent: VersionRef
    relation: str
