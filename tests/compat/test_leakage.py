from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compat.leakage import (
    COSINE,
    ROW,
    SAME_ID,
    TrainingItems,
    check_look,
    is_leaked,
    judge_leakage,
    look_for,
)
from compat.leaks import list_leaks
from registry import Embeddings
from registry.domain.certificates import Verdict
from registry.domain.policies import Policy
from registry.errors import DimensionMismatchError, InvalidInputError, SpaceMismatchError
from tests.compat.test_probes import version

DIM, N = 6, 40
V = version(2, DIM)
IDS = np.array([f"q{i}" for i in range(N)])


def float32(array: Any) -> Any:
    return np.ascontiguousarray(array, dtype=np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(6)


def queries(rng: np.random.Generator) -> Embeddings:
    return Embeddings.numbered(float32(rng.normal(size=(N, DIM))), V)


def training(rng: np.random.Generator, *blocks: Any, ids: Any = None) -> TrainingItems:
    others = float32(rng.normal(size=(200, DIM)))
    return TrainingItems(ids, [others, *map(float32, blocks)], V.fingerprint)


def test_a_planted_id_is_found_whatever_kind_of_name_it_is(rng: np.random.Generator) -> None:
    asked = queries(rng)
    for ids, held in (
        (IDS, np.array(["x", "q7", "q7", "q12"], dtype=object)),
        (np.arange(N), np.array([700, 7, 12])),
        (np.arange(N), np.array(["7", "12"])),
        (np.arange(N).astype(str), np.array([12, 7])),
    ):
        found = look_for(asked, ids, TrainingItems(held))
        assert list(found) == [SAME_ID]
        assert np.flatnonzero(is_leaked(found, 0.99)).tolist() == [7, 12]


def test_a_planted_copy_is_found_in_any_block_and_at_any_length(rng: np.random.Generator) -> None:
    asked = queries(rng)
    copies = asked.vectors[[5, 30]] * [[0.01], [7]]
    found = look_for(asked, IDS, training(rng, copies[:1], np.zeros((3, DIM)), copies[1:]))
    assert list(found) == [COSINE, ROW]
    assert np.flatnonzero(is_leaked(found, 0.998)).tolist() == [5, 30]
    assert found[ROW][[5, 30]].tolist() == [200, 204]
    assert not is_leaked(look_for(asked, IDS, training(rng)), 0.998).any()


def test_an_edited_copy_is_found_from_its_cosine_on(rng: np.random.Generator) -> None:
    asked = queries(rng)
    edited = asked.vectors[:1] + 0.05 * float32(rng.normal(size=(1, DIM)))
    first = look_for(asked, IDS, training(rng, edited))[COSINE][0]
    assert 0.99 < first < 0.9999
    found = look_for(asked, IDS, training(rng, edited))
    assert is_leaked(found, first).nonzero()[0].tolist() == [0]
    assert not is_leaked(found, first + 1e-6).any()


def test_either_way_is_enough(rng: np.random.Generator) -> None:
    asked = queries(rng)
    items = training(rng, asked.vectors[3:4], ids=np.array(["q9", *map(str, range(200))]))
    found = look_for(asked, IDS, items)
    assert list(found) == [SAME_ID, COSINE, ROW]
    assert np.flatnonzero(is_leaked(found, 0.998)).tolist() == [3, 9]


@pytest.mark.parametrize(
    ("max_leaked", "verdict"),
    [(0.0, Verdict.INCONCLUSIVE), (0.049, Verdict.INCONCLUSIVE), (0.05, Verdict.COMPATIBLE)],
)
def test_the_share_decides(rng: np.random.Generator, max_leaked: float, verdict: Verdict) -> None:
    asked = queries(rng)
    found = look_for(asked, IDS, training(rng, asked.vectors[:2]))
    control = judge_leakage(found, Policy(max_leaked=max_leaked))
    assert (control.name, control.value, control.found) == ("no leakage", 0.05, verdict)
    assert control.expected is Verdict.COMPATIBLE
    nothing = judge_leakage(look_for(asked, IDS, training(rng)), Policy())
    assert (nothing.value, nothing.is_passed) == (0.0, True)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, "judged neither by 'same id' nor by 'nearest cosine'"),
        ({ROW: np.zeros(3)}, "judged neither"),
        ({COSINE: np.array([0.5, np.nan])}, "must be in"),
        ({SAME_ID: np.array([0.0, 2.0])}, "must be in"),
        ({SAME_ID: np.zeros(2), COSINE: np.array([-1.5, 0])}, "must be in"),
    ],
)
def test_impossible_evidence_is_refused(found: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        is_leaked(found, 0.998)


def test_training_data_that_do_not_fit_are_refused(rng: np.random.Generator) -> None:
    asked, some = queries(rng), float32(rng.normal(size=(9, DIM)))
    with pytest.raises(InvalidInputError, match="9 training vectors but 8 training ids"):
        TrainingItems(np.arange(8), [some])
    with pytest.raises(InvalidInputError, match="NaN or Inf, first in row 4"):
        TrainingItems(None, [np.where(np.arange(9)[:, None] == 4, np.float32(np.nan), some)])
    with pytest.raises(DimensionMismatchError, match="5 dimensions but their version has 6"):
        TrainingItems(None, [some, float32(some[:, :5])])
    with pytest.raises(SpaceMismatchError, match="products@2 has declared:2"):
        look_for(asked, IDS, TrainingItems(None, [some], "declared:1"))
    with pytest.raises(DimensionMismatchError, match="have 5 dimensions"):
        look_for(asked, IDS, TrainingItems(None, [float32(some[:, :5])], V.fingerprint))
    for nothing in (TrainingItems(), TrainingItems(None, [some[:0]], V.fingerprint)):
        with pytest.raises(InvalidInputError, match="hold no item"):
            look_for(asked, IDS, nothing)


def test_the_digest_is_of_ids_and_vectors(rng: np.random.Generator) -> None:
    some = float32(rng.normal(size=(9, DIM)))
    given = TrainingItems(np.arange(9), [some])
    assert given.named["n_items"] == 9
    assert TrainingItems(np.arange(9), [some.copy()]).named == given.named
    changed = some.copy()
    changed[3, 2] += 1
    others = (
        TrainingItems(None, [some]),
        TrainingItems(np.arange(9)[::-1], [some]),
        TrainingItems(np.arange(9), [changed]),
        TrainingItems(np.arange(9)),
    )
    digests = {str(one.named["digest"]) for one in (given, *others)}
    assert len(digests) == 5


def test_vectors_of_another_model_are_noticed(rng: np.random.Generator) -> None:
    """Two spaces of one dimension: nothing would be near anything, and no leak be found."""
    dim = 64
    spectrum = np.linspace(2, 0.2, dim) ** 2
    v = version(2, dim)
    asked = Embeddings.numbered(float32(rng.normal(size=(300, dim)) * spectrum), v)
    check_look(asked, float32(rng.normal(size=(300, dim)) * spectrum))
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    with pytest.raises(SpaceMismatchError, match="do not look like products@2's own"):
        check_look(asked, float32((rng.normal(size=(300, dim)) * spectrum) @ turn))


# --- told to people


def test_leaks_are_listed_the_nearest_first(rng: np.random.Generator) -> None:
    asked = queries(rng)
    edited = asked.vectors[8:9] + 0.01 * float32(rng.normal(size=(1, DIM)))
    items = training(rng, edited, asked.vectors[3:4], ids=np.array(["q9", "q3", *range(200)]))
    leaks = list_leaks(IDS, look_for(asked, IDS, items), 0.998)
    assert [leak.query for leak in leaks.leaks] == ["q3", "q8", "q9"]
    assert [leak.has_same_id for leak in leaks.leaks] == [True, False, True]
    assert [leak.row for leak in leaks.leaks[:2]] == [201, 200]
    assert str(leaks).startswith(
        "3 of 40 queries are in the training data, by id or by a vector of cosine 0.998 or more "
        "(2 under the same id); the nearest of the others has 0.9"
    )
    one = replace(leaks, leaks=leaks.leaks[1:2], next_cosine=None)
    assert str(one) == (
        "1 of 40 queries is in the training data, by id or by a vector of cosine 0.998 or more"
    )


def test_leaks_by_id_alone_have_no_cosine(rng: np.random.Generator) -> None:
    leaks = list_leaks(IDS, look_for(queries(rng), IDS, TrainingItems(np.array(["q2"]))), 0.998)
    (leak,) = leaks.leaks
    assert (leak.query, leak.cosine, leak.row) == ("q2", None, None)
    assert str(leaks) == "1 of 40 queries is in the training data, by id"
