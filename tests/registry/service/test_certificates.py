from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import text

from registry import Contract, ContractKind, IndexSpec, ModelVersion, Registry, VersionRef
from registry.db.certificates import insert_certificate
from registry.db.session import write
from registry.domain.certificates import Verdict
from registry.domain.events import EventKind
from registry.domain.galleries import StoredFile
from registry.domain.liveness import describe_index
from registry.errors import (
    AlreadyExistsError,
    CorruptFileError,
    DigestMismatchError,
    InvalidInputError,
    NotCertifiedError,
    NotFoundError,
    SpaceMismatchError,
    StorageError,
    UndeclaredComparisonError,
)
from tests.conftest import Clock, declared
from tests.registry.service.builders import (
    EVIDENCE,
    Site,
    certify,
    compatible,
    embedded,
    make_certificate,
)


def stored(registry: Registry) -> list[str]:
    folder = registry.storage / "certificates"
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_a_certificate_is_recorded_with_its_evidence(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    made = make_certificate(registry, shop, v2.ref, v1.ref)
    digest = registry.certificates.record(made, EVIDENCE)
    assert digest == made.digest
    assert registry.certificates.get(digest) == made
    assert registry.certificates.get(digest[:8]) == made
    (state,) = registry.certificates.of_gallery(shop)
    assert (state.certificate, state.staleness) == (made, None)
    (path,) = (registry.storage / "certificates" / shop).iterdir()
    assert path.read_bytes() == EVIDENCE
    assert registry.certificates.evidence(digest[:8]) == EVIDENCE
    event = registry.audit("model:products")[-1]
    assert event.kind is EventKind.CERTIFICATE_RECORDED
    assert event.payload["certificate"] == digest
    assert registry.find_tampering() == ()


def test_evidence_is_given_out_only_as_it_was_recorded(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    made = make_certificate(registry, shop, v2.ref, v1.ref)
    digest = registry.certificates.record(made, EVIDENCE)
    assert registry.certificates.evidence(digest[:8]) == EVIDENCE
    (path,) = (registry.storage / "certificates" / shop).iterdir()
    path.write_bytes(EVIDENCE[:-1] + bytes([EVIDENCE[-1] ^ 1]))
    whose = f"the evidence of certificate {digest[:12]}: "
    with pytest.raises(DigestMismatchError, match=f"{whose}.*not the file that was recorded"):
        registry.certificates.evidence(digest)
    path.unlink()
    with pytest.raises(CorruptFileError, match=f"{whose}.*is missing"):
        registry.certificates.evidence(digest)
    with pytest.raises(NotFoundError, match="no certificate begins"):
        registry.certificates.evidence("0" * 64)


def test_it_is_recorded_once(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    made = make_certificate(registry, shop, v2.ref, v1.ref)
    registry.certificates.record(made, EVIDENCE)
    with pytest.raises(AlreadyExistsError, match="recorded already"):
        registry.certificates.record(made, EVIDENCE)
    assert len(stored(registry)) == 1
    assert len(registry.certificates.of_gallery(shop)) == 1


def test_what_does_not_fit_the_registry_is_refused_and_leaves_nothing(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    unrelated = declared(registry, "products", "unrelated", dim=12)
    far = declared(registry, "faces", "far")
    further = compatible(registry, "further", far, dim=12)
    good = make_certificate(registry, shop, v2.ref, v1.ref)
    before = registry.audit()
    bad = [
        (replace(good, evidence_digest="0" * 64), DigestMismatchError, "evidence"),
        (
            replace(good, contract=Contract(ContractKind.PREFIX, 7)),
            UndeclaredComparisonError,
            "first 7 dimensions.* declared is 'first 8",
        ),
        (
            replace(good, query_version=unrelated.ref),
            UndeclaredComparisonError,
            "declared is 'None'",
        ),
        (replace(good, query_version=further.ref), InvalidInputError, "says nothing of it"),
        (
            replace(good, query_version=further.ref, gallery_version=far.ref),
            InvalidInputError,
            "says nothing of it",
        ),
        (replace(good, gallery="shp"), NotFoundError, "shp"),
        (replace(good, gallery="../shop"), InvalidInputError, "path"),
        (
            replace(good, query_version=VersionRef("products", 9)),
            NotFoundError,
            "products@9",
        ),
    ]
    for certificate, error, says in bad:
        with pytest.raises(error, match=says):
            registry.certificates.record(certificate, EVIDENCE)
    assert stored(registry) == []
    assert registry.audit() == before
    assert registry.certificates.of_gallery(shop) == ()


def test_an_unknown_or_ambiguous_digest_is_refused(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    with pytest.raises(NotFoundError, match="no certificate begins with 'abc'"):
        registry.certificates.get("abc")
    certify(registry, shop, v2.ref, v1.ref)
    certify(registry, shop, v2.ref, v1.ref)
    with pytest.raises(NotFoundError, match="more than one"):
        registry.certificates.get("")
    for pattern in ("%", "_", "' OR 1=1"):
        with pytest.raises(NotFoundError, match="no certificate begins"):
            registry.certificates.get(pattern)


def test_a_certificate_goes_stale_with_what_it_rests_on(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, clock: Clock
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.add(shop, embedded(v1, [20, 21]))

    def why() -> str | None:
        return registry.certificates.of_gallery(shop)[0].staleness

    assert why() is None, "110 % of the items it was measured on"
    registry.add(shop, embedded(v1, [22]))
    assert why() == "the gallery grew from 20 to 23 items"
    registry.galleries.delete(shop, np.array([0]))
    assert why() == "3 items came that were not among the 20 measured ones"
    clock.now += timedelta(days=90)
    assert "expired" in str(why())


def test_items_of_other_versions_do_not_make_it_stale(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.add(shop, embedded(v2, range(100, 200)))
    assert registry.certificates.of_gallery(shop)[0].staleness is None


def test_a_refusal_is_recorded_and_does_not_count(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref, verdict=Verdict.INCONCLUSIVE)
    (state,) = registry.certificates.of_gallery(shop)
    assert state.staleness == "it says INCONCLUSIVE"
    assert registry.audit()[-1].payload["verdict"] == "INCONCLUSIVE"


def test_comparable_says_what_is_known(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, unrelated: ModelVersion
) -> None:
    registry.galleries.create("window", v1.ref)
    registry.add("window", embedded(v1, range(5)))
    found = registry.comparable(v2.ref, v1.ref)
    assert (found.contract, found.certified_on) == (Contract(ContractKind.PREFIX, 8), ())
    certify(registry, shop, v2.ref, v1.ref)
    certify(registry, "window", v2.ref, v1.ref)
    certify(registry, "window", v2.ref, v1.ref)
    assert registry.comparable("products@2", "products@1").certified_on == ("shop", "window")
    assert registry.comparable(v1.ref, v2.ref).certified_on == (), "a direction is not its reverse"
    assert registry.comparable(unrelated.ref, v1.ref).contract is None
    far = declared(registry, "faces", "far")
    assert registry.comparable(far.ref, v1.ref).contract is None
    with pytest.raises(NotFoundError):
        registry.comparable("products@9", v1.ref)


def test_a_certificate_that_was_changed_in_the_database_is_noticed(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    digest = certify(registry, shop, v2.ref, v1.ref, verdict=Verdict.INCOMPATIBLE)
    with write(registry._context.engine) as connection:
        forged = text("UPDATE certificates SET body = replace(body, 'INCOMPATIBLE', 'COMPATIBLE')")
        assert connection.execute(forged).rowcount == 1
    for step in (
        lambda: registry.certificates.get(digest),
        lambda: registry.certificates.of_gallery(shop),
        lambda: registry.promote(shop, v2.ref),
        lambda: registry.comparable(v2.ref, v1.ref),
    ):
        with pytest.raises(DigestMismatchError, match="changed in the database") as caught:
            step()
        assert "certify again" in str(caught.value.hint)
    assert registry.galleries.state(shop).query_version == v1


def test_a_verdict_column_that_was_changed_promotes_nobody(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref, verdict=Verdict.INCOMPATIBLE)
    with write(registry._context.engine) as connection:
        connection.execute(text("UPDATE certificates SET verdict = 'COMPATIBLE'"))
    assert registry.certificates.of_gallery(shop)[0].staleness == "it says INCOMPATIBLE"


def test_a_certificate_that_was_slipped_into_the_table_promotes_nobody(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref, verdict=Verdict.INCOMPATIBLE)
    forged = make_certificate(registry, shop, v2.ref, v1.ref)
    with write(registry._context.engine) as connection:
        insert_certificate(connection, forged, StoredFile("certificates/x", "0" * 64, 1), None)
    with pytest.raises(NotCertifiedError, match="INCOMPATIBLE"):
        registry.promote(shop, v2.ref)


def test_an_approximate_index_built_after_it_was_measured_makes_it_stale(
    registry: Registry, v1: ModelVersion, v2: ModelVersion
) -> None:
    for name, factory in (("flat", "Flat"), ("graph", "HNSW8,Flat")):
        registry.galleries.create(name, v1.ref, index=IndexSpec("faiss", factory))
        registry.add(name, embedded(v1, range(20)))
        certify(registry, name, v2.ref, v1.ref)
        registry.galleries.seal(name)
    registry.promote("flat", v2.ref)
    with pytest.raises(NotCertifiedError, match="approximate index was built after"):
        registry.promote("graph", v2.ref)
    index = describe_index(registry.galleries.get("graph"), v1.ref)
    certify(registry, "graph", v2.ref, v1.ref, index=index)
    registry.promote("graph", v2.ref)


def test_a_full_disk_records_nothing(
    registry: Registry,
    shop: str,
    v1: ModelVersion,
    v2: ModelVersion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", refuse)
        with pytest.raises(StorageError, match="No space left") as caught:
            certify(registry, shop, v2.ref, v1.ref)
    assert "free some space" in str(caught.value.hint)
    assert stored(registry) == []
    assert registry.certificates.of_gallery(shop) == ()


def test_two_who_record_at_once_both_succeed(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, site: Site
) -> None:
    """Events of one line are numbered under the line's lock."""
    from threading import Thread

    certificates = [
        make_certificate(registry, shop, v2.ref, v1.ref, issued_by=f"thread {number}")
        for number in range(6)
    ]
    faults: list[BaseException] = []

    def record(number: int) -> None:
        try:
            with site.open() as own:
                own.certificates.record(certificates[number], EVIDENCE)
        except BaseException as error:  # noqa: BLE001 -- told to the test below
            faults.append(error)

    threads = [Thread(target=record, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(registry.certificates.of_gallery(shop)) == 6
    assert registry.find_tampering() == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"query_fingerprint": "declared:x"}, "speaks of products@2 as declared:x"),
        ({"gallery_fingerprint": "declared:x"}, "speaks of products@1 as declared:x"),
        ({"metric": "l2"}, "measured by l2"),
    ],
)
def test_a_certificate_of_other_spaces_is_not_recorded(
    registry: Registry,
    shop: str,
    v1: ModelVersion,
    v2: ModelVersion,
    changes: dict[str, object],
    says: str,
) -> None:
    with pytest.raises(SpaceMismatchError, match=says):
        certify(registry, shop, v2.ref, v1.ref, **changes)
    assert registry.certificates.of_gallery(shop) == ()


def test_a_certificate_that_claims_more_than_it_found_is_not_recorded(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    with pytest.raises(InvalidInputError, match="no findings"):
        certify(registry, shop, v2.ref, v1.ref, findings=())
    assert registry.certificates.of_gallery(shop) == ()


def test_a_certificate_is_held_against_what_it_would_replace(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    for baseline in (VersionRef(v1.ref.model, 7), v2.ref):
        with pytest.raises(InvalidInputError, match="is held against"):
            certify(registry, shop, v2.ref, v1.ref, baseline_version=baseline)
    back = {"query_version": v1.ref, "baseline_version": v1.ref}
    assert make_certificate(registry, shop, v1.ref, v2.ref, **back).is_way_back
