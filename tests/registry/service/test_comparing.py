from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from registry import (
    Contract,
    ContractKind,
    Embeddings,
    Metric,
    ModelVersion,
    PromotionOptions,
    Registry,
)
from registry.db.session import write
from registry.domain.certificates import Verdict
from registry.errors import (
    DigestMismatchError,
    InvalidInputError,
    NotCertifiedError,
    SignatureError,
    SpaceMismatchError,
    UndeclaredComparisonError,
)
from registry.keys import KeyRing
from tests.conftest import declared
from tests.registry.service.builders import Site, asked, certify, embedded, on_sqlite

pytestmark = on_sqlite


@pytest.fixture
def certified(registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion) -> str:
    return certify(registry, shop, v2.ref, v1.ref)


def test_items_of_two_versions_score_as_in_search(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, certified: str
) -> None:
    """De-duplication across versions: each new item against each old one."""
    new, old = embedded(v2, range(5, 9)), embedded(v1, range(20))
    found = registry.compare(new, old)
    assert found.scores.shape == (4, 20)
    assert found.scores.argmax(axis=1).tolist() == [5, 6, 7, 8]
    assert (found.query_version, found.gallery_version) == (v2.ref, v1.ref)
    assert found.comparability.contract == Contract(ContractKind.PREFIX, 8)
    assert found.comparability.certified_on == (shop,)
    registry.promote(shop, v2.ref)
    hits = registry.search(shop, new, 20)
    served = np.take_along_axis(found.scores, hits.ids.astype(np.int64), axis=1)
    np.testing.assert_allclose(served, hits.scores, atol=1e-6)


def test_rows_are_compared_with_rows(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, certified: str
) -> None:
    new, old = embedded(v2, [1, 2, 3]), embedded(v1, [1, 9, 3])
    found = registry.compare(new, old, pairwise=True)
    np.testing.assert_allclose(found.scores, np.diag(registry.compare(new, old).scores), atol=1e-6)
    assert found.scores[0] == pytest.approx(1)
    assert found.scores[1] < 0.99
    with pytest.raises(InvalidInputError, match="but they are 3 and 2"):
        registry.compare(new, embedded(v1, [1, 2]), pairwise=True)


def test_one_version_needs_no_certificate(registry: Registry, v1: ModelVersion) -> None:
    found = registry.compare(embedded(v1, [1, 2]), embedded(v1, [2, 3]))
    assert found.scores[1, 0] == pytest.approx(1)
    assert found.comparability.contract == Contract(ContractKind.SAME_SPACE, 8)
    assert found.comparability.certified_on == ()


def test_what_nobody_certified_is_compared_by_explicit_choice_only(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    new, old = embedded(v2, [1]), embedded(v1, [1])
    with pytest.raises(NotCertifiedError, match="no live COMPATIBLE certificate") as caught:
        registry.compare(new, old)
    assert "require_certified=False" in str(caught.value.hint)
    found = registry.compare(new, old, require_certified=False)
    assert found.scores[0, 0] == pytest.approx(1)
    assert found.comparability.certified_on == ()


def test_a_direction_is_not_its_reverse(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, certified: str
) -> None:
    with pytest.raises(NotCertifiedError, match="queries of products@1 with vectors of products@2"):
        registry.compare(embedded(v1, [1]), embedded(v2, [1]))


@pytest.mark.parametrize("change", ["refused", "expired", "revoked"])
def test_a_certificate_that_does_not_live_is_none(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, change: str
) -> None:
    changes: dict[str, Any] = {"refused": {"verdict": Verdict.INCONCLUSIVE}}.get(change, {})
    if change == "expired":
        changes = {"expires_at": registry.now() + timedelta(seconds=3)}
    digest = certify(registry, shop, v2.ref, v1.ref, **changes)
    if change == "revoked":
        registry.certificates.revoke(digest, "a test")
    for _ in range(3):
        registry.now()  # the clock moves on whenever it is asked
    with pytest.raises(NotCertifiedError):
        registry.compare(embedded(v2, [1]), embedded(v1, [1]))


def test_a_waiver_of_one_gallery_proves_nothing(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion
) -> None:
    registry.promote(shop, v2.ref, PromotionOptions(waiver="a test"))
    with pytest.raises(NotCertifiedError):
        registry.compare(embedded(v2, [1]), embedded(v1, [1]))


def test_a_certificate_counts_for_its_own_metric_only(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, certified: str
) -> None:
    new, old = embedded(v2, [1]), embedded(v1, [2])
    with pytest.raises(NotCertifiedError, match="on any gallery under l2"):
        registry.compare(new, old, metric=Metric.L2)
    found = registry.compare(new, old, metric=Metric.L2, require_certified=False)
    distance = np.square(new.vectors[0, :8] - old.vectors[0]).sum()
    assert found.scores[0, 0] == pytest.approx(-distance, rel=1e-6)
    assert found.comparability.certified_on == ()


def test_what_nobody_declared_is_never_compared(
    registry: Registry, shop: str, v1: ModelVersion, unrelated: ModelVersion
) -> None:
    for required in (True, False):
        with pytest.raises(UndeclaredComparisonError, match="nobody declared") as caught:
            registry.compare(
                embedded(unrelated, [1]), embedded(v1, [1]), require_certified=required
            )
        assert "samespace model declare products@2 products@1" in str(caught.value.hint)


def test_two_model_lines_are_never_compared(registry: Registry, v1: ModelVersion) -> None:
    far = declared(registry, "faces", "far")
    with pytest.raises(SpaceMismatchError, match="two model lines"):
        registry.compare(embedded(far, [1]), embedded(v1, [1]), require_certified=False)


def test_embeddings_of_another_fingerprint_are_refused(
    registry: Registry, v1: ModelVersion
) -> None:
    strange = replace(v1, fingerprint="declared:somebody-else")
    for pair in ((strange, v1), (v1, strange)):
        sides = [embedded(version, [1]) for version in pair]
        with pytest.raises(SpaceMismatchError, match="carry another fingerprint"):
            registry.compare(*sides)


@pytest.mark.parametrize("pairwise", [True, False])
def test_vectors_without_direction_are_refused_on_either_side(
    registry: Registry, v1: ModelVersion, pairwise: bool
) -> None:
    zero, one = Embeddings.numbered(np.zeros((1, 8), np.float32), v1), asked(v1, [1])
    for a, b in ((zero, one), (one, zero)):
        with pytest.raises(InvalidInputError, match="all zero"):
            registry.compare(a, b, pairwise=pairwise)
    assert registry.compare(zero, one, metric=Metric.INNER_PRODUCT).scores.item() == 0


def test_scores_go_out_as_arrow(registry: Registry, v1: ModelVersion) -> None:
    a, b = embedded(v1, [4, 7]), embedded(v1, ["x", "y"])
    whole = registry.compare(a, b)
    assert whole.to_arrow().to_pydict() == {
        "query": [4, 4, 7, 7],
        "id": ["x", "y", "x", "y"],
        "score": whole.scores.reshape(-1).tolist(),
    }
    paired = registry.compare(a, b, pairwise=True).to_arrow()
    assert paired.column("query").to_pylist() == [4, 7]
    assert paired.column("id").to_pylist() == ["x", "y"]


def test_a_certificate_that_was_tampered_with_is_named_and_proves_nothing(
    registry: Registry, shop: str, v1: ModelVersion, v2: ModelVersion, certified: str
) -> None:
    with write(registry._context.engine) as connection:
        connection.execute(text("UPDATE certificates SET evidence_digest = 'x'"))
    for ask in (
        lambda: registry.compare(embedded(v2, [1]), embedded(v1, [1])),
        lambda: registry.comparable(v2.ref, v1.ref),
    ):
        with pytest.raises(DigestMismatchError, match=certified[:12]):
            ask()


def test_a_certificate_of_somebody_unknown_proves_nothing(
    site: Site, registry: Registry, v1: ModelVersion, v2: ModelVersion, shop: str, tmp_path: Path
) -> None:
    KeyRing(tmp_path / "theirs").create()
    with site.open(keys=tmp_path / "theirs") as other:
        certify(other, shop, v2.ref, v1.ref, expires_at=registry.now() + timedelta(days=9000))
    with pytest.raises(SignatureError):
        registry.compare(embedded(v2, [1]), embedded(v1, [1]))
