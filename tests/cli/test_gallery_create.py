from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.worlds import Run, snapshot


def test_makes_an_empty_gallery(shop: Run) -> None:
    arguments = ("--metric", "l2", "--index", "HNSW16,Flat", "--option", "efSearch=64")
    found = shop("gallery", "create", "shelf", "products@1", *arguments, "--json").data
    assert found == {
        "schema_version": 1,
        "gallery": "shelf",
        "model": "products",
        "metric": "l2",
        "index": "HNSW16,Flat",
        "dry_run": False,
        "exit_code": 0,
    }


def test_a_dry_run_makes_nothing(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    found = shop("gallery", "create", "shelf", "products@1", "--dry-run", "--json").data
    assert (found["gallery"], found["model"], found["dry_run"]) == ("shelf", "products", True)
    shown = shop("gallery", "create", "shelf", "products@1", "--dry-run").out
    assert shown.startswith("would make gallery 'shelf'")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("shop", "products@1"), 5, "there is a gallery 'shop' already"),
        (("sh/op", "products@1"), 2, "cannot name a gallery"),
        (("shelf", "prducts@1"), 2, "did you mean 'products'?"),
        (("shelf", "products"), 2, "does not refer to a model version"),
        (("shelf", "products@1", "--backend", "fais"), 2, "did you mean 'faiss'?"),
        (("shelf", "products@1", "--index", "Nonsense"), 2, "Nonsense"),
        (("shelf", "products@1", "--option", "nprobe"), 2, "write NAME=N"),
        (("shelf", "products@1", "--option", "nonsense=3"), 2, "nonsense"),
        (("shelf", "products@1", "--metric", "cosin"), 2, "cosin"),
    ],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_cannot_be_made_is_refused(
    shop: Run,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    words: str,
    dry: tuple[str, ...],
) -> None:
    before = snapshot(tmp_path)
    found = shop("gallery", "create", *arguments, *dry)
    assert found.code == code
    assert words in found.error
    assert snapshot(tmp_path) == before
