"""Contrast with a memory of old features: class prototypes attract, other classes' items repel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.domain.contracts import Contract, ContractKind
from registry.errors import InvalidInputError

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
    """Weights and settings. This is a trial of our own: no paper stands behind the defaults.

    Attributes:
        new_weight: of the cross-entropy of the new classifier on all dimensions.
        contrast_weight: of the contrast of the first old_dim dimensions with the memory.
        image_weight: of one minus the cosine to the old feature of the same view; 0 turns it off,
            and with it the need to run the old model on every batch.
        temperature: by which the contrast's cosines are divided, above 0.
        memory_size: how many old features each step is contrasted with, drawn anew with
            replacement; None takes all of them at every step.
        label_smoothing: in the new classifier's cross-entropy, in [0, 1).
        new_scale: factor on the new classifier's logits, above 0.
        cosine: whether the new classifier's logits are cosines rather than affine.
    """

    new_weight: float = 1.0
    contrast_weight: float = 1.0
    image_weight: float = 0.5
    temperature: float = 0.1
    memory_size: int | None = 4096
    label_smoothing: float = 0.1
    new_scale: float = 16.0
    cosine: bool = True

    def __post_init__(self) -> None:
        check_weights((self.new_weight, self.contrast_weight, self.image_weight))
        check_label_smoothing(self.label_smoothing)
        check_positive({"temperature": self.temperature, "new_scale": self.new_scale})
        if self.memory_size is not None and self.memory_size < 1:
            raise InvalidInputError(f"memory_size must be at least 1 but got {self.memory_size}")


def memory_contrast(similarities: Tensor, positives: Tensor, is_own: Tensor) -> Tensor:
    """Return ``-log(exp(p_i) / (exp(p_i) + Σ_{j not own} exp(s_ij)))``, the mean over items i.

    Args:
        similarities: s, of items with the memory, divided by the temperature. Shape: (n, m).
        positives: p, of each item with the prototype of its class, likewise. Shape: (n,).
        is_own: whether a memory is of the item's own class, and so is left out. Shape: (n, m).
    """
    others = similarities.masked_fill(is_own, -torch.inf)
    candidates = torch.cat([positives.unsqueeze(1), others], dim=1)
    return (candidates.logsumexp(dim=1) - positives).mean()


class MemoryContrast(nn.Module):
    """The old space is kept by what lies in it: items of other classes, not only class means.

    With h_c the first old_dim dimensions of the new feature, normalised, p_y the normalised mean of
    the old features of the item's class, m_j the normalised old features in the memory, τ the
    temperature and u the old feature of the same augmented view:

        new      = CE(fc(h), y)
        contrast = -log(exp(h_c · p_y / τ) / (exp(h_c · p_y / τ) + Σ_{j: y_j ≠ y} exp(h_c · m_j/τ)))
        image    = 1 - cos(h_c, u)

    Class prototypes alone say where a class is to lie, among other prototypes. Here an item is also
    kept away from every old item that it could be confused with in search, so the whole of the old
    space shapes the new one; that is what classes that neither model has seen depend on. The memory
    is that of the training data, not augmented.

    Attributes:
        prototypes: the old model's class means, normalised, constant. Shape: (n_classes, old_dim).
        memory: the old model's normalised features of the training data, constant and not kept in
            checkpoints. Shape: (n, old_dim).
        memory_labels: their class numbers, likewise. Shape: (n,).

    Raises:
        DimensionMismatchError: if the new model has fewer dimensions than the old one.
    """

    def __init__(self, options: Options, *, dim: int, prototypes: Tensor, setting: Setting) -> None:
        super().__init__()
        n_classes, old_dim = prototypes.shape
        check_growth(dim, old_dim)
        self.options = options
        self.needs_old_features = options.image_weight > 0
        self.contract: Contract | None = Contract(ContractKind.PREFIX, old_dim)
        self.head: nn.Module = nn.Identity()
        self.classifier = ClassHead(dim, n_classes, scale=options.new_scale, cosine=options.cosine)
        memory = functional.normalize(old_features_of(setting, "memory-contrast").detach())
        self.prototypes: Tensor
        self.memory: Tensor
        self.memory_labels: Tensor
        self.register_buffer("prototypes", functional.normalize(prototypes.detach()))
        self.register_buffer("memory", memory, persistent=False)
        self.register_buffer("memory_labels", setting.labels.clone(), persistent=False)

    def forward(self, batch: CompatBatch) -> LossTerms:
        """Return the weighted terms ``new``, ``contrast`` and, if it is on, ``image``."""
        options, labels = self.options, batch.labels
        compatible = cut(batch.features, self.prototypes.shape[1])
        new = functional.cross_entropy(
            self.classifier(batch.features), labels, label_smoothing=options.label_smoothing
        )
        terms = {
            "new": options.new_weight * new,
            "contrast": options.contrast_weight * self.contrast(compatible, labels),
        }
        if self.needs_old_features:
            old = carried(batch.old_features, "old").detach()
            terms["image"] = options.image_weight * cosine_distance(compatible, old)
        return terms

    def classifier_on_vectors(self, *, normalised: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG002 -- it met them as they are
        """Return the new classifier; see `compat.objectives.protocol.classifier_of`."""
        return self.classifier.on_vectors()

    def contrast(self, compatible: Tensor, labels: Tensor) -> Tensor:
        """Return the contrast of unit vectors with the memory, not weighted.

        Args:
            compatible: the first dimensions of the new features. Shape: (n, old_dim).
            labels: class numbers. Shape: (n,).
        """
        memory, memory_labels = self._drawn()
        similarities = compatible @ memory.T / self.options.temperature
        positives = (compatible * self.prototypes[labels]).sum(dim=1) / self.options.temperature
        return memory_contrast(similarities, positives, labels.unsqueeze(1) == memory_labels)

    def _drawn(self) -> tuple[Tensor, Tensor]:
        size, n = self.options.memory_size, len(self.memory)
        if size is None or size >= n:
            return self.memory, self.memory_labels
        rows = torch.randint(n, (size,), device=self.memory.device)
        return self.memory[rows], self.memory_labels[rows]


def build(options: Options, setting: Setting) -> MemoryContrast:
    """Return the objective, with the old model's class means and features as its memory.

    Raises:
        InvalidInputError: if there is no old model, or a class has no sample.
        DimensionMismatchError: if the new model has fewer dimensions than the old one.
    """
    old_features = old_features_of(setting, "memory-contrast")
    prototypes = class_prototypes(old_features, setting.labels, setting.n_classes)
    return MemoryContrast(options, dim=setting.dim, prototypes=prototypes, setting=setting)
