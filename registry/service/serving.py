"""The door of search: only the version in force may query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..arrays import Float32Array
from ..errors import InvalidInputError, SpaceMismatchError
from ..galleries.search import check_k, check_min_score, search_segments
from ..vectors import Embeddings, Hits
from .views import GalleryState, GalleryView

# queries of the version in force, or the same queries as several versions embedded them
Asked = Embeddings | Sequence[Embeddings]


def check_queries(
    view: GalleryView, queries: Asked
) -> tuple[Float32Array, dict[int, Float32Array]]:
    """Return the queries as the version in force embedded them, and as others did, by number.

    Raises:
        SpaceMismatchError: if those of the version in force are missing, or those of a version
            whose vectors are searched by its own encoder, or some are of another space.
        InvalidInputError: if there are no queries, a version's come twice, or they are not the
            same queries.
    """
    state = view.state
    given = [queries] if isinstance(queries, Embeddings) else list(queries)
    by_version = {one.version.ref: one for one in given}
    asked = by_version.get(state.query_version.ref, given[0] if given else None)
    if asked is None:
        raise InvalidInputError("there are no queries to search with")
    check_query(state, asked)
    if len(by_version) < len(given):
        raise InvalidInputError("queries of one version were given twice", hint="give each once")
    missing = [str(ref) for ref in view.own_encoders if ref not in by_version]
    if missing:
        raise SpaceMismatchError(
            f"gallery {state.gallery.name!r} holds vectors of {', '.join(missing)}, which queries "
            "of their own version search, but no such queries were given",
            hint=f"embed the queries with {missing[0]} as well: --queries {missing[0]}=FILE",
        )
    others = [one for one in given if one is not asked]
    for one in others:
        _check_other(state, asked, one)
    return asked.vectors, {one.version.ref.number: one.vectors for one in others}


def _check_other(state: GalleryState, asked: Embeddings, other: Embeddings) -> None:
    ref = other.version.ref
    known = state.versions.get(ref.number)
    if known is None or (known.ref, known.fingerprint) != (ref, other.version.fingerprint):
        raise SpaceMismatchError(
            f"the queries of {ref} are not of a version of {state.gallery.model!r}",
            hint="they were made by another model",
        )
    if asked.ids.tolist() != other.ids.tolist():
        raise InvalidInputError(
            f"queries of {asked.version.ref} and of {ref} have other ids",
            hint="rows of all versions must be the same queries in the same order",
        )


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


def search_view(
    view: GalleryView, queries: Asked, k: int, *, min_score: float | None = None
) -> Hits:
    """Return the k nearest items of each query in a gallery as it was opened."""
    asked, own = check_queries(view, queries)
    metric = view.state.gallery.metric
    return search_segments(view.targets, asked, k, metric, min_score=min_score, own=own)


def search_blocks(
    view: GalleryView,
    queries: Embeddings | Iterable[Asked],
    k: int,
    block: int,
    *,
    min_score: float | None = None,
) -> Iterator[Hits]:
    """Return an iterator over the hits of blocks of queries; see `Queries.search_batch`.

    What can be refused is refused now, not when the first block is asked for.
    """
    if block < 1:
        raise InvalidInputError(f"a block takes at least 1 query, not {block}")
    if isinstance(queries, Embeddings):
        check_queries(view, queries)
    check_k(k, view.targets)
    check_min_score(min_score)
    batches = (queries,) if isinstance(queries, Embeddings) else queries
    return _search_blocks(view, batches, k, block, min_score)


def _search_blocks(
    view: GalleryView, batches: Iterable[Asked], k: int, block: int, min_score: float | None
) -> Iterator[Hits]:
    metric = view.state.gallery.metric
    for batch in batches:
        asked, own = check_queries(view, batch)
        for start in range(0, len(asked), block):
            rows = slice(start, start + block)
            others = {number: vectors[rows] for number, vectors in own.items()}
            yield search_segments(
                view.targets, asked[rows], k, metric, min_score=min_score, own=others
            )
