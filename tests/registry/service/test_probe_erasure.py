"""An erased item leaves registered probe sets, and they go on being asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compat.probe_files import Questions, facts_of, read_questions, write_questions
from compat.probes import Labels
from registry import ModelVersion, Registry
from registry.domain.attempts import Attempt
from registry.domain.erasures import ProbeErasure
from registry.domain.events import EventKind
from registry.domain.probe_redactions import ProbeRedaction
from registry.domain.probe_sets import ProbeFacts, ProbeKind, ProbeSet
from registry.errors import (
    AlreadyExistsError,
    ConflictError,
    CorruptFileError,
    DigestMismatchError,
    ErasureIncompleteError,
    InvalidInputError,
    NotFoundError,
    SignatureError,
)
from registry.galleries import storage
from registry.keys import KeyRing
from registry.service import redacting_probes
from tests.registry.service import attacker
from tests.registry.service.builders import Site, certify, found_ids, on_sqlite, refused_removal
from tests.registry.service.test_erasure import WHY, disk, ids_of

# item 3 is a query too
QUESTIONS = Questions(
    Labels(np.array(["q1", "q2", "3"]), np.array([0, 1, 1])),
    Labels(np.arange(20), np.arange(20) % 2),
)


def registered(
    registry: Registry, questions: Questions = QUESTIONS, name: str = "spring"
) -> ProbeSet:
    data = write_questions(questions)
    return registry.probes.register(name, "shop", facts_of(questions), data).probe_set


@pytest.fixture
def spring(registry: Registry, shop: str) -> ProbeSet:
    return registered(registry)


def asked(registry: Registry, name: str = "spring") -> tuple[ProbeSet, Questions]:
    found, data = registry.probes.open(name)
    questions = read_questions(data, "it")
    assert facts_of(questions) == found.facts
    return found, questions


def files(registry: Registry) -> list[str]:
    return sorted(path.name for path in (registry.storage / "probes").rglob("*.parquet"))


def test_what_is_left_is_asked_under_the_same_name(registry: Registry, spring: ProbeSet) -> None:
    plan = registry.galleries.check_erase("shop", ids_of(3), WHY)
    done = registry.galleries.erase("shop", ids_of(3), WHY)
    for entry in (plan, done.entry, *registry.galleries.erasures("shop")):
        assert entry.probes == (ProbeErasure("spring", 1, 1, 2),)
        assert entry.missing_probes == ()
    found, questions = asked(registry)
    assert questions.queries.ids.tolist() == ["q1", "q2"]
    assert questions.items is not None
    assert 3 not in questions.items.ids
    assert spring.file.path in done.removed
    assert files(registry) == [Path(found.file.path).name], "and no file holds it any more"
    assert (found.registered_at, found.registered_by) == (
        spring.registered_at,
        spring.registered_by,
    )
    assert registry.probes.get("spring") == found
    assert registry.probes.list() == (found,)
    assert registry.probes.verify_all("shop") == (found,)
    (step,) = registry.probes.redactions("spring")
    assert (step.before, step.after) == (spring, found)
    assert attacker.complaints(registry, "shop") == ""
    assert registry.galleries.litter(older_than_hours=-1e6) == ()


def test_it_may_be_redacted_again(registry: Registry, spring: ProbeSet) -> None:
    registered(
        registry, replace(QUESTIONS, queries=Labels(np.array(["q9"]), np.array([0]))), "other"
    )
    for item in (3, 5):
        registry.galleries.erase("shop", ids_of(item), WHY)
    steps = registry.probes.redactions("spring")
    assert [step.n_queries for step in steps] == [1, 0]
    assert [step.words.split(",")[1] for step in steps] == [" 2 queries left"] * 2
    _, questions = asked(registry)
    assert questions.items is not None
    assert not {3, 5} & set(questions.items.ids.tolist())
    assert len(files(registry)) == 2
    assert len(registry.probes.verify_all("shop")) == 2
    event = registry.audit("model:products")[-1]
    assert event.kind is EventKind.PROBE_REDACTED
    assert event.signature is not None


@on_sqlite
def test_a_set_that_names_none_of_them_stays_byte_for_byte(
    registry: Registry, spring: ProbeSet
) -> None:
    few = replace(QUESTIONS, items=Labels(np.array([0, 1]), np.array([0, 1])))
    small = registered(registry, few, "small")
    done = registry.galleries.erase("shop", ids_of(7), WHY)
    assert [p.probe for p in done.entry.probes] == ["spring"]
    assert registry.probes.open("small")[0] == small
    assert registry.probes.redactions("small") == ()


@on_sqlite
def test_an_id_that_only_a_probe_set_names_is_erased(registry: Registry, spring: ProbeSet) -> None:
    registry.galleries.delete("shop", ids_of(3))
    registry.galleries.compact("shop")
    done = registry.galleries.erase("shop", ids_of(3), WHY)
    assert (done.entry.segments, len(done.entry.probes)) == ((), 1)
    with pytest.raises(NotFoundError, match="nowhere"):
        registry.galleries.erase("shop", ids_of(3), WHY)


@on_sqlite
def test_sets_of_other_galleries_are_theirs(
    registry: Registry, spring: ProbeSet, v1: ModelVersion
) -> None:
    registry.galleries.create("window", v1.ref)
    data = write_questions(QUESTIONS)
    theirs = registry.probes.register("theirs", "window", facts_of(QUESTIONS), data).probe_set
    registry.galleries.erase("shop", ids_of(3), WHY)
    assert registry.probes.open("theirs") == (theirs, data)


@on_sqlite
def test_a_set_without_queries_bars_no_erasure_and_says_that_it_is_done(
    registry: Registry, spring: ProbeSet
) -> None:
    done = registry.galleries.erase("shop", np.arange(20), WHY)
    assert done.entry.probes == (ProbeErasure("spring", 3, 20, 0),)
    with pytest.raises(InvalidInputError, match="'spring' asks nothing any more: all of its q"):
        registry.probes.open("spring")
    assert registry.probes.get("spring").facts.n_queries == 0
    assert len(registry.probes.verify_all("shop")) == 1
    assert attacker.complaints(registry, "shop") == ""


# --- registering and certifying afterwards


@on_sqlite
def test_the_same_is_registered_and_what_it_was_is_refused(
    registry: Registry, spring: ProbeSet
) -> None:
    registry.galleries.erase("shop", ids_of(3), WHY)
    found, questions = asked(registry)
    again = registry.probes.register("spring", "shop", found.facts, write_questions(questions))
    assert (again.is_new, again.probe_set) == (False, found)
    with pytest.raises(AlreadyExistsError, match=r"other queries .*; items were erased from it"):
        registered(registry)


def test_certificates_stay_and_say_that_the_set_is_redacted(
    registry: Registry, spring: ProbeSet, v1: ModelVersion, v2: ModelVersion
) -> None:
    first = Attempt(spring.facts.questions, "first", 1)
    digest = certify(registry, "shop", v2.ref, v1.ref, probe_set=spring.named, attempt=first)
    assert registry.certificates.verify(digest).probe_redactions == ()
    registry.galleries.erase("shop", ids_of(3), WHY)
    (step,) = registry.certificates.verify(digest).probe_redactions
    assert step.before == spring
    assert registry.certificates.probe_redactions(digest) == (step,)
    assert registry.certificates.state(digest).staleness is None
    registry.promote("shop", v2.ref)
    # what it was is certified no more
    late = {"probe_set": spring.named, "attempt": replace(first, run="late", number=2)}
    with pytest.raises(ConflictError, match="items were erased from probe set 'spring' since"):
        certify(registry, "shop", v2.ref, v1.ref, **late)
    # and attempts go on being counted
    found = registry.probes.get("spring")
    said = registry.certificates.attempt("shop", found.facts.questions, "second")
    assert said.number == 2
    later = certify(registry, "shop", v2.ref, v1.ref, probe_set=found.named, attempt=said)
    assert [one.number for one in registry.probes.outcomes("spring")] == [1, 2]
    assert registry.certificates.verify(later).probe_redactions == ()
    assert registry.certificates.attempt("shop", spring.facts.questions, "third").number == 3


# --- files that are missing or odd


@on_sqlite
def test_a_missing_file_is_told_and_bars_nothing(registry: Registry, spring: ProbeSet) -> None:
    (registry.storage / spring.file.path).unlink()
    done = registry.galleries.erase("shop", ids_of(3), WHY)
    assert (done.entry.probes, done.entry.missing_probes) == ((), ("spring",))
    (kept,) = registry.galleries.erasures("shop")
    assert kept.missing_probes == ("spring",)


@on_sqlite
def test_a_file_that_nobody_can_read_bars_it_until_it_is_removed(
    registry: Registry, shop: str
) -> None:
    facts = ProbeFacts(ProbeKind.LABELS, 3, "c" * 64, "q" * 64)
    odd = registry.probes.register("odd", shop, facts, b"of a later samespace").probe_set
    before = registry.audit(), disk(registry)
    with pytest.raises(CorruptFileError, match=r"nobody can say if it names .* set 'odd'") as c:
        registry.galleries.erase(shop, ids_of(3), WHY)
    assert "remove the file" in str(c.value.hint)
    assert (registry.audit(), disk(registry)) == before
    (registry.storage / odd.file.path).unlink()
    assert registry.galleries.erase(shop, ids_of(3), WHY).entry.missing_probes == ("odd",)


@on_sqlite
def test_a_changed_file_is_not_rewritten(registry: Registry, spring: ProbeSet) -> None:
    path = registry.storage / spring.file.path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DigestMismatchError, match="the file of probe set 'spring'"):
        registry.galleries.erase("shop", ids_of(3), WHY)


@on_sqlite
def test_old_files_that_cannot_be_removed_are_removed_later(
    registry: Registry, spring: ProbeSet
) -> None:
    with refused_removal(), pytest.raises(ErasureIncompleteError):
        registry.galleries.erase("shop", ids_of(3), WHY)
    assert spring.file.path in registry.galleries.resume_erasure("shop", dry_run=True)
    assert spring.file.path in registry.galleries.resume_erasure("shop")
    assert len(files(registry)) == 1


# --- whoever is there as well


@on_sqlite
def test_a_set_that_is_registered_meanwhile_makes_it_a_conflict(
    registry: Registry, shop: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = redacting_probes.find_probe_mentions

    def late(*args: Any) -> Any:
        found = find(*args)
        with site.open() as other:
            registered(other)
        return found

    monkeypatch.setattr("registry.service.erasure.find_probe_mentions", late)
    with pytest.raises(ConflictError, match="its probe sets changed while"):
        registry.galleries.erase(shop, ids_of(3), WHY)
    monkeypatch.undo()
    assert 3 in found_ids(registry, shop, registry.models.get("products@1"))
    assert len(registry.galleries.erase(shop, ids_of(3), WHY).entry.probes) == 1


@on_sqlite
def test_it_needs_a_key(registry: Registry, spring: ProbeSet, site: Site, tmp_path: Path) -> None:
    with site.open(keys=tmp_path / "none") as other:
        before = other.audit(), files(registry)
        with pytest.raises(NotFoundError, match="there is no signing key"):
            other.galleries.erase("shop", ids_of(3), WHY)
        assert (other.audit(), files(registry)) == before


@on_sqlite
@pytest.mark.parametrize("is_signed", [False, True])
def test_a_set_that_somebody_else_redacted_is_not_asked(
    registry: Registry, spring: ProbeSet, tmp_path: Path, is_signed: bool
) -> None:
    thief = KeyRing(tmp_path / "thief")
    thief.create()
    other = replace(QUESTIONS, queries=Labels(np.array(["easy"]), np.array([0])))
    data = write_questions(other)
    file = storage.write_bytes(registry.storage, "probes/shop/easy.parquet", data)
    step = ProbeRedaction(spring, facts_of(other), file, 1, 2, 0)
    keys = thief.folder if is_signed else None
    payload = step.to_json()
    attacker.append(registry.storage, "model:products", EventKind.PROBE_REDACTED, payload, keys)
    assert registry.find_tampering() == ()
    steps: list[Callable[[], object]] = [
        lambda: registry.probes.open("spring"),
        lambda: registry.probes.verify_all("shop"),
        lambda: registry.galleries.erase("shop", ids_of(3), WHY),
    ]
    for refuse in steps:
        with pytest.raises(SignatureError, match="what was erased from 'spring' is not signed by"):
            refuse()
    assert "(probe-redacted) is" in attacker.complaints(registry, "shop")
