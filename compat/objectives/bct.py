"""BCT: backward-compatible training, in which the old classifier has a say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.domain.contracts import Contract, ContractKind
from registry.errors import InvalidInputError

from .geometry import class_prototypes, cut
from .independent import ClassHead
from .protocol import CompatBatch, LossTerms, Setting
from .requirements import (
    check_growth,
    check_label_smoothing,
    check_positive,
    check_weights,
    old_features_of,
)

Influence = Literal["auto", "classifier", "class-means", "both"]


@dataclass(frozen=True, slots=True)
class Options:
    """Weights and settings of BCT.

    Attributes:
        new_weight: of the new classifier's cross-entropy; 1 in [1].
        influence_weight: of the old classifier's cross-entropy; 1 in [1] and [2], 10 where [3]
            trains BCT on CIFAR-100.
        influence: what stands for the old classifier. ``classifier``: the old model's own, on
            samples of the classes it knows; ``class-means``: the means of the old model's
            normalised features, one for each class of the new data, as in [2] and [3]; ``both``:
            its own for the classes it knows, and class means for the others, as in [1]; ``auto``:
            its own if it was kept and knows a class of the new data, otherwise class means.
        label_smoothing: in both cross-entropies, in [0, 1); 0.1 in [3].
        normalised: whether the first old_dim dimensions are normalised again before the old
            classifier; True fits old models whose vectors are of unit length.
        old_scale: factor on the old classifier's logits; none, that is 1, in [1]. Cosines with
            class means lie within [-1, 1], where 1 is a weak pull; 10 to 30 pulls harder.
        new_scale: factor on the new classifier's logits.
        cosine: whether the new classifier's logits are cosines; False, that is affine, in [2].
    """

    new_weight: float = 1.0
    influence_weight: float = 1.0
    influence: Influence = "auto"
    label_smoothing: float = 0.1
    normalised: bool = True
    old_scale: float = 1.0
    new_scale: float = 1.0
    cosine: bool = False

    def __post_init__(self) -> None:
        check_weights((self.new_weight, self.influence_weight))
        check_label_smoothing(self.label_smoothing)
        check_positive({"old_scale": self.old_scale, "new_scale": self.new_scale})


class OldClassifier(NamedTuple):
    """A frozen classifier on the old model's dimensions.

    Attributes:
        weights: Shape: (n_rows, old_dim).
        biases: Shape: (n_rows,).
        rows: row of each class of the training data, or -1 for none. Shape: (n_classes,).
    """

    weights: Tensor
    biases: Tensor
    rows: Tensor


class BCT(nn.Module):
    """The new classifier's cross-entropy, and the old classifier's on the first dimensions.

    With f the new feature, f_c its first old_dim dimensions, normalised again if `Options` says so,
    and (W, b) the frozen old classifier:

        loss = new_weight · CE(fc(f), y) + influence_weight · CE(W f_c + b, row(y))

    The second term is the mean over the batch's samples whose class has a row, and 0 if none has
    [1, eq. (4); 2]. Where the new space has more dimensions than the old one, it is cut [2].

    Attributes:
        weights, biases, rows: see `OldClassifier`; constant.

    Raises:
        DimensionMismatchError: if the new model has fewer dimensions than the old one.

    References:
        [1] Shen et al., "Towards backward-compatible representation learning", CVPR 2020,
            arXiv:2003.11942.
        [2] openBCT at 69e798c, a re-implementation, read for facts: cutting, unknown classes,
            class means. None of it is copied.
        [3] The training of BCT in the released code of BT² and OCA, read for facts: weight and
            smoothing. None of it is copied.
    """

    needs_old_features = False

    def __init__(self, options: Options, *, dim: int, n_classes: int, old: OldClassifier) -> None:
        super().__init__()
        old_dim = old.weights.shape[1]
        check_growth(dim, old_dim)
        self.options = options
        self.contract: Contract | None = Contract(ContractKind.PREFIX, old_dim)
        self.head: nn.Module = nn.Identity()
        self.classifier = ClassHead(dim, n_classes, scale=options.new_scale, cosine=options.cosine)
        self.weights: Tensor
        self.biases: Tensor
        self.rows: Tensor
        for name, tensor in old._asdict().items():
            self.register_buffer(name, tensor.detach().clone())

    def forward(self, batch: CompatBatch) -> LossTerms:
        """Return the weighted terms ``new`` and ``influence``."""
        options, smoothing = self.options, self.options.label_smoothing
        new = functional.cross_entropy(
            self.classifier(batch.features), batch.labels, label_smoothing=smoothing
        )
        rows = self.rows[batch.labels]
        summed = functional.cross_entropy(
            self.old_logits(batch.features),
            rows,
            ignore_index=-1,
            label_smoothing=smoothing,
            reduction="sum",
        )
        influence = summed / (rows >= 0).sum().clamp(min=1)
        return {
            "new": options.new_weight * new,
            "influence": options.influence_weight * influence,
        }

    def old_logits(self, features: Tensor) -> Tensor:
        """Return what the old classifier says. Shape: (n, dim) to (n, n_rows)."""
        old_dim = self.weights.shape[1]
        compared = cut(features, old_dim) if self.options.normalised else features[:, :old_dim]
        return self.options.old_scale * functional.linear(compared, self.weights, self.biases)

    def classifier_on_vectors(self, *, normalised: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG002 -- it met them as they are
        """Return the new classifier; see `compat.objectives.protocol.classifier_of`."""
        return self.classifier.on_vectors()


def build(options: Options, setting: Setting) -> BCT:
    """Return the objective, with the old classifier or what stands for it.

    Raises:
        InvalidInputError: if the setting lacks what `Options.influence` asks for, a class has no
            sample, or no class is known to the old classifier.
        DimensionMismatchError: if the new model has fewer dimensions than the old one.
    """
    return BCT(
        options,
        dim=setting.dim,
        n_classes=setting.n_classes,
        old=influence_of(options.influence, setting),
    )


def influence_of(influence: Influence, setting: Setting) -> OldClassifier:
    """Return the frozen classifier that has a say in training; see `Options.influence`.

    Raises:
        InvalidInputError: if the setting lacks it.
    """
    if influence == "auto":
        influence = "classifier" if _knows_a_class(setting) else "class-means"
    if influence == "class-means":
        return _class_means(setting)
    if influence == "classifier":
        return _own_classifier(setting)
    own, means = _own_classifier(setting), _class_means(setting)
    unknown = own.rows < 0
    rows = own.rows.clone()
    rows[unknown] = len(own.weights) + torch.arange(int(unknown.sum()), device=rows.device)
    return OldClassifier(
        torch.cat([own.weights, means.weights[unknown].to(own.weights.dtype)]),
        torch.cat([own.biases, means.biases[unknown].to(own.biases.dtype)]),
        rows,
    )


def _knows_a_class(setting: Setting) -> bool:
    if setting.old_classifier is None:
        return False
    return setting.old_classes is None or int(setting.old_classes.max()) >= 0


def _class_means(setting: Setting) -> OldClassifier:
    features = old_features_of(setting, "bct")
    means = class_prototypes(features, setting.labels, setting.n_classes)
    rows = torch.arange(setting.n_classes, device=means.device)
    return OldClassifier(means, means.new_zeros(len(means)), rows)


def _own_classifier(setting: Setting) -> OldClassifier:
    weights = setting.old_classifier
    if weights is None:
        raise InvalidInputError(
            "objective 'bct' was asked for the old model's classifier, which was not kept",
            hint="influence = 'class-means' needs the old model's features only",
        )
    biases = weights.new_zeros(len(weights)) if setting.old_biases is None else setting.old_biases
    rows = setting.old_classes
    if rows is None:
        numbers = torch.arange(setting.n_classes, device=weights.device)
        rows = torch.where(numbers < len(weights), numbers, -1)
    return OldClassifier(weights, biases, _checked_rows(rows, len(weights)))


def _checked_rows(rows: Tensor, n_rows: int) -> Tensor:
    if int(rows.min()) < -1 or int(rows.max()) >= n_rows:
        raise InvalidInputError(
            f"old_classes must be rows of an old classifier of {n_rows} classes, or -1, but lie in "
            f"[{int(rows.min())}, {int(rows.max())}]"
        )
    if int(rows.max()) < 0:
        raise InvalidInputError(
            "the old classifier knows none of the classes of the new data",
            hint="influence = 'class-means' or 'both' needs no shared class",
        )
    return rows
