"""Scores and thresholds from the policy to the certificate, its evidence and its replay."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from compat.evaluation import Qrels
from compat.evidence import read_evidence
from compat.probes import Labels, Probe
from compat.replay import replay
from compat.score_metrics import split_units
from compat.workflow import bench
from compat.workflow.certifying import Certification, certify
from registry import Contract, ContractKind, Embeddings, Parent, Registry
from registry.domain.canonical import canonical_json
from registry.domain.certificates import Certificate, Criterion, Verdict
from registry.domain.galleries import Metric
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement
from registry.errors import InvalidInputError
from tests.compat.workflow.builders import (
    N_CLASSES,
    N_ITEMS,
    N_QUERIES,
    OLD_DIM,
    POLICY,
    World,
    float32,
    space,
    stored,
    with_queries,
)

OWN, CROSS = "products@1 -> products@1", "products@2 -> products@1"
WORSE = Criterion.NON_INFERIORITY
ASKED = {
    "TAR@FAR=0.1": 0.3,
    "TPIR@FPIR=0.4": 0.3,
    "TAR@score=0.5": 0.3,
    "TRR@score=0.5": 0.3,
    "FAR<=2x@score=0.5": 0.1,
}


def asking(metrics: dict[str, float], policy: Policy = POLICY) -> Policy:
    more = tuple(Requirement(metric, WORSE, margin) for metric, margin in metrics.items())
    return replace(policy, requirements=policy.requirements + more)


def one(world: World, probe: Probe, policy: Policy, *, gallery: str = "shop") -> Certification:
    return certify(world.registry, gallery, "products@2", probe, policy, dry_run=True)[0]


def columns(made: Certification) -> dict[str, Any]:
    return dict(pq.read_table(io.BytesIO(made.evidence)).to_pydict())


def cosines(queries: Any, items: Any) -> Any:
    q, x = (v[:, :OLD_DIM].astype(np.float64) for v in (queries, items))
    return (q / np.linalg.norm(q, axis=1)[:, None]) @ (x / np.linalg.norm(x, axis=1)[:, None]).T


def just_above(impostors: list[float], rate: float) -> float:
    """The smallest float32 at which no more than the declared share of impostors match."""
    best_first = sorted(impostors, reverse=True)
    lost = np.float32(best_first[int(rate * len(best_first))])
    return float(np.nextafter(lost, np.float32(np.inf)))


def test_every_number_is_what_a_double_loop_finds(world: World) -> None:
    probe = world.probe()
    made = one(world, probe, asking(ASKED))
    found = columns(made)
    ids, items = stored(world.registry, world.v1)
    labels = world.item_classes[ids]
    halves = split_units(world.query_classes, POLICY.seed)
    for version, cell in ((world.v1, OWN), (world.v2, CROSS)):
        scores = cosines(probe.vectors_of(version.ref).vectors, items)
        genuine = [row[labels == c] for row, c in zip(scores, world.query_classes, strict=True)]
        impostor = [row[labels != c] for row, c in zip(scores, world.query_classes, strict=True)]
        assert found[f"{cell} | best genuine"] == pytest.approx([max(g) for g in genuine], abs=1e-6)
        assert found[f"{cell} | best impostor"] == pytest.approx(
            [max(i) for i in impostor], abs=1e-6
        )
        pooled = [
            just_above(
                [float(s) for q in range(N_QUERIES) if halves[q] == half for s in impostor[q]], 0.1
            )
            for half in (0, 1)
        ]
        searched = [
            just_above(
                [float(max(impostor[q])) for q in range(N_QUERIES) if halves[q] == half], 0.4
            )
            for half in (0, 1)
        ]
        for q in range(N_QUERIES):
            far, fpir = pooled[1 - halves[q]], searched[1 - halves[q]]
            is_found = max(genuine[q]) > max(impostor[q]) and max(genuine[q]) >= fpir
            assert found[f"{cell} | TAR@FAR=0.1"][q] == np.mean(genuine[q] >= far)
            assert found[f"{cell} | TPIR@FPIR=0.4"][q] == is_found
            assert found[f"{cell} | TAR@score=0.5"][q] == np.mean(genuine[q] >= 0.5)
            assert found[f"{cell} | TRR@score=0.5"][q] == pytest.approx(np.mean(impostor[q] < 0.5))
        points = {point.name: point for point in made.operating_points[cell]}
        assert points["FAR=0.1"].halves == pytest.approx(pooled, abs=1e-6)
        assert points["FPIR=0.4"].halves == pytest.approx(searched, abs=1e-6)
        assert points["score=0.5"].error_rate == np.mean(np.concatenate(impostor) >= 0.5)


def test_findings_follow_from_those_numbers(world: World) -> None:
    made = one(world, world.probe(), asking(ASKED))
    numbers, findings = columns(made), {f.metric: f for f in made.certificate.findings}
    assert set(findings) == {"mAP", "hit@1", *ASKED}
    for metric in ("TAR@FAR=0.1", "TPIR@FPIR=0.4", "TAR@score=0.5", "TRR@score=0.5"):
        before, after = (np.mean(numbers[f"{cell} | {metric}"]) for cell in (OWN, CROSS))
        assert findings[metric].baseline == pytest.approx(before)
        assert findings[metric].candidate == pytest.approx(after)
        assert made.certificate.matrix[CROSS]["all"][metric] == pytest.approx(after)
    ratio = findings["FAR<=2x@score=0.5"]
    rejected = [np.mean(numbers[f"{cell} | TRR@score=0.5"]) for cell in (OWN, CROSS)]
    assert ratio.difference == pytest.approx(2 * (1 - rejected[0]) - (1 - rejected[1]))


def test_every_certificate_is_replayed_byte_for_byte(world: World) -> None:
    made = certify(
        world.registry,
        "shop",
        "products@2",
        world.probe(again=True, groups=np.arange(N_QUERIES) // 40),
        asking(ASKED),
    )
    assert len(made) == 2
    for certified in made:
        certificate = certified.certificate
        data = world.registry.certificates.evidence(certificate.digest)
        evidence = read_evidence(data, certificate.evidence_digest, "it")
        found = replay(certificate, evidence)
        assert (found.difference, found.is_same) == (None, True)
        assert canonical_json(found.certificate.to_json()) == canonical_json(certificate.to_json())
        assert {cell: kept.points for cell, kept in evidence.scored.items()} == dict(
            certified.operating_points
        )
    mixed = made[0].certificate.matrix["products@2 -> mixed 50%"]["all"]
    assert {"TAR@FAR=0.1", "TPIR@FPIR=0.4", "TAR@score=0.5", "TRR@score=0.5"} < set(mixed)


def test_a_forged_share_is_named_by_the_replay(world: World) -> None:
    made = one(world, world.probe(), asking(ASKED))
    evidence = read_evidence(made.evidence, made.certificate.evidence_digest, "it")
    better = {**evidence.cells[CROSS], "TAR@score=0.5": np.ones(N_QUERIES)}
    forged = replace(evidence, cells={**evidence.cells, CROSS: better})
    found = replay(made.certificate, forged)
    assert "TAR@score=0.5" in str(found.difference)


def with_inner_product(registry: Registry, world: World) -> World:
    """The same shop, whose scores are not normalised away, and a twin of the old model."""
    registry.galleries.create("inner", world.v1.ref, metric=Metric.INNER_PRODUCT)
    ids, items = stored(registry, world.v1)
    registry.add("inner", Embeddings(ids, items, world.v1))
    return world


@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_scores_may_shift_while_rankings_stay(
    registry: Registry, world: World, factor: float
) -> None:
    """A candidate whose scores are all half, or four times as large ranks as the old one does."""
    with_inner_product(registry, world)
    probe = world.probe()
    old = probe.vectors_of(world.v1.ref).vectors
    scaled = np.hstack([factor * old, np.ones((N_QUERIES, 4))])
    probe = with_queries(probe, world.v2, float32(scaled))
    rankings = (Requirement("mAP", WORSE, 0.15), Requirement("hit@1", WORSE, 0.15))
    policy = replace(POLICY, requirements=rankings)
    assert one(world, probe, policy, gallery="inner").certificate.verdict is Verdict.COMPATIBLE

    ids, items = stored(registry, world.v1)
    is_genuine = world.query_classes[:, None] == world.item_classes[ids]
    score = float(np.quantile((old @ items.T)[is_genuine], 0.2))
    asked = {f"TAR@score={score:.3f}": 0.15, f"TRR@score={score:.3f}": 0.15, "TAR@FAR=0.1": 0.15}
    certificate = one(world, probe, asking(asked, policy), gallery="inner").certificate
    found = {f.metric.partition("=")[0]: f.verdict for f in certificate.findings}
    assert found["mAP"] is found["hit@1"] is Verdict.COMPATIBLE
    assert found["TAR@FAR"] is Verdict.COMPATIBLE  # recalibrated, nothing is lost
    lost, kept = ("TAR@score", "TRR@score") if factor < 1 else ("TRR@score", "TAR@score")
    assert found[lost] is Verdict.INCOMPATIBLE
    assert found[kept] is Verdict.COMPATIBLE
    assert certificate.verdict is Verdict.INCOMPATIBLE
    assert all(control.is_passed for control in certificate.controls)


def test_l2_scores_are_negative_squared_distances(registry: Registry, world: World) -> None:
    registry.galleries.create("l2", world.v1.ref, metric=Metric.L2)
    ids, items = stored(registry, world.v1)
    registry.add("l2", Embeddings(ids, items, world.v1))
    probe = world.probe()
    made = one(world, probe, asking({"TAR@score=-9": 0.3, "TRR@score=-9": 0.3}), gallery="l2")
    distances = np.square(
        probe.vectors_of(world.v1.ref).vectors[:, None].astype(float) - items.astype(float)
    ).sum(axis=2)
    is_genuine = world.query_classes[:, None] == world.item_classes[ids]
    expected = [np.mean(-d[g] >= -9) for d, g in zip(distances, is_genuine, strict=True)]
    assert columns(made)[f"{OWN} | TAR@score=-9"] == expected
    assert not any("guaranteed@1" in column for column in columns(made))
    with pytest.raises(InvalidInputError, match="under l2 a score is the squared distance, neg"):
        one(world, probe, asking({"TAR@score=9": 0.3}), gallery="l2")


def no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "measure_cell", lambda *_, **__: pytest.fail("it was measured"))


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("TAR@FAR=0.001", "a FAR of 0.0837 or more: 40 independent units, 9360 impostor pairs"),
        ("TPIR@FPIR=0.1", "a FPIR of 0.375 or more: 40 independent units, 80 searches"),
        ("TAR@score=1.5", r"under cosine a score is in \[-1, 1\]"),
    ],
)
def test_the_impossible_is_refused_before_anything_is_measured(
    world: World, monkeypatch: pytest.MonkeyPatch, metric: str, says: str
) -> None:
    no_measuring(monkeypatch)
    with pytest.raises(InvalidInputError, match=says):
        one(world, world.probe(), asking({metric: 0.1}))


def test_one_class_only_has_no_impostor_pairs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_measuring(monkeypatch)
    probe = world.probe()
    single = replace(
        probe,
        queries=Labels(probe.queries.ids, np.zeros(N_QUERIES, int)),
        gallery_labels=Labels(np.arange(N_ITEMS), np.zeros(N_ITEMS, int)),
    )
    with pytest.raises(InvalidInputError, match="80 of 80 queries have no impostor pair") as caught:
        one(world, single, asking({"TAR@score=0.5": 0.1}))
    assert "measure on several classes" in str(caught.value.hint)


def test_judgements_tell_genuine_pairs_too(world: World) -> None:
    """What was judged relevant is genuine, everything else an impostor; each query is a unit."""
    probe = world.probe()
    rows, columns_ = np.nonzero(world.query_classes[:, None] == world.item_classes)
    ids = probe.queries.ids
    judged = Qrels(ids[rows], np.arange(N_ITEMS)[columns_], np.ones(len(rows)))
    policy = replace(asking({"TAR@FAR=0.1": 0.3, "TRR@score=0.5": 0.3}), unit="query")
    by_label = columns(one(world, probe, policy))
    probe = replace(probe, queries=Labels.judged(ids, judged), gallery_labels=None)
    by_judgement = columns(one(world, probe, policy))
    for column in (f"{CROSS} | TAR@FAR=0.1", f"{OWN} | TRR@score=0.5", f"{CROSS} | best impostor"):
        assert by_judgement[column] == by_label[column]


def limits(certificate: Certificate, words: str) -> list[str]:
    return [line for line in certificate.limits if words in line]


def test_the_certificate_says_what_of_scores_was_certified(world: World) -> None:
    only_rankings = "Scores and thresholds were not certified, only rankings."
    plain = one(world, world.probe(), POLICY)
    assert only_rankings in plain.certificate.limits
    assert not any("best genuine" in column for column in columns(plain))
    assert plain.operating_points == {}

    made = one(world, world.probe(), asking(ASKED))
    certificate = made.certificate
    assert only_rankings not in certificate.limits
    (said,) = limits(certificate, "was certified")
    assert "only what holds at FAR=0.1, FPIR=0.4, score=0.5" in said
    (far,), (fpir,) = (limits(certificate, f"The smallest {at} that") for at in ("FAR", "FPIR"))
    assert "supports is 0.0837: 40 independent units, 9360 impostor pairs" in far
    assert "supports is 0.375: 40 independent units, 80 searches" in fpir
    (deployed,) = limits(certificate, "at score=0.5: FAR of all pairs")
    old, new = (
        {p.name: p for p in made.operating_points[cell]}["score=0.5"] for cell in (OWN, CROSS)
    )
    assert f"{new.error_rate / old.error_rate:.3g} times as many" in deployed
    assert deployed.startswith(f"{CROSS!r}, at score=0.5")
    assert len(limits(certificate, "kept by the threshold")) == 2
    assert len(limits(certificate, "Bounds take recalibrated thresholds")) == 1
    fixed = one(world, world.probe(), asking({"TAR@score=0.5": 0.3})).certificate
    assert limits(fixed, "recalibrated") == limits(fixed, "supports is") == []


def test_evidence_holds_the_curve_and_nothing_that_changes_from_run_to_run(world: World) -> None:
    probe, policy = world.probe(), asking(ASKED)
    first, second = (one(world, probe, policy).evidence for _ in range(2))
    assert first == second
    metadata = pq.read_schema(io.BytesIO(first)).metadata
    kept = json.loads(metadata[b"samespace.operating_points"])
    assert set(kept) == {OWN, CROSS}
    curve = kept[CROSS]["curve"]
    rates = curve["false_match_rates"]
    assert rates == sorted(rates)
    assert 0 <= rates[0] < 0.01
    assert rates[-1] > 0.9
    assert set(curve) == {"thresholds", "false_match_rates", "false_non_match_rates"}


def test_who_is_guaranteed_never_loses_the_first_hit(world: World) -> None:
    """The candidate's queries are the old ones, moved a little: some provably keep their hit."""
    probe = world.probe()
    old = probe.vectors_of(world.v1.ref).vectors
    moved = old + 0.01 * world.rng.normal(size=old.shape)
    probe = with_queries(probe, world.v2, float32(np.hstack([moved, np.ones((N_QUERIES, 4))])))
    made = one(world, probe, POLICY)
    found = columns(made)
    guaranteed = np.array(found[f"{CROSS} | guaranteed@1"])
    assert set(guaranteed) == {0.0, 1.0}
    for cell in (OWN, CROSS):
        assert np.all(np.array(found[f"{cell} | hit@1"])[guaranteed == 1] == 1)
    assert made.certificate.matrix[CROSS]["all"]["guaranteed@1"] == guaranteed.mean()
    assert f"{OWN} | guaranteed@1" not in found

    _, items = stored(world.registry, world.v1)
    scores = np.sort(cosines(old, items), axis=1)
    for q in np.flatnonzero(guaranteed):
        angle = math.acos(min(1.0, float(cosines(old[[q]], moved[[q]])[0, 0])))
        gap = scores[q, -1] - scores[q, 0]
        assert angle < 2 * math.asin(gap / 4)  # no margin is wider than the whole range


def test_another_space_has_no_guarantee(registry: Registry, world: World) -> None:
    with_inner_product(registry, world)
    made = one(world, world.probe(), POLICY, gallery="inner")
    assert not any("guaranteed@1" in column for column in columns(made))
    parent = Parent(world.v1.ref, "cut", Contract(ContractKind.PREFIX, OLD_DIM - 2))
    v3 = registry.models.register_vectors(
        "products", space(OLD_DIM), {"made_by": "three"}, parents=(parent,)
    ).version
    probe = world.probe()
    same = Embeddings(probe.queries.ids, probe.vectors_of(world.v1.ref).vectors, v3)
    probe = replace(
        probe, query_vectors={world.v1.ref: probe.vectors_of(world.v1.ref), v3.ref: same}
    )
    policy = replace(POLICY, requirements=(Requirement("mAP", WORSE, 0.2),))
    made = certify(registry, "shop", v3.ref, probe, policy, dry_run=True)[0]
    assert not any("guaranteed@1" in column for column in columns(made))


def test_unit_vectors_have_a_guarantee_under_the_inner_product_too(
    registry: Registry, world: World
) -> None:
    registry.galleries.create("unit", world.v1.ref, metric=Metric.INNER_PRODUCT)
    ids, items = stored(registry, world.v1)
    unit = float32(items / np.linalg.norm(items, axis=1, keepdims=True))
    registry.add("unit", Embeddings(ids, unit, world.v1))
    probe = world.probe()
    old = probe.vectors_of(world.v1.ref).vectors
    old = float32(old / np.linalg.norm(old, axis=1, keepdims=True))
    probe = with_queries(probe, world.v1, old)
    probe = with_queries(probe, world.v2, float32(np.hstack([old, np.zeros((N_QUERIES, 4))])))
    found = columns(
        one(
            world,
            probe,
            replace(POLICY, requirements=(Requirement("mAP", WORSE, 0.2),)),
            gallery="unit",
        )
    )
    guaranteed, hit = (found[f"{CROSS} | {name}"] for name in ("guaranteed@1", "hit@1"))
    assert guaranteed == hit  # nothing moved, so every hit is kept


def test_as_many_units_are_in_each_half(world: World) -> None:
    halves = split_units(world.query_classes, POLICY.seed)
    assert len(np.unique(world.query_classes[halves == 0])) == N_CLASSES // 2
