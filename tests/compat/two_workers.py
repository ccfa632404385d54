"""What each process of the test of data parallelism runs; the first argument is where to write."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from compat.augmentation import Augmentation
from compat.devices import DeviceName
from compat.encoders import Encoder, cpu_tensors
from compat.objectives import CompatBatch, LossTerms, Setting, build_objective
from compat.training import train
from compat.training_options import TrainingData, TrainingOptions
from compat.workers import joined
from registry.domain.contracts import Contract

N_CLASSES = 4


class Flat(nn.Module):
    """No batch normalisation: it would see shares of different size."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(36, 16), nn.Tanh(), nn.Linear(16, dim), nn.Dropout(0)
        )
        self.unused = nn.Linear(2, 2)  # has no gradient in any process, and must keep none

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.layers(images)
        return features


class Counted(Flat):
    """Knows how many rows it was given."""

    n_rows = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.n_rows += len(images)
        return super().forward(images)


class Imitate(nn.Module):
    """Follows the old model."""

    head: nn.Module = nn.Identity()
    contract: Contract | None = None
    needs_old_features = True

    def forward(self, batch: CompatBatch) -> LossTerms:
        assert batch.old_features is not None
        return {"near": (batch.features[:, :4] - batch.old_features).square().sum(dim=1).mean()}


def some_images() -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(43) % N_CLASSES  # 43 = 2 steps of 16, one of 11
    return torch.rand(N_CLASSES, 6, 6)[labels] + 0.2 * torch.rand(43, 6, 6), labels


def run(checkpoint: Path, seed: int, device: DeviceName) -> dict[str, torch.Tensor]:
    """Train for a moment; return weights and losses."""
    torch.manual_seed(0)
    images, labels = some_images()
    old = Encoder(Flat(4), dim=4).eval()
    with torch.no_grad():
        setting = Setting(6, N_CLASSES, labels, old(images))
    torch.manual_seed(seed)  # first weights that differ are those of the first process
    encoder = Encoder(Flat(6), dim=6)
    torch.manual_seed(0)
    objective = build_objective("oca", {}, setting)
    options = TrainingOptions(
        epochs=3,
        batch_size=16,
        learning_rate=0.05,
        device=device,
        clip_norm=1.0,
        augmentation=Augmentation(shift=0.1, flip=True),
        checkpoint=checkpoint,
    )
    data = TrainingData(images, labels)
    records = list(train(encoder, objective, data, options))
    assert isinstance(objective, nn.Module)
    losses = torch.tensor([r.loss for r in records], dtype=torch.float64)
    return {**cpu_tensors(encoder), **cpu_tensors(objective), "losses": losses}


def run_kept(device: DeviceName) -> dict[str, torch.Tensor]:
    """The same of kept views and a share of rehearsed rows, with the old model's count of rows."""
    torch.manual_seed(0)
    images, labels = some_images()
    network, encoder = Counted(4), Encoder(Flat(6), dim=6)
    options = TrainingOptions(
        epochs=4,
        batch_size=4,
        accumulate=4,
        learning_rate=0.05,
        device=device,
        augmentation=Augmentation(shift=0.1, flip=True, views=2),
    )
    data = TrainingData(images, labels, n_rehearsed=9, rehearsal_share=0.25)
    records = train(encoder, Imitate(), data, options, old_encoder=Encoder(network, dim=4))
    losses = torch.tensor([r.loss for r in records], dtype=torch.float64)
    found = {**cpu_tensors(encoder), "losses": losses, "n_embedded": torch.tensor(network.n_rows)}
    return {f"kept.{name}": tensor for name, tensor in found.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    device: DeviceName = "cuda" if sys.argv[3:] == ["cuda"] else "cpu"
    with joined(device) as workers:
        folder = Path(sys.argv[2])
        checkpoint = folder / "run.safetensors" if workers.is_first else folder / "none.safetensors"
        found = run(checkpoint, workers.rank, device)
        save_file({**found, **run_kept(device)}, sys.argv[1])
