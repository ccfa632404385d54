from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from registry.domain.certificates import Certificate, Control, Criterion, Finding, Verdict
from registry.domain.contracts import Contract, ContractKind
from registry.domain.galleries import (
    Gallery,
    IndexSpec,
    Metric,
    Part,
    Segment,
    SegmentState,
    StoredFile,
)
from registry.domain.liveness import find_staleness
from registry.domain.policies import Policy
from registry.domain.refs import VersionRef
from registry.domain.versions import ModelVersion, SpaceDescription

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CONTRACT = Contract(ContractKind.PREFIX, 8)


def certificate() -> Certificate:
    finding = Finding(
        group="all",
        metric="mAP",
        criterion=Criterion.SUPERIORITY,
        margin=0.0,
        baseline=0.5,
        candidate=0.6,
        low=0.05,
        high=0.15,
        n_queries=200,
        n_clusters=40,
        verdict=Verdict.COMPATIBLE,
    )
    return Certificate(
        gallery="shop",
        query_version=VersionRef("products", 2),
        query_fingerprint="declared:2",
        gallery_version=VersionRef("products", 1),
        gallery_fingerprint="declared:1",
        baseline_version=VersionRef("products", 1),
        contract=CONTRACT,
        metric="cosine",
        verdict=Verdict.COMPATIBLE,
        policy=Policy().to_json(),
        findings=(finding,),
        controls=(Control("old model", Verdict.COMPATIBLE, Verdict.COMPATIBLE, 0.5),),
        matrix={"products@1 -> products@1": {"all": {"mAP": 0.5}}},
        n_gallery_items=100,
        gallery_digest="g",
        probe_digest="p",
        evidence_digest="e",
        limits=("one seed",),
        environment={"python": "3.11"},
        issued_at=NOW,
        expires_at=NOW + timedelta(days=90),
        issued_by="tester",
    )


def version(number: int) -> ModelVersion:
    description = SpaceDescription({}, {}, normalised=False, dim=8)
    ref = VersionRef("products", number)
    return ModelVersion(ref, f"declared:{number}", description, None, None, {}, NOW, "tester")


def gallery(n_items: int) -> Gallery:
    part = Part(1, StoredFile("p", "d", 1), n_items)
    segment = Segment(1, VersionRef("products", 1), SegmentState.OPEN, (part,), None)
    return Gallery("shop", "products", Metric.COSINE, None, IndexSpec(), NOW, (segment,))


def test_a_certificate_is_read_back_and_keeps_its_digest() -> None:
    made = certificate()
    again = Certificate.from_json(made.to_json())
    assert again == made
    assert again.digest == made.digest


def test_any_change_gives_another_digest() -> None:
    made = certificate()
    assert replace(made, verdict=Verdict.INCOMPATIBLE).digest != made.digest
    assert replace(made, n_gallery_items=101).digest != made.digest


def test_the_statement_names_who_what_and_how_sure() -> None:
    said = certificate().statement
    for word in ("products@2", "products@1", "shop", "100 items", "200 queries", "0.95"):
        assert word in said


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, None),
        ({"now": NOW + timedelta(days=90)}, "expired"),
        ({"contract": Contract(ContractKind.PREFIX, 7)}, "contract"),
        ({"contract": None}, "contract"),
        ({"gallery": gallery(110)}, None),
        ({"gallery": gallery(111)}, "grew from 100 to 111"),
        ({"query_version": replace(version(2), fingerprint="declared:x")}, "fingerprint of"),
        ({"gallery_version": replace(version(1), fingerprint="declared:x")}, "fingerprint of"),
    ],
)
def test_a_certificate_is_stale_once_an_input_changed(
    given: dict[str, object], says: str | None
) -> None:
    present: dict[str, object] = {
        "query_version": version(2),
        "gallery_version": version(1),
        "contract": CONTRACT,
        "gallery": gallery(100),
        "now": NOW,
    }
    found = find_staleness(certificate(), **(present | given))  # type: ignore[arg-type]  # a table
    assert found is None if says is None else says in str(found)


def test_only_a_compatible_one_lives() -> None:
    refused = replace(certificate(), verdict=Verdict.INCONCLUSIVE)
    found = find_staleness(
        refused,
        query_version=version(2),
        gallery_version=version(1),
        contract=CONTRACT,
        gallery=gallery(100),
        now=NOW,
    )
    assert found is not None
    assert "INCONCLUSIVE" in found


def test_an_approximate_index_that_was_built_afterwards_makes_it_stale() -> None:
    made = certificate()
    segment = replace(gallery(100).segments[0], index=StoredFile("i", "new", 1))
    held = replace(gallery(100), index=IndexSpec(factory="HNSW32,Flat"), segments=(segment,))
    present = {"query_version": version(2), "gallery_version": version(1), "contract": CONTRACT}
    found = find_staleness(made, gallery=held, now=NOW, **present)  # type: ignore[arg-type]  # a table
    assert found is not None
    assert "approximate index" in found
    measured = replace(made, index={"digests": ["new"]})
    assert find_staleness(measured, gallery=held, now=NOW, **present) is None  # type: ignore[arg-type]  # a table
    exact = replace(held, index=IndexSpec(factory="Flat"))
    assert find_staleness(made, gallery=exact, now=NOW, **present) is None  # type: ignore[arg-type]  # a table
