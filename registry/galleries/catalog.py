"""The catalog of index back ends."""

from __future__ import annotations

from typing import cast

from ..catalog import Catalog
from ..domain.galleries import IndexSpec, Metric
from .protocol import Backend

BACKENDS = Catalog(
    kind="index back end",
    built_in={
        "exact": "registry.galleries._exact",
        "faiss": "registry.galleries._faiss",
    },
    group="samespace.gallery_backends",
    extra="all",
    offers=("check", "build", "open"),  # see `registry.galleries.protocol.Backend`
)


def load_backend(name: str) -> Backend:
    """Import the back end of that name.

    Raises:
        NotFoundError: if nothing has that name.
        BackendUnavailableError: if a dependency is not installed.
        InvalidInputError: if a plug-in cannot be imported, or lacks one of a back end's three
            functions.
    """
    return cast("Backend", BACKENDS.load(name))


def check_spec(spec: IndexSpec, *, dim: int | None = None, metric: Metric = Metric.COSINE) -> None:
    """Refuse a spec that no segment could be sealed with.

    Args:
        spec: the back end, its recipe and its options.
        dim: dimension of the vectors; without it only the back end's name is checked.
        metric: the gallery's metric.

    Raises:
        NotFoundError: if there is no such back end.
        BackendUnavailableError: if a dependency of it is not installed.
        InvalidInputError: if the recipe or an option is wrong for that dimension and metric.
    """
    backend = load_backend(spec.backend)
    if dim is not None:
        backend.check(dim=dim, metric=metric, spec=spec)
