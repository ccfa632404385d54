"""What the tests of the service build again and again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from registry import (
    Contract,
    ContractKind,
    Embeddings,
    ModelVersion,
    Parent,
    Registry,
    SpaceDescription,
    VersionRef,
)
from registry.arrays import Float32Array
from registry.artifacts import WEIGHTS, write_description
from registry.domain.attempts import Attempt
from registry.domain.certificates import Certificate, Verdict
from registry.domain.policies import Policy
from tests.registry.domain.certificates import CONTROLS, make_findings

# for a test that does not depend on the database
on_sqlite = pytest.mark.parametrize("site", ["sqlite"], indirect=True)

EVIDENCE = b"per-query numbers, as far as these tests care"


@dataclass(frozen=True)
class Site:
    """Where a registry is: enough to open it again, in another process too."""

    where: str
    storage: str

    @property
    def is_postgres(self) -> bool:
        return self.where.startswith("postgresql")

    def open(
        self,
        *,
        actor: str = "tester",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        keys: Path | None = None,
    ) -> Registry:
        return Registry.open(
            self.where, storage=Path(self.storage), actor=actor, clock=clock, keys=keys
        )


def vector_of(item: int | str, dim: int) -> Float32Array:
    """The vector of an item in every version: a longer one begins with the shorter ones."""
    seed = item if isinstance(item, int) else int(hashlib.sha256(item.encode()).hexdigest()[:8], 16)
    return np.random.default_rng(seed).normal(size=64).astype(np.float32)[:dim]


def vectors_of(items: Sequence[int | str], version: ModelVersion) -> Float32Array:
    rows = [vector_of(item, version.dim) for item in items]
    return np.ascontiguousarray(np.array(rows, np.float32).reshape(len(items), version.dim))


def embedded(version: ModelVersion, items: Iterable[int | str]) -> Embeddings:
    """Items with the vectors that `vector_of` gives them."""
    names = list(items)
    ids: Any = np.array(names, dtype=object if names and isinstance(names[0], str) else np.int64)
    return Embeddings(ids, vectors_of(names, version), version)


def asked(version: ModelVersion, items: Iterable[int | str]) -> Embeddings:
    """Queries whose nearest item is the item itself."""
    return Embeddings.numbered(vectors_of(list(items), version), version)


def found_ids(registry: Registry, gallery: str, version: ModelVersion) -> set[Any]:
    """Every id that a search finds."""
    n = registry.galleries.get(gallery).n_items
    excluded = registry.galleries.state(gallery).serving.excluded
    segments = registry.galleries.get(gallery).segments
    n -= sum(s.n_items for s in segments if s.version.number in excluded)
    if n == 0:
        return set()
    return set(registry.search(gallery, asked(version, [0]), n).ids[0].tolist())


def compatible(
    registry: Registry, made_by: str, parent: ModelVersion, *, dim: int, dims: int | None = None
) -> ModelVersion:
    """Register a version whose first dimensions are those of an earlier one."""
    contract = Contract(ContractKind.PREFIX, dims or parent.dim)
    return registry.models.register_vectors(
        parent.ref.model,
        SpaceDescription({}, {}, normalised=False, dim=dim),
        {"made_by": made_by},
        parents=(Parent(parent.ref, "compatible: test", contract),),
    ).version


def make_certificate(
    registry: Registry,
    gallery: str,
    query: VersionRef,
    held: VersionRef,
    **changes: Any,
) -> Certificate:
    """A certificate as a certification would make it, true of what the registry holds now."""
    versions = (registry.models.get(query), registry.models.get(held))
    contract = registry.models.contract(query, held) or Contract(ContractKind.PREFIX, 1)
    now = registry._context.clock().astimezone(UTC)
    verdict = changes.get("verdict", Verdict.COMPATIBLE)
    segments = registry.galleries.get(gallery).segments
    made = Certificate(
        gallery=gallery,
        query_version=query,
        query_fingerprint=versions[0].fingerprint,
        gallery_version=held,
        gallery_fingerprint=versions[1].fingerprint,
        baseline_version=held,
        contract=contract,
        metric="cosine",
        verdict=Verdict.COMPATIBLE,
        policy=Policy().to_json(),
        findings=make_findings(verdict),
        controls=CONTROLS,
        matrix={f"{held} -> {held}": {"all": {"mAP": 0.5}}},
        n_gallery_items=sum(s.n_items for s in segments if s.version == held),
        n_gallery_rows=sum(s.n_rows for s in segments if s.version == held),
        gallery_digest="g",
        probe_digest="p",
        evidence_digest=hashlib.sha256(EVIDENCE).hexdigest(),
        limits=("made by a test",),
        environment={"python": "3.11"},
        issued_at=now,
        expires_at=now + timedelta(days=90),
        issued_by="tester",
        attempt=Attempt("questions", "run", 1, spent=0.03),
    )
    return replace(made, **changes)


def certify(
    registry: Registry, gallery: str, query: VersionRef, held: VersionRef, **changes: Any
) -> str:
    """Record such a certificate and return its digest."""
    made = make_certificate(registry, gallery, query, held, **changes)
    return registry.certificates.record(made, EVIDENCE)


def artifact(folder: Path, *, dim: int = 8, seed: int = 0, metadata: str = "") -> Path:
    """Write a tiny model's artifact."""
    folder.mkdir(parents=True)
    weights = np.random.default_rng(seed).normal(size=(dim, 4)).astype(np.float32)
    save_file({"weight": weights}, folder / WEIGHTS, {"note": metadata})
    write_description(folder, SpaceDescription({}, {}, normalised=True, dim=dim))
    return folder
