"""Certifying from vector files: the verdicts, what is recorded, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import Embeddings, Registry
from registry.vector_files import write_vectors
from tests.cli.worlds import (
    CERTIFY,
    IDS,
    N_CLASSES,
    N_ITEMS,
    N_QUERIES,
    NEW_DIM,
    Run,
    float32,
    snapshot,
)

RANDOM = tuple(word.replace("queries_new", "queries_random") for word in CERTIFY)


def test_a_compatible_version_gets_its_certificate(shop: Run) -> None:
    found = shop(*CERTIFY, "--json").data
    assert (found["verdict"], found["exit_code"]) == ("COMPATIBLE", 0)
    (certificate,) = found["certificates"]
    assert certificate["gallery_version"] == "products@1"
    assert certificate["contract"] == {"kind": "prefix", "dims": 64}
    assert certificate["n_gallery_items"] == N_ITEMS
    assert {f["n_queries"] for f in certificate["findings"]} == {N_QUERIES}
    assert {f["n_clusters"] for f in certificate["findings"]} == {N_CLASSES}
    assert {c["name"]: c["found"] for c in certificate["controls"]} == {
        "random model": "INCOMPATIBLE",
        "rotated model": "INCOMPATIBLE",
        "old model": "COMPATIBLE",
        "served search": "COMPATIBLE",
    }
    (claim,) = shop("status", "shop", "--json").data["certificates"]
    assert (claim["digest"], claim["state"]) == (certificate["digest"], "valid")


def test_a_random_version_is_incompatible(shop: Run) -> None:
    found = shop(*RANDOM)
    assert found.code == 1
    assert "INCOMPATIBLE\nproducts@2 must not search" in found.out
    assert all(line.startswith("note: ") for line in found.err.splitlines())
    refused = shop("promote", "shop", "products@2")
    assert refused.code == 4
    assert "it says INCOMPATIBLE" in refused.error


def write_qrels(folder: Path, name: str = "test.tsv") -> tuple[str, ...]:
    """Judge the shop's queries as their labels do, and return the command that says so."""
    (folder / "ids.txt").write_text("\n".join(f"q{i}" for i in range(N_QUERIES)) + "\n")
    pairs = [(q, i) for q in range(N_QUERIES) for i in range(N_ITEMS) if q // 2 == i // 4]
    if name.endswith(".tsv"):
        rows = ["query-id\tcorpus-id\tscore", *(f"q{q}\t{IDS[i]}\t{1 + i % 2}" for q, i in pairs)]
    else:
        rows = [f"q{q} 0 {IDS[i]} {1 + i % 2}" for q, i in pairs]
    (folder / name).write_text("\n".join(rows) + "\n")
    where = CERTIFY.index("--labels")
    judged = ("--query-ids", "ids.txt", "--qrels", name)
    return (*CERTIFY[:where], *judged, *CERTIFY[where + 4 :])


@pytest.mark.parametrize("name", ["test.tsv", "qrels.txt"])
def test_judgements_replace_labels(shop: Run, tmp_path: Path, name: str) -> None:
    by_label = shop(*CERTIFY, "--dry-run", "--json").data["certificates"][0]
    found = shop(*write_qrels(tmp_path, name), "--json").data
    assert found["verdict"] == "COMPATIBLE"
    (certificate,) = found["certificates"]
    assert {f["n_clusters"] for f in certificate["findings"]} == {N_QUERIES}
    values = [[f["candidate"] for f in c["findings"]] for c in (certificate, by_label)]
    assert values[0] == values[1]
    assert "the unit of resampling is the query" in " ".join(certificate["limits"])
    served = [c["value"] for c in certificate["controls"] if c["name"] == "served search"]
    assert served == [c["value"] for c in by_label["controls"] if c["name"] == "served search"]
    assert shop("promote", "shop", "products@2").code == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("sku-0007\t2", "sku-7777\t2", "not among the items of the gallery, for example 'sku-77"),
        ("q3\t", "q999\t", "not among the queries, for example 'q999'"),
        ("sku-0007\t2", "sku-0006\t2", "judged twice, with gains 1 and 2"),
        ("q5\t", "q4\t", "1 of 120 queries have no judgement above 0, for example query 'q5'"),
        ("sku-0007\t2", "sku-0007\tbest", "line 13: 'q2\\tsku-0007\\tbest' is no judgement"),
    ],
)
def test_judgements_that_do_not_fit(
    shop: Run, tmp_path: Path, old: str, new: str, says: str
) -> None:
    command = write_qrels(tmp_path)
    path = tmp_path / "test.tsv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    before = snapshot(tmp_path)
    refused = shop(*command)
    assert (refused.code, says in refused.error) == (2, True), refused.err
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--labels", "query_labels.csv"), "either --qrels FILE or --labels"),
        (("--gallery-labels", "item_labels.csv"), "either --qrels FILE or --labels"),
    ],
)
def test_either_judgements_or_labels(
    shop: Run, tmp_path: Path, given: tuple[str, ...], says: str
) -> None:
    command = write_qrels(tmp_path)
    assert says in shop(*command, *given).error
    unnamed = [word for word in command if word not in ("--query-ids", "ids.txt")]
    assert "--query-ids FILE" in shop(*unnamed).error
    without = [word for word in command if word not in ("--qrels", "test.tsv")]
    assert "goes with --qrels" in shop(*without).error
    assert "what is relevant?" in shop(*without[: without.index("--query-ids")]).error
    (tmp_path / "ids.txt").write_text("q1\nq2\n")
    assert "ids.txt names 2 queries, but there are 120" in shop(*command).error


def test_few_classes_are_inconclusive(shop: Run, tmp_path: Path) -> None:
    for name in ("queries_old", "queries_new"):
        path = tmp_path / f"{name}.npy"
        np.save(path, np.load(path)[:8])
    lines = (tmp_path / "query_labels.csv").read_text().splitlines()
    (tmp_path / "query_labels.csv").write_text("\n".join(lines[:9]))
    found = shop(*CERTIFY, "--json").data
    assert (found["verdict"], found["exit_code"]) == ("INCONCLUSIVE", 3)
    assert shop("promote", "shop", "products@2").code == 4


def test_exit_codes_reach_the_shell(shop: Run) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", *RANDOM, "--dry-run"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert ended.returncode == 1
    assert all(line.startswith("note: ") for line in ended.stderr.splitlines())


def test_a_dry_run_concludes_and_records_nothing(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    found = shop(*CERTIFY, "--dry-run", "--json").data
    assert found["verdict"] == "COMPATIBLE"
    assert found["certificates"][0]["digest"] is None
    assert "dry run: nothing was recorded" in shop(*CERTIFY, "--dry-run").out
    assert snapshot(tmp_path) == before


def test_the_same_files_give_the_same_numbers(shop: Run) -> None:
    first, second = (shop(*CERTIFY, "--json").data["certificates"][0] for _ in range(2))
    for name in ("findings", "controls", "matrix", "probe_digest", "evidence_digest"):
        assert first[name] == second[name]


@pytest.mark.parametrize("how", ["ids file", "npz", "parquet"])
def test_reembedded_items_certify_the_way_back(shop: Run, tmp_path: Path, how: str) -> None:
    vectors = np.load(tmp_path / "items_new.npy")
    arguments = {
        "ids file": ("--reembedded", "items_new.npy", "--reembedded-ids", "item_ids.txt"),
        "npz": ("--reembedded", "again.npz"),
        "parquet": ("--reembedded", "again.parquet"),
    }[how]
    np.savez(tmp_path / "again.npz", ids=np.array(IDS), vectors=vectors)
    with Registry.open(tmp_path / ".samespace") as registry:
        again = Embeddings(np.array(IDS), vectors, registry.models.get("products@2"))
        write_vectors(tmp_path / "again.parquet", again)
    found = shop(*CERTIFY, *arguments, "--json").data
    assert [c["is_rollback"] for c in found["certificates"]] == [False, True]
    assert set(found["certificates"][0]["matrix"]) == {
        *(f"products@{query} -> products@{held}" for query in (1, 2) for held in (1, 2)),
        *(f"products@{query} -> mixed {share}%" for query in (1, 2) for share in (25, 50, 75)),
    }


def test_rows_without_ids_are_not_taken_for_items_with_ids(shop: Run, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    found = shop(*CERTIFY, "--reembedded", "items_new.npy")
    assert found.code == 2
    assert "give --reembedded-ids FILE" in found.error
    assert snapshot(tmp_path) == before


def numbered(shop: Run, folder: Path, ids: Any = None) -> tuple[str, ...]:
    """Fill a gallery whose items are numbers, and return how it is certified."""
    arguments: tuple[str, ...] = ()
    if ids is not None:
        np.save(folder / "numbers.npy", ids)
        arguments = ("--ids", "numbers.npy")
    names = np.arange(N_ITEMS) if ids is None else ids
    rows = [f"{n},class-{i // 4}" for i, n in enumerate(names)]
    (folder / "numbers.csv").write_text("\n".join(["id,label", *rows]))
    assert shop("gallery", "create", "shelf", "products@1").code == 0
    add = ("gallery", "add", "shelf", "--vectors", "items.npy")
    assert shop(*add, *arguments).code == 0
    words = [{"shop": "shelf", "item_labels.csv": "numbers.csv"}.get(w, w) for w in CERTIFY]
    return (*words, "--reembedded", "items_new.npy")


def test_rows_and_items_that_are_both_numbered_belong_together(shop: Run, tmp_path: Path) -> None:
    found = shop(*numbered(shop, tmp_path), "--json").data
    assert len(found["certificates"]) == 2


def test_numbers_in_another_order_are_no_row_numbers(shop: Run, tmp_path: Path) -> None:
    found = shop(*numbered(shop, tmp_path, np.arange(N_ITEMS)[::-1].copy()))
    assert found.code == 2
    assert "give --reembedded-ids FILE" in found.error


def test_queries_without_ids_are_not_the_items_of_that_number(shop: Run, tmp_path: Path) -> None:
    named = shop(*CERTIFY, "--json").data["certificates"][0]
    arguments = numbered(shop, tmp_path)[:-2]
    found = shop(*arguments, "--json").data["certificates"][0]
    assert [f["baseline"] for f in found["findings"]] == [f["baseline"] for f in named["findings"]]


def test_numbers_in_a_text_file_and_in_a_csv_file_are_the_same_items(
    shop: Run, tmp_path: Path
) -> None:
    arguments = numbered(shop, tmp_path)[:-2]
    (tmp_path / "numbers.txt").write_text("\n".join(map(str, range(N_ITEMS))))
    shop("gallery", "create", "texts", "products@1")
    add = ("gallery", "add", "texts", "--vectors", "items.npy", "--ids", "numbers.txt")
    assert shop(*add).code == 0
    found = shop(*("texts" if word == "shelf" else word for word in arguments), "--json").data
    assert found["verdict"] == "COMPATIBLE"


def test_numeric_labels_and_textual_ones_match_by_text(shop: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.repeat(np.arange(N_CLASSES), 2))
    rows = [f"{item},{i // 4}" for i, item in enumerate(IDS)]
    (tmp_path / "item_labels.csv").write_text("\n".join(["id,label", *rows]))
    (tmp_path / "texts.csv").write_text("label\n" + "\n".join(f"c{i // 2}" for i in range(120)))
    words = [{"query_labels.csv": "labels.npy"}.get(word, word) for word in CERTIFY]
    assert shop(*words, "--dry-run", "--json").data["verdict"] == "COMPATIBLE"
    words = [{"query_labels.csv": "texts.csv"}.get(word, word) for word in CERTIFY]
    found = shop(*words)
    assert found.code == 2
    assert "queries have no relevant item" in found.error


def test_the_units_that_are_needed_are_said_beforehand(shop: Run) -> None:
    found = shop(*CERTIFY, "--dry-run")
    first, second = found.err.splitlines()
    assert first.startswith("note: mAP better: takes about ")
    assert second.startswith("note: hit@1 not worse by more than 0.1: takes about ")
    assert "(never fewer than 34); there are 60. Assumed: true difference 0, SD 0.25" in second
    better, no_worse = shop(*CERTIFY, "--dry-run", "--json").data["required_units"]
    assert (better["metric"], better["assumed_difference"]) == ("mAP", 0.05)
    assert no_worse["n_resolving"] == 34
    assert no_worse["available"] == {"all": 60}


def test_the_units_that_are_missing_are_said_afterwards(shop: Run, tmp_path: Path) -> None:
    rules = (tmp_path / "policy.toml").read_text()
    (tmp_path / "policy.toml").write_text("min_units = 100\n" + rules)
    found = shop(*CERTIFY)
    assert found.code == 3
    few = (
        "group 'all' is undecided, whatever its bounds: it has 60 independent units, and the policy"
    )
    assert f"{few} asks for 100" in found.out
    assert "hit@1 in 'all': about 40 more independent units would usually show it" in found.out
    made = shop(*CERTIFY, "--dry-run", "--json").data["certificates"][0]
    assert made["further_units"] == [
        {"group": "all", "metric": "mAP", "n_further": 40},
        {"group": "all", "metric": "hit@1", "n_further": 40},
    ]


def test_groups_are_reported_apart(shop: Run, tmp_path: Path) -> None:
    rows = [f"class-{i // 2},{'ab'[i % 2]}" for i in range(N_QUERIES)]
    (tmp_path / "query_labels.csv").write_text("\n".join(["label,group", *rows]))
    found = shop(*CERTIFY, "--json").data["certificates"][0]
    assert [(f["group"], f["metric"]) for f in found["findings"]] == [
        ("a", "mAP"),
        ("b", "mAP"),
        ("a", "hit@1"),
        ("b", "hit@1"),
    ]
    assert set(found["matrix"]["products@1 -> products@1"]) == {"all", "a", "b"}


def write_named(folder: Path, number: int, order: Any) -> str:
    """Write the queries of a version in some order, with their ids."""
    name = f"named{number}.npz"
    vectors = np.load(folder / ("queries_old.npy" if number == 1 else "queries_new.npy"))
    ids = np.array([f"q{i}" for i in range(N_QUERIES)])
    np.savez(folder / name, ids=ids[order], vectors=vectors[order])
    return f"products@{number}={name}"


def test_rows_in_different_orders_are_refused(shop: Run, tmp_path: Path) -> None:
    straight, reverse = np.arange(N_QUERIES), np.arange(N_QUERIES)[::-1]
    labels = [f"q{i},class-{i // 2}" for i in range(N_QUERIES)]
    (tmp_path / "query_labels.csv").write_text("\n".join(["id,label", *labels]))
    for orders, code in (((straight, straight), 0), ((straight, reverse), 2)):
        files = [write_named(tmp_path, n, order) for n, order in zip((1, 2), orders, strict=True)]
        arguments = (*CERTIFY[:3], "--queries", files[0], "--queries", files[1], *CERTIFY[7:])
        found = shop(*arguments, "--dry-run")
        assert found.code == code
    assert "name row 0 differently: 'q0' and 'q119'" in found.error


def edit(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        np.save(folder / name, change(np.load(folder / name)))

    return apply


def text(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_text(change((folder / name).read_text()))

    return apply


def other_maker(folder: Path) -> None:
    with Registry.open(folder / ".samespace") as registry:
        first = registry.models.get("products@1")
        vectors = np.load(folder / "queries_old.npy")
        write_vectors(folder / "other.parquet", Embeddings.numbered(vectors, first))


BAD = [
    (edit("queries_new.npy", lambda v: v[:, :64].copy()), (), "their version has 96"),
    (edit("queries_new.npy", lambda v: v[:7]), (), "embedded 7 queries, but 120 are labelled"),
    (edit("queries_old.npy", lambda v: v[:7]), (), "labels 120 queries, but there are 7"),
    (edit("queries_new.npy", lambda v: v * np.float32(np.nan)), (), "120 of 120 vectors hold NaN"),
    (edit("queries_new.npy", lambda v: v * np.float32(0)), (), "queries are all zero"),
    (edit("queries_new.npy", lambda v: v.astype(np.float64)), (), "--convert"),
    (edit("queries_new.npy", lambda v: v[:0]), (), "0 queries"),
    (text("item_labels.csv", lambda t: t.replace("sku-0007,", "sku-7,")), (), "have no label"),
    (text("item_labels.csv", lambda t: t + "sku-0000,class-9\n"), (), "two labels"),
    (text("item_labels.csv", lambda t: t.replace("id,", "name,")), (), "has labels but no ids"),
    (text("query_labels.csv", lambda t: t.replace("label", "lable")), (), "has no column 'label'"),
    (text("query_labels.csv", lambda t: t.replace("class-3\n", "x\n")), (), "no relevant item"),
    (text("policy.toml", lambda t: "n_resample = 1\n" + t), (), "unknown key 'n_resample'"),
    (text("policy.toml", lambda t: t.replace("hit@1", "hit@one")), (), "no metric is named"),
    (text("policy.toml", lambda t: t.replace("margin = 0.1", "margin = 2")), (), "margin must"),
    (text("policy.toml", lambda t: t.replace("superiority", "best")), (), "requirement is wrong"),
    (text("policy.toml", lambda _: "confidence_level = 2"), (), "confidence_level"),
    (text("policy.toml", lambda _: "n_resamples = 3"), (), "n_resamples"),
    (text("policy.toml", lambda _: "n_resamples = 0"), (), "n_resamples"),
    (text("policy.toml", lambda _: "seed = -1"), (), "seed"),
    (text("policy.toml", lambda _: "unit = 'person'"), (), "unit must be"),
    (text("policy.toml", lambda _: "requirements = []"), (), "at least one requirement"),
    (text("policy.toml", lambda _: "requirements = 3"), (), "requirement"),
    (text("policy.toml", lambda _: "requirements = ['mAP']"), (), "requirement"),
    (text("policy.toml", lambda _: "not toml"), (), "policy.toml is not TOML"),
    (None, ("--policy", "nowhere.toml"), "there is no file nowhere.toml"),
    (None, ("--queries", "products@2=queries_new.npy"), "products@2 was given twice"),
    (None, ("--queries", "products@2"), "write VERSION=FILE"),
    (None, ("--queries", "prodcts@2=queries_new.npy"), "did you mean 'products'?"),
    (None, ("--data", "x.npz"), "give either --queries VERSION=FILE"),
    (None, ("--reembedded", "items.npy"), "their version has 96"),
    (None, ("--reembedded", "a.npy", "--gallery-data", "b.npz"), "give either --reembedded"),
]


@pytest.mark.parametrize(("change", "more", "words"), BAD, ids=[words for _, _, words in BAD])
def test_bad_input_is_refused_and_records_nothing(
    shop: Run,
    tmp_path: Path,
    change: Callable[[Path], None] | None,
    more: tuple[str, ...],
    words: str,
) -> None:
    if change is not None:
        change(tmp_path)
    before = snapshot(tmp_path)
    found = shop(*CERTIFY, *more)
    assert found.code == 2
    assert words in found.error
    assert snapshot(tmp_path) == before


def test_vectors_of_another_version_are_refused_by_fingerprint(shop: Run, tmp_path: Path) -> None:
    other_maker(tmp_path)
    arguments = (*CERTIFY[:3], *CERTIFY[3:5], "--queries", "products@2=other.parquet", *CERTIFY[7:])
    found = shop(*arguments)
    assert found.code == 2
    assert "says it was made by" in found.error


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("shpo", *CERTIFY[2:]), 2, "did you mean 'shop'?"),
        (("shop", "products@3", *CERTIFY[3:]), 2, "products@2"),
        (("shop", "products@1", *CERTIFY[3:]), 2, "there is nothing to certify"),
        (("shop", "products@2", "--gallery-labels", "item_labels.csv"), 2, "give either"),
        (("shop", "products@2", *CERTIFY[3:7], *CERTIFY[9:]), 2, "the queries need labels"),
        (("shop", "products@2", *CERTIFY[5:]), 2, "no queries embedded by products@1"),
    ],
)
def test_wrong_use_is_explained(
    shop: Run, arguments: tuple[str, ...], code: int, words: str
) -> None:
    found = shop("certify", *arguments)
    assert found.code == code
    assert words in found.error


def test_a_pair_that_nobody_declared_is_not_measured(shop: Run, tmp_path: Path) -> None:
    register = ("model", "register", "products", "--dim", str(NEW_DIM), "--provider", "in-house")
    assert shop(*register, "--made-by", "unrelated").code == 0
    np.save(tmp_path / "queries_3.npy", float32(np.load(tmp_path / "queries_new.npy")))
    words = [w.replace("products@2=queries_new", "products@3=queries_3") for w in CERTIFY]
    found = shop("certify", "shop", "products@3", *words[3:])
    assert found.code == 4
    assert "nobody declared how products@3 is compared" in found.error
    assert "samespace model declare products@3 products@1" in found.error


def test_vectors_of_the_old_queries_that_are_of_another_space_are_refused(
    shop: Run, tmp_path: Path
) -> None:
    """Else the baseline would be worthless, and anything would beat it."""
    items = np.load(tmp_path / "items.npy")
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(64, 64)))
    np.save(tmp_path / "queries_old.npy", float32(items @ rotation))
    found = shop(*CERTIFY)
    assert found.code == 2
    assert "do not look like those of products@1" in found.error
