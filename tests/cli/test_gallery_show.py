from __future__ import annotations

import hashlib
from pathlib import Path

from tests.cli.worlds import N_ITEMS, Run


def test_shows_segments_and_the_digest_of_every_file(shop: Run, tmp_path: Path) -> None:
    found = shop("gallery", "show", "shop", "--json").data
    (segment,) = found["segments"]
    assert (segment["state"], segment["n_items"], segment["version"]) == (
        "sealed",
        N_ITEMS,
        "products@1",
    )
    assert len(found["files"]) == 2
    for file in found["files"]:
        stored = (tmp_path / ".samespace" / file["path"]).read_bytes()
        assert hashlib.sha256(stored).hexdigest() == file["sha256"]
        assert len(stored) == file["bytes"]
    shown = shop("gallery", "show", "shop").out
    assert shown.startswith(f"shop: {N_ITEMS} items, cosine, faiss Flat, queried by products@1\n")
    assert found["files"][0]["sha256"][:12] in shown


def test_an_unknown_gallery_comes_with_near_ones(shop: Run) -> None:
    found = shop("gallery", "show", "shoop")
    assert found.code == 2
    assert "did you mean 'shop'?" in found.error
