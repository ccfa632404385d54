from __future__ import annotations

from tests.cli.worlds import N_ITEMS, Run


def test_lists_what_each_gallery_holds(shop: Run) -> None:
    shop("gallery", "create", "shelf", "products@2", "--metric", "inner-product")
    found = shop("gallery", "list", "--json").data["galleries"]
    assert [(g["gallery"], g["n_items"], g["versions"]) for g in found] == [
        ("shelf", 0, []),
        ("shop", N_ITEMS, ["products@1"]),
    ]
    lines = shop("gallery", "list").out.splitlines()
    assert any(line.split()[:3] == ["shop", str(N_ITEMS), "cosine"] for line in lines)


def test_no_galleries_are_no_table(cli: Run) -> None:
    cli("init")
    assert cli("gallery", "list").out == "there is no gallery yet\n"
