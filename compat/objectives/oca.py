"""OCA: orthogonal compatible aligned training, which grows the space and keeps its first part."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from registry.domain.contracts import Contract, ContractKind

from .geometry import class_prototypes, cosine_distance, cut
from .independent import ClassHead
from .orthogonal import OrthogonalLayer
from .protocol import CompatBatch, LossTerms, Setting
from .requirements import (
    check_growth,
    check_label_smoothing,
    check_positive,
    check_weights,
    old_features_of,
)


@dataclass(frozen=True, slots=True)
class Options:
    """Weights and settings of OCA; the defaults are those of the authors' released code.

    Attributes:
        new_weight: of the cross-entropy of the new classifier on all dimensions; 5 in [2].
        compatible_weight: of the cross-entropy against the old model's prototypes; 10 in [2].
        alignment_weight: of one minus the cosine to the own class's prototype; 5 in [2].
        label_smoothing: in both cross-entropies, in [0, 1); 0.1 in [2].
        orthogonal: whether the orthogonal layer stands before the new classifier; False is the
            ablation of it.
        new_scale: factor on the new classifier's logits; none, that is 1, in [2].
        compatible_scale: factor on the cosines with the prototypes; none, that is 1, in [2]. Logits
            within [-1, 1] cannot come near a one-hot target over many classes, so values of 10 to
            30 pull harder.
        cosine: whether the new classifier's logits are cosines; False, that is affine, in [2].
    """

    new_weight: float = 5.0
    compatible_weight: float = 10.0
    alignment_weight: float = 5.0
    label_smoothing: float = 0.1
    orthogonal: bool = True
    new_scale: float = 1.0
    compatible_scale: float = 1.0
    cosine: bool = False

    def __post_init__(self) -> None:
        check_weights((self.new_weight, self.compatible_weight, self.alignment_weight))
        check_label_smoothing(self.label_smoothing)
        check_positive({"new_scale": self.new_scale, "compatible_scale": self.compatible_scale})


class OCA(nn.Module):
    """Cross-entropy on all dimensions, and agreement of the first ones with the old model.

    With h the normalised new feature, h_c its first old_dim dimensions normalised again, p_k the
    mean of the old model's normalised features of class k on the new training data, and T an
    orthogonal layer that is used in training only:

        (1) new        = CE(fc(T h), y)
        (2) compatible = CE([h_c · p_k]_k, y)
        (3) alignment  = 1 - cos(p_y, h_c)
        (4) loss       = 5 · new + 10 · compatible + 5 · alignment

    New queries meet new vectors in all dimensions, and old vectors in the first old_dim, normalised
    again. The old model enters by its prototypes only, which get no gradients. T followed by a
    linear classifier can compute nothing that the classifier alone could not; what T brings, it
    brings by the way of optimisation, and `Options.orthogonal` shows how much.

    Attributes:
        prototypes: the old model's class means, constant. Shape: (n_classes, old_dim).

    Raises:
        DimensionMismatchError: if the new model has fewer dimensions than the old one.

    References:
        [1] Backward-Compatible Aligned Representations via an Orthogonal Transformation Layer,
            arXiv:2408.08793, ECCV 2024 workshops.
        [2] The authors' released code (z3n0e/OCA at af89d7d), read for facts: weights, smoothing,
            the layer's bias, (4). None of it is copied.
    """

    needs_old_features = False

    def __init__(self, options: Options, *, dim: int, prototypes: Tensor) -> None:
        super().__init__()
        n_classes, old_dim = prototypes.shape
        check_growth(dim, old_dim)
        self.options = options
        self.contract: Contract | None = Contract(ContractKind.PREFIX, old_dim)
        self.head: nn.Module = nn.Identity()
        self.transform: nn.Module = OrthogonalLayer(dim) if options.orthogonal else nn.Identity()
        self.classifier = ClassHead(dim, n_classes, scale=options.new_scale, cosine=options.cosine)
        self.prototypes: Tensor
        self.register_buffer("prototypes", prototypes.detach().clone())

    def forward(self, batch: CompatBatch) -> LossTerms:
        """Return the weighted terms ``new``, ``compatible`` and ``alignment``."""
        options, labels = self.options, batch.labels
        smoothing = options.label_smoothing
        features = functional.normalize(batch.features)
        compatible = cut(features, self.prototypes.shape[1])
        # [2], eq. (1)
        new_logits = self.classifier(self.transform(features))
        new = functional.cross_entropy(new_logits, labels, label_smoothing=smoothing)
        # [2], eq. (2): the prototypes keep their own lengths
        old_logits = options.compatible_scale * compatible @ self.prototypes.T
        old = functional.cross_entropy(old_logits, labels, label_smoothing=smoothing)
        # [2], eq. (3)
        alignment = cosine_distance(compatible, self.prototypes[labels])
        # [2], eq. (4)
        return {
            "new": options.new_weight * new,
            "compatible": options.compatible_weight * old,
            "alignment": options.alignment_weight * alignment,
        }

    def classifier_on_vectors(self, *, normalised: bool) -> tuple[Tensor, Tensor] | None:  # noqa: ARG002 -- it always met unit vectors
        """Return the new classifier, through T; see `compat.objectives.protocol.classifier_of`."""
        weights, biases = self.classifier.on_vectors()
        if not isinstance(self.transform, OrthogonalLayer):
            return weights, biases
        if self.options.cosine:
            return None  # the cosine with T h + b is no affine function of h
        transform = self.transform
        return weights @ transform.matrix(), biases + weights @ transform.offset()


def build(options: Options, setting: Setting) -> OCA:
    """Return the objective, with the old model's class means on the new training data.

    Raises:
        InvalidInputError: if there is no old model, or a class has no sample.
        DimensionMismatchError: if the new model has fewer dimensions than the old one.
    """
    old_features = old_features_of(setting, "oca")
    prototypes = class_prototypes(old_features, setting.labels, setting.n_classes)
    return OCA(options, dim=setting.dim, prototypes=prototypes)
