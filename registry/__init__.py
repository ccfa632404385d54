"""samespace's registry: what exists, where it is, and who may be served to whom.

Names are imported when they are asked for, so that a command line that only prints help does not
load a database toolkit.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .aio import AsyncRegistry
    from .domain.contracts import Contract, ContractKind
    from .domain.explanations import Explanation
    from .domain.galleries import Gallery, IndexSpec, Metric
    from .domain.refs import AliasRef, VersionRef, parse_ref
    from .domain.versions import ModelVersion, SpaceDescription
    from .errors import SamespaceError
    from .service import (
        Change,
        Comparability,
        ComparedVectors,
        Comparison,
        Parent,
        PromotionOptions,
        Registration,
        Registry,
    )
    from .vectors import Embeddings, Hits

_HOMES = {
    "AliasRef": ".domain.refs",
    "AsyncRegistry": ".aio",
    "Change": ".service",
    "Comparability": ".service",
    "ComparedVectors": ".service",
    "Comparison": ".service",
    "Contract": ".domain.contracts",
    "ContractKind": ".domain.contracts",
    "Embeddings": ".vectors",
    "Explanation": ".domain.explanations",
    "Gallery": ".domain.galleries",
    "Hits": ".vectors",
    "IndexSpec": ".domain.galleries",
    "Metric": ".domain.galleries",
    "ModelVersion": ".domain.versions",
    "Parent": ".service",
    "PromotionOptions": ".service",
    "Registration": ".service",
    "Registry": ".service",
    "SamespaceError": ".errors",
    "SpaceDescription": ".domain.versions",
    "VersionRef": ".domain.refs",
    "parse_ref": ".domain.refs",
}

__all__ = [
    "AliasRef",
    "AsyncRegistry",
    "Change",
    "Comparability",
    "ComparedVectors",
    "Comparison",
    "Contract",
    "ContractKind",
    "Embeddings",
    "Explanation",
    "Gallery",
    "Hits",
    "IndexSpec",
    "Metric",
    "ModelVersion",
    "Parent",
    "PromotionOptions",
    "Registration",
    "Registry",
    "SamespaceError",
    "SpaceDescription",
    "VersionRef",
    "parse_ref",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'registry' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
