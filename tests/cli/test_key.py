from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.worlds import Run


@pytest.fixture
def fresh(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Somebody who has no keys yet."""
    monkeypatch.setenv("SAMESPACE_KEYS", str(tmp_path / "keys"))
    return cli


def test_init_makes_a_key_and_says_so(fresh: Run, tmp_path: Path) -> None:
    would = fresh("init", "--dry-run").out
    assert would == f"would make a registry in .samespace and a signing key in {tmp_path}/keys\n"
    assert list(tmp_path.iterdir()) == []
    assert f"made your signing key in {tmp_path}/keys" in fresh("init").out
    again = fresh("init", "--registry", "other", "--json").data
    assert (again["makes_key"], again["keys"]) == (False, str(tmp_path / "keys"))
    assert fresh("key", "list", "--json").data["own_key_id"] is not None


def test_a_key_is_made_once(fresh: Run) -> None:
    first = fresh("key", "create", "--json").data
    assert first["is_new"] is True
    again = fresh("key", "create", "--json").data
    assert (again["is_new"], again["key_id"]) == (False, first["key_id"])
    assert "there is already the key" in fresh("key", "create").out


def test_the_public_key_is_shown_and_trusted_by_another(
    fresh: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh("key", "create")
    shown = fresh("key", "show")
    assert shown.out.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert "PRIVATE" not in shown.out
    (tmp_path / "alice.pem").write_text(shown.out)
    monkeypatch.setenv("SAMESPACE_KEYS", str(tmp_path / "others"))
    assert "no key is trusted in" in fresh("key", "list").out
    assert fresh("key", "trust", "alice.pem", "--json").data["is_new"] is True
    assert fresh("key", "trust", "alice.pem").out.startswith("trusted already: ")
    listed = fresh("key", "list", "--json").data
    assert [(k["name"], k["is_own"]) for k in listed["keys"]] == [("alice", False)]
    assert "you have no signing key: samespace key create" in fresh("key", "list").out


def test_wrong_use_is_explained(fresh: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nonsense")
    for arguments, words in (
        (("show",), "there is no signing key in"),
        (("trust", "none.pem"), "there is no file none.pem"),
        (("trust", "bad.pem"), "bad.pem holds no Ed25519 public key"),
    ):
        found = fresh("key", *arguments)
        assert found.code == 2
        assert words in found.error


def test_keys_within_the_registry_are_refused(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMESPACE_KEYS", ".samespace/keys")
    for arguments in (("init",), ("status",)):
        found = cli(*arguments)
        assert found.code == 2
        assert "lie within the registry in" in found.error
    assert list(tmp_path.iterdir()) == []
