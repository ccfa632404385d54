"""Adding items: all of them are there afterwards, or nothing is, whatever was wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from registry import Embeddings, Registry
from registry.vector_files import write_vectors
from tests.cli.worlds import N_ITEMS, NEW_DIM, OLD_DIM, Run, float32, parts, snapshot

ADD = ("gallery", "add", "shelf", "--vectors")


@pytest.fixture
def shelf(shop: Run) -> Run:
    """Beside the shop an empty gallery of the same version."""
    assert shop("gallery", "create", "shelf", "products@1").code == 0
    return shop


def some(n: int = 5, dim: int = OLD_DIM) -> Any:
    return float32(np.random.default_rng(5).normal(size=(n, dim)))


def as_arrow(path: Path, ids: list[Any], vectors: Any) -> None:
    values = pa.array(vectors.reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(values, vectors.shape[1])
    table = pa.table({"id": ids, "vector": column})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def as_parquet(path: Path, ids: list[Any], vectors: Any) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": ids, "vector": list(vectors)}), path)


WRITERS: dict[str, Callable[[Path, list[Any], Any], None]] = {
    "v.npz": lambda path, ids, vectors: np.savez(path, ids=np.array(ids), vectors=vectors),
    "v.parquet": as_parquet,
    "v.arrow": as_arrow,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("ids", [[7, 5, 9], ["b", "a", "ü"]])
def test_every_format_keeps_ids_and_vectors(
    shelf: Run, tmp_path: Path, name: str, ids: list[Any]
) -> None:
    vectors = some(3)
    WRITERS[name](tmp_path / name, ids, vectors)
    found = shelf(*ADD, name, "--json").data
    assert (found["n_added"], found["n_items"], found["segment"]) == (3, 3, 1)
    np.save(tmp_path / "q.npy", vectors)
    hits = shelf("gallery", "search", "shelf", "--vectors", "q.npy", "-k", "1", "--json").data
    assert [q["hits"][0]["id"] for q in hits["queries"]] == ids


def test_rows_without_ids_are_numbered(shelf: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", some())
    assert shelf(*ADD, "v.npy").out == (
        "added 5 items of products@1 to segment 1 of 'shelf', which holds 5 now\n"
    )
    found = shelf(*ADD, "v.npy")
    assert found.code == 5
    assert "5 of 5 ids are in gallery 'shelf' already, for example 0" in found.error


@pytest.mark.parametrize("name", ["ids.npy", "ids.txt", "ids.csv"])
def test_ids_may_lie_in_their_own_file(shelf: Run, tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "v.npy", some(2))
    np.save(tmp_path / "ids.npy", np.array(["x", "y"]))
    (tmp_path / "ids.txt").write_text("x\ny\n")
    (tmp_path / "ids.csv").write_text("id\nx\ny\n")
    assert shelf(*ADD, "v.npy", "--ids", name).code == 0
    assert shelf("gallery", "delete", "shelf", "x", "--dry-run").out == "would delete 1 items\n"


def refused(shelf: Run, folder: Path, *arguments: str, code: int = 2, dry: bool = True) -> str:
    """Run a command that must fail and leave everything as it was; a dry run fails alike."""
    before = snapshot(folder)
    found = shelf(*arguments)
    assert found.code == code
    if dry:
        assert shelf(*arguments, "--dry-run").error == found.error
    assert snapshot(folder) == before
    return found.error


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: some(dim=32), "vectors have 32 dimensions but their version has 64"),
        (
            lambda: np.where(np.arange(5)[:, None] == 3, np.nan, some()),
            "NaN or Inf, first in row 3",
        ),
        (
            lambda: np.where(np.arange(5)[:, None] == 2, np.inf, some()),
            "NaN or Inf, first in row 2",
        ),
        (lambda: np.where(np.arange(5)[:, None] == 1, 0, some()), "all zero, first in row 1"),
        (lambda: some().astype(np.float64), "must be contiguous float32 but are float64"),
        (lambda: some().astype(np.float16), "must be contiguous float32 but are float16"),
        (lambda: np.asfortranarray(some()), "float32 in column order"),
        (lambda: some()[0], "vectors must have shape (n, dim)"),
        (lambda: some(0), "there are no items to add"),
        (lambda: np.array([["a"] * 64]), "vectors must be float32"),
        (lambda: np.array([[{}] * 64], dtype=object), "pickled Python objects"),
    ],
    ids=lambda value: value.replace(" ", "-")[:40] if isinstance(value, str) else "",
)
def test_bad_vectors_are_refused(
    shelf: Run, tmp_path: Path, make: Callable[[], Any], words: str
) -> None:
    array = make()
    if array.dtype.kind == "f" and array.dtype != np.float16 and "float64" not in words:
        array = array.astype(np.float32, order="K")
    np.save(tmp_path / "v.npy", array)
    message = refused(shelf, tmp_path, *ADD, "v.npy")
    assert words in message
    assert words == "there are no items to add" or ("v.npy" in message and "hint: " in message)


@pytest.mark.parametrize("change", [np.float64, np.float16, "strided"])
def test_convert_takes_other_numbers(shelf: Run, tmp_path: Path, change: Any) -> None:
    vectors = np.asfortranarray(some()) if change == "strided" else some().astype(change)
    np.save(tmp_path / "v.npy", vectors)
    assert "--convert" in refused(shelf, tmp_path, *ADD, "v.npy")
    assert shelf(*ADD, "v.npy", "--convert").code == 0


def test_what_becomes_infinite_is_not_converted(shelf: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.full((2, OLD_DIM), 1e300))
    assert "NaN or Inf" in refused(shelf, tmp_path, *ADD, "v.npy", "--convert")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\nb\na\nc\nd\n", "1 ids occur more than once in the batch, for example 'a'"),
        ("a\nb\n", "ids.txt holds 2 ids, but v.npy holds 5 vectors"),
        ("", "ids.txt holds 0 ids, but v.npy holds 5 vectors"),
        ("a\nb\nc \nd\ne\n", "ids.txt: line 3 begins or ends with a space"),
    ],
)
def test_bad_ids_are_refused(shelf: Run, tmp_path: Path, text: str, words: str) -> None:
    np.save(tmp_path / "v.npy", some())
    (tmp_path / "ids.txt").write_text(text)
    message = refused(shelf, tmp_path, *ADD, "v.npy", "--ids", "ids.txt")
    assert words in message
    assert "hint: " in message
    assert message.startswith("error: ids.txt")


def test_ids_of_the_other_type_are_refused(shop: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", some())
    arguments = ("gallery", "add", "shop", "--vectors", "v.npy")
    message = refused(shop, tmp_path, *arguments)
    assert "names items by string but got int64 ids" in message
    assert "hint: name new items as the first ones were: .txt gives strings" in message


def test_numbers_in_csv_go_into_a_gallery_of_strings_as_strings(shop: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", some(2))
    for text in ("id\n17\n18\n", "id\n0017\n19\n"):
        (tmp_path / "ids.csv").write_text(text)
        arguments = ("gallery", "add", "shop", "--vectors", "v.npy", "--ids", "ids.csv")
        assert shop(*arguments).code == 0
    (tmp_path / "ids.csv").write_text("id\n17\n")
    for given in (("--ids", "ids.csv"), ("0017",)):
        assert shop("gallery", "delete", "shop", *given, "--yes").code == 0


def test_ids_that_are_there_already_are_a_conflict(shop: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", some(2))
    (tmp_path / "ids.txt").write_text("new-one\nsku-0003\n")
    arguments = ("gallery", "add", "shop", "--vectors", "v.npy", "--ids", "ids.txt")
    message = refused(shop, tmp_path, *arguments, code=5)
    assert "1 of 2 ids are in gallery 'shop' already, for example 'sku-0003'" in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nowhere.npy", None, "there is no file nowhere.npy"),
        ("v.txt", b"1 2 3", "suffix '.txt'"),
        ("v.npy", b"not an array", "cannot be read"),
        ("v.npz", b"PK\x03\x04 cut", "cannot be read"),
        ("v.parquet", b"PAR1", "cannot be read"),
        ("v.arrow", b"ARROW1\0\0", "cannot be read"),
    ],
)
def test_files_that_are_not_what_they_seem_are_refused(
    shelf: Run, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert words in refused(shelf, tmp_path, *ADD, name)


@pytest.mark.parametrize("name", ["v.npy", *WRITERS])
@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_truncated_files_are_refused(shelf: Run, tmp_path: Path, name: str, keep: float) -> None:
    path, vectors = tmp_path / name, some(50)
    if name == "v.npy":
        np.save(path, vectors)
    else:
        WRITERS[name](path, list(range(50)), vectors)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    assert "cannot be read" in refused(shelf, tmp_path, *ADD, name)


def test_a_file_of_another_model_is_refused_by_its_fingerprint(shelf: Run, tmp_path: Path) -> None:
    register = ("model", "register", "products", "--dim", str(OLD_DIM), "--provider", "in-house")
    assert shelf(*register, "--made-by", "other@1").code == 0
    with Registry.open(tmp_path / ".samespace") as registry:
        other = registry.models.get("products@3")
        write_vectors(tmp_path / "v.parquet", Embeddings.numbered(some(), other))
    message = refused(shelf, tmp_path, *ADD, "v.parquet")
    assert "v.parquet says it was made by declared:" in message
    assert "hint: name the version that made it" in message
    named = refused(shelf, tmp_path, *ADD, "v.parquet", "--version", "products@3")
    assert "gallery 'shelf' takes items of products@1, not of products@3" in named


def test_bare_vectors_of_another_model_are_refused_by_their_space(
    shop: Run, tmp_path: Path
) -> None:
    items = np.load(tmp_path / "items.npy")
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(OLD_DIM, OLD_DIM)))
    np.save(tmp_path / "v.npy", float32(items @ rotation))
    (tmp_path / "ids.txt").write_text("\n".join(f"new-{i}" for i in range(N_ITEMS)))
    arguments = ("gallery", "add", "shop", "--vectors", "v.npy", "--ids", "ids.txt")
    message = refused(shop, tmp_path, *arguments)
    assert "do not look like those of products@1" in message
    assert "--trust-space" in message
    assert shop(*arguments, "--trust-space").code == 0


def test_more_of_the_same_space_is_taken(shop: Run, tmp_path: Path) -> None:
    items = np.load(tmp_path / "items.npy")
    np.save(tmp_path / "v.npy", float32(items + 0.5))
    (tmp_path / "ids.txt").write_text("\n".join(f"new-{i}" for i in range(N_ITEMS)))
    arguments = ("gallery", "add", "shop", "--vectors", "v.npy", "--ids", "ids.txt", "--json")
    found = shop(*arguments).data
    assert (found["segment"], found["n_items"]) == (2, 2 * N_ITEMS)


def test_a_version_that_may_not_write_is_told_what_to_do(shop: Run, tmp_path: Path) -> None:
    arguments = ("gallery", "add", "shop", "--vectors", "items_new.npy")
    message = refused(shop, tmp_path, *arguments, "--version", "products@2")
    assert "hint: certify and promote products@2 first" in message


def test_a_dry_run_adds_nothing(shelf: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", some())
    before = snapshot(tmp_path)
    found = shelf(*ADD, "v.npy", "--dry-run")
    assert found.out == "all checks passed for 5 items of products@1; nothing was added\n"
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shelf",), "give either --vectors FILE or --data FILE"),
        (("shelf", "--vectors", "items.npy", "--data", "x.npz"), "give either"),
        (("shelf", "--data", "x.npz", "--ids", "item_ids.txt"), "--ids goes with --vectors"),
        (("shelve", "--vectors", "items.npy"), "did you mean 'shelf'?"),
        (("shelf", "--data", "items.npy"), "has no artifact"),
        (("shelf", "--vectors", "items.npy", "--version", "product@1"), "'products'"),
    ],
)
def test_wrong_use_is_explained(
    shelf: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    np.savez(tmp_path / "x.npz", inputs=some())
    if "--data" in arguments and len(arguments) == 3:
        arguments = ("shelf", "--data", "x.npz")
    assert words in refused(shelf, tmp_path, "gallery", "add", *arguments)


def test_a_damaged_part_is_noticed_before_anything_is_added(shop: Run, tmp_path: Path) -> None:
    damaged = parts(tmp_path)[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (tmp_path / "ids.txt").write_text("new\n")
    np.save(tmp_path / "v.npy", some(1))
    arguments = ("gallery", "add", "shop", "--vectors", "v.npy", "--ids", "ids.txt")
    assert "is not the file that was recorded" in refused(shop, tmp_path, *arguments, code=6)


def test_bare_first_vectors_of_a_version_need_a_name_if_two_models_could_have_made_them(
    shop: Run, tmp_path: Path
) -> None:
    made_by = ("--provider", "in-house", "--made-by", "resnet50@2")
    assert shop("model", "register", "products", "--dim", str(NEW_DIM), *made_by).code == 0
    assert shop("gallery", "create", "window", "products@2").code == 0
    add = ("gallery", "add", "window", "--vectors", "items_new.npy", "--ids", "item_ids.txt")
    message = refused(shop, tmp_path, *add)
    assert "products@2 and products@3 both have 96 dimensions" in message
    assert "hint: say it: --version products@2" in message
    assert shop(*add, "--version", "products@2").code == 0


def test_an_upsert_adds_what_is_new_and_supersedes_what_is_there(shop: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.load(tmp_path / "items.npy")[[5, 6, 7]])
    (tmp_path / "ids.txt").write_text("sku-0001\nsku-0002\nnew\n")
    upsert = ("gallery", "add", "shop", "--vectors", "v.npy", "--ids", "ids.txt")
    refused = shop(*upsert)
    assert (refused.code, "2 of 3 ids are in gallery" in refused.error) == (5, True)
    before = snapshot(tmp_path)
    would = shop(*upsert, "--upsert", "--dry-run").out
    assert would == (
        "would add 1 items of products@1 and supersede the vectors of 2; nothing was changed\n"
    )
    assert snapshot(tmp_path) == before
    done = shop(*upsert, "--upsert").out
    assert done == (
        "added 1 items of products@1 and superseded the vectors of 2 in 'shop', "
        f"which holds {N_ITEMS + 1} now\n"
    )
    data = shop(*upsert, "--upsert", "--json").data
    assert (data["n_added"], data["n_superseded"], data["n_items"]) == (0, 3, N_ITEMS + 1)
    assert shop("doctor").code == 0
