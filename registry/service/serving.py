"""The door of search: only the version in force may query."""

from __future__ import annotations

from ..errors import InvalidInputError, SpaceMismatchError
from ..vectors import Embeddings
from .views import GalleryState


def check_query(state: GalleryState, queries: Embeddings) -> None:
    """Refuse queries that are not of the space that the gallery is queried in.

    Raises:
        SpaceMismatchError: if the version or the fingerprint is another.
        InvalidInputError: if there are no queries.
    """
    expected, found = state.query_version, queries.version
    if found.ref != expected.ref:
        raise SpaceMismatchError(
            f"gallery {state.gallery.name!r} is queried by {expected.ref}, not by {found.ref}",
            hint=f"embed queries with {expected.ref}, or certify and promote {found.ref}",
        )
    if found.fingerprint != expected.fingerprint:
        raise SpaceMismatchError(
            f"the queries say they are of {found.ref} but carry another fingerprint: "
            f"{found.fingerprint[:19]}…, not {expected.fingerprint[:19]}…",
            hint="they were made by another model",
        )
    if len(queries) == 0:
        raise InvalidInputError("there are no queries to search with")
