"""What a batch carries, accumulation, and teachers: their views, their tables, their identity."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from compat.augmentation import Augmentation
from compat.embedding import embed_array
from compat.encoders import Encoder, fingerprint
from compat.objectives import CompatBatch, LossTerms, Setting, build_objective
from compat.objectives.protocol import Objective
from compat.training import TrainingDivergedError, train
from compat.training_options import TrainingData, TrainingOptions
from registry.domain.contracts import Contract
from registry.errors import InvalidInputError

N_CLASSES, SIDE = 4, 6
OPTIONS = TrainingOptions(epochs=2, batch_size=16, learning_rate=0.02, device="cpu")
VIEWS = Augmentation(shift=0.2, flip=True)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def data() -> TrainingData:
    rng = torch.Generator().manual_seed(3)
    labels = torch.arange(48) % N_CLASSES
    centres = torch.rand(N_CLASSES, SIDE, SIDE, generator=rng)
    return TrainingData(centres[labels] + 0.2 * torch.rand(48, SIDE, SIDE, generator=rng), labels)


def new_encoder(dim: int = 6, seed: int = 0, *, normalised: bool = True) -> Encoder:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 12), nn.Tanh(), nn.Linear(12, dim))
    return Encoder(network, dim=dim, normalised=normalised)


class Spy(nn.Module):
    """Keeps its batches; asks for what it is told to."""

    head: nn.Module = nn.Identity()
    contract: Contract | None = None

    def __init__(self, *, old: bool = False, twin: bool = False, raw: bool = False) -> None:
        super().__init__()
        self.needs_old_features, self.needs_twin_features = old, twin
        self.needs_raw_features = raw
        self.batches: list[CompatBatch] = []

    def forward(self, batch: CompatBatch) -> LossTerms:
        self.batches.append(batch)
        return {"size": batch.features.square().mean()}


def test_batches_carry_what_is_asked_for_of_the_same_views(data: TrainingData) -> None:
    spy = Spy(old=True, twin=True, raw=True)
    encoder = new_encoder()
    old, twin = Encoder(encoder.backbone, dim=6), Encoder(encoder.backbone, dim=6, normalised=False)
    options = replace(OPTIONS, epochs=1, learning_rate=1e-12, augmentation=VIEWS)
    list(train(encoder, spy, data, options, old_encoder=old, twin_encoder=twin))
    for batch in spy.batches:
        assert batch.old_features is not None
        assert batch.twin_features is not None
        assert batch.features.requires_grad
        assert not batch.twin_features.requires_grad
        # the same network on the same views: raw, normalised, raw
        torch.testing.assert_close(batch.features.detach(), batch.twin_features)
        units = functional.normalize(batch.features.detach())
        torch.testing.assert_close(units, batch.old_features)
        assert not torch.allclose(units, batch.features.detach())


def test_what_is_not_asked_for_is_not_carried(data: TrainingData) -> None:
    spy = Spy()
    others: dict[str, Any] = {"old_encoder": new_encoder(4, 1), "twin_encoder": new_encoder(5, 2)}
    list(train(new_encoder(), spy, data, replace(OPTIONS, epochs=1), **others))
    first = spy.batches[0]
    assert first.old_features is None
    assert first.twin_features is None
    torch.testing.assert_close(first.features.norm(dim=1), torch.ones(16))


def test_a_missing_teacher_is_named(data: TrainingData) -> None:
    with pytest.raises(InvalidInputError, match="needs the twin's features") as info:
        train(new_encoder(), Spy(twin=True), data, OPTIONS)
    assert info.value.hint is not None
    assert "twin_encoder" in info.value.hint


def test_features_that_the_data_carry_stand_for_an_encoder(data: TrainingData) -> None:
    old = new_encoder(4, seed=7)
    table = torch.from_numpy(embed_array(old, data.inputs))
    by_encoder, by_table = Spy(old=True), Spy(old=True)
    list(train(new_encoder(), by_encoder, data, OPTIONS, old_encoder=old))
    cached = replace(data, old_features=table)
    list(train(new_encoder(), by_table, cached, OPTIONS))
    for a, b in zip(by_encoder.batches, by_table.batches, strict=True):
        assert a.old_features is not None
        assert b.old_features is not None
        torch.testing.assert_close(a.old_features, b.old_features)
    with pytest.raises(InvalidInputError, match="not those of augmented views"):
        train(new_encoder(), by_table, cached, replace(OPTIONS, augmentation=VIEWS))
    with pytest.raises(InvalidInputError, match="3 old features came with 48 labels"):
        replace(data, old_features=table[:3])


def objective(data: TrainingData, old: Encoder, name: str = "oca") -> Objective:
    torch.manual_seed(1)
    features = torch.from_numpy(embed_array(old, data.inputs))
    return build_objective(name, {}, Setting(6, N_CLASSES, data.labels, features))


@pytest.mark.parametrize("name", ["oca", "bct"])
def test_accumulated_batches_step_as_one_large_batch_does(data: TrainingData, name: str) -> None:
    """Views are drawn by step, so augmentation is the same as well."""
    old, ends, losses = new_encoder(4, seed=7), [], []
    for batch_size, accumulate in ((24, 1), (8, 3), (6, 4)):
        encoder = new_encoder()
        options = replace(
            OPTIONS, batch_size=batch_size, accumulate=accumulate, augmentation=VIEWS, clip_norm=0.5
        )
        records = list(train(encoder, objective(data, old, name), data, options))
        ends.append(torch.cat([p.detach().flatten() for p in encoder.parameters()]))
        losses.append(torch.tensor([record.loss for record in records]))
    for other, loss in zip(ends[1:], losses[1:], strict=True):
        torch.testing.assert_close(other, ends[0], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(loss, losses[0], rtol=1e-5, atol=1e-6)


def test_batch_normalisation_never_sees_a_single_row_that_is_left(data: TrainingData) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 6), nn.BatchNorm1d(6))
    odd = TrainingData(data.inputs[:33], data.labels[:33])
    assert len(list(train(Encoder(network, dim=6), Spy(), odd, OPTIONS))) == 2


def test_a_checkpoint_against_another_old_model_or_twin_is_refused(
    data: TrainingData, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "run.safetensors"
    options = replace(OPTIONS, augmentation=VIEWS, checkpoint=checkpoint)
    teachers: dict[str, Any] = {"old_encoder": new_encoder(4, 1), "twin_encoder": new_encoder(5, 2)}

    def spy() -> Spy:
        return Spy(old=True, twin=True)

    next(train(new_encoder(), spy(), data, options, **teachers))
    kept = shutil.copy(checkpoint, tmp_path / "kept")
    for changed in ({"old_encoder": new_encoder(4, 3)}, {"twin_encoder": new_encoder(5, 3)}):
        others = {**teachers, **changed}
        with pytest.raises(InvalidInputError, match="checkpoint of another run"):
            train(new_encoder(), spy(), data, options, resume=Path(kept), **others)
    again = train(new_encoder(), spy(), data, options, resume=Path(kept), **teachers)
    assert [record.epoch for record in again] == [2]


def test_where_the_data_lie_changes_nothing(data: TrainingData) -> None:
    ends = set()
    for keep in ("auto", "always", "never"):
        encoder = new_encoder()
        list(train(encoder, Spy(), data, replace(OPTIONS, data_on_device=keep)))
        ends.add(fingerprint(encoder))
    assert len(ends) == 1


class RootAtZero(nn.Module):
    """A finite loss with an infinite gradient, in the second step."""

    head: nn.Module = nn.Identity()
    contract: Contract | None = None
    needs_old_features = False

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, batch: CompatBatch) -> LossTerms:
        self.calls += 1
        shrunk = batch.features * (0 if self.calls == 2 else 1)
        return {"root": shrunk.square().sum().sqrt()}


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(
    data: TrainingData, tmp_path: Path
) -> None:
    encoder = new_encoder()
    options = replace(OPTIONS, checkpoint=tmp_path / "run.safetensors")
    with pytest.raises(TrainingDivergedError, match=r"gradient's norm is nan in step 2 .*root 0"):
        list(train(encoder, RootAtZero(), data, options))
    assert all(bool(torch.isfinite(p).all()) for p in encoder.parameters())


@pytest.mark.slow  # the compiler takes half a minute
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own compiler
def test_a_compiled_backbone_trains_to_the_same_numbers(data: TrainingData) -> None:
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("torch.compile needs a compiler of C++")
    ends: list[Tensor] = []
    for compiled in (False, True):
        encoder = new_encoder()
        options = replace(OPTIONS, epochs=1, compile=compiled)
        list(train(encoder, Spy(raw=True), data, options))
        ends.append(torch.cat([p.detach().flatten() for p in encoder.parameters()]))
        embed_array(encoder, data.inputs)  # is no longer compiled
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-6)
