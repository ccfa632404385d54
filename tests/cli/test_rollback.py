from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.worlds import CERTIFY, N_ITEMS, Run, snapshot


def add_new_items(run: Run, folder: Path) -> None:
    (folder / "new_ids.txt").write_text("\n".join(f"new-{i}" for i in range(N_ITEMS)))
    arguments = ("--vectors", "items_new.npy", "--ids", "new_ids.txt")
    assert run("gallery", "add", "shop", *arguments).code == 0


def test_puts_the_previous_version_back(upgraded: Run) -> None:
    found = upgraded("rollback", "shop", "--reason", "latency", "--json").data
    assert (found["from"], found["to"], found["lost"]) == ("products@2", "products@1", {})
    assert upgraded("gallery", "search", "shop", "--vectors", "queries_old.npy").code == 0
    assert "latency" in upgraded("audit", "shop").out


def test_a_dry_run_rolls_nothing_back(upgraded: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    assert upgraded("rollback", "shop", "--dry-run").out.startswith("would have rolled back 'shop'")
    assert snapshot(tmp_path) == before


def test_hiding_items_needs_consent(upgraded: Run, tmp_path: Path) -> None:
    add_new_items(upgraded, tmp_path)
    before = snapshot(tmp_path)
    refused = upgraded("rollback", "shop")
    assert refused.code == 4
    assert f"{N_ITEMS} items of products@2" in refused.error
    assert "--accept-loss" in refused.error
    assert snapshot(tmp_path) == before
    found = upgraded("rollback", "shop", "--accept-loss", "--json").data
    assert found["lost"] == {"products@2": N_ITEMS}
    assert upgraded("status", "--json").data["galleries"][0]["excluded"] == ["products@2"]
    searched = ("gallery", "search", "shop", "--vectors", "queries_old.npy", "-k")
    assert upgraded(*searched, str(N_ITEMS)).code == 0
    assert upgraded(*searched, str(N_ITEMS + 1)).code == 2


def test_the_way_back_that_was_certified_loses_nothing(shop: Run, tmp_path: Path) -> None:
    again = ("--reembedded", "items_new.npy", "--reembedded-ids", "item_ids.txt")
    found = shop(*CERTIFY, *again, "--json").data
    back = found["certificates"][1]
    assert (back["is_rollback"], back["verdict"]) == (True, "COMPATIBLE")
    assert shop("promote", "shop", "products@2").code == 0
    add_new_items(shop, tmp_path)
    changed = shop("rollback", "shop", "--json")
    if changed.code == 0:
        assert changed.data["lost"] == {}
        assert changed.data["basis"]["products@2"] == back["digest"]


@pytest.mark.parametrize(
    ("gallery", "code", "words"),
    [("shop", 5, "has no promotion to roll back"), ("shoop", 2, "did you mean 'shop'?")],
)
def test_what_cannot_be_rolled_back(
    shop: Run, tmp_path: Path, gallery: str, code: int, words: str
) -> None:
    before = snapshot(tmp_path)
    found = shop("rollback", gallery)
    assert found.code == code
    assert words in found.error
    assert snapshot(tmp_path) == before
