"""The registered versions that a training looks at: the old one, and bt2's twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from compat.backbones.own import is_own
from compat.classifiers import Classifier, read_classifier
from compat.embedding import Inputs, embed_array
from compat.encoders import Encoder
from compat.training_config import TrainingConfig
from registry.domain.versions import ModelVersion
from registry.errors import InvalidInputError
from registry.service import Registry

from .embedding import load_version, refusing_misfits


class SlotsOf(Protocol):
    """Who owns the table of vertices, such as the registry."""

    def __call__(self, labels: Sequence[int], n_slots: int) -> Sequence[int]:
        """Return the vertex in [0, n_slots) of each label; a label that is known keeps its own."""
        ...


@dataclass(frozen=True, slots=True)
class Teacher:
    """A registered version, and what it says of the training data.

    Attributes:
        version: the version.
        encoder: its encoder, frozen.
        features: its vectors of the training inputs, not augmented, in their order.
            Shape: (n, dim).
        classifier: what it was trained with, or None if that was not kept.
    """

    version: ModelVersion
    encoder: Encoder
    features: Tensor
    classifier: Classifier | None


def load_teacher(
    registry: Registry,
    name: str | None,
    config: TrainingConfig,
    inputs: Inputs,
    *,
    factory: str | None,
) -> Teacher | None:
    """Return the version of that name with its vectors of all inputs; None for no name.

    Args:
        registry: holds it.
        name: as ``products@1``.
        config: its model line, its own backbone and its device serve here too.
        inputs: raw training inputs. Shape: (n, ...).
        factory: builds the version's backbone if that is the user's own; by default the one that
            the configuration names.

    Raises:
        NotFoundError: if there is no such version, or it has no artifact.
        InvalidInputError: if it is of another model line, or cannot take such inputs.
    """
    if name is None:
        return None
    version = registry.models.get(name)
    if version.ref.model != config.model.name:
        raise InvalidInputError(
            f"{version.ref} is not of the model line {config.model.name!r}",
            hint="[objective] against and twin name earlier versions of [model] name",
        )
    own = config.model.backbone
    by_default = own if own is not None and is_own(own) else None
    encoder = load_version(registry, version, factory=factory or by_default)
    with refusing_misfits(f"{version.ref} cannot embed", inputs):
        vectors = embed_array(encoder, inputs, device=config.training.device)
    classifier = read_classifier(registry.models.artifact_directory(version))
    return Teacher(version, encoder, torch.from_numpy(vectors), classifier)


def class_slots(
    classes: tuple[int, ...], n_slots: int, slots: SlotsOf | None, old: ModelVersion | None
) -> dict[int, int]:
    """Return the vertex of each class label.

    Args:
        classes: labels, without repetition.
        n_slots: number of vertices.
        slots: who owns the table of vertices; by default each label is its own vertex.
        old: the version to be compatible with; if its record says which vertices its classes own,
            they keep them.

    Raises:
        InvalidInputError: if a label has no vertex, or another one than in the old version.
    """
    if slots is None:
        outside = [label for label in classes if not 0 <= label < n_slots]
        if outside:
            raise InvalidInputError(
                f"class {outside[0]} has no vertex among {n_slots}, numbered from 0",
                hint="a label is its own vertex: give the backbone a larger dim, or number classes "
                "from 0",
            )
    found = list(classes) if slots is None else [int(v) for v in slots(classes, n_slots)]
    table = dict(zip(classes, found, strict=True))
    recorded = {} if old is None else old.training.get("slots")
    for label, vertex in (recorded if isinstance(recorded, dict) else {}).items():
        if table.get(int(label), vertex) != vertex:
            raise InvalidInputError(
                f"class {label} owned vertex {vertex} when {old.ref if old else ''} was trained, "
                f"and owns {table[int(label)]} now",
                hint="a class keeps its vertex in all versions of a simplex",
            )
    return table
