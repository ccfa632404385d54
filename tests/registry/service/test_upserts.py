from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from registry import Embeddings, ModelVersion, PromotionOptions, Registry
from registry.domain.events import EventKind
from registry.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidInputError,
    SpaceMismatchError,
)
from registry.service import additions, upserts
from registry.service.deletions import commit_deletions, locate
from tests.conftest import declared
from tests.registry.service.builders import Site, asked, certify, embedded, found_ids, on_sqlite


def turned(version: ModelVersion, items: list[int]) -> Embeddings:
    """Other vectors of those items: what is stored of them points the other way."""
    made = embedded(version, items)
    return replace(made, vectors=np.ascontiguousarray(-made.vectors))


def scores_of(registry: Registry, version: ModelVersion, items: list[int]) -> list[float]:
    """The score that each item itself has with its first vector."""
    n = registry.galleries.get("shop").n_items
    hits = registry.search("shop", asked(version, items), n)
    rows = zip(hits.ids.tolist(), hits.scores.tolist(), items, strict=True)
    return [round(scores[ids.index(item)], 4) for ids, scores, item in rows]


@pytest.mark.parametrize("is_sealed", [False, True])
def test_new_items_are_added_and_known_ones_get_the_new_vector(
    registry: Registry, shop: str, v1: ModelVersion, is_sealed: bool
) -> None:
    if is_sealed:
        registry.galleries.seal(shop)
    batch = turned(v1, [3, 4, 50])
    planned = registry.galleries.check_upsert(shop, batch)
    assert (planned.n_new, planned.n_superseded, planned.segment) == (1, 2, None)
    assert scores_of(registry, v1, [3, 4]) == [1, 1]
    done = registry.galleries.upsert(shop, batch)
    assert (done.n_new, done.n_superseded, done.n_items_after) == (1, 2, 21)
    assert done.segment == (2 if is_sealed else 1)
    assert scores_of(registry, v1, [3, 4, 50, 5]) == [-1, -1, -1, 1]
    assert found_ids(registry, shop, v1) == {*range(20), 50}
    event = registry.audit("gallery:shop")[-1]
    assert event.kind is EventKind.ITEMS_UPSERTED
    assert event.payload["n_superseded"] == 2
    assert event.payload["by_segment"] == {"1": 2}
    assert registry.integrity.find_replaced(shop) == ()
    assert registry.galleries.verify_files(shop) == (3 if is_sealed else 2)


@on_sqlite
def test_the_same_item_may_be_upserted_again_and_again(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    for number in range(4):
        batch = (turned if number % 2 else embedded)(v1, [3, 60])
        assert registry.galleries.upsert(shop, batch).n_new == (1 if number == 0 else 0)
    assert found_ids(registry, shop, v1) == {*range(20), 60}
    assert scores_of(registry, v1, [3, 60]) == [-1, -1]
    (segment,) = registry.galleries.get(shop).segments
    assert (segment.n_rows, segment.n_deleted) == (28, 7)
    assert registry.integrity.find_replaced(shop) == ()


@on_sqlite
def test_what_was_deleted_comes_back_as_new(
    registry: Registry, shop: str, v1: ModelVersion
) -> None:
    registry.galleries.delete(shop, np.array([3]))
    done = registry.galleries.upsert(shop, embedded(v1, [3]))
    assert (done.n_new, done.n_superseded, done.n_items_after) == (1, 0, 20)


@on_sqlite
def test_an_empty_gallery_takes_an_upsert(registry: Registry, v1: ModelVersion) -> None:
    registry.galleries.create("shop", v1.ref)
    assert registry.galleries.upsert("shop", embedded(v1, [1, 2])).n_new == 2
    assert found_ids(registry, "shop", v1) == {1, 2}


def test_the_newer_version_supersedes_and_every_item_is_found_once(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.galleries.seal(shop)
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    assert registry.galleries.upsert(shop, embedded(v2, [3, 70])).n_superseded == 1
    hits = registry.search(shop, asked(v2, [3, 70, 5]), 21)
    for row in hits.ids.tolist():
        assert sorted(row) == [*range(20), 70]
    assert hits.ids[:, 0].tolist() == [3, 70, 5]
    assert hits.versions[:, 0].tolist() == [2, 2, 1]


# --- which version supersedes which


@pytest.fixture
def both_write(registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion) -> str:
    """Version 2 is in force, and slow clients go on writing with version 1."""
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref, PromotionOptions(keep_writers=True))
    registry.galleries.upsert(shop, embedded(v2, [3]))
    return shop


@on_sqlite
def test_an_older_version_does_not_supersede_a_newer_one(
    registry: Registry, both_write: str, v1: ModelVersion
) -> None:
    before = registry.audit()
    for step in (registry.galleries.upsert, registry.galleries.check_upsert):
        with pytest.raises(AlreadyExistsError, match=r"have vectors of products@2 in .*shop") as c:
            step(both_write, embedded(v1, [3, 4]))
        assert "embed them with products@2" in str(c.value.hint)
    assert registry.audit() == before
    done = registry.galleries.upsert(both_write, turned(v1, [4, 80]))
    assert (done.n_new, done.n_superseded) == (1, 1)


@on_sqlite
def test_after_a_rollback_the_version_in_force_supersedes(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.galleries.upsert(shop, embedded(v2, [3]))
    registry.rollback(shop, accept_loss=True)
    assert found_ids(registry, shop, v1) == set(range(20)) - {3}, "hidden, as was declared"
    done = registry.galleries.upsert(shop, embedded(v1, [3]))
    assert (done.n_new, done.n_superseded) == (0, 1)
    assert found_ids(registry, shop, v1) == set(range(20))
    assert registry.galleries.get(shop).versions() == (v1.ref,)


# --- what is refused


@on_sqlite
def test_bad_batches_are_refused_as_an_addition_refuses_them(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    stranger = declared(registry, "faces", "far")
    nothing = Embeddings(np.empty(0, np.int64), np.empty((0, 8), np.float32), v1)
    before = registry.audit()
    bad: list[tuple[Any, type[Exception], str]] = [
        (embedded(v2, [3]), SpaceMismatchError, "takes items of products@1, not of products@2"),
        (embedded(stranger, [3]), SpaceMismatchError, "takes items of products@1"),
        (embedded(v1, ["3"]), InvalidInputError, "names items by int64 but got string"),
        (nothing, InvalidInputError, "no items to add"),
    ]
    steps: list[Callable[..., object]] = [
        registry.galleries.upsert,
        registry.galleries.check_upsert,
    ]
    for items, error, says in bad:
        for step in steps:
            with pytest.raises(error, match=says):
                step(shop, items)
    with pytest.raises(InvalidInputError, match="more than once in the batch"):
        embedded(v1, [3, 3])
    assert registry.audit() == before
    assert scores_of(registry, v1, [3]) == [1]


# --- others at the same moment


def commit_late(
    registry: Registry, items: Embeddings, step: Callable[[], object]
) -> upserts.Upserted:
    """Upsert, and let somebody else do something after the checks."""
    state = registry.galleries.state("shop")
    found = upserts.plan_upsert(registry._views, state, items)
    file = additions.write_part(registry._context, state, items)
    step()
    return upserts.commit_upsert(registry._context, registry._views, state, items, found, file)


def test_what_another_one_added_after_the_check_is_superseded(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    with site.open() as other:
        done = commit_late(
            registry, turned(v1, [3, 51]), lambda: other.add(shop, embedded(v1, [51]))
        )
    assert (done.n_new, done.n_superseded, done.n_items_after) == (0, 2, 21)
    assert scores_of(registry, v1, [3, 51]) == [-1, -1]


def test_what_another_one_deleted_after_the_check_is_new(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    with site.open() as other:
        done = commit_late(
            registry, turned(v1, [3, 4]), lambda: other.galleries.delete(shop, np.array([3]))
        )
    assert (done.n_new, done.n_superseded) == (1, 1)
    assert found_ids(registry, shop, v1) == set(range(20))


def test_a_segment_that_was_compacted_after_the_check_is_looked_at_again(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    registry.add(shop, embedded(v1, [90, 91]))
    registry.galleries.delete(shop, np.array([0]))
    with site.open() as other:
        done = commit_late(registry, turned(v1, [3, 91]), lambda: other.galleries.compact(shop))
    assert (done.n_new, done.n_superseded) == (0, 2)
    assert scores_of(registry, v1, [3, 91, 90, 1]) == [-1, -1, 1, 1]
    assert registry.integrity.find_replaced(shop) == ()


@on_sqlite
def test_a_version_that_lost_the_right_to_write_is_refused_at_the_commit(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, site: Site
) -> None:
    with (
        site.open() as other,
        pytest.raises(SpaceMismatchError, match="takes items of products@2"),
    ):
        commit_late(
            registry,
            turned(v1, [3]),
            lambda: other.promote(shop, v2.ref, PromotionOptions(waiver="a test")),
        )
    assert [s.n_rows for s in registry.galleries.get(shop).segments] == [20]
    assert registry.galleries.litter(older_than_hours=-1e6) == ()


@on_sqlite
def test_deletions_of_positions_that_moved_are_refused(
    registry: Registry, shop: str, v1: ModelVersion, site: Site
) -> None:
    found = locate(registry._context, registry._views, shop, np.array([3]))
    with site.open() as other:
        other.galleries.delete(shop, np.array([0]))
        other.galleries.compact(shop)
    with pytest.raises(ConflictError, match="segment 1 of 'shop' was written anew meanwhile"):
        commit_deletions(registry._context, shop, found)
    assert found_ids(registry, shop, v1) == set(range(1, 20))
