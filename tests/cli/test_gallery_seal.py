from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.cli.worlds import OLD_DIM, Run, snapshot


def test_seals_what_is_open_and_then_finds_nothing_more(shop: Run, tmp_path: Path) -> None:
    shop("gallery", "create", "shelf", "products@1", "--index", "HNSW8,Flat")
    np.save(tmp_path / "v.npy", np.eye(40, OLD_DIM, dtype=np.float32))
    shop("gallery", "add", "shelf", "--vectors", "v.npy")
    before = snapshot(tmp_path)
    would = shop("gallery", "seal", "shelf", "--dry-run", "--json").data
    assert would["segments"] == [{"segment": 1, "version": "products@1", "n_items": 40}]
    assert would["dry_run"]
    assert snapshot(tmp_path) == before
    assert shop("gallery", "seal", "shelf").out == "sealed segment 1: 40 items of products@1\n"
    again = shop("gallery", "seal", "shelf")
    assert again.code == 2
    assert "no open segment" in again.error


def test_a_recipe_that_needs_more_items_seals_nothing(shop: Run, tmp_path: Path) -> None:
    shop("gallery", "create", "shelf", "products@1", "--index", "IVF64,Flat")
    np.save(tmp_path / "v.npy", np.eye(5, OLD_DIM, dtype=np.float32))
    shop("gallery", "add", "shelf", "--vectors", "v.npy")
    before = snapshot(tmp_path)
    found = shop("gallery", "seal", "shelf")
    assert found.code == 2
    assert found.error
    assert snapshot(tmp_path) == before


def test_an_unknown_gallery_comes_with_near_ones(shop: Run) -> None:
    found = shop("gallery", "seal", "shoop")
    assert found.code == 2
    assert "did you mean 'shop'?" in found.error
