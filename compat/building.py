"""From a configuration to the encoder and the objective that it names, freshly initialised."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from registry.errors import InvalidInputError

from .backbones.catalog import build_backbone
from .backbones.own import build_own, import_factory, is_own
from .encoders import Encoder
from .objectives.catalog import build_objective
from .objectives.protocol import Objective, Setting
from .seeds import derive_seed, seeded
from .training_config import ModelConfig, TrainingConfig
from .training_options import TrainingData

# Places of the first weights in a run's seeds; epochs come as (epoch,) and (epoch, 1).
_ENCODER, _OBJECTIVE = (0, 2), (0, 3)


def encoder_from_config(config: TrainingConfig, *, directory: Path) -> Encoder:
    """Return a new encoder, with first weights that follow from the configuration's seed.

    Args:
        config: what to build.
        directory: folder where a backbone of the user's own is looked for.

    Raises:
        NotFoundError: if the backbone or one of its options is unknown.
        InvalidInputError: if an option is wrong, or the number of dimensions is nowhere stated.
    """
    model = config.model
    with seeded(derive_seed(config.training.seed, *_ENCODER)):
        backbone = own_backbone(model, directory=directory) or build_backbone(
            model.backbone, model.options
        )
    return Encoder(
        backbone,
        dim=_dim(model),
        preprocessing=config.preprocessing,
        normalised=model.normalise,
        backbone_name=None if is_own(model.backbone) else model.backbone,
        backbone_options=model.options,
    )


def own_backbone(model: ModelConfig, *, directory: Path) -> nn.Module | None:
    """Return the user's own backbone that a configuration names, or None if it names none."""
    if not is_own(model.backbone):
        return None
    factory = import_factory(model.backbone, directory=directory)
    return build_own(factory, model.options, model.backbone)


def _dim(model: ModelConfig) -> int:
    stated = model.options.get("dim")
    dim = model.dim if model.dim is not None else stated
    if not isinstance(dim, int):
        raise InvalidInputError(
            f"nothing says how many dimensions {model.backbone!r} gives",
            hint="add dim = … to [model]",
        )
    return dim


def objective_from_config(
    config: TrainingConfig, data: TrainingData, *, dim: int, old_features: Tensor | None
) -> Objective:
    """Return the objective, with first weights that follow from the configuration's seed.

    Args:
        config: what to build.
        data: the training data.
        dim: dimensions of the encoder in training.
        old_features: the old model's vectors of the training inputs, in their order, or None.
            Shape: (n, old_dim).

    Raises:
        NotFoundError: if the objective or one of its options is unknown.
        InvalidInputError: if objective, data and old model do not fit to each other.
    """
    setting = Setting(dim, data.n_classes, data.labels, old_features)
    with seeded(derive_seed(config.training.seed, *_OBJECTIVE)):
        return build_objective(config.objective.name, config.objective.options, setting)
