from __future__ import annotations

import pytest
import torch

from compat.preprocessing import Preprocessing
from registry.errors import InvalidInputError


def test_bytes_become_standardised_floats() -> None:
    images = torch.tensor([[[0, 255]]], dtype=torch.uint8)
    found = Preprocessing(scale=1 / 255, mean=(0.5,), std=(0.25,)).apply(images)
    torch.testing.assert_close(found, torch.tensor([[[-2.0, 2.0]]]))


def test_each_channel_has_its_own_mean_and_std() -> None:
    images = torch.ones(2, 3, 4, 4)
    found = Preprocessing(mean=(0.0, 1.0, 2.0), std=(1.0, 2.0, 4.0)).apply(images)
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([1.0, 0.0, -0.25]))
    assert found.shape == images.shape


def test_the_default_changes_only_the_type() -> None:
    inputs = torch.arange(6, dtype=torch.float64).view(2, 3)
    assert torch.equal(Preprocessing().apply(inputs), inputs.float())


def test_channels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="2 values for mean"):
        Preprocessing(mean=(0.0, 1.0)).apply(torch.ones(2, 3, 4, 4))


@pytest.mark.parametrize("wrong", [{"scale": 0}, {"std": (0.0,)}, {"mean": ()}])
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError):
        Preprocessing(**wrong)  # type: ignore[arg-type]
