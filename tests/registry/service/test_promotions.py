from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from registry import ModelVersion, PromotionOptions, Registry
from registry.domain.certificates import Verdict
from registry.domain.events import EventKind
from registry.domain.promotions import SAME_SPACE
from registry.errors import (
    AliasMovedError,
    ConflictError,
    DigestMismatchError,
    InvalidInputError,
    NotCertifiedError,
    NotFoundError,
    SpaceMismatchError,
    UndeclaredComparisonError,
)
from tests.conftest import Clock, declared
from tests.registry.service.builders import (
    Site,
    artifact,
    asked,
    certify,
    compatible,
    embedded,
    found_ids,
)


@pytest.fixture
def v3(registry: Registry, v2: ModelVersion) -> ModelVersion:
    return compatible(registry, "three", v2, dim=16)


def in_force(registry: Registry, gallery: str) -> int:
    return registry.galleries.state(gallery).serving.query_version


# --- promoting


def test_a_certified_version_takes_over_and_the_gallery_stays(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.galleries.seal(shop)
    before = registry.galleries.get(shop)
    bytes_before = {p: p.read_bytes() for p in registry.storage.rglob("*.arrow")}
    digest = certify(registry, shop, v2.ref, v1.ref)
    change = registry.promote(shop, "products@2", PromotionOptions(reason="better"))
    assert (change.before, change.after, change.lost) == (v1.ref, v2.ref, {})
    assert change.event is not None
    assert change.event.kind is EventKind.PROMOTED
    assert change.event.payload["reason"] == "better"
    assert change.serving.basis == {2: SAME_SPACE, 1: digest}
    assert change.serving.write_versions == (2,)
    assert registry.galleries.get(shop) == before
    assert {p: p.read_bytes() for p in registry.storage.rglob("*.arrow")} == bytes_before
    hits = registry.search(shop, asked(v2, range(20)), 3)
    assert hits.ids[:, 0].tolist() == list(range(20)), "new queries find old vectors"
    assert (hits.versions == 1).all()


def test_a_mixed_gallery_is_searched_as_one(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    with pytest.raises(SpaceMismatchError, match="takes items of products@2"):
        registry.add(shop, embedded(v1, [50]))
    registry.add(shop, embedded(v2, [50, 51]))
    hits = registry.search(shop, asked(v2, [3, 50]), 2)
    assert hits.ids[:, 0].tolist() == [3, 50]
    assert hits.versions[:, 0].tolist() == [1, 2]
    assert found_ids(registry, shop, v2) == {*range(20), 50, 51}


def test_an_empty_gallery_needs_no_certificate(
    registry: Registry, v1: ModelVersion, unrelated: ModelVersion
) -> None:
    registry.galleries.create("empty", v1.ref)
    assert registry.promote("empty", unrelated.ref).serving.basis == {2: SAME_SPACE}


def test_a_version_whose_items_are_all_deleted_needs_no_certificate(
    registry: Registry, shop: str, v1: ModelVersion, unrelated: ModelVersion
) -> None:
    registry.galleries.delete(shop, np.arange(20))
    registry.promote(shop, unrelated.ref)
    registry.add(shop, embedded(unrelated, [1, 2]))
    assert found_ids(registry, shop, unrelated) == {1, 2}
    with pytest.raises(NotCertifiedError, match="2 items of products@2"):
        registry.rollback(shop)


def test_without_a_certificate_it_is_refused(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    before = registry.audit()
    with pytest.raises(
        NotCertifiedError, match=r"products@2 on products@1 \(it was never certified"
    ) as c:
        registry.promote(shop, v2.ref)
    assert c.value.exit_code == 4
    assert "samespace certify shop products@2" in str(c.value.hint)
    assert registry.audit() == before
    assert in_force(registry, shop) == 1


def test_every_missing_pair_is_listed(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, v3: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.add(shop, embedded(v2, [50]))
    with pytest.raises(NotCertifiedError) as caught:
        registry.promote(shop, v3.ref)
    assert "products@3 on products@1" in str(caught.value)
    assert "products@3 on products@2" in str(caught.value)
    certify(registry, shop, v3.ref, v2.ref)
    with pytest.raises(NotCertifiedError) as caught:
        registry.promote(shop, v3.ref)
    assert "products@3 on products@1" in str(caught.value), "compatibility is not transitive"
    assert "products@3 on products@2" not in str(caught.value)
    certify(registry, shop, v3.ref, v1.ref)
    registry.promote(shop, v3.ref)
    assert found_ids(registry, shop, v3) == {*range(20), 50}


def test_a_stale_certificate_does_not_count(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, clock: Clock
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.add(shop, embedded(v1, range(100, 110)))
    with pytest.raises(NotCertifiedError, match="grew from 20 to 30"):
        registry.promote(shop, v2.ref)
    certify(registry, shop, v2.ref, v1.ref)
    clock.now += timedelta(days=91)
    with pytest.raises(NotCertifiedError, match="expired on"):
        registry.promote(shop, v2.ref)
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"verdict": Verdict.INCOMPATIBLE}, "it says INCOMPATIBLE"),
        ({"verdict": Verdict.INCONCLUSIVE}, "it says INCONCLUSIVE"),
    ],
)
def test_a_certificate_that_does_not_hold_does_not_count(
    registry: Registry,
    shop: str,
    v1: ModelVersion,
    v2: ModelVersion,
    changes: dict[str, object],
    says: str,
) -> None:
    certify(registry, shop, v2.ref, v1.ref, **changes)
    with pytest.raises(NotCertifiedError, match=says):
        registry.promote(shop, v2.ref)


def test_a_later_refusal_speaks_for_the_pair(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    certify(registry, shop, v2.ref, v1.ref, verdict=Verdict.INCOMPATIBLE)
    with pytest.raises(NotCertifiedError, match="INCOMPATIBLE"):
        registry.promote(shop, v2.ref)
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)


def test_a_certificate_of_the_other_direction_or_gallery_does_not_count(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.galleries.create("window", v1.ref)
    registry.add("window", embedded(v1, range(20)))
    certify(registry, shop, v1.ref, v2.ref)
    certify(registry, "window", v2.ref, v1.ref)
    with pytest.raises(NotCertifiedError, match="never certified"):
        registry.promote(shop, v2.ref)


def test_a_waiver_is_visible_for_ever(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, site: Site
) -> None:
    for empty in ("", "  "):
        with pytest.raises(InvalidInputError, match="a waiver needs a reason"):
            registry.promote(shop, v2.ref, PromotionOptions(waiver=empty))
    change = registry.promote(shop, v2.ref, PromotionOptions(waiver=" we are in a hurry "))
    assert change.serving.basis[1] == "waiver: we are in a hurry"
    registry.rollback(shop)
    with site.open() as other:
        said = [str(event.payload) for event in other.audit("model:products")]
        assert sum("waiver: we are in a hurry" in text for text in said) == 1


def test_a_waiver_does_not_stand_in_for_a_certificate_that_is_there(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    digest = certify(registry, shop, v2.ref, v1.ref)
    change = registry.promote(shop, v2.ref, PromotionOptions(waiver="not needed"))
    assert change.serving.basis[1] == digest


def test_an_undeclared_comparison_is_refused_even_with_a_waiver(
    registry: Registry, shop: str, v1: ModelVersion, unrelated: ModelVersion
) -> None:
    for options in (PromotionOptions(), PromotionOptions(waiver="please")):
        with pytest.raises(UndeclaredComparisonError, match="products@2 is compared with") as c:
            registry.promote(shop, unrelated.ref, options)
        assert "samespace model declare" in str(c.value.hint)


def test_what_makes_no_sense_is_refused(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    far = declared(registry, "faces", "far")
    with pytest.raises(InvalidInputError, match="query version of 'shop' already"):
        registry.promote(shop, v1.ref)
    with pytest.raises(InvalidInputError, match="embedded by 'products', not by 'faces'"):
        registry.promote(shop, far.ref)
    with pytest.raises(NotFoundError, match="products@9"):
        registry.promote(shop, "products@9")
    assert in_force(registry, shop) == 1


def test_a_promotion_that_expected_another_version_is_refused(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, v3: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    certify(registry, shop, v3.ref, v1.ref)
    registry.promote(shop, v2.ref, PromotionOptions(expect="products@1"))
    before = registry.audit()
    with pytest.raises(AliasMovedError, match="queried by products@2, not by products@1") as c:
        registry.promote(shop, v3.ref, PromotionOptions(expect=v1.ref))
    assert c.value.exit_code == 5
    with pytest.raises(NotFoundError):
        registry.promote(shop, v3.ref, PromotionOptions(expect="products@9"))
    assert registry.audit() == before
    registry.promote(shop, v3.ref, PromotionOptions(expect="products:champion"))
    assert in_force(registry, shop) == 3


def test_writers_may_be_kept(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, v3: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    change = registry.promote(shop, v2.ref, PromotionOptions(keep_writers=True))
    assert change.serving.write_versions == (2, 1)
    registry.add(shop, embedded(v1, [50]))
    registry.add(shop, embedded(v2, [51]))
    hits = registry.search(shop, asked(v2, [50, 51]), 1)
    assert hits.ids.ravel().tolist() == [50, 51]
    assert hits.versions.ravel().tolist() == [1, 2]
    certify(registry, shop, v3.ref, v2.ref)
    with pytest.raises(NotCertifiedError, match="products@3 on products@1"):
        registry.promote(shop, v3.ref, PromotionOptions(keep_writers=True))


def test_a_writer_that_has_no_items_yet_needs_its_certificate_too(
    registry: Registry, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.galleries.create("empty", v1.ref)
    with pytest.raises(NotCertifiedError, match="products@2 on products@1"):
        registry.promote("empty", v2.ref, PromotionOptions(keep_writers=True))
    registry.promote("empty", v2.ref, PromotionOptions(keep_writers=True, waiver="none yet"))
    registry.add("empty", embedded(v1, [1]))
    assert found_ids(registry, "empty", v2) == {1}


def test_a_dry_run_makes_every_check_and_changes_nothing(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    dry = PromotionOptions(dry_run=True)
    with pytest.raises(NotCertifiedError):
        registry.promote(shop, v2.ref, dry)
    digest = certify(registry, shop, v2.ref, v1.ref)
    before = registry.audit()
    change = registry.promote(shop, v2.ref, dry)
    assert change.event is None
    assert change.serving.basis[1] == digest
    assert registry.audit() == before
    assert in_force(registry, shop) == 1
    registry.promote(shop, v2.ref)
    registry.add(shop, embedded(v2, [50]))
    before = registry.audit()
    with pytest.raises(NotCertifiedError):
        registry.rollback(shop, dry_run=True)
    change = registry.rollback(shop, dry_run=True, accept_loss=True)
    assert (change.event, change.lost) == (None, {v2.ref: 1})
    assert registry.audit() == before
    assert in_force(registry, shop) == 2


def test_a_version_whose_artifact_was_changed_is_not_promoted(
    registry: Registry, tmp_path: Path
) -> None:
    first = registry.register("m", artifact(tmp_path / "one")).version
    second = registry.register("m", artifact(tmp_path / "two", seed=1)).version
    registry.galleries.create("shop", first.ref)
    path = registry.models.artifact_directory(second) / "model.json"
    good = path.read_text()
    path.write_text(good.replace("true", "false"))
    with pytest.raises(DigestMismatchError, match="m@2"):
        registry.promote("shop", second.ref)
    assert in_force(registry, "shop") == 1
    path.write_text(good)
    registry.promote("shop", second.ref)


def test_other_galleries_of_the_line_are_not_touched(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.galleries.create("window", v1.ref)
    registry.add("window", embedded(v1, range(5)))
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    assert in_force(registry, "window") == 1
    assert found_ids(registry, "window", v1) == set(range(5))
    with pytest.raises(ConflictError):
        registry.rollback("window")


# --- rolling back


def test_a_rollback_without_newer_items_loses_nothing(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    change = registry.rollback(shop, reason="too slow")
    assert (change.before, change.after, change.lost) == (v2.ref, v1.ref, {})
    assert change.event is not None
    assert change.event.kind is EventKind.ROLLED_BACK
    assert change.event.payload["reason"] == "too slow"
    assert found_ids(registry, shop, v1) == set(range(20))
    registry.add(shop, embedded(v1, [50]))
    with pytest.raises(SpaceMismatchError):
        registry.add(shop, embedded(v2, [51]))


def test_there_may_be_nothing_to_roll_back(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    with pytest.raises(ConflictError, match="no promotion to roll back") as caught:
        registry.rollback(shop)
    assert "samespace audit shop" in str(caught.value.hint)
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.rollback(shop)
    with pytest.raises(ConflictError):
        registry.rollback(shop)


def test_a_certified_rollback_keeps_newer_items(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.add(shop, embedded(v2, [50, 51]))
    digest = certify(registry, shop, v1.ref, v2.ref)
    change = registry.rollback(shop)
    assert change.serving.basis == {1: SAME_SPACE, 2: digest}
    hits = registry.search(shop, asked(v1, [3, 50]), 1)
    assert hits.ids.ravel().tolist() == [3, 50]
    assert hits.versions.ravel().tolist() == [1, 2]


def test_a_lossy_rollback_must_be_accepted_and_really_hides(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.add(shop, embedded(v2, [50, 51]))
    registry.galleries.seal(shop)
    before = registry.audit()
    with pytest.raises(NotCertifiedError, match="2 items of products@2") as caught:
        registry.rollback(shop)
    assert "--accept-loss" in str(caught.value.hint)
    assert registry.audit() == before
    change = registry.rollback(shop, accept_loss=True)
    assert change.lost == {v2.ref: 2}
    assert change.serving.excluded == (2,)
    assert change.event is not None
    assert change.event.payload["lost"] == {"2": 2}
    assert found_ids(registry, shop, v1) == set(range(20))
    for k in (21, 22):
        with pytest.raises(InvalidInputError, match="only 20 items can be found"):
            registry.search(shop, asked(v1, [50]), k)
    registry.add(shop, embedded(v1, [60]))
    assert found_ids(registry, shop, v1) == {*range(20), 60}
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    assert found_ids(registry, shop, v2) == {*range(20), 50, 51, 60}, "they come back"


def test_hidden_items_can_be_deleted(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.add(shop, embedded(v2, [50, 51]))
    registry.rollback(shop, accept_loss=True)
    assert registry.galleries.delete(shop, np.array([50])) == 1
    registry.promote(shop, v2.ref)
    assert found_ids(registry, shop, v2) == {*range(20), 51}


def test_rollbacks_walk_back_through_all_promotions(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, v3: ModelVersion
) -> None:
    for version in (v2, v3):
        certify(registry, shop, version.ref, v1.ref)
    registry.promote(shop, v2.ref)
    registry.add(shop, embedded(v2, [50]))
    certify(registry, shop, v3.ref, v2.ref)
    registry.promote(shop, v3.ref)
    registry.add(shop, embedded(v3, [60]))
    certify(registry, shop, v2.ref, v3.ref)
    assert [s.query_version for s in registry.promotions.history(shop)] == [1, 2, 3]
    assert registry.rollback(shop).lost == {}
    assert found_ids(registry, shop, v2) == {*range(20), 50, 60}
    assert [s.query_version for s in registry.promotions.history(shop)] == [1, 2]
    with pytest.raises(NotCertifiedError, match=r"1 items of products@2, 1 items of products@3"):
        registry.rollback(shop)
    assert registry.rollback(shop, accept_loss=True).serving.excluded == (2, 3)
    assert found_ids(registry, shop, v1) == set(range(20))
    with pytest.raises(ConflictError):
        registry.rollback(shop)
    registry.promote(shop, v3.ref)
    assert found_ids(registry, shop, v3) == {*range(20), 50, 60}


def test_a_rollback_returns_to_the_basis_that_was_in_force(
    registry: Registry,
    shop: str,
    v1: ModelVersion,
    v2: ModelVersion,
    v3: ModelVersion,
    clock: Clock,
) -> None:
    """An emergency must not wait for a certification: what was served may be served again."""
    digest = certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref)
    certify(registry, shop, v3.ref, v1.ref)
    registry.promote(shop, v3.ref)
    clock.now += timedelta(days=100)
    change = registry.rollback(shop)
    assert change.lost == {}
    assert change.serving.basis[1] == digest


def test_writers_are_rolled_back_too(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, v3: ModelVersion
) -> None:
    certify(registry, shop, v2.ref, v1.ref)
    registry.promote(shop, v2.ref, PromotionOptions(keep_writers=True))
    certify(registry, shop, v3.ref, v1.ref)
    registry.promote(shop, v3.ref)
    assert registry.rollback(shop).serving.write_versions == (2, 1)
    registry.add(shop, embedded(v1, [50]))
    registry.add(shop, embedded(v2, [51]))
    assert found_ids(registry, shop, v2) == {*range(20), 50, 51}
