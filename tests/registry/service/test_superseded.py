"""What is asked of a gallery in which items were superseded, compacted and erased."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from registry import Embeddings, Hits, ModelVersion, PromotionOptions, Registry, VersionRef
from registry.db import galleries
from registry.domain.calibration import ScoreMap
from registry.domain.explanations import Outcome
from registry.errors import ConflictError, NotCertifiedError, NotFoundError
from registry.galleries.segments import SegmentReader
from registry.service import explaining
from tests.registry.service.builders import (
    Site,
    asked,
    certify,
    embedded,
    found_ids,
    on_sqlite,
    vectors_of,
)

pytestmark = on_sqlite
MAPS = {
    "products@2 -> products@1": ScoreMap(0.5, 0.25),
    "products@2 -> products@2": ScoreMap(0.75, 0.125),
}
FIRST = VersionRef("products", 1)
QUERIES = [3, 5, 22, 25, 40, 90]


def turned(version: ModelVersion, items: list[int]) -> Embeddings:
    """Other vectors of those items: what is stored of them points the other way."""
    made = embedded(version, items)
    return replace(made, vectors=np.ascontiguousarray(-made.vectors))


@pytest.fixture(params=["raw", "calibrated"])
def mixed(
    request: pytest.FixtureRequest,
    registry: Registry,
    shop: str,
    v1: ModelVersion,
    v2: ModelVersion,
) -> str:
    """Sealed items 0 to 19 of version 1, of which 3 and 4 were superseded by version 2, in charge.

    It has 20 to 29 as well, of which 25 got another vector of the same version.
    """
    registry.galleries.seal(shop)
    maps = MAPS if request.param == "calibrated" else {}
    certify(registry, shop, v2.ref, v1.ref, calibration=maps)
    registry.promote(shop, v2.ref, PromotionOptions(keep_writers=True))
    registry.add(shop, embedded(v2, range(20, 30)))
    found_ids(registry, shop, v2)  # it is open, as in a service
    registry.galleries.upsert(shop, turned(v2, [3, 4, 25]))
    assert bool(registry.galleries.state(shop).serving.calibration) == bool(maps)
    return shop


REWRITTEN: dict[str, Callable[[Registry], object]] = {
    "as it is": lambda _: None,
    "compacted": lambda r: r.galleries.compact("shop"),
    "erased": lambda r: r.galleries.erase("shop", np.array([7, 28]), "a test"),
}


@pytest.fixture(params=list(REWRITTEN))
def live(request: pytest.FixtureRequest, registry: Registry, mixed: str) -> list[int]:
    """The items that are there, once segments were written anew or not."""
    REWRITTEN[request.param](registry)
    return [item for item in range(30) if request.param != "erased" or item not in {7, 28}]


def test_every_search_finds_the_new_vector_and_never_both(
    registry: Registry, live: list[int], v2: ModelVersion
) -> None:
    queries = asked(v2, QUERIES)
    hits = registry.search("shop", queries, len(live))
    batches = list(registry.search_batch("shop", queries, len(live), block=4))
    joined = Hits.concatenated(batches)
    assert joined.ids.tolist() == hits.ids.tolist()
    for ids, versions in zip(hits.ids.tolist(), hits.versions.tolist(), strict=True):
        assert sorted(ids) == live
        made_by = dict(zip(ids, versions, strict=True))
        assert {item for item in live if made_by[item] == 2} == {3, 4, *live[live.index(20) :]}
    row = hits.raw_scores[0][hits.ids[0].tolist().index(3)]
    assert row == pytest.approx(-1), "the new vector points the other way"


def test_vectors_are_those_that_search_compares(
    registry: Registry, live: list[int], v1: ModelVersion, v2: ModelVersion
) -> None:
    old, new = registry.galleries.vectors("shop", np.array([25, 5, 3, 20]))
    assert (old.version, old.ids.tolist()) == (v1, [5])
    assert (new.version, new.ids.tolist()) == (v2, [25, 3, 20])
    np.testing.assert_array_equal(new.vectors[:2], -vectors_of([25, 3], v2))
    found = registry.galleries.vectors("shop", np.array(live), as_of=v2.ref)
    made_by = dict(zip(found.ids.tolist(), found.versions.tolist(), strict=True))
    assert (made_by[3], made_by[5], made_by[25]) == (2, 1, 2)
    queries = asked(v2, QUERIES)
    hits = registry.search("shop", queries, len(live))
    columns = np.searchsorted(found.ids.astype(np.int64), hits.ids.astype(np.int64))
    scores = np.take_along_axis(found.scores(queries), columns, axis=1)
    np.testing.assert_allclose(scores, hits.raw_scores, atol=1e-6)


def test_as_of_the_older_version_the_new_vector_needs_a_certificate(
    registry: Registry, live: list[int], v1: ModelVersion, v2: ModelVersion
) -> None:
    """The old vector is gone for it as well, although that version made it."""
    assert registry.galleries.vectors("shop", np.array([5]), as_of=v1.ref).dims.tolist() == [8]
    with pytest.raises(NotCertifiedError, match="the vectors of products@2"):
        registry.galleries.vectors("shop", np.array([3]), as_of=v1.ref)
    certify(registry, "shop", v1.ref, v2.ref)
    found = registry.galleries.vectors("shop", np.array([3, 5]), as_of=v1.ref)
    assert (found.versions.tolist(), found.dims.tolist()) == ([2, 1], [8, 8])
    scores = found.scores(asked(v1, [3]))
    assert scores[0, 0] == pytest.approx(-1, abs=1e-6)


def test_an_explanation_names_no_superseded_row(
    registry: Registry, live: list[int], v2: ModelVersion
) -> None:
    n, query = len(live), asked(v2, [3])
    found = registry.explain("shop", query, np.array([3, 4, 25, 5, 99]), k=n)
    assert sorted(hit.id for hit in found.hits) == live
    old, new = found.segments
    assert (old.n_items, new.n_items) == (n - new.n_items, 12 if n == 30 else 11)
    assert not {3, 4} & {c.id for c in old.candidates}
    assert {3, 4, 25} <= {c.id for c in new.candidates}
    assert len([c for c in new.candidates if c.id == 25]) == 1
    fates = {item.id: item for item in found.items}
    assert [fates[i].segment for i in (3, 4, 25, 5)] == [2, 2, 2, 1]
    hits = registry.search("shop", query, n)
    ranking = hits.ids[0].tolist()
    for item in (3, 4, 25, 5):
        assert (fates[item].outcome, fates[item].place) == (Outcome.HIT, 1 + ranking.index(item))
        score = float(hits.scores[0, ranking.index(item)])
        assert fates[item].score == pytest.approx(score, abs=1e-6)
    assert fates[99].outcome is Outcome.ABSENT


def test_what_was_erased_is_asked_for_in_vain(
    registry: Registry, mixed: str, v2: ModelVersion
) -> None:
    registry.galleries.erase(mixed, np.array([3]), "a test")
    with pytest.raises(NotFoundError, match="1 of 2 ids are not in gallery"):
        registry.galleries.vectors(mixed, np.array([3, 5]))
    (fate,) = registry.explain(mixed, asked(v2, [3]), np.array([3])).items
    assert fate.outcome is Outcome.ABSENT


def test_after_a_rollback_the_version_in_force_gets_its_vectors_back(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.galleries.upsert(shop, embedded(v2, [3]))
    registry.rollback(shop, accept_loss=True)
    (fate,) = registry.explain(shop, asked(v1, [3]), np.array([3])).items
    assert (fate.outcome, fate.segment) == (Outcome.HIDDEN, 2)
    (hidden,) = registry.galleries.vectors(shop, np.array([3]))
    assert hidden.version == v2
    registry.galleries.upsert(shop, embedded(v1, [3]))
    (fate,) = registry.explain(shop, asked(v1, [3]), np.array([3])).items
    assert (fate.outcome, fate.place) == (Outcome.HIT, 1)
    (stored,) = registry.galleries.vectors(shop, np.array([3]))
    assert stored.version == v1
    assert registry.galleries.vectors(shop, np.array([3]), as_of=v1.ref).dims.tolist() == [8]


# --- others at the same moment


def test_blocks_of_one_batch_are_of_one_moment(
    registry: Registry, mixed: str, v2: ModelVersion, site: Site
) -> None:
    blocks = registry.search_batch(mixed, asked(v2, [3, 3]), 30, block=1)
    first = next(blocks)
    with site.open() as other:
        other.galleries.upsert(mixed, embedded(v2, [3, 60]))
        other.galleries.erase(mixed, np.array([5]), "a test")
        found_ids(registry, mixed, v2)
    (second,) = blocks
    assert second.ids.tolist() == first.ids.tolist()
    assert second.scores.tolist() == first.scores.tolist()


def test_an_item_that_is_superseded_while_it_is_explained_is_where_it_was_searched(
    registry: Registry, mixed: str, v2: ModelVersion, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge = explaining._hits

    def meanwhile(*args: Any) -> Any:
        with site.open() as other:
            other.galleries.upsert(mixed, embedded(v2, [5]))
        found_ids(registry, mixed, v2)  # another thread opens what there is now
        return merge(*args)

    monkeypatch.setattr(explaining, "_hits", meanwhile)
    found = registry.explain(mixed, asked(v2, [5]), np.array([5]), k=1)
    monkeypatch.undo()
    assert [hit.segment for hit in found.hits] == [1]
    (fate,) = found.items
    assert (fate.outcome, fate.segment, fate.place) == (Outcome.HIT, 1, 1)
    (fate,) = registry.explain(mixed, asked(v2, [5]), np.array([5]), k=1).items
    assert (fate.outcome, fate.segment) == (Outcome.HIT, 2)


ASKED: dict[str, Callable[[Registry, ModelVersion], object]] = {
    "search": lambda r, v2: r.search("shop", asked(v2, [5]), 1).ids.tolist(),
    "vectors": lambda r, _: [e.ids.tolist() for e in r.galleries.vectors("shop", np.array([5]))],
    "as of": lambda r, v2: r.galleries.vectors("shop", np.array([5]), as_of=v2.ref).ids.tolist(),
    "readers": lambda r, _: [s.n_items for s in r.galleries.readers("shop", FIRST)],
    "hidden": lambda r, v2: r.explain("shop", asked(v2, [5]), np.array([5])).items[0].id,
}


@pytest.mark.parametrize("what", list(ASKED))
def test_files_that_are_replaced_just_then_are_opened_as_they_are_after_that(
    mixed: str, v2: ModelVersion, site: Site, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with site.open() as registry, site.open() as other:
        open_segment, tries = SegmentReader.open, []

        def late(*args: Any, **options: Any) -> Any:
            tries.append(args)
            if len(tries) == 1:
                other.galleries.compact(mixed)
            return open_segment(*args, **options)

        monkeypatch.setattr(SegmentReader, "open", late)
        found = ASKED[what](registry, v2)
        monkeypatch.undo()
        assert len(tries) > 1
        assert found == ASKED[what](registry, v2)


def test_files_that_are_replaced_again_and_again_are_told_as_a_conflict(
    registry: Registry, mixed: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> Any:
        raise ConflictError("segment 1 was written anew meanwhile", hint="try again")

    monkeypatch.setattr(galleries, "deleted_positions", gone)
    with site.open() as fresh, pytest.raises(ConflictError, match="written anew"):
        fresh.galleries.vectors(mixed, np.array([5]))
