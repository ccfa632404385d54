"""Queries that were trained on, and classes that were, from the registry to the certificate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compat.evaluation.qrels import Qrels
from compat.evidence import read_evidence
from compat.leakage import TrainingItems
from compat.probes import Labels, Probe
from compat.replay import replay
from compat.workflow.certifying import Certification, certify
from registry import Embeddings
from registry.domain.canonical import canonical_json
from registry.domain.certificates import Certificate, Verdict
from registry.domain.policies import Policy
from registry.errors import InvalidInputError, NotCertifiedError, SpaceMismatchError
from tests.compat.workflow.builders import (
    FIRST_QUERY,
    N_CLASSES,
    N_QUERIES,
    NEW_DIM,
    POLICY,
    World,
    float32,
)

SEEN, UNSEEN = "seen classes", "unseen classes"
HALF = np.arange(N_CLASSES // 2)


def certified(
    world: World,
    training: TrainingItems | None,
    policy: Policy = POLICY,
    probe: Probe | None = None,
) -> tuple[Certification, ...]:
    asked = probe or world.probe()
    return certify(world.registry, "shop", "products@2", asked, policy, training=training)


def items(world: World, *blocks: Any, **more: Any) -> TrainingItems:
    """200 items of the second version's own, and what is planted behind them."""
    others = world.new(world.rng.integers(0, N_CLASSES, 200))
    return TrainingItems(
        vectors=[others, *map(float32, blocks)], fingerprint=world.v2.fingerprint, **more
    )


def replayed(one: Certification) -> Certificate:
    """The same certificate from its evidence alone, byte for byte."""
    made = one.certificate
    evidence = read_evidence(one.evidence, made.evidence_digest, "it")
    again = replay(made, evidence)
    assert again.difference is None
    assert canonical_json(again.certificate.to_json()) == canonical_json(made.to_json())
    return again.certificate


def leakage(certificate: Certificate) -> tuple[float, Verdict]:
    (control,) = [c for c in certificate.controls if c.name == "no leakage"]
    return control.value, control.found


def limits(certificate: Certificate) -> str:
    return " ".join(certificate.limits)


# --- leakage


def test_without_training_data_there_is_no_control_and_that_is_said(world: World) -> None:
    (one,) = certified(world, None)
    assert "no leakage" not in {c.name for c in one.certificate.controls}
    assert "Leakage was not checked: no training data were given" in limits(one.certificate)
    assert (one.leaks, one.certificate.training) == (None, {})
    (other,) = certified(world, TrainingItems(classes=HALF))
    assert "Leakage was not checked: no training data were given" in limits(other.certificate)


def test_clean_queries_pass(world: World) -> None:
    (one,) = certified(world, items(world))
    assert leakage(one.certificate) == (0.0, Verdict.COMPATIBLE)
    assert one.certificate.verdict is Verdict.COMPATIBLE
    said = limits(one.certificate)
    assert f"0 of {N_QUERIES} queries are in the training data, by a vector of cosine" in said
    assert "200 training items that were given are what products@2 was trained on was taken" in said
    assert one.certificate.training["n_items"] == 200
    assert one.leaks is not None
    assert not one.leaks.leaks
    replayed(one)
    world.registry.promote("shop", "products@2")


def test_planted_copies_leave_it_undecided_and_nothing_is_promoted(world: World) -> None:
    probe = world.probe()
    planted = probe.vectors_of(world.v2.ref).vectors[[3, 17]] * 2
    (one,) = certified(world, items(world, planted), probe=probe)
    assert leakage(one.certificate) == (2 / N_QUERIES, Verdict.INCONCLUSIVE)
    assert one.certificate.verdict is Verdict.INCONCLUSIVE
    assert {f.verdict for f in one.certificate.findings} == {Verdict.COMPATIBLE}
    assert one.leaks is not None
    assert [leak.query for leak in one.leaks.leaks] == [f"{FIRST_QUERY + row}" for row in (3, 17)]
    assert f"2 of {N_QUERIES} queries are in the training data" in limits(one.certificate)
    replayed(one)
    with pytest.raises(NotCertifiedError, match="INCONCLUSIVE"):
        world.registry.promote("shop", "products@2")


def test_a_planted_id_is_enough_and_a_policy_may_accept_some(world: World) -> None:
    ids = TrainingItems(ids=np.array([5, FIRST_QUERY + 9]))
    (one,) = certified(world, ids)
    assert leakage(one.certificate) == (1 / N_QUERIES, Verdict.INCONCLUSIVE)
    assert "by id only: no training vectors" in limits(one.certificate)
    (other,) = certified(world, ids, replace(POLICY, max_leaked=0.05))
    assert leakage(other.certificate) == (1 / N_QUERIES, Verdict.COMPATIBLE)
    assert other.certificate.verdict is Verdict.COMPATIBLE
    for made in (one, other):
        replayed(made)


def test_the_threshold_is_the_policys_and_replay_asks_it_again(world: World) -> None:
    probe = world.probe()
    mine = probe.vectors_of(world.v2.ref).vectors[:1]
    near = mine + 0.1 * world.new(np.zeros(1, np.int64), 1.0)
    (one,) = certified(world, items(world, near), probe=probe)
    (strict,) = certified(
        world, items(world, near), replace(POLICY, near_duplicate=0.95), probe=probe
    )
    assert leakage(one.certificate)[0] == 0
    assert leakage(strict.certificate)[0] > 0
    replayed(strict)
    evidence = read_evidence(strict.evidence, strict.certificate.evidence_digest, "it")
    lenient = {**strict.certificate.policy, "near_duplicate": 1.0}
    found = replay(replace(strict.certificate, policy=lenient), evidence)
    assert str(found.difference).startswith("controls, 5 (no leakage), found: the certificate says")


def test_the_control_stands_on_the_way_back_too(world: World) -> None:
    probe = world.probe(again=True)
    planted = probe.vectors_of(world.v2.ref).vectors[:1]
    made = certified(world, items(world, planted), probe=probe)
    assert [one.is_rollback for one in made] == [False, True]
    for one in made:
        assert leakage(one.certificate) == (1 / N_QUERIES, Verdict.INCONCLUSIVE)
        replayed(one)


def test_evidence_that_hides_a_leak_or_the_search_for_it_is_found(world: World) -> None:
    probe = world.probe()
    planted = probe.vectors_of(world.v2.ref).vectors[:1]
    (one,) = certified(world, items(world, planted), probe=probe)
    evidence = read_evidence(one.evidence, one.certificate.evidence_digest, "it")
    found = evidence.planted["no leakage"]
    hidden = {**found, "nearest cosine": np.minimum(found["nearest cosine"], 0.9)}
    for planted_now, says in (
        ({**evidence.planted, "no leakage": hidden}, "controls, 5 (no leakage), found"),
        (
            {name: of for name, of in evidence.planted.items() if name != "no leakage"},
            "controls, 5 (no leakage): only the certificate has it",
        ),
    ):
        again = replay(one.certificate, replace(evidence, planted=planted_now))
        assert str(again.difference).startswith(says)
    broken = {**found, "nearest cosine": np.full(N_QUERIES, np.nan)}
    with pytest.raises(InvalidInputError, match="cannot be judged: what was found in the training"):
        replay(
            one.certificate,
            replace(evidence, planted={**evidence.planted, "no leakage": broken}),
        )


def test_training_vectors_of_another_version_are_refused(world: World) -> None:
    other = TrainingItems(vectors=[world.new(HALF)], fingerprint=world.v1.fingerprint)
    with pytest.raises(SpaceMismatchError, match="the training vectors carry the fingerprint"):
        certified(world, other)
    assert world.registry.certificates.of_gallery("shop") == ()


# --- seen and unseen classes


def test_seen_and_unseen_classes_are_groups(world: World) -> None:
    (one,) = certified(world, TrainingItems(classes=HALF))
    made = one.certificate
    assert {f.group for f in made.findings} == {SEEN, UNSEEN}
    assert len(made.findings) == 2 * len(POLICY.requirements)
    assert {f.n_clusters for f in made.findings} == {N_CLASSES // 2}
    assert all(set(by_group) == {"all", SEEN, UNSEEN} for by_group in made.matrix.values())
    replayed(one)


def test_what_is_lost_on_unseen_classes_alone_is_not_hidden_in_the_whole(world: World) -> None:
    """A candidate that learnt its own classes by heart and nothing else."""
    probe = world.probe()
    vectors = probe.vectors_of(world.v2.ref).vectors.copy()
    unseen = ~np.isin(probe.queries.labels, HALF)
    noise = world.rng.normal(size=(int(unseen.sum()), NEW_DIM))
    vectors[unseen] = float32(noise)
    known = float32(world.centres[probe.queries.labels[~unseen]])
    vectors[~unseen] = known + 0.01 * vectors[~unseen]
    asked = replace(
        probe,
        query_vectors={
            **probe.query_vectors,
            world.v2.ref: Embeddings(probe.vectors_of(world.v2.ref).ids, vectors, world.v2),
        },
    )
    rules = replace(POLICY, requirements=POLICY.requirements[1:], n_resamples=3000)
    (apart,) = certified(world, TrainingItems(classes=HALF), rules, asked)
    verdicts = {f.group: f.verdict for f in apart.certificate.findings}
    assert verdicts == {SEEN: Verdict.COMPATIBLE, UNSEEN: Verdict.INCOMPATIBLE}
    assert [c.name for c in apart.certificate.controls if not c.is_passed] == []
    assert apart.certificate.verdict is Verdict.INCOMPATIBLE
    replayed(apart)


def test_labels_are_compared_whatever_kind_of_name_they_are(world: World) -> None:
    (one,) = certified(world, TrainingItems(classes=HALF.astype(str).astype(object)))
    assert {f.group for f in one.certificate.findings} == {SEEN, UNSEEN}


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (np.arange(N_CLASSES), "Every query's class was trained on: how it does on unseen classes"),
        (np.array(["cat"]), "No query's class was trained on, by its label: how it does on seen"),
    ],
)
def test_one_kind_of_classes_alone_is_said(world: World, classes: Any, says: str) -> None:
    (one,) = certified(world, TrainingItems(classes=classes))
    assert {f.group for f in one.certificate.findings} == {"all"}
    assert says in limits(one.certificate)
    replayed(one)


def test_beside_declared_groups_they_stand_in_the_matrix_only(world: World) -> None:
    probe = world.probe(groups=np.arange(N_QUERIES) // 20 % 2)
    (one,) = certified(world, TrainingItems(classes=HALF), probe=probe)
    made = one.certificate
    assert {f.group for f in made.findings} == {"0", "1"}
    assert all(set(by) == {"all", "0", "1", SEEN, UNSEEN} for by in made.matrix.values())
    assert "Seen classes and unseen classes stand apart in the matrix only: requi" in limits(made)
    replayed(one)


def test_declared_groups_that_tell_them_apart_are_named(world: World) -> None:
    groups = np.where(np.isin(world.query_classes, HALF), "mine", "new")
    (one,) = certified(world, TrainingItems(classes=HALF), probe=world.probe(groups=groups))
    made = one.certificate
    assert all(set(by) == {"all", "mine", "new"} for by in made.matrix.values())
    assert "Group 'mine' is the seen classes; group 'new' is the unseen classes." in limits(made)
    replayed(one)


def test_a_group_of_too_few_classes_is_undecided(world: World) -> None:
    (one,) = certified(world, TrainingItems(classes=HALF[:5]))
    assert {f.group: f.verdict for f in one.certificate.findings} == {
        SEEN: Verdict.INCONCLUSIVE,
        UNSEEN: Verdict.COMPATIBLE,
    }
    assert "Group 'seen classes' has 5 independent units" in limits(one.certificate)


def test_judged_queries_have_no_classes(world: World) -> None:
    labelled = world.probe()
    ids = labelled.queries.ids
    relevant = np.flatnonzero(np.arange(N_CLASSES).repeat(3) == 0)
    pairs = [(q, i) for q in ids.tolist() for i in relevant.tolist()]
    qrels = Qrels(
        np.array([q for q, _ in pairs]), np.array([i for _, i in pairs]), np.ones(len(pairs))
    )
    probe = replace(labelled, queries=Labels.judged(ids, qrels), gallery_labels=None)
    with pytest.raises(InvalidInputError, match="carry judgements, so they have no classes"):
        certified(world, TrainingItems(classes=HALF), probe=probe)
    (one,) = certified(world, items(world), probe=probe)
    assert leakage(one.certificate)[0] == 0
    assert "classes" not in limits(one.certificate).replace("means over classes", "")
