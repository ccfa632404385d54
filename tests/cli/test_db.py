"""A database that is older or newer than the code is refused by every command."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.worlds import Run, snapshot

ASSETS = Path(__file__).parents[1] / "migrations" / "assets"


def test_nothing_to_upgrade(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    found = shop("db", "upgrade", "--json").data
    assert found["before"] == found["after"]
    assert "already at schema" in shop("db", "upgrade").out
    assert snapshot(tmp_path) == before


def test_a_dry_run_says_from_where_to_where(
    shop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "already at schema" in shop("db", "upgrade", "--dry-run").out
    (head,) = {shop("db", "upgrade", "--json").data[when] for when in ("before", "after")}
    monkeypatch.setattr("registry.db.schema.head_revision", lambda: "0099")
    before = snapshot(tmp_path)
    found = shop("db", "upgrade", "--dry-run", "--json").data
    assert (found["before"], found["after"], found["dry_run"]) == (head, "0099", True)
    assert shop("db", "upgrade", "--dry-run").out == f"would upgrade from {head} to schema 0099\n"
    assert snapshot(tmp_path) == before


def test_a_newer_database_asks_for_a_newer_samespace(shop: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / ".samespace" / "samespace.db")) as connection:
        connection.execute("UPDATE samespace_alembic_version SET version_num = '9999'")
        connection.commit()
    before = snapshot(tmp_path)
    for command in (("status",), ("promote", "shop", "products@2"), ("db", "upgrade"), ("init",)):
        found = shop(*command)
        assert found.code == (5 if command == ("init",) else 2)
        if command != ("init",):
            assert "has schema 9999, which is newer than this samespace" in found.error
            assert "update samespace" in found.error
    assert snapshot(tmp_path) == before


def test_an_older_database_asks_for_the_upgrade(
    shop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.db.schema.head_revision", lambda: "0099")
    before = snapshot(tmp_path)
    found = shop("gallery", "delete", "shop", "sku-0001", "--yes")
    assert found.code == 2
    assert "this samespace needs 0099" in found.error
    assert "run 'samespace db upgrade'" in found.error
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("content", [b"", b"this is no database at all, but a text" * 50])
def test_a_file_that_is_no_registry_is_refused(cli: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".samespace").mkdir()
    (tmp_path / ".samespace" / "samespace.db").write_bytes(content)
    for command in (("status",), ("db", "upgrade")):
        found = cli(*command)
        assert found.code == 2
        assert found.error
    assert [path.name for path in (tmp_path / ".samespace").iterdir()] == ["samespace.db"]
    assert (tmp_path / ".samespace" / "samespace.db").read_bytes() == content


def test_an_empty_file_is_said_to_be_empty_and_left_so(cli: Run, tmp_path: Path) -> None:
    path = tmp_path / ".samespace" / "samespace.db"
    path.parent.mkdir()
    path.touch()
    for command in (("status",), ("doctor",), ("db", "upgrade"), ("db", "upgrade", "--dry-run")):
        found = cli(*command)
        assert found.code == 2
        assert f"no samespace registry in {path.parent}: samespace.db is empty" in found.error
        assert "samespace init" in found.error
        assert list(path.parent.iterdir()) == [path]
        assert path.read_bytes() == b""
    assert cli("init").code == 0


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://host/x", "mysql"),
        ("postgresql://host/x", "--storage"),
        ("nonsense://", "nonsense"),
    ],
)
def test_other_databases_are_refused(cli: Run, url: str, words: str) -> None:
    found = cli("status", "--registry", url, *(("--storage", "s") if "pos" not in url else ()))
    assert found.code == 2
    assert words in found.error


def test_what_is_older_than_signing_is_looked_at_and_adopted(cli: Run, tmp_path: Path) -> None:
    home = tmp_path / ".samespace"
    shutil.copytree(ASSETS / "0002", home)
    shutil.copy(ASSETS / "0002.db", home / "samespace.db")
    assert cli("db", "upgrade").code == 0
    assert cli("audit").code == 6
    assert cli("status", "shop", "--json").data["galleries"][0]["promotion"] == "not signed"
    failed = {c["check"] for c in cli("doctor", "--json").data["checks"] if not c["ok"]}
    assert failed == {"signatures", "what serves shop", "what serves names"}
    before = snapshot(tmp_path)
    would = cli("db", "adopt", "--dry-run")
    assert "(promoted)" in would.out
    assert "would adopt 7 events" in would.out
    assert snapshot(tmp_path) == before
    assert len(cli("db", "adopt", "--json").data["events"]) == 7
    assert cli("db", "adopt").out == "every event that moves trust is signed\n"
    assert cli("audit").code == 0
    assert cli("status", "shop", "--json").data["galleries"][0]["promotion"] == "adopted"
    checks = {c["check"]: c["found"] for c in cli("doctor", "--json").data["checks"]}
    assert checks["certificates of shop"].endswith("; 2 not signed, older than signing")
    assert "adopted" in checks["what serves shop"]
    digest = cli("certificate", "list", "shop", "--json").data["certificates"][0]["digest"]
    assert cli("certificate", "verify", digest).code == 4
    assert cli("certificate", "export", digest, "it.json").code == 4
