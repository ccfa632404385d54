import json
from dataclasses import replace

import pytest

from registry.domain.calibration import AS_IT_IS, ScoreMap
from registry.domain.canonical import Json, canonical_json
from registry.domain.certificates import Certificate, Verdict
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
from registry.domain.refs import VersionRef
from registry.domain.versions import ModelVersion, SpaceDescription
from tests.registry.domain.certificates import CONTRACT, NOW, certificate


def version(number: int) -> ModelVersion:
    description = SpaceDescription({}, {}, normalised=False, dim=8)
    ref = VersionRef("products", number)
    return ModelVersion(ref, f"declared:{number}", description, None, None, {}, NOW, "tester")


def gallery(n_items: int, n_deleted: int = 0) -> Gallery:
    part = Part(1, StoredFile("p", "d", 1), n_items + n_deleted)
    ref = VersionRef("products", 1)
    segment = Segment(1, ref, SegmentState.OPEN, (part,), None, n_deleted)
    return Gallery("shop", "products", Metric.COSINE, None, IndexSpec(), NOW, (segment,))


def test_a_certificate_is_read_back_and_keeps_its_digest() -> None:
    made = certificate()
    again = Certificate.from_json(made.to_json())
    assert again == made
    assert again.digest == made.digest


def test_a_registered_probe_set_is_named_and_left_out_where_there_is_none() -> None:
    made = certificate()
    assert "probe_set" not in made.to_json()
    named = replace(made, probe_set={"name": "spring", "digest": "c" * 64})
    assert named.digest != made.digest
    assert Certificate.from_json(named.to_json()) == named


def test_training_data_are_named_only_if_there_were_any() -> None:
    made = certificate()
    assert "training" not in made.to_json()
    checked = replace(made, training={"n_items": 9, "digest": "t"})
    assert Certificate.from_json(checked.to_json()) == checked
    assert checked.digest != made.digest


def test_any_change_gives_another_digest() -> None:
    made = certificate()
    assert replace(made, verdict=Verdict.INCOMPATIBLE).digest != made.digest
    assert replace(made, n_gallery_items=101).digest != made.digest


def test_the_statement_names_who_what_and_how_sure() -> None:
    said = certificate().statement
    for word in ("products@2", "products@1", "shop", "100 items", "200 queries", "0.95"):
        assert word in said


@pytest.mark.parametrize(
    ("unit", "average", "counted"),
    [
        ("class", "unit", "class"),
        ("class", "query", "query"),
        ("query", "unit", "query"),
        ("class", None, "query"),  # before there was a choice
    ],
)
def test_the_statement_says_what_counts_once(unit: str, average: str | None, counted: str) -> None:
    policy: dict[str, Json] = {**certificate().policy, "unit": unit, "average": average}
    if average is None:
        del policy["average"]
    made = replace(certificate(), policy=policy)
    assert made.counted == counted
    assert f"each {counted} counting once" in made.statement


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, None),
        ({"contract": Contract(ContractKind.PREFIX, 7)}, "contract"),
        ({"contract": None}, "contract"),
        ({"gallery": replace(gallery(100), metric=Metric.L2)}, "metric"),
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
    }
    found = find_staleness(certificate(), **(present | given))  # type: ignore[arg-type]  # a table
    assert found is None if says is None else says in str(found)


def test_an_approximate_index_that_was_built_afterwards_makes_it_stale() -> None:
    made = certificate()
    segment = replace(gallery(100).segments[0], index=StoredFile("i", "new", 1))
    held = replace(gallery(100), index=IndexSpec(factory="HNSW32,Flat"), segments=(segment,))
    present = {"query_version": version(2), "gallery_version": version(1), "contract": CONTRACT}
    found = find_staleness(made, gallery=held, **present)  # type: ignore[arg-type]  # a table
    assert found is not None
    assert "approximate index" in found
    measured = replace(made, index={"digests": ["new"]})
    assert find_staleness(measured, gallery=held, **present) is None  # type: ignore[arg-type]  # a table
    exact = replace(held, index=IndexSpec(factory="Flat"))
    assert find_staleness(made, gallery=exact, **present) is None  # type: ignore[arg-type]  # a table


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (gallery(100), None),
        (gallery(100, n_deleted=10), None),  # ten deleted, ten others in their place
        (gallery(100, n_deleted=11), "11 items came"),
        (gallery(90, n_deleted=10), None),
        (gallery(89, n_deleted=11), "only 89 items are left"),
        (gallery(0, n_deleted=100), "only 0 items are left"),
    ],
)
def test_content_that_was_replaced_makes_it_stale(held: Gallery, says: str | None) -> None:
    made = replace(certificate(), n_gallery_rows=100)
    present = {"query_version": version(2), "gallery_version": version(1), "contract": CONTRACT}
    found = find_staleness(made, gallery=held, **present)  # type: ignore[arg-type]  # a table
    assert found is None if says is None else says in str(found)


def test_all_queries_are_not_counted_with_their_parts_once_more() -> None:
    made = certificate()
    parts = tuple(
        replace(finding, group=group, n_queries=n)
        for finding in made.findings
        for group, n in (("all", 120), ("a", 60), ("b", 60))
    )
    assert "measured on 120 queries" in replace(made, findings=parts).statement


def test_a_calibration_is_read_back_and_left_out_where_there_is_none() -> None:
    made = certificate()
    assert "calibration" not in made.to_json()
    maps = {"products@2 -> products@1": ScoreMap(1.5, -0.25), "products@2 -> products@2": AS_IT_IS}
    calibrated = replace(made, calibration=maps)
    assert calibrated.digest != made.digest
    assert Certificate.from_json(json.loads(canonical_json(calibrated.to_json()))) == calibrated
