"""Embedding raw data with a registered version."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from compat.backbones.own import build_own, import_factory
from compat.embedding import Inputs, embed
from compat.encoder_files import check_canaries, load_encoder
from compat.encoders import Encoder
from registry.arrays import LabelArray
from registry.artifacts import CANARIES
from registry.domain.versions import ModelVersion
from registry.errors import CorruptFileError, InvalidInputError, NotFoundError
from registry.service import Registry
from registry.vectors import Embeddings

CANARY_TOLERANCE = 1e-4  # of a coordinate of a unit vector: rounding on another machine


def read_inputs(path: Path) -> tuple[NDArray[Any], LabelArray | None]:
    """Read raw data from an ``.npz`` file: ``inputs`` and, if rows are named, ``ids``.

    Raises:
        NotFoundError: if there is no such file.
        CorruptFileError: if it is no ``.npz`` file, or is truncated.
        InvalidInputError: if ``inputs`` is missing or the ids are not one a row.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    try:
        with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in ("inputs", "ids")}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorruptFileError(f"{path} is not an .npz file of plain arrays: {error}") from error
    if "inputs" not in arrays:
        raise InvalidInputError(f"{path} has no array 'inputs'", hint="numpy.savez(…, inputs=…)")
    inputs = arrays["inputs"]
    if inputs.ndim == 0:
        raise InvalidInputError(f"{path}: inputs must have shape (n, ...) but are a single number")
    ids = arrays.get("ids")
    if ids is not None and len(ids) != len(inputs):
        raise InvalidInputError(f"{path} has {len(inputs)} inputs but {len(ids)} ids")
    return inputs, ids


def load_version(
    registry: Registry, version: ModelVersion, *, factory: str | None = None
) -> Encoder:
    """Load a registered version's encoder, after checking its files and its fingerprint.

    Args:
        registry: an open registry.
        version: which one.
        factory: builds the backbone if it is not in the catalog, as ``package.module:name``;
            looked for in the current folder first.
    """
    directory = registry.models.artifact_directory(version)
    return load_encoder(directory, backbone=_own_backbone(version, factory))


def _own_backbone(version: ModelVersion, factory: str | None) -> nn.Module | None:
    is_in_catalog = version.description.architecture.get("backbone") is not None
    if factory is None or is_in_catalog:
        return None
    options = version.description.architecture.get("options") or {}
    build = import_factory(factory, directory=Path.cwd())
    return build_own(build, cast("Mapping[str, object]", options), factory)


def embed_inputs(
    registry: Registry,
    version: ModelVersion,
    inputs: NDArray[Any],
    ids: LabelArray | None = None,
    *,
    factory: str | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Embeddings:
    """Embed raw inputs with a registered version.

    Args:
        registry: an open registry.
        version: which version embeds.
        inputs: raw inputs. Shape: (n, ...).
        ids: their ids, or None to number them from 0. Shape: (n,).
        factory: builds the backbone if it is the user's own.
        on_batch: called with the number of inputs that a batch had.

    Raises:
        InvalidInputError: if the model cannot take such inputs.
    """
    encoder = load_version(registry, version, factory=factory)
    named = np.arange(len(inputs), dtype=np.int64) if ids is None else ids
    done = 0

    def report(now: int, _total: int) -> None:
        nonlocal done
        if on_batch is not None:
            on_batch(now - done)
        done = now

    with refusing_misfits(f"{version.ref} cannot embed", inputs):
        return embed(encoder, inputs, named, version, progress=report)


@contextmanager
def refusing_misfits(what: str, inputs: Inputs) -> Iterator[None]:
    """Turn what a network says of inputs that it cannot take into one clear line.

    Raises:
        InvalidInputError: if it refuses them.
    """
    try:
        yield
    except (RuntimeError, TypeError, IndexError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InvalidInputError(
            f"{what} inputs of {inputs.dtype} and shape {tuple(inputs.shape)}: {reason}",
            hint="give raw data of the shape and type that the network is made for",
        ) from error


def canary_deviation(directory: Path) -> float | None:
    """Embed an artifact's canaries again; None if it has none.

    Returns:
        The largest deviation of any coordinate from the vectors that were saved.

    Raises:
        SpaceMismatchError: if it is more than rounding.
    """
    if not (directory / CANARIES).is_file():
        return None
    return check_canaries(load_encoder(directory), directory, CANARY_TOLERANCE)
