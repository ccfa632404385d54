"""The key ring: the user's own signing key, and the public keys that the user trusts.

It lies outside every registry, so that whoever may edit a registry's files and database can neither
sign nor name a new trusted key:

    signing.pem          the private key, readable by its owner alone
    trusted/NAME.pem     public keys whose signatures count
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from .dsse import Envelope, Signature, pae
from .errors import InvalidInputError, NotFoundError, SignatureError, StorageError
from .signing import PublicKey, SigningKey

FOLDER_VARIABLE = "SAMESPACE_KEYS"
PRIVATE = "signing.pem"
TRUSTED = "trusted"
CREATE_HINT = "make one: samespace key create"


def key_folder() -> Path:
    """Return where this user's keys lie, by the environment or by the XDG convention."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).absolute()
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config).absolute() / "samespace" / "keys"


class KeyRing:
    """The keys in one folder. They are read when they are first needed, and kept."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder.absolute() if folder is not None else key_folder()
        self._signing: SigningKey | None = None
        self._trusted: dict[str, PublicKey] | None = None

    @property
    def has_signing_key(self) -> bool:
        """Whether there is a private key."""
        return (self.folder / PRIVATE).is_file()

    @property
    def signing(self) -> SigningKey:
        """The user's own key.

        Raises:
            NotFoundError: if there is none.
            StorageError: if others may read it, or nobody may.
            CorruptFileError: if it cannot be read as a key.
        """
        if self._signing is None:
            self._signing = self._read_signing()
        return self._signing

    @property
    def trusted(self) -> dict[str, PublicKey]:
        """The public keys whose signatures count, by key id.

        Raises:
            CorruptFileError: if a file there is no public key.
            StorageError: if one cannot be read, or others may write there.
        """
        if self._trusted is None:
            self._trusted = {key.key_id: key for key in self.named().values()}
        return self._trusted

    def named(self) -> dict[str, PublicKey]:
        """Return the trusted public keys as they are now, by the name of their file."""
        folder = self.folder / TRUSTED
        if not folder.is_dir():
            return {}
        for place in (self.folder, folder):
            _check_mode(place, 0o022, "write in")
        return {
            path.stem: PublicKey.from_pem(_read(path, 0o022, "change"), str(path))
            for path in sorted(folder.glob("*.pem"))
        }

    def create(self) -> tuple[SigningKey, bool]:
        """Make a key if there is none and trust it; a key is never overwritten.

        Returns:
            The key, and whether it is new.
        """
        is_new = not self.has_signing_key
        if is_new:
            made = SigningKey.generate()
            is_new = _write_new(self.folder / PRIVATE, made.to_pem(), 0o600)
        own = self.signing
        self.trust(own.public, f"own-{own.public.key_id[:12]}")
        return own, is_new

    def trust(self, key: PublicKey, name: str) -> bool:
        """Trust a public key from now on, and return whether that is new.

        Raises:
            InvalidInputError: if the name is of another key already, or cannot be one.
        """
        if not name or name != Path(name).name or name.startswith("."):
            raise InvalidInputError(f"{name!r} cannot be the name of a key", hint="as in 'alice'")
        known = self.named()
        if key.key_id in {found.key_id for found in known.values()}:
            return False
        if name in known:
            raise InvalidInputError(
                f"another key is trusted by the name {name!r}: {known[name].key_id[:12]}",
                hint="give this one another name with --name",
            )
        _write_new(self.folder / TRUSTED / f"{name}.pem", key.to_pem(), 0o644)
        self._trusted = None
        return True

    def sign(self, payload_type: str, payload: bytes) -> Envelope:
        """Sign a payload with the user's own key; errors as `signing`'s."""
        key = self.signing
        value = key.sign(pae(payload_type, payload))
        return Envelope(payload_type, payload, Signature(key.public.key_id, value))

    def verify(self, envelope: Envelope, name: str) -> str:
        """Return the id of the trusted key that signed this.

        Raises:
            SignatureError: if none did; `name` says what it is the signature of.
        """
        key_id = envelope.signature.key_id
        if key_id not in self.trusted:
            self._trusted = None  # it may have been trusted meanwhile
        key = self.trusted.get(key_id)
        if key is None:
            raise SignatureError(
                f"{name} is signed by the key {key_id[:12]}, which you do not trust",
                hint="if you know its owner: samespace key trust FILE (from 'samespace key show')",
            )
        if not key.verifies(pae(envelope.payload_type, envelope.payload), envelope.signature.value):
            raise SignatureError(
                f"the signature of {name} does not fit: it was changed after {key_id[:12]} signed"
            )
        return key_id

    def _read_signing(self) -> SigningKey:
        path = self.folder / PRIVATE
        if not self.has_signing_key:
            raise NotFoundError(f"there is no signing key in {self.folder}", hint=CREATE_HINT)
        return SigningKey.from_pem(_read(path, 0o077, "use"), str(path))


def check_apart(folder: Path, storage: Path) -> None:
    """Refuse keys that lie within a registry: who may edit it could make and trust keys.

    Raises:
        InvalidInputError: if they do.
    """
    if folder.resolve().is_relative_to(storage.resolve()):
        raise InvalidInputError(
            f"the keys in {folder} lie within the registry in {storage}",
            hint=f"keep them outside: set {FOLDER_VARIABLE} to another folder",
        )


def _read(path: Path, forbidden: int, verb: str) -> bytes:
    _check_mode(path, forbidden, verb)
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def _check_mode(path: Path, forbidden: int, verb: str) -> None:
    mode = path.stat().st_mode
    if mode & forbidden:
        raise StorageError(
            f"others may {verb} {path}: its mode is {mode & 0o777:03o}",
            hint=f"chmod {mode & 0o777 & ~forbidden:03o} {path}",
        )


def _write_new(path: Path, data: bytes, mode: int) -> bool:
    """Write a file that must not be there, and return whether it was not."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(opened, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            return _link(temporary, path)
        finally:
            temporary.unlink()
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _link(temporary: Path, path: Path) -> bool:
    """Give a file its name; unlike a rename this never overwrites."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    return True
