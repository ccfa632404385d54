"""The training loop: one for every objective, to be read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from registry.errors import InvalidInputError, SamespaceError

from .augmentation import random_views
from .checkpoints import read_checkpoint, write_checkpoint
from .devices import choose_device, place
from .encoders import Encoder
from .objectives.protocol import CompatBatch, LossTerms, Objective
from .seeds import derive_seed, seeded
from .training_options import TrainingData, TrainingOptions, digest_run


class TrainingDivergedError(SamespaceError):
    """A loss became NaN or infinite."""


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one epoch came to.

    Attributes:
        epoch: its number, from 1.
        n_epochs: how many the run has.
        losses: mean of each weighted loss term over the epoch's samples.
        learning_rate: at the epoch's last step.
        seconds: wall time of the epoch.
        samples_per_second: training samples by wall time.
    """

    epoch: int
    n_epochs: int
    losses: Mapping[str, float]
    learning_rate: float
    seconds: float
    samples_per_second: float

    @property
    def loss(self) -> float:
        """Mean loss: the sum of its terms."""
        return sum(self.losses.values())


@dataclass(frozen=True, slots=True)
class _Run:
    """The parts of a run, on their device."""

    modules: nn.ModuleDict  # encoder and objective
    old_encoder: Encoder | None
    optimizer: torch.optim.Optimizer
    device: torch.device
    options: TrainingOptions
    digest: str


def train(
    encoder: Encoder,
    objective: Objective,
    data: TrainingData,
    options: TrainingOptions,
    *,
    old_encoder: Encoder | None = None,
    resume: Path | None = None,
) -> Iterator[EpochRecord]:
    """Train the encoder in place, and yield a record after each epoch.

    Every random number follows from `options.seed` and the epoch's number, so a run that is resumed
    from a checkpoint goes on with the same numbers as one that was never interrupted. Between
    epochs, and after the last one, the encoder is in evaluation mode.

    Args:
        encoder: trained in place, and left on the device that the options name.
        objective: an `nn.Module`; its parameters are trained too.
        data: raw inputs and class numbers.
        options: how to train.
        old_encoder: embeds the same augmented views, without gradients; needed if the objective
            asks for old features.
        resume: a checkpoint of the same run to go on from.

    Raises:
        InvalidInputError: if objective, data and old encoder do not fit to each other, or the
            checkpoint is another run's.
        TrainingDivergedError: if the loss is NaN or infinite, from the iterator; the last
            checkpoint stays.
    """
    modules = _modules(encoder, objective, old_encoder)
    digest = digest_run(modules, data, options)
    device = choose_device(options.device)
    modules.to(device)
    optimizer = _optimizer(modules, options)
    done = 0 if resume is None else read_checkpoint(resume, modules, optimizer, run=digest)
    old = old_encoder.eval().to(device) if old_encoder and objective.needs_old_features else None
    run = _Run(modules, old, optimizer, device, options, digest)
    placed = TrainingData(place(data.inputs, device), place(data.labels, device))
    return _epochs(run, placed, done)


def _epochs(run: _Run, data: TrainingData, done: int) -> Iterator[EpochRecord]:
    options = run.options
    for epoch in range(done, options.epochs):
        started = time.perf_counter()
        run.modules.train()
        with seeded(derive_seed(options.seed, epoch)):  # for dropout and the like
            losses, rate = _one_epoch(run, data, epoch)
        run.modules.eval()
        seconds = time.perf_counter() - started
        if options.checkpoint is not None and options.is_checkpoint_due(epoch + 1):
            write_checkpoint(
                options.checkpoint, run.modules, run.optimizer, epoch=epoch + 1, run=run.digest
            )
        speed = len(data.labels) / max(seconds, 1e-9)
        yield EpochRecord(epoch + 1, options.epochs, losses, rate, seconds, speed)


def _one_epoch(run: _Run, data: TrainingData, epoch: int) -> tuple[dict[str, float], float]:
    """Take one pass over the data; return the mean of each loss term and the last learning rate."""
    options, n = run.options, len(data.labels)
    encoder, objective = run.modules["encoder"], run.modules["objective"]
    rng = torch.Generator().manual_seed(derive_seed(options.seed, epoch, 1))
    batches = torch.split(torch.randperm(n, generator=rng), options.batch_size)
    sums: dict[str, float] = {}
    rate = 0.0
    for number, rows in enumerate(batches):
        views = random_views(_rows(data.inputs, rows, run.device), options.augmentation, rng)
        with torch.autocast(run.device.type, torch.bfloat16, enabled=options.amp == "bf16"):
            features = encoder(views)
        old_features = None if run.old_encoder is None else _frozen(run.old_encoder, views)
        labels = _rows(data.labels, rows, run.device)
        terms: LossTerms = objective(CompatBatch(features, old_features, labels))

        step = epoch * len(batches) + number
        loss = _total(terms, step, epoch)
        rate = options.rate_at(step, len(batches))
        _descend(run.optimizer, loss, rate, options.clip_norm)
        for name, term in terms.items():
            sums[name] = sums.get(name, 0.0) + float(term.detach()) * len(rows)
    return {name: total / n for name, total in sums.items()}, rate


def _modules(encoder: Encoder, objective: Objective, old_encoder: Encoder | None) -> nn.ModuleDict:
    if not isinstance(objective, nn.Module):
        raise InvalidInputError(
            f"an objective must be an nn.Module but {type(objective).__name__} is none"
        )
    if objective.needs_old_features and old_encoder is None:
        raise InvalidInputError(
            "the objective needs the old model's features of every batch",
            hint="give it: train(…, old_encoder=load_encoder(directory))",
        )
    return nn.ModuleDict({"encoder": encoder, "objective": objective})


def _optimizer(modules: nn.ModuleDict, options: TrainingOptions) -> torch.optim.Optimizer:
    parameters = [p for p in modules.parameters() if p.requires_grad]
    rate, decay = options.learning_rate, options.weight_decay
    if options.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9, nesterov=True, weight_decay=decay)


def _rows(tensor: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    return tensor[rows.to(tensor.device)].to(device)


def _frozen(encoder: Encoder, views: Tensor) -> Tensor:
    with torch.no_grad():
        features: Tensor = encoder(views)
    return features


def _total(terms: LossTerms, step: int, epoch: int) -> Tensor:
    loss = torch.stack(list(terms.values())).sum()
    if not bool(torch.isfinite(loss)):
        values = ", ".join(f"{name} {float(term.detach()):.4g}" for name, term in terms.items())
        raise TrainingDivergedError(
            f"the loss is {float(loss.detach())} in step {step + 1} (epoch {epoch + 1}): {values}",
            hint="lower the learning rate, set clip_norm, or look for NaN among the inputs",
        )
    return loss


def _descend(
    optimizer: torch.optim.Optimizer, loss: Tensor, rate: float, clip_norm: float | None
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip_norm is not None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, clip_norm)
    optimizer.step()
