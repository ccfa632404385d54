from __future__ import annotations

from pathlib import Path

from tests.cli.worlds import CERTIFY, N_ITEMS, Run, parts, snapshot
from tests.registry.service.builders import refused_removal

COMPACT = ("gallery", "compact", "shop")
SEARCH = ("gallery", "search", "shop", "--vectors", "queries_old.npy", "-k", "5", "--json")


def test_deleted_rows_leave_the_files_and_nothing_else_changes(shop: Run, tmp_path: Path) -> None:
    assert shop(*CERTIFY).code == 0
    shop("gallery", "delete", "shop", "sku-0001", "--yes")
    before, hits = parts(tmp_path), shop(*SEARCH).data["queries"]
    size = before[0].stat().st_size
    found = shop(*COMPACT)
    assert found.code == 0
    assert found.out.startswith("compacted 1 segments of 'shop'\n")
    (after,) = parts(tmp_path)
    assert after not in before
    assert after.stat().st_size < size
    again = shop(*SEARCH).data["queries"]
    assert [[h["id"] for h in q["hits"]] for q in again] == [
        [h["id"] for h in q["hits"]] for q in hits
    ]
    assert shop("doctor").code == 0
    assert shop("promote", "shop", "products@2").code == 0
    assert shop(*COMPACT).out == "compacted 0 segments of 'shop'\n"


def test_a_dry_run_compacts_nothing(shop: Run, tmp_path: Path) -> None:
    shop("gallery", "delete", "shop", "sku-0001", "--yes")
    before = snapshot(tmp_path)
    (segment,) = shop(*COMPACT, "--dry-run", "--json").data["segments"]
    assert (segment["n_dropped"], segment["n_items"]) == (1, N_ITEMS - 1)
    assert segment["bytes_after"] is None
    assert shop(*COMPACT, "--dry-run").out.startswith("would compact 1 segments")
    assert snapshot(tmp_path) == before


def test_approximate_indexes_are_left_alone_unless_that_is_wanted(shop: Run) -> None:
    shop("gallery", "create", "fast", "products@1", "--index", "HNSW8,Flat")
    shop("gallery", "add", "fast", "--vectors", "items.npy", "--ids", "item_ids.txt")
    shop("gallery", "seal", "fast")
    shop("gallery", "delete", "fast", "sku-0001", "--yes")
    found = shop("gallery", "compact", "fast")
    assert "compacted 0 segments" in found.out
    assert "for their approximate indexes: segments 1; --rebuild-indexes takes them" in found.out
    data = shop("gallery", "compact", "fast", "--rebuild-indexes", "--json").data
    assert [(s["segment"], s["index_rebuilt"]) for s in data["segments"]] == [(1, True)]
    assert data["kept"] == []


def test_old_files_that_could_not_be_removed_are_told(shop: Run) -> None:
    shop("gallery", "delete", "shop", "sku-0001", "--yes")
    with refused_removal():
        found = shop(*COMPACT)
    assert found.code == 0
    assert "2 old files could not be removed: samespace gallery prune" in found.out
    assert shop("doctor").code == 0, "nothing was erased, so they are only litter"
    assert shop("gallery", "prune", "--older-than", "0", "--yes").out.startswith(
        "removed 2 files\n"
    )
    assert shop("doctor").code == 0
