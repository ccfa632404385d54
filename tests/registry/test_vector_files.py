from __future__ import annotations

import io
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from registry.domain.refs import VersionRef
from registry.domain.versions import ModelVersion, SpaceDescription
from registry.errors import CorruptFileError, InvalidInputError, NotFoundError, StorageError
from registry.vector_files import read_ids, read_labels, read_vectors, write_vectors
from registry.vectors import Embeddings

SPACE = SpaceDescription(architecture={}, preprocessing={}, normalised=False, dim=3)
VERSION = ModelVersion(
    VersionRef("m", 1), "sha256:ab", SPACE, None, None, {}, datetime(2026, 1, 1, tzinfo=UTC), "me"
)
VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)
TEXTS = np.array(["a", "ü", "", "d"], dtype=object)


def write(path: Path, value: Any, **more: Any) -> Path:
    """Write arrays or a table as the suffix says."""
    if path.suffix == ".npy":
        np.save(path, value, allow_pickle=True)
    elif path.suffix == ".npz":
        np.savez(path, **value, **more)
    elif path.suffix == ".parquet":
        pq.write_table(value, path)
    elif path.suffix == ".feather":
        pyarrow.feather.write_feather(value, path, compression="zstd")
    else:
        opened = pa.ipc.new_stream if more else pa.ipc.new_file
        with opened(path, value.schema) as writer:
            writer.write_table(value)
    return path


def table(vectors: Any, ids: Any = (1, 2, 3, 4)) -> pa.Table:
    return pa.table({"id": pa.array(ids), "vector": vectors})


# --- vectors


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".arrow"])
@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 3)]
)
def test_tables_of_vectors(tmp_path: Path, suffix: str, kind: pa.DataType) -> None:
    made = table(pa.array(VECTORS.tolist(), kind), TEXTS.tolist())
    made = made.replace_schema_metadata({"samespace.fingerprint": "sha256:ab"})
    found = read_vectors(write(tmp_path / f"v{suffix}", made))
    assert found.ids is not None
    assert found.ids.tolist() == TEXTS.tolist()
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.vectors.dtype == np.float32
    assert found.fingerprint == "sha256:ab"


def test_an_arrow_stream_is_read_as_well(tmp_path: Path) -> None:
    made = table(pa.array(VECTORS.tolist(), pa.list_(pa.float32())))
    found = read_vectors(write(tmp_path / "v.arrow", made, stream=True))
    assert found.ids is not None
    assert found.ids.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.fingerprint is None


def test_tables_in_many_chunks_and_without_ids(tmp_path: Path) -> None:
    chunks = [pa.array(part.tolist(), pa.list_(pa.float32(), 3)) for part in (VECTORS[:1], VECTORS)]
    path = write(tmp_path / "v.arrow", pa.table({"vector": pa.chunked_array(chunks)}))
    found = read_vectors(path)
    assert found.ids is None
    np.testing.assert_array_equal(found.vectors, np.concatenate([VECTORS[:1], VECTORS]))


def test_numpy_files(tmp_path: Path) -> None:
    bare = read_vectors(write(tmp_path / "v.npy", VECTORS))
    assert (bare.ids, bare.fingerprint) == (None, None)
    np.testing.assert_array_equal(bare.vectors, VECTORS)
    named = read_vectors(write(tmp_path / "v.npz", {"vectors": VECTORS, "ids": np.arange(4)}))
    assert named.ids is not None
    assert named.ids.tolist() == [0, 1, 2, 3]
    assert read_vectors(write(tmp_path / "w.npz", {"vectors": VECTORS})).ids is None


@pytest.mark.parametrize(
    "vectors",
    [
        VECTORS.astype(np.float64),
        VECTORS.astype(np.float16),
        VECTORS.astype(np.uint8),
        VECTORS.astype(">f4"),
        np.asfortranarray(VECTORS),
    ],
)
def test_other_numbers_are_converted_only_when_asked(tmp_path: Path, vectors: Any) -> None:
    for path in (tmp_path / "v.npy", tmp_path / "v.npz"):
        write(path, vectors if path.suffix == ".npy" else {"vectors": vectors})
        with pytest.raises(InvalidInputError, match="contiguous float32 but are") as caught:
            read_vectors(path)
        assert "--convert" in str(caught.value.hint)
        found = read_vectors(path, convert=True).vectors
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, VECTORS)


def test_a_table_of_doubles_is_converted_only_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "v.parquet", table(pa.array(VECTORS.tolist())))
    with pytest.raises(InvalidInputError, match="float64"):
        read_vectors(path)
    np.testing.assert_array_equal(read_vectors(path, convert=True).vectors, VECTORS)


def test_too_large_numbers_become_infinite_and_are_refused_later(tmp_path: Path) -> None:
    path = write(tmp_path / "v.npy", np.full((2, 3), 1e300))
    with pytest.raises(InvalidInputError, match="NaN or Inf"):
        Embeddings.numbered(read_vectors(path, convert=True).vectors, VERSION)


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (pa.array([[1.0, 2.0], [1.0]], pa.list_(pa.float32())), "differ in length"),
        (pa.array([[1.0], None], pa.list_(pa.float32())), "empty places"),
        (pa.array([[1.0], [None]], pa.list_(pa.float32())), "empty places"),
        (pa.array([1.0, 2.0]), "is double, not a list"),
        (pa.array([["a"], ["b"]]), "must be float32 but are object"),
    ],
)
def test_columns_that_are_no_vectors_are_refused(
    tmp_path: Path, vectors: pa.Array, words: str
) -> None:
    path = write(tmp_path / "v.parquet", table(vectors, (1, 2)))
    with pytest.raises(InvalidInputError, match=words):
        read_vectors(path, convert=True)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (VECTORS[0], r"shape \(n, dim\) but have \(3,\)"),
        (VECTORS.astype(bool), "must be float32 but are bool"),
        (VECTORS.astype(np.complex64), "must be float32 but are complex64"),
        (np.array([{"a": 1}], dtype=object), "pickled Python objects"),
    ],
)
def test_arrays_that_are_no_vectors_are_refused(tmp_path: Path, array: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        read_vectors(write(tmp_path / "v.npy", array), convert=True)
    with pytest.raises(InvalidInputError, match=words):
        read_vectors(write(tmp_path / "v.npz", {"vectors": array}), convert=True)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no array 'vectors'; it has x"):
        read_vectors(write(tmp_path / "v.npz", {"x": VECTORS}))
    with pytest.raises(InvalidInputError, match="no column 'vector'; it has a"):
        read_vectors(write(tmp_path / "v.parquet", pa.table({"a": [1]})))
    with pytest.raises(InvalidInputError, match="3 ids or groups for 4 rows"):
        read_vectors(write(tmp_path / "w.npz", {"vectors": VECTORS, "ids": np.arange(3)}))
    with pytest.raises(NotFoundError, match="there is no file"):
        read_vectors(tmp_path / "none.npy")
    (tmp_path / "v.csv").write_text("id,vector\n")
    with pytest.raises(InvalidInputError, match=r"suffix '\.csv'") as caught:
        read_vectors(tmp_path / "v.csv")
    assert ".parquet" in str(caught.value.hint)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", ".feather", ".arrow"])
def test_damaged_files_are_one_clear_line(tmp_path: Path, suffix: str) -> None:
    rows = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
    listed = pa.array(rows.tolist(), pa.list_(pa.float32()))
    values = {".npy": rows, ".npz": {"vectors": rows}}
    path = tmp_path / f"v{suffix}"
    write(path, values.get(suffix, pa.table({"vector": listed})))
    whole = path.read_bytes()
    noise = np.random.default_rng(0).bytes(500)
    for data in (b"", whole[:3], whole[: len(whole) // 2], whole[:-9], noise, b"PK\3\4" + noise):
        path.write_bytes(data)
        with pytest.raises(CorruptFileError) as caught:
            read_vectors(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_misnamed_numpy_files_say_so(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", {"vectors": VECTORS}).rename(tmp_path / "a.npy")
    write(tmp_path / "b.npy", VECTORS).rename(tmp_path / "b.npz")
    with pytest.raises(CorruptFileError, match="magic string"):
        read_vectors(tmp_path / "a.npy")
    with pytest.raises(CorruptFileError, match="a single array"):
        read_vectors(tmp_path / "b.npz")


def test_a_flipped_byte_in_an_archive_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "v.npz", {"vectors": VECTORS})
    data = bytearray(path.read_bytes())
    place = data.find(VECTORS.tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match="CRC"):
        read_vectors(path)


# --- ids


@pytest.mark.parametrize("suffix", [".npy", ".txt", ".csv", ".parquet", ".arrow"])
def test_ids_from_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ids{suffix}"
    names = ["a", "ü", "x y", "007"]
    if suffix == ".txt":
        path.write_text("\n".join(names) + "\n", "utf-8")
    elif suffix == ".csv":
        path.write_text("id,note\n" + "".join(f"{n},1\n" for n in names), "utf-8")
    else:
        write(path, np.array(names) if suffix == ".npy" else pa.table({"id": names}))
    assert read_ids(path).tolist() == names


def test_integer_ids_stay_integers(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("id\n7\n-3\n")
    for path in (tmp_path / "i.csv", write(tmp_path / "i.npy", np.array([7, -3]))):
        ids = read_ids(path)
        assert ids.dtype == np.int64
        assert ids.tolist() == [7, -3]


def test_names_in_csv_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    cases: dict[str, tuple[list[Any], Any]] = {
        "001": (["001", "7"], object),
        "-0": (["-0", "7"], object),
        "+3": (["+3", "7"], object),
        "1.5": (["1.5", "7"], object),
        "true": (["true", "7"], object),
        "2024-05-03": (["2024-05-03", "7"], object),
        "NaN": (["NaN", "7"], object),
        "9223372036854775808": (["9223372036854775808", "7"], object),
        "9223372036854775807": ([2**63 - 1, 7], np.int64),
        "-12": ([-12, 7], np.int64),
        "0": ([0, 7], np.int64),
    }
    for text, (wanted, kind) in cases.items():
        path.write_text(f"id,label,group,note\n{text},{text},{text},01\n7,7,7,02\n", "utf-8")
        found = read_labels(path)
        for array in (found.ids, found.labels, found.groups, read_ids(path)):
            assert array is not None
            assert array.tolist() == wanted, text
            assert array.dtype == kind


@pytest.mark.parametrize(
    ("text", "line"), [("\n", 1), ("a\n\nb\n", 2), ("a\nb\n\n", 3), ("a\n \t\n", 2), ("\na", 1)]
)
def test_an_empty_line_is_no_id(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "i.txt").write_text(text)
    with pytest.raises(InvalidInputError, match=f"line {line} is empty"):
        read_ids(tmp_path / "i.txt")


def test_lines_end_where_the_system_ends_them(tmp_path: Path) -> None:
    for text in (b"a\r\nb\x0cc\r\n", b"a\nb\x0cc\n", b"a\nb\x0cc"):
        (tmp_path / "i.txt").write_bytes(text)
        assert read_ids(tmp_path / "i.txt").tolist() == ["a", "b\x0cc"]
    (tmp_path / "i.txt").write_bytes(b"")
    assert read_ids(tmp_path / "i.txt").tolist() == []


@pytest.mark.parametrize(("text", "line"), [("a \nb\n", 1), ("a\n\tb\n", 2), ("a\nb\x0c", 2)])
def test_spaces_around_an_id_are_refused(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "i.txt").write_text(text)
    with pytest.raises(InvalidInputError, match=f"line {line} begins or ends with a space"):
        read_ids(tmp_path / "i.txt")


@pytest.mark.parametrize("name", ["i.txt", "i.csv"])
def test_a_byte_order_mark_is_no_part_of_an_id(tmp_path: Path, name: str) -> None:
    text = "id\na\n" if name == "i.csv" else "a\n"
    (tmp_path / name).write_text(text, "utf-8-sig")
    assert read_ids(tmp_path / name).tolist() == ["a"]


def test_numbers_in_csv_are_strings_where_strings_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("id\n7\n-3\n")
    assert read_ids(tmp_path / "i.csv", as_text=True).tolist() == ["7", "-3"]
    write(tmp_path / "i.npy", np.array([7, -3]))
    assert read_ids(tmp_path / "i.npy", as_text=True).tolist() == [7, -3], "it has a type"


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"i{suffix}"
    if suffix == ".csv":
        path.write_text("id,id\na,b\n")
    else:
        write(path, pa.table([pa.array(["a"]), pa.array(["b"])], names=["id", "id"]))
    with pytest.raises(InvalidInputError, match="more than one column 'id'") as caught:
        read_ids(path)
    assert caught.value.hint == "keep one of them"


def test_a_misspelt_column_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("ID,label\na,1\n")
    write(tmp_path / "v.parquet", pa.table({"vector": VECTORS.tolist(), "Id ": list("abcd")}))
    for name, reads in (("l.csv", (read_ids, read_labels)), ("v.parquet", (read_vectors,))):
        for read in reads:
            with pytest.raises(InvalidInputError, match="has no column 'id'; it has") as caught:
                read(tmp_path / name)
            assert str(caught.value.hint).lower().startswith("name the column 'id', not 'id")


@pytest.mark.parametrize("text", ["label\na\n\nb\n", "label\na\n\n", "label,note\na,1\n\nb,2\n"])
def test_a_blank_line_of_csv_keeps_its_place_and_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(InvalidInputError, match="1 empty places, first in row 1"):
        read_labels(tmp_path / "l.csv")


def test_the_names_of_folders_are_no_columns(tmp_path: Path) -> None:
    (tmp_path / "id=3").mkdir()
    made = pa.table({"vector": pa.array(VECTORS.tolist(), pa.list_(pa.float32()))})
    assert read_vectors(write(tmp_path / "id=3" / "v.parquet", made)).ids is None


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [(0, "it is empty"), (100, "shorter than its header says"), (150, "shorter than its header")],
)
def test_how_a_numpy_file_is_cut_is_said(tmp_path: Path, n_bytes: int, words: str) -> None:
    path = write(tmp_path / "v.npy", np.zeros((9, 3), np.float32))
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(CorruptFileError, match=words) as caught:
        read_vectors(path)
    assert "again" in str(caught.value.hint)


def test_an_empty_id_in_csv_is_refused(tmp_path: Path) -> None:
    for empty in ("", '""'):
        (tmp_path / "i.csv").write_text(f"id,note\na,1\n{empty},2\n")
        with pytest.raises(InvalidInputError, match="column 'id' has 1 empty places"):
            read_ids(tmp_path / "i.csv")


@pytest.mark.parametrize(
    "array", [np.array([1.5]), np.array([[1]]), np.array([True]), np.array(["a", "b"], object)]
)
def test_what_is_no_id_is_refused(tmp_path: Path, array: Any) -> None:
    with pytest.raises(InvalidInputError):
        read_ids(write(tmp_path / "i.npy", array))


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap()], dtype=object), allow_pickle=True)
    for name in ("i.npy", "i.npz"):
        (tmp_path / name).write_bytes(buffer.getvalue())
        for read in (read_vectors, read_labels):
            with pytest.raises((InvalidInputError, CorruptFileError)):
                read(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_text_that_is_no_utf8_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "i.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(CorruptFileError):
        read_ids(tmp_path / "i.txt")


# --- labels


def test_labels_with_ids_and_groups(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("id,label,group\na,3,p\nb,4,q\n")
    made = pa.table({"id": ["a", "b"], "label": [3, 4], "group": ["p", "q"]})
    arrays = {
        "ids": np.array(["a", "b"]),
        "labels": np.array([3, 4]),
        "groups": np.array(["p", "q"]),
    }
    paths = [
        tmp_path / "l.csv",
        write(tmp_path / "l.parquet", made),
        write(tmp_path / "l.npz", arrays),
    ]
    for path in paths:
        found = read_labels(path)
        assert found.ids is not None
        assert found.groups is not None
        assert found.ids.tolist() == ["a", "b"]
        assert found.labels.tolist() == [3, 4]
        assert found.groups.tolist() == ["p", "q"]


def test_labels_alone(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("label\ncat\ndog\n")
    for path in (tmp_path / "l.csv", write(tmp_path / "l.npy", np.array(["cat", "dog"]))):
        found = read_labels(path)
        assert (found.ids, found.groups) == (None, None)
        assert found.labels.tolist() == ["cat", "dog"]


def test_bad_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("id,label\na,\nb,4\n")
    with pytest.raises(InvalidInputError, match="1 empty places"):
        read_labels(tmp_path / "l.csv")
    (tmp_path / "m.csv").write_text("id,class\na,3\n")
    with pytest.raises(InvalidInputError, match="no column 'label'; it has id, class"):
        read_labels(tmp_path / "m.csv")
    (tmp_path / "n.csv").write_text("")
    with pytest.raises(CorruptFileError):
        read_labels(tmp_path / "n.csv")


# --- writing


@pytest.mark.parametrize("ids", [np.arange(4), TEXTS])
def test_written_vectors_come_back(tmp_path: Path, ids: Any) -> None:
    write_vectors(tmp_path / "v.parquet", Embeddings(ids, VECTORS, VERSION))
    found = read_vectors(tmp_path / "v.parquet")
    assert found.ids is not None
    again = Embeddings(found.ids, found.vectors, VERSION)
    assert again.ids.tolist() == list(ids)
    np.testing.assert_array_equal(again.vectors, VECTORS)
    assert found.fingerprint == VERSION.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["v.parquet"]


def test_writing_replaces_whole_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.parquet"
    write_vectors(path, Embeddings.numbered(VECTORS, VERSION))

    def fail(made: Any, where: Path) -> None:
        where.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(StorageError, match="No space left"):
        write_vectors(path, Embeddings.numbered(VECTORS + 1, VERSION))
    np.testing.assert_array_equal(read_vectors(path).vectors, VECTORS)
    assert [p.name for p in tmp_path.iterdir()] == ["v.parquet"]


def test_writing_elsewhere_is_refused(tmp_path: Path) -> None:
    other = Embeddings.numbered(VECTORS, replace(VERSION, ref=VersionRef("m", 2)))
    with pytest.raises(InvalidInputError, match="suffix"):
        write_vectors(tmp_path / "v.npy", other)
    with pytest.raises(StorageError):
        write_vectors(tmp_path / "none" / "v.parquet", other)
