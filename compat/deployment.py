"""From the encoder in training and its objective to the encoder that is deployed, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import cast

from torch import nn

from registry.domain.canonical import Json
from registry.errors import InvalidInputError

from .backbones.stacked import Stacked
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


def without_head(encoder: Encoder, *, normalised: bool | None = None) -> Encoder:
    """Return the encoder of the bare backbone, which is shared; its own head is left out.

    Args:
        encoder: what was deployed.
        normalised: whether vectors get unit norm; None leaves it as it is.
    """
    backbone, dim = encoder.backbone, encoder.dim
    if isinstance(backbone, Headed):
        dim = backbone.in_dim
        backbone = backbone.backbone
    return Encoder(
        backbone,
        dim=dim,
        preprocessing=encoder.preprocessing,
        normalised=encoder.normalised if normalised is None else normalised,
        backbone_name=encoder.backbone_name,
        backbone_options=encoder.backbone_options,
    )


def stacked(frozen: Encoder, encoder: Encoder) -> Encoder:
    """Return the encoder of raw inputs whose last network was trained on features of a frozen one.

    Args:
        frozen: gave the features, and takes the inputs.
        encoder: was trained on them.

    Raises:
        InvalidInputError: if a backbone is not in the catalog, by which both are built again.
    """
    names = (frozen.backbone_name, encoder.backbone_name)
    if None in names:
        raise InvalidInputError(
            "a network of your own cannot be put in front of, or behind, another one",
            hint="embed the data with it, save the vectors as inputs, and train an mlp on those",
        )
    options: dict[str, Json] = {
        "first": names[0],
        "first_options": frozen.backbone_options,
        "second": names[1],
        "second_options": encoder.backbone_options,
    }
    return Encoder(
        Stacked(frozen.backbone, encoder.backbone),
        dim=encoder.dim,
        preprocessing=frozen.preprocessing,
        normalised=encoder.normalised,
        backbone_name="stacked",
        backbone_options=options,
    ).train(encoder.training)


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
