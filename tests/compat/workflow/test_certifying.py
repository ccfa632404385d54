from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from compat import served as served_search
from compat.certification import PairedScores, find
from compat.probes import Labels, Probe
from compat.workflow import certifying, pairs
from compat.workflow.certifying import certify
from registry import Embeddings, IndexSpec, PromotionOptions, Registry, VersionRef
from registry.domain.attempts import UNCOUNTED
from registry.domain.certificates import Certificate, Control, Criterion, Verdict
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement
from registry.errors import InvalidInputError, SpaceMismatchError, UndeclaredComparisonError
from registry.galleries.search import search_segments
from tests.compat.workflow.builders import (
    FIRST_QUERY,
    N_CLASSES,
    N_ITEMS,
    N_QUERIES,
    OLD_DIM,
    POLICY,
    World,
    float32,
    stored,
    with_queries,
)
from tests.conftest import declared
from tests.reference.ranking import summed

OWN = "products@1 -> products@1"
CROSS = "products@2 -> products@1"
IVF = " (served: faiss IVF4,Flat)"


def only(
    world: World, probe: Probe, policy: Policy = POLICY, *, dry_run: bool = False
) -> Certificate:
    """Certify the second version on the first one's vectors."""
    made = certify(world.registry, "shop", "products@2", probe, policy, dry_run=dry_run)
    return made[0].certificate


def verdicts(certificate: Certificate) -> dict[str, Verdict]:
    return {control.name: control.found for control in certificate.controls}


def naive(queries: Any, asked: Any, items: Any, labels: Any, dims: int) -> dict[str, float]:
    """Each query against each item, one by one: cut, normalise, rank."""
    scores = [
        summed(
            [
                float(
                    np.dot(q[:dims], x[:dims]) / np.linalg.norm(q[:dims]) / np.linalg.norm(x[:dims])
                )
                for x in items.astype(np.float64)
            ],
            (labels == label).tolist(),
            (1, 5, 10),
        )
        for q, label in zip(queries.astype(np.float64), asked, strict=True)
    ]
    return {
        "mAP": float(np.mean([s.average_precision for s in scores])),
        "hit@1": float(np.mean([s.hit[1] for s in scores])),
        "hit@5": float(np.mean([s.hit[5] for s in scores])),
        "recall@10": float(np.mean([s.recall[10] for s in scores])),
    }


def test_every_cell_is_what_a_double_loop_finds(world: World) -> None:
    probe = world.probe(again=True)
    certificate = only(world, probe)
    ids, old_items = stored(world.registry, world.v1)
    assert probe.reembedded is not None
    items = {world.v1.ref: old_items, world.v2.ref: probe.reembedded.vectors[ids]}
    assert len(certificate.matrix) == 4 + 2 * 3  # with those of mixed galleries, both ways
    for query in (world.v1.ref, world.v2.ref):
        for held in (world.v1.ref, world.v2.ref):
            dims = 16 if query == held == world.v2.ref else OLD_DIM
            vectors = probe.query_vectors[query].vectors
            labels = world.item_classes[ids]
            expected = naive(vectors, world.query_classes, items[held], labels, dims)
            found = certificate.matrix[f"{query} -> {held}"]["all"]
            assert {name: found[name] for name in expected} == pytest.approx(
                expected,
                abs=2e-4,  # float32 may swap two neighbours
            )


def test_a_better_version_is_compatible(world: World) -> None:
    made = certify(world.registry, "shop", world.v2.ref, world.probe(), POLICY)
    (one,) = made
    assert one.is_recorded
    assert not one.is_rollback
    certificate = one.certificate
    assert certificate.verdict is Verdict.COMPATIBLE
    assert certificate.baseline_version == certificate.gallery_version == world.v1.ref
    assert certificate.n_gallery_items == N_ITEMS
    assert certificate.issued_by == "tester"
    assert [(f.metric, f.n_queries, f.n_clusters) for f in certificate.findings] == [
        ("mAP", N_QUERIES, N_CLASSES),
        ("hit@1", N_QUERIES, N_CLASSES),
    ]
    assert certificate.findings[0].difference == pytest.approx(
        certificate.matrix[CROSS]["all"]["mAP"] - certificate.matrix[OWN]["all"]["mAP"]
    )
    assert all(control.is_passed for control in certificate.controls)
    world.registry.promote("shop", world.v2.ref)


@pytest.mark.parametrize("kind", ["random", "rotated"])
def test_a_version_of_another_space_is_incompatible(world: World, kind: str) -> None:
    probe = world.probe()
    vectors = probe.vectors_of(world.v2.ref).vectors
    if kind == "random":
        other = world.rng.normal(size=vectors.shape)
    else:
        other = vectors @ np.linalg.qr(world.rng.normal(size=(16, 16)))[0]
    certificate = only(world, with_queries(probe, world.v2, float32(other)))
    assert certificate.verdict is Verdict.INCOMPATIBLE
    assert all(control.is_passed for control in certificate.controls)


def test_controls_fail_and_pass_as_they_must(world: World) -> None:
    found = only(world, world.probe())
    assert verdicts(found) == {
        "random model": Verdict.INCOMPATIBLE,
        "rotated model": Verdict.INCOMPATIBLE,
        "old model": Verdict.COMPATIBLE,
        "served search": Verdict.COMPATIBLE,
    }
    values = {control.name: control.value for control in found.controls}
    assert values["old model"] == pytest.approx(found.matrix[OWN]["all"]["mAP"])
    assert values["served search"] == pytest.approx(found.matrix[CROSS]["all"]["hit@1"])
    assert values["random model"] < 0.3


def test_a_misbehaving_control_is_inconclusive(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 'random model' that is the candidate itself passes the gate: then the gate is broken."""
    monkeypatch.setattr(pairs, "_random", lambda queries, _rng: queries)
    found = only(world, world.probe())
    assert found.verdict is Verdict.INCONCLUSIVE
    assert all(finding.verdict is Verdict.COMPATIBLE for finding in found.findings)


def test_an_old_model_that_is_chance_has_no_failing_control(world: World) -> None:
    """If the baseline itself is chance, a random model is no worse: nothing can be shown."""
    probe = with_queries(
        world.probe(), world.v1, float32(world.rng.normal(size=(N_QUERIES, OLD_DIM)))
    )
    found = only(world, probe)
    assert verdicts(found)["random model"] is not Verdict.INCOMPATIBLE
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_served_search_that_misses_is_inconclusive(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = search_segments

    def blind(*given: Any) -> Any:
        hits = true(*given)
        return replace(hits, ids=np.full_like(hits.ids, -1))

    monkeypatch.setattr(served_search, "search_segments", blind)
    found = only(world, world.probe())
    (served,) = [c for c in found.controls if c.name == "served search"]
    assert served == Control("served search", Verdict.COMPATIBLE, Verdict.INCONCLUSIVE, 0.0)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_the_gallerys_own_index_has_cells_of_its_own(world: World, registry: Registry) -> None:
    ids, vectors = stored(registry, world.v1)
    approximate = IndexSpec("faiss", "IVF4,Flat", {"nprobe": 1})
    for name, spec in (("flat", IndexSpec("faiss", "Flat")), ("ivf", approximate)):
        registry.galleries.create(name, world.v1.ref, index=spec)
        registry.add(name, Embeddings(ids, vectors, world.v1))
        registry.galleries.seal(name)
    probe = world.probe()
    exact, served = (
        certify(registry, name, "products@2", probe, POLICY)[0].certificate
        for name in ("flat", "ivf")
    )
    assert set(exact.matrix) == {OWN, CROSS}
    assert set(served.matrix) == {cell + end for cell in (OWN, CROSS) for end in ("", IVF)}
    assert exact.matrix == {cell: served.matrix[cell] for cell in (OWN, CROSS)}
    for cell in (OWN, CROSS):
        found = served.matrix[cell + IVF]["all"]
        assert set(found) == {"hit@1", "hit@5", "recall@10"}
        assert 0 < found["recall@10"] < served.matrix[cell]["all"]["recall@10"]
    (limit,) = [line for line in served.limits if "exact search" in line]
    assert limit.endswith("'served: faiss IVF4,Flat'.")
    assert "Metrics are of exact search, which the gallery's own search is." in exact.limits


def test_mixed_galleries_are_measured_where_items_are_embedded_again(world: World) -> None:
    certificate = only(world, world.probe(again=True))
    means = {cell: groups["all"]["mAP"] for cell, groups in certificate.matrix.items()}
    mixed = [f"products@2 -> mixed {share}%" for share in (25, 50, 75)]
    assert set(means) >= set(mixed)
    (limit,) = [line for line in certificate.limits if "mixed" in line.lower()]
    lowest = min(mixed, key=means.__getitem__)
    assert f"{lowest!r} has the lowest mAP: {means[lowest]:.4f}, where products@1" in limit
    assert f"has {means[OWN]:.4f}." in limit
    (limit,) = [line for line in only(world, world.probe()).limits if "mixed" in line.lower()]
    assert "were not measured" in limit


def test_a_query_that_is_an_item_does_not_find_itself(world: World) -> None:
    """Leave-one-out: the items themselves are the queries, by both versions."""
    ids, vectors = stored(world.registry, world.v1)
    again = world.again()
    queries = {
        world.v1.ref: Embeddings(ids, vectors, world.v1),
        world.v2.ref: Embeddings(ids, again.vectors[ids], world.v2),
    }
    labels = Labels(ids, world.item_classes[ids])
    probe = Probe(labels, queries, Labels(np.arange(N_ITEMS), world.item_classes))
    found = only(world, probe)
    scores = [
        summed(
            [
                float(np.dot(q, x) / np.linalg.norm(q) / np.linalg.norm(x))
                for x in np.delete(vectors, i, axis=0).astype(np.float64)
            ],
            (np.delete(labels.labels, i) == labels.labels[i]).tolist(),
            (1,),
        )
        for i, q in enumerate(vectors.astype(np.float64))
    ]
    own = found.matrix[OWN]["all"]
    assert own["mAP"] == pytest.approx(np.mean([s.average_precision for s in scores]))
    assert own["hit@1"] == pytest.approx(np.mean([s.hit[1] for s in scores]))
    assert own["hit@1"] < 1
    (limit,) = [line for line in found.limits if "left out of its own ranking" in line]
    assert limit.startswith(f"{N_ITEMS} queries are items of the gallery")
    values = {control.name: control.value for control in found.controls}
    assert values["served search"] == pytest.approx(found.matrix[CROSS]["all"]["hit@1"])


def test_an_item_that_is_alone_in_its_class_cannot_be_asked_for_by_itself(world: World) -> None:
    ids, vectors = stored(world.registry, world.v1)
    lonely = np.arange(N_ITEMS)
    queries = {
        world.v1.ref: Embeddings(ids, vectors, world.v1),
        world.v2.ref: Embeddings(ids, world.again().vectors, world.v2),
    }
    probe = Probe(Labels(ids, lonely), queries, Labels(ids, lonely))
    with pytest.raises(InvalidInputError, match=r"no relevant item .* with label 0 other than its"):
        only(world, probe)


def test_deleted_items_are_not_measured(world: World) -> None:
    before = only(world, world.probe())
    gone = np.arange(0, N_ITEMS, 3)  # the first of each class
    world.registry.galleries.delete("shop", gone)
    probe = world.probe()
    found = only(world, probe)
    ids, items = stored(world.registry, world.v1)
    assert not set(ids) & set(gone)
    assert found.n_gallery_items == N_ITEMS - len(gone) == len(ids)
    queries = probe.vectors_of(world.v1.ref).vectors
    expected = naive(queries, world.query_classes, items, world.item_classes[ids], OLD_DIM)
    assert found.matrix[OWN]["all"] == pytest.approx(expected)
    assert found.gallery_digest != before.gallery_digest


def test_which_items_are_deleted_counts_in_the_gallerys_digest(world: World) -> None:
    world.registry.galleries.delete("shop", np.array([0]))
    first = only(world, world.probe()).gallery_digest
    assert only(world, world.probe()).gallery_digest == first
    other = world.registry.galleries.get("shop").segments[0].n_deleted
    assert other == 1
    world.registry.galleries.delete("shop", np.array([1]))
    assert only(world, world.probe()).gallery_digest != first


def third(world: World) -> Any:
    """Promote the second version, add its items, and register a third one compatible with both."""
    from registry import Contract, ContractKind, Parent
    from tests.compat.workflow.builders import space

    registry = world.registry
    only(world, world.probe())
    registry.promote("shop", world.v2.ref)
    more = np.arange(N_ITEMS) + 500
    registry.add("shop", Embeddings(more, world.new(world.item_classes), world.v2))
    parent = Parent(world.v2.ref, "again", Contract(ContractKind.PREFIX, 16))
    return registry.models.register_vectors(
        "products", space(16), {"made_by": "three"}, parents=(parent,)
    ).version


def test_a_mixed_gallery_is_certified_against_each_version(world: World) -> None:
    v3 = third(world)
    base = world.probe()
    ids = base.queries.ids
    labels = Labels(
        np.concatenate([np.arange(N_ITEMS), np.arange(N_ITEMS) + 500]),
        np.tile(world.item_classes, 2),
    )
    vectors = {**base.query_vectors, v3.ref: Embeddings(ids, world.new(world.query_classes), v3)}
    probe = Probe(base.queries, vectors, labels)
    made = certify(world.registry, "shop", v3.ref, probe, POLICY)
    assert [str(m.certificate.gallery_version) for m in made] == ["products@1", "products@2"]
    assert [m.certificate.contract.dims for m in made] == [OLD_DIM, 16]
    assert [m.certificate.n_gallery_items for m in made] == [N_ITEMS, N_ITEMS]
    assert [m.certificate.baseline_version for m in made] == [world.v1.ref, world.v2.ref]
    assert made[0].certificate.verdict is Verdict.COMPATIBLE


def test_the_way_back_is_certified_only_with_reembedded_items(world: World) -> None:
    without = certify(world.registry, "shop", world.v2.ref, world.probe(), POLICY)
    assert [m.is_rollback for m in without] == [False]
    assert "The way back" in without[0].certificate.limits[-1]
    made = certify(world.registry, "shop", world.v2.ref, world.probe(again=True), POLICY)
    assert [m.is_rollback for m in made] == [False, True]
    back = made[1].certificate
    assert (back.query_version, back.gallery_version) == (world.v1.ref, world.v2.ref)
    assert back.baseline_version == world.v1.ref
    assert back.matrix == made[0].certificate.matrix
    assert "served search" not in verdicts(back)
    assert back.verdict is Verdict.COMPATIBLE


def test_a_certified_way_back_hides_nothing(world: World) -> None:
    registry = world.registry
    certify(registry, "shop", world.v2.ref, world.probe(again=True), POLICY)
    registry.promote("shop", world.v2.ref)
    new = Embeddings(np.arange(50) + 5000, world.new(world.item_classes)[:50], world.v2)
    registry.add("shop", new)
    assert registry.rollback("shop").lost == {}
    hits = registry.search("shop", Embeddings.numbered(world.old(np.arange(3)), world.v1), 170)
    assert set(np.unique(hits.versions)) == {1, 2}


def test_reembedded_items_are_found_by_id_in_any_order(world: World) -> None:
    probe = world.probe(again=True)
    again = probe.reembedded
    assert again is not None
    order = np.random.default_rng(1).permutation(N_ITEMS)
    shuffled = Embeddings(again.ids[order], again.vectors[order], world.v2)
    found = [only(world, replace(probe, reembedded=e)).matrix for e in (again, shuffled)]
    assert found[0] == found[1]
    fewer = Embeddings(again.ids[1:], again.vectors[1:], world.v2)
    with pytest.raises(InvalidInputError, match=r"1 of 120 items .* for example 0"):
        only(world, replace(probe, reembedded=fewer))


def test_groups_are_decided_apart_and_one_that_fails_decides(world: World) -> None:
    groups = np.where(np.arange(N_QUERIES) % 2 == 0, "big", "small")
    probe = world.probe(groups=groups)
    rules = replace(POLICY, requirements=(Requirement("hit@1", Criterion.NON_INFERIORITY, 0.2),))
    good = only(world, probe, rules)
    assert good.verdict is Verdict.COMPATIBLE
    assert set(good.matrix[CROSS]) == {"all", "big", "small"}
    assert {f.n_queries for f in good.findings} == {N_QUERIES // 2}
    vectors = probe.vectors_of(world.v2.ref).vectors.copy()
    vectors[groups == "small"] = world.rng.normal(size=(N_QUERIES // 2, 16))
    bad = only(world, with_queries(probe, world.v2, vectors), rules)
    assert {f.group: f.verdict for f in bad.findings} == {
        "big": Verdict.COMPATIBLE,
        "small": Verdict.INCOMPATIBLE,
    }
    assert bad.verdict is Verdict.INCOMPATIBLE
    every = np.mean([bad.matrix[CROSS][g]["mAP"] for g in ("big", "small")])
    assert bad.matrix[CROSS]["all"]["mAP"] == pytest.approx(every)


def test_classes_of_unequal_size_count_once_each_and_the_certificate_says_so(world: World) -> None:
    balanced = only(world, world.probe()).limits
    assert not [limit for limit in balanced if "counting once" in limit]
    classes = world.query_classes.copy()
    classes[: N_QUERIES // 4] = 0
    unequal = replace(world, query_classes=classes)
    found = only(unequal, unequal.probe())
    assert found.verdict is not Verdict.INCOMPATIBLE
    (said,) = [limit for limit in found.limits if "counting once" in limit]
    assert "the matrix holds means over queries" in said
    assert "each class counting once" in found.statement
    first = found.findings[0]
    assert first.n_clusters == N_CLASSES * 3 // 4 + 1
    assert first.candidate != pytest.approx(found.matrix[CROSS]["all"]["mAP"], abs=1e-4)


def test_a_group_of_too_few_classes_is_undecided_and_the_certificate_says_so(world: World) -> None:
    groups = np.where(world.query_classes < 9, "rare", "usual")
    found = only(world, world.probe(groups=groups), replace(POLICY, min_units=10))
    assert {f.verdict for f in found.findings if f.group == "rare"} == {Verdict.INCONCLUSIVE}
    assert found.verdict is Verdict.INCONCLUSIVE
    assert all(control.is_passed for control in found.controls)
    assert found.limits[-1].startswith("Group 'rare' has 9 independent units, fewer than the 10")


def test_every_ranking_metric_may_be_required(world: World) -> None:
    metrics = ("mAP", "MRR", "mAP@R", "hit@7", "recall@3", "nDCG@20", "kept@2")
    rules = tuple(Requirement(metric, Criterion.NON_INFERIORITY, 0.15) for metric in metrics)
    certificate = only(world, world.probe(), replace(POLICY, requirements=rules))
    assert certificate.verdict is Verdict.COMPATIBLE
    assert [finding.metric for finding in certificate.findings] == list(metrics)
    values = {finding.metric: finding.candidate for finding in certificate.findings}
    assert len(set(values.values())) == len(metrics)


def test_the_unit_may_be_the_query(world: World) -> None:
    by_class = only(world, world.probe())
    by_query = only(world, world.probe(), replace(POLICY, unit="query"))
    assert {f.n_clusters for f in by_class.findings} == {N_CLASSES}
    assert {f.n_clusters for f in by_query.findings} == {N_QUERIES}
    assert by_query.policy["unit"] == "query"


def test_the_same_inputs_give_the_same_findings(world: World) -> None:
    probe = world.probe(again=True)
    first, second = (certify(world.registry, "shop", "products@2", probe, POLICY) for _ in "ab")
    for one, other in zip(first, second, strict=True):
        a, b = one.certificate.to_json(), other.certificate.to_json()
        changed = {name for name in a if a[name] != b[name]}
        assert changed <= {"issued_at", "expires_at"}
        assert a["evidence_digest"] == b["evidence_digest"]


def test_another_seed_moves_the_bounds_a_little(world: World) -> None:
    probe = world.probe()
    a, b = (only(world, probe, replace(POLICY, seed=seed)) for seed in (0, 1))
    assert a.findings[0].difference == b.findings[0].difference
    assert a.findings[0].low != b.findings[0].low
    assert a.findings[0].low == pytest.approx(b.findings[0].low, abs=0.05)


def test_a_dry_run_records_nothing(world: World) -> None:
    events = world.registry.audit()
    files = sorted(p for p in world.registry.storage.rglob("*") if "samespace.db" not in p.name)
    (found,) = certify(world.registry, "shop", "products@2", world.probe(), POLICY, dry_run=True)
    assert found.certificate.verdict is Verdict.COMPATIBLE
    assert not found.is_recorded
    assert world.registry.audit() == events
    assert world.registry.certificates.of_gallery("shop") == ()
    again = sorted(p for p in world.registry.storage.rglob("*") if "samespace.db" not in p.name)
    assert again == files


def test_digests_name_exactly_what_the_certificate_rests_on(world: World) -> None:
    probe = world.probe(groups=np.full(N_QUERIES, "g"))
    certificate = only(world, probe)
    assert world.registry.certificates.get(certificate.digest[:10]) == certificate
    assert Certificate.from_json(certificate.to_json()).digest == certificate.digest
    (path,) = (world.registry.storage / "certificates" / "shop").iterdir()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == certificate.evidence_digest
    table = pq.read_table(path)
    means = {
        name: table.column(f"{CROSS} | {name}").to_numpy().mean()
        for name in ("mAP", "hit@1", "hit@5", "recall@10", "guaranteed@1")
    }
    assert certificate.matrix[CROSS]["all"] == pytest.approx(means)
    assert table.column("query").to_pylist()[0] == str(FIRST_QUERY)
    moved = world.probe().vectors_of(world.v2.ref).vectors
    assert (
        only(world, with_queries(probe, world.v2, moved)).probe_digest != certificate.probe_digest
    )


def test_string_ids_and_labels_do_as_well(world: World, registry: Registry) -> None:
    names = np.array([f"item-{i}" for i in range(N_ITEMS)], dtype=object)
    registry.galleries.create("texts", world.v1.ref)
    ids, vectors = stored(registry, world.v1)
    registry.add("texts", Embeddings(names[ids], vectors, world.v1))
    probe = world.probe()
    words = np.array([f"class-{c}" for c in world.query_classes], dtype=object)
    labels = np.array([f"class-{c}" for c in world.item_classes])
    texts = Probe(Labels(probe.queries.ids, words), probe.query_vectors, Labels(names, labels))
    found = certify(registry, "texts", "products@2", texts, POLICY)[0].certificate
    assert found.matrix == only(world, probe).matrix
    assert found.verdict is Verdict.COMPATIBLE


def test_wrong_probes_are_refused_and_record_nothing(world: World) -> None:
    probe = world.probe()
    events = world.registry.audit()
    other = replace(world.v2, fingerprint="declared:" + "0" * 64)
    ids = probe.queries.ids
    wrong: list[tuple[Probe, type[Exception], str]] = [
        (
            replace(probe, query_vectors={world.v2.ref: probe.vectors_of(world.v2.ref)}),
            InvalidInputError,
            "no queries embedded by products@1",
        ),
        (
            replace(
                probe,
                query_vectors={
                    **probe.query_vectors,
                    world.v2.ref: Embeddings(ids, world.new(world.query_classes), other),
                },
            ),
            SpaceMismatchError,
            "carry another fingerprint",
        ),
        (
            replace(probe, gallery_labels=Labels(np.arange(5), np.zeros(5, np.int64))),
            InvalidInputError,
            "115 of 120 items of gallery 'shop' have no label, for example 5",
        ),
        (
            replace(probe, queries=Labels(ids, np.full(N_QUERIES, 99))),
            InvalidInputError,
            "80 of 80 queries have no relevant item",
        ),
        (
            replace(probe, reembedded=Embeddings(np.arange(3), world.new(np.arange(3)), other)),
            SpaceMismatchError,
            "carry another fingerprint",
        ),
    ]
    for bad, kind, words in wrong:
        with pytest.raises(kind, match=words):
            only(world, bad)
    assert world.registry.audit() == events


def test_an_undeclared_pair_is_refused(world: World) -> None:
    unrelated = declared(world.registry, "products", "unrelated", dim=16)
    probe = world.probe()
    vectors = {
        **probe.query_vectors,
        unrelated.ref: Embeddings(probe.queries.ids, world.new(world.query_classes), unrelated),
    }
    with pytest.raises(UndeclaredComparisonError, match="nobody declared how products@3"):
        certify(world.registry, "shop", unrelated.ref, replace(probe, query_vectors=vectors))


def test_what_is_already_there_needs_no_certificate(world: World) -> None:
    with pytest.raises(InvalidInputError, match="holds no vectors of another version"):
        certify(world.registry, "shop", VersionRef("products", 1), world.probe(), POLICY)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"n_resamples": 10}, "n_resamples must be at least 200"), ({"seed": -1}, "seed")],
)
def test_a_policy_that_cannot_be_followed_is_refused(
    world: World, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        only(world, world.probe(), replace(POLICY, **change))


def test_a_policy_may_name_any_k(world: World) -> None:
    rules = replace(POLICY, requirements=(Requirement("recall@7", Criterion.SUPERIORITY),))
    found = only(world, world.probe(), rules)
    assert [f.metric for f in found.findings] == ["recall@7"]


def test_a_newer_refusal_speaks_for_the_pair(world: World) -> None:
    probe = world.probe()
    assert only(world, probe).verdict is Verdict.COMPATIBLE
    bad = with_queries(probe, world.v2, float32(world.rng.normal(size=(N_QUERIES, 16))))
    assert only(world, bad).verdict is Verdict.INCOMPATIBLE
    with pytest.raises(Exception, match="it says INCOMPATIBLE"):
        world.registry.promote("shop", world.v2.ref, PromotionOptions(dry_run=True))


def test_certifying_needs_no_torch() -> None:
    program = """
import sys
for name in ("torch", "scipy", "mlflow"):
    sys.modules[name] = None
import compat, tempfile
import numpy as np
from compat.workflow.certifying import certify
from registry import Registry
from tests.compat.workflow.builders import POLICY, make_world
with Registry.create(tempfile.mkdtemp()) as registry:
    world = make_world(registry)
    (made,) = certify(registry, "shop", "products@2", world.probe(), POLICY)
    print(made.certificate.verdict)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert (ended.stdout, ended.stderr) == ("COMPATIBLE\n", "")


def test_paired_scores_keep_every_query(world: World) -> None:
    """The gate sees per-query numbers, never means."""
    probe = world.probe()
    seen: list[PairedScores] = []
    true = find

    def watch(scores: PairedScores, policy: Policy) -> Any:
        seen.append(scores)
        return true(scores, policy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "find", watch)
        only(world, probe, dry_run=True)
    assert all(len(s.candidate["mAP"]) == N_QUERIES for s in seen)


def test_items_that_come_while_it_is_measured_were_not_measured(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, write = world.registry, certifying.write_evidence  # type: ignore[attr-defined]  # what it imports is replaced

    def meanwhile(*given: Any) -> tuple[bytes, str]:
        registry.galleries.delete("shop", np.arange(60))
        items = world.old(world.item_classes[:60])
        registry.add("shop", Embeddings(np.arange(60) + 9000, items, world.v1))
        return write(*given)

    monkeypatch.setattr(certifying, "write_evidence", meanwhile)
    made = only(world, world.probe())
    assert (made.n_gallery_items, made.n_gallery_rows) == (N_ITEMS, N_ITEMS)
    (state,) = registry.certificates.of_gallery("shop")
    assert state.staleness == f"60 items came that were not among the {N_ITEMS} measured ones"


def test_a_way_back_that_is_certified_after_a_rollback_counts(world: World) -> None:
    registry = world.registry
    certify(registry, "shop", world.v2.ref, world.probe(), POLICY)
    registry.promote("shop", world.v2.ref)
    new = Embeddings(np.arange(50) + 5000, world.new(world.item_classes)[:50], world.v2)
    registry.add("shop", new)
    registry.rollback("shop", accept_loss=True)
    registry.galleries.delete("shop", new.ids[:20])
    uncounted = replace(POLICY, attempts=UNCOUNTED)
    certify(registry, "shop", world.v2.ref, world.probe(again=True), uncounted)
    registry.promote("shop", world.v2.ref)
    assert registry.rollback("shop").lost == {}
