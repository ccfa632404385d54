from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from registry.arrays import Float32Array, LabelArray
from registry.domain.galleries import StoredFile
from registry.errors import (
    AlreadyExistsError,
    CorruptFileError,
    DigestMismatchError,
    InvalidInputError,
    StorageError,
)
from registry.galleries import storage

METADATA = {"samespace.fingerprint": "sha256:ab", "samespace.version": "m@1"}


@pytest.fixture
def vectors(rng: np.random.Generator) -> Float32Array:
    return rng.standard_normal((50, 4), dtype=np.float32)


@pytest.fixture
def part(tmp_path: Path, vectors: Float32Array) -> StoredFile:
    return storage.write_part(tmp_path, "g/1.arrow", np.arange(50), vectors, metadata=METADATA)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)


def stored(root: Path, name: str, data: bytes) -> StoredFile:
    (root / name).write_bytes(data)
    return StoredFile(name, hashlib.sha256(data).hexdigest(), len(data))


@pytest.mark.parametrize(
    "ids",
    [
        np.arange(50) - 7,
        np.array([f"item-ü-{i}" for i in range(50)], dtype=object),
        np.array([f"b{i}" for i in range(50)]),
    ],
)
def test_a_part_comes_back_mapped_and_whole(
    tmp_path: Path, ids: LabelArray, vectors: Float32Array
) -> None:
    file = storage.write_part(tmp_path, "deep/er/p.arrow", ids, vectors, metadata=METADATA)
    before = pa.total_allocated_bytes()
    part = storage.open_part(tmp_path, file)
    assert pa.total_allocated_bytes() == before
    assert part.ids.to_pylist() == ids.tolist()
    np.testing.assert_array_equal(np.concatenate(part.blocks), vectors)
    assert not part.blocks[0].flags.writeable
    assert not part.blocks[0].flags.owndata
    assert (len(part), part.dim) == (50, 4)
    assert dict(part.metadata) == METADATA
    assert [p.name for p in (tmp_path / "deep/er").iterdir()] == ["p.arrow"]


def test_large_batches_come_in_several_blocks(
    tmp_path: Path, vectors: Float32Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.galleries.arrow_files._BATCH_ROWS", 16)
    file = storage.write_part(tmp_path, "p", np.arange(50), vectors, metadata={})
    part = storage.open_part(tmp_path, file)
    assert [len(block) for block in part.blocks] == [16, 16, 16, 2]
    np.testing.assert_array_equal(np.concatenate(part.blocks), vectors)


def test_an_empty_part_keeps_its_dimension(tmp_path: Path) -> None:
    nothing = np.empty((0, 5), np.float32)
    file = storage.write_part(tmp_path, "p", np.arange(0), nothing, metadata={})
    part = storage.open_part(tmp_path, file)
    assert (len(part), part.dim, part.blocks) == (0, 5, ())


def test_mapped_parts_hold_no_open_files(tmp_path: Path, part: StoredFile) -> None:
    opened = [storage.open_part(tmp_path, part) for _ in range(20)]
    held = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert tmp_path / part.path not in held
    assert float(opened[-1].blocks[0].sum()) == float(opened[0].blocks[0].sum())


@pytest.mark.parametrize("place", [0, 100, -5])
def test_a_flipped_byte_is_found_before_parsing(
    tmp_path: Path, part: StoredFile, place: int
) -> None:
    flip(tmp_path / part.path, place)
    with pytest.raises(DigestMismatchError, match=r"1\.arrow.*expected sha256.*found sha256"):
        storage.open_part(tmp_path, part)


def test_a_truncated_file_is_found_by_its_size(tmp_path: Path, part: StoredFile) -> None:
    path = tmp_path / part.path
    path.write_bytes(path.read_bytes()[:-8])
    expected = rf"expected {part.n_bytes} bytes, found {part.n_bytes - 8} bytes"
    with pytest.raises(DigestMismatchError, match=expected):
        storage.verify_file(tmp_path, part)


def test_a_missing_file_says_what_to_do(tmp_path: Path, part: StoredFile) -> None:
    (tmp_path / part.path).unlink()
    with pytest.raises(CorruptFileError, match="missing") as caught:
        storage.open_part(tmp_path, part)
    assert caught.value.hint is not None


def test_garbage_with_a_right_digest_is_corrupt(tmp_path: Path) -> None:
    for name, data in {
        "noise": b"no arrow at all" * 9,
        "magic": b"ARROW1\0\0" * 4,
        "none": b"",
    }.items():
        with pytest.raises(CorruptFileError, match="not a readable Arrow file"):
            storage.open_part(tmp_path, stored(tmp_path, name, data))


@pytest.mark.parametrize(
    "table",
    [
        {"id": [1], "vector": [[1.0]]},
        {"id": [1]},
        {"id": pa.array([None], pa.int64()), "vector": pa.array([[1]], pa.list_(pa.float32(), 1))},
        {"id": pa.array([1.5]), "vector": pa.array([[1]], pa.list_(pa.float32(), 1))},
        {"id": pa.array([1]), "vector": pa.array([[None]], pa.list_(pa.float32(), 1))},
    ],
)
def test_an_arrow_file_that_is_no_part_is_corrupt(tmp_path: Path, table: dict[str, object]) -> None:
    made = pa.table(table)
    with pa.OSFile(str(tmp_path / "p"), "wb") as sink, pa.ipc.new_file(sink, made.schema) as out:
        out.write_table(made)
    with pytest.raises(CorruptFileError, match="column"):
        storage.open_part(tmp_path, stored(tmp_path, "p", (tmp_path / "p").read_bytes()))


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/etc/x", "", ".", "a/../.."])
def test_paths_do_not_leave_the_storage(
    tmp_path: Path, vectors: Float32Array, relative: str
) -> None:
    with pytest.raises(InvalidInputError):
        storage.write_part(tmp_path / "root", relative, np.arange(50), vectors, metadata={})
    with pytest.raises(InvalidInputError):
        storage.verify_file(tmp_path / "root", StoredFile(relative, "0" * 64, 1))


def test_links_do_not_leave_the_storage(tmp_path: Path, vectors: Float32Array) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "away").symlink_to(tmp_path)
    with pytest.raises(InvalidInputError, match="leads out"):
        storage.write_part(tmp_path / "root", "away/p", np.arange(50), vectors, metadata={})


def test_a_taken_name_is_not_overwritten(
    tmp_path: Path, part: StoredFile, vectors: Float32Array
) -> None:
    again = storage.write_part(tmp_path, part.path, np.arange(50), vectors, metadata=METADATA)
    assert again == part
    with pytest.raises(AlreadyExistsError, match="other bytes"):
        storage.write_part(tmp_path, part.path, np.arange(50), vectors + 1, metadata=METADATA)
    storage.verify_file(tmp_path, part)
    assert len(list((tmp_path / "g").iterdir())) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "No space left"), (errno.EROFS, "Read-only"), (errno.EACCES, "Permission")],
)
def test_a_refusing_file_system_leaves_nothing(
    tmp_path: Path, vectors: Float32Array, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match=words) as caught:
        storage.write_part(tmp_path, "g/p", np.arange(50), vectors, metadata={})
    assert caught.value.hint is not None
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "g").iterdir()) == []


def test_a_folder_in_the_way_is_a_storage_error(tmp_path: Path, vectors: Float32Array) -> None:
    (tmp_path / "g").write_text("a file")
    with pytest.raises(StorageError):
        storage.write_part(tmp_path, "g/p", np.arange(50), vectors, metadata={})


def test_a_full_disk_is_noticed(tmp_path: Path) -> None:
    def overflow(_: Path) -> None:
        Path("/dev/full").write_bytes(b"x")

    with pytest.raises(StorageError, match="No space left"):
        storage.store_file(tmp_path, "x", overflow)


@pytest.mark.parametrize(
    "ids",
    [
        np.zeros(50, np.int64),
        np.arange(49),
        np.arange(50.0),
        np.array(["\ud800"] + ["a"] * 49, object),
    ],
)
def test_bad_ids_are_refused(tmp_path: Path, vectors: Float32Array, ids: LabelArray) -> None:
    with pytest.raises(InvalidInputError):
        storage.write_part(tmp_path, "p", ids, vectors, metadata={})
    assert list(tmp_path.iterdir()) == []


def test_lone_surrogates_are_no_ids(tmp_path: Path) -> None:
    ids = np.array(["\ud800"], dtype=object)
    with pytest.raises(InvalidInputError, match="UTF-8"):
        storage.write_part(tmp_path, "p", ids, np.ones((1, 2), np.float32), metadata={})


def test_bytes_come_back_checked_and_are_discarded(tmp_path: Path) -> None:
    file = storage.write_bytes(tmp_path, "evidence/a", b"scores")
    assert storage.read_bytes(tmp_path, file) == b"scores"
    assert storage.read_digested(tmp_path, file.path, file.digest) == b"scores"
    flip(tmp_path / file.path, 2)
    with pytest.raises(DigestMismatchError):
        storage.read_bytes(tmp_path, file)
    with pytest.raises(DigestMismatchError):
        storage.read_digested(tmp_path, file.path, file.digest)
    storage.discard(tmp_path, file)
    storage.discard(tmp_path, file)
    assert not (tmp_path / file.path).exists()
