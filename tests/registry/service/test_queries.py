from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from registry import Embeddings, Hits, ModelVersion, PromotionOptions, Registry
from registry.errors import InvalidInputError, SpaceMismatchError
from tests.registry.service.builders import asked, certify, embedded, on_sqlite

pytestmark = on_sqlite


@pytest.fixture
def mixed(registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion) -> str:
    """Items 0 to 19 of version 1 and 20 to 29 of version 2, which is in charge."""
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.add(shop, embedded(v2, range(20, 30)))
    return shop


def assert_same(found: Hits, expected: Hits) -> None:
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.versions.tolist() == expected.versions.tolist()
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)


@pytest.mark.parametrize("block", [1, 4, 13, 100])
def test_blocks_of_queries_find_what_one_search_finds(
    registry: Registry, mixed: str, v2: ModelVersion, block: int
) -> None:
    queries = asked(v2, range(13))
    blocks = list(registry.search_batch(mixed, queries, 5, block=block))
    assert [len(hits) for hits in blocks][:-1] == [block] * (len(blocks) - 1)
    assert_same(Hits.concatenated(blocks), registry.search(mixed, queries, 5))


def test_batches_are_taken_as_they_come(registry: Registry, mixed: str, v2: ModelVersion) -> None:
    taken = []

    def batches() -> Iterator[Embeddings]:
        for first in (0, 5, 10):
            taken.append(first)
            yield asked(v2, range(first, first + 5))

    found = registry.search_batch(mixed, batches(), 3, block=4)
    assert taken == []
    assert len(next(found)) == 4
    assert taken == [0]
    rest = list(found)
    assert [len(hits) for hits in rest] == [1, 4, 1, 4, 1]
    whole = registry.search(mixed, asked(v2, range(15)), 3)
    assert Hits.concatenated(rest).ids.tolist() == whole.ids[4:].tolist()


def test_all_blocks_are_answered_by_the_gallery_as_it_was(
    registry: Registry, mixed: str, v2: ModelVersion
) -> None:
    queries = asked(v2, range(4))
    before = registry.search(mixed, queries, 1)
    found = registry.search_batch(mixed, queries, 1, block=2)
    first = next(found)
    registry.galleries.delete(mixed, np.array([3]))
    registry.rollback(mixed, accept_loss=True)
    assert_same(Hits.concatenated([first, *found]), before)
    with pytest.raises(SpaceMismatchError):
        registry.search_batch(mixed, queries, 1)


@pytest.mark.parametrize(
    ("k", "block", "words"),
    [(0, 4, "k must be at least 1"), (31, 4, "only 30 items"), (1, 0, "at least 1 query, not 0")],
)
def test_what_search_refuses_is_refused_at_the_call(
    registry: Registry, mixed: str, v2: ModelVersion, k: int, block: int, words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        registry.search_batch(mixed, asked(v2, [1]), k, block=block)


def test_queries_of_another_version_or_none_are_refused_at_the_call(
    registry: Registry, mixed: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    with pytest.raises(SpaceMismatchError, match="is queried by products@2, not by products@1"):
        registry.search_batch(mixed, asked(v1, [1]))
    with pytest.raises(InvalidInputError, match="there are no queries"):
        registry.search_batch(mixed, asked(v2, []))


def test_a_batch_of_another_version_ends_the_search(
    registry: Registry, mixed: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    found = registry.search_batch(mixed, [asked(v2, [1]), asked(v1, [1])], 1)
    assert len(next(found)) == 1
    with pytest.raises(SpaceMismatchError):
        next(found)


def test_an_empty_gallery_is_refused(registry: Registry, v1: ModelVersion) -> None:
    registry.galleries.create("shelf", v1.ref)
    with pytest.raises(InvalidInputError, match="holds no items"):
        registry.search_batch("shelf", asked(v1, [1]), 1)


def test_a_waiver_is_searched_like_a_certificate(
    registry: Registry, shop: str, v2: ModelVersion
) -> None:
    registry.promote(shop, v2.ref, PromotionOptions(waiver="a test"))
    (hits,) = registry.search_batch(shop, asked(v2, [7]), 1)
    assert hits.ids.tolist() == [[7]]
