"""Whether a certificate still speaks for the present state, and if not, which input changed."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from .certificates import Certificate, Verdict
from .contracts import Contract
from .versions import ModelVersion


def find_staleness(
    certificate: Certificate,
    *,
    query_version: ModelVersion,
    gallery_version: ModelVersion,
    contract: Contract | None,
    n_items: int,
    now: datetime,
) -> str | None:
    """Return why a certificate cannot be relied on, in words, or None if it can.

    Args:
        certificate: the certificate in question.
        query_version: the version as it is registered now.
        gallery_version: likewise.
        contract: how the pair is compared now.
        n_items: live items that the gallery holds now of `gallery_version`.
        now: the present, in UTC.
    """
    growth = cast("float", certificate.policy["growth"])
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
    )
    return next((why for is_stale, why in reasons if is_stale), None)
