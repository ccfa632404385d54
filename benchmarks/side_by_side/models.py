"""How one model of a method is trained, and kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from benchmarks.side_by_side.data import Images
from benchmarks.side_by_side.methods import Method, Size
from compat.backbones.catalog import build_backbone
from compat.classifiers import Classifier, read_classifier, write_classifier
from compat.deployment import with_head
from compat.embedding import embed_array
from compat.encoder_files import load_encoder, save_encoder
from compat.encoders import Encoder
from compat.objectives import Objective, Setting, build_objective
from compat.seeds import derive_seed, seeded
from compat.training import EpochRecord, train
from compat.training_options import TrainingOptions
from compat.turning import turned_into
from registry.errors import CorruptFileError, InvalidInputError

# Where in a run an objective's first weights come from. No two objectives share them, or a new
# model would begin close to its twin; methods of one objective, ablations of each other, do.
FIRST_WEIGHTS: Final = {
    "independent": 1,
    "bct": 2,
    "bt2": 3,
    "oca": 4,
    "memory-contrast": 5,
    "cores": 6,
    "dsimplex-hoc": 7,
    "two-level": 8,
}


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
        """Return the run of one stage, whose first weights and batches are its own.

        Stages are the models of a chain, or, as stage 0, the old model of a single upgrade.
        """
        return replace(self, seed=1000 * (self.seed + 1) + stage)

    def classifier(self, name: str) -> Classifier:
        """Return the classifier that a model was trained with."""
        found = read_classifier(self.path(name))
        if found is None:
            raise RuntimeError(f"{self.path(name)} keeps no classifier")
        return found


@dataclass(frozen=True)
class Others:
    """Other models that a method's model has to do with.

    Attributes:
        old: the model that it is compatible with, or starts from, or None.
        twin: the independent new model, or None.
    """

    old: Encoder | None = None
    twin: Encoder | None = None

    def met_by(self, method: Method) -> Others:
        """Return those that a method's objective looks at."""
        return Others(
            self.old if method.meets_old else None, self.twin if method.needs_twin else None
        )


def train_model(
    method: Method, run: Run, name: str, data: Images, dim: int, others: Others
) -> Encoder:
    """Return a method's model, trained, or as it was kept by an earlier call.

    Args:
        method: how it is trained.
        run: the run that it belongs to.
        name: under which the run keeps it.
        data: what it is trained on.
        dim: of its vectors, or of its twin's if the method puts a head behind the backbone.
        others: the models that it has to do with.
    """
    kept = run.path(name)
    if kept.is_dir():
        return load_encoder(kept).eval()
    encoder = new_encoder(method, run, dim, others, data)
    if method.share == 0:
        return encoder.eval()
    objective = new_objective(method, run, encoder, data, others)
    unfinished = kept.with_name(kept.name + ".unfinished")
    n_epochs = max(1, round(method.share * run.size.training.epochs))
    options = replace(
        run.size.training,
        seed=run.seed,
        epochs=n_epochs,
        augmentation=replace(run.size.training.augmentation, views=method.views),
        checkpoint=unfinished / "checkpoint.safetensors",
        checkpoint_every=max(1, n_epochs // 20),
    )
    for _ in _epochs(encoder, objective, data, options, others.met_by(method)):
        pass
    deployed = with_head(encoder.cpu(), objective.head.cpu(), objective=method.objective).eval()
    _keep(deployed, objective, data, kept)
    shutil.rmtree(unfinished, ignore_errors=True)
    return load_encoder(kept).eval()  # as a later call will find it, on which a checkpoint rests


def _epochs(
    encoder: Encoder, objective: Objective, data: Images, options: TrainingOptions, met: Others
) -> Iterator[EpochRecord]:
    """Train, from the checkpoint of an interrupted call on if there is one."""

    def begin(resume: Path | None) -> Iterator[EpochRecord]:
        return train(
            encoder,
            objective,
            data.as_training_data(),
            options,
            old_encoder=met.old,
            twin_encoder=met.twin,
            resume=resume,
        )

    checkpoint = options.checkpoint
    if checkpoint is None or not checkpoint.is_file():
        return begin(None)
    try:
        return begin(checkpoint)
    except (InvalidInputError, CorruptFileError):  # another machine's rounding, or a torn file
        checkpoint.unlink()
        return begin(None)


def _keep(deployed: Encoder, objective: Objective, data: Images, kept: Path) -> None:
    """Write a finished model and its classifier; a crash leaves nothing under its name."""
    partial = kept.with_name(kept.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    save_encoder(deployed, partial)
    classes = tuple(range(int(data.labels.max()) + 1))
    classifier = Classifier.from_objective(objective, classes, normalised=True)
    if classifier is not None:
        write_classifier(partial, classifier)
    partial.rename(kept)


def new_encoder(method: Method, run: Run, dim: int, others: Others, data: Images) -> Encoder:
    """Return the encoder that a method trains, with its first weights; see `train_model`."""
    old, twin = others.old, others.twin
    if method.turned and old is not None and twin is not None:
        return turned_into(twin, data.pixels, embed_array(old, data.pixels, device="auto"))
    if method.needs_twin and old is not None:
        dim += old.dim  # as in the paper; the head makes the vectors
    size = run.size
    options = {**size.options, "dim": dim}
    with seeded(derive_seed(run.seed, 2, 1, FIRST_WEIGHTS[method.objective])):
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
    method: Method, run: Run, encoder: Encoder, data: Images, others: Others
) -> Objective:
    """Return the objective that a method trains an encoder with."""
    met = others.met_by(method)
    setting = Setting(
        dim=encoder.dim,
        n_classes=int(data.labels.max()) + 1,
        labels=data.labels,
        old_features=features_of(met.old, data),
        twin_features=features_of(met.twin, data),
    )
    with seeded(derive_seed(run.seed, 3)):
        return build_objective(method.objective, method.options, setting)


def features_of(encoder: Encoder | None, data: Images) -> Tensor | None:
    """Return an encoder's vectors of all images, or None if there is no encoder."""
    if encoder is None:
        return None
    return torch.from_numpy(embed_array(encoder, data.pixels, device="auto"))
