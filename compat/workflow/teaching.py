"""The registered versions that a training looks at: the old one, and bt2's twin."""

from __future__ import annotations

from dataclasses import dataclass

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
from .modality import check_modality


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
        InvalidInputError: if it is of another model line, takes inputs of another kind, or cannot
            take these.
    """
    if name is None:
        return None
    version = registry.models.get(name)
    if version.ref.model != config.model.name:
        raise InvalidInputError(
            f"{version.ref} is not of the model line {config.model.name!r}",
            hint="[objective] against and twin name earlier versions of [model] name",
        )
    check_modality(registry, version, inputs)
    own = config.model.backbone
    by_default = own if own is not None and is_own(own) else None
    encoder = load_version(registry, version, factory=factory or by_default)
    with refusing_misfits(f"{version.ref} cannot embed", inputs):
        vectors = embed_array(encoder, inputs, device=config.training.device)
    classifier = read_classifier(registry.models.artifact_directory(version))
    return Teacher(version, encoder, torch.from_numpy(vectors), classifier)
