"""Training with a share of rehearsed rows in each step: what steps see, records, and resuming."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from compat.encoders import Encoder, fingerprint
from compat.objectives import CompatBatch, LossTerms
from compat.training import EpochRecord, train
from compat.training_options import TrainingData, TrainingOptions
from registry.domain.contracts import Contract
from registry.errors import InvalidInputError

N_NEW, N_OLD = 25, 6
OPTIONS = TrainingOptions(epochs=3, batch_size=4, accumulate=2, learning_rate=0.01, device="cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def data() -> TrainingData:
    """Each row is its own class, so batches tell which rows they are of; rows 25 on are old."""
    inputs = torch.rand(N_NEW + N_OLD, 5, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(N_NEW + N_OLD)
    return TrainingData(inputs, rows, n_rehearsed=N_OLD, rehearsal_share=0.5)


class RowSpy(nn.Module):
    """Its loss is the mean of the row numbers; keeps them batch by batch."""

    head: nn.Module = nn.Identity()
    contract: Contract | None = None
    needs_old_features = False

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[int]] = []

    def forward(self, batch: CompatBatch) -> LossTerms:
        self.batches.append(batch.labels.tolist())
        return {"rows": batch.labels.double().mean() + 0 * batch.features.sum()}


class Size(RowSpy):
    """A loss that trains."""

    def forward(self, batch: CompatBatch) -> LossTerms:
        return {"size": (batch.features.mean(dim=1) - batch.labels / 30).square().mean()}


def new_encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(nn.Linear(5, 3), dim=3, normalised=False)


def test_each_batch_has_its_share_and_each_epoch_every_new_row_once(data: TrainingData) -> None:
    spy = RowSpy()
    records = list(train(new_encoder(), spy, data, OPTIONS))
    per_epoch = len(spy.batches) // 3
    for epoch, record in enumerate(records):
        batches = spy.batches[epoch * per_epoch : (epoch + 1) * per_epoch]
        rows = [row for batch in batches for row in batch]
        assert sorted(row for row in rows if row < N_NEW) == list(range(N_NEW))
        # 6 steps of 4 new and 4 old rows, in two batches each, and one of 1 and 1, in one row each
        assert [sum(row >= N_NEW for row in batch) for batch in batches[:12]] == [2] * 12
        assert len(rows) == 50
        assert record.losses["rows"] == pytest.approx(sum(rows) / 50)
        assert record.samples_per_second * record.seconds == pytest.approx(50)
    assert spy.batches[:per_epoch] != spy.batches[per_epoch : 2 * per_epoch]


def trained(
    data: TrainingData, options: TrainingOptions, resume: Path | None = None
) -> tuple[str, list[EpochRecord]]:
    encoder = new_encoder()
    records = list(train(encoder, Size(), data, options, resume=resume))
    return fingerprint(encoder), records


def test_a_resumed_run_gives_the_same_numbers(data: TrainingData, tmp_path: Path) -> None:
    whole, records = trained(data, OPTIONS)
    kept = replace(OPTIONS, checkpoint=tmp_path / "run.safetensors")
    interrupted = train(new_encoder(), Size(), data, kept)
    assert next(interrupted).losses == records[0].losses
    del interrupted
    resumed, rest = trained(data, kept, resume=kept.checkpoint)
    assert resumed == whole
    assert [r.losses for r in rest] == [r.losses for r in records[1:]]


def test_a_checkpoint_with_another_share_is_refused(data: TrainingData, tmp_path: Path) -> None:
    kept = replace(OPTIONS, checkpoint=tmp_path / "run.safetensors")
    trained(data, kept)
    for other in (None, 0.25):
        with pytest.raises(InvalidInputError, match="checkpoint of another run"):
            trained(replace(data, rehearsal_share=other), kept, resume=kept.checkpoint)


def test_steps_too_small_for_the_share_are_refused_before_training(data: TrainingData) -> None:
    spy = RowSpy()
    with pytest.raises(InvalidInputError, match="makes 0 of a step's 8 rows rehearsed"):
        train(new_encoder(), spy, replace(data, rehearsal_share=0.05), OPTIONS)
    assert spy.batches == []
