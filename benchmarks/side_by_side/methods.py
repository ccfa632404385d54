"""What is compared, at which size, and how one model of a method is trained."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.side_by_side.data import Images
from compat.augmentation import Augmentation
from compat.backbones.catalog import build_backbone
from compat.classifiers import Classifier, read_classifier, write_classifier
from compat.deployment import with_head
from compat.embedding import embed_array
from compat.encoder_files import load_encoder, save_encoder
from compat.encoders import Encoder
from compat.objectives import Objective, Setting, build_objective
from compat.preprocessing import Preprocessing
from compat.seeds import derive_seed, seeded
from compat.training import train
from compat.training_options import TrainingOptions
from compat.turning import turned_into

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
        per_class: training images a class, 0 for all.
        preprocessing: of every model.
        training: how every model is trained.
    """

    backbone: str
    options: dict[str, int]
    old_dim: int
    new_dim: int
    per_class: int
    preprocessing: Preprocessing
    training: TrainingOptions


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

    @property
    def meets_old(self) -> bool:
        """Whether the objective looks at the old model; simplex classifiers do without."""
        return self.objective not in {"independent", "cores"}


# Cosines times 16 for every classifier: with the papers' plain cosines or affine logits of unit
# vectors nothing trains in so few epochs. The weights are the papers'; Adam takes no notice of
# their sum.
_NEW: dict[str, object] = {"cosine": True, "new_scale": 16.0}
METHODS = (
    Method("independent", "independent", {"cosine": True, "scale": 16.0}),
    Method("bct", "bct", {**_NEW, "old_scale": 16.0}),
    Method("bt2", "bt2", {**_NEW, "old_scale": 16.0}, needs_twin=True),
    Method("oca", "oca", {**_NEW, "compatible_scale": 16.0}),
    Method(
        "oca, no orthogonal layer", "oca", {**_NEW, "compatible_scale": 16.0, "orthogonal": False}
    ),
    Method(
        "turned start",
        "oca",
        {**_NEW, "compatible_scale": 16.0, "orthogonal": False},
        turned=True,
        share=0.5,
    ),
    Method("oca, half as long again", "oca", {**_NEW, "compatible_scale": 16.0}, share=1.5),
    Method("memory-contrast", "memory-contrast"),
    Method("cores", "cores", grows=False, is_simplex=True),
    Method("d-simplex-hoc", "dsimplex-hoc", grows=False, is_simplex=True, starts_from_old=True),
)
SIZES = {
    "small": Size(
        "small_convnet",
        {"width": 24, "in_channels": 3, "image_size": 32},
        old_dim=64,
        new_dim=96,
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
    ),
    "full": Size(
        "resnet32",
        {"depth": 18},
        old_dim=128,
        new_dim=160,
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
    ),
}
N_SLOTS = 100


@dataclass(frozen=True)
class Run:
    """All models of one seed.

    Attributes:
        size: how large they are.
        seed: of everything random.
        folder: where finished models are kept.
    """

    size: Size
    seed: int
    folder: Path

    def path(self, name: str) -> Path:
        """Return the folder of a model."""
        return self.folder / f"{self.seed}-{name}"

    def at(self, stage: int) -> Run:
        """Return the run of one stage of a chain, whose first weights and batches are its own."""
        return replace(self, seed=1000 * (self.seed + 1) + stage)

    def classifier(self, name: str) -> Classifier:
        """Return the classifier that a model was trained with."""
        found = read_classifier(self.path(name))
        if found is None:
            raise RuntimeError(f"{self.path(name)} keeps no classifier")
        return found


def train_model(
    method: Method, run: Run, name: str, data: Images, dim: int, old: Encoder | None
) -> Encoder:
    """Return a method's model, trained, or as it was kept by an earlier run.

    Args:
        method: how it is trained.
        run: the run that it belongs to.
        name: under which the run keeps it. The twin's is "independent".
        data: what it is trained on.
        dim: of its vectors, or of its backbone's features if the method puts a head behind.
        old: the model that it is compatible with, or starts from, or None.
    """
    kept = run.path(name)
    if kept.is_dir():
        return load_encoder(kept).eval()
    twin = load_encoder(run.path("independent")) if method.needs_twin else None
    teacher = old if method.meets_old else None
    encoder = new_encoder(method, run, dim, old, data)
    if method.share == 0:
        return encoder.eval()
    objective = new_objective(method, run, encoder, data, teacher, twin)
    epochs = round(method.share * run.size.training.epochs)
    options = replace(run.size.training, seed=run.seed, epochs=epochs)
    for _ in train(
        encoder, objective, data.as_training_data(), options, old_encoder=teacher, twin_encoder=twin
    ):
        pass
    deployed = with_head(encoder.cpu(), objective.head.cpu(), objective=method.objective).eval()
    partial = kept.with_name(kept.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    save_encoder(deployed, partial)
    classes = tuple(range(int(data.labels.max()) + 1))
    classifier = Classifier.from_objective(objective, classes, normalised=True)
    if classifier is not None:
        write_classifier(partial, classifier)
    partial.rename(kept)
    return deployed


def new_encoder(method: Method, run: Run, dim: int, old: Encoder | None, data: Images) -> Encoder:
    """Return the encoder that a method trains, with its first weights."""
    if method.turned and old is not None:
        twin = load_encoder(run.path("independent"))
        return turned_into(twin, data.pixels, embed_array(old, data.pixels, device="auto"))
    size = run.size
    options = {**size.options, "dim": dim}
    with seeded(derive_seed(run.seed, 2, 0 if old is None or not method.meets_old else 1)):
        backbone: nn.Module = build_backbone(size.backbone, options)
    if method.starts_from_old and old is not None:
        backbone.load_state_dict(old.backbone.state_dict())
    return Encoder(
        backbone,
        dim=dim,
        preprocessing=size.preprocessing,
        normalised=True,
        backbone_name=size.backbone,
        backbone_options=options,
    )


def new_objective(
    method: Method,
    run: Run,
    encoder: Encoder,
    data: Images,
    teacher: Encoder | None,
    twin: Encoder | None,
) -> Objective:
    """Return the objective that a method trains an encoder with."""
    setting = Setting(
        dim=encoder.dim,
        n_classes=int(data.labels.max()) + 1,
        labels=data.labels,
        old_features=features_of(teacher, data),
        twin_features=features_of(twin, data),
    )
    with seeded(derive_seed(run.seed, 3)):
        return build_objective(method.objective, method.options, setting)


def features_of(encoder: Encoder | None, data: Images) -> Tensor | None:
    """Return an encoder's vectors of all images, or None if there is no encoder."""
    if encoder is None:
        return None
    return torch.from_numpy(embed_array(encoder, data.pixels, device="auto"))
