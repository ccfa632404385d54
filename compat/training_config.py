"""A training run as a TOML file, read into frozen dataclasses; a misspelt key is an error."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError  # noqa: N812

import numpy as np
import torch
from numpy.typing import NDArray

from registry.domain.refs import check_name
from registry.errors import CorruptFileError, InvalidInputError, NotFoundError

from .augmentation import Augmentation
from .options import build_options
from .preprocessing import Preprocessing
from .training_options import TrainingData, TrainingOptions

_SECTIONS = ("model", "data", "objective", "preprocessing", "augmentation", "training")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """``[model]``: what is trained.

    Attributes:
        name: the model line that the new version joins.
        backbone: a name of the catalog, or ``package.module:factory``.
        normalise: whether vectors get unit L2 norm.
        dim: number of dimensions; may be left out if the options have `dim`.
        options: of the backbone.
    """

    name: str
    backbone: str
    normalise: bool = True
    dim: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("model", self.name)


@dataclass(frozen=True, slots=True)
class DataConfig:
    """``[data]``: what it is trained on.

    Attributes:
        train: an .npz file with `inputs` and `labels`; relative to the configuration file.
    """

    train: Path


@dataclass(frozen=True, slots=True)
class ObjectiveConfig:
    """``[objective]``: what it is trained for.

    Attributes:
        name: a name of the catalog.
        against: the version to be compatible with, as ``products@1``, or None.
        options: of the objective.
    """

    name: str = "independent"
    against: str | None = None
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
    data = _with_paths(tables["data"], "train", directory)
    return TrainingConfig(
        model=build_options(ModelConfig, tables["model"], "[model]"),
        data=build_options(DataConfig, data, "[data]"),
        objective=build_options(ObjectiveConfig, tables["objective"], "[objective]"),
        preprocessing=build_options(Preprocessing, tables["preprocessing"], "[preprocessing]"),
        training=build_options(TrainingOptions, training, "[training]"),
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


def read_training_data(path: Path) -> TrainingData:
    """Read inputs and labels from an .npz file; classes are numbered 0, 1, … in sorted order.

    Raises:
        NotFoundError: if there is no such file.
        CorruptFileError: if it is not an .npz file of plain arrays.
        InvalidInputError: if an array is missing or has a wrong type or shape.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no training data {path}", hint="see 'train' in [data]")
    arrays = _read_arrays(path)
    for name in ("inputs", "labels"):
        if name not in arrays:
            raise InvalidInputError(
                f"{path} holds {', '.join(sorted(arrays)) or 'nothing'} but no {name!r}",
                hint="numpy.savez(path, inputs=…, labels=…)",
            )
    inputs, labels = arrays["inputs"], arrays["labels"]
    if inputs.dtype not in (np.uint8, np.float32):
        raise InvalidInputError(f"inputs must be uint8 or float32 but are {inputs.dtype}")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InvalidInputError(
            f"labels must be integers of shape (n,) but are {labels.dtype} of {labels.shape}"
        )
    _, numbers = np.unique(labels, return_inverse=True)
    return TrainingData(torch.from_numpy(inputs), torch.from_numpy(numbers.astype(np.int64)))


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, BadZipFile, ZlibError) as error:
        raise CorruptFileError(f"{path} is not an .npz file of plain arrays: {error}") from error
