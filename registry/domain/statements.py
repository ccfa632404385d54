"""The in-toto Statement that a certificate's signature covers [1].

References:
    [1] https://github.com/in-toto/attestation, spec/v1/statement.md.
"""

from __future__ import annotations

import json
from typing import Any

from .canonical import Json, canonical_json
from .certificates import Certificate

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:samespace:compatibility-certificate:v1"


def to_statement(certificate: Certificate) -> dict[str, Json]:
    """Return the statement: what it is about, by digest, and the certificate as its predicate.

    The subjects are the two spaces, the vectors that were searched and the evidence.
    """
    subjects: dict[str, str] = {
        str(certificate.query_version): certificate.query_fingerprint,
        str(certificate.gallery_version): certificate.gallery_fingerprint,
        f"vectors of {certificate.gallery_version} in {certificate.gallery}": (
            certificate.gallery_digest
        ),
        "evidence": certificate.evidence_digest,
    }
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": digest.rpartition(":")[2]}}
            for name, digest in subjects.items()
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": certificate.to_json(),
    }


def to_payload(certificate: Certificate) -> bytes:
    """Return the bytes that are signed: the statement as canonical JSON."""
    return canonical_json(to_statement(certificate)).encode("utf-8")


def from_payload(payload: bytes) -> Certificate:
    """Read the certificate out of a statement, of which every byte must be as `to_payload`'s.

    Raises:
        ValueError: if it is anything else.
    """
    try:
        value: Any = json.loads(payload)
        found = Certificate.from_json(value["predicate"])
        is_exact = to_payload(found) == payload
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("it is no statement on a certificate") from error
    if not is_exact:
        raise ValueError("its statement and its certificate do not belong together")
    return found
