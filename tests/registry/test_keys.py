from pathlib import Path
from threading import Thread

import pytest

from registry.dsse import Envelope
from registry.errors import (
    CorruptFileError,
    InvalidInputError,
    NotFoundError,
    SignatureError,
    StorageError,
)
from registry.keys import KeyRing, key_folder
from registry.signing import SigningKey


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    found = KeyRing(tmp_path / "deep" / "keys")
    found.create()
    return found


def test_where_keys_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SAMESPACE_KEYS", str(tmp_path / "mine"))
    assert key_folder() == tmp_path / "mine"
    monkeypatch.delenv("SAMESPACE_KEYS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert key_folder() == tmp_path / "config" / "samespace" / "keys"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert key_folder() == tmp_path / "home" / ".config" / "samespace" / "keys"


def test_a_key_is_made_for_its_owner_alone_and_trusted(ring: KeyRing) -> None:
    private = ring.folder / "signing.pem"
    assert private.stat().st_mode & 0o777 == 0o600
    for folder in (ring.folder, ring.folder / "trusted"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(ring.trusted) == [ring.signing.public.key_id]
    assert sorted(p.name for p in ring.folder.iterdir()) == ["signing.pem", "trusted"]


def test_a_key_is_never_overwritten(ring: KeyRing) -> None:
    before = (ring.folder / "signing.pem").read_bytes()
    assert KeyRing(ring.folder).create()[1] is False
    assert (ring.folder / "signing.pem").read_bytes() == before


def test_of_two_who_make_one_at_once_both_get_the_same(tmp_path: Path) -> None:
    found: list[str] = []

    def create() -> None:
        found.append(KeyRing(tmp_path / "keys").create()[0].public.key_id)

    threads = [Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert list(KeyRing(tmp_path / "keys").trusted) == found[:1]


def test_what_one_signs_the_other_verifies_once_it_trusts(ring: KeyRing, tmp_path: Path) -> None:
    envelope = ring.sign("text/x", b"payload")
    assert ring.verify(envelope, "it") == ring.signing.public.key_id
    other = KeyRing(tmp_path / "other")
    with pytest.raises(SignatureError, match=r"it is signed by the key \w{12}, which you do not"):
        other.verify(envelope, "it")
    assert KeyRing(other.folder).trust(ring.signing.public, "alice")
    assert other.verify(envelope, "it") == ring.signing.public.key_id, "it looks again"
    for changed in (
        Envelope("text/y", envelope.payload, envelope.signature),
        Envelope(envelope.payload_type, b"Payload", envelope.signature),
    ):
        with pytest.raises(SignatureError, match="the signature of it does not fit"):
            other.verify(changed, "it")


def test_names_are_names_of_one_key(ring: KeyRing) -> None:
    alice, bob = SigningKey.generate().public, SigningKey.generate().public
    assert ring.trust(alice, "alice")
    assert not ring.trust(alice, "again")
    with pytest.raises(InvalidInputError, match="another key is trusted by the name 'alice'"):
        ring.trust(bob, "alice")
    for name in ("", "..", "a/b", ".hidden", "/abs"):
        with pytest.raises(InvalidInputError, match="cannot be the name"):
            ring.trust(bob, name)
    assert len(ring.trusted) == 2


def test_without_a_key_nothing_is_signed(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "none")
    assert ring.trusted == {}
    with pytest.raises(NotFoundError, match="there is no signing key in") as caught:
        ring.sign("text/x", b"")
    assert caught.value.hint == "make one: samespace key create"
    assert not ring.folder.exists()


@pytest.mark.parametrize(
    ("name", "mode", "says"),
    [
        ("signing.pem", 0o640, "others may use .*signing.pem: its mode is 640"),
        ("trusted", 0o770, "others may write in .*trusted: its mode is 770"),
        (".", 0o777, "others may write in"),
    ],
)
def test_keys_that_others_may_use_are_refused(
    ring: KeyRing, name: str, mode: int, says: str
) -> None:
    (ring.folder / name).chmod(mode)
    again = KeyRing(ring.folder)
    with pytest.raises(StorageError, match=says) as caught:
        _ = (again.signing, again.trusted)
    assert str(caught.value.hint).startswith("chmod ")


def test_damaged_files_are_named(ring: KeyRing) -> None:
    (ring.folder / "trusted" / "bad.pem").write_text("nonsense")
    with pytest.raises(CorruptFileError, match=r"bad\.pem holds no Ed25519 public key"):
        _ = KeyRing(ring.folder).trusted
    secret = (ring.folder / "signing.pem").read_text()
    (ring.folder / "signing.pem").write_text(secret[:-40])
    with pytest.raises(CorruptFileError, match=r"signing\.pem holds no Ed25519 private") as caught:
        KeyRing(ring.folder).create()
    assert secret.splitlines()[1][:20] not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        KeyRing(tmp_path / "file" / "keys").create()
