"""Probe sets: kept once, found as they were, and named if anybody changed them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry import ModelVersion, Registry
from registry.db import probes
from registry.db.session import write
from registry.db.tables import probe_sets
from registry.domain.attempts import Attempt
from registry.domain.certificates import Verdict
from registry.domain.events import EventKind
from registry.domain.galleries import StoredFile
from registry.domain.probe_sets import ProbeFacts, ProbeKind, ProbeSet
from registry.errors import (
    AlreadyExistsError,
    CorruptFileError,
    DigestMismatchError,
    InvalidInputError,
    NotFoundError,
    SamespaceError,
    SignatureError,
    StorageError,
)
from registry.galleries import storage
from registry.keys import KeyRing
from tests.registry.service import attacker
from tests.registry.service.builders import Site, certify, on_sqlite

DATA = b"ids, labels and groups, as far as these tests care"
FACTS = ProbeFacts(ProbeKind.LABELS, 40, "c" * 64, "q" * 64)
OTHERS = [
    replace(FACTS, digest="d" * 64),
    replace(FACTS, digest="d" * 64, questions="r" * 64),
    replace(FACTS, digest="d" * 64, kind=ProbeKind.JUDGEMENTS),
]


@pytest.fixture
def spring(registry: Registry, shop: str) -> ProbeSet:
    return registry.probes.register("spring", shop, FACTS, DATA).probe_set


def files(registry: Registry) -> list[Path]:
    return sorted(p for p in (registry.storage / "probes").rglob("*") if p.is_file())


def registrations(registry: Registry) -> list[Any]:
    return [e for e in registry.audit() if e.kind is EventKind.PROBE_REGISTERED]


def test_a_set_is_found_as_it_was_registered(registry: Registry, shop: str) -> None:
    made = registry.probes.register("spring", shop, FACTS, DATA)
    assert made.is_new
    assert registry.probes.get("spring") == made.probe_set
    assert registry.probes.list() == (made.probe_set,)
    assert registry.probes.open("spring") == (made.probe_set, DATA)
    assert registry.probes.verify_all(shop) == (made.probe_set,)
    assert (made.probe_set.gallery, made.probe_set.facts) == (shop, FACTS)
    assert made.probe_set.registered_by == "tester"
    (path,) = files(registry)
    assert path == registry.storage / made.probe_set.file.path
    assert path.read_bytes() == DATA


def test_what_was_registered_is_in_the_chain_of_events(
    registry: Registry, spring: ProbeSet
) -> None:
    (event,) = registrations(registry)
    assert event.stream == "model:products"
    assert dict(event.payload) == spring.to_json()
    assert (event.at, event.actor) == (spring.registered_at, spring.registered_by)
    assert event.moves_trust
    assert event.signature is not None
    assert registry.find_tampering() == ()
    assert registry.integrity.find_untrusted() == ()


def test_the_same_again_changes_nothing(registry: Registry, spring: ProbeSet) -> None:
    before = registry.audit(), files(registry)
    again = registry.probes.register("spring", "shop", FACTS, b"written by another pyarrow")
    assert (again.probe_set, again.is_new) == (spring, False)
    assert (registry.audit(), files(registry)) == before


@on_sqlite
@pytest.mark.parametrize("facts", OTHERS)
def test_other_content_needs_another_name(
    registry: Registry, spring: ProbeSet, facts: ProbeFacts
) -> None:
    before = registry.audit(), files(registry)
    with pytest.raises(AlreadyExistsError, match="there is a probe set 'spring' already") as caught:
        registry.probes.register("spring", "shop", facts, DATA)
    assert "a new name" in str(caught.value.hint)
    assert (registry.audit(), files(registry)) == before
    assert registry.probes.open("spring") == (spring, DATA)
    assert registry.probes.register("summer", "shop", facts, DATA).is_new
    assert [found.name for found in registry.probes.list()] == ["spring", "summer"]


def test_a_name_is_of_one_gallery(registry: Registry, spring: ProbeSet, v1: ModelVersion) -> None:
    registry.galleries.create("window", v1.ref)
    with pytest.raises(AlreadyExistsError, match="'spring' already, of gallery 'shop'"):
        registry.probes.register("spring", "window", FACTS, DATA)
    assert registry.probes.verify_all("window") == ()


@on_sqlite
def test_what_cannot_be_is_refused_and_leaves_nothing(registry: Registry, shop: str) -> None:
    before = registry.audit()
    with pytest.raises(InvalidInputError, match="cannot name a probe set"):
        registry.probes.register("a/b", shop, FACTS, DATA)
    with pytest.raises(NotFoundError, match="no gallery is named 'shap'"):
        registry.probes.register("spring", "shap", FACTS, DATA)
    for step in (registry.probes.get, registry.probes.open, registry.probes.outcomes):
        with pytest.raises(NotFoundError, match="no probe set is named 'spring'"):
            step("spring")
    assert registry.audit() == before
    assert files(registry) == []


@on_sqlite
def test_without_a_key_nothing_is_registered(site: Site, shop: str, tmp_path: Path) -> None:
    with site.open(keys=tmp_path / "no keys") as other:
        with pytest.raises(NotFoundError, match="no signing key"):
            other.probes.register("spring", shop, FACTS, DATA)
        assert files(other) == []


@pytest.mark.parametrize("facts", [FACTS, OTHERS[0]])
def test_two_that_register_at_once_keep_one_set(
    registry: Registry,
    site: Site,
    shop: str,
    monkeypatch: pytest.MonkeyPatch,
    facts: ProbeFacts,
) -> None:
    """Somebody else is faster, between the file and the row."""
    write_bytes = storage.write_bytes
    others = [facts]

    def slow(root: Path, relative: str, data: bytes) -> StoredFile:
        stored = write_bytes(root, relative, data)
        if others:
            with site.open(actor="faster") as other:
                other.probes.register("spring", shop, others.pop(), b"theirs")
        return stored

    monkeypatch.setattr(storage, "write_bytes", slow)
    if facts == FACTS:
        assert not registry.probes.register("spring", shop, FACTS, DATA).is_new
    else:
        with pytest.raises(AlreadyExistsError):
            registry.probes.register("spring", shop, FACTS, DATA)
    assert registry.probes.get("spring").registered_by == "faster"
    assert registry.probes.open("spring")[1] == b"theirs"
    assert len(files(registry)) == len(registrations(registry)) == 1


@on_sqlite
def test_a_disk_that_refuses_leaves_nothing(
    registry: Registry, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = registry.audit()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        registry.probes.register("spring", shop, FACTS, DATA)
    monkeypatch.undo()
    assert (registry.audit(), files(registry)) == (before, [])
    assert registry.probes.register("spring", shop, FACTS, DATA).is_new


def test_a_transaction_that_fails_takes_the_file_along(
    registry: Registry, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("in the middle")

    before = registry.audit()
    monkeypatch.setattr(probes, "insert_set", fail)
    with pytest.raises(RuntimeError):
        registry.probes.register("spring", shop, FACTS, DATA)
    assert (registry.audit(), files(registry), registry.probes.list()) == (before, [], ())


def test_pruning_leaves_what_a_row_names(registry: Registry, spring: ProbeSet, site: Site) -> None:
    left = registry.storage / "probes" / "shop" / "left.parquet"
    left.write_bytes(b"x")
    with site.open() as now:  # by the real clock, as the files are
        found = now.galleries.litter(older_than_hours=-0.01)
        assert found == ("probes/shop/left.parquet",)
        given = [*found, spring.file.path, "probes", "probes/shop"]
        assert now.galleries.prune(given, older_than_hours=-0.01) == found
        assert now.probes.open("spring") == (spring, DATA)


# --- attempts and certificates


def test_attempts_are_those_on_the_same_questions(
    registry: Registry, spring: ProbeSet, v1: ModelVersion, v2: ModelVersion
) -> None:
    assert registry.probes.outcomes("spring") == ()
    asked = spring.facts.questions
    runs: list[dict[str, Any]] = [
        {"attempt": Attempt(asked, "a", 1), "verdict": Verdict.INCOMPATIBLE},
        {"attempt": Attempt("other questions", "a", 1)},
        {"attempt": Attempt(asked, "b", 2), "probe_set": spring.named},
        {"attempt": Attempt(asked, "a", 1)},
    ]
    made = [certify(registry, "shop", v2.ref, v1.ref, **run) for run in runs]
    found = registry.probes.outcomes("spring")
    assert [one.certificate for one in found] == [made[0], made[2], made[3]]
    assert [one.number for one in found] == [1, 2, 1]
    assert [one.verdict for one in found] == ["INCOMPATIBLE", "COMPATIBLE", "COMPATIBLE"]
    assert {(one.gallery, one.query_version, one.gallery_version) for one in found} == {
        ("shop", 2, 1)
    }
    assert {one.by for one in found} == {"tester"}


def test_a_certificate_names_only_the_set_that_is_registered(
    registry: Registry, spring: ProbeSet, v1: ModelVersion, v2: ModelVersion
) -> None:
    attempt = Attempt(spring.facts.questions, "run", 1)
    wrong: list[dict[str, Any]] = [
        {"probe_set": spring.named | {"digest": "0" * 64}, "attempt": attempt},
        {"probe_set": spring.named, "attempt": replace(attempt, questions="others")},
        {"probe_set": spring.named | {"more": 1}, "attempt": attempt},
    ]
    for changes in wrong:
        with pytest.raises(InvalidInputError, match="says it was measured on probe set 'spring'"):
            certify(registry, "shop", v2.ref, v1.ref, **changes)
    with pytest.raises(NotFoundError, match="no probe set is named 'sprang'"):
        certify(registry, "shop", v2.ref, v1.ref, probe_set={"name": "sprang", "digest": "0"})
    digest = certify(registry, "shop", v2.ref, v1.ref, probe_set=spring.named, attempt=attempt)
    assert registry.certificates.verify(digest).certificate.probe_set == spring.named


# --- tampering

CHANGES: dict[str, Any] = {
    "name": "summer",
    "gallery_id": 2,
    "kind": "judgements",
    "n_queries": 41,
    "digest": "d" * 64,
    "questions": "r" * 64,
    "path": "probes/shop/other.parquet",
    "file_digest": "f" * 64,
    "n_bytes": 1,
    "created_at": "2020-01-01T00:00:00.000000+00:00",
    "created_by": "nobody",
}


@on_sqlite
@pytest.mark.parametrize("column", [c.name for c in probe_sets.columns if c.name != "id"])
def test_no_column_of_a_set_is_changed_unnoticed(
    registry: Registry, spring: ProbeSet, v1: ModelVersion, column: str
) -> None:
    registry.galleries.create("window", v1.ref)
    (registry.storage / CHANGES["path"]).write_bytes(b"other questions")
    with attacker.database(registry.storage) as connection:
        connection.execute(f"UPDATE probe_sets SET {column} = ?", (CHANGES[column],))  # noqa: S608
    with pytest.raises(SamespaceError) as caught:
        registry.probes.verify_all("shop")
    assert "probe set" in str(caught.value)
    if column in {"gallery_id", "n_bytes"}:  # no other digest than the recorded one is opened
        return
    name = "summer" if column == "name" else "spring"
    with pytest.raises(SamespaceError):
        registry.probes.open(name)


@on_sqlite
@pytest.mark.parametrize("kind", ["guesses", 7])
def test_a_row_that_is_none_any_more_is_said_in_one_line(
    registry: Registry, spring: ProbeSet, kind: object
) -> None:
    with attacker.database(registry.storage) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE probe_sets SET kind = ?", (kind,))
    with pytest.raises(DigestMismatchError, match="probe set 'spring' was changed in the database"):
        registry.probes.open("spring")


@on_sqlite
@pytest.mark.parametrize("harm", ["changed", "longer", "missing"])
def test_a_file_that_is_not_the_registered_one_is_not_read(
    registry: Registry, spring: ProbeSet, harm: str
) -> None:
    path = registry.storage / spring.file.path
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(DATA + b"x" if harm == "longer" else DATA[:-1] + b"x")
    kind = CorruptFileError if harm == "missing" else DigestMismatchError
    with pytest.raises(kind, match="the file of probe set 'spring'"):
        registry.probes.open("spring")
    with pytest.raises(DigestMismatchError, match="the file of probe set 'spring'"):
        registry.probes.verify_all("shop")


def test_a_set_without_its_event_was_slipped_in(registry: Registry, spring: ProbeSet) -> None:
    forged = replace(spring, name="forged", file=replace(spring.file, path="probes/f"))
    with write(registry._context.engine) as connection:
        probes.insert_set(connection, forged)
    with pytest.raises(DigestMismatchError, match="'forged' was slipped into the database"):
        registry.probes.open("forged")
    with pytest.raises(DigestMismatchError, match="'forged' was slipped into the database"):
        registry.probes.verify_all("shop")
    assert registry.probes.open("spring")[0] == spring


def test_a_set_that_was_removed_is_missed(registry: Registry, spring: ProbeSet) -> None:
    with write(registry._context.engine) as connection:
        connection.execute(probe_sets.delete())
    with pytest.raises(DigestMismatchError, match="'spring' was removed from the database"):
        registry.probes.verify_all("shop")


@on_sqlite
@pytest.mark.parametrize("is_signed", [False, True])
def test_a_set_that_nobody_trusted_registered_is_not_asked(
    registry: Registry, spring: ProbeSet, tmp_path: Path, is_signed: bool
) -> None:
    KeyRing(tmp_path / "thief").create()
    event = registrations(registry)[0]
    forged = replace(
        spring,
        name="forged",
        file=replace(spring.file, path="probes/shop/forged.parquet"),
        registered_at=event.at,
    )
    attacker.append(
        registry.storage,
        "model:products",
        EventKind.PROBE_REGISTERED,
        forged.to_json(),
        tmp_path / "thief" if is_signed else None,
    )
    (registry.storage / forged.file.path).write_bytes(DATA)
    with write(registry._context.engine) as connection:
        probes.insert_set(connection, forged)
    assert registry.find_tampering() == (), "the hashes are right"
    with pytest.raises(SignatureError, match="probe set 'forged' is not signed by a key that you"):
        registry.probes.open("forged")
    with pytest.raises(SignatureError, match="probe set 'forged'"):
        registry.probes.verify_all("shop")
    assert registry.integrity.find_untrusted()


@on_sqlite
def test_what_was_adopted_is_asked_again(
    registry: Registry, spring: ProbeSet, site: Site, tmp_path: Path
) -> None:
    """A key was given up; whoever follows vouches for what it signed."""
    KeyRing(tmp_path / "new").create()
    with site.open(keys=tmp_path / "new") as other:
        with pytest.raises(SignatureError, match="probe set 'spring' is not signed by a key"):
            other.probes.open("spring")
        assert other.integrity.adopt()
        assert other.probes.open("spring") == (spring, DATA)


@on_sqlite
def test_without_keys_a_set_is_read_and_nothing_verified(
    site: Site, spring: ProbeSet, tmp_path: Path
) -> None:
    with site.open(keys=tmp_path / "none") as other:
        assert other.probes.open("spring") == (spring, DATA)
        assert other.probes.verify_all("shop") == (spring,)
