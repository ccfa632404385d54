"""Planning a training: everything is read, built and checked before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from compat.building import objective_from_config
from compat.deployment import with_head
from compat.embedding import embed_array
from compat.encoders import Encoder
from compat.objectives.catalog import uses_slots
from compat.objectives.protocol import Objective, Setting, needs_of
from compat.seeds import derive_seed
from compat.training_config import TrainingConfig
from compat.training_data import read_training_data
from compat.training_options import TrainingData
from compat.turning import turned_into
from registry.errors import InvalidInputError
from registry.service import Registry

from .embedding import refusing_misfits
from .modality import check_modality
from .slots import n_slots_of, plan_slots
from .starting import Start, start_from_config
from .teaching import Teacher, load_teacher

N_CANARIES = 8
_REHEARSAL = (0, 4)  # place of the draw in the run's seeds


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A training that is ready to run.

    Attributes:
        config: the configuration.
        data: what is trained on: raw inputs, or a frozen backbone's features of them.
        start: the encoder with its first weights.
        objective: the objective.
        old: the version it shall be compatible with, or None.
        twin: the version that was trained freely on the same data, or None.
        canaries: raw inputs that are kept with the version. Shape: (n_canaries, ...).
        slots: vertex of each class label, for objectives with a simplex; otherwise empty.
    """

    config: TrainingConfig
    data: TrainingData
    start: Start
    objective: Objective
    old: Teacher | None
    twin: Teacher | None
    canaries: Tensor
    slots: Mapping[int, int]

    @property
    def encoder(self) -> Encoder:
        """The encoder in training."""
        return self.start.encoder

    @property
    def old_encoder(self) -> Encoder | None:
        """The old version's encoder, or None."""
        return None if self.old is None else self.old.encoder

    def deployed(self) -> Encoder:
        """Return the encoder as it is registered: of raw inputs, with the objective's head."""
        name = self.config.objective.name
        return with_head(self.start.whole(), self.objective.head, objective=name)


def plan_training(
    registry: Registry,
    config: TrainingConfig,
    *,
    directory: Path,
    old_factory: str | None = None,
) -> TrainingPlan:
    """Read the data, load the old model and the twin, and build encoder and objective.

    Args:
        registry: an open registry.
        config: what to train.
        directory: folder where a backbone of the user's own is looked for.
        old_factory: builds the old version's backbone, if that is the user's own; by default the
            one that the configuration names.

    Raises:
        NotFoundError: if a file, a name or a version does not exist.
        InvalidInputError: if objective, data and versions do not fit to each other.
    """
    raw = _read(config)
    start = start_from_config(registry, config, directory=directory)
    check_modality(registry, start.init, raw.inputs)
    data = _trained_on(raw, start, config)
    named = config.objective
    old = load_teacher(registry, named.against, config, raw.inputs, factory=old_factory)
    twin = load_teacher(registry, named.twin, config, raw.inputs, factory=None)
    if config.model.turned:
        start = _turned(start, old, raw.inputs, config)
    table: dict[int, int] = {}
    if uses_slots(named.name):
        n_slots = n_slots_of(config, start.encoder.dim)
        version = old.version if old else None
        table = plan_slots(registry, config, labels_of(data), n_slots, version)
    setting = _setting(data, start.encoder.dim, table, old, twin)
    objective = objective_from_config(config, setting)
    _check_twin(objective, config)
    if config.training.augmentation.is_none:
        needs = needs_of(objective)
        data = replace(
            data,
            old_features=setting.old_features if needs.old_features else None,
            twin_features=setting.twin_features if needs.twin_features else None,
        )
    return TrainingPlan(config, data, start, objective, old, twin, _canaries(raw), table)


def _read(config: TrainingConfig) -> TrainingData:
    return read_training_data(
        config.data.train,
        rehearsal=config.data.rehearsal,
        per_class=config.data.rehearsal_per_class,
        rng=np.random.default_rng(derive_seed(config.training.seed, *_REHEARSAL)),
        share=config.data.rehearsal_share,
    )


def _trained_on(raw: TrainingData, start: Start, config: TrainingConfig) -> TrainingData:
    """Return the data that the encoder in training takes, after letting it take a row."""
    data, frozen = raw, start.frozen
    if frozen is not None and start.init is not None:
        with refusing_misfits(f"{start.init.ref} cannot embed", raw.inputs):
            features = embed_array(frozen, raw.inputs, device=config.training.device)
        data = replace(raw, inputs=torch.from_numpy(features))
    name = start.encoder.backbone_name or config.model.backbone
    with refusing_misfits(f"backbone {name!r} cannot take", data.inputs):
        embed_array(start.encoder, data.inputs[:1])
    return data


def _turned(start: Start, old: Teacher | None, inputs: Tensor, config: TrainingConfig) -> Start:
    if old is None:
        raise InvalidInputError(
            "[model] turned needs a version to turn to",
            hint='name it in [objective]: against = "products@1"',
        )
    vectors = old.features.numpy()
    encoder = turned_into(start.encoder, inputs, vectors, device=config.training.device)
    return replace(start, encoder=encoder)


def labels_of(data: TrainingData) -> tuple[int, ...]:
    """Return the user's own label of each class number."""
    return data.classes or tuple(range(data.n_classes))


def _setting(
    data: TrainingData,
    dim: int,
    slots: Mapping[int, int],
    old: Teacher | None,
    twin: Teacher | None,
) -> Setting:
    labels = labels_of(data)
    kept = None if old is None else old.classifier
    return Setting(
        dim=dim,
        n_classes=data.n_classes,
        labels=data.labels,
        old_features=None if old is None else old.features,
        twin_features=None if twin is None else twin.features,
        old_classifier=None if kept is None else kept.weights,
        old_biases=None if kept is None else kept.biases,
        old_classes=None if kept is None else kept.rows_of(labels),
        slots=torch.tensor([slots[label] for label in labels]) if slots else None,
    )


def _check_twin(objective: Objective, config: TrainingConfig) -> None:
    if config.objective.twin is not None and not needs_of(objective).twin_features:
        raise InvalidInputError(
            f"objective {config.objective.name!r} has no use for a twin",
            hint="drop twin from [objective]; 'bt2' is the one that needs it",
        )


def _canaries(data: TrainingData) -> Tensor:
    rows = np.linspace(0, len(data.inputs) - 1, num=min(N_CANARIES, len(data.inputs)), dtype=int)
    return data.inputs[torch.from_numpy(rows)]
