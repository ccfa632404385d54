import json
from dataclasses import replace
from typing import Any

import pytest

from registry.domain.canonical import canonical_json
from registry.domain.statements import from_payload, to_payload, to_statement
from tests.registry.domain.certificates import certificate


def test_a_statement_is_in_totos() -> None:
    """https://github.com/in-toto/attestation, spec/v1/statement.md."""
    said = to_statement(certificate())
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["predicateType"] == "urn:samespace:compatibility-certificate:v1"
    assert said["predicate"] == certificate().to_json()
    subjects = {s["name"]: s["digest"] for s in json.loads(to_payload(certificate()))["subject"]}
    assert subjects == {
        "products@2": {"sha256": "2"},
        "products@1": {"sha256": "1"},
        "vectors of products@1 in shop": {"sha256": "g"},
        "evidence": {"sha256": "e"},
    }


def test_the_certificate_is_read_out_of_it() -> None:
    made = certificate()
    assert from_payload(to_payload(made)) == made
    assert from_payload(to_payload(made)).digest == made.digest


def test_another_statement_is_refused() -> None:
    said = json.loads(to_payload(certificate()))
    other = to_statement(replace(certificate(), evidence_digest="x"))["subject"]
    changes: tuple[Any, ...] = (
        {},
        [],
        1,
        said | {"subject": other},
        said | {"_type": "x"},
        said | {"predicate": {}},
        said | {"predicate": said["predicate"] | {"more": 1}},
        said | {"predicate": said["predicate"] | {"verdict": "PERHAPS"}},
    )
    for changed in changes:
        with pytest.raises(ValueError, match=r"."):
            from_payload(canonical_json(changed).encode())
    for text in (b"", b"\xff", to_payload(certificate()) + b" ", b"[" * 100_000):
        with pytest.raises(ValueError, match=r"."):
            from_payload(text)
