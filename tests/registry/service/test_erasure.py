from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from registry import IndexSpec, ModelVersion, Registry
from registry.arrays import LabelArray
from registry.domain.events import EventKind
from registry.domain.galleries import SegmentState
from registry.domain.liveness import describe_index
from registry.errors import (
    ConflictError,
    CorruptFileError,
    DigestMismatchError,
    ErasureIncompleteError,
    InvalidInputError,
    NotFoundError,
    SignatureError,
)
from registry.galleries.geometry import normalise
from registry.keys import KeyRing
from registry.service.redacting import find_mentions
from registry.service.rewriting import Rewriter
from tests.registry.service import attacker
from tests.registry.service.builders import (
    EVIDENCE,
    Site,
    asked,
    certify,
    embedded,
    found_ids,
    make_evidence,
    on_sqlite,
    refused_removal,
    vector_of,
)

WHY = "request 2041"
GONE = "zoë-the-item-that-is-erased"
OTHERS = [f"item-{number}" for number in range(24)]


def ids_of(*names: Any) -> LabelArray:
    return np.array(names, dtype=np.int64 if isinstance(names[0], int) else object)


def disk(registry: Registry) -> dict[str, bytes]:
    """Every stored file, with what is in it."""
    found = {}
    for folder in ("galleries", "certificates"):
        for path in (registry.storage / folder).rglob("*"):
            if path.is_file():
                found[path.relative_to(registry.storage).as_posix()] = path.read_bytes()
    return found


def holding(registry: Registry, *patterns: bytes) -> list[str]:
    """Every file under the registry, the database and its log among them, with one of the bytes."""
    found = []
    for path in sorted(registry.storage.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if data.startswith(b"PAR1"):  # what is compressed is looked at as well
                data += repr(pq.read_table(path).to_pydict()).encode()
            if any(pattern in data for pattern in patterns):
                found.append(path.relative_to(registry.storage).as_posix())
    return found


def traces(version: ModelVersion, item: str) -> tuple[bytes, ...]:
    """The bytes of an id, and of its vector's first half, also normalised as an index has it."""
    vector = vector_of(item, version.dim)[None]
    return item.encode(), vector[0, :4].tobytes(), normalise(vector)[0, :4].tobytes()


@pytest.fixture
def full(registry: Registry, v1: ModelVersion, v2: ModelVersion) -> str:
    """The item is in two segments of version 1, once superseded, and in two certificates."""
    registry.galleries.create("shop", v1.ref)
    registry.add("shop", embedded(v1, [*OTHERS[:6], GONE]))
    registry.galleries.seal("shop")
    registry.galleries.upsert("shop", embedded(v1, [GONE]))
    registry.add("shop", embedded(v1, OTHERS[6:]))
    evidence = make_evidence([GONE, "q"], [["item-1", "item-2"], [GONE, "item-1"]])
    certify(registry, "shop", v2.ref, v1.ref, evidence=evidence)
    certify(registry, "shop", v2.ref, v1.ref)
    return "shop"


def test_no_byte_of_the_item_is_left(registry: Registry, full: str, v1: ModelVersion) -> None:
    before = holding(registry, *traces(v1, GONE))
    kinds = {name.rpartition(".")[2] for name in before}
    assert kinds == {"arrow", "index", "parquet"}, "and no row of the database"
    hits = registry.search(full, asked(v1, OTHERS[:3]), 24)
    done = registry.galleries.erase(full, ids_of(GONE), WHY)
    assert holding(registry, *traces(v1, GONE)) == []
    assert set(before) <= set(done.removed)
    assert found_ids(registry, full, v1) == set(OTHERS)
    after = registry.search(full, asked(v1, OTHERS[:3]), 24)
    rows = [[item for item in row if item != GONE] for row in hits.ids.tolist()]
    assert after.ids[:, :23].tolist() == [row[:23] for row in rows]
    assert attacker.complaints(registry, full) == ""
    first, second = registry.galleries.get(full).segments
    assert (first.state, second.state) == (SegmentState.SEALED, SegmentState.OPEN)
    assert first.index is not None
    assert (first.n_rows, second.n_rows) == (6, 18)
    assert (first.n_ever, second.n_ever) == (7, 19)


def test_it_says_where_the_item_was_and_the_ledger_keeps_that_without_the_id(
    registry: Registry, full: str
) -> None:
    plan = registry.galleries.check_erase(full, ids_of(GONE), WHY)
    done = registry.galleries.erase(full, ids_of(GONE), f" {WHY} ")
    for entry in (plan, done.entry):
        assert (entry.n_items, entry.reason, entry.missing) == (1, WHY, ())
        rows = [(s.number, s.n_rows, s.n_hidden, s.n_parts, s.index) for s in entry.segments]
        assert rows == [(1, 0, 1, 1, "rebuilt"), (2, 1, 0, 2, "none")]
        assert [(e.n_queries, e.n_hits) for e in entry.evidence] == [(1, 1)]
    (kept,) = registry.galleries.erasures(full)
    assert (kept.segments, kept.evidence) == (done.entry.segments, done.entry.evidence)
    assert (kept.actor, kept.at is not None) == ("tester", True)
    assert kept.names(GONE)
    assert not kept.names("item-1")
    (event,) = [e for e in registry.audit() if e.kind is EventKind.ITEMS_ERASED]
    assert GONE not in str(event.payload)
    assert event.signature is not None
    registry.galleries.erase(full, ids_of("item-1"), WHY)
    first, second = registry.galleries.erasures(full)
    assert first.salt != second.salt


@on_sqlite
def test_an_item_that_was_deleted_before_is_erased_too(
    registry: Registry, full: str, v1: ModelVersion
) -> None:
    registry.galleries.delete(full, ids_of(GONE, "item-3"))
    done = registry.galleries.erase(full, ids_of(GONE), WHY)
    assert [(s.n_rows, s.n_hidden) for s in done.entry.segments] == [(0, 1), (0, 1)]
    assert holding(registry, *traces(v1, GONE), *traces(v1, "item-3")[1:]) == []
    assert found_ids(registry, full, v1) == set(OTHERS) - {"item-3"}


@on_sqlite
def test_an_item_that_only_evidence_names_is_erased(
    registry: Registry, full: str, v1: ModelVersion
) -> None:
    registry.galleries.delete(full, ids_of(GONE))
    registry.galleries.compact(full)
    assert {name.rpartition(".")[2] for name in holding(registry, *traces(v1, GONE))} == {"parquet"}
    done = registry.galleries.erase(full, ids_of(GONE), WHY)
    assert done.entry.segments == ()
    assert holding(registry, *traces(v1, GONE)) == []


@on_sqlite
def test_whole_numbers(registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion) -> None:
    evidence = make_evidence(["3", "4"], [[7, 3], [3, 4]])
    digest = certify(registry, shop, v2.ref, v1.ref, evidence=evidence)
    done = registry.galleries.erase(shop, ids_of(3, 5), WHY)
    assert [(s.n_rows, s.n_hidden) for s in done.entry.segments] == [(2, 0)]
    assert [(e.certificate, e.n_queries, e.n_hits) for e in done.entry.evidence] == [(digest, 1, 2)]
    assert found_ids(registry, shop, v1) == set(range(20)) - {3, 5}
    (entry,) = registry.galleries.erasures(shop)
    assert entry.names(3)
    assert entry.names("5")


@on_sqlite
def test_everything_may_be_erased(registry: Registry, shop: str, v1: ModelVersion) -> None:
    registry.galleries.seal(shop)
    done = registry.galleries.erase(shop, np.arange(20), WHY)
    assert [s.index for s in done.entry.segments] == ["removed"]
    (segment,) = registry.galleries.get(shop).segments
    assert (segment.files, segment.n_ever) == ((), 20)
    registry.add(shop, embedded(v1, [3]))
    assert found_ids(registry, shop, v1) == {3}
    assert attacker.complaints(registry, shop) == ""


@on_sqlite
def test_too_few_items_for_an_index_leave_the_segment_open(
    registry: Registry, v1: ModelVersion
) -> None:
    """Nothing may stand in the way of an erasure."""
    registry.galleries.create(
        "shop", v1.ref, index=IndexSpec("faiss", "IVF16,Flat", {"nprobe": 16})
    )
    registry.add("shop", embedded(v1, range(16)))
    registry.galleries.seal("shop")
    done = registry.galleries.erase("shop", ids_of(3), WHY)
    assert [s.index for s in done.entry.segments] == ["dropped"]
    (segment,) = registry.galleries.get("shop").segments
    assert (segment.state, segment.index) == (SegmentState.OPEN, None)
    assert registry.add("shop", embedded(v1, [50])).segment == 1
    registry.galleries.seal("shop")
    assert found_ids(registry, "shop", v1) == {*range(16), 50} - {3}
    assert attacker.complaints(registry, "shop") == ""


@on_sqlite
def test_a_certificate_that_measured_the_approximate_index_becomes_stale(
    registry: Registry, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.galleries.create("shop", v1.ref, index=IndexSpec("faiss", "HNSW8,Flat"))
    registry.add("shop", embedded(v1, range(20)))
    registry.galleries.seal("shop")
    index = describe_index(registry.galleries.get("shop"), v1.ref)
    digest = certify(registry, "shop", v2.ref, v1.ref, index=index)
    registry.galleries.erase("shop", ids_of(3), WHY)
    said = registry.certificates.state(digest).staleness
    assert said == "an approximate index was built after it was measured"


# --- evidence and certificates


def test_a_certificate_lives_on_with_redacted_evidence(
    registry: Registry, full: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    evidence = make_evidence(["q"], [[GONE, "item-1"]])
    digest = certify(registry, full, v2.ref, v1.ref, evidence=evidence)
    assert registry.certificates.evidence(digest) == evidence
    registry.galleries.erase(full, ids_of(GONE), WHY)
    registry.galleries.erase(full, ids_of("item-1"), WHY)
    file = registry.certificates.evidence_file(digest)
    assert file.data == registry.certificates.evidence(digest)
    assert [(step.n_ids, step.n_queries, step.n_hits) for step in file.redactions] == [
        (1, 0, 1)
    ] * 2
    assert file.redactions[0].before == registry.certificates.get(digest).evidence_digest
    assert file.redactions[1].before == file.redactions[0].after
    assert file.digest == file.redactions[1].after
    assert "1 ids erased on 2026-05-03 by tester" in file.redactions[0].words
    verified = registry.certificates.verify(digest)
    assert verified.redactions == file.redactions
    assert len(registry.certificates.verify_all(full)) == 3
    assert registry.certificates.state(digest).staleness is None
    registry.promote(full, v2.ref)
    assert attacker.complaints(registry, full) == ""


@on_sqlite
def test_evidence_that_is_missing_is_told_and_bars_nothing(
    registry: Registry, full: str, v1: ModelVersion
) -> None:
    paths = list((registry.storage / "certificates" / full).iterdir())
    (empty,) = [path for path in paths if path.read_bytes() == EVIDENCE]
    empty.unlink()
    done = registry.galleries.erase(full, ids_of(GONE), WHY)
    assert len(done.entry.missing) == 1
    (kept,) = registry.galleries.erasures(full)
    assert kept.missing == done.entry.missing
    assert holding(registry, *traces(v1, GONE)) == []


@on_sqlite
def test_evidence_that_cannot_be_relied_on_bars_the_erasure_and_says_what_to_do(
    registry: Registry, full: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    paths = list((registry.storage / "certificates" / full).iterdir())
    (empty,) = [path for path in paths if path.read_bytes() == EVIDENCE]
    empty.write_bytes(EVIDENCE[:-1] + b"x")
    before = registry.audit(), disk(registry)
    for step in (registry.galleries.erase, registry.galleries.check_erase):
        with pytest.raises(DigestMismatchError, match="the evidence of certificate"):
            step(full, ids_of(GONE), WHY)
    assert (registry.audit(), disk(registry)) == before
    empty.write_bytes(EVIDENCE)
    odd = certify(registry, full, v2.ref, v1.ref, evidence=b"numbers of an older samespace")
    with pytest.raises(
        CorruptFileError, match=f"evidence of certificate {odd[:12]} cannot be"
    ) as c:
        registry.galleries.erase(full, ids_of(GONE), WHY)
    assert "remove the file" in str(c.value.hint)
    (path,) = [p for p in (registry.storage / "certificates" / full).iterdir() if p not in paths]
    path.unlink()
    assert registry.galleries.erase(full, ids_of(GONE), WHY).entry.missing == (odd,)


@on_sqlite
def test_redacting_needs_a_key_and_erasing_from_segments_does_not(
    site: Site, registry: Registry, full: str, v1: ModelVersion, tmp_path: Path
) -> None:
    with site.open(keys=tmp_path / "none") as other:
        before = other.audit(), disk(registry)
        with pytest.raises(NotFoundError, match="there is no signing key"):
            other.galleries.erase(full, ids_of(GONE), WHY)
        assert (other.audit(), disk(registry)) == before
        other.galleries.erase(full, ids_of("item-7"), WHY)
    assert found_ids(registry, full, v1) == {*OTHERS, GONE} - {"item-7"}


@on_sqlite
@pytest.mark.parametrize("is_signed", [False, True])
def test_evidence_that_somebody_else_redacted_counts_for_nothing(
    registry: Registry,
    full: str,
    v1: ModelVersion,
    v2: ModelVersion,
    tmp_path: Path,
    is_signed: bool,
) -> None:
    """Who may edit everything and has no key puts other evidence in the place."""
    thief = KeyRing(tmp_path / "thief")
    thief.create()
    digest = certify(registry, full, v2.ref, v1.ref)
    before = registry.certificates.get(digest).evidence_digest
    other = make_evidence(["forged"])
    relative = f"certificates/{full}/other.parquet"
    (registry.storage / relative).write_bytes(other)
    import hashlib

    payload = {
        "certificate": digest,
        "gallery": full,
        "before": before,
        "after": hashlib.sha256(other).hexdigest(),
        "path": relative,
        "n_ids": 1,
        "n_queries": 1,
        "n_hits": 0,
    }
    keys = thief.folder if is_signed else None
    attacker.append(registry.storage, "model:products", EventKind.EVIDENCE_REDACTED, payload, keys)
    assert registry.find_tampering() == ()
    steps: list[Callable[[], object]] = [
        lambda: registry.certificates.evidence(digest),
        lambda: registry.certificates.verify(digest),
        lambda: registry.promote(full, v2.ref),
        lambda: registry.galleries.erase(full, ids_of(GONE), WHY),
    ]
    for step in steps:
        with pytest.raises(SignatureError, match=r"\(evidence-redacted\) is"):
            step()
    assert "(evidence-redacted) is" in attacker.complaints(registry, full)


@on_sqlite
@pytest.mark.parametrize("field", ["before", "after", "path", "certificate"])
def test_a_redaction_that_is_changed_is_noticed(
    registry: Registry, full: str, site: Site, field: str
) -> None:
    registry.galleries.erase(full, ids_of(GONE), WHY)
    with attacker.database(registry.storage) as connection:
        connection.execute(
            "UPDATE events SET payload = json_set(payload, ?, ?) WHERE kind = 'evidence-redacted'",
            (f"$.{field}", "f" * 64),
        )
        attacker.rechain(connection)
    with site.open() as other:
        assert "(evidence-redacted) does not fit" in attacker.complaints(other, full)


@on_sqlite
def test_redacted_evidence_that_is_changed_or_missing_is_noticed(
    registry: Registry, full: str
) -> None:
    registry.galleries.erase(full, ids_of(GONE), WHY)
    (entry,) = registry.galleries.erasures(full)
    digest = entry.evidence[0].certificate
    path = registry.storage / registry.certificates.evidence_file(digest).redactions[-1].path
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DigestMismatchError, match="not the file that was recorded"):
        registry.certificates.evidence(digest)
    assert path.name in attacker.complaints(registry, full)
    path.unlink()
    with pytest.raises(CorruptFileError, match="is missing"):
        registry.certificates.verify(digest)


# --- what is refused


@on_sqlite
def test_bad_requests_erase_nothing(registry: Registry, full: str) -> None:
    before = registry.audit(), disk(registry)
    bad: list[tuple[Any, str, type[Exception], str]] = [
        (ids_of("item-1", "nobody"), WHY, NotFoundError, r"1 of 2 ids are nowhere .*'nobody'"),
        (ids_of(7), WHY, InvalidInputError, "names items by string but got int64"),
        (np.empty(0, object), WHY, InvalidInputError, "no items to erase"),
        (ids_of("a", "a"), WHY, InvalidInputError, "more than once"),
        (ids_of("item-1"), "  ", InvalidInputError, "needs a reason"),
    ]
    for ids, reason, error, says in bad:
        for step in (registry.galleries.erase, registry.galleries.check_erase):
            with pytest.raises(error, match=says):
                step(full, ids, reason)
    others: list[Callable[[str], object]] = [
        registry.galleries.erasures,
        registry.galleries.resume_erasure,
        registry.galleries.compact,
        registry.galleries.batches,
    ]
    for other in others:
        with pytest.raises(NotFoundError, match="no gallery is named 'shp'"):
            other("shp")
    assert (registry.audit(), disk(registry)) == before
    assert registry.galleries.erasures(full) == ()


@on_sqlite
def test_what_was_erased_is_nowhere(registry: Registry, full: str) -> None:
    registry.galleries.erase(full, ids_of(GONE), WHY)
    with pytest.raises(NotFoundError, match="nowhere") as caught:
        registry.galleries.erase(full, ids_of(GONE), WHY)
    assert "samespace gallery erasures shop" in str(caught.value.hint)


# --- crashes


def test_old_files_that_cannot_be_removed_are_told_and_removed_later(
    registry: Registry, full: str, v1: ModelVersion
) -> None:
    before = holding(registry, *traces(v1, GONE))
    with refused_removal(), pytest.raises(ErasureIncompleteError, match="Operation not perm") as c:
        registry.galleries.erase(full, ids_of(GONE), WHY)
    assert "samespace gallery erase shop --resume" in str(c.value.hint)
    assert found_ids(registry, full, v1) == set(OTHERS), "from all that is served it is gone"
    assert len(registry.galleries.erasures(full)) == 1
    assert holding(registry, *traces(v1, GONE)) == before
    with pytest.raises(NotFoundError, match="nowhere") as missing:
        registry.galleries.erase(full, ids_of(GONE), WHY)
    assert "--resume" in str(missing.value.hint)
    left = registry.galleries.resume_erasure(full, dry_run=True)
    assert set(before) <= set(left)
    assert registry.galleries.resume_erasure(full) == left
    assert holding(registry, *traces(v1, GONE)) == []
    assert registry.galleries.resume_erasure(full) == ()
    assert attacker.complaints(registry, full) == ""


@on_sqlite
def test_pruning_finishes_it_as_well(registry: Registry, full: str, v1: ModelVersion) -> None:
    with refused_removal(), pytest.raises(ErasureIncompleteError):
        registry.galleries.erase(full, ids_of(GONE), WHY)
    left = registry.galleries.resume_erasure(full, dry_run=True)
    litter = registry.galleries.litter(older_than_hours=-1e6)
    assert litter == left
    assert registry.galleries.prune(litter, older_than_hours=-1e6) == left
    assert holding(registry, *traces(v1, GONE)) == []


@on_sqlite
def test_an_erasure_removes_what_a_compaction_before_it_left(
    registry: Registry, full: str, v1: ModelVersion
) -> None:
    with refused_removal():
        assert registry.galleries.compact(full).left
    registry.galleries.erase(full, ids_of(GONE), WHY)
    assert holding(registry, *traces(v1, GONE)) == []


@pytest.mark.parametrize("nth", range(1, 6))
@on_sqlite
def test_an_erasure_that_fails_before_the_commit_leaves_everything_as_it_was(
    registry: Registry, full: str, v1: ModelVersion, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """There are five files to write: redacted evidence, two parts, an index, and the last step."""
    from registry.galleries import storage

    before = registry.audit(), disk(registry)
    place, calls = storage._place, []

    def fail(*args: Any) -> None:
        calls.append(args)
        if len(calls) == nth:
            raise KeyboardInterrupt
        place(*args)

    monkeypatch.setattr(storage, "_place", fail)
    if nth == 5:
        monkeypatch.setattr(type(registry._context), "record", fail_at_once)
    with pytest.raises(KeyboardInterrupt):
        registry.galleries.erase(full, ids_of(GONE), WHY)
    assert len(calls) == min(nth, 4)
    assert (registry.audit(), disk(registry)) == before
    assert found_ids(registry, full, v1) == {*OTHERS, GONE}


def fail_at_once(*_: object) -> None:
    raise KeyboardInterrupt


# --- others at the same moment


def erase_late(registry: Registry, step: Callable[[], object]) -> None:
    """Erase, and let somebody else do something once the files are written."""
    rewrite = Rewriter.rewrite

    with pytest.MonkeyPatch.context() as patch:

        def slow(*args: Any, **options: Any) -> Any:
            found = rewrite(*args, **options)
            patch.undo()
            step()
            return found

        patch.setattr(Rewriter, "rewrite", slow)
        registry.galleries.erase("shop", ids_of(GONE), WHY)


@pytest.mark.parametrize("what", ["delete", "upsert", "compact", "certify", "erase"])
@on_sqlite
def test_what_changes_meanwhile_makes_it_a_conflict(
    registry: Registry, full: str, v1: ModelVersion, v2: ModelVersion, site: Site, what: str
) -> None:
    evidence = make_evidence(["q"], [[GONE]])
    with site.open() as other:
        steps: dict[str, Callable[[], object]] = {
            "delete": lambda: other.galleries.delete(full, ids_of("item-1")),
            "upsert": lambda: other.galleries.upsert(full, embedded(v1, [GONE])),
            "compact": lambda: other.galleries.compact(full),
            "certify": lambda: certify(other, full, v2.ref, v1.ref, evidence=evidence),
            "erase": lambda: other.galleries.erase(full, ids_of("item-1"), WHY),
        }
        with pytest.raises(ConflictError, match="chang") as caught:
            erase_late(registry, steps[what])
        assert "try again" in str(caught.value.hint)
        assert GONE in found_ids(registry, full, v1)
        assert registry.galleries.litter(older_than_hours=-1e6) == ()
        registry.galleries.erase(full, ids_of(GONE), WHY)
        assert holding(registry, *traces(v1, GONE)) == []
        assert attacker.complaints(other, full) == ""


@on_sqlite
def test_what_is_added_elsewhere_meanwhile_does_not_matter(
    registry: Registry, full: str, v1: ModelVersion, site: Site
) -> None:
    registry.galleries.seal(full)
    with site.open() as other:
        erase_late(registry, lambda: other.add(full, embedded(v1, ["new"])))
    assert found_ids(registry, full, v1) == {*OTHERS, "new"}
    assert holding(registry, *traces(v1, GONE)) == []


@on_sqlite
def test_who_has_the_gallery_open_finds_it_no_more(
    registry: Registry, full: str, v1: ModelVersion, site: Site
) -> None:
    with site.open() as other:
        assert GONE in found_ids(other, full, v1)
        registry.galleries.erase(full, ids_of(GONE), WHY)
        assert found_ids(other, full, v1) == set(OTHERS)


@on_sqlite
def test_a_search_for_mentions_writes_nothing(registry: Registry, full: str) -> None:
    before = disk(registry)
    mentions = find_mentions(registry._context, registry.galleries.state(full), ids_of(GONE))
    assert [m.file for m in mentions.named] == [None]
    assert mentions.redactions == ()
    assert disk(registry) == before
