"""Model lines, their versions, lineage and comparison contracts."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from ..domain.canonical import canonical_json
from ..domain.contracts import Contract, ContractKind
from ..domain.refs import VersionRef
from ..domain.versions import LineageEdge, ModelVersion, SpaceDescription
from ..errors import NotFoundError
from .session import to_moment, to_text
from .tables import contracts, lineage, model_versions, models


def model_names(connection: Connection) -> tuple[str, ...]:
    """Return the names of all model lines."""
    return tuple(connection.execute(select(models.c.name).order_by(models.c.name)).scalars())


def model_id(connection: Connection, name: str, *, lock: bool = False) -> int:
    """Return the key of a model line; with `lock`, hold its row until the transaction ends.

    Raises:
        NotFoundError: if there is no such line.
    """
    query = select(models.c.id).where(models.c.name == name)
    found = connection.execute(query.with_for_update() if lock else query).scalar()
    if found is None:
        raise NotFoundError.among("model", name, model_names(connection))
    return int(found)


def insert_model(connection: Connection, name: str, version: ModelVersion) -> int:
    """Make a new model line on behalf of its first version and return its key."""
    values = {
        "name": name,
        "created_at": to_text(version.created_at),
        "created_by": version.created_by,
    }
    return int(
        connection.execute(insert(models).values(**values).returning(models.c.id)).scalar_one()
    )


def insert_version(connection: Connection, line: int, version: ModelVersion) -> None:
    """Add a version to a model line."""
    connection.execute(
        insert(model_versions).values(
            model_id=line,
            number=version.ref.number,
            fingerprint=version.fingerprint,
            description=canonical_json(version.description.to_json()),
            artifact_path=version.artifact_path,
            artifact_digest=version.artifact_digest,
            training=canonical_json(dict(version.training)),
            created_at=to_text(version.created_at),
            created_by=version.created_by,
        )
    )


def _select_versions() -> Select[Any]:
    return (
        select(model_versions, models.c.name.label("model"))
        .join(models)
        .order_by(models.c.name, model_versions.c.number)
    )


def all_versions(connection: Connection, model: str | None = None) -> tuple[ModelVersion, ...]:
    """Return the versions of one model line, or of all."""
    query = _select_versions()
    if model is not None:
        query = query.where(model_versions.c.model_id == model_id(connection, model))
    return tuple(_version(row) for row in connection.execute(query))


def get_version(connection: Connection, ref: VersionRef) -> ModelVersion:
    """Return one version.

    Raises:
        NotFoundError: if the line or the number does not exist.
    """
    line = model_id(connection, ref.model)
    query = _select_versions().where(
        model_versions.c.model_id == line, model_versions.c.number == ref.number
    )
    row = connection.execute(query).first()
    if row is None:
        known = [str(v.ref) for v in all_versions(connection, ref.model)]
        raise NotFoundError.among("model version", str(ref), known)
    return _version(row)


def version_id(connection: Connection, ref: VersionRef) -> int:
    """Return the key of a version.

    Raises:
        NotFoundError: if the line or the number does not exist.
    """
    query = select(model_versions.c.id).join(models)
    query = query.where(models.c.name == ref.model, model_versions.c.number == ref.number)
    found = connection.execute(query).scalar()
    if found is None:
        known = [str(version.ref) for version in all_versions(connection, ref.model)]
        raise NotFoundError.among("model version", str(ref), known)
    return int(found)


def _version(row: Row[Any]) -> ModelVersion:
    return ModelVersion(
        ref=VersionRef(row.model, row.number),
        fingerprint=row.fingerprint,
        description=SpaceDescription.from_json(json.loads(row.description)),
        artifact_path=row.artifact_path,
        artifact_digest=row.artifact_digest,
        training=json.loads(row.training),
        created_at=to_moment(row.created_at),
        created_by=row.created_by,
    )


def insert_edge(connection: Connection, edge: LineageEdge) -> None:
    """Record that a version came from an earlier one."""
    values = {
        "child_id": version_id(connection, edge.child),
        "parent_id": version_id(connection, edge.parent),
        "relation": edge.relation,
    }
    connection.execute(insert(lineage).values(**values))


def edges(connection: Connection, model: str) -> tuple[LineageEdge, ...]:
    """Return a model line's lineage, oldest child first."""
    child, parent = model_versions.alias("child"), model_versions.alias("parent")
    query = (
        select(child.c.number, parent.c.number, lineage.c.relation)
        .select_from(lineage)
        .join(child, child.c.id == lineage.c.child_id)
        .join(parent, parent.c.id == lineage.c.parent_id)
        .where(child.c.model_id == model_id(connection, model))
        .order_by(child.c.number, parent.c.number)
    )
    return tuple(
        LineageEdge(VersionRef(model, row[0]), VersionRef(model, row[1]), row[2])
        for row in connection.execute(query)
    )


def insert_contract(
    connection: Connection,
    query_version: VersionRef,
    gallery_version: VersionRef,
    contract: Contract,
    *,
    at: datetime,
    actor: str,
) -> None:
    """Declare how an ordered pair is compared."""
    connection.execute(
        insert(contracts).values(
            query_version_id=version_id(connection, query_version),
            gallery_version_id=version_id(connection, gallery_version),
            kind=contract.kind.value,
            dims=contract.dims,
            created_at=to_text(at),
            created_by=actor,
        )
    )


def get_contract(
    connection: Connection, query_version: ModelVersion, gallery_version: ModelVersion
) -> Contract | None:
    """Return how an ordered pair is compared, or None if nobody declared it.

    A version is always comparable with itself.
    """
    if query_version.ref == gallery_version.ref:
        return Contract(ContractKind.SAME_SPACE, query_version.dim)
    query = select(contracts).where(
        contracts.c.query_version_id == version_id(connection, query_version.ref),
        contracts.c.gallery_version_id == version_id(connection, gallery_version.ref),
    )
    row = connection.execute(query).first()
    return Contract(ContractKind(row.kind), row.dims) if row else None
