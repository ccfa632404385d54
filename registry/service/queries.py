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
from .serving import Asked, search_blocks, search_view
from .views import Views


class Queries:
    """What is asked of galleries and of versions. Several threads may ask at once.

    Each answer is of one moment: what others add, delete or promote meanwhile is in it as a whole,
    or not at all.
    """

    def __init__(self, context: Context, views: Views) -> None:
        self._context = context
        self._views = views

    def search(
        self, gallery: str, queries: Asked, k: int = 10, *, min_score: float | None = None
    ) -> Hits:
        """Return the k nearest items of each query, whichever version embedded them.

        Every segment is searched by the contract between the query version and its own. Every hit
        names that version, its score on the gallery's scale (that of the first version's raw
        scores) and its raw score, which is the same where no certificate holds a calibration.

        Args:
            gallery: name of the gallery.
            queries: embeddings of the query version; and of every version whose vectors are
                searched by its own encoder, in a sequence.
            k: number of hits, at most the number of items.
            min_score: what scores less on the gallery's scale is missing (score -inf, version 0).

        Raises:
            SpaceMismatchError: if queries are of another version or space, or some are missing.
            InvalidInputError: if the gallery is empty, k is too large or a query has no direction.
        """
        return search_view(self._views.current(gallery), queries, k, min_score=min_score)

    def search_batch(
        self,
        gallery: str,
        queries: Embeddings | Iterable[Asked],
        k: int = 10,
        *,
        block: int = 4096,
        min_score: float | None = None,
    ) -> Iterator[Hits]:
        """Return the hits of any number of queries, block by block, in bounded memory.

        All blocks are answered by the gallery as it is at this call, whatever happens meanwhile.
        Hits are `search`'s save for the rounding of scores; `Hits.concatenated` joins them.

        Args:
            gallery: name of the gallery.
            queries: embeddings, perhaps of a mapped file, or batches of them as they come, each
                what `search` takes: a batch may be a sequence of several versions' embeddings.
            k: number of hits, at most the number of items.
            block: the most queries that are answered at once.
            min_score: as `search`'s.

        Raises:
            SpaceMismatchError: if queries are of another version or space, or some are missing.
            InvalidInputError: as `search`, or if a block takes no query.
        """
        view = self._views.current(gallery)
        return search_blocks(view, queries, k, block, min_score=min_score)

    def explain(
        self, gallery: str, query: Asked, item_ids: LabelArray | None = None, k: int = 10
    ) -> Explanation:
        """Return how one query is answered: by which segments, contracts and certificates.

        Args:
            gallery: name of the gallery.
            query: one query of the gallery's query version; and, as for `search`, of every version
                whose vectors are searched by its own encoder.
            item_ids: items to tell the fate of; that scores every row, exactly.
            k: number of hits; if there are fewer items, all are hits.

        Raises:
            SpaceMismatchError: if the query is of another version or space, or one is missing.
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
