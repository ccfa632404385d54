"""CIFAR-100 and the test images of CIFAR-10, as `shared/data` holds them: montages in WebP."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from compat.training_options import TrainingData

N_OLD = 50  # classes of the old model: the first by number, as in BT2's split


@dataclass(frozen=True)
class Images:
    """Images with labels.

    Attributes:
        pixels: uint8. Shape: (n, 3, 32, 32).
        labels: Shape: (n,).
        n_rehearsed: how many of them, the last ones, are rehearsed from earlier tasks.
    """

    pixels: Tensor
    labels: Tensor
    n_rehearsed: int = 0

    def first_classes(self, n: int) -> Images:
        """Return the images of the classes below n."""
        kept = self.labels < n
        return Images(self.pixels[kept], self.labels[kept])

    def per_class(self, n: int, seed: int) -> Images:
        """Return n images of each class, drawn at random; all if n is 0."""
        if n == 0:
            return self
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(seed))
        rows = [order[self.labels[order] == c][:n] for c in range(int(self.labels.max()) + 1)]
        kept = torch.cat(rows).sort().values
        return Images(self.pixels[kept], self.labels[kept])

    def as_training_data(self) -> TrainingData:
        """Return them for the training loop; half of each step is rehearsed, as in IAM-CL2R."""
        share = 0.5 if self.n_rehearsed else None
        return TrainingData(
            self.pixels, self.labels, n_rehearsed=self.n_rehearsed, rehearsal_share=share
        )


def read(folder: Path) -> tuple[Images, Images, Images]:
    """Return training and test images of CIFAR-100, and the test images of CIFAR-10."""
    names = [f"cifar100_train_{a:02d}_{a + 19:02d}.npz" for a in range(0, 100, 20)]
    training = [_read(folder / name) for name in names]
    joined = Images(
        torch.cat([part.pixels for part in training]), torch.cat([part.labels for part in training])
    )
    return joined, _read(folder / "cifar100_test.npz"), _read(folder / "cifar10_test.npz")


def _read(path: Path) -> Images:
    with np.load(path) as file:
        members = [(int(name[1:4]), _tiles(file[name])) for name in sorted(file.files)]
    pixels = np.concatenate([tiles for _, tiles in members]).transpose(0, 3, 1, 2)
    labels = np.repeat([label for label, _ in members], [len(tiles) for _, tiles in members])
    return Images(torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(labels))


def _tiles(montage: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = np.asarray(Image.open(io.BytesIO(montage.tobytes())))
    rows = image.reshape(image.shape[0] // 32, 32, -1, 32, 3).swapaxes(1, 2)
    return rows.reshape(-1, 32, 32, 3)
