"""Items that a command gets: vectors from a file, or raw data that a registered model embeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .progress import progress

if TYPE_CHECKING:
    from registry import Embeddings, ModelVersion, Registry


@dataclass(frozen=True, slots=True)
class Rows:
    """Embedded rows, and whether their file names them; else they are numbered from 0."""

    source: Path
    embeddings: Embeddings
    is_named: bool


def read_embeddings(
    version: ModelVersion, vectors: Path, ids: Path | None = None, *, convert: bool
) -> Rows:
    """Read vectors that a version made; a file that says it is another's is refused.

    Raises:
        SpaceMismatchError: if the file carries another fingerprint.
    """
    import numpy as np

    from registry import Embeddings
    from registry.errors import SpaceMismatchError
    from registry.vector_files import read_ids, read_vectors

    found = read_vectors(vectors, convert=convert)
    if found.fingerprint is not None and found.fingerprint != version.fingerprint:
        raise SpaceMismatchError(
            f"{vectors} says it was made by {found.fingerprint[:19]}…, "
            f"but {version.ref} is {version.fingerprint[:19]}…",
            hint="name the version that made it",
        )
    named = read_ids(ids) if ids is not None else found.ids
    numbers = np.arange(len(found.vectors), dtype=np.int64)
    embeddings = Embeddings(numbers if named is None else named, found.vectors, version)
    return Rows(vectors, embeddings, is_named=named is not None)


def embed_data(
    registry: Registry, version: ModelVersion, data: Path, *, factory: str | None, quiet: bool
) -> Rows:
    """Embed the ``inputs`` of an ``.npz`` file with a registered model."""
    from compat.workflow.embedding import embed_inputs, read_inputs

    inputs, ids = read_inputs(data)
    with progress(f"embedding with {version.ref}", len(inputs), quiet=quiet) as advance:
        made = embed_inputs(registry, version, inputs, ids, factory=factory, on_batch=advance)
    return Rows(data, made, is_named=ids is not None)


def one_of(vectors: object, data: object, *, name: str = "--vectors FILE") -> None:
    """Refuse none or both of --vectors and --data."""
    if bool(vectors) == bool(data):
        raise click.UsageError(f"give either {name} or --data FILE")
