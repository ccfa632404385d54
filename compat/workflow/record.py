"""What a version's training record says: how it came about, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from compat.backbones.own import is_own
from compat.class_ranges import write_ranges
from compat.encoders import digest_tensors
from compat.training import EpochRecord
from compat.training_config import TrainingConfig
from compat.training_options import TrainingData, TrainingOptions
from registry.domain.canonical import Json
from registry.domain.versions import ModelVersion

from .planning import TrainingPlan, labels_of


def training_record(
    plan: TrainingPlan, records: Sequence[EpochRecord], *, n_processes: int
) -> dict[str, Json]:
    """Return how a version was trained; of a resumed run, the settings that it ended with.

    Args:
        plan: what was trained.
        records: of the epochs that were done, at least since the run was resumed.
        n_processes: how many trained together.
    """
    last = records[-1] if records else None
    record: dict[str, Json] = {
        **_parts(plan),
        **_options(plan.config.training),
        **_data(plan.data, plan.config),
        "processes": n_processes,
        "losses": dict(last.losses) if last else {},
        "torch": str(torch.__version__),
    }
    if plan.slots:
        record["supplier"] = plan.config.objective.supplier
        record["slots"] = {str(label): vertex for label, vertex in plan.slots.items()}
    return record


def _parts(plan: TrainingPlan) -> dict[str, Json]:
    model = plan.config.model
    return {
        "objective": plan.config.objective.name,
        "objective_options": _plain(plan.config.objective.options),
        "against": _name(plan.old.version if plan.old else None),
        "twin": _name(plan.twin.version if plan.twin else None),
        "init": _name(plan.start.init),
        "head_only": plan.start.frozen is not None,
        "turned": model.turned,
        "backbone": None if is_own(model.backbone or "") else plan.encoder.backbone_name,
    }


def _options(options: TrainingOptions) -> dict[str, Json]:
    """Return the options; ``batch_size`` is samples a step, ``batch`` those computed at once."""
    augmentation = None if options.augmentation.is_none else _plain(asdict(options.augmentation))
    return {
        "epochs": options.epochs,
        "batch_size": options.step_size,
        "batch": options.batch_size,
        "accumulate": options.accumulate,
        "learning_rate": options.learning_rate,
        "weight_decay": options.weight_decay,
        "optimizer": options.optimizer,
        "warmup_epochs": options.warmup_epochs,
        "cosine": options.cosine,
        "clip_norm": options.clip_norm,
        "amp": options.amp,
        "augmentation": augmentation,
        "seed": options.seed,
    }


def _data(data: TrainingData, config: TrainingConfig) -> dict[str, Json]:
    """Return the data's digest, its sizes and the labels of its classes."""
    return {
        "data": digest_data(data),
        "n_samples": len(data.labels),
        "n_classes": data.n_classes,
        "classes": write_ranges(labels_of(data)),
        "n_rehearsed": data.n_rehearsed,
        "rehearsal_per_class": config.data.rehearsal_per_class,
        "rehearsal_share": data.rehearsal_share,
    }


def digest_data(data: TrainingData) -> str:
    """Return the digest of what is trained on: inputs as they are trained on, and class numbers."""
    tensors = {"inputs": data.inputs, "labels": data.labels}
    return "sha256:" + digest_tensors({n: t.cpu().contiguous() for n, t in tensors.items()})


def _name(version: ModelVersion | None) -> str | None:
    return None if version is None else str(version.ref)


def _plain(options: Mapping[str, Any]) -> dict[str, Json]:
    return {name: value if _is_json(value) else str(value) for name, value in options.items()}


def _is_json(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))
