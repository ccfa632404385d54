"""Views that are drawn once: what steps see of them, and what teachers have to compute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from compat.augmentation import Augmentation, views_through
from compat.embedding import embed_array
from compat.encoders import Encoder, fingerprint
from compat.kept_views import maps_of_view
from compat.objectives import CompatBatch, LossTerms, Setting, build_objective
from compat.training import EpochRecord, train
from compat.training_options import TrainingData, TrainingOptions
from registry.domain.contracts import Contract
from registry.errors import InvalidInputError

N, SIDE = 21, 6
VIEWS = Augmentation(shift=0.2, rotation=10, flip=True, views=2)
OPTIONS = TrainingOptions(
    epochs=5, batch_size=4, accumulate=2, learning_rate=0.02, device="cpu", augmentation=VIEWS
)
STEPS = 6  # batches an epoch: 8 rows a step, in two batches, and 5 are left


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def data() -> TrainingData:
    """Each row is its own class, so that batches tell which rows they are of."""
    rng = torch.Generator().manual_seed(3)
    images = torch.randint(256, (N, SIDE, SIDE), generator=rng, dtype=torch.uint8)
    return TrainingData(images, torch.arange(N))


class Counting(nn.Module):
    """Knows how many rows it was given; its batch normalisation tells whether it is in training."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        layers = (nn.Flatten(), nn.Linear(SIDE**2, dim), nn.BatchNorm1d(dim), nn.Dropout(0.5))
        self.layers = nn.Sequential(*layers)
        self.n_rows = 0

    def forward(self, images: Tensor) -> Tensor:
        self.n_rows += len(images)
        features: Tensor = self.layers(images / 255)
        return features


def counting(dim: int, seed: int) -> tuple[Encoder, Counting]:
    torch.manual_seed(seed)
    network = Counting(dim)
    return Encoder(network, dim=dim), network


class Spy(nn.Module):
    """Imitates the old model, if it asks for it; keeps its batches."""

    head: nn.Module = nn.Identity()
    contract: Contract | None = None

    def __init__(self, *, old: bool = True, twin: bool = False) -> None:
        super().__init__()
        self.needs_old_features, self.needs_twin_features = old, twin
        self.batches: list[CompatBatch] = []

    def forward(self, batch: CompatBatch) -> LossTerms:
        self.batches.append(batch)
        target = torch.ones(1, 3) if batch.old_features is None else batch.old_features
        return {"near": (batch.features[:, :3] - target).square().sum(dim=1).mean()}


def new_encoder() -> Encoder:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 5), nn.Tanh(), nn.Dropout(0.2))
    return Encoder(network, dim=5, normalised=False)


def by_row(batches: list[CompatBatch], what: str) -> Tensor:
    """One epoch's features, in the order of the data."""
    rows = torch.cat([batch.labels for batch in batches])
    assert sorted(rows.tolist()) == list(range(N))
    return torch.cat([getattr(batch, what) for batch in batches])[rows.argsort()].detach()


def test_steps_see_each_teachers_vectors_of_the_epochs_own_view(data: TrainingData) -> None:
    spy, (old, _), (twin, _) = Spy(twin=True), counting(3, 1), counting(4, 2)
    old.train()  # it is frozen all the same
    list(train(new_encoder(), spy, data, OPTIONS, old_encoder=old, twin_encoder=twin))
    assert len(spy.batches) == 5 * STEPS
    for epoch in range(5):
        maps = maps_of_view(epoch % 2, N, VIEWS, OPTIONS.seed)
        assert maps is not None
        views = views_through(maps, data.inputs, VIEWS)
        batches = spy.batches[epoch * STEPS : (epoch + 1) * STEPS]
        for teacher, what in ((old, "old_features"), (twin, "twin_features")):
            expected = torch.from_numpy(embed_array(teacher, views))
            torch.testing.assert_close(by_row(batches, what), expected)


def test_the_encoder_in_training_sees_the_same_views(data: TrainingData) -> None:
    """The old model is the network in training, which does not move."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 5))
    encoder, old = (Encoder(network, dim=5, normalised=False) for _ in range(2))

    class Still(Spy):
        def forward(self, batch: CompatBatch) -> LossTerms:
            self.batches.append(batch)
            return {"none": 0 * batch.features.sum()}

    spy = Still()
    options = replace(OPTIONS, weight_decay=0.0)
    list(train(encoder, spy, data, options, old_encoder=old))
    for batch in spy.batches:
        assert batch.old_features is not None
        assert not batch.old_features.requires_grad
        torch.testing.assert_close(batch.features.detach(), batch.old_features)
    epochs = [by_row(spy.batches[e * STEPS : (e + 1) * STEPS], "features") for e in range(5)]
    torch.testing.assert_close(epochs[0], epochs[2])
    torch.testing.assert_close(epochs[1], epochs[3])
    assert (epochs[0] - epochs[1]).abs().amax(dim=1).min() > 1  # each image has another view


@pytest.mark.parametrize(("views", "passes"), [(1, 1), (2, 2), (9, 5), (None, 5)])
def test_a_teacher_embeds_each_view_once(
    data: TrainingData, views: int | None, passes: int
) -> None:
    (old, old_network), (twin, twin_network) = counting(3, 1), counting(4, 2)
    options = replace(OPTIONS, augmentation=replace(VIEWS, views=views))
    list(train(new_encoder(), Spy(), data, options, old_encoder=old, twin_encoder=twin))
    assert old_network.n_rows == passes * N
    assert twin_network.n_rows == 0  # the objective has no need of it


def trained(
    data: TrainingData, options: TrainingOptions, resume: Path | None = None
) -> tuple[str, list[EpochRecord]]:
    encoder, (old, _) = new_encoder(), counting(3, 1)
    records = list(train(encoder, Spy(), data, options, old_encoder=old, resume=resume))
    return fingerprint(encoder), records


@pytest.mark.parametrize("n_done", [1, 2, 3])
def test_a_resumed_run_gives_the_same_numbers_bit_for_bit(
    data: TrainingData, tmp_path: Path, n_done: int
) -> None:
    whole, records = trained(data, OPTIONS)
    kept = replace(OPTIONS, checkpoint=tmp_path / "run.safetensors")
    interrupted = train(new_encoder(), Spy(), data, kept, old_encoder=counting(3, 1)[0])
    for _ in range(n_done):
        next(interrupted)
    del interrupted
    resumed, rest = trained(data, kept, resume=kept.checkpoint)
    assert resumed == whole
    assert [r.losses for r in rest] == [r.losses for r in records[n_done:]]


def test_a_checkpoint_with_other_views_is_refused(data: TrainingData, tmp_path: Path) -> None:
    kept = replace(OPTIONS, checkpoint=tmp_path / "run.safetensors")
    trained(data, kept)
    for views in (None, 1, 3):
        other = replace(kept, augmentation=replace(VIEWS, views=views))
        with pytest.raises(InvalidInputError, match="checkpoint of another run"):
            trained(data, other, resume=kept.checkpoint)


def test_without_a_teacher_only_the_views_are_kept(data: TrainingData) -> None:
    few = TrainingData(data.inputs, data.labels % 3)
    ends = []
    for views in (2, 2, None):
        torch.manual_seed(1)
        objective = build_objective("oca", {}, Setting(5, 3, few.labels, torch.randn(N, 4)))
        encoder = new_encoder()
        options = replace(OPTIONS, augmentation=replace(VIEWS, views=views))
        losses = [record.loss for record in train(encoder, objective, few, options)]
        ends.append((fingerprint(encoder), losses))
    assert ends[0] == ends[1] != ends[2]
    # the first view is another draw than an epoch's own, so that even the first epoch differs
    assert ends[0][1][0] != ends[2][1][0]


def test_maps_follow_from_seed_and_number() -> None:
    draws: dict[Any, Tensor | None] = {
        (seed, view): maps_of_view(view, 50, VIEWS, seed) for seed in (0, 1) for view in (0, 1)
    }
    again = maps_of_view(1, 50, VIEWS, 1)
    assert again is not None
    assert [torch.equal(again, m) for m in draws.values() if m is not None] == [0, 0, 0, 1]


def test_where_the_data_lie_changes_nothing(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU they lie in one place either way, so a copy elsewhere stands for the device's."""
    asked: list[str] = []

    def elsewhere(tensor: Tensor, _device: torch.device, keep: str) -> Tensor:
        asked.append(keep)
        return tensor.clone() if keep == "always" else tensor

    monkeypatch.setattr("compat.training.place", elsewhere)
    monkeypatch.setattr("compat.kept_views.place", elsewhere)
    ends = {}
    for keep in ("always", "never"):
        asked.clear()
        ends[keep] = trained(data, replace(OPTIONS, data_on_device=keep))[0]
        assert asked == [keep] * 3  # the inputs, and the old model's features of two views
    assert ends["always"] == ends["never"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("keep", ["always", "never"])
def test_data_on_a_gpu_or_beside_it_train_alike(
    data: TrainingData, keep: Literal["always", "never"]
) -> None:
    options = replace(OPTIONS, device="cuda")
    losses = [r.losses["near"] for r in trained(data, replace(options, data_on_device=keep))[1]]
    expected = [r.losses["near"] for r in trained(data, options)[1]]
    assert losses == pytest.approx(expected, rel=1e-4)


def test_under_autocast_teachers_round_as_a_step_does(data: TrainingData) -> None:
    spy, (old, _) = Spy(), counting(3, 1)
    list(train(new_encoder(), spy, data, replace(OPTIONS, amp="bf16", epochs=1), old_encoder=old))
    maps = maps_of_view(0, N, VIEWS, OPTIONS.seed)
    assert maps is not None
    views = views_through(maps, data.inputs, VIEWS)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rounded = torch.cat([old(batch) for batch in torch.split(views, OPTIONS.batch_size)])
    found = by_row(spy.batches, "old_features")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, rounded, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(found, old(views).detach(), rtol=1e-6, atol=1e-6)
