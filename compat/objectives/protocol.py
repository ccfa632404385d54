"""What a training objective is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from registry.domain.contracts import Contract
from registry.errors import InvalidInputError

# Named scalar tensors, already weighted; their sum is the loss.
LossTerms: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class CompatBatch:
    """One batch, as an objective sees it.

    All features are of the same augmented views: whoever caches old or twin features caches them
    view by view, or trains without augmentation. All are float32, also under autocast.

    Attributes:
        features: what the encoder in training gives, with gradients: vectors as they will be
            stored or, if the objective says `needs_raw_features`, the backbone's own output before
            any normalisation. Shape: (batch, dim).
        old_features: what the old encoder gives for the same augmented views, without gradients;
            None if the objective does not ask for them. Shape: (batch, old_dim).
        labels: class numbers from 0. Shape: (batch,).
        twin_features: what the twin, an independently trained new model, gives for the same
            augmented views, without gradients; None if the objective does not ask for them.
            Shape: (batch, twin_dim).
    """

    features: Tensor
    old_features: Tensor | None
    labels: Tensor
    twin_features: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """What an objective is built for.

    Attributes:
        dim: dimensions of the encoder in training, before a head.
        n_classes: number of classes of the training data.
        labels: class numbers of the training data. Shape: (n,).
        old_features: the old model's vectors of the training data, not augmented, in the same
            order; None if there is no old model. Shape: (n, old_dim).
        twin_features: the same of the twin, an independently trained new model; None if there is
            none. Shape: (n, twin_dim).
        old_classifier: weights of the classifier that the old model was trained with, as they met
            its vectors, with any scale multiplied in; None if it is not kept. Shape:
            (n_old_classes, old_dim).
        old_biases: biases of that classifier; None for none. Shape: (n_old_classes,).
        old_classes: row of `old_classifier` that stands for each class of the training data, or -1
            for a class that the old model did not know; None if classes kept their numbers and new
            ones came behind. Shape: (n_classes,).
        slots: vertex of the shared simplex that each class owns; None if class i owns vertex i.
            Shape: (n_classes,).

    Raises:
        InvalidInputError: if they do not fit to each other.
    """

    dim: int
    n_classes: int
    labels: Tensor
    old_features: Tensor | None = None
    twin_features: Tensor | None = None
    old_classifier: Tensor | None = None
    old_biases: Tensor | None = None
    old_classes: Tensor | None = None
    slots: Tensor | None = None

    def __post_init__(self) -> None:
        _check_rows("old", self.old_features, len(self.labels))
        _check_rows("twin", self.twin_features, len(self.labels))
        _check_classifier(self)
        for name, table in (("old_classes", self.old_classes), ("slots", self.slots)):
            if table is not None and table.shape != (self.n_classes,):
                raise InvalidInputError(
                    f"{name} must hold one number for each of {self.n_classes} classes but has "
                    f"shape {tuple(table.shape)}"
                )


def _check_rows(whose: str, features: Tensor | None, n_labels: int) -> None:
    if features is not None and (features.ndim != 2 or len(features) != n_labels):
        raise InvalidInputError(
            f"{whose} features of shape {tuple(features.shape)} came with "
            f"{n_labels} labels; one row a label was expected"
        )


def _check_classifier(setting: Setting) -> None:
    weights, biases, old = setting.old_classifier, setting.old_biases, setting.old_features
    if weights is None:
        if biases is not None or setting.old_classes is not None:
            raise InvalidInputError("old_biases and old_classes belong to an old_classifier")
        return
    if weights.ndim != 2 or (old is not None and weights.shape[1] != old.shape[1]):
        features = "any" if old is None else tuple(old.shape)
        raise InvalidInputError(
            f"an old classifier of shape {tuple(weights.shape)} does not fit to old features "
            f"of shape {features}; (n_old_classes, old_dim) was expected"
        )
    if biases is not None and biases.shape != weights.shape[:1]:
        raise InvalidInputError(
            f"an old classifier of {len(weights)} classes came with biases of shape "
            f"{tuple(biases.shape)}"
        )


class Objective(Protocol):
    """A training objective: an `nn.Module` that turns a batch into named losses.

    Its parameters are trained beside the encoder's. `train` refuses one that is no `nn.Module`.
    Beside the attributes below it may set two more flags, which are False where they are missing;
    `needs_of` reads them all:

    - ``needs_twin_features``: whether batches must carry the features of the twin.
    - ``needs_raw_features``: whether batches must carry the backbone's features before any
      normalisation, even of an encoder that normalises. `Encoder.features` gives them.

    It may have a method ``classifier_on_vectors(*, normalised)``; see `classifier_of`. It may keep
    the dataclass that it was built from as ``options``: a checkpoint is resumed only with options
    that print alike. `build_objective` sees to that for every objective of the catalog; one that is
    given to `train` by itself must keep them.

    Attributes:
        head: what is deployed behind the backbone and saved with it; `nn.Identity` if nothing is.
            Any other is a `Head`. The objective applies it itself: the encoder in training has
            none, and `compat.deployment.with_head` puts it behind the backbone for use.
        needs_old_features: whether batches must carry the old model's features.
        contract: how the new model's queries meet the old model's vectors, or None if it makes
            nothing compatible.
    """

    head: nn.Module
    needs_old_features: bool
    contract: Contract | None

    def forward(self, batch: CompatBatch) -> LossTerms:
        """Return the weighted loss terms of a batch."""
        ...


@dataclass(frozen=True, slots=True)
class Needs:
    """What batches must carry for an objective.

    Attributes:
        old_features: features of the old model.
        twin_features: features of the independently trained twin.
        raw_features: the backbone's features before any normalisation.
    """

    old_features: bool
    twin_features: bool
    raw_features: bool


def needs_of(objective: Objective) -> Needs:
    """Return what batches must carry for an objective; a flag that it lacks is False."""
    return Needs(
        old_features=bool(objective.needs_old_features),
        twin_features=bool(getattr(objective, "needs_twin_features", False)),
        raw_features=bool(getattr(objective, "needs_raw_features", False)),
    )


def classifier_of(objective: Objective, *, normalised: bool) -> tuple[Tensor, Tensor] | None:
    """Return the trained classifier of all classes, as it meets the vectors that are deployed.

    It is kept with a version, because a later one can be trained by its say (BCT).

    Args:
        objective: trained.
        normalised: whether deployed vectors get unit norm.

    Returns:
        Weights and biases, any scale multiplied in, without gradients; None if the objective has no
        classifier, or none that is an affine function of the vectors. Shapes: (n_classes, dim) and
        (n_classes,).
    """
    ask = getattr(objective, "classifier_on_vectors", None)
    with torch.no_grad():
        found: tuple[Tensor, Tensor] | None = None if ask is None else ask(normalised=normalised)
    return None if found is None else (found[0].detach(), found[1].detach())


class Head(Protocol):
    """What an objective deploys behind the backbone: an `nn.Module` with these attributes too.

    The objective's module in the catalog holds the dataclass of its options as `HeadOptions`, and
    ``build_head(options) -> nn.Module`` builds one again for the weights to be loaded into.

    Attributes:
        dim: dimensions of the vectors that it gives.
        options: a frozen dataclass of plain values: all it takes to build the head again.
    """

    dim: int
    options: Any


class ObjectiveModule(Protocol):
    """A module of the catalog: a dataclass of options, and how to build the objective."""

    Options: type[Any]

    def build(self, options: Any, setting: Setting) -> Objective:
        """Return the objective, with fresh weights from torch's global generator."""
        ...
