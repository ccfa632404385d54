"""Writing a new version with its parents, in one transaction; keeping a copy of its files."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..artifacts import FILES, digest_artifact
from ..db import versions
from ..db.session import Connection, write
from ..domain.canonical import Json
from ..domain.contracts import Contract
from ..domain.events import EventKind, model_stream
from ..domain.refs import VersionRef
from ..domain.versions import LineageEdge, ModelVersion, SpaceDescription
from ..errors import DigestMismatchError, InvalidInputError, StorageError
from .context import Context
from .contracts import declare, inherited


@dataclass(frozen=True, slots=True)
class Parent:
    """What a new version came from.

    Attributes:
        ref: the earlier version.
        relation: how, such as ``compatible: oca`` or ``trained beside``.
        contract: how the two are compared in both directions, or None if they are not.
    """

    ref: VersionRef
    relation: str
    contract: Contract | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """The outcome of registering: the version, and whether it is new."""

    version: ModelVersion
    is_new: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that is not registered yet."""

    fingerprint: str
    description: SpaceDescription
    artifact_path: str | None
    artifact_digest: str | None
    training: Mapping[str, Json] = field(default_factory=dict)


def keep_artifact(context: Context, model: str, directory: Path, digest: str) -> str:
    """Copy an artifact into the storage and return its path there.

    Raises:
        StorageError: if the file system refuses; nothing half-copied remains.
    """
    relative = f"models/{model}/{digest[:16]}"
    target = context.storage / relative
    with suppress(OSError):
        os.utime(target)  # young again: 'gallery prune' leaves it until a row names it
    if _holds(target, digest):
        return relative
    temporary = target.with_name(f".{digest[:16]}-{uuid.uuid4().hex}")
    try:
        _copy(directory, temporary, digest)
        _place(temporary, target, digest)
    except OSError as error:
        raise StorageError(f"cannot keep the artifact in {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return relative


def _holds(target: Path, digest: str) -> bool:
    return target.is_dir() and digest_artifact(target) == digest


def _copy(directory: Path, temporary: Path, digest: str) -> None:
    """Copy what the digest covers and nothing else that may lie there, such as checkpoints."""
    temporary.mkdir(parents=True)
    for name in FILES:
        if (directory / name).is_file():
            shutil.copyfile(directory / name, temporary / name)
            _flush(temporary / name)
    _flush(temporary)
    if digest_artifact(temporary) != digest:
        raise DigestMismatchError(
            f"the artifact in {directory} changed while it was copied", hint="register it again"
        )


def _place(temporary: Path, target: Path, digest: str) -> None:
    if target.exists() and not _holds(target, digest):
        target.replace(temporary.with_suffix(".damaged"))
    try:
        temporary.replace(target)
    except OSError:
        if not _holds(target, digest):  # else another process was faster
            raise
    shutil.rmtree(temporary.with_suffix(".damaged"), ignore_errors=True)
    _flush(target.parent)


def _flush(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def insert(
    context: Context,
    model: str,
    candidate: Candidate,
    parents: Sequence[Parent],
    contracts: Mapping[VersionRef, Contract],
) -> Registration:
    """Register a candidate with its lineage and contracts, or find that it is known."""
    with write(context.engine) as connection:
        if model in versions.model_names(connection):
            versions.model_id(connection, model, lock=True)
        existing = with_fingerprint(connection, model, candidate.fingerprint)
        if existing is not None:
            return Registration(existing, is_new=False)
        version = _insert_version(context, connection, model, candidate)
        _insert_parents(context, connection, version, parents, contracts)
    return Registration(version, is_new=True)


def _insert_version(
    context: Context, connection: Connection, model: str, candidate: Candidate
) -> ModelVersion:
    is_new_line = model not in versions.model_names(connection)
    number = 1
    if not is_new_line:
        number = len(versions.all_versions(connection, model)) + 1
    version = ModelVersion(
        ref=VersionRef(model, number),
        fingerprint=candidate.fingerprint,
        description=candidate.description,
        artifact_path=candidate.artifact_path,
        artifact_digest=candidate.artifact_digest,
        training=candidate.training,
        created_at=context.clock(),
        created_by=context.actor,
    )
    if is_new_line:
        line = versions.insert_model(connection, model, version)
    else:
        line = versions.model_id(connection, model)
    versions.insert_version(connection, line, version)
    payload: dict[str, Json] = {
        "version": number,
        "fingerprint": version.fingerprint,
        "dim": version.dim,
    }
    context.record(connection, model_stream(model), EventKind.VERSION_REGISTERED, payload)
    return version


def check_parents(
    connection: Connection,
    model: str,
    dim: int,
    parents: Sequence[Parent],
    contracts: Mapping[VersionRef, Contract],
) -> None:
    """Refuse parents and contracts that a new version of so many dimensions cannot have.

    Raises:
        InvalidInputError: if one is of another line, or cannot be compared as it is said.
    """
    for ref, contract in (*((p.ref, p.contract) for p in parents), *contracts.items()):
        if ref.model != model:
            raise InvalidInputError(f"{ref} is not of the line {model!r}")
        known = versions.get_version(connection, ref).dim
        if contract is not None and contract.dims > min(dim, known):
            raise InvalidInputError(
                f"the first {contract.dims} dimensions cannot be compared: the new version "
                f"has {dim} and {ref} has {known}; nothing was registered",
                hint=f"compare at most {min(dim, known)}: --dims {min(dim, known)}",
            )


def _insert_parents(
    context: Context,
    connection: Connection,
    version: ModelVersion,
    parents: Sequence[Parent],
    contracts: Mapping[VersionRef, Contract],
) -> None:
    """Record lineage and contracts: what is said goes before what is inherited."""
    check_parents(connection, version.ref.model, version.dim, parents, contracts)
    said: dict[VersionRef, Contract] = dict(contracts)
    implied: dict[VersionRef, Contract] = {}
    for parent in parents:
        versions.insert_edge(connection, LineageEdge(version.ref, parent.ref, parent.relation))
        if parent.contract is not None:
            said[parent.ref] = parent.contract
            for ref, contract in inherited(connection, parent.ref, parent.contract).items():
                shortest = min(contract, implied.get(ref, contract), key=lambda c: c.dims)
                implied[ref] = shortest
    for ref, contract in sorted({**implied, **said}.items()):
        declare(context, connection, version.ref, ref, contract)
        declare(context, connection, ref, version.ref, contract)


def with_fingerprint(connection: Connection, model: str, fingerprint: str) -> ModelVersion | None:
    """Return the version of a line that has this fingerprint, if any."""
    if model not in versions.model_names(connection):
        return None
    line = versions.all_versions(connection, model)
    return next((v for v in line if v.fingerprint == fingerprint), None)
