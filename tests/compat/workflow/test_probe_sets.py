"""Registering questions of the world, and certifying on what was registered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compat.evaluation.qrels import Qrels
from compat.probe_files import Questions, digest_content
from compat.probes import Labels, Probe
from compat.workflow.certifying import certify
from compat.workflow.probe_sets import (
    next_level,
    questions_for,
    read_set,
    register_questions,
)
from registry import Embeddings
from registry.domain.events import EventKind
from registry.domain.policies import Policy
from registry.errors import AlreadyExistsError, DigestMismatchError, InvalidInputError
from tests.compat.workflow.builders import (
    FIRST_QUERY,
    ITEMS_EACH,
    N_CLASSES,
    N_ITEMS,
    N_QUERIES,
    POLICY,
    World,
)

IDS = np.arange(N_QUERIES) + FIRST_QUERY


def labelled(world: World, groups: Any = None) -> Questions:
    return Questions(
        Labels(IDS, world.query_classes, groups), Labels(np.arange(N_ITEMS), world.item_classes)
    )


def judged(world: World) -> Questions:
    pairs = [
        (query, item)
        for query, of_query in zip(IDS.tolist(), world.query_classes.tolist(), strict=True)
        for item, of_item in enumerate(world.item_classes.tolist())
        if of_query == of_item
    ]
    queries, items = map(np.array, zip(*pairs, strict=True))
    return Questions(Labels.judged(IDS, Qrels(queries, items, np.ones(len(pairs)))), None)


def registered(world: World, questions: Questions, name: str = "spring") -> Probe:
    """A probe that asks what is registered under a name."""
    assert register_questions(world.registry, name, "shop", questions).is_new
    found, kept = questions_for(world.registry, name, "shop")
    vectors = world.probe().query_vectors
    return Probe(kept.queries, vectors, kept.items, probe_set=found)


def test_what_is_registered_is_what_is_asked(world: World) -> None:
    groups = np.array(["new", "old"])[np.arange(N_QUERIES) % 2]
    questions = labelled(world, groups)
    assert register_questions(world.registry, "spring", "shop", questions).is_new
    found, kept = read_set(world.registry, "spring")
    assert found.facts.n_queries == N_QUERIES
    assert found.facts.digest == digest_content(questions) == digest_content(kept)
    assert {g: len(rows) for g, rows in kept.queries.by_group.items()} == {
        "new": N_QUERIES // 2,
        "old": N_QUERIES // 2,
    }


def test_the_same_again_is_the_same_and_other_content_is_refused(world: World) -> None:
    registry, questions = world.registry, labelled(world)
    assert register_questions(registry, "spring", "shop", questions, dry_run=True).is_new
    assert registry.probes.list() == ()
    assert register_questions(registry, "spring", "shop", questions).is_new
    assert not register_questions(registry, "spring", "shop", questions).is_new
    assert not register_questions(registry, "spring", "shop", questions, dry_run=True).is_new
    other = labelled(world, np.array(["all of them"] * N_QUERIES))
    for dry_run in (False, True):
        with pytest.raises(AlreadyExistsError, match="with the same queries and other groups"):
            register_questions(registry, "spring", "shop", other, dry_run=dry_run)
    assert len([e for e in registry.audit() if e.kind is EventKind.PROBE_REGISTERED]) == 1


def with_items(world: World, **changes: Any) -> Questions:
    items = Labels(np.arange(N_ITEMS), world.item_classes)
    return Questions(Labels(IDS, world.query_classes), replace(items, **changes))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: with_items(w, ids=np.arange(N_ITEMS) + 7), "7 of 120 items .* have no label"),
        (
            lambda w: with_items(w, labels=np.full(N_ITEMS, 3)),
            "all items of gallery 'shop' have one label, 3",
        ),
        (
            lambda w: replace(labelled(w), queries=Labels(IDS, w.query_classes + 1)),
            r"2 of 80 queries have no relevant item .* with label 40",
        ),
        (
            lambda w: replace(labelled(w), queries=Labels(IDS // 2, w.query_classes)),
            "40 ids name several queries, for example 500",
        ),
        (
            lambda w: replace(labelled(w), queries=Labels(IDS[:0], w.query_classes[:0])),
            "there are no queries",
        ),
        (
            lambda _: Questions(
                Labels.judged(IDS, Qrels(IDS, IDS - FIRST_QUERY + 999, np.ones(N_QUERIES))), None
            ),
            "not among the items of the gallery",
        ),
        (
            lambda _: Questions(Labels.judged(IDS, Qrels(IDS[:9], np.arange(9), np.ones(9))), None),
            "71 of 80 queries have no judgement above 0",
        ),
    ],
)
def test_questions_that_do_not_fit_the_gallery_are_refused(
    world: World, change: Any, says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        register_questions(world.registry, "spring", "shop", change(world))
    assert world.registry.probes.list() == ()


def test_an_empty_gallery_cannot_be_asked(world: World) -> None:
    world.registry.galleries.create("window", world.v1.ref)
    with pytest.raises(InvalidInputError, match="gallery 'window' holds no items"):
        register_questions(world.registry, "spring", "window", labelled(world))


@pytest.mark.parametrize("build", [labelled, judged])
def test_a_certificate_names_the_set_that_was_asked(world: World, build: Any) -> None:
    probe = registered(world, build(world))
    made = certify(world.registry, "shop", "products@2", probe, POLICY)[0]
    said = made.certificate
    assert probe.probe_set is not None
    assert said.probe_set == {"name": "spring", "digest": probe.probe_set.facts.digest}
    assert said.attempt is not None
    assert said.attempt.questions == probe.probe_set.facts.questions
    assert any("on the registered probe set 'spring'" in limit for limit in said.limits)
    assert world.registry.certificates.verify(said.digest).certificate == said
    (outcome,) = world.registry.probes.outcomes("spring")
    assert (outcome.number, outcome.certificate) == (1, said.digest)


def test_the_same_questions_from_files_and_from_the_set_are_one_run(world: World) -> None:
    probe = registered(world, labelled(world))
    by_files = replace(probe, probe_set=None)
    first = certify(world.registry, "shop", "products@2", by_files, POLICY)[0].certificate
    again = certify(world.registry, "shop", "products@2", probe, POLICY)[0].certificate
    assert first.probe_set == {}
    assert (first.attempt, first.findings) == (again.attempt, again.findings)
    assert first.probe_digest == again.probe_digest


def test_attempts_go_on_under_another_name(world: World) -> None:
    """A set with more labels of items asks the same: the attempt is the second."""
    probe = registered(world, labelled(world))
    assert probe.probe_set is not None
    assert next_level(world.registry, probe.probe_set, Policy()) == pytest.approx(0.9696, abs=1e-4)
    certify(world.registry, "shop", "products@2", probe, POLICY)
    more = Labels(np.arange(N_ITEMS + 5), np.append(world.item_classes, np.zeros(5, int)))
    later = registered(world, replace(labelled(world), items=more), "summer")
    second = certify(world.registry, "shop", "products@2", later, POLICY)[0].certificate
    assert second.attempt is not None
    assert second.attempt.number == 2
    for name in ("spring", "summer"):
        assert [o.number for o in world.registry.probes.outcomes(name)] == [1, 2]
    assert next_level(world.registry, probe.probe_set, Policy()) > 0.996
    with pytest.raises(InvalidInputError, match="these queries are used up"):
        next_level(world.registry, probe.probe_set, Policy(planned_attempts=2))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(p, queries=replace(p.queries, labels=(p.queries.labels + 1) % N_CLASSES)),
        lambda p: replace(p, queries=replace(p.queries, groups=p.queries.ids % 2)),
        lambda p: replace(
            p, gallery_labels=replace(p.gallery_labels, labels=p.gallery_labels.labels[::-1])
        ),
        lambda p: replace(p, probe_set=replace(p.probe_set, gallery="window")),
    ],
)
def test_a_probe_that_is_not_the_set_that_it_says_is_refused(world: World, change: Any) -> None:
    probe = change(registered(world, labelled(world)))
    before = world.registry.audit()
    with pytest.raises(InvalidInputError, match="asks something else than the registered set"):
        certify(world.registry, "shop", "products@2", probe, POLICY)
    assert world.registry.audit() == before


def test_a_gallery_that_grew_needs_labels_of_what_is_new(world: World) -> None:
    registered(world, labelled(world))
    new = Embeddings(np.arange(ITEMS_EACH) + 900, world.old(np.zeros(ITEMS_EACH, int)), world.v1)
    world.registry.add("shop", new)
    with pytest.raises(InvalidInputError, match=r"'spring': 3 of 123 items .* example 900") as c:
        questions_for(world.registry, "spring", "shop")
    assert "the gallery grew since it was registered" in str(c.value.hint)
    assert not register_questions(world.registry, "spring", "shop", labelled(world)).is_new


def test_a_set_is_of_one_gallery(world: World) -> None:
    registered(world, labelled(world))
    world.registry.galleries.create("window", world.v1.ref)
    with pytest.raises(InvalidInputError, match="'spring' is of gallery 'shop', not of 'window'"):
        questions_for(world.registry, "spring", "window")


def test_a_file_that_was_changed_is_not_parsed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = registered(world, labelled(world))
    assert probe.probe_set is not None
    path = world.registry.storage / probe.probe_set.file.path
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    monkeypatch.setattr("compat.workflow.probe_sets.read_questions", None)
    with pytest.raises(DigestMismatchError, match="the file of probe set 'spring'"):
        read_set(world.registry, "spring")
