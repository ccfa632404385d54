"""Two-level targets: old vectors are met class by class and image by image, both at once."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from registry.domain.contracts import Contract, ContractKind

from .geometry import class_prototypes, cosine_distance, cut
from .independent import ClassHead
from .protocol import CompatBatch, LossTerms, Setting
from .requirements import (
    carried,
    check_growth,
    check_label_smoothing,
    check_positive,
    check_weights,
    old_features_of,
)


@dataclass(frozen=True, slots=True)
class Options:
    """Weights and settings. The recipe is our own: the defaults are those that were measured.

    Attributes:
        new_weight: of the cross-entropy of the new classifier on all dimensions.
        class_weight: of the cross-entropy against the old model's class means; 0 leaves it
            out of the loss.
        image_weight: of one minus the cosine to the old feature of the same view; 0 turns it off,
            and with it the need to run the old model on every batch.
        label_smoothing: in both cross-entropies, in [0, 1).
        new_scale: factor on the new classifier's logits, above 0.
        class_scale: factor on the cosines with the class means, above 0.
        cosine: whether the new classifier's logits are cosines rather than affine.
    """

    new_weight: float = 0.1
    class_weight: float = 0.4
    image_weight: float = 0.5
    label_smoothing: float = 0.0
    new_scale: float = 16.0
    class_scale: float = 16.0
    cosine: bool = True

    def __post_init__(self) -> None:
        check_weights((self.new_weight, self.class_weight, self.image_weight))
        check_label_smoothing(self.label_smoothing)
        check_positive({"new_scale": self.new_scale, "class_scale": self.class_scale})


class TwoLevel(nn.Module):
    """The class says where an item's kind lies in the old space, the image where it lies itself.

    With h the new feature, h_c its first old_dim dimensions normalised, p_k the normalised mean of
    the old model's normalised features of class k, s the class scale and u the old feature of the
    same augmented view:

        new     = CE(fc(h), y)
        classes = CE([s h_c · p_k]_k, y)
        images  = 1 - cos(h_c, u)
        loss    = 0.1 · new + 0.4 · classes + 0.5 · images

    The first two are OCA's and BCT's [1, 2], without an orthogonal layer. BT² [3] meets the old
    model at both levels too, but through two basis changes and with a second teacher. This is meant
    for a turned start (`compat.turning`): the independent new model, rotated towards the old one,
    is where training begins, while BT² has its twin pull all the way. What each part brings is
    measured in docs/explanation/objectives-measured.md.

    Attributes:
        prototypes: the old model's class means, normalised, constant. Shape: (n_classes, old_dim).

    Raises:
        DimensionMismatchError: if the new model has fewer dimensions than the old one.

    References:
        [1] Backward-Compatible Aligned Representations via an Orthogonal Transformation Layer,
            arXiv:2408.08793.
        [2] Shen et al., "Towards backward-compatible representation learning", CVPR 2020,
            arXiv:2003.11942.
        [3] Zhou et al., "BT²: backward-compatible training with basis transformation", ICCV 2023,
            arXiv:2211.03989.
    """

    def __init__(self, options: Options, *, dim: int, prototypes: Tensor) -> None:
        super().__init__()
        n_classes, old_dim = prototypes.shape
        check_growth(dim, old_dim)
        self.options = options
        self.needs_old_features = options.image_weight > 0
        self.contract: Contract | None = Contract(ContractKind.PREFIX, old_dim)
        self.head: nn.Module = nn.Identity()
        self.classifier = ClassHead(dim, n_classes, scale=options.new_scale, cosine=options.cosine)
        self.prototypes: Tensor
        self.register_buffer("prototypes", functional.normalize(prototypes.detach()))

    def forward(self, batch: CompatBatch) -> LossTerms:
        """Return the weighted terms ``new``, ``classes`` and, if it is on, ``images``."""
        options, labels, smoothing = self.options, batch.labels, self.options.label_smoothing
        compatible = cut(batch.features, self.prototypes.shape[1])
        new = functional.cross_entropy(
            self.classifier(batch.features), labels, label_smoothing=smoothing
        )
        logits = options.class_scale * compatible @ self.prototypes.T
        classes = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        terms = {"new": options.new_weight * new, "classes": options.class_weight * classes}
        if self.needs_old_features:
            old = carried(batch.old_features, "old").detach()
            terms["images"] = options.image_weight * cosine_distance(compatible, old)
        return terms

    def classifier_on_vectors(self, *, normalised: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG002 -- it met them as they are
        """Return the new classifier; see `compat.objectives.protocol.classifier_of`."""
        return self.classifier.on_vectors()


def build(options: Options, setting: Setting) -> TwoLevel:
    """Return the objective, with the old model's class means on the new training data.

    Raises:
        InvalidInputError: if there is no old model, or a class has no sample.
        DimensionMismatchError: if the new model has fewer dimensions than the old one.
    """
    old_features = old_features_of(setting, "two-level")
    prototypes = class_prototypes(old_features, setting.labels, setting.n_classes)
    return TwoLevel(options, dim=setting.dim, prototypes=prototypes)
