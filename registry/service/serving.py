"""The door of search: only the version in force may query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import InvalidInputError, SpaceMismatchError
from ..galleries.search import check_k, search_segments
from ..vectors import Embeddings, Hits
from .views import GalleryState, GalleryView


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


def search_view(view: GalleryView, queries: Embeddings, k: int) -> Hits:
    """Return the k nearest items of each query in a gallery as it was opened."""
    check_query(view.state, queries)
    return search_segments(view.targets, queries.vectors, k, view.state.gallery.metric)


def search_blocks(
    view: GalleryView, queries: Embeddings | Iterable[Embeddings], k: int, block: int
) -> Iterator[Hits]:
    """Return an iterator over the hits of blocks of queries; see `Registry.search_batch`.

    What can be refused is refused now, not when the first block is asked for.
    """
    if block < 1:
        raise InvalidInputError(f"a block takes at least 1 query, not {block}")
    if isinstance(queries, Embeddings):
        check_query(view.state, queries)
    check_k(k, view.targets)
    batches = (queries,) if isinstance(queries, Embeddings) else queries
    return _search_blocks(view, batches, k, block)


def _search_blocks(
    view: GalleryView, batches: Iterable[Embeddings], k: int, block: int
) -> Iterator[Hits]:
    metric = view.state.gallery.metric
    for batch in batches:
        check_query(view.state, batch)
        for start in range(0, len(batch), block):
            rows = batch.vectors[start : start + block]
            yield search_segments(view.targets, rows, k, metric)
