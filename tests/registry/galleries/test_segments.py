from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from registry.arrays import Float32Array, LabelArray
from registry.domain.galleries import IndexSpec, Metric, StoredFile
from registry.errors import (
    CorruptFileError,
    DigestMismatchError,
    DimensionMismatchError,
    InvalidInputError,
)
from registry.galleries._exact import ExactIndex
from registry.galleries.geometry import normalise
from registry.galleries.search import prepare_queries
from registry.galleries.storage import PartData, open_part

from .stored import Batch, Maker, prefix, same_space, texts

FAISS = IndexSpec("faiss", "Flat")


@pytest.fixture
def vectors(rng: np.random.Generator) -> Float32Array:
    return rng.standard_normal((60, 6), dtype=np.float32)


@pytest.fixture
def batches(vectors: Float32Array) -> list[Batch]:
    return [(np.arange(100, 140), vectors[:40]), (np.arange(20), vectors[40:])]


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("spec", [IndexSpec("exact"), FAISS])
def test_open_and_sealed_segments_find_the_same(
    tmp_path: Path,
    batches: list[Batch],
    vectors: Float32Array,
    metric: Metric,
    sealed: bool,
    spec: IndexSpec,
) -> None:
    reader = Maker(tmp_path, metric, spec).reader(batches, sealed=sealed, deleted=[3, 59])
    queries = prepare_queries(vectors, same_space(6), metric)
    found = reader.search(queries, 5, same_space(6))
    live = np.delete(np.arange(60), [3, 59])
    expected = ExactIndex([vectors[live]], metric=metric, dim=6).search(queries, 5)
    np.testing.assert_array_equal(found.positions, live[expected.positions])
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", list(Metric))
def test_short_queries_meet_the_prefix_of_long_vectors(
    tmp_path: Path, batches: list[Batch], vectors: Float32Array, metric: Metric
) -> None:
    """The ranking is that of the first dimensions; what the others hold changes nothing (F8)."""
    short = np.ascontiguousarray(vectors[:, :4])
    loud = vectors.copy()
    loud[:, 4:] *= 100
    queries = prepare_queries(short, prefix(4), metric)
    expected = ExactIndex([short], metric=metric, dim=4).search(queries, 9)
    for place, long in enumerate((vectors, loud)):
        maker = Maker(tmp_path / str(place), metric, FAISS)
        reader = maker.reader([(np.arange(60), long)], sealed=True)
        found = reader.search(queries, 9, prefix(4))
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-5)


def test_nothing_is_padded(tmp_path: Path, batches: list[Batch], vectors: Float32Array) -> None:
    reader = Maker(tmp_path).reader(batches)
    with pytest.raises(DimensionMismatchError, match=r"compares 7 dimensions.*m@1 have 6"):
        reader.search(np.ones((1, 7), np.float32), 1, same_space(7))
    with pytest.raises(DimensionMismatchError):
        reader.search(normalise(vectors), 1, prefix(4))


def test_a_mostly_deleted_segment_is_searched_exactly(
    tmp_path: Path, batches: list[Batch], vectors: Float32Array
) -> None:
    """A graph that must skip most rows loses recall."""
    maker = Maker(tmp_path, Metric.L2, IndexSpec("faiss", "HNSW16,Flat"))
    segment = maker.segment(batches, sealed=True)
    few, most = maker.open(segment, 6, range(30)), maker.open(segment, 6, range(31))
    assert few._searcher(6) is few._index
    assert most._searcher(6) is not most._index
    assert most.search(vectors[:5], 29, same_space(6)).positions.min() == 31


def test_counts_and_masks(tmp_path: Path, batches: list[Batch], vectors: Float32Array) -> None:
    reader = Maker(tmp_path).reader(batches, deleted=[5, 2, 5])
    assert (reader.n_rows, reader.n_items) == (60, 58)
    assert np.flatnonzero(~reader.live).tolist() == [2, 5]
    assert reader.live_positions().tolist() == [p for p in range(60) if p not in {2, 5}]
    assert not reader.live.flags.writeable
    assert [first for first, _ in reader.blocks()] == [0, 40]
    np.testing.assert_array_equal(np.concatenate([b for _, b in reader.blocks()]), vectors)


@pytest.mark.parametrize("deleted", [[60], [-1]])
def test_deleted_rows_must_exist(tmp_path: Path, batches: list[Batch], deleted: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="60 rows"):
        Maker(tmp_path).reader(batches, deleted=deleted)


def test_rows_come_in_pieces_and_in_order(
    tmp_path: Path, batches: list[Batch], vectors: Float32Array
) -> None:
    reader = Maker(tmp_path).reader(batches, deleted=[5, 2])
    kept = reader.live.copy()
    kept[45:] = False
    pieces = list(reader.rows(kept, 17))
    assert [len(ids) for ids, _ in pieces] == [17, 17, 9]
    rows = [row for row in range(45) if row not in {2, 5}]
    np.testing.assert_array_equal(np.concatenate([v for _, v in pieces]), vectors[rows])
    ids = [item for found, _ in pieces for item in found.to_pylist()]
    assert ids == [*(100 + row for row in rows if row < 40), 0, 1, 2, 3, 4]
    assert list(reader.rows(np.zeros(60, np.bool_), 17)) == []


def test_deleted_rows_are_found_by_id_where_they_are_asked_for(
    tmp_path: Path, batches: list[Batch]
) -> None:
    reader = Maker(tmp_path).reader(batches, deleted=[1, 40])
    wanted = np.array([0, 101, 102])
    assert reader.positions_of(wanted).tolist() == [2]
    assert reader.all_positions_of(wanted).tolist() == [1, 2, 40]
    assert reader.all_positions_of(texts("0")).tolist() == []


def test_integer_ids(tmp_path: Path, batches: list[Batch]) -> None:
    reader = Maker(tmp_path).reader(batches, deleted=[1, 40])
    taken = reader.take_ids(np.array([[0, 41], [-1, 39]]))
    assert taken.dtype == np.int64
    assert taken.tolist() == [[100, 1], [-1, 139]]
    assert reader.positions_of(np.array([19, 101, 100, 0, 555])).tolist() == [0, 59]
    assert reader.positions_of(np.array([19], np.uint8)).tolist() == [59]


def test_string_ids(tmp_path: Path, vectors: Float32Array) -> None:
    batches: list[Batch] = [
        (texts("a", "ü", ""), vectors[:3]),
        (texts("b", "日本"), vectors[3:5]),
    ]
    reader = Maker(tmp_path).reader(batches, deleted=[0])
    taken = reader.take_ids(np.array([[4, 1], [-1, 2]]))
    assert taken.dtype == object
    assert taken.tolist() == [["日本", "ü"], [None, ""]]
    assert reader.positions_of(texts("日本", "a", "", "none")).tolist() == [2, 4]
    assert reader.positions_of(np.array(["ü", "b"])).tolist() == [1, 3]


@pytest.mark.parametrize(
    ("mine", "asked"),
    [(texts("1", "2"), np.array([1, 2])), (np.array([1, 2]), texts("1", "2"))],
)
def test_ids_of_the_other_type_are_not_here(
    tmp_path: Path, vectors: Float32Array, mine: LabelArray, asked: LabelArray
) -> None:
    reader = Maker(tmp_path).reader([(mine, vectors[:2])])
    assert reader.positions_of(asked).tolist() == []
    assert reader.positions_of(asked[:0]).tolist() == []


def test_finding_ids_is_fast(tmp_path: Path, rng: np.random.Generator) -> None:
    n = 200_000
    ids = np.array([f"item-{i}" for i in range(n)], dtype=object)
    reader = Maker(tmp_path).reader([(ids, np.ones((n, 1), np.float32))])
    wanted = rng.permutation(n)[: n // 2]
    assert reader.positions_of(ids[wanted]).tolist() == sorted(wanted.tolist())


def test_a_segment_without_parts(tmp_path: Path, batches: list[Batch]) -> None:
    empty = replace(Maker(tmp_path).segment(batches), parts=())
    reader = Maker(tmp_path).open(empty, 6)
    assert (reader.n_rows, reader.n_items, list(reader.blocks())) == (0, 0, [])
    assert reader.positions_of(np.array([1])).tolist() == []


def test_every_file_is_checked_before_it_is_opened(tmp_path: Path, batches: list[Batch]) -> None:
    maker = Maker(tmp_path, Metric.L2, FAISS)
    segment = maker.segment(batches, sealed=True)
    assert segment.index is not None
    for file in (*(part.file for part in segment.parts), segment.index):
        path = tmp_path / file.path
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(DigestMismatchError, match=file.path):
            maker.open(segment, 6)
        path.write_bytes(whole)
    maker.open(segment, 6)


def test_files_must_be_what_their_rows_say(tmp_path: Path, batches: list[Batch]) -> None:
    maker = Maker(tmp_path, Metric.L2, FAISS)
    segment = maker.segment(batches, sealed=True)
    with pytest.raises(CorruptFileError, match="40 vectors of 6 dimensions, but 40 of 5"):
        maker.open(segment, 5)
    short = replace(segment.parts[0], n_items=39)
    with pytest.raises(CorruptFileError, match="but 39 of 6"):
        maker.open(replace(segment, parts=(short, segment.parts[1])), 6)
    with pytest.raises(CorruptFileError, match="indexes 60 rows, but the segment has 40"):
        maker.open(replace(segment, parts=segment.parts[:1]), 6)


def test_reopening_reads_only_what_is_new(
    tmp_path: Path, batches: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = Maker(tmp_path)
    segment = maker.segment(batches)
    first = maker.open(replace(segment, parts=segment.parts[:1]), 6)
    opened: list[str] = []

    def spy(root: Path, file: StoredFile) -> PartData:
        opened.append(file.path)
        return open_part(root, file)

    monkeypatch.setattr("registry.galleries.segments.open_part", spy)
    second = first.reopen(segment, root=tmp_path, spec=maker.spec, deleted=np.array([7]))
    assert opened == ["1/2.arrow"]
    assert (first.n_items, second.n_items) == (40, 59)
    third = second.reopen(segment, root=tmp_path, spec=maker.spec, deleted=np.array([7, 8]))
    assert len(opened) == 1
    assert third.positions_of(np.array([107, 108, 109])).tolist() == [9]


def test_reopening_a_segment_that_was_sealed_takes_its_index(
    tmp_path: Path, batches: list[Batch]
) -> None:
    maker = Maker(tmp_path, Metric.L2, FAISS)
    segment = maker.segment(batches, sealed=True)
    before = maker.open(replace(segment, index=None), 6)
    after = before.reopen(segment, root=tmp_path, spec=FAISS, deleted=np.arange(0))
    assert before._index is None
    assert after._index is not None
    again = after.reopen(segment, root=tmp_path, spec=FAISS, deleted=np.arange(3))
    assert again._index is after._index


def test_threads_share_what_is_built_once(
    tmp_path: Path, batches: list[Batch], vectors: Float32Array
) -> None:
    reader = Maker(tmp_path).reader(batches)
    queries = normalise(vectors[:, :3])
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(reader.search, queries, 4, prefix(3)) for _ in range(32)]
    expected = runs[0].result().positions
    for run in runs:
        np.testing.assert_array_equal(run.result().positions, expected)
    assert list(reader._exact) == [3]
