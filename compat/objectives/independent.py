"""Plain training for classification: the independent twin that nothing makes compatible."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from registry.domain.contracts import Contract
from registry.errors import InvalidInputError

from .protocol import CompatBatch, LossTerms, Setting


@dataclass(frozen=True, slots=True)
class Options:
    """How classes are told apart.

    Attributes:
        label_smoothing: share of the target that is spread over all classes, in [0, 1).
        scale: factor on the logits, above 0. Features of unit length give weak logits, for which
            1 is little; 10 to 30 is usual with `cosine`.
        cosine: whether logits are cosines between features and class weights, rather than an
            affine function of the features.
    """

    label_smoothing: float = 0.1
    scale: float = 1.0
    cosine: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1 or self.scale <= 0:
            raise InvalidInputError(
                f"label_smoothing must be in [0, 1) and scale above 0 but got {self}"
            )


class ClassHead(nn.Module):
    """A linear classifier on features: affine, or of cosines.

    Attributes:
        linear: class weights, and biases if it is affine. Weight shape: (n_classes, dim).
    """

    def __init__(self, dim: int, n_classes: int, *, scale: float, cosine: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, n_classes, bias=not cosine)
        self.scale = scale
        self.cosine = cosine

    def forward(self, features: Tensor) -> Tensor:
        """Return scaled logits. Shape: (n, dim) to (n, n_classes)."""
        if self.cosine:
            weights = functional.normalize(self.linear.weight)
            return self.scale * functional.linear(functional.normalize(features), weights)
        logits: Tensor = self.linear(features)
        return self.scale * logits

    def on_vectors(self) -> tuple[Tensor, Tensor]:
        """Return weights and biases with the scale multiplied in; for unit vectors if of cosines.

        Shapes: (n_classes, dim) and (n_classes,).
        """
        if self.cosine:
            weights = self.scale * functional.normalize(self.linear.weight)
            return weights, weights.new_zeros(len(weights))
        return self.scale * self.linear.weight, self.scale * self.linear.bias


class Independent(nn.Module):
    """Cross-entropy on class labels, with no regard to any other model."""

    needs_old_features = False
    contract: Contract | None = None

    def __init__(self, options: Options, *, dim: int, n_classes: int) -> None:
        super().__init__()
        self.options = options
        self.head: nn.Module = nn.Identity()
        self.classifier = ClassHead(dim, n_classes, scale=options.scale, cosine=options.cosine)

    def forward(self, batch: CompatBatch) -> LossTerms:
        """Return the cross-entropy as the term ``classification``."""
        logits = self.classifier(batch.features)
        smoothing = self.options.label_smoothing
        return {
            "classification": functional.cross_entropy(
                logits, batch.labels, label_smoothing=smoothing
            )
        }

    def classifier_on_vectors(self, *, normalised: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG002 -- it met them as they are
        """Return the new classifier; see `compat.objectives.protocol.classifier_of`."""
        return self.classifier.on_vectors()


def build(options: Options, setting: Setting) -> Independent:
    """Return the objective.

    Raises:
        InvalidInputError: if there is an old model, which it would ignore.
    """
    if setting.old_features is not None:
        raise InvalidInputError(
            "objective 'independent' makes nothing compatible with an old model",
            hint="drop 'against' from [objective], or name another objective such as 'oca'",
        )
    return Independent(options, dim=setting.dim, n_classes=setting.n_classes)
