"""One step of training: what its batches carry, its gradients, and its losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.errors import InvalidInputError, SamespaceError

from .augmentation import views_through
from .encoders import Encoder
from .epoch_rows import rehearsed_rows
from .objectives.protocol import CompatBatch, LossTerms, Needs, Objective, needs_of
from .run_identity import RunIdentity
from .training_options import TrainingData, TrainingOptions
from .workers import Workers

DIVERGED_HINT: Final = "lower the learning rate, set clip_norm, or look for NaN among the inputs"


class TrainingDivergedError(SamespaceError):
    """A loss, a gradient, a weight or a feature became NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Teachers:
    """Frozen encoders that embed the views of every batch; None where nobody asks for them."""

    old: Encoder | None = None
    twin: Encoder | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """The parts of a run, on their device.

    Attributes:
        modules: ``encoder`` and ``objective``.
        backbone: gives the encoder's features of raw inputs, compiled or not.
        needs: what batches carry.
        teachers: who gives it, where the data do not.
        optimizer: of all parameters that are trained.
        device: where everything is.
        options: how to train.
        workers: the processes that train together.
        identity: tells this run from others.
    """

    modules: nn.ModuleDict
    backbone: Callable[[Tensor], Tensor]
    needs: Needs
    teachers: Teachers
    optimizer: torch.optim.Optimizer
    device: torch.device
    options: TrainingOptions
    workers: Workers
    identity: RunIdentity

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters that are trained."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def autocast(self) -> torch.autocast:
        """Return the context in which encoders run."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.amp == "bf16")


def check_parts(
    objective: Objective, data: TrainingData, options: TrainingOptions, teachers: Teachers
) -> Teachers:
    """Return the teachers that a run needs, after checking that every need is met.

    Raises:
        InvalidInputError: if the objective is no network, a teacher is missing, the data carry
            features of views that augmentation would change, or a step is too small for its share
            of rehearsed rows.
    """
    if not isinstance(objective, nn.Module):
        raise InvalidInputError(
            f"an objective must be an nn.Module but {type(objective).__name__} is none"
        )
    if data.rehearsal_share is not None:
        rehearsed_rows(data.rehearsal_share, options.step_size)
    needs = needs_of(objective)
    old = _teacher("old", teachers.old, data.old_features, is_needed=needs.old_features)
    twin = _teacher("twin", teachers.twin, data.twin_features, is_needed=needs.twin_features)
    has_table = data.old_features is not None or data.twin_features is not None
    if has_table and not options.augmentation.is_none:
        raise InvalidInputError(
            "the data carry old or twin features, which are not those of augmented views",
            hint="train without augmentation, or give the encoders instead of their features",
        )
    return Teachers(old, twin)


def _teacher(
    name: str, encoder: Encoder | None, features: Tensor | None, *, is_needed: bool
) -> Encoder | None:
    if not is_needed or features is not None:
        return None
    if encoder is None:
        whose = "old model's" if name == "old" else "twin's"
        raise InvalidInputError(
            f"the objective needs the {whose} features of every batch",
            hint=f"give it: train(…, {name}_encoder=load_encoder(directory))",
        )
    return encoder


def batch_rows(places: Tensor, n_rows: int, size: int) -> tuple[Tensor, ...]:
    """Return a process's share of a step, cut into as many batches as the whole step has.

    There are fewer of them where one would be a single row, unless the size is 1.

    Args:
        places: the share. Shape: (n_places,).
        n_rows: rows of the step, at least as many.
        size: rows that are computed at once, over all processes.
    """
    n_batches = -(-n_rows // size)
    if size > 1:
        n_batches = max(1, min(n_batches, len(places) // 2))
    return torch.tensor_split(places, n_batches)


def compute_gradients(
    run: Run, data: TrainingData, rows: Tensor, maps: Tensor | None
) -> dict[str, Tensor]:
    """Leave the gradients of a step in the parameters, and return the mean of each loss term.

    Args:
        run: the parts.
        data: on the device, or not.
        rows: the step's rows, the same in every process. Shape: (n,).
        maps: make the views of those rows, the same in every process; None for no augmentation.
            Shape: (n, 2, 3).
    """
    run.optimizer.zero_grad(set_to_none=True)
    share, weight = run.workers.share(len(rows))
    places = torch.arange(len(rows))[share]
    sums: dict[str, Tensor] = {}
    for part in batch_rows(places, len(rows), run.options.batch_size):
        if len(part) == 0:
            continue
        terms = _losses(run, data, rows[part], None if maps is None else maps[part])
        scale = weight * len(part) / len(places)
        (torch.stack(list(terms.values())).sum() * scale).backward()  # type: ignore[no-untyped-call]
        for name, term in terms.items():
            sums[name] = sums.get(name, torch.zeros_like(term)).detach() + term.detach() * scale
    summed = run.workers.add_up(run.parameters(), torch.stack(list(sums.values())))
    return dict(zip(sums, summed, strict=True))


def _losses(run: Run, data: TrainingData, rows: Tensor, maps: Tensor | None) -> LossTerms:
    views = views_of(run, data, rows, maps)
    with run.autocast():
        features = run.backbone(views)
        old = _taught(run.teachers.old, data.old_features, rows, views)
        twin = _taught(run.teachers.twin, data.twin_features, rows, views)
    if run.modules["encoder"].normalised and not run.needs.raw_features:
        features = functional.normalize(features)
    batch = CompatBatch(
        features=features,
        old_features=old if run.needs.old_features else None,
        labels=_rows(data.labels, rows, run.device),
        twin_features=twin if run.needs.twin_features else None,
    )
    terms: LossTerms = run.modules["objective"](batch)
    return terms


def views_of(run: Run, data: TrainingData, rows: Tensor, maps: Tensor | None) -> Tensor:
    """Return what encoders see of rows, on the run's device; maps as for `compute_gradients`."""
    inputs = _rows(data.inputs, rows, run.device)
    return inputs if maps is None else views_through(maps, inputs, run.options.augmentation)


def _taught(
    teacher: Encoder | None, table: Tensor | None, rows: Tensor, views: Tensor
) -> Tensor | None:
    """Return a teacher's vectors: from the table where there is one, else of the views."""
    if table is not None:
        return _rows(table, rows, views.device)
    if teacher is None:
        return None
    with torch.no_grad():
        features: Tensor = teacher(views)
    return features


def _rows(tensor: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    return tensor[rows.to(tensor.device)].to(device, non_blocking=True)


def descend(run: Run, terms: dict[str, Tensor], *, rate: float, where: str) -> dict[str, float]:
    """Take the step, if losses and gradients are finite; return the loss terms as numbers.

    Raises:
        TrainingDivergedError: if they are not; no weight was changed.
    """
    parameters = run.parameters()
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    *values, size = torch.stack([*terms.values(), norm.to(run.device)]).tolist()
    losses = dict(zip(terms, values, strict=True))
    _check_finite(losses, size, where)
    if run.options.clip_norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, run.options.clip_norm, norm)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.optimizer.step()
    return losses


def _check_finite(losses: dict[str, float], norm: float, where: str) -> None:
    total = sum(losses.values())
    if all(abs(value) < float("inf") for value in (total, norm)):
        return
    what = f"loss is {total}" if not abs(total) < float("inf") else f"gradient's norm is {norm}"
    terms = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
    raise TrainingDivergedError(
        f"the {what} in {where}: {terms}",
        hint=DIVERGED_HINT,
    )
