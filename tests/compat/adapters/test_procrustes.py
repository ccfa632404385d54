from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from compat.adapters import fit_procrustes, fit_rotation, map_queries
from registry.arrays import Float32Array


def units(rng: np.random.Generator, n: int, dim: int) -> Float32Array:
    vectors = rng.normal(size=(n, dim))
    found = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(found, dtype=np.float32)


def test_a_rotation_is_found_again(rng: np.random.Generator) -> None:
    new = units(rng, 50, 6)
    rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    old = (new @ rotation).astype(np.float32)
    found = fit_procrustes(3 * new, old)  # lengths do not matter
    np.testing.assert_allclose(found, rotation, atol=1e-6)
    np.testing.assert_allclose(map_queries(5 * new, found), old, atol=1e-6)


def test_it_equals_scipy(rng: np.random.Generator) -> None:
    new, old = units(rng, 40, 5), units(rng, 40, 5)
    expected, _ = orthogonal_procrustes(new.astype(float), old.astype(float))
    np.testing.assert_allclose(fit_procrustes(new, old), expected, atol=1e-6)


def test_more_dimensions_are_met_by_padding_with_zeros(rng: np.random.Generator) -> None:
    new, old = units(rng, 60, 7), units(rng, 60, 4)
    padded = np.pad(old, ((0, 0), (0, 3))).astype(float)
    whole, _ = orthogonal_procrustes(new.astype(float), padded)
    found = fit_procrustes(new, old)
    np.testing.assert_allclose(found, whole[:, :4], atol=1e-6)
    np.testing.assert_allclose(found.T @ found, np.eye(4), atol=1e-12)


def test_a_rotation_of_the_whole_space_begins_with_the_map(rng: np.random.Generator) -> None:
    new, old = units(rng, 60, 7), units(rng, 60, 4)
    found = fit_rotation(new, old)
    np.testing.assert_allclose(found[:, :4], fit_procrustes(new, old))
    np.testing.assert_allclose(found.T @ found, np.eye(7), atol=1e-12)
    with pytest.raises(ValueError, match="4 dimensions cannot be turned to meet 7"):
        fit_rotation(old, new)


def test_fewer_dimensions_are_embedded_as_they_are(rng: np.random.Generator) -> None:
    new, old = units(rng, 60, 4), units(rng, 60, 7)
    found = fit_procrustes(new, old)
    np.testing.assert_allclose(found @ found.T, np.eye(4), atol=1e-12)
    mapped = map_queries(new, found)
    np.testing.assert_allclose(mapped @ mapped.T, new @ new.T, atol=1e-5)


def test_nothing_else_orthogonal_comes_nearer(rng: np.random.Generator) -> None:
    new, old = units(rng, 40, 5), units(rng, 40, 3)
    best = np.linalg.norm(new @ fit_procrustes(new, old) - old)
    for _ in range(200):
        other, _ = np.linalg.qr(rng.normal(size=(5, 3)))
        assert np.linalg.norm(new @ other - old) >= best


def test_what_does_not_pair_up_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="a row for each item"):
        fit_procrustes(units(rng, 4, 3), units(rng, 5, 3))
    with pytest.raises(ValueError, match="a row for each item"):
        fit_procrustes(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
    broken = units(rng, 4, 3)
    broken[1, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        fit_procrustes(units(rng, 4, 3), broken)


def test_the_wrong_direction_is_refused(rng: np.random.Generator) -> None:
    linear_map = fit_procrustes(units(rng, 9, 5), units(rng, 9, 3))
    with pytest.raises(ValueError, match=r"takes vectors of 5 dimensions but got shape \(2, 3\)"):
        map_queries(units(rng, 2, 3), linear_map)
