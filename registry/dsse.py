"""DSSE: the envelope in which a payload, its type and its signature travel together [1].

What is signed is not the payload alone but its pre-authentication encoding, which binds the type.
The key id only says which key to try.

Envelopes are kept as canonical JSON and nothing else is read, so that no byte of one can be changed
unnoticed: not a space, not a spare bit of the base64.

References:
    [1] https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md, version 1.0.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass

from .domain.canonical import Json, canonical_json
from .errors import SignatureError


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding of a payload: the bytes that are signed."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature and which key it says it is by."""

    key_id: str
    value: bytes

    def to_json(self) -> dict[str, Json]:
        """Return the signature as it stands in an envelope."""
        return {"keyid": self.key_id, "sig": base64.b64encode(self.value).decode("ascii")}

    def to_text(self) -> str:
        """Return the signature as text, to be kept apart from what it signs."""
        return canonical_json(self.to_json())


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with its type and one signature."""

    payload_type: str
    payload: bytes
    signature: Signature

    def to_text(self) -> str:
        """Return the envelope as canonical JSON."""
        return canonical_json(
            {
                "payload": base64.b64encode(self.payload).decode("ascii"),
                "payloadType": self.payload_type,
                "signatures": [self.signature.to_json()],
            }
        )


def parse_envelope(text: str, name: str) -> Envelope:
    """Read what `Envelope.to_text` wrote, and no other writing of it.

    Raises:
        SignatureError: if it is anything else; `name` says what it is the envelope of.
    """
    try:
        value = json.loads(text)
        (signature,) = value["signatures"]
        payload = base64.b64decode(value["payload"], validate=True)
        found = Envelope(str(value["payloadType"]), payload, _signature(signature))
        is_exact = found.to_text() == text
    except _MALFORMED:
        is_exact = False
    if not is_exact:
        raise SignatureError(
            f"the envelope of {name} is not a DSSE envelope as samespace writes it"
        )
    return found


def parse_signature(text: str, name: str) -> Signature:
    """Read what `Signature.to_text` wrote, and no other writing of it.

    Raises:
        SignatureError: if it is anything else; `name` says what it is the signature of.
    """
    try:
        found = _signature(json.loads(text))
        is_exact = found.to_text() == text
    except _MALFORMED:
        is_exact = False
    if not is_exact:
        raise SignatureError(f"the signature of {name} is not one as samespace writes it")
    return found


_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error)


def _signature(value: Mapping[str, str]) -> Signature:
    return Signature(str(value["keyid"]), base64.b64decode(value["sig"], validate=True))
