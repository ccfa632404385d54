"""Ed25519 keys (RFC 8032), read and written as PEM: the only module that imports `cryptography`."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from .errors import CorruptFileError


class PublicKey:
    """What verifies signatures. It may be shown to anybody."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = hashlib.sha256(der).hexdigest()

    def __repr__(self) -> str:
        return f"PublicKey({self.key_id[:12]}…)"

    @classmethod
    def from_pem(cls, pem: bytes, name: str) -> PublicKey:
        """Read a public key.

        Raises:
            CorruptFileError: if it is none, or of another kind; `name` says where it lies.
        """
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise CorruptFileError(
                f"{name} holds no Ed25519 public key in PEM",
                hint="its owner prints it with: samespace key show",
            )
        return cls(key)

    def to_pem(self) -> bytes:
        """Return the key as PEM (SubjectPublicKeyInfo)."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key's owner signed exactly this message."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """What makes signatures. Neither its text nor an error ever shows the key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def __repr__(self) -> str:
        return f"SigningKey({self.public.key_id[:12]}…)"

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes, name: str) -> SigningKey:
        """Read a private key, PKCS#8 without a passphrase.

        Raises:
            CorruptFileError: if it is none, or of another kind; `name` says where it lies.
        """
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise CorruptFileError(
                f"{name} holds no Ed25519 private key in PEM without a passphrase",
                hint="restore it from a backup, or move it away and run: samespace key create",
            ) from None
        return cls(key)

    def to_pem(self) -> bytes:
        """Return the private key as PEM (PKCS#8), to be written to its file and nowhere else."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        return self._key.sign(message)
