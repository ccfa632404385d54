"""Declaring how versions compare, and what a declaration implies for their ancestors."""

from __future__ import annotations

from ..db import versions
from ..db.session import Connection
from ..domain.canonical import Json
from ..domain.contracts import Contract, ContractKind
from ..domain.events import EventKind, model_stream
from ..domain.refs import VersionRef
from ..domain.versions import ModelVersion
from ..errors import ConflictError, InvalidInputError
from .context import Context


def declare(
    context: Context,
    connection: Connection,
    query: VersionRef,
    gallery: VersionRef,
    contract: Contract,
) -> None:
    """Declare, in the caller's transaction, how an ordered pair is compared."""
    check(connection, query, gallery, contract)
    versions.insert_contract(
        connection, query, gallery, contract, at=context.clock(), actor=context.actor
    )
    payload: dict[str, Json] = {
        "query_version": query.number,
        "gallery_version": gallery.number,
        "contract": contract.to_json(),
    }
    context.record(connection, model_stream(query.model), EventKind.CONTRACT_DECLARED, payload)


def check(
    connection: Connection, query: VersionRef, gallery: VersionRef, contract: Contract
) -> None:
    """Refuse a contract that cannot hold, or a pair that has one.

    Raises:
        InvalidInputError: if the contract cannot hold between these two.
        ConflictError: if the pair has a contract already.
    """
    pair = (versions.get_version(connection, query), versions.get_version(connection, gallery))
    _check_contract(*pair, contract)
    known = versions.get_contract(connection, *pair)
    if known is not None:
        raise ConflictError(
            f"queries of {query} are compared with vectors of {gallery} already, by the {known}",
            hint="a contract is never changed, for certificates rest on it; nothing was declared",
        )


def inherited(
    connection: Connection, parent: VersionRef, contract: Contract
) -> dict[VersionRef, Contract]:
    """What a contract with a parent implies for the parent's own ancestors: a shorter prefix.

    Implied is only how the vectors line up. Whether search works is for a certificate to say.
    """
    found = {parent: contract}
    old = versions.get_version(connection, parent)
    for ancestor in versions.all_versions(connection, parent.model):
        if ancestor.ref.number < parent.number:
            known = versions.get_contract(connection, old, ancestor)
            if known is not None and not (known.has_own_encoder or contract.has_own_encoder):
                dims = min(known.dims, contract.dims)
                found[ancestor.ref] = Contract(ContractKind.PREFIX, dims)
    return found


def _check_contract(query: ModelVersion, gallery: ModelVersion, contract: Contract) -> None:
    pair = f"{query.ref} on {gallery.ref}"
    if query.ref.model != gallery.ref.model:
        raise InvalidInputError(f"{pair}: versions of two model lines are never compared")
    if query.ref == gallery.ref:
        raise InvalidInputError(f"{pair}: a version is always comparable with itself")
    if contract.has_own_encoder:
        if contract.dims != gallery.dim:
            raise InvalidInputError(
                f"{pair}: {gallery.ref}'s own queries have {gallery.dim} dimensions, not "
                f"{contract.dims}"
            )
        return
    if contract.dims > min(query.dim, gallery.dim):
        raise InvalidInputError(
            f"{pair}: the contract compares {contract.dims} dimensions, "
            f"but they have {query.dim} and {gallery.dim}"
        )
    if contract.kind is ContractKind.SAME_SPACE and {query.dim, gallery.dim} != {contract.dims}:
        raise InvalidInputError(
            f"{pair}: one space has one dimension, but here are {query.dim} and {gallery.dim}, "
            f"of which {contract.dims} are compared",
            hint="declare a prefix",
        )
