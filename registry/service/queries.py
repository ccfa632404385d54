"""Use cases of asking: search, comparison, and why a search found what it found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..arrays import LabelArray
from ..domain.explanations import Explanation
from ..domain.galleries import Metric
from ..domain.refs import VersionRef
from ..vectors import Embeddings, Hits
from . import comparing, explaining
from .comparing import Comparability, Comparison
from .context import Context
from .serving import search_blocks, search_view
from .views import Views


class Queries:
    """What is asked of galleries and of versions. Several threads may ask at once.

    Each answer is of one moment: what others add, delete or promote meanwhile is in it as a whole,
    or not at all.
    """

    def __init__(self, context: Context, views: Views) -> None:
        self._context = context
        self._views = views

    def search(self, gallery: str, queries: Embeddings, k: int = 10) -> Hits:
        """Return the k nearest items of each query, whichever version embedded them.

        Every segment is searched by the comparison contract between the query version and the
        version that made it; every hit names that version.

        Args:
            gallery: name of the gallery.
            queries: embeddings of the gallery's query version.
            k: number of hits, at most the number of items.

        Raises:
            SpaceMismatchError: if the queries are of another version or another space.
            InvalidInputError: if the gallery is empty, k is too large or a query has no direction.
        """
        return search_view(self._views.current(gallery), queries, k)

    def search_batch(
        self,
        gallery: str,
        queries: Embeddings | Iterable[Embeddings],
        k: int = 10,
        *,
        block: int = 4096,
    ) -> Iterator[Hits]:
        """Return the hits of any number of queries, block by block, in bounded memory.

        All blocks are answered by the gallery as it is at this call, whatever happens meanwhile.
        Hits are `search`'s save for the rounding of scores; `Hits.concatenated` joins them.

        Args:
            gallery: name of the gallery.
            queries: embeddings, perhaps of a mapped file, or batches of them as they come.
            k: number of hits, at most the number of items.
            block: the most queries that are answered at once.

        Raises:
            SpaceMismatchError: if queries are of another version or another space.
            InvalidInputError: as `search`, or if a block takes no query.
        """
        return search_blocks(self._views.current(gallery), queries, k, block)

    def explain(
        self, gallery: str, query: Embeddings, item_ids: LabelArray | None = None, k: int = 10
    ) -> Explanation:
        """Return how one query is answered: by which segments, contracts and certificates.

        Args:
            gallery: name of the gallery.
            query: one query of the gallery's query version.
            item_ids: items to tell the fate of; that scores every row, exactly.
            k: number of hits; if there are fewer items, all are hits.

        Raises:
            SpaceMismatchError: if the query is of another version or another space.
            InvalidInputError: if there is not exactly one query, or k is below 1.
        """
        return explaining.explain(self._context, self._views, gallery, query, item_ids, k)

    def compare(
        self,
        a: Embeddings,
        b: Embeddings,
        *,
        metric: Metric = Metric.COSINE,
        pairwise: bool = False,
        require_certified: bool = True,
    ) -> Comparison:
        """Return how similar items are that were embedded by one version, or by two.

        Args:
            a: the query side of the pair's contract, usually the newer version.
            b: its gallery side.
            metric: the similarity.
            pairwise: compare row with row instead of each with each.
            require_certified: refuse a pair of versions that is certified, under that metric, on
                no gallery at present. Without it the result says so, and scores may mean nothing.

        Raises:
            UndeclaredComparisonError: if nobody declared how the pair is compared.
            NotCertifiedError: if no live certificate shows that comparing it means anything.
            SpaceMismatchError: if embeddings are not of the version that they say, or the two are
                of two model lines.
            InvalidInputError: if a vector has no direction, or rows do not pair up.
        """
        return comparing.compare(
            self._context,
            a,
            b,
            metric=metric,
            pairwise=pairwise,
            require_certified=require_certified,
        )

    def comparable(self, query: str | VersionRef, gallery: str | VersionRef) -> Comparability:
        """Return how queries of one version may be compared with vectors of another.

        Raises:
            NotFoundError: if there is no such version.
            SignatureError: if the pair's latest certificate, or an event, is by nobody trusted.
            DigestMismatchError: if it, its evidence or an event was changed.
        """
        return comparing.find_comparability(self._context, query, gallery)
