from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.cli.worlds import CERTIFY, N_ITEMS, OLD_DIM, Run, parts, snapshot
from tests.registry.service.builders import refused_removal

GONE = "sku-0001"
ERASE = ("gallery", "erase", "shop", GONE, "--reason", "request 2041")


def holding(folder: Path, item: str) -> list[Path]:
    """Every file of the registry that names an item, its database among them."""
    found = []
    for path in (folder / ".samespace").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if data.startswith(b"PAR1"):
                data += repr(pq.read_table(io.BytesIO(data)).to_pydict()).encode()
            if item.encode() in data:
                found.append(path)
    return found


def test_an_erased_item_is_in_no_file_and_the_certificate_lives_on(
    shop: Run, tmp_path: Path
) -> None:
    assert shop(*CERTIFY).code == 0
    digest = shop("certificate", "list", "shop", "--json").data["certificates"][0]["digest"]
    assert len(holding(tmp_path, GONE)) == 2
    found = shop(*ERASE, "--yes")
    assert found.out.startswith("erased 1 items from 'shop'\n")
    assert "segment 1" in found.out
    assert "index built again" in found.out
    assert f"evidence of {digest[:12]}" in found.out
    assert "removed 3 files" in found.out
    assert holding(tmp_path, GONE) == []
    assert len(parts(tmp_path)) == 1
    assert shop("doctor").code == 0
    verified = shop("certificate", "verify", digest)
    assert verified.code == 0
    assert "its evidence is redacted: 1 ids erased on " in verified.out
    assert "replay is no longer byte for byte" in verified.out
    replayed = shop("certificate", "replay", digest)
    assert replayed.out.startswith("REPLAYED: certificate ")
    assert "its evidence is redacted" in replayed.out
    (step,) = shop("certificate", "replay", digest, "--json").data["redactions"]
    assert step["n_hits"] > 0
    exported = shop("certificate", "export", digest, "it.json", "--evidence", "it.parquet")
    assert exported.code == 2
    assert "cannot be verified outside of the registry" in exported.error
    assert not (tmp_path / "it.json").exists()
    assert shop("certificate", "export", digest, "it.json").code == 0
    assert shop("report", "shop", "-o", "report.md").code == 0
    assert (
        f"Of certificate {digest[:12]}: its evidence is redacted" in Path("report.md").read_text()
    )
    assert shop("promote", "shop", "products@2").code == 0


def test_the_ledger_is_shown_and_asked(shop: Run) -> None:
    assert shop("gallery", "erasures", "shop").out == "nothing was erased from 'shop'\n"
    shop(*ERASE, "--yes")
    shop("gallery", "delete", "shop", "sku-0002", "--yes")
    shop("gallery", "erase", "shop", "sku-0002", "sku-0003", "--reason", "again", "--yes")
    shown = shop("gallery", "erasures", "shop").out
    assert "request 2041" in shown
    assert GONE not in shown
    data = shop("gallery", "erasures", "shop", "sku-0003", "--json").data
    (entry,) = data["erasures"]
    assert (entry["reason"], entry["n_items"]) == ("again", 2)
    (segment,) = entry["segments"]
    assert (segment["n_rows"], segment["n_hidden"], segment["index"]) == (1, 1, "rebuilt")
    assert data["unremoved"] == []
    asked = shop("gallery", "erasures", "shop", "sku-0009").out
    assert asked == "nothing named 'sku-0009' was erased from 'shop'\n"
    audit = shop("audit", "shop").out
    assert "items-erased" in audit
    assert GONE not in audit


def test_ids_may_come_from_a_file_and_be_whole_numbers(shop: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.eye(3, OLD_DIM, dtype=np.float32))
    np.save(tmp_path / "gone.npy", np.array([0, 2]))
    shop("gallery", "create", "shelf", "products@1")
    shop("gallery", "add", "shelf", "--vectors", "v.npy")
    why = ("--reason", "x", "--yes", "--json")
    assert shop("gallery", "erase", "shelf", "--ids", "gone.npy", *why).data["n_items"] == 2
    assert shop("gallery", "erase", "shelf", "1", *why).data["n_items"] == 1
    found = shop("gallery", "erase", "shelf", "one", "--reason", "x", "--yes")
    assert (found.code, "names items by whole numbers" in found.error) == (2, True)


def test_a_dry_run_erases_nothing(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    assert shop(*ERASE, "--dry-run").out.startswith("would erase 1 items from 'shop'\n")
    data = shop(*ERASE, "--dry-run", "--json").data
    assert (data["dry_run"], data["n_items"], data["evidence"]) == (True, 1, [])
    assert shop("gallery", "erase", "shop", "--resume", "--dry-run").out == (
        "would remove no files that may hold erased items\n"
    )
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((GONE, "--yes"), "an erasure needs a reason"),
        ((GONE, "--reason", " ", "--yes"), "an erasure needs a reason"),
        (("--reason", "x"), "give either ITEMS or --ids FILE"),
        ((GONE, "--ids", "item_ids.txt", "--reason", "x"), "give either ITEMS or --ids FILE"),
        ((GONE, "--resume"), "--resume goes on with what was begun"),
        ((GONE, "sku-9999", "--reason", "x", "--yes"), "1 of 2 ids are nowhere in gallery 'shop'"),
        ((GONE, GONE, "--reason", "x", "--yes"), "more than once"),
    ],
)
def test_wrong_use_erases_nothing(
    shop: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    before = snapshot(tmp_path)
    found = shop("gallery", "erase", "shop", *arguments)
    assert found.code == 2
    assert words in found.error
    assert snapshot(tmp_path) == before


def test_where_nobody_can_answer_it_refuses(
    shop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    before = snapshot(tmp_path)
    found = shop(*ERASE)
    assert found.code == 2
    assert "erase 1 items from 'shop' for good? – nobody is there to answer" in found.error
    assert snapshot(tmp_path) == before


def test_what_could_not_be_removed_is_told_until_it_is(shop: Run, tmp_path: Path) -> None:
    with refused_removal():
        found = shop(*ERASE, "--yes")
    assert found.code == 2
    assert "could not be removed, for example galleries/shop/" in found.error
    assert "samespace gallery erase shop --resume" in found.error
    told = shop("doctor")
    assert told.code == 2
    assert "2 old files may hold items that were erased" in told.out
    assert "NOT DONE: 2 old files are still there" in shop("gallery", "erasures", "shop").out
    assert shop("gallery", "erase", "shop", "--resume").out == (
        "removed 2 files that may hold erased items\n"
    )
    assert holding(tmp_path, GONE) == []
    assert shop("doctor").code == 0


def test_what_nobody_names_may_hold_it_too(shop: Run, tmp_path: Path) -> None:
    parts(tmp_path)[0].with_name("left-behind.arrow").write_bytes(GONE.encode())
    found = shop(*ERASE, "--yes").out
    assert "note: 1 file that nothing names" in found
    assert "samespace gallery prune" in found
    search = ("gallery", "search", "shop", "--vectors", "queries_old.npy")
    assert shop(*search, "-k", str(N_ITEMS)).code == 2
