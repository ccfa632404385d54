from __future__ import annotations

import math

import pytest
import torch

from compat.objectives.simplex import best_probability, scale_for, simplex_vertices
from registry.errors import InvalidInputError
from tests.reference import dsimplex as reference


@pytest.mark.parametrize("n_slots", [2, 3, 10, 100, 1024])
def test_vertices_are_as_far_apart_as_can_be(n_slots: int) -> None:
    vertices = simplex_vertices(n_slots)
    assert vertices.dtype == torch.float64
    assert vertices.shape == (n_slots, n_slots - 1)
    cosines = vertices @ vertices.T
    expected = torch.full_like(cosines, -1 / (n_slots - 1)).fill_diagonal_(1)
    assert (cosines - expected).abs().max() < 1e-12
    assert vertices.sum(dim=0).abs().max() < 1e-12


@pytest.mark.parametrize("n_slots", [2, 5, 17])
def test_vertices_equal_the_reference(n_slots: int) -> None:
    torch.testing.assert_close(simplex_vertices(n_slots), reference.vertices(n_slots))


def test_vertices_are_always_the_same() -> None:
    first = simplex_vertices(30)
    torch.manual_seed(9)
    assert torch.equal(simplex_vertices(30), first)


def test_one_slot_is_no_simplex() -> None:
    with pytest.raises(InvalidInputError, match="at least 2 slots but got 1"):
        simplex_vertices(1)


@pytest.mark.parametrize(
    ("n_slots", "scale", "expected"),
    [  # METHODS.md, section 2
        (100, 1, 0.027),
        (1024, 1, 0.0027),
        (100, 16, 1.000),
        (1024, 16, 0.9999),
        (100, 10, 0.996),
        (1024, 10, 0.956),
    ],
)
def test_the_best_probability_of_a_unit_feature(
    n_slots: int, scale: float, expected: float
) -> None:
    digits = 4 if expected in (0.0027, 0.9999) else 3
    assert round(best_probability(n_slots, scale), digits) == expected
    vertices = simplex_vertices(n_slots)
    softmax = torch.softmax(scale * vertices[0] @ vertices.T, dim=0)
    assert float(softmax[0]) == pytest.approx(best_probability(n_slots, scale), rel=1e-9)


@pytest.mark.parametrize("probability", [0.02, 0.5, 0.99])
def test_the_scale_for_a_probability(probability: float) -> None:
    scale = scale_for(100, probability)
    assert math.isclose(best_probability(100, scale), probability, rel_tol=1e-9)
