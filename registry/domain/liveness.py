"""Whether a certificate still speaks for the present state, and if not, which input changed."""

from __future__ import annotations

from typing import cast

from .canonical import Json
from .certificates import Certificate
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
) -> str | None:
    """Return which input of a certificate changed since, in words, or None.

    Args:
        certificate: the certificate in question.
        query_version: the version as it is registered now.
        gallery_version: likewise.
        contract: how the pair is compared now.
        gallery: the gallery as it is now.
    """
    reasons = (
        (
            certificate.query_fingerprint != query_version.fingerprint,
            f"the fingerprint of {query_version.ref} changed",
        ),
        (
            certificate.gallery_fingerprint != gallery_version.fingerprint,
            f"the fingerprint of {gallery_version.ref} changed",
        ),
        (certificate.contract != contract, "the comparison contract changed"),
        (certificate.metric != gallery.metric.value, "the gallery's metric changed"),
        (
            _has_other_index(certificate, gallery),
            "an approximate index was built after it was measured",
        ),
    )
    said = next((why for is_stale, why in reasons if is_stale), None)
    return said or _changed_content(certificate, gallery)


def _changed_content(certificate: Certificate, gallery: Gallery) -> str | None:
    """Return how far the items are not those that were measured, if that is too far."""
    growth, measured = cast("float", certificate.policy["growth"]), certificate.n_gallery_items
    held = [s for s in gallery.segments if s.version == certificate.gallery_version]
    n_items, n_ever = sum(s.n_items for s in held), sum(s.n_ever for s in held)
    if n_items > growth * measured:
        return f"the gallery grew from {measured} to {n_items} items"
    if not certificate.n_gallery_rows:  # measured on items that were embedded for the purpose
        return None
    n_new = n_ever - certificate.n_gallery_rows
    if n_new > (growth - 1) * measured:
        return f"{n_new} items came that were not among the {measured} measured ones"
    if n_items < (2 - growth) * measured:
        return f"only {n_items} items are left of the {measured} measured ones"
    return None


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
    if gallery.index.is_exact:
        return False
    now = describe_index(gallery, certificate.gallery_version)
    measured = cast("list[str]", certificate.index.get("digests", []))
    return not set(cast("list[str]", now["digests"])) <= set(measured)
