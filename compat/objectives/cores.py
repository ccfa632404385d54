"""CoReS: compatible by stationarity, with a simplex as a classifier that never changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.domain.contracts import Contract, ContractKind
from registry.errors import DimensionMismatchError, InvalidInputError

from .protocol import CompatBatch, LossTerms, Setting
from .requirements import check_label_smoothing, check_positive
from .simplex import best_probability, scale_for, simplex_vertices

Unseen = Literal["keep", "mask"]


@dataclass(frozen=True, slots=True)
class SimplexOptions:
    """How features meet the vertices of the simplex.

    Attributes:
        n_slots: number K of classes there can ever be, over all versions; the dimension is K - 1.
            None takes it from the dimension.
        unseen: ``keep`` leaves the vertices of classes that are not in the training data in the
            softmax, so that features keep away from them, as in [1]; ``mask`` leaves them out.
        normalised: whether features are normalised before they meet the vertices. In [1] they are
            not, and their length, which nothing bounds, is the logits' scale.
        scale: factor on the logits, above 0; None is 1 for features as they are and 16 for
            normalised ones. A scale is refused with which normalised features cannot reach a
            probability of 1/2 for their class.
        label_smoothing: in [0, 1); 0 in [1].
    """

    n_slots: int | None = None
    unseen: Unseen = "keep"
    normalised: bool = False
    scale: float | None = None
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.n_slots is not None and self.n_slots < 2:
            raise InvalidInputError(f"n_slots must be at least 2 but got {self.n_slots}")
        check_positive({} if self.scale is None else {"scale": self.scale})
        check_label_smoothing(self.label_smoothing)


USES_SLOTS: Final = True  # each class owns a vertex; see `compat.objectives.catalog.uses_slots`

# The options of the objective 'cores' are those of its classifier.
Options = SimplexOptions


class SimplexClassifier(nn.Module):
    """Cross-entropy against the fixed vertices of a simplex.

    With v_k the vertices, s the scale and z the feature, normalised or not:

        loss = CE([s · z · v_k]_k, slot(y))

    Attributes:
        slots: vertex of each class of the training data, constant. Shape: (n_classes,).
        vertices: those in the softmax, constant and not kept in checkpoints, since they follow from
            K and the slots. Shape: (n_slots, dim), or (n_classes, dim) without the unseen.

    Raises:
        InvalidInputError: if the scale is too small for normalised features to be told apart.
    """

    def __init__(self, options: SimplexOptions, *, n_slots: int, slots: Tensor) -> None:
        super().__init__()
        self.options = options
        self.scale = _checked_scale(options, n_slots)
        vertices = simplex_vertices(n_slots).to(torch.get_default_dtype()).to(slots.device)
        if options.unseen == "mask":
            vertices = vertices[slots]
        self.slots: Tensor
        self.vertices: Tensor
        self.register_buffer("slots", slots.detach().clone())
        self.register_buffer("vertices", vertices, persistent=False)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of features with class numbers. Shape: (n, dim), (n,) to ()."""
        compared = functional.normalize(features) if self.options.normalised else features
        logits = self.scale * functional.linear(compared, self.vertices)
        targets = self.slots[labels] if self.options.unseen == "keep" else labels
        return functional.cross_entropy(
            logits, targets, label_smoothing=self.options.label_smoothing
        )


class CoReS(nn.Module):
    """Classification by a simplex with a vertex for every class that there will ever be.

    Nothing of an old model enters. A version is compatible with every other, older or newer, that
    was trained with the same slots: the features of a class gather around the same vertex, in all
    dimensions. The price is that the slots are decided in advance, and d = K - 1.

    Attributes:
        classifier: the fixed simplex; it has no parameters.

    References:
        [1] Biondi et al., "CoReS: compatible representations via stationarity", TPAMI 2023, and the
            authors' released code (cores-compatibility at d43845b), read for facts: unnormalised
            features, all vertices in the softmax. None of it is copied.
    """

    needs_old_features = False
    needs_raw_features = True

    def __init__(self, options: Options, *, n_slots: int, slots: Tensor) -> None:
        super().__init__()
        self.options = options
        self.contract: Contract | None = Contract(ContractKind.SAME_SPACE, n_slots - 1)
        self.head: nn.Module = nn.Identity()
        self.classifier = SimplexClassifier(options, n_slots=n_slots, slots=slots)

    def forward(self, batch: CompatBatch) -> LossTerms:
        """Return the cross-entropy as the term ``classification``."""
        return {"classification": self.classifier(batch.features, batch.labels)}


def build(options: Options, setting: Setting) -> CoReS:
    """Return the objective. An old model, if there is one, must have the same slots.

    Raises:
        InvalidInputError: if a class has no slot of its own, or a label no class.
        DimensionMismatchError: if the dimension is not K - 1, or not the old model's.
    """
    n_slots, slots = shared_slots(options, setting)
    return CoReS(options, n_slots=n_slots, slots=slots)


def shared_slots(options: SimplexOptions, setting: Setting) -> tuple[int, Tensor]:
    """Return the number of slots and the slot of each class, checked. Shape: (n_classes,).

    Raises:
        InvalidInputError: if a class has no slot of its own, or a label no class.
        DimensionMismatchError: if the dimension is not K - 1, or not the old model's.
    """
    n_slots = setting.dim + 1 if options.n_slots is None else options.n_slots
    if setting.dim != n_slots - 1:
        raise DimensionMismatchError(
            f"a simplex of {n_slots} slots has {n_slots - 1} dimensions, but the encoder has "
            f"{setting.dim}",
            hint=f"give the backbone dim = {n_slots - 1}",
        )
    old = setting.old_features
    if old is not None and old.shape[1] != setting.dim:
        raise DimensionMismatchError(
            f"the old model has {old.shape[1]} dimensions, so it does not share the simplex of "
            f"{n_slots} slots",
            hint="all versions of a simplex have the same slots; train against another objective",
        )
    _check_labels(setting)
    return n_slots, _checked_slots(setting, n_slots)


def _check_labels(setting: Setting) -> None:
    labels, n_classes = setting.labels, setting.n_classes
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        raise InvalidInputError(
            f"labels must be in [0, {n_classes}), the classes with a slot, but lie in "
            f"[{int(labels.min())}, {int(labels.max())}]"
        )


def _checked_slots(setting: Setting, n_slots: int) -> Tensor:
    if setting.n_classes > n_slots:
        raise InvalidInputError(
            f"{setting.n_classes} classes do not fit into {n_slots} slots",
            hint="the slots bound the classes of all versions; a wider simplex is a new space",
        )
    if setting.slots is None:
        return torch.arange(setting.n_classes, device=setting.labels.device)
    slots = setting.slots.long()
    if not 0 <= int(slots.min()) <= int(slots.max()) < n_slots:
        raise InvalidInputError(
            f"slots must be in [0, {n_slots}) but lie in [{int(slots.min())}, {int(slots.max())}]"
        )
    owners = torch.bincount(slots, minlength=n_slots)
    if int(owners.max()) > 1:
        shared = int(owners.argmax())
        raise InvalidInputError(
            f"slot {shared} is owned by {int(owners[shared])} classes; each needs its own"
        )
    return slots


def _checked_scale(options: SimplexOptions, n_slots: int) -> float:
    if options.scale is None:
        return 16.0 if options.normalised else 1.0
    best = best_probability(n_slots, options.scale)
    if options.normalised and best < 0.5:
        raise InvalidInputError(
            f"with a scale of {options.scale:g} no normalised feature can get a probability above "
            f"{best:.2g} for its class among {n_slots} slots",
            hint=f"scale = {scale_for(n_slots, 0.99):.3g} allows 0.99; or leave it out",
        )
    return options.scale
