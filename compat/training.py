"""The training loop: one for every objective, to be read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from registry.errors import InvalidInputError

from .augmentation import random_maps
from .checkpoints import check_checkpoint_path, read_checkpoint, write_checkpoint
from .devices import choose_device, place
from .divergence import check_epoch
from .encoders import Encoder, fingerprint
from .epoch_rows import epoch_rows
from .kept_views import KeptViews
from .objectives.protocol import Objective, needs_of
from .run_identity import identify_run
from .seeds import derive_seed, seeded
from .single_samples import check_single_samples
from .training_options import TrainingData, TrainingOptions
from .training_step import (
    Run,
    Teachers,
    TrainingDivergedError,
    check_parts,
    compute_gradients,
    descend,
)
from .workers import Workers, current_workers

__all__ = ["EpochRecord", "TrainingDivergedError", "train"]


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one epoch came to.

    Attributes:
        epoch: its number, from 1.
        n_epochs: how many the run has.
        losses: mean of each weighted loss term over the samples of the epoch's steps.
        learning_rate: at the epoch's last step.
        seconds: wall time of the epoch, with what the teachers needed to embed a new view.
        samples_per_second: samples of the epoch's steps by wall time.
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


def train(  # noqa: PLR0913 -- a run has this many parts
    encoder: Encoder,
    objective: Objective,
    data: TrainingData,
    options: TrainingOptions,
    *,
    old_encoder: Encoder | None = None,
    twin_encoder: Encoder | None = None,
    resume: Path | None = None,
) -> Iterator[EpochRecord]:
    """Train the encoder in place, and yield a record after each epoch.

    Every random number follows from `options.seed` and the epoch's number, so a run that is resumed
    from a checkpoint goes on with the same numbers as one that was never interrupted. Between
    epochs, and after the last one, the encoder is in evaluation mode.

    Processes that train together (`compat.workers.joined`) call it alike. They share out each step,
    have the same weights throughout, and yield the same records; the first one writes checkpoints.

    Args:
        encoder: trained in place, and left on the device that the options name.
        objective: an `nn.Module`; its parameters are trained too.
        data: raw inputs and class numbers.
        options: how to train.
        old_encoder: embeds the same augmented views, without gradients; needed if the objective
            asks for old features, and the data carry none.
        twin_encoder: the same for the twin, an independently trained new model.
        resume: a checkpoint of the same run to go on from; only the learning rate and clip_norm
            may be others now.

    Raises:
        InvalidInputError: if objective, data and teachers do not fit to each other, batches of one
            sample meet batch normalisation, or the checkpoint is another run's.
        AlreadyExistsError: if a checkpoint of another run would be replaced; see `resume`.
        TrainingDivergedError: if a loss, a gradient or what an epoch left is NaN or infinite, from
            the iterator; the last checkpoint stays.
    """
    if options.checkpoint is not None:
        check_checkpoint_path(options.checkpoint, is_resumed=resume is not None)
    given = Teachers(old_encoder, twin_encoder)
    teachers = check_parts(objective, data, options, given)
    device, workers = choose_device(options.device), current_workers()
    assert isinstance(objective, nn.Module)  # noqa: S101 (check_parts)
    modules = nn.ModuleDict({"encoder": encoder, "objective": objective}).to(device)
    check_single_samples(encoder, objective, data, options, device=device)
    workers.spread(modules.state_dict().values())
    identity = identify_run(modules, data, options, _fingerprints(given))
    _check_same_run(workers, identity.exact)
    optimizer = _optimizer(modules, options)
    done = 0 if resume is None else read_checkpoint(resume, modules, optimizer, run=identity)
    run = Run(
        modules=modules,
        backbone=torch.compile(encoder.features) if options.compile else encoder.features,
        needs=needs_of(objective),
        teachers=Teachers(_frozen(teachers.old, device), _frozen(teachers.twin, device)),
        optimizer=optimizer,
        device=device,
        options=options,
        workers=workers,
        identity=identity,
    )
    return _epochs(run, _placed(data, run), _Kept(done, resume))


@dataclass(frozen=True, slots=True)
class _Kept:
    """Which epoch is kept, from 1, and in which file; 0 for none."""

    epoch: int
    path: Path | None


def _epochs(run: Run, data: TrainingData, kept: _Kept) -> Iterator[EpochRecord]:
    options, rank = run.options, run.workers.rank
    views = KeptViews(run, data)
    for epoch in range(kept.epoch, options.epochs):
        started = time.perf_counter()
        seen, maps = views.of_epoch(epoch)
        place_in_run = (epoch,) if run.workers.is_first else (epoch, 2, rank)
        try:
            with seeded(derive_seed(options.seed, *place_in_run)):  # for dropout and the like
                losses, rate, n_samples = _one_epoch(run, seen, maps, epoch)
            check_epoch(run, data, epoch + 1)
        except TrainingDivergedError as error:
            raise _saying_what_is_kept(error, kept) from None
        seconds = time.perf_counter() - started
        if options.checkpoint is not None and options.is_checkpoint_due(epoch + 1):
            _write(run, options.checkpoint, epoch + 1)
            kept = _Kept(epoch + 1, options.checkpoint)
        speed = n_samples / max(seconds, 1e-9)
        yield EpochRecord(epoch + 1, options.epochs, losses, rate, seconds, speed)


def _saying_what_is_kept(error: TrainingDivergedError, kept: _Kept) -> TrainingDivergedError:
    found = "no epoch is kept"
    if kept.epoch:
        found = f"epoch {kept.epoch} is kept in {kept.path}, and may be resumed with either"
    return TrainingDivergedError(str(error), hint=f"{error.hint}; {found}")


def _one_epoch(
    run: Run, data: TrainingData, kept_maps: Tensor | None, epoch: int
) -> tuple[dict[str, float], float, int]:
    """Take one pass; return each loss term's mean, the last learning rate, and the samples seen."""
    run.modules.train()
    rng = torch.Generator().manual_seed(derive_seed(run.options.seed, epoch, 1))
    steps = epoch_rows(
        len(data.labels),
        run.options.step_size,
        rng,
        n_rehearsed=data.n_rehearsed,
        share=data.rehearsal_share,
    )
    n = sum(len(rows) for rows in steps)
    sums: dict[str, float] = {}
    rate = 0.0
    for number, rows in enumerate(steps):
        step = epoch * len(steps) + number
        rate = run.options.rate_at(step, len(steps))
        terms = compute_gradients(run, data, rows, _step_maps(run, rows, kept_maps, rng))
        where = f"step {step + 1} (epoch {epoch + 1})"
        for name, value in descend(run, terms, rate=rate, where=where).items():
            sums[name] = sums.get(name, 0.0) + value * len(rows)
    run.modules.eval()
    run.workers.spread(_changing_buffers(run.modules))  # each took them of its own share
    return {name: total / n for name, total in sums.items()}, rate, n


def _changing_buffers(modules: nn.ModuleDict) -> list[Tensor]:
    """Return the encoder's buffers and the objective's persistent ones.

    The others are an objective's constants, such as a memory of all old features.
    """
    persistent = modules.state_dict().keys()
    named = modules.named_buffers()
    return [b for name, b in named if name.startswith("encoder.") or name in persistent]


def _step_maps(
    run: Run, rows: Tensor, kept_maps: Tensor | None, rng: torch.Generator
) -> Tensor | None:
    if kept_maps is not None:
        return kept_maps[rows]
    return random_maps(len(rows), run.options.augmentation, rng)


def _write(run: Run, checkpoint: Path, epoch: int) -> None:
    """Let the first process write, and the others wait, so that none ends the run before."""
    if run.workers.is_first:
        write_checkpoint(checkpoint, run.modules, run.optimizer, epoch=epoch, run=run.identity)
    run.workers.tell("written")


def _check_same_run(workers: Workers, digest: str) -> None:
    if workers.tell(digest) != digest:
        raise InvalidInputError(
            f"process {workers.rank} was given another run than process 0",
            hint="give all of them the same data, networks and options",
        )


def _fingerprints(teachers: Teachers) -> dict[str, str]:
    named = {"old": teachers.old, "twin": teachers.twin}
    return {name: fingerprint(encoder) for name, encoder in named.items() if encoder is not None}


def _frozen(teacher: Encoder | None, device: torch.device) -> Encoder | None:
    return None if teacher is None else teacher.eval().to(device)


def _placed(data: TrainingData, run: Run) -> TrainingData:
    """Move the data to the device, those parts that are used and fit."""

    def moved(tensor: Tensor | None) -> Tensor | None:
        keep = run.options.data_on_device
        return None if tensor is None else place(tensor, run.device, keep)

    return replace(
        data,
        inputs=place(data.inputs, run.device, run.options.data_on_device),
        labels=data.labels.to(run.device),
        old_features=moved(data.old_features) if run.needs.old_features else None,
        twin_features=moved(data.twin_features) if run.needs.twin_features else None,
    )


def _optimizer(modules: nn.ModuleDict, options: TrainingOptions) -> torch.optim.Optimizer:
    parameters = [p for p in modules.parameters() if p.requires_grad]
    rate, decay = options.learning_rate, options.weight_decay
    if options.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9, nesterov=True, weight_decay=decay)
