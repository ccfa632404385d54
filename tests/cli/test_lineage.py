from __future__ import annotations

from tests.cli.worlds import Run


def test_lineage_names_parents_and_contracts(shop: Run) -> None:
    found = shop("lineage", "products", "--json").data
    assert found["versions"] == ["products@1", "products@2"]
    assert [e["parent"] for e in found["edges"]] == ["products@1"]
    assert "first 64 dimensions" in shop("lineage", "products").out


def test_a_version_without_parents_is_shown_too(shop: Run) -> None:
    lines = shop("lineage", "products").out.splitlines()
    assert any(line.split()[:2] == ["products@1", "–"] for line in lines)


def test_an_unknown_line_comes_with_near_ones(shop: Run) -> None:
    found = shop("lineage", "product")
    assert found.code == 2
    assert "did you mean 'products'?" in found.error
