"""From certifying to serving: how scores of several versions come onto one scale."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from compat.evidence import read_evidence
from compat.probes import Labels, Probe
from compat.replay import replay
from compat.workflow.certifying import Certification, certify
from registry import (
    AsyncRegistry,
    Contract,
    ContractKind,
    Embeddings,
    Hits,
    Metric,
    ModelVersion,
    Registry,
)
from registry.domain.calibration import ScoreMap
from registry.domain.certificates import Criterion, Verdict
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement
from registry.errors import InvalidInputError, SpaceMismatchError
from tests.compat.workflow.builders import (
    FIRST_QUERY,
    N_ITEMS,
    N_QUERIES,
    POLICY,
    World,
    float32,
    space,
)

NO_WORSE = Criterion.NON_INFERIORITY
OWN_POLICY = Policy(
    (
        Requirement("mAP", NO_WORSE, 0.1),
        Requirement("mAP", Criterion.SUPERIORITY, on="mixed"),
    ),
    n_resamples=300,
)
N_CLASSES, DIM = 40, 8
ITEMS = np.repeat(np.arange(N_CLASSES), 4)
QUERIES = np.repeat(np.arange(N_CLASSES), 2)
SHARES = (25, 50, 75)


@dataclass(frozen=True)
class Independent:
    """Two models that have nothing in common, the first of which finds everything alike."""

    registry: Registry
    versions: tuple[ModelVersion, ModelVersion]
    centres: tuple[Any, Any]
    rng: np.random.Generator

    def vectors(self, which: int, classes: Any) -> Any:
        near = self.centres[which][classes]
        shift = (4.0, 0.0)[which]  # the first model's cosines, and distances, are small
        noise = (0.9, 0.4)[which] * self.rng.normal(size=near.shape)
        return float32((0.2, 1.0)[which] * (near + shift + noise))

    def embed(self, which: int, classes: Any, first: int = 0) -> Embeddings:
        ids = np.arange(len(classes)) + first
        return Embeddings(ids, self.vectors(which, classes), self.versions[which])

    def probe(self) -> Probe:
        asked = [self.embed(which, QUERIES, FIRST_QUERY) for which in (0, 1)]
        queries = {one.version.ref: one for one in asked}
        items = Labels(np.arange(len(ITEMS)), ITEMS)
        return Probe(Labels(asked[0].ids, QUERIES), queries, items, self.embed(1, ITEMS))


def independent(registry: Registry, metric: Metric) -> Independent:
    rng = np.random.default_rng(4)
    made = [
        registry.models.register_vectors("faces", space(DIM + n), {"made_by": str(n)}).version
        for n in (0, 1)
    ]
    for query, held in (made, made[::-1]):
        contract = Contract(ContractKind.OWN_ENCODER, held.dim)
        registry.models.declare_contract(query.ref, held.ref, contract)
    centres = [rng.normal(size=(N_CLASSES, version.dim)) for version in made]
    world = Independent(registry, (made[0], made[1]), (centres[0], centres[1]), rng)
    registry.galleries.create("door", made[0].ref, metric=metric)
    registry.add("door", world.embed(0, ITEMS))
    return world


def certified(world: Independent, probe: Probe) -> tuple[Certification, ...]:
    return certify(world.registry, "door", "faces@2", probe, OWN_POLICY)


@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.L2])
def test_where_raw_scores_fail_calibrated_ones_serve(registry: Registry, metric: Metric) -> None:
    world = independent(registry, metric)
    forward, back = certified(world, world.probe())
    certificate = forward.certificate
    means = {cell: groups["all"]["mAP"] for cell, groups in certificate.matrix.items()}
    assert means["faces@2 -> faces@1"] == means["faces@1 -> faces@1"]
    cells = [f"faces@2 -> mixed {share}%" for share in SHARES]
    for cell in cells:
        assert means[cell] > means[f"{cell} (raw scores)"] + 0.03
        assert means[cell] > means["faces@1 -> faces@1"]
    assert certificate.verdict is back.certificate.verdict is Verdict.COMPATIBLE
    maps = certificate.calibration
    assert maps["faces@2 -> faces@1"] == ScoreMap()
    assert set(maps) == {"faces@2 -> faces@1", "faces@2 -> faces@2"}
    assert any("merged calibrated" in line for line in certificate.limits)
    for one in (forward, back):
        evidence = read_evidence(one.evidence, one.certificate.evidence_digest, "it")
        assert replay(one.certificate, evidence).difference is None


@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.L2])
def test_what_was_certified_is_what_is_served(registry: Registry, metric: Metric) -> None:
    """Half of the gallery is replaced by new vectors; the search finds what the cell says."""
    world = independent(registry, metric)
    probe = world.probe()
    certificate = certified(world, probe)[0].certificate
    asked = list(probe.query_vectors.values())
    alone = registry.search("door", asked[0], len(ITEMS))
    registry.promote("door", "faces@2")
    again = probe.reembedded
    assert again is not None
    moved = np.flatnonzero(np.random.default_rng(1).permutation(len(ITEMS)) % 2 == 0)
    registry.galleries.delete("door", moved)
    registry.add(
        "door", Embeddings(moved, np.ascontiguousarray(again.vectors[moved]), again.version)
    )
    hits = registry.search("door", asked, len(ITEMS))
    assert (hits.versions == np.where(np.isin(hits.ids, moved), 2, 1)).all()
    is_relevant = ITEMS[hits.ids] == QUERIES[:, None]
    precision = np.cumsum(is_relevant, axis=1) / np.arange(1, len(ITEMS) + 1)
    served = ((precision * is_relevant).sum(axis=1) / is_relevant.sum(axis=1)).mean()
    half = certificate.matrix["faces@2 -> mixed 50%"]["all"]["mAP"]
    assert served == pytest.approx(half, abs=0.03)  # another half of the items is new
    is_old = hits.versions == 1
    assert (hits.scores == hits.raw_scores)[is_old].all()  # the old pair's scale is the gallery's
    found = certificate.calibration["faces@2 -> faces@2"]
    expected = found.scale * hits.raw_scores[~is_old].astype(np.float64) + found.offset
    assert hits.scores[~is_old] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    check_threshold(alone, hits)


def check_threshold(before: Any, after: Any) -> None:
    """A hit near the old threshold is as probably relevant as one was, whoever made its vector."""
    low, high = np.quantile(before.scores, (0.9, 0.97))
    shares = []
    for hits in (before, after):
        near = (hits.scores >= low) & (hits.scores < high)
        shares.append(float((ITEMS[hits.ids] == QUERIES[:, None])[near].mean()))
    assert abs(shares[1] - shares[0]) < 0.05, shares


def test_a_least_score_keeps_its_meaning_through_promotion(registry: Registry) -> None:
    world = independent(registry, Metric.COSINE)
    probe = world.probe()
    certified(world, probe)
    old, new = probe.query_vectors.values()
    whole = registry.search("door", old, 20)
    bound = float(np.median(whole.scores))
    kept = registry.search("door", old, 20, min_score=bound)
    assert (kept.versions > 0).tolist() == (whole.scores >= np.float32(bound)).tolist()
    registry.promote("door", "faces@2")
    later = registry.search("door", [new, old], 20, min_score=bound)
    assert later.ids.tolist() == kept.ids.tolist()  # all vectors are old still
    registry.add("door", world.embed(1, ITEMS, 500))
    hits = registry.search("door", [old, new], 200, min_score=bound)
    assert {1, 2, 0} == set(np.unique(hits.versions).tolist())
    assert hits.scores[hits.versions > 0].min() >= np.float32(bound)
    assert (hits.ids[hits.versions == 0] == -1).all()
    registry.rollback("door")
    assert registry.galleries.state("door").serving.calibration[2].scale > 0
    back = registry.search("door", [old, new], 200, min_score=bound)
    assert back.ids.tolist() == hits.ids.tolist()


def test_queries_of_the_vectors_own_version_are_needed(registry: Registry) -> None:
    world = independent(registry, Metric.COSINE)
    probe = world.probe()
    certified(world, probe)
    old, new = probe.query_vectors.values()
    registry.promote("door", "faces@2")
    with pytest.raises(SpaceMismatchError, match=r"holds vectors of faces@1, which queries of"):
        registry.search("door", new, 3)
    with pytest.raises(SpaceMismatchError, match="is queried by faces@2, not by faces@1"):
        registry.search("door", [old], 3)
    with pytest.raises(InvalidInputError, match="given twice"):
        registry.search("door", [new, old, old], 3)
    with pytest.raises(InvalidInputError, match="no queries"):
        registry.search("door", [], 3)
    other = Embeddings(old.ids[::-1].copy(), old.vectors, old.version)
    with pytest.raises(InvalidInputError, match="have other ids"):
        registry.search("door", [new, other], 3)
    foreign = Embeddings(old.ids, old.vectors, replace(old.version, fingerprint="sha256:other"))
    with pytest.raises(SpaceMismatchError, match="are not of a version of 'faces'"):
        registry.search("door", [new, foreign], 3)


def test_all_ways_to_ask_give_what_search_gives(registry: Registry) -> None:
    """Block by block, explained and awaited: one scale, and each version's own queries."""
    world = independent(registry, Metric.COSINE)
    probe = world.probe()
    certified(world, probe)
    old, new = probe.query_vectors.values()
    registry.promote("door", "faces@2")
    registry.add("door", world.embed(1, ITEMS, 500))
    hits = registry.search("door", [new, old], 30)
    assert not np.allclose(hits.scores, hits.raw_scores)
    bound = float(np.median(hits.scores))
    batch = [[_rows(new, part), _rows(old, part)] for part in (slice(0, 50), slice(50, None))]
    for least in (None, bound):
        whole = registry.search("door", [new, old], 30, min_score=least)
        blocks = list(registry.search_batch("door", batch, 30, block=16, min_score=least))
        assert [len(block) for block in blocks] == [16, 16, 16, 2, 16, 14]
        check_same(Hits.concatenated(blocks), whole)
        check_same(asyncio.run(_awaited(registry, [new, old], batch, least)), whole)
    one = [_rows(new, slice(3, 4)), _rows(old, slice(3, 4))]
    fates = np.array([hits.ids[3, 0], hits.ids[3, 29]])
    found = registry.explain("door", one, fates, 30)
    assert [hit.id for hit in found.hits] == hits.ids[3].tolist()
    assert [hit.score for hit in found.hits] == pytest.approx(hits.scores[3].tolist(), abs=1e-5)
    raw = [hit.raw_score for hit in found.hits]
    assert raw == pytest.approx(hits.raw_scores[3].tolist(), abs=1e-5)
    assert {hit.version.number for hit in found.hits} == {1, 2}
    assert [item.place for item in found.items] == [1, 30]
    scores, raws = hits.scores[3, [0, 29]].tolist(), hits.raw_scores[3, [0, 29]].tolist()
    assert [item.score for item in found.items] == pytest.approx(scores, abs=1e-5)
    assert [item.raw_score for item in found.items] == pytest.approx(raws, abs=1e-5)
    served = registry.galleries.state("door").serving.calibration
    assert [s.to_scale for s in found.segments] == [served[1], served[2]]
    offered = [c for segment in found.segments for c in segment.candidates if c.hit_rank]
    assert [c.id for c in sorted(offered, key=lambda c: c.hit_rank or 0)] == hits.ids[3].tolist()


def test_no_query_is_answered_without_the_vectors_own_versions(registry: Registry) -> None:
    world = independent(registry, Metric.COSINE)
    probe = world.probe()
    certified(world, probe)
    old, new = probe.query_vectors.values()
    registry.promote("door", "faces@2")
    alone = "holds vectors of faces@1, which queries of"
    with pytest.raises(SpaceMismatchError, match=alone):
        registry.search_batch("door", new, 3)
    with pytest.raises(SpaceMismatchError, match=alone):
        next(registry.search_batch("door", [new], 3))
    with pytest.raises(SpaceMismatchError, match=alone):
        registry.explain("door", _rows(new, slice(1)))
    with pytest.raises(SpaceMismatchError, match="are searched by queries of faces@1"):
        registry.compare(new, old)
    with pytest.raises(SpaceMismatchError, match="does not compare the vectors of faces@1"):
        registry.galleries.vectors("door", np.array([0]), as_of="faces@2")
    with pytest.raises(InvalidInputError, match="min_score must be a number"):
        registry.search_batch("door", [[new, old]], 3, min_score=float("nan"))


def _rows(queries: Embeddings, part: slice) -> Embeddings:
    return Embeddings(queries.ids[part], queries.vectors[part], queries.version)


async def _awaited(
    registry: Registry,
    queries: list[Embeddings],
    batch: list[list[Embeddings]],
    least: float | None,
) -> Hits:
    asking = AsyncRegistry(registry)
    hits = await asking.search("door", queries, 30, min_score=least)
    parts = asking.search_batch("door", batch, 30, min_score=least)
    check_same(Hits.concatenated([part async for part in parts]), hits)
    asking.worker.threads.shutdown()
    return hits


def check_same(found: Hits, expected: Hits) -> None:
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.versions.tolist() == expected.versions.tolist()
    assert found.scores == pytest.approx(expected.scores, abs=1e-5)
    assert found.raw_scores == pytest.approx(expected.raw_scores, abs=1e-5)


def test_scores_on_mixed_galleries_are_those_of_the_merge_that_serves(registry: Registry) -> None:
    """A threshold meets calibrated scores where those serve, and raw ones beside it."""
    world = independent(registry, Metric.COSINE)
    asked = Requirement("TAR@score=0.9", NO_WORSE, 0.5)
    policy = replace(OWN_POLICY, requirements=(*OWN_POLICY.requirements, asked))
    forward = certify(registry, "door", "faces@2", world.probe(), policy)[0]
    matrix = {cell: groups["all"] for cell, groups in forward.certificate.matrix.items()}
    own, half = matrix["faces@1 -> faces@1"], matrix["faces@2 -> mixed 50%"]
    raw = matrix["faces@2 -> mixed 50% (raw scores)"]
    (name,) = (metric for metric in half if metric.startswith("TAR@score"))
    assert half[name] != raw[name]
    assert matrix["faces@2 -> faces@1"][name] == own[name]
    assert any(line.startswith("Deployed scores are") for line in forward.certificate.limits)
    evidence = read_evidence(forward.evidence, forward.certificate.evidence_digest, "it")
    assert replay(forward.certificate, evidence).difference is None


@pytest.mark.parametrize(
    "policy",
    [
        replace(OWN_POLICY, requirements=OWN_POLICY.requirements[:1]),
        replace(POLICY, requirements=(*POLICY.requirements, OWN_POLICY.requirements[1])),
    ],
)
def test_a_policy_that_says_nothing_of_mixed_galleries_is_refused(
    registry: Registry, policy: Policy
) -> None:
    world = independent(registry, Metric.COSINE)
    before = registry.audit()
    with pytest.raises(InvalidInputError, match="queries of faces@1 itself search its vectors"):
        certify(registry, "door", "faces@2", world.probe(), policy)
    assert registry.audit() == before


def test_where_raw_scores_do_they_are_kept(world: World) -> None:
    """A compatible model: one map for both pairs, so the order is that of raw scores."""
    probe = world.probe(again=True)
    forward = certify(world.registry, "shop", "products@2", probe, POLICY)[0].certificate
    (shared,) = set(forward.calibration.values())
    assert not shared.is_identity
    assert not [cell for cell in forward.matrix if "raw scores" in cell]
    assert any("merged raw" in line for line in forward.limits)
    again, asked = probe.reembedded, probe.vectors_of(world.v2.ref)
    assert again is not None
    world.registry.promote("shop", "products@2")
    world.registry.add("shop", Embeddings(again.ids + N_ITEMS, again.vectors, world.v2))
    hits = world.registry.search("shop", asked, 2 * N_ITEMS)
    assert (np.diff(hits.raw_scores, axis=1) <= 0).all()
    assert hits.scores == pytest.approx(shared.scale * hits.raw_scores + shared.offset, abs=1e-5)
    assert len(hits) == N_QUERIES


def test_without_items_embedded_again_scores_stay_raw(world: World) -> None:
    (one,) = certify(world.registry, "shop", "products@2", world.probe(), POLICY)
    assert one.certificate.calibration == {}
    assert "calibration" not in one.certificate.to_json()
    serving = world.registry.promote("shop", "products@2").serving
    assert "calibration" not in serving.to_json()
    hits = world.registry.search("shop", world.probe().vectors_of(world.v2.ref), 3)
    assert hits.uncalibrated is None


def test_a_waiver_ends_the_scale(world: World) -> None:
    """Nobody measured the pair, so nobody knows its scale: raw scores, and the event says so."""
    from registry import PromotionOptions

    certify(world.registry, "shop", "products@2", world.probe(again=True), POLICY)
    assert world.registry.promote("shop", "products@2").serving.calibration
    world.registry.add(
        "shop", Embeddings(world.again().ids + N_ITEMS, world.again().vectors, world.v2)
    )
    third = world.registry.models.register_vectors(
        "products", space(20), {"made_by": "three"}
    ).version
    for held in (world.v1, world.v2):
        contract = Contract(ContractKind.PREFIX, held.dim)
        world.registry.models.declare_contract(third.ref, held.ref, contract)
    options = PromotionOptions(waiver="measured elsewhere")
    assert world.registry.promote("shop", third.ref, options).serving.calibration == {}
