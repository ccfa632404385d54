from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compat.integrity import check_probe_vectors, describe_probe, n_duplicates
from registry import Embeddings, Registry, SpaceDescription
from registry.errors import InvalidInputError, SpaceMismatchError


def embeddings(registry: Registry, vectors: Any, *, normalised: bool) -> Embeddings:
    given = np.ascontiguousarray(vectors, np.float32)
    space = SpaceDescription({}, {}, normalised=normalised, dim=given.shape[1])
    version = registry.models.register_vectors("m", space, {"made_by": "us"}).version
    return Embeddings.numbered(given, version)


def test_norms_are_as_the_space_says(registry: Registry, rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(9, 4))
    units = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    check_probe_vectors(embeddings(registry, vectors, normalised=False))
    check_probe_vectors(embeddings(registry, units.astype(np.float16), normalised=True))
    units[4] *= 1.2
    with pytest.raises(SpaceMismatchError, match=r"m@2 is said to be normalised.* to 1.2, not 1"):
        check_probe_vectors(embeddings(registry, units, normalised=True))


def test_a_vector_that_is_all_zero_is_refused(registry: Registry) -> None:
    vectors = np.ones((5, 3))
    vectors[3] = 0
    with pytest.raises(InvalidInputError, match=r"1 of 5 queries are all zero as m@1 .* in row 3"):
        check_probe_vectors(embeddings(registry, vectors, normalised=False))


def test_vectors_that_are_the_same_are_counted() -> None:
    assert n_duplicates(np.eye(4, dtype=np.float32)) == 0
    assert n_duplicates(np.ones((4, 3), np.float32)) == 4
    assert n_duplicates(np.array([[1, 2], [1, 2], [2, 1], [3, 3], [3, 3]], np.float32)) == 4


def test_what_a_reader_should_know_is_said(registry: Registry) -> None:
    apart = embeddings(registry, np.eye(4), normalised=False)
    same = Embeddings.numbered(np.ones((4, 4), np.float32), apart.version)
    assert describe_probe([apart], 0) == ()
    repeated, among = describe_probe([apart, same], 3)
    assert repeated.startswith("4 of 4 queries (100.0%) have the very vector of another one by m@1")
    assert among.startswith("3 queries are items of the gallery under the same id")
