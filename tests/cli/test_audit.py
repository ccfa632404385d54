from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.worlds import Run


def test_tells_who_did_what_in_order(upgraded: Run) -> None:
    events = upgraded("audit", "--json").data["events"]
    assert [e["at"] for e in events] == sorted(e["at"] for e in events)
    assert {"promoted", "items-added", "certificate-recorded"} <= {
        e["kind"].replace("_", "-") for e in events
    }
    shown = upgraded("audit").out
    assert "the chain of events is whole" in shown
    assert events[-1]["hash"][:12] in shown


def test_of_one_gallery_only_what_concerns_it(upgraded: Run) -> None:
    upgraded("gallery", "create", "shelf", "products@1")
    of_shop = upgraded("audit", "shop", "--json").data["events"]
    assert "shelf" not in str(of_shop)
    assert "promoted" in [e["kind"] for e in of_shop]
    assert "promoted" not in str(upgraded("audit", "shelf", "--json").data["events"])


def test_as_of_a_moment_before_nothing_had_happened(shop: Run) -> None:
    assert shop("audit", "--as-of", "2020-01-01", "--json").data["events"] == []


def test_a_day_counts_whole(shop: Run) -> None:
    now = datetime.now(UTC)
    every = shop("audit", "--json").data["events"]
    assert shop("audit", "--as-of", f"{now:%Y-%m-%d}", "--json").data["events"] == every
    assert shop("audit", "--as-of", f"{now:%Y-%m-%d}T00:00:00", "--json").data["events"] == []
    later = (now + timedelta(hours=1)).isoformat()
    assert shop("audit", "--as-of", later, "--json").data["events"] == every


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--as-of", "yesterday"), "no ISO 8601 date"),
        (("shoop",), "did you mean 'shop'?"),
        (("nope",), "hint: known: shop"),
    ],
)
def test_wrong_use_is_explained(shop: Run, arguments: tuple[str, ...], words: str) -> None:
    found = shop("audit", *arguments)
    assert found.code == 2
    assert words in found.error


def test_a_changed_event_is_noticed(shop: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / ".samespace" / "samespace.db")) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE events SET actor = 'nobody' WHERE sequence = 2")
        connection.commit()
    found = shop("audit")
    assert found.code == 6
    assert "tampered with" in found.error
    checked = shop("doctor", "--json").data
    assert "audit trail" in [c["check"] for c in checked["checks"] if not c["ok"]]
