"""Registering a probe set, looking at it, and certifying on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.test_certify import write_named, write_qrels
from tests.cli.worlds import CERTIFY, IDS, N_CLASSES, N_ITEMS, N_QUERIES, Outcome, Run, snapshot

NAMES = [f"q{i}" for i in range(N_QUERIES)]
REGISTER = (
    *("probe", "register", "spring", "--gallery", "shop"),
    *("--labels", "query_labels.csv", "--gallery-labels", "item_labels.csv"),
)
LABELS = CERTIFY.index("--labels")
BY_SET = (*CERTIFY[:LABELS], "--probe", "spring", *CERTIFY[LABELS + 4 :])


def write_labels(folder: Path, *, is_named: bool = True, groups: str = "") -> None:
    """Label the shop's queries, perhaps with their ids and a group each."""
    columns: dict[str, list[str]] = {"id": NAMES} if is_named else {}
    columns["label"] = [f"class-{i // 2}" for i in range(N_QUERIES)]
    if groups:
        columns["group"] = [groups[i % len(groups)] for i in range(N_QUERIES)]
    rows = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    (folder / "query_labels.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture
def spring(shop: Run, tmp_path: Path) -> Run:
    """The shop with a probe set of named queries."""
    write_labels(tmp_path)
    assert shop(*REGISTER).code == 0
    return shop


def by_set(folder: Path, *orders: Any) -> tuple[str, ...]:
    """The command that certifies on the set with vectors that name their rows, in these orders."""
    files = [write_named(folder, number, order) for number, order in enumerate(orders, start=1)]
    return (*BY_SET[:3], "--queries", files[0], "--queries", files[1], *BY_SET[7:])


def stored(folder: Path) -> Path:
    (path,) = (folder / ".samespace" / "probes" / "shop").iterdir()
    return path


def refused(found: Outcome, code: int, *words: str) -> None:
    assert found.code == code
    for word in words:
        assert word in found.error


def test_a_set_is_registered_once(shop: Run, tmp_path: Path) -> None:
    write_labels(tmp_path)
    before = snapshot(tmp_path)
    would = shop(*REGISTER, "--dry-run", "--json").data
    assert (would["is_new"], would["dry_run"]) == (True, True)
    assert snapshot(tmp_path) == before
    made = shop(*REGISTER, "--json").data
    assert (made["n_queries"], made["kind"], made["is_new"]) == (N_QUERIES, "labels", True)
    assert {name: made[name] for name in ("digest", "questions")} == {
        name: would[name] for name in ("digest", "questions")
    }
    after = snapshot(tmp_path)
    again = shop(*REGISTER)
    assert again.out.startswith("registered already: probe set 'spring' of gallery 'shop': 120")
    assert snapshot(tmp_path) == after
    write_labels(tmp_path, groups="ab")
    refused(
        shop(*REGISTER), 5, "there is a probe set 'spring' already", "take a new name for a new set"
    )
    (tmp_path / "query_labels.csv").unlink()
    assert snapshot(tmp_path / ".samespace") == {
        name.removeprefix(".samespace/"): digest
        for name, digest in after.items()
        if name.startswith(".samespace/")
    }


def test_a_set_is_listed_and_shown_with_its_attempts(spring: Run, tmp_path: Path) -> None:
    shown = spring("probe", "show", "spring")
    assert "120 queries, 60 classes; 240 items are labelled" in shown.out
    assert "no attempt was made on these queries yet" in shown.out
    assert "by the default policy the next attempt is decided at one-sided confidence" in shown.out
    random = [word.replace("queries_new", "queries_random") for word in BY_SET]
    assert spring(*random).code == 1
    assert spring(*BY_SET).code == 0
    assert spring(*BY_SET, "--dry-run").code == 0
    found = spring("probe", "show", "spring", "--json").data
    assert (found["n_queries"], found["n_classes"]) == (N_QUERIES, N_CLASSES)
    assert found["n_labelled_items"] == N_ITEMS
    assert found["groups"] == {}
    assert [(a["number"], a["verdict"]) for a in found["attempts"]] == [
        (1, "INCOMPATIBLE"),
        (2, "COMPATIBLE"),
    ]
    assert found["attempts"][0]["query_version"] == "products@2"
    assert found["next_level"] == pytest.approx(0.99662, abs=1e-5)
    assert (tmp_path / ".samespace" / found["file"]).is_file()
    (row,) = spring("probe", "list", "--json").data["probe_sets"]
    assert (row["probe_set"], row["n_attempts"]) == ("spring", 2)
    assert row["questions"] == found["questions"]
    for text in (spring("probe", "show", "spring").out, spring("probe", "list").out):
        assert "spring" in text
    assert "probe-registered" in spring("audit").out


def test_groups_are_shown_with_their_sizes_and_asked(shop: Run, tmp_path: Path) -> None:
    write_labels(tmp_path, groups="aab")
    assert shop(*REGISTER).code == 0
    found = shop("probe", "show", "spring", "--json").data
    assert found["groups"] == {"a": 80, "b": 40}
    assert "80" in shop("probe", "show", "spring").out
    made = shop(*BY_SET, "--dry-run", "--json").data["certificates"][0]
    assert {f["group"] for f in made["findings"]} == {"a", "b"}


def test_nothing_is_registered_yet(shop: Run) -> None:
    assert shop("probe", "list").out == "no probe set is registered yet\n"
    assert shop("probe", "list", "--json").data["probe_sets"] == []


def test_a_certificate_says_on_which_set_it_was_measured(spring: Run, tmp_path: Path) -> None:
    by_files = spring(*CERTIFY, "--json").data["certificates"][0]
    reports = ("--report", "r.html", "--markdown", "r.md")
    found = spring(*BY_SET, *reports, "--json").data["certificates"][0]
    assert "probe_set" not in by_files
    assert found["probe_set"]["name"] == "spring"
    assert found["attempt"] == by_files["attempt"], "the very same run"
    for name in ("findings", "matrix", "probe_digest", "evidence_digest"):
        assert found[name] == by_files[name]
    digest = found["probe_set"]["digest"]
    shown = spring("certificate", "show", found["digest"])
    assert f"probe set 'spring', {digest[:12]}" in shown.out
    assert "registered probe set 'spring'" in " ".join(found["limits"])
    for name in ("r.html", "r.md"):
        assert digest in (tmp_path / name).read_text()
    assert spring("certificate", "replay", found["digest"]).code == 0
    assert spring("promote", "shop", "products@2").code == 0
    assert "probe set 'spring'" in spring(*BY_SET, "--dry-run").out


def test_judgements_are_registered_too(shop: Run, tmp_path: Path) -> None:
    by_files = shop(*write_qrels(tmp_path), "--dry-run", "--json").data["certificates"][0]
    register = ("probe", "register", "spring", "--gallery", "shop", "--qrels", "test.tsv")
    made = shop(*register, "--query-ids", "ids.txt", "--json").data
    assert (made["kind"], made["n_queries"]) == ("judgements", N_QUERIES)
    found = shop(*BY_SET, "--json").data["certificates"][0]
    assert found["findings"] == by_files["findings"]
    assert found["probe_digest"] == by_files["probe_digest"]
    shown = shop("probe", "show", "spring")
    assert "120 queries, 480 judgements" in shown.out
    assert shop("probe", "show", "spring", "--json").data["n_classes"] is None


# --- rows that are not the set's


def test_rows_that_are_named_must_be_those_of_the_set(spring: Run, tmp_path: Path) -> None:
    straight = np.arange(N_QUERIES)
    assert spring(*by_set(tmp_path, straight, straight), "--dry-run").code == 0
    back = straight[::-1]
    refused(
        spring(*by_set(tmp_path, back, back)),
        2,
        "probe set 'spring' and named1.npz name row 0 differently: 'q0' and 'q119'",
    )
    refused(
        spring(*by_set(tmp_path, straight, back)),
        2,
        "probe set 'spring' and named2.npz name row 0 differently",
    )
    few = straight[:7]
    refused(
        spring(*by_set(tmp_path, few, few)),
        2,
        "named1.npz holds 7 queries, but probe set 'spring' has 120",
    )


def test_a_set_without_ids_goes_by_the_order_of_the_rows(shop: Run, tmp_path: Path) -> None:
    write_labels(tmp_path, is_named=False)
    assert shop(*REGISTER).code == 0
    assert shop(*BY_SET, "--dry-run").code == 0
    straight = np.arange(N_QUERIES)
    refused(
        shop(*by_set(tmp_path, straight, straight)),
        2,
        "named1.npz names its rows, but probe set 'spring' was registered without ids",
        "--query-ids FILE",
    )
    (tmp_path / "ids.txt").write_text("\n".join(NAMES))
    words = ["summer" if word == "spring" else word for word in REGISTER]
    assert shop(*words, "--query-ids", "ids.txt").code == 0
    again = by_set(tmp_path, straight, straight)
    assert shop(*("summer" if w == "spring" else w for w in again), "--dry-run").code == 0


def test_raw_queries_take_their_labels_from_the_set(spring: Run, tmp_path: Path) -> None:
    """The vectors are only declared, so nothing is embedded; the set is looked at before."""
    np.savez(tmp_path / "raw.npz", inputs=np.zeros((3, 4), np.float32))
    given = ("certify", "shop", "products@2", "--data", "raw.npz", "--probe")
    refused(spring(*given, "sprang"), 2, "no probe set is named 'sprang'", "'spring'")
    stored(tmp_path).unlink()
    refused(spring(*given, "spring"), 2, "the file of probe set 'spring'")


def test_ids_in_two_files_must_agree(shop: Run, tmp_path: Path) -> None:
    write_labels(tmp_path)
    for text, says in (
        ("\n".join(NAMES[::-1]), "query_labels.csv and ids.txt name row 0 differently"),
        ("q0\nq1", "ids.txt names 2 queries, but query_labels.csv labels 120"),
    ):
        (tmp_path / "ids.txt").write_text(text)
        refused(shop(*REGISTER, "--query-ids", "ids.txt"), 2, says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((*BY_SET, "--labels", "query_labels.csv"), "--probe NAME has its own labels"),
        ((*BY_SET, "--qrels", "test.tsv"), "--probe NAME has its own labels"),
        ((*CERTIFY[:LABELS], "--probe", "sprang"), "no probe set is named 'sprang'"),
        (("probe", "show", "sprang"), "no probe set is named 'sprang'"),
        (("probe", "register", "a/b", *REGISTER[3:]), "'a/b' cannot name a probe set"),
        (
            tuple(w.replace("shop", "shap") for w in REGISTER),
            "no gallery is named 'shap'",
        ),
        (REGISTER[:5], "give either --labels and --gallery-labels, or --qrels FILE"),
        ((*REGISTER, "--qrels", "test.tsv"), "give either --labels and --gallery-labels"),
        (REGISTER[:7], "what is relevant? give --gallery-labels FILE"),
        ((*REGISTER[:5], "--qrels", "test.tsv"), "give their order, --query-ids"),
        (
            (*REGISTER[:5], "--qrels", "test.tsv", *REGISTER[7:]),
            "give either --qrels FILE or --labels and --gallery-labels",
        ),
        ((*REGISTER[:5], "--labels", "nowhere.csv", *REGISTER[7:]), "there is no file nowhere.csv"),
        ((*REGISTER[:7], "--gallery-labels", "query_labels.csv"), "has labels but no ids"),
    ],
)
def test_what_makes_no_sense_is_refused(
    shop: Run, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    before = snapshot(tmp_path)
    refused(shop(*arguments), 2, says)
    assert snapshot(tmp_path) == before


# --- what goes wrong later


def test_a_file_that_was_tampered_with_is_not_asked(spring: Run, tmp_path: Path) -> None:
    path = stored(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused(spring(*BY_SET), 6, "the file of probe set 'spring'", "not the file that was recorded")
    refused(spring("probe", "show", "spring"), 6, "the file of probe set 'spring'")
    found = spring("doctor", "--json").data
    (failed,) = [check for check in found["checks"] if not check["ok"]]
    assert failed["check"] == "probe sets of shop"
    assert str(path) in failed["found"]
    path.write_bytes(data)
    assert spring(*BY_SET, "--dry-run").code == 0
    by_name = {c["check"]: c["found"] for c in spring("doctor", "--json").data["checks"]}
    assert by_name["probe sets of shop"] == "ok: 1 as registered"


def test_pruning_leaves_a_registered_set(spring: Run, tmp_path: Path) -> None:
    left = stored(tmp_path).with_name("left.parquet")
    left.write_bytes(b"an interrupted process left it")
    found = spring("gallery", "prune", "--yes", "--older-than", "0", "--json").data
    assert found["files"] == ["probes/shop/left.parquet"]
    assert spring(*BY_SET, "--dry-run").code == 0


def test_a_gallery_that_grew_needs_a_new_set(spring: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "more.npy", np.load(tmp_path / "items.npy")[:2])
    (tmp_path / "more.txt").write_text("new-1\nnew-2\n")
    assert spring("gallery", "add", "shop", "--vectors", "more.npy", "--ids", "more.txt").code == 0
    refused(
        spring(*BY_SET),
        2,
        "probe set 'spring': 2 of 242 items of gallery 'shop' have no label, for example 'new-1'",
        "the gallery grew since it was registered",
    )
    with (tmp_path / "item_labels.csv").open("a") as file:
        file.write("new-1,class-0\nnew-2,class-0\n")
    words = ["summer" if word == "spring" else word for word in REGISTER]
    assert spring(*words).code == 0
    assert spring(*("summer" if w == "spring" else w for w in BY_SET), "--dry-run").code == 0


def test_a_set_of_another_gallery_is_refused(spring: Run) -> None:
    assert spring("gallery", "create", "window", "products@1").code == 0
    added = ("gallery", "add", "window", "--vectors", "items.npy", "--ids", "item_ids.txt")
    assert spring(*added).code == 0
    words = ["window" if word == "shop" else word for word in BY_SET]
    refused(spring(*words), 2, "probe set 'spring' is of gallery 'shop', not of 'window'")


def test_queries_that_are_items_do_not_find_themselves(shop: Run, tmp_path: Path) -> None:
    """By the ids of the set, though the vectors' rows have no names."""
    rows = [f"{IDS[4 * (i // 2) + i % 2]},class-{i // 2}" for i in range(N_QUERIES)]
    (tmp_path / "query_labels.csv").write_text("\n".join(["id,label", *rows]) + "\n")
    assert shop(*REGISTER).code == 0
    found = shop(*BY_SET, "--dry-run", "--json").data["certificates"][0]
    assert "120 queries are items of the gallery under the same id" in " ".join(found["limits"])
