"""What is compared, and at which size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from compat.augmentation import Augmentation
from compat.preprocessing import Preprocessing
from compat.training_options import TrainingOptions

# Mean and standard deviation of the channels of CIFAR-100, in [0, 1].
CIFAR = Preprocessing(1 / 255, (0.507, 0.487, 0.441), (0.267, 0.256, 0.276))


@dataclass(frozen=True)
class Size:
    """How large an experiment is.

    Attributes:
        backbone: name in the catalog.
        options: of the backbone, less the dimension.
        old_dim: dimensions of the old model.
        new_dim: dimensions of a new one that grows.
        grow: dimensions by which vectors grow at each upgrade of a chain.
        per_class: training images a class, 0 for all.
        preprocessing: of every model.
        training: how every model is trained.
        architectures: backbones and their options, of a chain in which they change.
    """

    backbone: str
    options: dict[str, int]
    old_dim: int
    new_dim: int
    grow: int
    per_class: int
    preprocessing: Preprocessing
    training: TrainingOptions
    architectures: tuple[tuple[str, dict[str, int]], ...] = ()

    def changed(self, epochs: int | None, per_class: int | None) -> Size:
        """Return the size with what is given instead of its own."""
        training = self.training
        return replace(
            self,
            per_class=self.per_class if per_class is None else per_class,
            training=training if epochs is None else replace(training, epochs=epochs),
        )

    def architecture(self, number: int) -> Size:
        """Return the size with one of the backbones of the chain in which they change."""
        backbone, options = self.architectures[number]
        return replace(self, backbone=backbone, options=options)


@dataclass(frozen=True)
class Method:
    """A way to train the new model.

    Attributes:
        name: how tables call it.
        objective: name in the catalog.
        options: of the objective.
        grows: whether vectors get the new dimension, rather than the old one.
        is_simplex: whether the old model has to be trained with the same simplex.
        starts_from_old: whether it is fine-tuned from the old model.
        needs_twin: whether it learns from the independent new model too.
        turned: whether it begins with the independent new model, turned into the old space.
        share: of the epochs that the others are trained for; with 0 it is left as it begins.
        views: how many views of each image are kept; None for a fresh one at every sight.
    """

    name: str
    objective: str
    options: dict[str, object] = field(default_factory=dict)
    grows: bool = True
    is_simplex: bool = False
    starts_from_old: bool = False
    needs_twin: bool = False
    turned: bool = False
    share: float = 1.0
    views: int | None = None

    @property
    def meets_old(self) -> bool:
        """Whether the objective looks at the old model; simplex classifiers do without."""
        return self.objective not in {"independent", "cores"}

    @property
    def uses_twin(self) -> bool:
        """Whether the independent new model has to be there first."""
        return self.needs_twin or self.turned


# Cosines times 16 for every classifier: with the papers' plain cosines or affine logits of unit
# vectors nothing trains in so few epochs. The weights are the papers'; Adam takes no notice of
# their sum.
_NEW: dict[str, object] = {"cosine": True, "new_scale": 16.0}
TURNED = Method("two-level, turned start", "two-level", turned=True)
METHODS = (
    Method("independent", "independent", {"cosine": True, "scale": 16.0}),
    Method("bct", "bct", {**_NEW, "old_scale": 16.0}),
    Method("bt2", "bt2", {**_NEW, "old_scale": 16.0}, needs_twin=True),
    Method("bt2, 4 kept views", "bt2", {**_NEW, "old_scale": 16.0}, needs_twin=True, views=4),
    Method("oca", "oca", {**_NEW, "compatible_scale": 16.0}),
    Method(
        "oca, no orthogonal layer", "oca", {**_NEW, "compatible_scale": 16.0, "orthogonal": False}
    ),
    Method("oca, twice as long", "oca", {**_NEW, "compatible_scale": 16.0}, share=2.0),
    Method("memory-contrast", "memory-contrast"),
    Method("two-level", "two-level"),
    TURNED,
    replace(TURNED, name="- classes only", options={"image_weight": 0.0}),
    replace(TURNED, name="- images only", options={"class_weight": 0.0}),
    replace(TURNED, name="- half as long", share=0.5),
    Method("cores", "cores", grows=False, is_simplex=True),
    Method("d-simplex-hoc", "dsimplex-hoc", grows=False, is_simplex=True, starts_from_old=True),
)
BY_NAME = {method.name: method for method in METHODS}
SIZES = {
    "small": Size(
        "small_convnet",
        {"width": 24, "in_channels": 3, "image_size": 32},
        old_dim=64,
        new_dim=96,
        grow=8,
        per_class=100,
        preprocessing=CIFAR,
        training=TrainingOptions(
            epochs=12,
            batch_size=128,
            optimizer="adamw",
            learning_rate=2e-3,
            weight_decay=0.01,
            augmentation=Augmentation(flip=True, shift=0.1, padding="border"),
        ),
        architectures=(
            ("small_convnet", {"width": 16, "in_channels": 3, "image_size": 32}),
            ("small_convnet", {"width": 24, "in_channels": 3, "image_size": 32}),
            ("resnet32", {"depth": 8, "width": 12}),
            ("small_convnet", {"width": 32, "in_channels": 3, "image_size": 32}),
        ),
    ),
    "full": Size(
        "resnet32",
        {"depth": 18},
        old_dim=128,
        new_dim=160,
        grow=32,
        per_class=0,
        preprocessing=CIFAR,
        training=TrainingOptions(
            epochs=100,
            batch_size=256,
            optimizer="adamw",
            learning_rate=2e-3,
            weight_decay=0.05,
            amp="bf16",
            augmentation=Augmentation(flip=True, shift=0.125),
        ),
        architectures=tuple(("resnet32", {"depth": depth}) for depth in (20, 32, 18, 34)),
    ),
}
N_SLOTS = 100
