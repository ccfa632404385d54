"""Whether a certificate still speaks for the present state, and if not, which input changed."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from .canonical import Json
from .certificates import Certificate, Verdict
from .contracts import Contract
from .galleries import Gallery
from .refs import VersionRef
from .versions import ModelVersion


def find_staleness(
    certificate: Certificate,
    *,
    query_version: ModelVersion,
    gallery_version: ModelVersion,
    contract: Contract | None,
    gallery: Gallery,
    now: datetime,
) -> str | None:
    """Return why a certificate cannot be relied on, in words, or None if it can.

    Args:
        certificate: the certificate in question.
        query_version: the version as it is registered now.
        gallery_version: likewise.
        contract: how the pair is compared now.
        gallery: the gallery as it is now.
        now: the present, in UTC.
    """
    growth = cast("float", certificate.policy["growth"])
    n_items = sum(s.n_items for s in gallery.segments if s.version == gallery_version.ref)
    reasons = (
        (certificate.verdict is not Verdict.COMPATIBLE, f"it says {certificate.verdict}"),
        (now >= certificate.expires_at, f"it expired on {certificate.expires_at:%Y-%m-%d}"),
        (
            certificate.query_fingerprint != query_version.fingerprint,
            f"the fingerprint of {query_version.ref} changed",
        ),
        (
            certificate.gallery_fingerprint != gallery_version.fingerprint,
            f"the fingerprint of {gallery_version.ref} changed",
        ),
        (certificate.contract != contract, "the comparison contract changed"),
        (
            n_items > growth * certificate.n_gallery_items,
            f"the gallery grew from {certificate.n_gallery_items} to {n_items} items",
        ),
        (
            _has_other_index(certificate, gallery),
            "an approximate index was built after it was measured",
        ),
    )
    return next((why for is_stale, why in reasons if is_stale), None)


def describe_index(gallery: Gallery, version: VersionRef) -> dict[str, Json]:
    """Return which index serves a version's vectors, as a certificate records it."""
    digests = [s.index.digest for s in gallery.segments if s.version == version and s.index]
    return {
        "backend": gallery.index.backend,
        "factory": gallery.index.factory,
        "options": dict(gallery.index.options),
        "digests": list(digests),
    }


def _has_other_index(certificate: Certificate, gallery: Gallery) -> bool:
    """Whether search now goes through an approximate index that was not there when measured."""
    if gallery.index.factory == "Flat" or gallery.index.backend == "exact":
        return False
    now = describe_index(gallery, certificate.gallery_version)
    measured = cast("list[str]", certificate.index.get("digests", []))
    return not set(cast("list[str]", now["digests"])) <= set(measured)
