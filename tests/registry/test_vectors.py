from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.galleries import IdType
from registry.domain.refs import VersionRef
from registry.domain.versions import ModelVersion, SpaceDescription
from registry.errors import DimensionMismatchError, InvalidInputError, SpaceMismatchError
from registry.vectors import (
    Embeddings,
    Hits,
    check_ids,
    check_no_zero_vectors,
    check_vectors,
    id_type,
)

SPACE = SpaceDescription(architecture={}, preprocessing={}, normalised=False, dim=3)
VERSION = ModelVersion(
    VersionRef("m", 1), "sha256:0", SPACE, None, None, {}, datetime(2026, 1, 1, tzinfo=UTC), "me"
)
GOOD = np.arange(12, dtype=np.float32).reshape(4, 3)


def changed(place: tuple[int, int], value: float) -> Any:
    vectors = GOOD.copy()
    vectors[place] = value
    return vectors


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (GOOD.tolist(), "shape .n, dim. but got list"),
        (GOOD[0], r"got \(3,\)"),
        (GOOD[None], r"got \(1, 4, 3\)"),
        (GOOD.astype(np.float64), "float32 but are float64"),
        (GOOD.astype(np.float16), "float32 but are float16"),
        (GOOD.astype(np.int32), "float32 but are int32"),
        (GOOD.astype(">f4"), "float32 but are >f4"),
        (GOOD.astype(object), "float32 but are object"),
        (np.asfortranarray(GOOD), "contiguous"),
        (GOOD[:, ::2], "contiguous"),
        (GOOD[::-1], "contiguous"),
        (changed((2, 1), np.nan), "1 of 4 vectors hold NaN or Inf, first in row 2"),
        (changed((3, 0), -np.inf), "first in row 3"),
    ],
)
def test_unclean_vectors_are_refused(vectors: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        check_vectors(vectors)


def test_clean_vectors_pass_untouched() -> None:
    for vectors in (GOOD, GOOD[:0], changed((0, 0), 1e16), np.full((2, 3), -9e15, np.float32)):
        vectors.flags.writeable = False
        assert check_vectors(vectors, 3) is vectors


def test_values_whose_products_overflow_are_refused() -> None:
    for value in (1.1e16, -3e38):
        with pytest.raises(InvalidInputError, match="beyond 1e\\+16, first in row 1"):
            check_vectors(changed((1, 0), value))


def test_another_dimension_is_refused() -> None:
    with pytest.raises(DimensionMismatchError, match="have 3 dimensions but their version has 4"):
        check_vectors(GOOD, 4)
    with pytest.raises(DimensionMismatchError):
        Embeddings.numbered(GOOD, replace(VERSION, description=replace(SPACE, dim=2)))


def test_zero_vectors_have_no_direction() -> None:
    with pytest.raises(InvalidInputError, match="1 of 4 vectors are all zero, first in row 2"):
        check_no_zero_vectors(np.where(np.arange(4)[:, None] == 2, 0, GOOD + 1).astype(np.float32))
    check_no_zero_vectors(GOOD[:0])
    check_no_zero_vectors(np.full((2, 3), 1e-30, np.float32))


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["a", "b"], r"shape \(2,\) but got list"),
        (np.arange(3), r"shape \(2,\) but got \(3,\)"),
        (np.arange(2)[:, None], r"got \(2, 1\)"),
        (np.array([1.0, 2.0]), "all integers or all strings but are float64"),
        (np.array([True, False]), "but are bool"),
        (np.array(["a", 1], object), "but are object"),
        (np.array([b"a", b"b"]), "but are"),
        (np.array([2**63, 1], np.uint64), "64 signed bits"),
        (np.array([7, 7]), "1 ids occur more than once in the batch, for example 7"),
        (np.array(["x", "x"]), "for example 'x'"),
    ],
)
def test_bad_ids_are_refused(ids: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        check_ids(ids, 2)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True))
def test_integers_become_int64(values: list[int]) -> None:
    ids = check_ids(np.array(values, np.int64), len(values))
    assert ids.dtype == np.int64
    assert ids.tolist() == values
    assert id_type(ids) is IdType.INT64


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), unique=True))
def test_strings_become_objects(values: list[str]) -> None:
    for array in (np.array(values, dtype=object), np.array(values, dtype=np.dtypes.StringDType())):
        ids = check_ids(array, len(values))
        assert ids.dtype == object
        assert ids.tolist() == values
        assert id_type(ids) is IdType.STRING


def test_small_unsigned_ids_are_fine() -> None:
    for kind in (np.uint8, np.int32, np.uint64):
        assert check_ids(np.array([3, 1], kind), 2).dtype == np.int64


def test_embeddings_are_checked_and_numbered() -> None:
    numbered = Embeddings.numbered(GOOD, VERSION)
    assert numbered.ids.tolist() == [0, 1, 2, 3]
    assert len(numbered) == 4
    named = Embeddings(np.array(["a", "b", "c", "d"]), GOOD, VERSION)
    assert named.ids.dtype == object
    with pytest.raises(InvalidInputError):
        Embeddings(np.array([1, 1, 2, 3]), GOOD, VERSION)
    with pytest.raises(InvalidInputError):
        Embeddings.numbered(changed((0, 0), np.nan), VERSION)


# --- Arrow


@pytest.mark.parametrize("ids", [np.array([3, 1, 2, 9]), np.array(["a", "ä", "", "x y"])])
def test_embeddings_come_back_from_arrow_as_they_were(ids: Any) -> None:
    made = Embeddings(ids, GOOD, VERSION)
    table = made.to_arrow()
    assert table.column_names == ["id", "vector"]
    back = Embeddings.from_arrow(table, VERSION)
    assert back.ids.dtype == made.ids.dtype
    assert back.ids.tolist() == made.ids.tolist()
    np.testing.assert_array_equal(back.vectors, made.vectors)


def test_a_table_in_chunks_or_of_plain_lists_is_read_too() -> None:
    table = Embeddings.numbered(GOOD, VERSION).to_arrow()
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    plain = pa.table({"vector": pa.array(GOOD.tolist(), pa.list_(pa.float32())), "id": range(4)})
    for form in (chunked, plain, table.slice(0, 4)):
        np.testing.assert_array_equal(Embeddings.from_arrow(form, VERSION).vectors, GOOD)
    part = Embeddings.from_arrow(table.slice(2, 1), VERSION)
    assert part.ids.tolist() == [2]
    np.testing.assert_array_equal(part.vectors, GOOD[2:3])


def test_a_table_of_another_space_is_refused() -> None:
    table = Embeddings.numbered(GOOD, VERSION).to_arrow()
    other = replace(VERSION, ref=VersionRef("products", 2), fingerprint="sha256:another")
    with pytest.raises(
        SpaceMismatchError, match=rf"says it was made by {VERSION.ref} .*products@2"
    ):
        Embeddings.from_arrow(table, other)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"id": [1]}, "has no column 'vector'"),
        ({"vector": [[1.0, 2.0]]}, "has no column 'id'"),
        ({"id": [1], "vector": [3.0]}, "not a list of float32"),
        ({"id": [1, None], "vector": [[1.0], [2.0]]}, "'id' has empty places"),
        ({"id": [1, 2], "vector": [[1.0], None]}, "'vector' has empty places"),
        ({"id": [1, 2], "vector": [[1.0], [1.0, 2.0]]}, "differ in length"),
        ({"id": [1], "vector": [[1.0, 2.0]]}, "must be float32 but are float64"),
        ({"id": [0.5], "vector": pa.array([[1.0]], pa.list_(pa.float32()))}, "ids must be all"),
    ],
)
def test_a_table_without_ids_and_vectors_is_refused(columns: dict[str, Any], words: str) -> None:
    version = replace(VERSION, description=replace(VERSION.description, dim=1))
    with pytest.raises(InvalidInputError, match=words):
        Embeddings.from_arrow(pa.table(columns), version)


HITS = Hits(
    np.array([["b", "a"], ["c", None]], object),
    np.array([[0.5, 0.25], [0.75, -np.inf]], np.float32),
    np.array([[2, 1], [1, 0]]),
)


def test_calibrated_hits_keep_their_raw_scores_in_one_table_with_others() -> None:
    raw = np.array([[5.0, 2.5], [7.5, -np.inf]], np.float32)
    mapped = replace(HITS, uncalibrated=raw)
    for blocks in ((HITS, mapped), (mapped, HITS)):
        whole = Hits.concatenated(blocks)
        expected = np.concatenate([hits.raw_scores for hits in blocks])
        assert whole.raw_scores.tolist() == expected.tolist()
        assert whole.scores.tolist() == [*HITS.scores.tolist()] * 2
    assert mapped.to_arrow().column("raw_score").to_pylist() == [5.0, 2.5, 7.5]
    assert Hits.concatenated((HITS, HITS)).uncalibrated is None


def test_hits_become_a_table_without_the_places_that_hold_none() -> None:
    assert HITS.to_arrow().to_pydict() == {
        "query": [0, 0, 1],
        "rank": [1, 2, 1],
        "id": ["b", "a", "c"],
        "score": [0.5, 0.25, 0.75],
        "raw_score": [0.5, 0.25, 0.75],
        "version": [2, 1, 1],
    }
    named = HITS.to_arrow(np.array(["first", "second"]))
    assert named.column("query").to_pylist() == ["first", "first", "second"]
    with pytest.raises(InvalidInputError, match=r"ids must be an array of shape \(2,\)"):
        HITS.to_arrow(np.array([1, 2, 3]))


def test_hits_of_no_query_are_an_empty_table_of_the_same_columns() -> None:
    none = Hits(HITS.ids[:0], HITS.scores[:0], HITS.versions[:0]).to_arrow()
    assert none.num_rows == 0
    assert none.schema == HITS.to_arrow().schema


def test_blocks_of_hits_are_put_together() -> None:
    joined = Hits.concatenated(iter([HITS, HITS]))
    assert joined.ids.tolist() == [*HITS.ids.tolist(), *HITS.ids.tolist()]
    assert joined.scores.shape == joined.versions.shape == (4, 2)
    with pytest.raises(InvalidInputError, match="no hits to put together"):
        Hits.concatenated([])
    narrow = Hits(HITS.ids[:, :1], HITS.scores[:, :1], HITS.versions[:, :1])
    with pytest.raises(InvalidInputError, match="different numbers of places"):
        Hits.concatenated([HITS, narrow])
