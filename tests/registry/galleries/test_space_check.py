from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

from registry.arrays import Float32Array
from registry.errors import DimensionMismatchError
from registry.galleries.space_check import MAX_RESOLUTION, check_same_space

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "embeddings"


def made(rng: np.random.Generator, mixing: Float32Array, n: int) -> Float32Array:
    """Vectors of a space that has directions of its own, as `mixing` says."""
    content = rng.standard_normal((n, mixing.shape[0])) + 0.5 * rng.standard_normal(len(mixing))
    vectors: Float32Array = (content @ mixing).astype(np.float32)
    return vectors


def a_space(rng: np.random.Generator, dim: int) -> Float32Array:
    rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    strengths = np.arange(1, dim + 1) ** -0.7
    mixing: Float32Array = (strengths[:, None] * rotation).astype(np.float32)
    return mixing


@pytest.mark.parametrize("dim", [32, 64, 130])
def test_one_space_aligns_and_another_does_not(rng: np.random.Generator, dim: int) -> None:
    one, two = a_space(rng, dim), a_space(rng, dim)
    known = made(rng, one, 1500)
    same = check_same_space(made(rng, one, 400), known)
    other = check_same_space(made(rng, two, 400), known)
    assert (same.n_batch, same.n_reference) == (400, 1500)
    assert same.has_power
    assert other.has_power
    assert same.alignment > 0.5
    assert abs(other.alignment) < 4 * other.resolution
    assert not same.is_other_space
    assert other.is_other_space


def test_a_rotation_is_another_space(rng: np.random.Generator) -> None:
    known = made(rng, a_space(rng, 128), 2000)
    rotation = np.linalg.qr(rng.standard_normal((128, 128)))[0].astype(np.float32)
    assert check_same_space(np.ascontiguousarray(known @ rotation), known).is_other_space


def test_the_alignment_hardly_depends_on_the_numbers(rng: np.random.Generator) -> None:
    space = a_space(rng, 96)
    known = made(rng, space, 3000)
    found = [check_same_space(made(rng, space, n), known).alignment for n in (128, 400, 3000)]
    assert max(found) - min(found) < 0.15


def test_few_vectors_or_dimensions_give_no_verdict(rng: np.random.Generator) -> None:
    known, alien = (made(rng, a_space(rng, 64), 1000) for _ in range(2))
    for batch, reference in ((alien[:127], known), (alien, known[:127])):
        few = check_same_space(batch, reference)
        assert not few.has_power
        assert not few.is_other_space
    assert check_same_space(alien[:128], known).is_other_space
    for dim in (1, 2, 8, 28):
        flat, other = (made(rng, a_space(rng, dim), 1000) for _ in range(2))
        evidence = check_same_space(flat, other)
        assert evidence.resolution > MAX_RESOLUTION
        assert not evidence.is_other_space


@pytest.mark.parametrize("n", [0, 1, 2, 3, 500])
def test_samples_that_do_not_vary_give_no_verdict(rng: np.random.Generator, n: int) -> None:
    known = made(rng, a_space(rng, 64), 500)
    for batch in (np.zeros((n, 64), np.float32), np.ones((n, 64), np.float32)):
        evidence = check_same_space(batch, known)
        assert not evidence.has_power
        assert not evidence.is_other_space


def test_zero_vectors_do_not_count(rng: np.random.Generator) -> None:
    known = made(rng, a_space(rng, 64), 500)
    holed = known.copy()
    holed[:100] = 0
    assert check_same_space(holed, known).n_batch == 400


def test_isotropic_vectors_say_nothing(rng: np.random.Generator) -> None:
    noise = rng.standard_normal((2, 2000, 64)).astype(np.float32)
    assert not check_same_space(noise[0], noise[1]).is_other_space


def test_inputs_are_left_alone_and_large_ones_sampled(rng: np.random.Generator) -> None:
    known = made(rng, a_space(rng, 40), 9000)
    known.flags.writeable = False
    evidence = check_same_space(known, known)
    assert evidence.n_batch == 3000
    assert evidence.alignment == pytest.approx(1, abs=0.05)


def test_of_many_dimensions_the_first_are_compared(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.galleries.space_check._MAX_DIMS", 40)
    known = made(rng, a_space(rng, 64), 500)
    tail = known.copy()
    tail[:, 40:] = 0
    assert check_same_space(tail, known).alignment == check_same_space(known, known).alignment


def test_dimensions_must_agree() -> None:
    with pytest.raises(DimensionMismatchError, match="3 dimensions, the reference 4"):
        check_same_space(np.ones((5, 3), np.float32), np.ones((5, 4), np.float32))


# --- real embeddings


def load(model: str) -> dict[str, Float32Array]:
    """One model's embeddings of several kinds of content."""
    if model.startswith("resnet"):
        rows = np.load(DATA / f"cifar10_test_{model}.npy").astype(np.float32)
        halves = {"classes 0-4": rows[:5000], "classes 5-9": rows[5000:]}
        return halves | {f"class {c}": rows[1000 * c : 1000 * (c + 1)] for c in range(10)}
    found = {}
    for corpus in ("scifact", "cranfield"):
        with np.load(DATA / f"{corpus}_{model}.npz") as archive:
            for name in ("docs", "q_test"):
                found[f"{corpus} {name}"] = archive[name].astype(np.float32)
    return found


MODELS = ("minilm_l3", "minilm_l6", "wordllama256", "resnet20", "resnet56")


@pytest.mark.shared_data
@pytest.mark.parametrize("model", MODELS)
def test_one_model_is_never_flagged(model: str, rng: np.random.Generator) -> None:
    """Neither on other content, nor on queries instead of documents, nor with few vectors."""
    samples = [rng.permutation(rows)[:128] for rows in load(model).values()]
    found = [check_same_space(a, b) for a, b in combinations(samples, 2)]
    assert min(evidence.alignment for evidence in found) > 0.17
    assert not any(evidence.is_other_space for evidence in found)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("models", "contents"),
    [
        (("minilm_l3", "minilm_l6"), ("scifact docs", "cranfield docs")),
        (("resnet20", "resnet56"), ("classes 0-4", "classes 5-9", "class 0", "class 9")),
    ],
)
def test_two_models_are_always_flagged(
    models: tuple[str, str], contents: tuple[str, ...], rng: np.random.Generator
) -> None:
    """Also on the same content, and though both MiniLMs have one ancestor."""
    loaded = [load(model) for model in models]
    samples = [[rng.permutation(rows[c])[:300] for c in contents] for rows in loaded]
    found = [check_same_space(a, b) for a, b in product(*samples)]
    assert max(evidence.alignment for evidence in found) < 0.14
    assert all(evidence.is_other_space for evidence in found)


@pytest.mark.shared_data
@pytest.mark.parametrize("model", ["wordllama256", "resnet20"])
def test_a_rotated_model_is_flagged(model: str, rng: np.random.Generator) -> None:
    rows = rng.permutation(next(iter(load(model).values())))[:1000]
    dim = rows.shape[1]
    rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0].astype(np.float32)
    assert check_same_space(np.ascontiguousarray(rows @ rotation), rows).is_other_space
