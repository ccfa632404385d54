"""A database that is older or newer than the code is refused by every command."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.worlds import Run, snapshot


def test_nothing_to_upgrade(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    found = shop("db", "upgrade", "--json").data
    assert found["before"] == found["after"]
    assert "already at schema" in shop("db", "upgrade").out
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
    if content:
        assert (tmp_path / ".samespace" / "samespace.db").read_bytes() == content


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
