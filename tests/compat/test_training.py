from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from compat.augmentation import Augmentation
from compat.backbones import build_backbone
from compat.encoders import Encoder, fingerprint
from compat.objectives import CompatBatch, LossTerms, Setting, build_objective
from compat.objectives.protocol import Objective
from compat.training import EpochRecord, TrainingDivergedError, _changing_buffers, train
from compat.training_options import TrainingData, TrainingOptions
from registry.domain.contracts import Contract
from registry.errors import AlreadyExistsError, CorruptFileError, InvalidInputError, NotFoundError

N_CLASSES = 4


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
    centres = torch.rand(N_CLASSES, 8, 8, generator=rng)
    images = centres[labels] + 0.2 * torch.rand(48, 8, 8, generator=rng)
    return TrainingData((images * 200).to(torch.uint8), labels)


def new_encoder(*, dropout: float = 0.2) -> Encoder:
    torch.manual_seed(0)
    options = {"dim": 6, "width": 4, "image_size": 8}
    network = nn.Sequential(build_backbone("small_convnet", options), nn.Dropout(dropout))
    return Encoder(network, dim=6)


def new_objective(data: TrainingData, name: str = "oca") -> Objective:
    torch.manual_seed(1)
    old = torch.randn(len(data.labels), 4) if name == "oca" else None
    return build_objective(name, {}, Setting(6, N_CLASSES, data.labels, old))


OPTIONS = TrainingOptions(
    epochs=4,
    batch_size=16,
    learning_rate=0.01,
    device="cpu",
    augmentation=Augmentation(rotation=10, shift=0.1, scale=0.1, shear=0.1),
)


def run(data: TrainingData, options: TrainingOptions, **given: Path) -> tuple[str, list[float]]:
    encoder = new_encoder()
    records = list(train(encoder, new_objective(data), data, options, **given))  # type: ignore[arg-type]
    return fingerprint(encoder), [r.loss for r in records]


def test_records_tell_of_each_epoch(data: TrainingData) -> None:
    encoder = new_encoder(dropout=0)
    options = replace(OPTIONS, epochs=8, learning_rate=0.02)
    records = list(train(encoder, new_objective(data), data, options))
    assert [r.epoch for r in records] == list(range(1, 9))
    assert all(set(r.losses) == {"new", "compatible", "alignment"} for r in records)
    assert records[-1].loss < records[0].loss
    assert records[-1].learning_rate < records[1].learning_rate
    assert all(r.seconds > 0 and r.samples_per_second > 0 for r in records)
    assert isinstance(records[0], EpochRecord)
    assert records[0].n_epochs == 8
    assert not encoder.training


def test_the_same_seed_gives_the_same_numbers(data: TrainingData) -> None:
    first = run(data, OPTIONS)
    torch.rand(7)  # the caller's own draws do not count
    assert run(data, OPTIONS) == first
    assert run(data, replace(OPTIONS, seed=1)) != first


def test_training_leaves_the_global_generator_alone(data: TrainingData) -> None:
    encoder, objective = new_encoder(), new_objective(data)
    before = torch.get_rng_state()
    list(train(encoder, objective, data, replace(OPTIONS, epochs=1)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_resumed_run_gives_the_same_numbers_bit_for_bit(
    data: TrainingData, tmp_path: Path, optimizer: Literal["sgd", "adamw"]
) -> None:
    options = replace(OPTIONS, optimizer=optimizer, clip_norm=1.0)
    whole, losses = run(data, options)
    checkpoint = tmp_path / "run.safetensors"
    kept = replace(options, checkpoint=checkpoint)
    interrupted = train(new_encoder(), new_objective(data), data, kept)
    first = [next(interrupted).loss, next(interrupted).loss]
    del interrupted
    torch.rand(11)
    resumed, rest = run(data, kept, resume=checkpoint)
    assert [*first, *rest] == losses
    assert resumed == whole


def test_a_finished_run_resumes_to_its_end(data: TrainingData, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=2, checkpoint=tmp_path / "run.safetensors")
    done, _ = run(data, options)
    assert run(data, options, resume=tmp_path / "run.safetensors") == (done, [])


def test_the_last_epoch_is_kept_whatever_the_interval(data: TrainingData, tmp_path: Path) -> None:
    options = replace(
        OPTIONS, epochs=3, checkpoint=tmp_path / "run.safetensors", checkpoint_every=2
    )
    done, _ = run(data, options)
    assert run(data, options, resume=tmp_path / "run.safetensors") == (done, [])
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_the_checkpoint_of_another_run_is_refused(data: TrainingData, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.safetensors"
    run(data, replace(OPTIONS, epochs=1, checkpoint=checkpoint))
    other_data = TrainingData(data.inputs.flip(0), data.labels)
    for options, given in [
        (replace(OPTIONS, epochs=1, seed=1), data),
        (replace(OPTIONS, epochs=2), data),
        (replace(OPTIONS, epochs=1), other_data),
    ]:
        with pytest.raises(InvalidInputError, match="checkpoint of another run"):
            run(given, options, resume=checkpoint)
    plain = new_objective(data, "independent")
    with pytest.raises(InvalidInputError, match="checkpoint of another run"):
        train(new_encoder(), plain, data, replace(OPTIONS, epochs=1), resume=checkpoint)


def test_a_missing_or_broken_checkpoint_is_refused(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no checkpoint"):
        run(data, OPTIONS, resume=tmp_path / "none.safetensors")
    broken = tmp_path / "run.safetensors"
    run(data, replace(OPTIONS, epochs=1, checkpoint=broken))
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(CorruptFileError, match="not a training checkpoint") as info:
        run(data, replace(OPTIONS, epochs=1), resume=broken)
    assert info.value.hint == "name another one, or train without --resume"


class Exploding(nn.Module):
    """Becomes NaN in the given call, counted from 1; keeps what it is given."""

    head: nn.Module = nn.Identity()
    contract: Contract | None = None

    def __init__(self, at: int, *, needs_old_features: bool = False) -> None:
        super().__init__()
        self.at, self.calls = at, 0
        self.needs_old_features = needs_old_features
        self.batches: list[CompatBatch] = []

    def forward(self, batch: CompatBatch) -> LossTerms:
        self.calls += 1
        self.batches.append(batch)
        factor = float("nan") if self.calls == self.at else 1.0
        return {"size": batch.features.square().sum() * factor, "none": torch.zeros(())}


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 6)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layer(images.flatten(1) / 255)
        return features


def test_a_nan_loss_stops_with_the_step_and_keeps_the_checkpoint(
    data: TrainingData, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "run.safetensors"
    options = replace(OPTIONS, checkpoint=checkpoint)
    encoder = new_encoder()
    records = train(encoder, Exploding(at=5), data, options)  # 3 steps an epoch
    next(records)
    kept = checkpoint.read_bytes()
    with pytest.raises(TrainingDivergedError, match=r"nan in step 5 \(epoch 2\): size nan") as info:
        next(records)
    assert f"epoch 1 is kept in {checkpoint}" in str(info.value.hint)
    assert checkpoint.read_bytes() == kept
    assert all(bool(torch.isfinite(p).all()) for p in encoder.parameters())
    options = replace(options, checkpoint=tmp_path / "other.safetensors")
    for at, resume, said in (
        (1, None, "no epoch is kept"),
        (1, checkpoint, f"epoch 1 is kept in {checkpoint}"),  # not in the file it would write to
        (4, checkpoint, f"epoch 2 is kept in {options.checkpoint}"),
    ):
        with pytest.raises(TrainingDivergedError) as info:
            list(train(new_encoder(), Exploding(at=at), data, options, resume=resume))
        assert said in str(info.value.hint)
    assert checkpoint.read_bytes() == kept


@pytest.mark.parametrize("first_epoch", [1, 2])
def test_what_the_last_step_of_an_epoch_broke_is_not_kept(
    data: TrainingData, tmp_path: Path, first_epoch: int
) -> None:
    """An epoch is one step, so no later one of it could tell."""
    checkpoint = tmp_path / "run.safetensors"
    options = TrainingOptions(
        epochs=3, batch_size=48, learning_rate=1e38, warmup_epochs=0, device="cpu"
    )

    class Late(Exploding):
        """Leaves the weights alone until an epoch."""

        def forward(self, batch: CompatBatch) -> LossTerms:
            terms = super().forward(batch)
            return {"size": terms["size"] * float(self.calls >= first_epoch)}

    options = replace(options, checkpoint=checkpoint, weight_decay=0.0)
    kept = f"epoch 1 is kept in {checkpoint}" if first_epoch == 2 else "no epoch is kept"
    records = train(Encoder(Flat(), dim=6, normalised=False), Late(at=-1), data, options)
    for _ in range(first_epoch - 1):
        next(records)
    before = checkpoint.read_bytes() if checkpoint.exists() else None
    with pytest.raises(TrainingDivergedError, match=f"after epoch {first_epoch}$") as info:
        next(records)
    assert kept in str(info.value.hint)
    assert (checkpoint.read_bytes() if checkpoint.exists() else None) == before


def test_features_beyond_all_bounds_are_not_kept(data: TrainingData) -> None:
    """The weights are small, the features are not."""

    class Overflowing(Flat):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) / float(self.training)

    encoder = Encoder(Overflowing(), dim=6)
    with pytest.raises(TrainingDivergedError, match=r"largest feature is (inf|nan) after epoch 1"):
        list(train(encoder, Exploding(at=-1), data, replace(OPTIONS, epochs=1)))


def test_a_run_that_diverged_goes_on_with_a_lower_learning_rate(
    data: TrainingData, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "run.safetensors"
    options = replace(OPTIONS, checkpoint=checkpoint)
    with pytest.raises(TrainingDivergedError) as info:
        list(train(new_encoder(), Exploding(at=5), data, options))
    assert "may be resumed with either" in str(info.value.hint)
    for changed in (replace(options, learning_rate=1e-3), replace(options, clip_norm=0.1)):
        kept = replace(changed, checkpoint=tmp_path / "other.safetensors")
        records = list(train(new_encoder(), Exploding(at=-1), data, kept, resume=checkpoint))
        assert [record.epoch for record in records] == [2, 3, 4]
        assert records[0].learning_rate == changed.rate_at(5, 3)


def test_what_processes_pass_on_after_an_epoch_leaves_out_constants() -> None:
    objective = nn.BatchNorm1d(2)
    objective.register_buffer("memory", torch.zeros(9), persistent=False)
    encoder = nn.BatchNorm1d(3)
    encoder.register_buffer("cache", torch.zeros(7), persistent=False)
    modules = nn.ModuleDict({"encoder": encoder, "objective": objective})
    assert sorted(b.numel() for b in _changing_buffers(modules)) == [1, 1, 2, 2, 3, 3, 7]


def test_a_new_run_does_not_replace_the_checkpoint_of_another(
    data: TrainingData, tmp_path: Path
) -> None:
    options = replace(OPTIONS, epochs=1, checkpoint=tmp_path / "run.safetensors")
    run(data, options)
    kept = (tmp_path / "run.safetensors").read_bytes()
    objective = Exploding(at=-1)
    with pytest.raises(AlreadyExistsError, match=r"a checkpoint .* already") as info:
        train(new_encoder(), objective, data, options)
    assert f"--resume {options.checkpoint} goes on with it" in str(info.value.hint)
    assert objective.calls == 0
    assert (tmp_path / "run.safetensors").read_bytes() == kept


@pytest.mark.parametrize("name", [".", "file/below"])
def test_where_no_checkpoint_can_be_written_nothing_is_trained(
    data: TrainingData, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").touch()
    objective = Exploding(at=-1)
    with pytest.raises(InvalidInputError, match="a checkpoint cannot be written"):
        train(new_encoder(), objective, data, replace(OPTIONS, checkpoint=tmp_path / name))
    assert objective.calls == 0


def test_each_epoch_has_its_own_order_and_views(data: TrainingData) -> None:
    objective = Exploding(at=-1)
    list(train(new_encoder(dropout=0), objective, data, replace(OPTIONS, epochs=2)))
    orders = [torch.cat([b.labels for b in objective.batches[i : i + 3]]) for i in (0, 3)]
    assert not torch.equal(orders[0], orders[1])
    whole = replace(OPTIONS, batch_size=48, epochs=1, learning_rate=1e-12)
    same = TrainingData(data.inputs[:1].expand(48, 8, 8), data.labels)
    alike = Exploding(at=-1)
    list(train(new_encoder(dropout=0), alike, same, whole))
    assert alike.batches[0].features.std(dim=0).min() > 0  # one image, many views


def test_old_features_come_from_the_same_views_without_gradients(data: TrainingData) -> None:
    seen: list[Tensor] = []

    class Flat(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return images.flatten(1)[:, :6]

    old = Encoder(nn.Sequential(Flat(), nn.Linear(6, 6)), dim=6)
    objective = Exploding(at=-1, needs_old_features=True)
    network = nn.Sequential(Flat(), nn.Linear(6, 6))
    options = replace(OPTIONS, epochs=1)
    list(train(Encoder(network, dim=6), objective, data, options, old_encoder=old))
    assert torch.equal(seen[0], seen[1])
    first = objective.batches[0].old_features
    assert first is not None
    assert not first.requires_grad
    assert all(p.grad is None for p in old.parameters())


def test_an_objective_that_needs_old_features_needs_an_old_encoder(data: TrainingData) -> None:
    with pytest.raises(InvalidInputError, match="needs the old model's features"):
        train(new_encoder(), Exploding(at=-1, needs_old_features=True), data, OPTIONS)


def test_an_objective_must_be_a_network(data: TrainingData) -> None:
    with pytest.raises(InvalidInputError, match="must be an nn"):
        train(new_encoder(), object(), data, OPTIONS)  # type: ignore[arg-type]


def test_bf16_trains(data: TrainingData) -> None:
    options = replace(OPTIONS, epochs=1, amp="bf16")
    encoder = new_encoder()
    (record,) = train(encoder, new_objective(data), data, options)
    assert record.loss > 0
    assert all(p.dtype == torch.float32 for p in encoder.parameters())


def test_the_learning_rate_rises_then_falls() -> None:
    options = TrainingOptions(epochs=10, learning_rate=1.0, warmup_epochs=2)
    rates = [options.rate_at(step, 5) for step in range(50)]
    assert max(range(50), key=lambda step: rates[step]) == 10
    assert rates[10] == 1.0
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.01
    constant = TrainingOptions(epochs=10, learning_rate=1.0, warmup_epochs=0, cosine=False)
    assert {constant.rate_at(step, 5) for step in range(50)} == {1.0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"warmup_epochs": 31.0},
        {"seed": -1},
        {"clip_norm": 0.0},
        {"checkpoint_every": 0},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        TrainingOptions(**wrong)  # type: ignore[arg-type]


def test_inputs_and_labels_must_fit() -> None:
    with pytest.raises(InvalidInputError, match="one label for each input"):
        TrainingData(torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(InvalidInputError, match="one label for each input"):
        TrainingData(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))


@pytest.mark.parametrize("wrong", [-1, 4])
def test_no_more_rows_are_rehearsed_than_there_are(wrong: int) -> None:
    with pytest.raises(InvalidInputError, match=f"{wrong} of 3 rows cannot be rehearsed"):
        TrainingData(torch.zeros(3, 2), torch.arange(3), n_rehearsed=wrong)


@pytest.mark.parametrize(
    ("n", "share", "message"),
    [
        (1, 0.0, "between 0 and 1 but is 0.0"),
        (1, 1.0, "between 0 and 1 but is 1.0"),
        (0, 0.5, "0 of 3 rows are rehearsed"),
        (3, 0.5, "3 of 3 rows are rehearsed"),
    ],
)
def test_a_share_needs_new_and_rehearsed_rows(n: int, share: float, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TrainingData(torch.zeros(3, 2), torch.arange(3), n_rehearsed=n, rehearsal_share=share)
