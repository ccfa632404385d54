"""From a configuration to the encoder and the objective that it names, freshly initialised."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from registry.errors import InvalidInputError

from .backbones.catalog import build_backbone
from .backbones.own import build_own, import_factory, is_own
from .encoders import Encoder
from .objectives.catalog import build_objective
from .objectives.protocol import Objective, Setting
from .seeds import derive_seed, seeded
from .training_config import ModelConfig, TrainingConfig

# Places of the first weights in a run's seeds; epochs come as (epoch,) and (epoch, 1).
_ENCODER, _OBJECTIVE = (0, 2), (0, 3)


def encoder_from_config(
    config: TrainingConfig, *, directory: Path, in_features: int | None = None
) -> Encoder:
    """Return a new encoder, with first weights that follow from the configuration's seed.

    Args:
        config: what to build.
        directory: folder where a backbone of the user's own is looked for.
        in_features: length of the vectors that an ``mlp`` is to take, where the configuration does
            not say it: those of a frozen backbone.

    Raises:
        NotFoundError: if the backbone or one of its options is unknown.
        InvalidInputError: if an option is wrong, or the number of dimensions is nowhere stated.
    """
    model = config.model
    name = model.backbone or "mlp"
    is_told = in_features is not None and name == "mlp"
    options = {"in_features": in_features, **model.options} if is_told else model.options
    with seeded(derive_seed(config.training.seed, *_ENCODER)):
        backbone = own_backbone(model, directory=directory) or build_backbone(name, options)
    rebuild = getattr(backbone, "rebuild_options", None)  # such as a hub's answer, written out
    return Encoder(
        backbone,
        dim=_dim(model),
        preprocessing=config.preprocessing,
        normalised=model.normalise is not False,
        backbone_name=None if is_own(name) else name,
        backbone_options=options if rebuild is None else rebuild,
    )


def own_backbone(model: ModelConfig, *, directory: Path) -> nn.Module | None:
    """Return the user's own backbone that a configuration names, or None if it names none."""
    if model.backbone is None or not is_own(model.backbone):
        return None
    factory = import_factory(model.backbone, directory=directory)
    return build_own(factory, model.options, model.backbone)


def _dim(model: ModelConfig) -> int:
    stated = model.options.get("dim")
    dim = model.dim if model.dim is not None else stated
    if not isinstance(dim, int):
        raise InvalidInputError(
            f"nothing says how many dimensions {model.backbone or 'mlp'!r} gives",
            hint="add dim = … to [model]",
        )
    return dim


def objective_from_config(config: TrainingConfig, setting: Setting) -> Objective:
    """Return the objective, with first weights that follow from the configuration's seed.

    Args:
        config: what to build.
        setting: what it is built for.

    Raises:
        NotFoundError: if the objective or one of its options is unknown.
        InvalidInputError: if the objective does not fit to the setting.
    """
    with seeded(derive_seed(config.training.seed, *_OBJECTIVE)):
        return build_objective(config.objective.name, config.objective.options, setting)
