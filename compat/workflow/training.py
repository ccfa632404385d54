"""Training a new version and registering it with its contract to the old one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compat.backbones.own import is_own
from compat.building import encoder_from_config, objective_from_config
from compat.embedding import embed_array
from compat.encoder_files import save_encoder
from compat.encoders import Encoder
from compat.objectives.protocol import Objective
from compat.training import EpochRecord, train
from compat.training_config import TrainingConfig, read_training_data
from compat.training_options import TrainingData
from registry.domain.canonical import Json
from registry.domain.versions import ModelVersion
from registry.errors import InvalidInputError
from registry.service import Parent, Registration, Registry

from .embedding import load_version, refusing_misfits

N_CANARIES = 8


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A training that is ready to run: everything was read, built and checked.

    Attributes:
        config: the configuration.
        data: the training data.
        encoder: the encoder with its first weights.
        objective: the objective.
        old: the version it shall be compatible with, or None.
        old_encoder: that version's encoder, or None.
    """

    config: TrainingConfig
    data: TrainingData
    encoder: Encoder
    objective: Objective
    old: ModelVersion | None
    old_encoder: Encoder | None


def plan_training(
    registry: Registry, config: TrainingConfig, *, directory: Path, old_factory: str | None = None
) -> TrainingPlan:
    """Read the data, load the old model, and build encoder and objective.

    Args:
        registry: an open registry.
        config: what to train.
        directory: folder where a backbone of the user's own is looked for.
        old_factory: builds the old version's backbone, if that is the user's own; by default the
            one that the configuration names.

    Raises:
        NotFoundError: if a file, a name or the old version does not exist.
        InvalidInputError: if objective, data and old model do not fit to each other.
    """
    data = read_training_data(config.data.train)
    encoder = encoder_from_config(config, directory=directory)
    with refusing_misfits(f"backbone {config.model.backbone!r} cannot take", data.inputs):
        embed_array(encoder, data.inputs[:1])
    old = old_encoder = features = None
    if config.objective.against is not None:
        old = registry.models.get(config.objective.against)
        if old.ref.model != config.model.name:
            raise InvalidInputError(
                f"{old.ref} is not of the model line {config.model.name!r}",
                hint="[objective] against names an earlier version of [model] name",
            )
        needs_factory = old.description.architecture.get("backbone") is None
        own = config.model.backbone if is_own(config.model.backbone) else None
        factory = (old_factory or own) if needs_factory else None
        old_encoder = load_version(registry, old, factory=factory)
        with refusing_misfits(f"{old.ref} cannot embed", data.inputs):
            features = torch.from_numpy(embed_array(old_encoder, data.inputs))
    objective = objective_from_config(config, data, dim=encoder.dim, old_features=features)
    return TrainingPlan(config, data, encoder, objective, old, old_encoder)


def train_version(
    registry: Registry,
    plan: TrainingPlan,
    *,
    resume: Path | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> Registration:
    """Train as planned, then register the new version.

    Args:
        registry: an open registry.
        plan: what `plan_training` made.
        resume: a checkpoint of the same run to go on from.
        on_epoch: called with each epoch's record.

    Raises:
        TrainingDivergedError: if the loss becomes NaN or infinite; nothing is registered.
    """
    records: list[EpochRecord] = []
    for record in train(
        plan.encoder,
        plan.objective,
        plan.data,
        plan.config.training,
        old_encoder=plan.old_encoder,
        resume=resume,
    ):
        records.append(record)
        if on_epoch is not None:
            on_epoch(record)
    with tempfile.TemporaryDirectory(prefix="samespace-") as folder:
        directory = Path(folder) / "artifact"
        save_encoder(plan.encoder.cpu(), directory, canaries=_canaries(plan.data))
        return registry.register(
            plan.config.model.name,
            directory,
            parents=_parents(plan),
            training=_training_record(plan, records),
        )


def _canaries(data: TrainingData) -> Tensor:
    rows = np.linspace(0, len(data.inputs) - 1, num=min(N_CANARIES, len(data.inputs)), dtype=int)
    return data.inputs[torch.from_numpy(rows)]


def _parents(plan: TrainingPlan) -> tuple[Parent, ...]:
    if plan.old is None:
        return ()
    relation = f"trained against: {plan.config.objective.name}"
    return (Parent(plan.old.ref, relation, plan.objective.contract),)


def _training_record(plan: TrainingPlan, records: list[EpochRecord]) -> dict[str, Json]:
    options = plan.config.training
    last = records[-1] if records else None
    return {
        "objective": plan.config.objective.name,
        "objective_options": _plain(plan.config.objective.options),
        "against": str(plan.old.ref) if plan.old else None,
        "backbone": None if is_own(plan.config.model.backbone) else plan.config.model.backbone,
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "weight_decay": options.weight_decay,
        "optimizer": options.optimizer,
        "seed": options.seed,
        "n_samples": len(plan.data.labels),
        "n_classes": plan.data.n_classes,
        "losses": dict(last.losses) if last else {},
        "torch": str(torch.__version__),
    }


def _plain(options: Mapping[str, Any]) -> dict[str, Json]:
    return {name: value if _is_json(value) else str(value) for name, value in options.items()}


def _is_json(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))
