"""The classifier that a version was trained with, kept beside its weights for later versions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from registry.artifacts import CLASSIFIER
from registry.errors import CorruptFileError, InvalidInputError

from .objectives.protocol import Objective, classifier_of


@dataclass(frozen=True, slots=True)
class Classifier:
    """An affine classifier of a version's vectors.

    Attributes:
        weights: any scale multiplied in. Shape: (n_classes, dim).
        biases: Shape: (n_classes,).
        classes: the user's own label of each row. Shape: (n_classes,).

    Raises:
        InvalidInputError: if the shapes do not fit to each other.
    """

    weights: Tensor
    biases: Tensor
    classes: tuple[int, ...]

    def __post_init__(self) -> None:
        n_classes = len(self.classes)
        if self.weights.ndim != 2 or len(self.weights) != n_classes:
            raise InvalidInputError(
                f"weights of shape {tuple(self.weights.shape)} came with {n_classes} classes"
            )
        if self.biases.shape != (n_classes,):
            raise InvalidInputError(
                f"biases of shape {tuple(self.biases.shape)} came with {n_classes} classes"
            )

    @classmethod
    def from_objective(
        cls, objective: Objective, classes: tuple[int, ...], *, normalised: bool
    ) -> Self | None:
        """Return the classifier that an objective trained, or None if it has none.

        Args:
            objective: trained.
            classes: the label of each class number.
            normalised: whether the deployed vectors get unit norm.
        """
        found = classifier_of(objective, normalised=normalised)
        if found is None:
            return None
        weights, biases = (tensor.float().cpu().contiguous() for tensor in found)
        return cls(weights, biases, classes)

    def rows_of(self, classes: tuple[int, ...]) -> Tensor:
        """Return the row that stands for each of other classes, -1 for none. Shape: (n,)."""
        rows = {label: row for row, label in enumerate(self.classes)}
        return torch.tensor([rows.get(label, -1) for label in classes], dtype=torch.int64)


def write_classifier(directory: Path, classifier: Classifier) -> None:
    """Write it into an artifact's folder. The fingerprint of the space does not depend on it."""
    tensors = {
        "weights": classifier.weights,
        "biases": classifier.biases,
        "classes": torch.tensor(classifier.classes, dtype=torch.int64),
    }
    save_file(tensors, directory / CLASSIFIER)


def read_classifier(directory: Path) -> Classifier | None:
    """Return the classifier in an artifact's folder, or None if it holds none.

    Raises:
        CorruptFileError: if the file cannot be read as one.
    """
    path = directory / CLASSIFIER
    if not path.is_file():
        return None
    try:
        found = load_file(path)
        classes = tuple(int(label) for label in found["classes"].tolist())
        return Classifier(found["weights"], found["biases"], classes)
    except (SafetensorError, KeyError, InvalidInputError) as error:
        raise CorruptFileError(f"{path} is not a file of a classifier: {error}") from error
