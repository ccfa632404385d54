"""What a training run is given: data, options, and the digest that tells runs apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from registry.errors import InvalidInputError

from .augmentation import Augmentation
from .devices import DataPlace, DeviceName


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Raw inputs with their classes.

    Attributes:
        inputs: raw inputs, as the encoder's preprocessing expects them. Shape: (n, ...).
        labels: int64 class numbers from 0. Shape: (n,).
        classes: the user's own label of each class number; None if the numbers are the labels.
        old_features: vectors of the inputs by the old encoder, which then need not be computed
            anew; only without augmentation. Shape: (n, old_dim).
        twin_features: the same of the twin. Shape: (n, twin_dim).
        n_rehearsed: how many of the rows are rehearsed ones; they come last.
        rehearsal_share: share of each step's rows that are rehearsed ones, between 0 and 1; an
            epoch is then one pass over the new rows. None gives them their share of all rows.

    Raises:
        InvalidInputError: if they are empty or do not fit to each other, or a share is asked for of
            which there are no rows.
    """

    inputs: Tensor
    labels: Tensor
    classes: tuple[int, ...] | None = None
    old_features: Tensor | None = None
    twin_features: Tensor | None = None
    n_rehearsed: int = 0
    rehearsal_share: float | None = None

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or len(self.inputs) != len(self.labels) or not len(self.labels):
            raise InvalidInputError(
                f"training needs one label for each input, and at least one, but got inputs "
                f"{tuple(self.inputs.shape)} and labels {tuple(self.labels.shape)}"
            )
        for name, features in (("old", self.old_features), ("twin", self.twin_features)):
            if features is not None and len(features) != len(self.labels):
                raise InvalidInputError(
                    f"{len(features)} {name} features came with {len(self.labels)} labels"
                )
        self._check_rehearsal()

    def _check_rehearsal(self) -> None:
        n, share = len(self.labels), self.rehearsal_share
        if not 0 <= self.n_rehearsed <= n:
            raise InvalidInputError(f"{self.n_rehearsed} of {n} rows cannot be rehearsed ones")
        if share is None:
            return
        check_share(share)
        if not 0 < self.n_rehearsed < n:
            raise InvalidInputError(
                f"rehearsal_share needs new and rehearsed rows, but {self.n_rehearsed} of {n} rows "
                "are rehearsed ones",
                hint="give both, or drop rehearsal_share",
            )

    @property
    def n_classes(self) -> int:
        """Number of classes: one more than the largest class number."""
        return int(self.labels.max()) + 1


def check_share(share: float) -> None:
    """Refuse a `rehearsal_share` that is none.

    Raises:
        InvalidInputError: if it is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise InvalidInputError(
            f"rehearsal_share must lie between 0 and 1 but is {share}",
            hint="0.5 takes half of each step from the rehearsed data; None, their share of all",
        )


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train.

    Attributes:
        epochs: passes over the data, at least 1.
        batch_size: samples that are computed at once, at least 1; shared out among processes that
            train together.
        accumulate: how many batches make one step, at least 1. A step of several batches has the
            gradient of one large batch, up to rounding, if the losses are means over samples; batch
            normalisation, and losses that compare a batch's samples with each other, see each batch
            by itself.
        learning_rate: the highest one, above 0.
        weight_decay: as the optimizer takes it, at least 0.
        optimizer: ``sgd`` with Nesterov momentum 0.9, or ``adamw``.
        warmup_epochs: epochs over which the learning rate rises linearly from near 0.
        cosine: whether it then falls to 0 along half a cosine, rather than staying.
        seed: of everything random, at least 0.
        device: where to train.
        data_on_device: whether the data lie there: ``auto`` if half of the free memory holds them.
        compile: whether `torch.compile` translates the backbone first, which takes a while and pays
            in long runs; it needs a compiler of C++ or, on GPUs, Triton.
        amp: ``bf16`` runs the encoder under autocast; the objective stays in float32.
        clip_norm: largest norm of the whole gradient, or None.
        checkpoint: file to keep the state in, or None.
        checkpoint_every: epochs between checkpoints, at least 1; the last is always kept.
        augmentation: random views of images.

    Raises:
        InvalidInputError: if a value is out of its range.
    """

    epochs: int = 30
    batch_size: int = 64
    accumulate: int = 1
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    optimizer: Literal["sgd", "adamw"] = "sgd"
    warmup_epochs: float = 1.0
    cosine: bool = True
    seed: int = 0
    device: DeviceName = "auto"
    data_on_device: DataPlace = "auto"
    compile: bool = False
    amp: Literal["off", "bf16"] = "off"
    clip_norm: float | None = None
    checkpoint: Path | None = None
    checkpoint_every: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        bounds = {
            "epochs": self.epochs >= 1,
            "batch_size": self.batch_size >= 1,
            "accumulate": self.accumulate >= 1,
            "learning_rate": self.learning_rate > 0,
            "weight_decay": self.weight_decay >= 0,
            "warmup_epochs": 0 <= self.warmup_epochs <= self.epochs,
            "seed": self.seed >= 0,
            "clip_norm": self.clip_norm is None or self.clip_norm > 0,
            "checkpoint_every": self.checkpoint_every >= 1,
        }
        for name, is_within in bounds.items():
            if not is_within:
                raise InvalidInputError(f"training option {name} cannot be {getattr(self, name)}")

    @property
    def step_size(self) -> int:
        """Samples a step."""
        return self.batch_size * self.accumulate

    def rate_at(self, step: int, n_steps: int) -> float:
        """Return the learning rate of a step, counted from 0, with so many steps an epoch."""
        warm = self.warmup_epochs * n_steps
        if step < warm:
            return self.learning_rate * (step + 1) / (warm + 1)
        if not self.cosine:
            return self.learning_rate
        progress = (step - warm) / max(self.epochs * n_steps - warm, 1)
        return self.learning_rate * (1 + math.cos(math.pi * progress)) / 2

    def is_checkpoint_due(self, n_done: int) -> bool:
        """Return whether a checkpoint is wanted after so many epochs."""
        return n_done % self.checkpoint_every == 0 or n_done == self.epochs
