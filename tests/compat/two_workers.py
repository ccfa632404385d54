"""What each process of the test of data parallelism runs; the first argument is where to write."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from compat.augmentation import Augmentation
from compat.encoders import Encoder, cpu_tensors
from compat.objectives import Setting, build_objective
from compat.training import train
from compat.training_options import TrainingData, TrainingOptions
from compat.workers import joined

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


def run(
    checkpoint: Path | None, resume: Path | None, seed: int, device: str = "cpu"
) -> list[float]:
    """Train for a moment and write the weights; return the losses."""
    torch.manual_seed(0)
    labels = torch.arange(43) % N_CLASSES  # 43 = 2 steps of 16, one of 11
    images = torch.rand(N_CLASSES, 6, 6)[labels] + 0.2 * torch.rand(43, 6, 6)
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
        device="cpu" if device == "cpu" else "cuda",
        clip_norm=1.0,
        augmentation=Augmentation(shift=0.1, flip=True),
        checkpoint=checkpoint,
    )
    data = TrainingData(images, labels)
    records = list(train(encoder, objective, data, options, resume=resume))
    assert isinstance(objective, nn.Module)
    return _keep(encoder, objective, [r.loss for r in records])


def _keep(encoder: Encoder, objective: nn.Module, losses: list[float]) -> list[float]:
    tensors = {**cpu_tensors(encoder), **cpu_tensors(objective)}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    save_file(tensors, sys.argv[1])
    return losses


if __name__ == "__main__":
    torch.set_num_threads(1)
    device = sys.argv[3] if len(sys.argv) > 3 else "cpu"
    with joined("cpu" if device == "cpu" else "cuda") as workers:
        folder = Path(sys.argv[2])
        checkpoint = folder / "run.safetensors" if workers.is_first else folder / "none.safetensors"
        run(checkpoint, None, seed=workers.rank, device=device)
