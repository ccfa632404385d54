"""Batches of one sample: refused before the first step where batch normalisation meets them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from compat.backbones import build_backbone
from compat.encoders import Encoder, fingerprint
from compat.epoch_rows import step_rows
from compat.objectives import CompatBatch, LossTerms, Setting, build_objective
from compat.training import train
from compat.training_options import TrainingData, TrainingOptions
from compat.training_step import batch_rows
from compat.workers import Workers
from registry.domain.contracts import Contract
from registry.errors import InvalidInputError

N_INPUTS, DIM = 10, 6
OPTIONS = TrainingOptions(epochs=2, batch_size=1, learning_rate=0.01, device="cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def data(n: int, *shape: int) -> TrainingData:
    rng = torch.Generator().manual_seed(0)
    return TrainingData(torch.rand(n, *(shape or (N_INPUTS,)), generator=rng), torch.arange(n) % 2)


def mlp() -> Encoder:
    """Has batch normalisation behind its hidden layer."""
    torch.manual_seed(0)
    options = {"in_features": N_INPUTS, "dim": DIM, "hidden": [8]}
    return Encoder(build_backbone("mlp", options), dim=DIM)


def run(encoder: Encoder, given: TrainingData, options: TrainingOptions) -> int:
    """Train freely; return the number of epochs that it took."""
    objective = build_objective("independent", {}, Setting(DIM, 2, given.labels))
    return len(list(train(encoder, objective, given, options)))


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_batch_size_of_one_is_refused_before_the_first_step(accumulate: int) -> None:
    encoder = mlp()
    before, mode = fingerprint(encoder), encoder.training
    words = "batch_size is 1, and BatchNorm1d cannot normalise over a batch of one"
    with pytest.raises(InvalidInputError, match=words) as info:
        run(encoder, data(8), replace(OPTIONS, accumulate=accumulate))
    assert (info.value.hint or "").startswith("set batch_size to at least 2")
    assert (fingerprint(encoder), encoder.training) == (before, mode)
    hooked = [m for m in encoder.modules() if m._forward_pre_hooks]
    assert hooked == []


def test_data_of_one_sample_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="the data are one sample") as info:
        run(mlp(), data(1), replace(OPTIONS, batch_size=16))
    assert (info.value.hint or "").startswith("give at least 2 samples")


@pytest.mark.parametrize("n", [2, 3, 4, 5, 9])
def test_a_batch_size_of_two_is_enough_for_any_data(n: int) -> None:
    for accumulate in (1, 2, 3):
        options = replace(OPTIONS, batch_size=2, accumulate=accumulate)
        assert run(mlp(), data(n), options) == 2


def test_no_batch_is_one_row_however_steps_are_cut_and_shared() -> None:
    for n, size, accumulate, n_workers in product(range(2, 40), range(2, 7), (1, 2, 4), (1, 2, 3)):
        for rows in step_rows(torch.arange(n), size * accumulate):
            taken: list[Tensor] = []
            for rank in range(n_workers):
                share, _ = Workers(rank, n_workers).share(len(rows))
                parts = batch_rows(rows[share], len(rows), size)
                assert min(len(part) for part in parts) >= 2
                assert max(len(part) for part in parts) <= size + 1
                taken.extend(parts)
            assert set(torch.cat(taken).tolist()) == set(rows.tolist())


def test_batches_are_as_many_as_the_step_has_where_none_is_single() -> None:
    assert [len(p) for p in batch_rows(torch.arange(24), 24, 8)] == [8, 8, 8]
    assert [len(p) for p in batch_rows(torch.arange(8), 24, 8)] == [3, 3, 2]
    assert [len(p) for p in batch_rows(torch.arange(3), 3, 2)] == [3]
    assert [len(p) for p in batch_rows(torch.arange(3), 3, 1)] == [1, 1, 1]


def test_networks_without_batch_normalisation_may_train_sample_by_sample() -> None:
    network = nn.Sequential(nn.Linear(N_INPUTS, DIM), nn.LayerNorm(DIM))
    assert run(Encoder(network, dim=DIM), data(4), OPTIONS) == 2
    assert run(Encoder(network, dim=DIM), data(1), OPTIONS) == 2


def test_maps_of_several_values_a_channel_may_too() -> None:
    """What torch can do is not refused: four pixels are four values."""
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    full = nn.Sequential(*network, nn.Linear(3, DIM))
    assert run(Encoder(full, dim=DIM), data(4, 1, 2, 2), OPTIONS) == 2
    with pytest.raises(InvalidInputError, match="BatchNorm2d cannot normalise"):
        run(Encoder(full, dim=DIM), data(4, 1, 1, 1), OPTIONS)


class Frozen(nn.BatchNorm1d):
    """Keeps the statistics that it has, as is done when a pre-trained network is tuned."""

    def train(self, mode: bool = True) -> Frozen:
        del mode
        super().train(mode=False)
        return self


def test_layers_that_stay_in_evaluation_mode_may_too() -> None:
    network = nn.Sequential(nn.Linear(N_INPUTS, DIM), Frozen(DIM))
    assert run(Encoder(network, dim=DIM), data(4), OPTIONS) == 2
    forgetful = nn.Sequential(
        nn.Linear(N_INPUTS, DIM), nn.BatchNorm1d(DIM, track_running_stats=False).eval()
    )
    with pytest.raises(InvalidInputError, match="BatchNorm1d cannot normalise"):
        run(Encoder(forgetful, dim=DIM), data(4), OPTIONS)


class Projecting(nn.Module):
    """An objective that normalises features itself."""

    head: nn.Module = nn.Identity()
    contract: Contract | None = None
    needs_old_features = False

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(DIM)

    def forward(self, batch: CompatBatch) -> LossTerms:
        return {"size": self.norm(batch.features).square().mean()}


def test_an_objectives_own_normalisation_counts() -> None:
    encoder = Encoder(nn.Linear(N_INPUTS, DIM), dim=DIM)
    with pytest.raises(InvalidInputError, match="BatchNorm1d cannot normalise"):
        train(encoder, Projecting(), data(4), OPTIONS)
    assert len(list(train(encoder, Projecting(), data(4), replace(OPTIONS, batch_size=2)))) == 2
