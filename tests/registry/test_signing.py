import pytest

from registry.errors import CorruptFileError
from registry.signing import PublicKey, SigningKey

# RFC 8032, section 7.1, test 2: secret, public, message, signature
PRIVATE = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
MESSAGE = bytes.fromhex("72")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def pem(kind: str, prefix: str, key: str) -> bytes:
    """A key as PEM: the fixed beginning of its DER (RFC 8410), then the key itself."""
    import base64

    body = base64.b64encode(bytes.fromhex(prefix + key)).decode()
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n".encode()


def test_signs_as_the_rfc_says() -> None:
    key = SigningKey.from_pem(pem("PRIVATE KEY", "302e020100300506032b657004220420", PRIVATE), "x")
    assert key.sign(MESSAGE) == SIGNATURE
    public = PublicKey.from_pem(pem("PUBLIC KEY", "302a300506032b6570032100", PUBLIC), "x")
    assert public.key_id == key.public.key_id
    assert public.verifies(MESSAGE, SIGNATURE)
    assert not public.verifies(MESSAGE + b" ", SIGNATURE)
    assert not public.verifies(MESSAGE, SIGNATURE[:-1])
    assert not public.verifies(MESSAGE, b"")
    assert not SigningKey.generate().public.verifies(MESSAGE, SIGNATURE)


def test_a_signature_has_one_writing() -> None:
    """Adding the group's order to s would verify in careless libraries."""
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(SIGNATURE[32:], "little") + order
    other = SIGNATURE[:32] + s.to_bytes(32, "little")
    public = PublicKey.from_pem(pem("PUBLIC KEY", "302a300506032b6570032100", PUBLIC), "x")
    assert not public.verifies(MESSAGE, other)


def test_keys_are_read_back() -> None:
    key = SigningKey.generate()
    again = SigningKey.from_pem(key.to_pem(), "x")
    assert again.public.key_id == key.public.key_id
    assert PublicKey.from_pem(key.public.to_pem(), "x").key_id == key.public.key_id


@pytest.mark.parametrize("text", [b"", b"nonsense", b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----\n"])
def test_what_is_no_key_is_named_and_not_shown(text: bytes) -> None:
    for read in (SigningKey.from_pem, PublicKey.from_pem):
        with pytest.raises(CorruptFileError, match=r"^mine\.pem holds no Ed25519"):
            read(text, "mine.pem")


def test_the_private_key_is_in_no_text() -> None:
    key = SigningKey.generate()
    secret = key.to_pem().splitlines()[1].decode()
    with pytest.raises(CorruptFileError) as caught:
        PublicKey.from_pem(key.to_pem(), "mine.pem")
    for text in (repr(key), str(key), str(caught.value), repr(caught.value.__cause__)):
        assert secret not in text
