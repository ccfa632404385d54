from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry.domain.events import EventKind
from registry.keys import KeyRing
from tests.cli.worlds import CERTIFY, Run, snapshot
from tests.registry.service import attacker


@pytest.fixture
def certified(shop: Run) -> tuple[Run, str]:
    """The shop with a certificate, and its digest."""
    (made,) = shop(*CERTIFY, "--json").data["certificates"]
    return shop, str(made["digest"])


def test_is_listed_and_shown(certified: tuple[Run, str]) -> None:
    shop, digest = certified
    (listed,) = shop("certificate", "list", "shop", "--json").data["certificates"]
    assert (listed["digest"], listed["state"], listed["reason"]) == (digest, "valid", "")
    shown = shop("certificate", "show", digest[:8])
    assert f"certificate {digest}: valid" in shown.out
    assert shop("certificate", "show", digest, "--json").data["certificate"]["gallery"] == "shop"
    shop(*CERTIFY)
    first, _ = shop("certificate", "list", "shop", "--json").data["certificates"]
    assert (first["digest"], first["state"]) == (digest, "superseded")
    assert shop("certificate", "list", "shoop").code == 2


def test_is_verified(certified: tuple[Run, str], key_folder: Path) -> None:
    shop, digest = certified
    found = shop("certificate", "verify", digest[:10], "--json").data
    assert (found["digest"], found["why_not"]) == (digest, None)
    assert found["key_id"] == KeyRing(key_folder).signing.public.key_id
    assert shop("certificate", "verify", "fff").code == 2


def test_an_exported_one_is_verified_on_another_machine(
    certified: tuple[Run, str], tmp_path: Path, key_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, digest = certified
    assert shop("certificate", "export", digest[:10], "it.json").code == 0
    assert json.loads((tmp_path / "it.json").read_text())["payloadType"] == (
        "application/vnd.in-toto+json"
    )
    again = shop("certificate", "export", digest[:10], "it.json")
    assert (again.code, "it.json exists already" in again.error) == (5, True)
    other = KeyRing(tmp_path / "others")
    monkeypatch.setenv("SAMESPACE_KEYS", str(other.folder))
    monkeypatch.setenv("SAMESPACE_REGISTRY", str(tmp_path / "none"))
    refused = shop("certificate", "verify", "it.json")
    assert (refused.code, "no key is trusted" in refused.error) == (6, True)
    other.trust(KeyRing(key_folder).signing.public, "alice")
    found = shop("certificate", "verify", "it.json", "--json").data
    assert (found["digest"], found["exit_code"]) == (digest, 0)


def test_no_byte_of_an_exported_one_is_changed_unnoticed(
    certified: tuple[Run, str], tmp_path: Path
) -> None:
    shop, digest = certified
    assert shop("certificate", "export", digest, "it.json").code == 0
    whole = (tmp_path / "it.json").read_bytes()
    for position in (*range(0, len(whole), 401), len(whole) - 2, len(whole) - 1):
        for bit in (1, 2, 32, 128):
            changed = bytearray(whole)
            changed[position] ^= bit
            (tmp_path / "it.json").write_bytes(changed)
            found = shop("certificate", "verify", "it.json")
            assert found.code == 6, (position, bit)
            assert "it.json" in found.error


def test_a_revoked_one_promotes_nobody(certified: tuple[Run, str], tmp_path: Path) -> None:
    shop, digest = certified
    before = snapshot(tmp_path)
    assert shop("certificate", "revoke", digest, "--reason", "labels", "--dry-run").code == 0
    assert shop("certificate", "revoke", digest, "--reason", " ").code == 2
    assert shop("certificate", "revoke", digest).code == 2
    assert snapshot(tmp_path) == before
    assert shop("certificate", "revoke", digest, "--reason", "labels were wrong").code == 0
    found = shop("promote", "shop", "products@2")
    assert found.code == 4
    assert "it was revoked: labels were wrong, by" in found.error
    assert shop("certificate", "verify", digest).code == 4
    assert shop("certificate", "revoke", digest, "--reason", "again").code == 5
    (claim,) = shop("status", "--json").data["certificates"]
    assert claim["state"] == "revoked"
    assert "labels were wrong" in shop("audit").out


def test_revoking_what_serves_says_so(upgraded: Run) -> None:
    (claim,) = upgraded("status", "--json").data["certificates"]
    said = upgraded("certificate", "revoke", claim["digest"], "--reason", "x").out
    assert "'shop' still serves on its strength: samespace rollback shop" in said
    assert upgraded("doctor").code == 0


def test_a_forged_promotion_is_named_by_every_command(upgraded: Run, tmp_path: Path) -> None:
    basis = {"1": "same-space", "2": "same-space"}
    serving = {"query_version": 1, "write_versions": [1], "basis": basis, "excluded": []}
    payload = {"gallery": "shop", "serving": serving}
    stream = "model:products"
    kind = EventKind.PROMOTED
    attacker.append(tmp_path / ".samespace", stream, kind, payload)
    found = upgraded("gallery", "search", "shop", "--vectors", "queries_old.npy")
    assert found.code == 6
    assert "what 'shop' serves is not signed by a key that you trust" in found.error
    checked = upgraded("doctor", "--json").data["checks"]
    failed = {c["check"]: c["found"] for c in checked if not c["ok"]}
    assert set(failed) == {"signatures", "what serves shop"}
    assert all("(promoted) is not signed" in words for words in failed.values())
    audit = upgraded("audit", "--json").data
    assert audit["exit_code"] == 6
    assert audit["events"][-1]["signature"] == "not signed"
    assert "(promoted) is not signed" in audit["untrusted"][0]
    (served,) = upgraded("status", "--json").data["galleries"]
    assert served["promotion"] == "not signed"


def test_who_trusts_no_key_is_told(
    upgraded: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMESPACE_KEYS", str(tmp_path / "none"))
    assert upgraded("gallery", "search", "shop", "--vectors", "queries_new.npy").code == 0
    checks = {c["check"]: c for c in upgraded("doctor", "--json").data["checks"]}
    assert checks["signatures"]["found"].startswith("note: not verified, for you trust no key")
    assert checks["signatures"]["ok"] is True
    assert "not verified: no trusted key" in upgraded("status").out
    assert "signatures are not verified" in upgraded("audit").out
    found = upgraded(*CERTIFY)
    assert (found.code, "there is no signing key in" in found.error) == (2, True)
    assert upgraded("promote", "shop", "products@1", "--waive", "x").code == 6


def test_heads_are_the_last_hashes(upgraded: Run) -> None:
    audit = upgraded("audit", "--json").data
    assert set(audit["heads"]) == {"model:products", "gallery:shop"}
    for stream, head in audit["heads"].items():
        of_stream = [e for e in audit["events"] if e["stream"] == stream]
        assert max(of_stream, key=lambda e: e["sequence"])["hash"] == head
