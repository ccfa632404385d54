"""From the encoder in training and its objective to the encoder that is deployed, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import cast

from torch import nn

from registry.domain.canonical import Json
from registry.errors import InvalidInputError

from .encoders import Encoder
from .heads import Headed
from .objectives.catalog import build_head
from .objectives.orthogonal import baked
from .objectives.protocol import Head


def with_head(encoder: Encoder, head: nn.Module, *, objective: str) -> Encoder:
    """Return the encoder that is deployed: the same backbone, and the objective's head behind it.

    The backbone is shared and the head is copied, so an encoder in training can be looked at
    between two steps. With `nn.Identity` as the head, it is the encoder itself.

    Args:
        encoder: the encoder in training.
        head: the objective's head, trained or not.
        objective: the objective's name in the catalog, by which the head is built again.

    Raises:
        InvalidInputError: if the head does not say what it is built with, or the backbone has one.
    """
    if isinstance(head, nn.Identity):
        return encoder
    if isinstance(encoder.backbone, Headed):
        raise InvalidInputError(
            f"the encoder has the head of objective {encoder.backbone.objective!r} already",
            hint="train its bare backbone: encoder.backbone.backbone",
        )
    if not hasattr(head, "dim") or not hasattr(head, "options"):
        raise InvalidInputError(
            f"the head of objective {objective!r} has no 'dim' or no 'options'",
            hint="see compat.objectives.protocol.Head for what a head must say of itself",
        )
    described = cast("Head", head)
    deployed = Encoder(
        Headed(
            encoder.backbone,
            baked(head),
            objective=objective,
            head_options=asdict(described.options),
        ),
        dim=described.dim,
        preprocessing=encoder.preprocessing,
        normalised=encoder.normalised,
        backbone_name=encoder.backbone_name,
        backbone_options=encoder.backbone_options,
    )
    return deployed.train(encoder.training)


def rejoin_head(backbone: nn.Module, description: Mapping[str, Json]) -> Headed:
    """Return the backbone with the head that `Headed.to_json` describes, with fresh weights.

    Raises:
        NotFoundError: if the catalog lacks the objective, or its head an option.
        InvalidInputError: if an option has a wrong value, or the objective deploys no head.
    """
    objective = str(description["objective"])
    options = cast("Mapping[str, Json]", description["options"])
    head = build_head(objective, options)
    return Headed(backbone, head, objective=objective, head_options=options)
