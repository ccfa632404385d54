"""Comparing embeddings of two versions outside search, and what is known of doing so.

Search compares by contracts that a promotion proved. Here nobody promoted anything, so the proof
is asked for each time: unless the caller says otherwise, a live certificate of the ordered pair on
some gallery of the same metric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..arrays import Float32Array, LabelArray
from ..arrow_columns import id_column
from ..db import galleries, versions
from ..db.session import Connection, read
from ..domain.certificates import Certificate
from ..domain.contracts import Contract
from ..domain.galleries import Metric
from ..domain.refs import VersionRef
from ..domain.versions import ModelVersion
from ..errors import (
    InvalidInputError,
    NotCertifiedError,
    SpaceMismatchError,
    UndeclaredComparisonError,
)
from ..galleries.pair_scores import score_all, score_rows
from ..vectors import Embeddings, check_no_zero_vectors
from .context import Context, resolve
from .standing import find_live
from .views import GalleryState, read_state


@dataclass(frozen=True, slots=True)
class Comparability:
    """What is known of comparing queries of one version with vectors of another.

    Attributes:
        contract: how they are compared, or None if nobody declared it.
        certified_on: galleries with a live COMPATIBLE certificate for the pair.
    """

    contract: Contract | None
    certified_on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How similar the items of one side are to those of the other.

    Attributes:
        query_ids: items of the query side. Shape: (n,).
        gallery_ids: items of the gallery side. Shape: (m,).
        scores: similarities, larger is closer. Shape: (n, m), or (n,) if row met row.
        query_version: the version that embedded the query side.
        gallery_version: the version that embedded the gallery side.
        metric: the similarity.
        comparability: how the two were compared, and where that is certified for this metric;
            nowhere if both sides are of one version, which needs no certificate.
    """

    query_ids: LabelArray
    gallery_ids: LabelArray
    scores: Float32Array
    query_version: VersionRef
    gallery_version: VersionRef
    metric: Metric
    comparability: Comparability

    def to_arrow(self) -> pa.Table:
        """Return a table with the columns query, id and score, a row for every score."""
        n, m = len(self.query_ids), len(self.gallery_ids)
        is_paired = self.scores.ndim == 1
        queries = self.query_ids if is_paired else np.repeat(self.query_ids, m)
        items = self.gallery_ids if is_paired else np.tile(self.gallery_ids, n)
        scores = self.scores.reshape(-1)
        return pa.table({"query": id_column(queries), "id": id_column(items), "score": scores})


def find_comparability(
    context: Context, query: str | VersionRef, gallery: str | VersionRef
) -> Comparability:
    """Return how queries of one version may be compared with vectors of another.

    Raises:
        NotFoundError: if there is no such version.
        SignatureError: if the latest certificate of the pair is by nobody trusted.
        DigestMismatchError: if it, its evidence or an event was changed.
    """
    with read(context.engine) as connection:
        pair = (
            resolve(connection, query, context.trust),
            resolve(connection, gallery, context.trust),
        )
        return _comparability(context, connection, *pair, metric=None)


def _comparability(
    context: Context,
    connection: Connection,
    query: ModelVersion,
    held: ModelVersion,
    *,
    metric: Metric | None,
) -> Comparability:
    if query.ref.model != held.ref.model:
        return Comparability(None, ())
    contract = versions.get_contract(connection, query, held)
    certified = []
    for name in galleries.gallery_names(connection):
        gallery = galleries.get_gallery(connection, name)
        if gallery.model == query.ref.model and metric in {None, gallery.metric}:
            state = read_state(connection, name)
            if find_verified(context, connection, state, query.ref, held.ref)[0] is not None:
                certified.append(name)
    return Comparability(contract, tuple(certified))


def find_verified(
    context: Context,
    connection: Connection,
    state: GalleryState,
    query: VersionRef,
    held: VersionRef,
) -> tuple[Certificate | None, str]:
    """Return the live certificate of a pair on a gallery, or None with the reason why not.

    The chain of events that names it is verified first, as far as there is a key to verify with.

    Raises:
        SignatureError: if an event or the certificate is by nobody trusted.
        DigestMismatchError: if an event, the certificate or its evidence was changed.
    """
    if context.trust.is_active:
        context.trust.check_line(state.line)
    return find_live(context, connection, state, query, held)


def compare(
    context: Context,
    a: Embeddings,
    b: Embeddings,
    *,
    metric: Metric,
    pairwise: bool,
    require_certified: bool,
) -> Comparison:
    """Return the scores of items of one or of two versions; see `Registry.compare`."""
    if pairwise and len(a) != len(b):
        raise InvalidInputError(
            f"row by row, both sides must be of one length, but they are {len(a)} and {len(b)}",
            hint="leave out pairwise=True to compare each with each",
        )
    with read(context.engine) as connection:
        query, held = (_registered(connection, side.version) for side in (a, b))
        known = _comparability(context, connection, query, held, metric=metric)
    contract = _check_known(query.ref, held.ref, known, metric, require_certified)
    if metric is Metric.COSINE:
        check_no_zero_vectors(b.vectors)
    score = score_rows if pairwise else score_all
    scores = score(a.vectors, b.vectors, contract, metric)
    return Comparison(a.ids, b.ids, scores, query.ref, held.ref, metric, known)


def _registered(connection: Connection, version: ModelVersion) -> ModelVersion:
    """Return a version as it is registered, if it is the one that the embeddings say."""
    found = versions.get_version(connection, version.ref)
    if found.fingerprint != version.fingerprint:
        raise SpaceMismatchError(
            f"embeddings say they are of {version.ref} but carry another fingerprint: "
            f"{version.fingerprint[:19]}…, not {found.fingerprint[:19]}…",
            hint="they were made by another model, or are of another registry",
        )
    return found


def _check_known(
    query: VersionRef,
    held: VersionRef,
    known: Comparability,
    metric: Metric,
    require_certified: bool,
) -> Contract:
    pair = f"{query} with vectors of {held}"
    if query.model != held.model:
        raise SpaceMismatchError(
            f"queries of {pair} cannot be compared: they are of two model lines",
            hint="only versions of one model line can have a space in common",
        )
    if known.contract is None:
        raise UndeclaredComparisonError(
            f"nobody declared how queries of {pair} are compared",
            hint=f"samespace model declare {query} {held} --dims N, then certify",
        )
    if known.contract.has_own_encoder:
        raise SpaceMismatchError(
            f"queries of {pair} have no scores: those vectors are searched by queries of {held}",
            hint=f"embed both sides with {held}",
        )
    if require_certified and query != held and not known.certified_on:
        raise NotCertifiedError(
            f"no live COMPATIBLE certificate, on any gallery under {metric}, shows that comparing "
            f"queries of {pair} ({known.contract}) means anything",
            hint="samespace certify; or take the scores as unproven: require_certified=False",
        )
    return known.contract
