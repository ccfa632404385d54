"""The encoder that a training begins with: fresh, from a version, or behind a frozen one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compat.backbones.own import is_own
from compat.building import encoder_from_config
from compat.deployment import stacked, without_head
from compat.encoders import Encoder
from compat.training_config import TrainingConfig
from registry.domain.versions import ModelVersion
from registry.errors import InvalidInputError
from registry.service import Registry

from .embedding import load_version


@dataclass(frozen=True, slots=True)
class Start:
    """What a training begins with.

    Attributes:
        encoder: what is trained.
        init: the version whose weights it begins with or stands behind, or None.
        frozen: gives the features that are trained on, or None where raw inputs are.
    """

    encoder: Encoder
    init: ModelVersion | None = None
    frozen: Encoder | None = None

    def whole(self) -> Encoder:
        """Return the encoder of raw inputs: the trained one, behind the frozen one if any."""
        return self.encoder if self.frozen is None else stacked(self.frozen, self.encoder)


def start_from_config(registry: Registry, config: TrainingConfig, *, directory: Path) -> Start:
    """Return the encoder with its first weights.

    Args:
        registry: holds the version that the configuration begins with, if any.
        config: what to build.
        directory: folder where a backbone of the user's own is looked for.

    Raises:
        NotFoundError: if a name or the version does not exist.
        InvalidInputError: if the version's backbone cannot be built, or no mlp put behind it.
    """
    model = config.model
    if model.init is None:
        return Start(encoder_from_config(config, directory=directory))
    init = registry.models.get(model.init)
    if model.head_only:
        return _head_start(registry, config, init, directory)
    return Start(_warm(registry, config, init), init)


def _warm(registry: Registry, config: TrainingConfig, init: ModelVersion) -> Encoder:
    """Return the version's bare backbone as an encoder that can be trained on."""
    backbone = config.model.backbone
    is_own_version = init.description.architecture.get("backbone") is None
    if backbone is not None and not (is_own_version and is_own(backbone)):
        raise InvalidInputError(
            f"the backbone of {init.ref} comes with its weights",
            hint="drop backbone from [model], or drop init to begin with fresh weights",
        )
    loaded = load_version(registry, init, factory=backbone)
    return without_head(loaded, normalised=config.model.normalise)


def _head_start(
    registry: Registry, config: TrainingConfig, init: ModelVersion, directory: Path
) -> Start:
    if init.description.architecture.get("backbone") is None:
        raise InvalidInputError(
            f"the backbone of {init.ref} is your own, and no network can be put behind it here",
            hint="embed the data with it, save the vectors as inputs, and train an mlp on those",
        )
    frozen = without_head(load_version(registry, init), normalised=False)
    encoder = encoder_from_config(config, directory=directory, in_features=frozen.dim)
    start = Start(encoder, init, frozen)
    start.whole()  # refuses what could not be deployed
    return start
