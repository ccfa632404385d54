"""Items that a command gets: vectors from a file, or raw data that a registered model embeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .progress import progress

if TYPE_CHECKING:
    from registry import Embeddings, ModelVersion, Registry
    from registry.arrays import LabelArray
    from registry.domain.galleries import IdType, Metric
    from registry.domain.refs import VersionRef
    from registry.vector_files import VectorTable


@dataclass(frozen=True, slots=True)
class Rows:
    """Embedded rows of a file.

    Attributes:
        source: the file.
        embeddings: the rows.
        is_named: whether the file names them; else they are numbered from 0.
        is_marked: whether it is certain which model made them: the file carries its fingerprint,
            or they were embedded here.
    """

    source: Path
    embeddings: Embeddings
    is_named: bool
    is_marked: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the files of one command.

    Attributes:
        registry: an open registry.
        factory: builds a backbone of the user's own, as ``module:name``, or None.
        convert: whether other numbers are turned into contiguous float32.
        quiet: whether progress is hidden.
        id_type: how the gallery names its items, if it has any.
    """

    registry: Registry
    factory: str | None
    convert: bool
    quiet: bool
    id_type: IdType | None = None

    def table(self, version: ModelVersion, path: Path) -> VectorTable:
        """Read vectors that a version made; a file that says it is another's is refused.

        Raises:
            SpaceMismatchError: if the file carries another fingerprint, or other dimensions.
            InvalidInputError: if vectors break a rule; the file is named.
        """
        from registry.errors import SpaceMismatchError
        from registry.vector_files import read_vectors
        from registry.vectors import check_vectors

        found = read_vectors(path, convert=self.convert)
        if found.fingerprint is not None and found.fingerprint != version.fingerprint:
            raise SpaceMismatchError(
                f"{path} says it was made by {found.fingerprint[:19]}…, "
                f"but {version.ref} is {version.fingerprint[:19]}…",
                hint="name the version that made it",
            )
        with said_of(path):
            check_vectors(found.vectors, version.dim)
        return found

    def vectors(self, version: ModelVersion, path: Path, ids: Path | None = None) -> Rows:
        """Read vectors that a version made, with ids from the same file, from another, or none.

        Raises:
            SpaceMismatchError: as `table`.
            InvalidInputError: if vectors or ids break a rule; the file is named.
        """
        import numpy as np

        from registry import Embeddings

        found = self.table(version, path)
        named = found.ids if ids is None else self._ids(ids, path, len(found.vectors))
        numbers = np.arange(len(found.vectors), dtype=np.int64)
        with said_of(ids or path):
            embeddings = Embeddings(numbers if named is None else named, found.vectors, version)
        return Rows(path, embeddings, named is not None, found.fingerprint is not None)

    def _ids(self, ids: Path, path: Path, n: int) -> LabelArray:
        from registry.domain.galleries import IdType
        from registry.errors import InvalidInputError
        from registry.vector_files import read_ids

        found = read_ids(ids, as_text=self.id_type is IdType.STRING)
        if len(found) != n:
            raise InvalidInputError(
                f"{ids} holds {len(found)} ids, but {path} holds {n} vectors",
                hint="ids and vectors must belong together row by row",
            )
        return found

    def by_version(self, files: Sequence[str]) -> dict[VersionRef, Rows]:
        """Read the same queries as several versions embedded them, each ``VERSION=FILE``.

        Raises:
            click.BadParameter: if one is not written so, or a version is given twice.
        """
        found: dict[VersionRef, Rows] = {}
        for text in files:
            ref, _, path = text.partition("=")
            if not path:
                raise click.BadParameter(f"{text!r}: write VERSION=FILE", param_hint="--queries")
            version = self.registry.models.get(ref)
            if version.ref in found:
                raise click.BadParameter(f"{version.ref} was given twice", param_hint="--queries")
            found[version.ref] = self.vectors(version, Path(path))
        return found

    def data(self, version: ModelVersion, path: Path) -> Rows:
        """Embed the ``inputs`` of an ``.npz`` file with a registered model."""
        from compat.workflow.embedding import embed_inputs, read_inputs

        inputs, ids = read_inputs(path)
        with progress(f"embedding with {version.ref}", len(inputs), quiet=self.quiet) as advance:
            made = embed_inputs(
                self.registry, version, inputs, ids, factory=self.factory, on_batch=advance
            )
        return Rows(path, made, is_named=ids is not None, is_marked=True)

    def either(
        self,
        version: ModelVersion,
        vectors: Path | None,
        data: Path | None,
        ids: Path | None = None,
    ) -> Rows:
        """Read vectors, or embed raw data, whichever is given."""
        if data is not None:
            return self.data(version, data)
        return self.vectors(version, Path(str(vectors)), ids)


@contextmanager
def said_of(path: Path) -> Iterator[None]:
    """Name the file that a complaint about vectors or ids is of."""
    from registry.errors import InvalidInputError, SpaceMismatchError

    try:
        yield
    except (InvalidInputError, SpaceMismatchError) as error:
        raise type(error)(f"{path}: {error}", hint=error.hint) from error


def check_directions(metric: Metric, rows: Rows) -> None:
    """Refuse vectors that have no direction where the cosine is taken of them.

    Raises:
        InvalidInputError: if a vector is all zero; the file is named.
    """
    from registry.domain.galleries import Metric
    from registry.vectors import check_no_zero_vectors

    if metric is Metric.COSINE:
        with said_of(rows.source):
            check_no_zero_vectors(rows.embeddings.vectors)


def one_of(vectors: object, data: object, *, name: str = "--vectors FILE") -> None:
    """Refuse none or both of --vectors and --data."""
    if bool(vectors) == bool(data):
        raise click.UsageError(f"give either {name} or --data FILE")


def check_look(registry: Registry, gallery: str, rows: Rows) -> None:
    """Refuse unmarked vectors that do not look like those that a gallery holds of their version.

    Raises:
        SpaceMismatchError: if they plainly are of another space; few vectors pass.
    """
    if not rows.is_marked:
        registry.galleries.check_space(gallery, rows.embeddings)


def check_maker(registry: Registry, gallery: str, rows: Rows) -> None:
    """Refuse unmarked first vectors of a version if another version could have made them.

    There is nothing yet to compare them with, so somebody has to say whose they are.

    Raises:
        InvalidInputError: if another version of the model line has as many dimensions.
    """
    from registry.errors import InvalidInputError

    version = rows.embeddings.version
    if rows.is_marked or version.ref in registry.galleries.get(gallery).versions():
        return
    others = [v for v in registry.models.list(version.ref.model) if v.dim == version.dim]
    names = [str(v.ref) for v in others if v.ref != version.ref]
    if names:
        raise InvalidInputError(
            f"{rows.source} does not say which model made it: {version.ref} and "
            f"{', '.join(names)} {'all' if names[1:] else 'both'} have {version.dim} dimensions",
            hint=f"say it: --version {version.ref}",
        )
