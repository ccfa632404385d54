"""Distances; class means and cuts are tested with the objectives that use them."""

from __future__ import annotations

import pytest
import torch

from compat.objectives.geometry import cosine_distance


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([[2.0, 0.0], [0.0, 5.0]], 0.0),  # the same directions, whatever the lengths
        ([[-1.0, 0.0], [0.0, -1.0]], 2.0),
        ([[0.0, 1.0], [0.0, 1.0]], 0.5),  # the mean of 1 and 0
        ([[3.0, 4.0], [0.0, 1.0]], 0.2),  # the mean of 0.4 and 0
    ],
)
def test_the_distance_is_one_minus_the_cosine_on_average(
    targets: list[list[float]], expected: float
) -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    found = cosine_distance(features, torch.tensor(targets))
    assert found.shape == ()
    assert found.item() == pytest.approx(expected, abs=1e-6)
