"""A training run as a TOML file, read into frozen dataclasses; a misspelt key is an error."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from registry.domain.refs import check_name
from registry.errors import CorruptFileError, InvalidInputError, NotFoundError

from .augmentation import Augmentation
from .options import build_options
from .preprocessing import Preprocessing
from .training_options import TrainingOptions, check_share

_SECTIONS = ("model", "data", "objective", "preprocessing", "augmentation", "training")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """``[model]``: what is trained.

    Attributes:
        name: the model line that the new version joins.
        backbone: a name of the catalog, or ``package.module:factory``. With `init` it is left out,
            unless that version's backbone is the user's own; with `head_only` it is the network
            that is trained, an ``mlp`` by default.
        normalise: whether vectors get unit L2 norm; by default they do, or do as `init` does.
        dim: number of dimensions; may be left out if the options have `dim`.
        options: of the backbone.
        init: a version whose weights are the first ones, as ``products@2``. Its preprocessing comes
            with it.
        head_only: whether that version's backbone stays as it is, and only a network behind it is
            trained. The backbone's features of the training data are computed once.
        turned: whether the weights of `init` are first turned towards the version that
            ``[objective]`` names in ``against``; see `compat.turning`.

    Raises:
        InvalidInputError: if they contradict each other.
    """

    name: str
    backbone: str | None = None
    normalise: bool | None = None
    dim: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    init: str | None = None
    head_only: bool = False
    turned: bool = False

    def __post_init__(self) -> None:
        check_name("model", self.name)
        if self.turned and (self.init is None or self.head_only):
            raise InvalidInputError(
                "[model] turned needs a version whose weights are trained on",
                hint='name it: init = "products@2", without head_only',
            )
        if self.head_only and self.init is None:
            raise InvalidInputError(
                "[model] head_only needs a version whose backbone stays as it is",
                hint='name it: init = "products@1"',
            )
        if self.init is None and self.backbone is None:
            raise InvalidInputError(
                "[model] lacks 'backbone'", hint='add backbone = "mlp", or any other, to [model]'
            )
        if self.init is not None and not self.head_only and (self.options or self.dim is not None):
            raise InvalidInputError(
                f"the network of {self.init!r} comes with its own options and dim",
                hint="drop them from [model], or drop init to begin with fresh weights",
            )


@dataclass(frozen=True, slots=True)
class DataConfig:
    """``[data]``: what it is trained on. Paths are relative to the configuration file.

    Attributes:
        train: an .npz file with `inputs` and `labels`.
        rehearsal: another one with data of earlier classes, which are trained along.
        rehearsal_per_class: how many of each class are rehearsed at most, at least 1; None for all.
        rehearsal_share: share of each step's samples that are rehearsed ones, between 0 and 1; an
            epoch is then one pass over the data of `train`. With None they have their share of all.

    Raises:
        InvalidInputError: if a number is out of its range, or there is nothing to rehearse.
    """

    train: Path
    rehearsal: Path | None = None
    rehearsal_per_class: int | None = None
    rehearsal_share: float | None = None

    def __post_init__(self) -> None:
        if self.rehearsal_per_class is not None and self.rehearsal_per_class < 1:
            raise InvalidInputError(
                f"rehearsal_per_class of [data] must be at least 1 but is "
                f"{self.rehearsal_per_class}"
            )
        if self.rehearsal_share is not None:
            check_share(self.rehearsal_share)
        for name in ("rehearsal_per_class", "rehearsal_share"):
            if getattr(self, name) is not None and self.rehearsal is None:
                raise InvalidInputError(
                    f"[data] has {name} but nothing to rehearse",
                    hint='add rehearsal = "earlier.npz"',
                )


@dataclass(frozen=True, slots=True)
class ObjectiveConfig:
    """``[objective]``: what it is trained for.

    Attributes:
        name: a name of the catalog.
        against: the version to be compatible with, as ``products@1``, or None.
        twin: a version that was trained freely on the same data, which ``bt2`` needs, or None.
        supplier: who names the classes, for objectives with class slots.
        side: the end of the simplex from which new classes get theirs, ``top`` or ``bottom``.
        options: of the objective.
    """

    name: str = "independent"
    against: str | None = None
    twin: str | None = None
    supplier: str = "local"
    side: Literal["top", "bottom"] = "top"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """A whole configuration file."""

    model: ModelConfig
    data: DataConfig
    objective: ObjectiveConfig
    preprocessing: Preprocessing
    training: TrainingOptions


def read_training_config(path: Path) -> TrainingConfig:
    """Read a configuration file. Paths in it are relative to its folder.

    Raises:
        NotFoundError: if there is no such file, or a section or key is unknown; near names are
            listed.
        CorruptFileError: if it is not TOML.
        InvalidInputError: if a key is missing or a value is wrong.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no configuration file {path}")
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CorruptFileError(f"{path} is not TOML: {error}") from error
    return parse_training_config(given, directory=path.parent)


def parse_training_config(given: Mapping[str, object], *, directory: Path) -> TrainingConfig:
    """Return the configuration that nested tables, as TOML gives them, stand for.

    Args:
        given: the tables.
        directory: folder to which paths are relative.

    Raises:
        NotFoundError, InvalidInputError: as `read_training_config`.
    """
    for name in given:
        if name not in _SECTIONS:
            raise NotFoundError.among("section of a training configuration", name, _SECTIONS)
    tables = {name: _table(given, name) for name in _SECTIONS}
    training = _with_paths(tables["training"], "checkpoint", directory)
    if "augmentation" in training:
        raise InvalidInputError("augmentation has its own section", hint="write [augmentation]")
    training["augmentation"] = build_options(Augmentation, tables["augmentation"], "[augmentation]")
    data = _with_paths(_with_paths(tables["data"], "train", directory), "rehearsal", directory)
    config = TrainingConfig(
        model=build_options(ModelConfig, tables["model"], "[model]"),
        data=build_options(DataConfig, data, "[data]"),
        objective=build_options(ObjectiveConfig, tables["objective"], "[objective]"),
        preprocessing=build_options(Preprocessing, tables["preprocessing"], "[preprocessing]"),
        training=build_options(TrainingOptions, training, "[training]"),
    )
    _check_init(config, tables)
    return config


def _check_init(config: TrainingConfig, tables: Mapping[str, object]) -> None:
    if config.model.init is not None and tables["preprocessing"]:
        raise InvalidInputError(
            f"the preprocessing of {config.model.init!r} comes with its weights",
            hint="drop [preprocessing]",
        )
    if config.model.head_only and not config.training.augmentation.is_none:
        raise InvalidInputError(
            "with head_only the backbone's features are computed once, so views cannot vary",
            hint="drop [augmentation], or train the whole network",
        )


def _table(given: Mapping[str, object], name: str) -> dict[str, object]:
    table = given.get(name, {})
    if not isinstance(table, Mapping):
        raise InvalidInputError(
            f"{name} must be a section but is {table!r}", hint=f"write [{name}]"
        )
    return dict(table)


def _with_paths(table: dict[str, object], key: str, directory: Path) -> dict[str, object]:
    value = table.get(key)
    return {**table, key: directory / value} if isinstance(value, str) else table
