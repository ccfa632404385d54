from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.worlds import CERTIFY, Run, parts, snapshot

PROMOTE = ("promote", "shop", "products@2")


def test_needs_a_certificate(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    for arguments in (PROMOTE, (*PROMOTE, "--dry-run")):
        found = shop(*arguments)
        assert found.code == 4
        assert "products@2 on products@1 (it was never certified)" in found.error
        assert "hint: samespace certify shop products@2" in found.error
    assert snapshot(tmp_path) == before


def test_changes_who_serves_and_touches_no_vector(shop: Run, tmp_path: Path) -> None:
    certified = shop(*CERTIFY, "--json").data["certificates"][0]
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in parts(tmp_path)}
    found = shop(*PROMOTE, "--expect", "products@1", "--json").data
    assert (found["from"], found["to"], found["dry_run"]) == ("products@1", "products@2", False)
    assert found["basis"]["products@1"] == certified["digest"]
    assert found["write_versions"] == ["products@2"]
    assert files == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in parts(tmp_path)}
    (gallery,) = shop("status", "--json").data["galleries"]
    assert gallery["query_version"] == "products@2"
    assert shop("gallery", "search", "shop", "--vectors", "queries_new.npy").code == 0
    assert shop("gallery", "search", "shop", "--vectors", "queries_old.npy").code == 2


def test_says_what_it_did(shop: Run) -> None:
    shop(*CERTIFY)
    would = shop(*PROMOTE, "--dry-run").out
    assert would.startswith("would have promoted 'shop': queries products@1 -> products@2, new")
    assert shop(*PROMOTE).out.startswith("promoted 'shop': queries products@1 -> products@2, new")


def test_a_dry_run_promotes_nothing(shop: Run, tmp_path: Path) -> None:
    shop(*CERTIFY)
    before = snapshot(tmp_path)
    found = shop(*PROMOTE, "--dry-run", "--json").data
    assert (found["event"], found["dry_run"]) == (None, True)
    assert snapshot(tmp_path) == before


def test_an_expectation_that_does_not_hold_is_a_conflict(upgraded: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    found = upgraded("promote", "shop", "products@1", "--expect", "products@1")
    assert found.code == 5
    assert "is queried by products@2, not by products@1 as expected" in found.error
    assert snapshot(tmp_path) == before


def test_writers_may_be_kept(shop: Run) -> None:
    shop(*CERTIFY)
    found = shop(*PROMOTE, "--keep-writers", "--json").data
    assert found["write_versions"] == ["products@2", "products@1"]


def test_a_waiver_stays_visible(shop: Run) -> None:
    found = shop(*PROMOTE, "--waive", "urgent", "--json").data
    assert found["basis"]["products@1"] == "waiver: urgent"
    (promoted,) = [
        event for event in shop("audit", "--json").data["events"] if event["kind"] == "promoted"
    ]
    assert promoted["payload"]["serving"]["basis"]["1"] == "waiver: urgent"
    assert "waiver: urgent" in shop("audit", "shop").out


def test_a_gallery_that_grew_needs_a_new_certificate(shop: Run, tmp_path: Path) -> None:
    shop(*CERTIFY)
    ids = "\n".join(f"more-{i}" for i in range(240))
    (tmp_path / "more.txt").write_text(ids)
    add = ("gallery", "add", "shop", "--vectors", "items.npy", "--ids", "more.txt")
    assert shop(*add).code == 0
    found = shop(*PROMOTE)
    assert found.code == 4
    assert "the gallery grew from 240 to 480 items" in found.error


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("shoop", "products@2"), 2, "did you mean 'shop'?"),
        (("shop", "prodcts@2"), 2, "did you mean 'products'?"),
        (("shop", "products@9"), 2, "products@2"),
        (("shop", "products:champoin"), 2, "champoin"),
        (("shop", "products@1"), 2, "is the query version of 'shop' already"),
        (("shop", "products@2", "--waive", " "), 2, "a waiver needs a reason"),
        (("shop",), 2, "Missing argument 'VERSION'"),
    ],
)
def test_wrong_use_is_explained(
    shop: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    before = snapshot(tmp_path)
    found = shop("promote", *arguments)
    assert found.code == code
    assert words in found.error
    assert snapshot(tmp_path) == before


def test_an_approximate_index_that_nobody_measured_is_certified_first(shop: Run) -> None:
    assert shop("gallery", "create", "graph", "products@1", "--index", "HNSW8,Flat").code == 0
    add = ("gallery", "add", "graph", "--vectors", "items.npy", "--ids", "item_ids.txt")
    certify = tuple("graph" if word == "shop" else word for word in CERTIFY)
    for step in (add, certify, ("gallery", "seal", "graph")):
        assert shop(*step).code == 0
    found = shop("promote", "graph", "products@2")
    assert found.code == 4
    assert "an approximate index was built after it was measured" in found.error
    assert shop(*certify).code == 0
    assert shop("promote", "graph", "products@2").code == 0
