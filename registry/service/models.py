"""Use cases of model lines: registering versions and declaring how they compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..artifacts import digest_artifact, fingerprint, read_artifact
from ..db import events, versions
from ..db.session import read, write
from ..domain.canonical import Json
from ..domain.contracts import Contract
from ..domain.events import model_stream
from ..domain.promotions import fold_aliases
from ..domain.refs import AliasRef, VersionRef, check_name
from ..domain.versions import LineageEdge, ModelVersion, SpaceDescription, fingerprint_declared
from ..errors import DigestMismatchError, NotFoundError
from .context import Context, resolve
from .contracts import check, declare
from .registration import (
    Candidate,
    Parent,
    Registration,
    check_parents,
    insert,
    keep_artifact,
    with_fingerprint,
)


class Models:
    """Model lines and their versions."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def register_artifact(
        self,
        model: str,
        directory: Path,
        *,
        parents: Sequence[Parent] = (),
        contracts: Mapping[VersionRef, Contract] | None = None,
        training: Mapping[str, Json] | None = None,
    ) -> Registration:
        """Register the model whose artifact lies in a folder; the files are copied.

        The fingerprint is computed from the tensors. The same fingerprint is the same version:
        registering it again changes nothing.

        Args:
            model: the model line.
            directory: the artifact.
            parents: earlier versions that it came from.
            contracts: how it is compared, in both directions, with versions that it is comparable
                with though it did not come from them; what a parent says of itself goes before.
            training: how it was trained.

        Raises:
            InvalidInputError: if the name cannot be one, or a parent or a contract cannot.
            NotFoundError: if the folder is no artifact or a parent does not exist.
            CorruptFileError: if a file cannot be read.
        """
        check_name("model", model)
        artifact = read_artifact(directory)
        existing = self._find(model, artifact.fingerprint)
        if existing is not None:
            return Registration(existing, is_new=False)
        self.check_parents(model, artifact.description.dim, parents, contracts)
        path = keep_artifact(self._context, model, directory, artifact.digest)
        candidate = Candidate(
            artifact.fingerprint, artifact.description, path, artifact.digest, training or {}
        )
        return insert(self._context, model, candidate, parents, contracts or {})

    def register_vectors(
        self,
        model: str,
        description: SpaceDescription,
        identity: Mapping[str, Json],
        *,
        parents: Sequence[Parent] = (),
    ) -> Registration:
        """Register a model of which only vectors are at hand, by its maker's word.

        Args:
            model: the model line.
            description: dim, normalisation and whatever else is known.
            identity: what names the maker: provider, model name, revision, date.
            parents: earlier versions it is said to be comparable with.
        """
        check_name("model", model)
        declared = fingerprint_declared(identity, description)
        existing = self._find(model, declared)
        if existing is not None:
            return Registration(existing, is_new=False)
        candidate = Candidate(declared, description, None, None, {"identity": dict(identity)})
        return insert(self._context, model, candidate, parents, {})

    def check_parents(
        self,
        model: str,
        dim: int,
        parents: Sequence[Parent],
        contracts: Mapping[VersionRef, Contract] | None = None,
    ) -> None:
        """Make the checks of parents and contracts that registering makes, and change nothing.

        Raises:
            InvalidInputError: if one is of another line, or cannot be compared as it is said.
        """
        with read(self._context.engine) as connection:
            check_parents(connection, model, dim, parents, contracts or {})

    def get(self, ref: str | VersionRef | AliasRef) -> ModelVersion:
        """Return the version behind ``products@3``, ``products:champion`` or a parsed reference."""
        with read(self._context.engine) as connection:
            return resolve(connection, ref, self._context.trust)

    def list(self, model: str | None = None) -> tuple[ModelVersion, ...]:
        """Return the versions of one line, or of all."""
        with read(self._context.engine) as connection:
            return versions.all_versions(connection, model)

    def aliases(self, model: str) -> dict[str, VersionRef]:
        """Return the aliases of a line, folded from its events."""
        with read(self._context.engine) as connection:
            versions.model_id(connection, model)
            line = events.in_stream(connection, model_stream(model))
        self._context.trust.check_aliases(line)
        folded = fold_aliases(line)
        return {alias: VersionRef(model, number) for alias, number in folded.items()}

    def lineage(self, model: str) -> tuple[LineageEdge, ...]:
        """Return from which earlier versions each version came."""
        with read(self._context.engine) as connection:
            return versions.edges(connection, model)

    def contract(self, query: VersionRef, gallery: VersionRef) -> Contract | None:
        """Return how queries of one version are compared with vectors of another, if declared."""
        with read(self._context.engine) as connection:
            trust = self._context.trust
            pair = (resolve(connection, query, trust), resolve(connection, gallery, trust))
            return versions.get_contract(connection, *pair)

    def declare_contract(self, query: VersionRef, gallery: VersionRef, contract: Contract) -> None:
        """Declare how an ordered pair is compared. It can be declared once.

        Raises:
            InvalidInputError: if the contract cannot hold between these two.
            ConflictError: if the pair has a contract already.
        """
        self.declare_contracts([(query, gallery)], contract)

    def declare_contracts(
        self, pairs: Sequence[tuple[VersionRef, VersionRef]], contract: Contract
    ) -> None:
        """Declare how several ordered pairs are compared, all of them or none.

        Args:
            pairs: the query's version and the vectors' version of each.
            contract: how they are compared.

        Raises:
            InvalidInputError: if the contract cannot hold between two of them.
            ConflictError: if a pair has a contract already.
        """
        self.declare_each([(query, gallery, contract) for query, gallery in pairs])

    def declare_each(self, declared: Sequence[tuple[VersionRef, VersionRef, Contract]]) -> None:
        """Declare several ordered pairs, each with a contract of its own, all of them or none.

        Errors are those of `declare_contracts`.
        """
        with write(self._context.engine) as connection:
            for model in sorted({query.model for query, _, _ in declared}):
                versions.model_id(connection, model, lock=True)
            for query, gallery, contract in declared:
                declare(self._context, connection, query, gallery, contract)

    def check_contracts(
        self, pairs: Sequence[tuple[VersionRef, VersionRef]], contract: Contract
    ) -> None:
        """Make all of `declare_contracts`' checks and change nothing."""
        self.check_each([(query, gallery, contract) for query, gallery in pairs])

    def check_each(self, declared: Sequence[tuple[VersionRef, VersionRef, Contract]]) -> None:
        """Make all of `declare_each`'s checks and change nothing."""
        with read(self._context.engine) as connection:
            for query, gallery, contract in declared:
                check(connection, query, gallery, contract)

    def artifact_directory(self, version: ModelVersion) -> Path:
        """Return the folder of a version's artifact, after checking every byte of it.

        Raises:
            NotFoundError: if the version was registered from vectors only.
            DigestMismatchError: if the files are not those that were registered.
        """
        if version.artifact_path is None:
            raise NotFoundError(
                f"{version.ref} has no artifact: only its vectors are known",
                hint="give vectors instead of raw data",
            )
        directory = self._context.storage / version.artifact_path
        if not directory.is_dir() or digest_artifact(directory) != version.artifact_digest:
            raise DigestMismatchError(
                f"the artifact of {version.ref} in {directory} is missing or was changed",
                hint="restore it from a backup; nothing is loaded from it",
            )
        return directory

    def verify_artifact(self, version: ModelVersion) -> Path:
        """Return the folder of a version's artifact, if its tensors give the version's fingerprint.

        `artifact_directory` compares bytes with a digest that lies in the database; this computes
        the fingerprint again, on which certificates rest.

        Raises:
            NotFoundError: if the version was registered from vectors only.
            DigestMismatchError: if the files are not those that were registered.
            CorruptFileError: if one cannot be read.
        """
        directory = self.artifact_directory(version)
        if fingerprint(directory) != version.fingerprint:
            raise DigestMismatchError(
                f"the artifact of {version.ref} in {directory} is of another model: "
                "its tensors do not give the registered fingerprint",
                hint="restore it and the database from a backup; nothing is loaded from it",
            )
        return directory

    def _find(self, model: str, fingerprint: str) -> ModelVersion | None:
        with read(self._context.engine) as connection:
            return with_fingerprint(connection, model, fingerprint)
