"""d-Simplex-HOC: a shared simplex, and higher-order compatibility with the previous model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.domain.contracts import Contract, ContractKind
from registry.errors import InvalidInputError

from .cores import SimplexClassifier, SimplexOptions, Unseen, shared_slots
from .protocol import CompatBatch, LossTerms, Setting
from .requirements import carried, check_positive, old_features_of

USES_SLOTS: Final = True  # each class owns a vertex; see `compat.objectives.catalog.uses_slots`
Variant = Literal["equation", "as-released"]


@dataclass(frozen=True, slots=True)
class Options:
    """Weights and settings of d-Simplex-HOC; the defaults are those of the authors' released code.

    Attributes:
        ce_weight: λ, the weight of the cross-entropy, in [0, 1]; the contrast has 1 - λ. 0.1 in
            [1, eq. (3)].
        mu: μ, the factor on the cosines in the contrast, above 0; 10 in [2].
        variant: ``equation`` leaves items of the same class out of the contrast's sum;
            ``as-released`` multiplies them by 0, so that each counts as exp(0) = 1, and the
            positive itself with them.
        symmetric: whether the contrast is the mean over both directions, old to new and new to old,
            rather than from old anchors to new candidates only, as in [2].
        n_slots: number K of classes there can ever be; the dimension is K - 1. None takes it from
            the dimension. 1024 in [2].
        unseen: see `compat.objectives.cores.SimplexOptions`.
        label_smoothing: in the cross-entropy, in [0, 1); 0 in [2].
    """

    ce_weight: float = 0.1
    mu: float = 10.0
    variant: Variant = "equation"
    symmetric: bool = False
    n_slots: int | None = None
    unseen: Unseen = "keep"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.ce_weight <= 1:
            raise InvalidInputError(f"ce_weight must be in [0, 1] but got {self.ce_weight}")
        check_positive({"mu": self.mu})
        self.simplex()

    def simplex(self) -> SimplexOptions:
        """Return the options of the classifier; its features are never normalised [2]."""
        return SimplexOptions(
            n_slots=self.n_slots, unseen=self.unseen, label_smoothing=self.label_smoothing
        )


def higher_order_contrast(similarities: Tensor, labels: Tensor, variant: Variant) -> Tensor:
    """Return the contrast of anchors with candidates of the same batch, the mean over anchors.

    With s_ij the similarity of anchor i and candidate j, of which s_ii is of the same item:

        equation      -s_ii + log(exp(s_ii) + Σ_{j: y_j ≠ y_i} exp(s_ij))
        as released   -s_ii + log(n_i + Σ_{j: y_j ≠ y_i} exp(s_ij))

    where n_i counts the batch's items of the anchor's class, itself included. The first is at least
    0; the second can be below.

    Args:
        similarities: cosines times μ. Shape: (batch, batch).
        labels: class numbers. Shape: (batch,).
        variant: which of the two.
    """
    same = labels.unsqueeze(1) == labels.unsqueeze(0)
    if variant == "equation":
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        candidates = similarities.masked_fill(same & ~itself, -torch.inf)
    else:
        candidates = similarities.masked_fill(same, 0.0)
    return (candidates.logsumexp(dim=1) - similarities.diagonal()).mean()


class DSimplexHOC(nn.Module):
    """Classification by a fixed simplex, and contrast with the frozen previous model.

    With z the new feature, u and v the normalised old and new features of the same items, and
    s_ij = μ u_i · v_j:

        loss = λ CE(z · vertices, slot(y)) + (1 - λ) HOC(s)

    z is not normalised in the cross-entropy. Old features get no gradients. The vectors of both
    models are compared in all dimensions. The previous model is the one that the new one starts
    from: the last version or, when a model from elsewhere replaces it, that one, which must have
    been trained with the same simplex. Without a previous model, train with ``cores``.

    References:
        [1] Biondi et al., "Stationary representations: optimally approximating compatibility and
            implications for improved model replacements", CVPR 2024, arXiv:2405.02581.
        [2] The authors' released code (iamcl2r at 18495ac), read for facts: λ, μ, what is
            normalised, and the masking by zeros. None of it is copied.
    """

    needs_old_features = True
    needs_raw_features = True

    def __init__(self, options: Options, *, n_slots: int, slots: Tensor) -> None:
        super().__init__()
        self.options = options
        self.contract: Contract | None = Contract(ContractKind.SAME_SPACE, n_slots - 1)
        self.head: nn.Module = nn.Identity()
        self.classifier = SimplexClassifier(options.simplex(), n_slots=n_slots, slots=slots)

    def forward(self, batch: CompatBatch) -> LossTerms:
        """Return the weighted terms ``classification`` and ``contrast``."""
        weight = self.options.ce_weight
        classification = self.classifier(batch.features, batch.labels)
        return {
            "classification": weight * classification,
            "contrast": (1 - weight) * self.contrast(batch),
        }

    def contrast(self, batch: CompatBatch) -> Tensor:
        """Return the higher-order contrast with the previous model, not weighted."""
        options, labels = self.options, batch.labels
        old = functional.normalize(carried(batch.old_features, "old").detach())
        similarities = options.mu * old @ functional.normalize(batch.features).T
        forward = higher_order_contrast(similarities, labels, options.variant)
        if not options.symmetric:
            return forward
        return (forward + higher_order_contrast(similarities.T, labels, options.variant)) / 2


def build(options: Options, setting: Setting) -> DSimplexHOC:
    """Return the objective.

    Raises:
        InvalidInputError: if there is no previous model, a class has no slot of its own, or a label
            no class.
        DimensionMismatchError: if the dimension is not K - 1, or not the previous model's.
    """
    old_features_of(setting, "dsimplex-hoc")
    n_slots, slots = shared_slots(options.simplex(), setting)
    return DSimplexHOC(options, n_slots=n_slots, slots=slots)
