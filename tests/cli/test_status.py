from __future__ import annotations

from pathlib import Path

from tests.cli.worlds import N_ITEMS, Run

GOLDEN = Path(__file__).parents[1] / "golden" / "cli" / "status.txt"


def test_shows_pointers_and_what_is_held(shop: Run) -> None:
    found = shop("status", "--json").data
    assert found["galleries"] == [
        {
            "gallery": "shop",
            "query_version": "products@1",
            "write_versions": ["products@1"],
            "items": {"products@1": N_ITEMS},
            "excluded": [],
            "promotion": "signed",
        }
    ]
    assert found["certificates"] == []


def test_the_table_is_the_golden_one(shop: Run) -> None:
    lines = [line.rstrip() for line in shop("status").out.splitlines()]
    assert "\n".join(lines).strip("\n") == GOLDEN.read_text("utf-8").strip("\n")


def test_certificates_come_with_their_state(upgraded: Run) -> None:
    (claim,) = upgraded("status", "shop", "--json").data["certificates"]
    assert (claim["verdict"], claim["state"]) == ("COMPATIBLE", "valid")
    assert (claim["query_version"], claim["gallery_version"]) == ("products@2", "products@1")
    shown = upgraded("status").out
    assert claim["digest"][:12] in shown
    assert "valid" in shown


def test_an_unknown_gallery_comes_with_near_ones(shop: Run) -> None:
    found = shop("status", "shopp")
    assert found.code == 2
    assert "did you mean 'shop'?" in found.error


def test_nothing_is_no_table(cli: Run) -> None:
    cli("init")
    assert cli("status").out == "there is no gallery yet\n"


def test_no_registry_is_said_with_what_makes_one(cli: Run) -> None:
    found = cli("status")
    assert found.code == 2
    assert "there is no samespace registry" in found.error
    assert "samespace init" in found.error
