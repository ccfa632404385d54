from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from registry import (
    Contract,
    ContractKind,
    Explanation,
    IndexSpec,
    ModelVersion,
    PromotionOptions,
    Registry,
)
from registry.domain.explanations import ItemFate, Outcome
from registry.errors import InvalidInputError, SpaceMismatchError
from tests.registry.service.builders import asked, certify, embedded, on_sqlite

pytestmark = on_sqlite


@pytest.fixture
def mixed(registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion) -> str:
    """Sealed items 0 to 19 of version 1 and open ones, 20 to 29, of version 2 in charge."""
    registry.galleries.seal(shop)
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref, PromotionOptions(reason="better"))
    registry.add(shop, embedded(v2, range(20, 30)))
    return shop


def fates(found: Explanation, ids: Sequence[int]) -> list[ItemFate]:
    assert [item.id for item in found.items] == list(ids)
    return list(found.items)


def test_hits_are_those_of_search_and_say_where_they_came_from(
    registry: Registry, mixed: str, v2: ModelVersion
) -> None:
    for item in (3, 25):
        query = asked(v2, [item])
        found = registry.explain(mixed, query, k=6)
        hits = registry.search(mixed, query, 6)
        assert [hit.id for hit in found.hits] == hits.ids[0].tolist()
        assert [hit.score for hit in found.hits] == hits.scores[0].tolist()
        assert [hit.version.number for hit in found.hits] == hits.versions[0].tolist()
        assert [hit.rank for hit in found.hits] == [1, 2, 3, 4, 5, 6]
        assert {(hit.segment, hit.version.number) for hit in found.hits} <= {(1, 1), (2, 2)}
        assert found.hits[0].segment_rank == 1


def test_every_segment_says_how_and_why_it_was_searched(
    registry: Registry, mixed: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    found = registry.explain(mixed, asked(v2, [3]), k=4)
    old, new = found.segments
    certificate = registry.certificates.of_gallery(mixed)[0].certificate.digest
    assert (old.number, old.version, old.state, old.n_items) == (1, v1.ref, "sealed", 20)
    assert old.contract == Contract(ContractKind.PREFIX, 8)
    assert (old.basis, old.standing, old.searched_by) == (certificate, "valid", "faiss Flat")
    assert (new.basis, new.standing, new.searched_by) == ("same-space", "", "all rows")
    assert new.contract == Contract(ContractKind.SAME_SPACE, 12)
    assert old.hidden == new.hidden == ""
    assert found.served_by == "model:products event 7 (promoted)"
    assert (found.gallery, found.metric, found.k) == (mixed, "cosine", 4)


def test_candidates_of_all_segments_lead_to_the_hits(
    registry: Registry, mixed: str, v2: ModelVersion
) -> None:
    """Replaying the merge from what is told gives the ranking."""
    found = registry.explain(mixed, asked(v2, [3]), k=7)
    offered = [c for segment in found.segments for c in segment.candidates]
    assert [len(segment.candidates) for segment in found.segments] == [7, 7]
    replayed = sorted(offered, key=lambda c: (-c.score, c.id))[:7]
    assert [c.id for c in replayed] == [hit.id for hit in found.hits]
    assert [c.hit_rank for c in replayed] == [1, 2, 3, 4, 5, 6, 7]
    assert all(c.hit_rank is None for c in offered if c not in replayed)
    for segment in found.segments:
        assert [c.rank for c in segment.candidates] == [1, 2, 3, 4, 5, 6, 7]
        scores = [c.score for c in segment.candidates]
        assert scores == sorted(scores, reverse=True)


def test_a_query_of_fewer_dimensions_scores_all_rows(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.promote(shop, v2.ref, PromotionOptions(waiver="a test"))
    registry.add(shop, embedded(v2, range(20, 30)))
    registry.galleries.seal(shop)
    certify(registry, shop, v1.ref, v2.ref)
    registry.rollback(shop)
    own, cut = registry.explain(shop, asked(v1, [3]), k=1).segments
    assert (own.searched_by, cut.searched_by) == ("faiss Flat", "all rows")
    assert str(cut.contract) == "first 8 dimensions, re-normalised"


def test_a_waiver_is_told_as_one(registry: Registry, shop: str, v2: ModelVersion) -> None:
    registry.promote(shop, v2.ref, PromotionOptions(waiver="in a hurry"))
    (old,) = registry.explain(shop, asked(v2, [3]), k=1).segments
    assert (old.basis, old.standing) == ("waiver: in a hurry", "")


def test_what_became_of_the_certificate_is_told(
    registry: Registry, mixed: str, v2: ModelVersion
) -> None:
    """It goes on serving until somebody rolls back, and whoever asks shall know."""
    digest = registry.certificates.of_gallery(mixed)[0].certificate.digest
    registry.certificates.revoke(digest, "labels were wrong")
    old, _ = registry.explain(mixed, asked(v2, [3]), k=1).segments
    assert old.standing.startswith("revoked: labels were wrong, by tester on 2026-")


def test_hidden_and_empty_segments_say_why(
    registry: Registry, mixed: str, v1: ModelVersion
) -> None:
    registry.rollback(mixed, accept_loss=True, reason="too slow")
    searched, hidden = registry.explain(mixed, asked(v1, [3]), k=30).segments
    assert searched.hidden == ""
    assert hidden.hidden == (
        "products@1 was not shown fit to search vectors of products@2; "
        "tester accepted their loss on 2026-05-03 (too slow)"
    )
    assert (hidden.contract, hidden.basis, hidden.candidates) == (None, "", ())
    registry.galleries.delete(mixed, np.arange(20))
    found = registry.explain(mixed, asked(v1, [3]), np.array([3, 22]))
    assert found.hits == ()
    assert found.segments[0].hidden == "all of its items are deleted"
    assert [item.outcome for item in found.items] == [Outcome.ABSENT, Outcome.HIDDEN]


def test_more_hits_than_items_are_all_items(
    registry: Registry, mixed: str, v2: ModelVersion
) -> None:
    assert len(registry.explain(mixed, asked(v2, [3]), k=100).hits) == 30


# --- items


def test_what_became_of_items_is_told_with_exact_score_and_place(
    registry: Registry, mixed: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.galleries.delete(mixed, np.array([7]))
    query, everything = asked(v2, [3]), registry.search(mixed, asked(v2, [3]), 29)
    ranking = everything.ids[0].tolist()
    wanted = [3, ranking[10], 7, ranking[28], 99]
    found = registry.explain(mixed, query, np.array(wanted), k=5)
    hit, middle, deleted, last, unknown = fates(found, wanted)
    assert (hit.outcome, hit.place, hit.segment, hit.version) == (Outcome.HIT, 1, 1, v1.ref)
    assert hit.score == pytest.approx(1)
    assert (middle.outcome, middle.place) == (Outcome.BEATEN, 11)
    assert middle.score == pytest.approx(float(everything.scores[0, 10]), abs=1e-6)
    assert (last.outcome, last.place) == (Outcome.BEATEN, 29)
    for gone in (deleted, unknown):
        assert gone.outcome is Outcome.ABSENT
        assert (gone.segment, gone.version, gone.score, gone.place) == (None,) * 4


def test_hidden_items_say_in_which_segment_they_are(
    registry: Registry, mixed: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.rollback(mixed, accept_loss=True)
    (item,) = fates(registry.explain(mixed, asked(v1, [3]), np.array([22]), k=1), [22])
    assert item == ItemFate(22, Outcome.HIDDEN, 2, v2.ref)


def test_items_of_equal_score_share_a_place(
    registry: Registry, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.galleries.create("shelf", v1.ref)
    registry.add("shelf", embedded(v1, ["a"]))
    twin = embedded(v1, ["a"])
    for name in ("b", "c"):
        same = type(twin)(np.array([name]), twin.vectors, v1)
        registry.add("shelf", same)
    query = type(twin).numbered(twin.vectors, v1)
    found = registry.explain("shelf", query, np.array(["a", "b", "c"]), k=1)
    assert [item.place for item in found.items] == [1, 1, 1]
    assert sorted(item.outcome for item in found.items) == ["beaten", "beaten", "hit"]


def test_an_approximate_index_may_miss_an_item(
    registry: Registry, v1: ModelVersion, rng: np.random.Generator
) -> None:
    """Of 8 cells only the nearest one is looked into: some item beyond is closer than a hit."""
    spec = IndexSpec("faiss", "IVF8,Flat", {"nprobe": 1})
    registry.galleries.create("shelf", v1.ref, index=spec)
    registry.add("shelf", embedded(v1, range(400)))
    before = registry.explain("shelf", asked(v1, [1000]), np.arange(400), k=40)
    registry.galleries.seal("shelf")
    after = registry.explain("shelf", asked(v1, [1000]), np.arange(400), k=40)
    assert after.segments[0].searched_by == "faiss IVF8,Flat"
    outcomes = {item.id: item.outcome for item in after.items}
    assert Outcome.MISSED in outcomes.values()
    near = {item.id for item in before.items if item.outcome is Outcome.HIT}
    hits = {hit.id for hit in after.hits}
    n_found = len(after.hits)
    missed = {i for i, outcome in outcomes.items() if outcome is Outcome.MISSED}
    places = {item.id: item.place for item in after.items}
    assert missed == {i for i in range(400) if i not in hits and (places[i] or 0) <= n_found}
    assert missed <= near
    assert Outcome.MISSED not in {item.outcome for item in before.items}


# --- refusals and form


def test_one_query_is_explained_at_a_time(registry: Registry, mixed: str, v2: ModelVersion) -> None:
    for queries, k in ((asked(v2, [1, 2]), 3), (asked(v2, [1]), 0)):
        with pytest.raises(InvalidInputError, match="one query at a time"):
            registry.explain(mixed, queries, k=k)
    with pytest.raises(InvalidInputError, match="there are no queries"):
        registry.explain(mixed, asked(v2, []))
    with pytest.raises(InvalidInputError, match="more than once"):
        registry.explain(mixed, asked(v2, [1]), np.array([1, 1]))


def test_a_query_of_another_version_is_refused(
    registry: Registry, mixed: str, v1: ModelVersion
) -> None:
    with pytest.raises(SpaceMismatchError):
        registry.explain(mixed, asked(v1, [1]))


def test_it_goes_out_as_json(registry: Registry, mixed: str, v2: ModelVersion) -> None:
    found = registry.explain(mixed, asked(v2, [3]), np.array([3, 99]), k=2)
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["query_version"] == "products@2"
    assert data["order"] == "score, highest first; equal scores by id"
    assert [hit["rank"] for hit in data["hits"]] == [1, 2]
    assert data["segments"][0]["contract"] == {"kind": "prefix", "dims": 8}
    assert data["segments"][0]["candidates"][0]["hit_rank"] == 1
    assert data["items"][1] == {
        "id": 99,
        "outcome": "absent",
        "segment": None,
        "version": None,
        "score": None,
        "raw_score": None,
        "place": None,
    }
