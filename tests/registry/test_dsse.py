import json

import pytest

from registry.dsse import Envelope, Signature, pae, parse_envelope, parse_signature
from registry.errors import SignatureError

ENVELOPE = Envelope("http://example.com/HelloWorld", b"hello world", Signature("k", b"\1" * 64))


def test_the_encoding_is_the_specifications_example() -> None:
    """Of dsse/protocol.md, 'Test Vectors'."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("é", "é".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xa9", "bytes are counted"


def test_what_was_written_is_read() -> None:
    assert parse_envelope(ENVELOPE.to_text(), "it") == ENVELOPE
    assert parse_signature(ENVELOPE.signature.to_text(), "it") == ENVELOPE.signature
    value = json.loads(ENVELOPE.to_text())
    assert set(value) == {"payload", "payloadType", "signatures"}
    assert set(value["signatures"][0]) == {"keyid", "sig"}


def other_writings() -> list[str]:
    text = ENVELOPE.to_text()
    value = json.loads(text)
    return [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        text + "\n",
        json.dumps(value),
        json.dumps(value | {"more": 1}, separators=(",", ":"), sort_keys=True),
        text.replace("aGVsbG8gd29ybGQ=", "aGVsbG8gd29ybGR="),  # other spare bits, the same bytes
        text.replace("aGVsbG8gd29ybGQ=", "aGVsbG8gd29ybGQ"),
        text.replace("aGVsbG8gd29ybGQ=", "aGVs bG8gd29ybGQ="),
        text.replace('"keyid":"k"', '"keyid":"j","keyid":"k"'),
        text.replace('"signatures":[', '"signatures":[{"keyid":"j","sig":"AA=="},'),
        text.replace('"keyid":"k"', '"keyid":1'),
    ]


@pytest.mark.parametrize("text", other_writings())
def test_another_writing_is_refused(text: str) -> None:
    with pytest.raises(SignatureError, match="the envelope of it is not a DSSE envelope"):
        parse_envelope(text, "it")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keyid":"k"}', '{"keyid":"k","sig":"A"}', "1"])
def test_another_writing_of_a_signature_is_refused(text: str) -> None:
    with pytest.raises(SignatureError, match="the signature of it is not one"):
        parse_signature(text, "it")
