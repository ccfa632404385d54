"""A gallery of one version, and a second version that reads it better, all by synthetic vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compat.probes import Labels, Probe
from registry import (
    Contract,
    ContractKind,
    Embeddings,
    ModelVersion,
    Parent,
    Registry,
    SpaceDescription,
)
from registry.arrays import Float32Array, Int64Array
from registry.domain.certificates import Criterion
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement

OLD_DIM, NEW_DIM = 12, 16
N_CLASSES, ITEMS_EACH, QUERIES_EACH = 40, 3, 2
N_ITEMS, N_QUERIES = N_CLASSES * ITEMS_EACH, N_CLASSES * QUERIES_EACH
FIRST_QUERY = 1000  # ids of queries begin here: none of them is an item
POLICY = Policy(
    (
        Requirement("mAP", Criterion.SUPERIORITY),
        Requirement("hit@1", Criterion.NON_INFERIORITY, 0.1),
    ),
    n_resamples=300,
)


def float32(array: Any) -> Float32Array:
    return np.ascontiguousarray(array, dtype=np.float32)


def space(dim: int) -> SpaceDescription:
    return SpaceDescription({}, {}, normalised=False, dim=dim)


@dataclass(frozen=True)
class World:
    """What exists: classes with a centre each, items and queries near it, in both spaces."""

    registry: Registry
    v1: ModelVersion
    v2: ModelVersion
    rng: np.random.Generator
    centres: Any
    item_classes: Int64Array
    query_classes: Int64Array

    def old(self, classes: Int64Array, noise: float = 1.0) -> Float32Array:
        near = self.centres[classes, :OLD_DIM]
        return float32(near + noise * self.rng.normal(size=near.shape))

    def new(self, classes: Int64Array, noise: float = 0.4) -> Float32Array:
        near = self.centres[classes]
        return float32(near + noise * self.rng.normal(size=near.shape))

    def probe(self, *, again: bool = False, groups: Any = None) -> Probe:
        """Both versions' queries; with `again` also the items embedded by the second one."""
        ids = np.arange(N_QUERIES) + FIRST_QUERY
        queries = {
            self.v1.ref: Embeddings(ids, self.old(self.query_classes), self.v1),
            self.v2.ref: Embeddings(ids, self.new(self.query_classes), self.v2),
        }
        return Probe(
            Labels(ids, self.query_classes, groups),
            queries,
            Labels(np.arange(N_ITEMS), self.item_classes),
            self.again() if again else None,
        )

    def again(self) -> Embeddings:
        return Embeddings(np.arange(N_ITEMS), self.new(self.item_classes), self.v2)


def make_world(registry: Registry) -> World:
    rng = np.random.default_rng(11)
    v1 = registry.models.register_vectors("products", space(OLD_DIM), {"made_by": "one"}).version
    parent = Parent(v1.ref, "trained for it", Contract(ContractKind.PREFIX, OLD_DIM))
    v2 = registry.models.register_vectors(
        "products", space(NEW_DIM), {"made_by": "two"}, parents=(parent,)
    ).version
    world = World(
        registry,
        v1,
        v2,
        rng,
        rng.normal(size=(N_CLASSES, NEW_DIM)) * 1.2,
        np.repeat(np.arange(N_CLASSES), ITEMS_EACH),
        np.repeat(np.arange(N_CLASSES), QUERIES_EACH),
    )
    registry.galleries.create("shop", v1.ref)
    registry.add("shop", Embeddings(np.arange(N_ITEMS), world.old(world.item_classes, 0.8), v1))
    return world


def with_queries(probe: Probe, version: ModelVersion, vectors: Float32Array) -> Probe:
    """Let a version's queries be other vectors."""
    swapped = Embeddings(probe.vectors_of(version.ref).ids, vectors, version)
    return replace(probe, query_vectors={**probe.query_vectors, version.ref: swapped})


def stored(registry: Registry, version: ModelVersion) -> tuple[Any, Float32Array]:
    """Ids and vectors that the gallery holds of a version, deleted ones left out."""
    ids, vectors = [], []
    for reader in registry.galleries.readers("shop", version.ref):
        live = reader.live_positions()
        ids.append(reader.take_ids(live))
        vectors.append(np.concatenate([block for _, block in reader.blocks()])[live])
    return np.concatenate(ids), np.concatenate(vectors)
