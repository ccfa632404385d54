"""An old version of another modality is refused, though its network would take the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from compat.encoder_files import save_encoder
from compat.encoders import Encoder
from compat.workflow.modality import check_modality
from registry import ModelVersion, Registry
from registry.errors import InvalidInputError


class Anything(nn.Module):
    """Takes whatever it is given."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.flatten(1)[:, :1].expand(-1, 4) + 1


def registered(registry: Registry, folder: Path, canaries: torch.Tensor) -> ModelVersion:
    save_encoder(Encoder(Anything(), dim=4), folder / "artifact", canaries=canaries)
    return registry.register("products", folder / "artifact").version


IMAGES = torch.rand(2, 3, 8, 8)


@pytest.mark.parametrize(
    ("canaries", "inputs", "words"),
    [
        (IMAGES, np.zeros((5, 7), np.int64), r"float32 of shape \(3, 8, 8\), .* int64 .* \(7,\)"),
        (IMAGES, np.zeros((5, 1, 8, 8), np.float32), r"are float32 of shape \(1, 8, 8\)"),
        (IMAGES[:, 0], np.zeros((5, 64), np.float32), r"float32 of shape \(8, 8\)"),
        (
            torch.ones(2, 7, dtype=torch.int64),
            np.zeros((5, 7), np.float32),
            r"int64 .* are float32",
        ),
    ],
)
def test_data_of_another_kind_are_refused(
    registry: Registry,
    tmp_path: Path,
    canaries: torch.Tensor,
    inputs: NDArray[np.generic],
    words: str,
) -> None:
    version = registered(registry, tmp_path, canaries)
    with pytest.raises(InvalidInputError, match=rf"products@1 takes .*{words}"):
        check_modality(registry, version, inputs)


@pytest.mark.parametrize(
    ("canaries", "inputs"),
    [
        (IMAGES, np.zeros((5, 3, 8, 8), np.uint8)),
        (IMAGES, np.zeros((5, 3, 16, 9), np.float64)),
        (torch.ones(2, 7, dtype=torch.int64), np.zeros((5, 12), np.int32)),
    ],
)
def test_other_sizes_and_bytes_are_left_to_the_network(
    registry: Registry, tmp_path: Path, canaries: torch.Tensor, inputs: NDArray[np.generic]
) -> None:
    check_modality(registry, registered(registry, tmp_path, canaries), inputs)


def test_without_a_version_or_canaries_nothing_is_known(registry: Registry, tmp_path: Path) -> None:
    check_modality(registry, None, np.zeros((5, 7)))
    save_encoder(Encoder(Anything(), dim=4), tmp_path / "artifact")
    version = registry.register("products", tmp_path / "artifact").version
    check_modality(registry, version, np.zeros((5, 7)))
