from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from registry import Embeddings, Metric, ModelVersion, PromotionOptions, Registry
from registry.errors import (
    InvalidInputError,
    NotCertifiedError,
    NotFoundError,
    SpaceMismatchError,
    UndeclaredComparisonError,
)
from tests.conftest import declared
from tests.registry.service.builders import (
    asked,
    certify,
    embedded,
    on_sqlite,
    vector_of,
    vectors_of,
)

pytestmark = on_sqlite


@pytest.fixture
def mixed(registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion) -> str:
    """Items 0 to 19 of version 1 in two parts, 20 to 29 of version 2, which is in charge."""
    registry.galleries.seal(shop)
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref, PromotionOptions(keep_writers=True))
    registry.add(shop, embedded(v2, range(20, 26)))
    registry.add(shop, embedded(v2, range(26, 30)))
    registry.add(shop, embedded(v1, [30, 31]))
    return shop


def units(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_vectors_come_as_they_are_stored_in_the_order_asked_for(
    registry: Registry, mixed: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    old, new = registry.galleries.vectors(mixed, np.array([31, 28, 3, 20, 0, 30, 27]))
    assert (old.version, new.version) == (v1, v2)
    assert (old.ids.tolist(), new.ids.tolist()) == ([31, 3, 0, 30], [28, 20, 27])
    np.testing.assert_array_equal(old.vectors, vectors_of([31, 3, 0, 30], v1))
    np.testing.assert_array_equal(new.vectors, vectors_of([28, 20, 27], v2))


def test_items_of_one_version_come_as_one(registry: Registry, mixed: str, v2: ModelVersion) -> None:
    (found,) = registry.galleries.vectors(mixed, np.array([22]))
    assert found.version == v2


def test_ids_may_be_strings(registry: Registry, v1: ModelVersion) -> None:
    registry.galleries.create("shelf", v1.ref)
    registry.add("shelf", embedded(v1, ["b", "a", "ä"]))
    (found,) = registry.galleries.vectors("shelf", np.array(["ä", "b"]))
    assert found.ids.tolist() == ["ä", "b"]
    np.testing.assert_array_equal(found.vectors[0], vector_of("ä", 8))
    with pytest.raises(InvalidInputError, match="names items by string but got int64 ids"):
        registry.galleries.vectors("shelf", np.array([1]))


@pytest.mark.parametrize("as_of", [None, "products@2"])
def test_items_that_are_not_there_are_named(
    registry: Registry, mixed: str, as_of: str | None
) -> None:
    registry.galleries.delete(mixed, np.array([5]))
    for ids in ([3, 5], [99, 3]):
        with pytest.raises(NotFoundError, match=rf"1 of 2 ids are not in .* {max(ids)}"):
            registry.galleries.vectors(mixed, np.array(ids), as_of=as_of)


def test_no_ids_and_repeated_ids_are_refused(registry: Registry, mixed: str) -> None:
    with pytest.raises(InvalidInputError, match="no ids"):
        registry.galleries.vectors(mixed, np.array([], np.int64))
    with pytest.raises(InvalidInputError, match="more than once"):
        registry.galleries.vectors(mixed, np.array([1, 1]))
    with pytest.raises(NotFoundError):
        registry.galleries.vectors("other", np.array([1]))


def test_hidden_items_are_stored_all_the_same(
    registry: Registry, mixed: str, v2: ModelVersion
) -> None:
    registry.rollback(mixed, accept_loss=True)
    (found,) = registry.galleries.vectors(mixed, np.array([22]))
    assert found.version == v2
    with pytest.raises(NotCertifiedError, match=r"products@1 be compared with .* products@2"):
        registry.galleries.vectors(mixed, np.array([22]), as_of="products@1")


# --- as of a version


def test_as_of_the_query_version_all_come_in_one_array(
    registry: Registry, mixed: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    wanted = [28, 3, 20, 0]
    found = registry.galleries.vectors(mixed, np.array(wanted), as_of=v2.ref)
    assert found.ids.tolist() == wanted
    assert found.versions.tolist() == [2, 1, 2, 1]
    assert found.dims.tolist() == [12, 8, 12, 8]
    assert found.vectors.shape == (4, 12)
    np.testing.assert_allclose(found.vectors[[0, 2]], units(vectors_of([28, 20], v2)), atol=1e-6)
    np.testing.assert_allclose(found.vectors[[1, 3], :8], units(vectors_of([3, 0], v1)), atol=1e-6)
    assert np.isnan(found.vectors[[1, 3], 8:]).all(), "a product over all is never a wrong score"


def test_their_scores_are_those_of_search(
    registry: Registry, mixed: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    queries = asked(v2, [1, 25, 31, 50])
    hits = registry.search(mixed, queries, 32)
    found = registry.galleries.vectors(mixed, np.arange(32), as_of="products@2")
    scores = np.take_along_axis(found.scores(queries), hits.ids.astype(np.int64), axis=1)
    np.testing.assert_allclose(scores, hits.scores, atol=1e-6)
    with pytest.raises(SpaceMismatchError, match="prepared for queries of products@2"):
        found.scores(asked(v1, [1]))


@pytest.mark.parametrize("metric", [Metric.INNER_PRODUCT, Metric.L2])
def test_nothing_is_normalised_but_under_the_cosine(
    registry: Registry, v1: ModelVersion, v2: ModelVersion, metric: Metric
) -> None:
    registry.galleries.create("shelf", v1.ref, metric=metric)
    registry.add("shelf", embedded(v1, range(10)))
    registry.promote("shelf", v2.ref, PromotionOptions(waiver="a test"))
    found = registry.galleries.vectors("shelf", np.arange(10), as_of="products@2")
    np.testing.assert_array_equal(found.vectors, vectors_of(range(10), v1))
    hits = registry.search("shelf", asked(v2, [4]), 10)
    scores = found.scores(asked(v2, [4]))[0]
    np.testing.assert_allclose(scores[hits.ids[0].astype(np.int64)], hits.scores[0], rtol=1e-5)


def test_as_of_an_older_version_needs_a_certificate_of_that_direction(
    registry: Registry, mixed: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    """Old queries compare new vectors by their first dimensions: one array without gaps."""
    ids = np.array([3, 22])
    with pytest.raises(NotCertifiedError, match="it was never certified") as caught:
        registry.galleries.vectors(mixed, ids, as_of=v1.ref)
    assert "samespace certify shop products@1" in str(caught.value.hint)
    unproven = registry.galleries.vectors(mixed, ids, as_of=v1.ref, require_certified=False)
    certify(registry, mixed, v1.ref, v2.ref)
    found = registry.galleries.vectors(mixed, ids, as_of=v1.ref)
    assert found.dims.tolist() == [8, 8]
    assert found.vectors.shape == (2, 8)
    np.testing.assert_array_equal(found.vectors, unproven.vectors)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)


def test_only_the_versions_of_the_items_asked_for_matter(
    registry: Registry, mixed: str, v1: ModelVersion
) -> None:
    assert registry.galleries.vectors(mixed, np.array([3]), as_of=v1.ref).dims.tolist() == [8]


def test_as_of_a_version_that_nobody_declared_is_refused(
    registry: Registry, mixed: str, unrelated: ModelVersion
) -> None:
    far = declared(registry, "faces", "far")
    ids = np.array([3])
    for required in (True, False):
        with pytest.raises(UndeclaredComparisonError, match="nobody declared"):
            registry.galleries.vectors(mixed, ids, as_of=unrelated.ref, require_certified=required)
        with pytest.raises(SpaceMismatchError, match="not by 'faces'"):
            registry.galleries.vectors(mixed, ids, as_of=far.ref, require_certified=required)
    with pytest.raises(NotFoundError):
        registry.galleries.vectors(mixed, ids, as_of="products@9")


def test_they_go_out_as_arrow(registry: Registry, mixed: str, v2: ModelVersion) -> None:
    found = registry.galleries.vectors(mixed, np.array([28, 3]), as_of=v2.ref)
    table = found.to_arrow()
    assert table.column_names == ["id", "vector", "dims", "version"]
    assert table.column("id").to_pylist() == [28, 3]
    assert table.column("dims").to_pylist() == [12, 8]
    (stored,) = registry.galleries.vectors(mixed, np.array([28]))
    assert Embeddings.from_arrow(stored.to_arrow(), v2).ids.tolist() == [28]


def test_the_alias_of_a_version_will_do(registry: Registry, mixed: str, v2: ModelVersion) -> None:
    found = registry.galleries.vectors(mixed, np.array([28]), as_of="products:champion")
    assert found.query_version == v2
