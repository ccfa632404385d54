from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from registry.arrays import LabelArray
from registry.domain.galleries import StoredFile
from registry.errors import ConflictError, DigestMismatchError, InvalidInputError, StorageError
from registry.galleries import replacement
from registry.galleries.storage import open_part, write_bytes
from tests.registry.service.builders import refused_removal

from .stored import Maker, texts


@pytest.mark.parametrize("names", [np.arange(7), texts(*"abcdefg")])
def test_kept_rows_are_written_in_their_order(tmp_path: Path, names: LabelArray) -> None:
    vectors = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    batches = [(names[:4], vectors[:4]), (names[4:], vectors[4:])]
    reader = Maker(tmp_path).reader(batches, deleted=[2])
    kept = reader.live.copy()
    kept[5] = False
    notes = {"samespace.version": "m@1"}
    file = replacement.write_kept(tmp_path, "new.arrow", reader, kept, metadata=notes)
    found = open_part(tmp_path, file)
    assert found.ids.to_pylist() == [names.tolist()[i] for i in (0, 1, 3, 4, 6)]
    np.testing.assert_array_equal(np.concatenate(found.blocks), vectors[[0, 1, 3, 4, 6]])
    assert (found.dim, found.metadata) == (3, notes)
    assert found.ids.type == reader.id_column_type


def test_a_clone_is_the_same_file_under_another_name(tmp_path: Path) -> None:
    file = write_bytes(tmp_path, "old/index", b"graph")
    os.utime(tmp_path / "old" / "index", (0, 0))
    made = replacement.clone_file(tmp_path, file, "new/index")
    assert (made.digest, made.n_bytes, made.path) == (file.digest, 5, "new/index")
    assert (tmp_path / "new" / "index").samefile(tmp_path / "old" / "index")
    assert (tmp_path / "new" / "index").stat().st_mtime > 0, "nobody takes it for litter"
    with pytest.raises(DigestMismatchError):
        replacement.clone_file(tmp_path, StoredFile("old/index", "f" * 64, 5), "third")


def test_a_file_is_made_young_or_was_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_bytes(tmp_path, "it", b"x")
    os.utime(tmp_path / "it", (0, 0))
    replacement.make_young(tmp_path, file)
    assert (tmp_path / "it").stat().st_mtime > 0

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", refuse)
        with pytest.raises(StorageError, match="cannot write it: Operation not permitted"):
            replacement.make_young(tmp_path, file)
    (tmp_path / "it").unlink()
    with pytest.raises(ConflictError, match="it was removed before it was committed"):
        replacement.make_young(tmp_path, file)


def test_files_are_removed_and_what_could_not_be_is_told(tmp_path: Path) -> None:
    for name in ("a/1", "a/2", "b/1"):
        write_bytes(tmp_path, name, b"x")
    assert replacement.remove_files(tmp_path, ["a/1", "a/9"]) == (("a/1",), {})
    with refused_removal():
        removed, refused = replacement.remove_files(tmp_path, ["a/2", "b/1"])
    assert (removed, refused) == ((), dict.fromkeys(("a/2", "b/1"), "Operation not permitted"))
    with pytest.raises(InvalidInputError, match="must be relative"):
        replacement.remove_files(tmp_path, ["../outside"])
    assert replacement.remove_files(tmp_path, ["a/2", "b/1"]) == (("a/2", "b/1"), {})
