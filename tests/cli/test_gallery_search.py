from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.cli.worlds import CERTIFY, N_ITEMS, N_QUERIES, NEW_DIM, OLD_DIM, Run, float32, parts

SEARCH = ("gallery", "search", "shop", "--vectors", "queries_old.npy")


def test_hits_are_the_nearest_items_and_name_their_version(shop: Run, tmp_path: Path) -> None:
    found = shop(*SEARCH, "-k", "3", "--json").data
    items, queries = (np.load(tmp_path / name) for name in ("items.npy", "queries_old.npy"))
    cosines = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        items / np.linalg.norm(items, axis=1, keepdims=True)
    ).T
    nearest = [[f"sku-{i:04d}" for i in row[:3]] for row in np.argsort(-cosines, axis=1)]
    assert [[hit["id"] for hit in q["hits"]] for q in found["queries"]] == nearest
    assert found["queries"][0]["hits"][0]["score"] == pytest.approx(cosines[0].max(), abs=1e-5)
    assert {hit["version"] for q in found["queries"] for hit in q["hits"]} == {"products@1"}


def test_a_table_shows_the_first_queries(shop: Run) -> None:
    table = shop(*SEARCH, "-k", "2").out
    assert f"… and {N_QUERIES - 10} more queries; --json prints all" in table
    first = shop(*SEARCH, "-k", "2", "--first", "3").out
    assert "more queries" not in first
    assert first.count("products@1") == 6


def test_one_search_spans_both_versions(upgraded: Run, tmp_path: Path) -> None:
    (tmp_path / "new_ids.txt").write_text("\n".join(f"new-{i}" for i in range(N_ITEMS)))
    arguments = ("--vectors", "items_new.npy", "--ids", "new_ids.txt")
    assert upgraded("gallery", "add", "shop", *arguments).code == 0
    search = ("gallery", "search", "shop", "--vectors", "queries_new.npy", "--json")
    hits = upgraded(*search, "-k", str(2 * N_ITEMS)).data["queries"][0]["hits"]
    assert {h["version"] for h in hits if h["id"].startswith("new")} == {"products@2"}
    assert {h["version"] for h in hits if h["id"].startswith("sku")} == {"products@1"}
    assert len(hits) == 2 * N_ITEMS


# --- explaining


def test_an_explanation_names_segments_certificates_and_items(
    upgraded: Run, tmp_path: Path
) -> None:
    (tmp_path / "new_ids.txt").write_text("\n".join(f"new-{i}" for i in range(N_ITEMS)))
    upgraded("gallery", "add", "shop", "--vectors", "items_new.npy", "--ids", "new_ids.txt")
    search = ("gallery", "search", "shop", "--vectors", "queries_new.npy", "-k", "5")
    plain = upgraded(*search, "--first", "1", "--json").data
    asked = (*search, "--explain", "--item", "sku-0007", "--item", "nowhere")
    found = upgraded(*asked, "--json").data
    assert found["queries"] == plain["queries"]
    old, new = found["explanation"]["segments"]
    certificate = upgraded("certificate", "list", "shop", "--json").data["certificates"][0]
    assert (old["basis"], old["standing"]) == (certificate["digest"], "valid")
    assert (new["basis"], new["contract"]["kind"]) == ("same-space", "same-space")
    assert [item["outcome"] for item in found["explanation"]["items"]] == ["beaten", "absent"]
    shown = upgraded(*asked).out
    assert "query of products@2 in 'shop' (cosine), as served by model:products event" in shown
    assert f"{certificate['digest'][:12]} (valid)" in shown
    for title in ("segments", "hits, by score; equal scores by id", "items asked about"):
        assert f"\n{title}\n" in shown
    assert "items asked about" not in upgraded(*search, "--explain").out


def test_an_explanation_names_what_is_hidden(upgraded: Run, tmp_path: Path) -> None:
    (tmp_path / "new_ids.txt").write_text("\n".join(f"new-{i}" for i in range(N_ITEMS)))
    upgraded("gallery", "add", "shop", "--vectors", "items_new.npy", "--ids", "new_ids.txt")
    upgraded("rollback", "shop", "--accept-loss", "--reason", "too slow")
    shown = upgraded(*SEARCH, "--explain", "--item", "new-3").out
    assert "not searched" in shown
    assert re.search(r"^ new-3 +hidden +2 +products@2 +– +–", shown, re.MULTILINE)


def test_items_belong_to_an_explanation(shop: Run) -> None:
    assert "--item goes with --explain" in shop(*SEARCH, "--item", "x").error


def test_items_of_a_gallery_of_numbers_are_numbers(shop: Run) -> None:
    shop("gallery", "create", "shelf", "products@1")
    shop("gallery", "add", "shelf", "--vectors", "items.npy")
    search = ("gallery", "search", "shelf", "--vectors", "queries_old.npy", "--explain", "--item")
    assert shop(*search, "7", "--json").data["explanation"]["items"][0]["segment"] == 1
    assert "'x': this gallery names items by whole numbers" in shop(*search, "x").error


def test_queries_without_direction_come_with_their_file(shop: Run, tmp_path: Path) -> None:
    queries = np.load(tmp_path / "queries_old.npy")
    queries[4] = 0
    np.save(tmp_path / "zero.npy", queries)
    found = shop("gallery", "search", "shop", "--vectors", "zero.npy", "--version", "products@1")
    words = f"error: zero.npy: 1 of {N_QUERIES} vectors are all zero, first in row 4"
    assert found.error.startswith(words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-k", str(N_ITEMS + 1)), f"k is {N_ITEMS + 1} but only {N_ITEMS} items can be found"),
        (("-k", "0"), "k must be at least 1 but is 0\nhint: ask for 1 hit or more"),
        (("--first", "0"), "--first"),
        (("--version", "products@2"), "but their version has 96"),
    ],
)
def test_wrong_searches_are_refused(shop: Run, arguments: tuple[str, ...], words: str) -> None:
    found = shop(*SEARCH, *arguments)
    assert found.code == 2
    assert words in found.error


def test_queries_of_a_version_that_is_not_in_force_are_refused(shop: Run) -> None:
    arguments = ("--vectors", "queries_new.npy", "--version", "products@2")
    found = shop("gallery", "search", "shop", *arguments)
    assert found.code == 2
    assert "is queried by products@1, not by products@2" in found.error
    assert "certify and promote products@2" in found.error


def test_an_empty_gallery_has_nothing_to_find(shop: Run) -> None:
    shop("gallery", "create", "shelf", "products@1")
    found = shop("gallery", "search", "shelf", "--vectors", "queries_old.npy")
    assert found.code == 2
    assert "the gallery holds no items" in found.error


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_queries_without_a_direction_are_refused(shop: Run, tmp_path: Path, value: float) -> None:
    np.save(tmp_path / "queries_old.npy", np.full((2, OLD_DIM), value, np.float32))
    found = shop(*SEARCH)
    assert found.code == 2
    assert "row 0" in found.error


def test_no_queries_are_refused(shop: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "queries_old.npy", float32(np.empty((0, OLD_DIM))))
    found = shop(*SEARCH)
    assert found.code == 2
    assert "no queries" in found.error


def test_an_unknown_gallery_comes_with_near_ones(shop: Run) -> None:
    found = shop("gallery", "search", "shpo", "--vectors", "queries_old.npy")
    assert found.code == 2
    assert "did you mean 'shop'?" in found.error


@pytest.mark.parametrize("kind", ["parts", "indexes"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone"])
def test_a_damaged_file_is_never_searched(
    shop: Run, tmp_path: Path, kind: str, damage: str
) -> None:
    (path,) = (parts(tmp_path)[0].parents[1] / kind).iterdir()
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    found = shop(*SEARCH)
    assert found.code == (2 if damage == "gone" else 6)
    assert ("is missing" if damage == "gone" else "is not the file that was") in found.error
    checked = shop("doctor", "--json").data
    assert checked["n_failed"] == 1
    assert [c["check"] for c in checked["checks"] if not c["ok"]] == ["gallery shop"]


def test_bare_queries_of_another_model_are_refused_by_their_space(
    shop: Run, tmp_path: Path
) -> None:
    items = np.load(tmp_path / "items.npy")
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(OLD_DIM, OLD_DIM)))
    np.save(tmp_path / "q.npy", float32(items @ rotation))
    asked = ("gallery", "search", "shop", "--vectors", "q.npy", "-k", "1")
    found = shop(*asked)
    assert found.code == 2
    assert "do not look like those of products@1" in found.error
    assert shop(*asked, "--trust-space").code == 0
    np.save(tmp_path / "q.npy", float32(items + 0.5))
    assert shop(*asked).code == 0


AGAIN = ("--reembedded", "items_new.npy", "--reembedded-ids", "item_ids.txt")
MIXED = """
n_resamples = 400

[[requirements]]
metric = "mAP"
criterion = "non-inferiority"
margin = 0.1

[[requirements]]
metric = "mAP"
criterion = "superiority"
on = "mixed"
"""


def add_new_items(run: Run, folder: Path, version: str = "products@2") -> None:
    (folder / "new_ids.txt").write_text("\n".join(f"new-{i}" for i in range(N_ITEMS)))
    items = ("--vectors", "items_new.npy", "--ids", "new_ids.txt", "--version", version)
    found = run("gallery", "add", "shop", *items)
    assert found.code == 0, found.err


def test_what_scores_less_is_left_out(shop: Run) -> None:
    whole = shop(*SEARCH, "-k", "5", "--json").data["queries"]
    bound = sorted(hit["score"] for q in whole for hit in q["hits"])[-30]
    kept = shop(*SEARCH, "-k", "5", "--min-score", str(bound), "--json").data["queries"]
    expected = [[h for h in q["hits"] if h["score"] >= bound] for q in whole]
    assert [q["hits"] for q in kept] == expected
    assert sum(map(len, expected)) == 30
    assert "raw score" not in shop(*SEARCH).out
    nothing = shop(*SEARCH, "--min-score", "2", "--first", "1")
    assert "none" in nothing.out
    assert shop(*SEARCH, "--min-score", "nan").error.startswith("error: min_score must be a number")


def test_calibrated_scores_come_with_the_raw_ones(shop: Run, tmp_path: Path) -> None:
    assert shop(*CERTIFY, *AGAIN).code == 0
    promoted = shop("promote", "shop", "products@2", "--json").data
    assert set(promoted["calibration"]) == {"products@1", "products@2"}
    add_new_items(shop, tmp_path)
    search = ("gallery", "search", "shop", "--vectors", "queries_new.npy", "-k", "400")
    hits = shop(*search, "--json").data["queries"][0]["hits"]
    scores, raw = ([h[name] for h in hits] for name in ("score", "raw_score"))
    assert scores == sorted(scores, reverse=True)
    assert scores != raw
    assert {h["version"] for h in hits} == {"products@1", "products@2"}
    assert "raw score" in shop(*search).out
    explain = (*search, "--explain", "--item", "sku-0007")
    told = shop(*explain, "--json").data
    assert told["queries"] == shop(*search, "--first", "1", "--json").data["queries"]
    assert [s["to_scale"] for s in told["explanation"]["segments"]] == [
        promoted["calibration"][version] for version in ("products@1", "products@2")
    ]
    assert shop(*explain).out.count("raw score") == 2
    assert "goes without --min-score" in shop(*explain, "--min-score", "0.5").error


def test_segments_are_searched_by_their_own_versions_queries(shop: Run, tmp_path: Path) -> None:
    made_by = ("--dim", str(NEW_DIM), "--provider", "other", "--made-by", "vit@1")
    assert shop("model", "register", "products", *made_by).code == 0
    declare = ("model", "declare", "products@3", "products@1", "--own-encoder")
    assert "gallery version's own encoder" in shop(*declare, "--dry-run").out
    assert shop(*declare).code == 0
    (tmp_path / "policy.toml").write_text(MIXED)
    queries = ("--queries", "products@1=queries_old.npy", "--queries", "products@3=queries_new.npy")
    labels = ("--labels", "query_labels.csv", "--gallery-labels", "item_labels.csv")
    certify = ("certify", "shop", "products@3", *queries, *labels, "--policy", "policy.toml")
    assert "re-embedded items" in shop(*certify).error
    found = shop(*certify, *AGAIN)
    assert found.code == 0, found.out + found.err
    promoted = shop("promote", "shop", "products@3", "--json").data
    assert promoted["calibration"] == {}  # the two models' scores happen to lie alike
    add_new_items(shop, tmp_path, "products@3")
    search = ("gallery", "search", "shop")
    hits = shop(*search, *queries, "-k", "400", "--first", "3", "--json").data["queries"]
    assert {h["version"] for q in hits for h in q["hits"]} == {"products@1", "products@3"}
    told = shop(*search, *queries, "-k", "400", "--explain", "--json").data
    first = shop(*search, *queries, "-k", "400", "--first", "1", "--json").data
    assert told["queries"] == first["queries"]
    alone = ("--vectors", "queries_new.npy", "--version", "products@3")
    error = shop(*search, *alone).error
    assert "holds vectors of products@1, which queries of their own version search" in error
    assert "--queries products@1=FILE" in error
    assert "goes without --vectors" in shop(*search, *queries, *alone).error
    assert "write VERSION=FILE" in shop(*search, "--queries", "queries_old.npy").error


def test_an_own_encoder_compares_all_dimensions(shop: Run) -> None:
    found = shop("model", "declare", "products@2", "products@1", "--own-encoder", "--dims", "3")
    assert found.code == 2
    assert "give either --own-encoder or --dims" in found.error
