"""BT²: backward-compatible training with basis transformation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from registry.domain.contracts import Contract, ContractKind
from registry.errors import InvalidInputError

from .basis_change import BasisChangeHead, HeadOptions
from .geometry import class_prototypes, cosine_distance
from .independent import ClassHead
from .orthogonal import baked
from .protocol import CompatBatch, LossTerms, Setting
from .requirements import (
    carried,
    check_label_smoothing,
    check_positive,
    check_weights,
    old_features_of,
)

__all__ = ["BT2", "HeadOptions", "Options", "build", "build_head"]


@dataclass(frozen=True, slots=True)
class Options:
    """Weights and settings of BT²; the defaults are those of the paper.

    Attributes:
        to_add_dim: dimensions that vectors have beyond the twin's, at least 1; 32 in [1].
        radius: C, the length of the twin's part of a vector, above 0; 2 in [1].
        classification_weight: of the cross-entropy of a classifier on the twin's part; 1 in [1].
        twin_weight: λ1, of one minus the cosine to the twin's feature; 1 in [1].
        prototype_weight: λ2, of the cross-entropy against the old model's class means; 10 in [1].
        alignment_weight: λ3, of one minus the cosine to the old model's feature; 5 in [1].
        label_smoothing: in both cross-entropies, in [0, 1); 0 in the released code.
        new_scale: factor on the new classifier's logits; none, that is 1, in [1].
        old_scale: factor on the cosines with the class means; none, that is 1, in [1], a weak pull.
        cosine: whether the new classifier's logits are cosines; False, that is affine, in [1].
    """

    to_add_dim: int = 32
    radius: float = 2.0
    classification_weight: float = 1.0
    twin_weight: float = 1.0
    prototype_weight: float = 10.0
    alignment_weight: float = 5.0
    label_smoothing: float = 0.0
    new_scale: float = 1.0
    old_scale: float = 1.0
    cosine: bool = False

    def __post_init__(self) -> None:
        if self.to_add_dim < 1:
            raise InvalidInputError(f"to_add_dim must be at least 1 but got {self.to_add_dim}")
        check_weights(
            (
                self.classification_weight,
                self.twin_weight,
                self.prototype_weight,
                self.alignment_weight,
            )
        )
        check_label_smoothing(self.label_smoothing)
        check_positive(
            {"radius": self.radius, "new_scale": self.new_scale, "old_scale": self.old_scale}
        )


class BT2(nn.Module):
    """Agreement with the old model and with a new one that was trained freely, in one vector.

    With f and phi as in `BasisChangeHead`, u = phi[:old_dim], p_k the mean of the old model's
    normalised features of class k, and phi_twin and phi_old the features of the two frozen models
    for the same augmented view [1, §4]:

        classification = CE(fc(f), y)
        twin           = 1 - cos(f, phi_twin)
        prototypes     = CE([unit(u) · p_k]_k, y)
        alignment      = 1 - cos(u, phi_old)
        loss           = classification + 1 · twin + 10 · prototypes + 5 · alignment

    What is deployed is phi, by `head`: the encoder in training gives the in_dim raw features of the
    backbone. In [1] in_dim is twin_dim + old_dim; any value from twin_dim on will do. Vectors have
    twin_dim + to_add_dim dimensions and the constant norm √(1 + C²). New queries meet old vectors
    in the first old_dim dimensions, normalised again; [1] compares by the inner product, which
    ranks the same but whose scores cannot be compared between queries.

    Attributes:
        head: the two basis changes; see `BasisChangeHead`.
        prototypes: the old model's class means, constant. Shape: (n_classes, old_dim).

    References:
        [1] Zhou et al., "BT²: backward-compatible training with basis transformation", ICCV 2023,
            arXiv:2211.03989, and the authors' released code (BT-2 at 8282360), read for facts. None
            of it is copied.
    """

    needs_old_features = True
    needs_twin_features = True
    needs_raw_features = True

    def __init__(self, options: Options, *, head: BasisChangeHead, prototypes: Tensor) -> None:
        super().__init__()
        sizes = head.options
        self.options = options
        self.contract: Contract | None = Contract(ContractKind.PREFIX, sizes.old_dim)
        self.head: nn.Module = head
        self.classifier = ClassHead(
            sizes.twin_dim, len(prototypes), scale=options.new_scale, cosine=options.cosine
        )
        self.prototypes: Tensor
        self.register_buffer("prototypes", prototypes.detach().clone())

    def forward(self, batch: CompatBatch) -> LossTerms:
        """Return the terms ``classification``, ``twin``, ``prototypes`` and ``alignment``."""
        options, labels, smoothing = self.options, batch.labels, self.options.label_smoothing
        old = carried(batch.old_features, "old").detach()
        twin = carried(batch.twin_features, "twin").detach()
        new, vectors = self.parts(batch.features)
        compatible = functional.normalize(vectors[:, : old.shape[1]])
        classification = functional.cross_entropy(
            self.classifier(new), labels, label_smoothing=smoothing
        )
        # the prototypes keep their own lengths
        old_logits = options.old_scale * compatible @ self.prototypes.T
        prototypes = functional.cross_entropy(old_logits, labels, label_smoothing=smoothing)
        return {
            "classification": options.classification_weight * classification,
            "twin": options.twin_weight * cosine_distance(new, twin),
            "prototypes": options.prototype_weight * prototypes,
            "alignment": options.alignment_weight * cosine_distance(compatible, old),
        }

    def parts(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return f and phi. Shapes: (n, in_dim) to (n, twin_dim) and (n, dim)."""
        head = self.head
        assert isinstance(head, BasisChangeHead)  # noqa: S101 (a Module to the protocol)
        twin, added = head.split(features)
        return twin, head.join(twin, added)

    def classifier_on_vectors(self, *, normalised: bool) -> tuple[Tensor, Tensor]:
        """Return the classifier on f as one on phi, of which f is a linear map.

        See `compat.objectives.protocol.classifier_of`.
        """
        head = self.head
        assert isinstance(head, BasisChangeHead)  # noqa: S101 (a Module to the protocol)
        weights, biases = self.classifier.on_vectors()
        length = math.sqrt(1 + self.options.radius**2) if normalised else 1.0
        return length * weights @ head.twin_map(), biases


def build(options: Options, setting: Setting) -> BT2:
    """Return the objective, with the old model's class means on the new training data.

    Raises:
        InvalidInputError: if there is no old model or no twin, or a class has no sample.
        DimensionMismatchError: if the backbone has fewer dimensions than the twin, or the vectors
            as many as the old model's or fewer.
    """
    old_features = old_features_of(setting, "bt2")
    if setting.twin_features is None:
        raise InvalidInputError(
            "objective 'bt2' needs a twin, a new model that was trained on the same data freely",
            hint="train objective 'independent' first, and name the result as the twin",
        )
    sizes = HeadOptions(
        in_dim=setting.dim,
        old_dim=old_features.shape[1],
        twin_dim=setting.twin_features.shape[1],
        to_add_dim=options.to_add_dim,
        radius=options.radius,
    )
    prototypes = class_prototypes(old_features, setting.labels, setting.n_classes)
    return BT2(options, head=BasisChangeHead(sizes), prototypes=prototypes)


def build_head(options: HeadOptions) -> nn.Module:
    """Return the head as it is deployed, for trained weights to be loaded into."""
    return baked(BasisChangeHead(options))
