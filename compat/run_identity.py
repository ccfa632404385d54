"""What tells one training run from another, so that a checkpoint is resumed by its own run only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Final

import torch
from torch import Tensor, nn

from registry.domain.canonical import Json, digest_json

from .encoders import cpu_tensors, digest_tensors, structure_digest
from .training_options import TrainingData, TrainingOptions

# How a run is carried out, rather than what it computes.
_NOT_IN_DIGEST = frozenset(
    {"checkpoint", "checkpoint_every", "compile", "data_on_device", "device"}
)
# May be changed when a run is resumed, to bring one that diverged to its end.
_MAY_CHANGE = frozenset({"learning_rate", "clip_norm"})
_TOLERANCE: Final = 3e-3  # of a tensor's root mean square


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What a run is, before its first step.

    First weights and old features are results of computing, which another number of threads or
    another device rounds otherwise. So they are not digested but sketched, and sketches need only
    be near to each other.

    Attributes:
        digest: of raw data and how they are rehearsed, network, teachers and options, but for
            learning rate and clip_norm: a run that is resumed may change those.
        exact: the same with those too: processes that train together must agree in all of it.
        sketch: root mean square, and one projection on that scale, of each tensor of first weights
            and old features.
    """

    digest: str
    exact: str
    sketch: tuple[float, ...]

    def is_same(self, digest: object, sketch: object) -> bool:
        """Return whether what a checkpoint says of its run describes this one."""
        if digest != self.digest or not isinstance(sketch, list):
            return False
        if len(sketch) != len(self.sketch):
            return False
        scales = [scale for scale in self.sketch[::2] for _ in range(2)]
        return all(
            abs(mine - its) <= _TOLERANCE * scale + 1e-9
            for mine, its, scale in zip(self.sketch, sketch, scales, strict=True)
        )


def identify_run(
    modules: nn.ModuleDict,
    data: TrainingData,
    options: TrainingOptions,
    teachers: Mapping[str, str],
) -> RunIdentity:
    """Return what tells this run from others: data, networks, first weights, teachers and options.

    How a run is carried out, its device, checkpoints and number of processes, does not count; nor
    do the learning rate and clip_norm.

    Args:
        modules: ``encoder`` and ``objective``, before the first step.
        data: the training data.
        options: how to train.
        teachers: fingerprints of the frozen encoders that embed along, by their part.
    """
    raw = {"inputs": data.inputs, "labels": data.labels}
    objective = modules["objective"]
    facts: dict[str, Json] = {
        "options": _settings(options),
        "objective": repr(getattr(objective, "options", None)),
        # of an objective that does not keep them itself
        "catalog_options": repr(getattr(objective, "catalog_options", None)),
        "rehearsal": f"{data.rehearsal_share!r} from {data.n_rehearsed} rows",
        "structure": structure_digest(modules),
        "teachers": dict(teachers),
        "data": digest_tensors({name: t.cpu().contiguous() for name, t in raw.items()}),
    }
    exact = digest_json(facts)
    digest = digest_json({**facts, "options": _settings(options, leaving_out=_MAY_CHANGE)})
    weights = cpu_tensors(modules)
    features = (t for t in (data.old_features, data.twin_features) if t is not None)
    sketch = _sketch((*(weights[n] for n in sorted(weights)), *features))
    return RunIdentity(digest, exact, tuple(sketch))


def _settings(
    options: TrainingOptions, *, leaving_out: frozenset[str] = frozenset()
) -> dict[str, Json]:
    return {
        entry.name: repr(getattr(options, entry.name))
        for entry in fields(options)
        if entry.name not in _NOT_IN_DIGEST | leaving_out
    }


def _sketch(tensors: Iterable[Tensor]) -> Iterable[float]:
    for tensor in tensors:
        values = tensor.detach().cpu().double().flatten()
        n = max(len(values), 1)
        yield float(values.norm()) / math.sqrt(n)
        wave = torch.arange(len(values), dtype=torch.float64).add_(1).cos_()
        yield float(values @ wave) / math.sqrt(n / 2)
