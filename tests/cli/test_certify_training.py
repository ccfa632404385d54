"""Certifying with what the candidate was trained on: leakage, and seen and unseen classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import Embeddings, Registry
from registry.vector_files import write_vectors
from tests.cli.test_train import CONFIG
from tests.cli.worlds import CERTIFY, N_CLASSES, N_QUERIES, NEW_DIM, Run, float32, snapshot

CLEAN = ("--training-vectors", "items_new.npy")


def named_queries(folder: Path) -> None:
    """Give the queries ids: q0, q1, …"""
    rows = [f"q{i},class-{i // 2}" for i in range(N_QUERIES)]
    (folder / "query_labels.csv").write_text("\n".join(["id,label", *rows]) + "\n")


def plant(folder: Path, *queries: int) -> tuple[str, ...]:
    """Put copies of queries behind the items, and return the options that name the file."""
    copies = np.load(folder / "queries_new.npy")[list(queries)]
    np.save(folder / "train.npy", np.vstack([np.load(folder / "items_new.npy"), copies]))
    return ("--training-vectors", "train.npy")


def leaked(certificate: dict[str, Any]) -> tuple[float, str]:
    (control,) = [c for c in certificate["controls"] if c["name"] == "no leakage"]
    return control["value"], control["found"]


def limits(certificate: dict[str, Any]) -> str:
    return " ".join(certificate["limits"])


def test_clean_queries_are_certified_and_promoted(shop: Run) -> None:
    found = shop(*CERTIFY, *CLEAN)
    assert found.code == 0
    assert "no leakage" in found.out
    assert f"0 of {N_QUERIES} queries are in the training data, by a vector of" in found.out
    assert shop("promote", "shop", "products@2").code == 0


def test_copies_of_queries_leave_it_undecided(shop: Run, tmp_path: Path) -> None:
    named_queries(tmp_path)
    found = shop(*CERTIFY, *plant(tmp_path, 3, 50))
    assert found.code == 3
    assert f"2 of {N_QUERIES} queries are in the training data" in found.out
    assert "  'q3' (training row 240, cosine 1.0000), 'q50' (training row 241" in found.out
    assert "max_leaked" in found.out
    (made,) = shop(*CERTIFY, *plant(tmp_path, 3, 50), "--json").data["certificates"]
    assert made["leaked"] == ["q3", "q50"]
    assert leaked(made) == (2 / N_QUERIES, "INCONCLUSIVE")
    assert made["training"]["n_items"] == 242
    refused = shop("promote", "shop", "products@2")
    assert refused.code == 4
    assert "it says INCONCLUSIVE" in refused.error


def test_a_policy_may_accept_some(shop: Run, tmp_path: Path) -> None:
    rules = (tmp_path / "policy.toml").read_text()
    (tmp_path / "policy.toml").write_text("max_leaked = 0.02\n" + rules)
    assert shop(*CERTIFY, *plant(tmp_path, 3, 50)).code == 0
    assert shop(*CERTIFY, *plant(tmp_path, 3, 50, 7)).code == 3


def test_the_same_ids_are_found_with_vectors_or_without(shop: Run, tmp_path: Path) -> None:
    named_queries(tmp_path)
    (tmp_path / "ids.txt").write_text("\n".join(f"item{i}" for i in range(239)) + "\nq7\n")
    for options, way in (((), "by id"), (CLEAN, "by id or by a vector of cosine")):
        found = shop(*CERTIFY, *options, "--training-ids", "ids.txt", "--json").data
        assert found["verdict"] == "INCONCLUSIVE"
        (made,) = found["certificates"]
        assert made["leaked"] == ["q7"]
        assert f"1 of {N_QUERIES} queries is in the training data, {way}" in limits(made)


def test_files_that_name_their_rows_bring_ids_and_several_files_are_one(
    shop: Run, tmp_path: Path
) -> None:
    named_queries(tmp_path)
    with Registry.open(tmp_path / ".samespace") as registry:
        version = registry.models.get("products@2")
    vectors = np.load(tmp_path / "items_new.npy")
    for name, ids in (("a", ["x1", "q4"]), ("b", ["q9", "x2", "x3"])):
        some = Embeddings(np.array(ids), vectors[: len(ids)], version)
        write_vectors(tmp_path / f"{name}.parquet", some)
    options = ("--training-vectors", "a.parquet", "--training-vectors", "b.parquet")
    (made,) = shop(*CERTIFY, *options, "--json").data["certificates"]
    assert sorted(made["leaked"]) == ["q4", "q9"]
    assert made["training"]["n_items"] == 5


def test_a_leak_is_replayed_and_reported(shop: Run, tmp_path: Path) -> None:
    named_queries(tmp_path)
    reports = ("--report", "r.html", "--markdown", "r.md", "--junit", "r.xml")
    (made,) = shop(*CERTIFY, *plant(tmp_path, 3), *reports, "--json").data["certificates"]
    replayed = shop("certificate", "replay", made["digest"])
    assert (replayed.code, "REPLAYED" in replayed.out) == (0, True), replayed.err
    said = f"1 of {N_QUERIES} queries is in the training data"
    page, short, junit = ((tmp_path / f"r.{end}").read_text() for end in ("html", "md", "xml"))
    assert all(said in text for text in (page, short, junit))
    assert "<code>q3</code> (training row 240, cosine 1.0000)" in page
    assert '<property name="leaked_queries" value="1"' in junit
    assert "was INCONCLUSIVE: 1 of" in junit
    assert "no leakage" in shop("certificate", "show", made["digest"]).out


def test_without_training_data_it_is_said_that_nothing_was_checked(shop: Run) -> None:
    found = shop(*CERTIFY, "--markdown", "r.md", "--json").data["certificates"][0]
    assert found["leaked"] is None
    assert "training" not in found
    assert "Leakage was not checked: no training data were given." in limits(found)
    assert "Leakage: not checked." in Path("r.md").read_text()


# --- classes


def test_seen_and_unseen_classes_are_told_apart(shop: Run, tmp_path: Path) -> None:
    seen = [f"class-{c}" for c in range(N_CLASSES // 2)]
    (tmp_path / "classes.csv").write_text("\n".join(["label", *seen]) + "\n")
    found = shop(*CERTIFY, "--training-labels", "classes.csv", "--json").data["certificates"][0]
    assert {f["group"] for f in found["findings"]} == {"seen classes", "unseen classes"}
    assert all(
        set(by) == {"all", "seen classes", "unseen classes"} for by in found["matrix"].values()
    )
    assert "Leakage was not checked" in limits(found)
    assert shop("certificate", "replay", found["digest"]).code == 0


def test_a_declared_group_may_not_be_called_so(shop: Run, tmp_path: Path) -> None:
    rows = [f"class-{i // 2},{['seen classes', 'b'][i % 2]}" for i in range(N_QUERIES)]
    (tmp_path / "query_labels.csv").write_text("\n".join(["label,group", *rows]))
    refused = shop(*CERTIFY)
    assert (refused.code, "named 'seen classes'" in refused.error) == (2, True)


# --- raw data, of a model that was trained here


@pytest.fixture
def trained(cli: Run, tmp_path: Path) -> Run:
    """A shelf of docs@1, and docs@2 trained on train.npz; queries.npz are of other drawings."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 8)) * 2

    def save(name: str, classes: Any, each: int, begin: str, *more: Any) -> None:
        labels = np.repeat(classes, each)
        inputs = float32(centres[labels] + 0.3 * rng.normal(size=(len(labels), 8)))
        for extra in more:
            inputs, labels = np.vstack([inputs, extra[0]]), np.append(labels, extra[1])
        ids = np.array([f"{begin}{i}" for i in range(len(labels))])
        np.savez(tmp_path / name, inputs=inputs, labels=labels, ids=ids)

    save("queries.npz", np.arange(40), 3, "q")
    save("train.npz", np.arange(20), 8, "t")
    save("items.npz", np.arange(60), 4, "i")
    with np.load(tmp_path / "queries.npz") as file:
        copy = (file["inputs"][5], file["labels"][5])
    save("leaky.npz", np.arange(20), 8, "t", copy)
    old, new = 'name = "independent"', 'name = "oca"\nagainst = "docs@1"'
    (tmp_path / "v1.toml").write_text(CONFIG.format(dim=4, objective=old))
    (tmp_path / "v2.toml").write_text(CONFIG.format(dim=6, objective=new))
    for words in (
        ("init",),
        ("train", "v1.toml"),
        ("train", "v2.toml"),
        ("gallery", "create", "shelf", "docs@1"),
        ("gallery", "add", "shelf", "--data", "items.npz"),
        ("policy", "init"),
    ):
        found = cli(*words)
        assert found.code == 0, found.err
    return cli


SHELF = (
    *("certify", "shelf", "docs@2", "--data", "queries.npz", "--gallery-labels", "items.npz"),
    *("--policy", "policy.toml", "--dry-run", "--json"),
)


def test_raw_training_data_are_embedded_and_recognised(trained: Run) -> None:
    """The training record tells that it is the file, and which classes it holds."""
    (plain,) = trained(*SHELF).data["certificates"]
    (made,) = trained(*SHELF, "--training-data", "train.npz").data["certificates"]
    for one in (plain, made):
        assert {f["group"] for f in one["findings"]} == {"seen classes", "unseen classes"}
        units = {f["group"]: f["n_clusters"] for f in one["findings"]}
        assert units == {"seen classes": 20, "unseen classes": 20}
    assert "those that the training record of docs@2 names" in limits(made)
    assert made["training"]["n_items"] == 160
    assert leaked(made)[1] in {"COMPATIBLE", "INCONCLUSIVE"}
    (other,) = trained(*SHELF, "--training-data", "leaky.npz").data["certificates"]
    assert "q5" in other["leaked"]
    assert "are not what the training record of docs@2 names, which is 160 samples" in limits(other)


def test_raw_data_without_labels_tell_no_classes(trained: Run, tmp_path: Path) -> None:
    with np.load(tmp_path / "train.npz") as file:
        np.savez(tmp_path / "bare.npz", inputs=file["inputs"])
    (made,) = trained(*SHELF, "--training-data", "bare.npz").data["certificates"]
    assert {f["group"] for f in made["findings"]} == {"seen classes", "unseen classes"}
    assert "are not what the training record of docs@2 names" in limits(made)


# --- what is refused, in one line and without a trace


def broken(folder: Path) -> None:
    """Files that cannot be what the candidate was trained on."""
    rng = np.random.default_rng(1)
    items = np.load(folder / "items_new.npy")
    np.save(folder / "narrow.npy", float32(items[:, :64]))
    np.save(folder / "nan.npy", np.where(np.arange(len(items))[:, None] == 7, np.nan, items))
    np.save(folder / "nan.npy", float32(np.load(folder / "nan.npy")))
    turn = np.linalg.qr(rng.normal(size=(NEW_DIM, NEW_DIM)))[0]
    np.save(folder / "turned.npy", float32(items @ turn))
    np.save(folder / "none.npy", items[:0])
    (folder / "short.txt").write_text("a\nb\n")
    with Registry.open(folder / ".samespace") as registry:
        version = registry.models.get("products@1")
    some = np.load(folder / "items.npy")
    write_vectors(folder / "old.parquet", Embeddings.numbered(some, version))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--training-vectors", "narrow.npy"), "narrow.npy: vectors have 64 dimensions"),
        (("--training-vectors", "nan.npy"), "nan.npy: 1 of 240 vectors hold NaN or Inf, first in"),
        (("--training-vectors", "old.parquet"), "old.parquet says it was made by declared:"),
        (("--training-vectors", "none.npy"), "hold no item"),
        (("--training-vectors", "nowhere.npy"), "there is no file nowhere.npy"),
        ((*CLEAN, "--training-ids", "short.txt"), "240 training vectors but 2 training ids"),
        ((*CLEAN, "--training-data", "x.npz"), "either --training-vectors FILE or --training-data"),
        (("--training-labels", "item_ids.txt"), "item_ids.txt"),
    ],
)
def test_what_does_not_fit_is_refused(
    shop: Run, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    named_queries(tmp_path)
    broken(tmp_path)
    before = snapshot(tmp_path)
    refused = shop(*CERTIFY, *options)
    assert (refused.code, says in refused.error) == (2, True), refused.err
    assert snapshot(tmp_path) == before


def test_vectors_of_another_model_are_refused_unless_they_are_trusted(
    shop: Run, tmp_path: Path
) -> None:
    broken(tmp_path)
    for old, new in (("queries_old", "items"), ("queries_new", "items_new")):  # 128 can be told
        both = [np.load(tmp_path / f"{name}.npy") for name in (old, new)]
        np.save(tmp_path / f"{old}.npy", np.vstack(both))
    labels = [f"class-{i // 2}" for i in range(N_QUERIES)]
    rows = (tmp_path / "item_labels.csv").read_text().split()[1:]
    labels += [row.split(",")[1] for row in rows]
    (tmp_path / "query_labels.csv").write_text("\n".join(["label", *labels]))
    options = ("--training-vectors", "turned.npy")
    refused = shop(*CERTIFY, *options)
    assert refused.code == 2
    assert "turned.npy: the training vectors do not look like products@2's own" in refused.error
    assert "--trust-space" in refused.error
    assert shop(*CERTIFY, *options, "--trust-space").code == 0


def test_ids_are_of_no_use_if_the_queries_have_none(shop: Run, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("q1\n")
    refused = shop(*CERTIFY, "--training-ids", "ids.txt")
    assert refused.code == 2
    assert "ids.txt names training items, but no file names the queries" in refused.error


def test_judged_queries_have_no_classes(shop: Run, tmp_path: Path) -> None:
    from tests.cli.test_certify import write_qrels

    judged = write_qrels(tmp_path)
    refused = shop(*judged, "--training-labels", "item_labels.csv")
    assert "--training-labels FILE goes with --labels" in refused.error
    assert shop(*judged, *CLEAN).code == 0
