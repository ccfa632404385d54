"""FAISS factory strings and options: read, checked, and applied to each layer of an index.

Search-time defaults are ours, because FAISS's own (one probe, 16 candidates) are made for speed
alone: ``efSearch`` 64, ``nprobe`` 1/32 of the lists but at least 8, ``k_factor`` 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import faiss as _swig

from ..domain.galleries import IndexSpec, Metric
from ..errors import InvalidInputError

faiss: Any = _swig  # its types know nothing of what its Python part adds to its classes

_OPTIONS = ("efConstruction", "efSearch", "k_factor", "nprobe")
_FATAL = re.compile(r"HNSW0*[01](?!\d)|IVF0+(?!\d)")
_SIGNATURE = re.compile(r"^Error in .* at \S+:\d+: (Error: )?")


def empty_index(dim: int, metric: Metric, spec: IndexSpec) -> Any:
    """Return a new index with its build-time options applied.

    Raises:
        InvalidInputError: if FAISS cannot make it, would crash on it, or would silently take
            another metric; or if an option is unknown or does not apply.
    """
    hint = "see FAISS's index factory, for example 'Flat', 'HNSW32,Flat' or 'IVF256,Flat'"
    if _FATAL.search(spec.factory):  # FAISS takes these and then ends the process
        raise InvalidInputError(
            f"FAISS cannot make an index {spec.factory!r}: it needs more links or lists", hint=hint
        )
    try:
        index = faiss.index_factory(dim, spec.factory, metric_type(metric))
    except RuntimeError as error:
        raise InvalidInputError(
            f"FAISS cannot make an index {spec.factory!r} of {dim} dimensions for "
            f"{metric.value}: {reason(error)}",
            hint=hint,
        ) from error
    if index.metric_type != metric_type(metric):  # some kinds silently take l2
        raise InvalidInputError(
            f"FAISS's index {spec.factory!r} does not support the metric {metric.value}", hint=hint
        )
    check_options(index, spec)
    for layer in layers(index):
        _set_up(layer, spec)
    return index


def layers(index: Any) -> Iterator[Any]:
    """Yield an index and, outermost first, those that it wraps."""
    while True:
        yield index
        if isinstance(index, faiss.IndexRefine):
            index = faiss.downcast_index(index.base_index)
        elif isinstance(index, faiss.IndexPreTransform):
            index = faiss.downcast_index(index.index)
        else:
            return


def _set_up(layer: Any, spec: IndexSpec) -> None:
    """Apply build-time options, and keep FAISS from writing its training hints to stderr."""
    if isinstance(layer, faiss.IndexHNSW):
        layer.hnsw.efConstruction = spec.options.get("efConstruction", layer.hnsw.efConstruction)
    if isinstance(layer, faiss.IndexIVF):
        layer.cp.min_points_per_centroid = 1
    if hasattr(layer, "pq"):
        layer.pq.cp.min_points_per_centroid = 1


def default_options(index: Any) -> dict[str, int]:
    """Return the search options that apply to an index, with our values."""
    options: dict[str, int] = {}
    for layer in layers(index):
        if isinstance(layer, faiss.IndexHNSW):
            options["efSearch"] = 64
        elif isinstance(layer, faiss.IndexIVF):
            options["nprobe"] = min(layer.nlist, max(8, layer.nlist // 32))
        elif isinstance(layer, faiss.IndexRefine):
            options["k_factor"] = 4
    return options


def check_options(index: Any, spec: IndexSpec) -> None:
    """Raise InvalidInputError if an option is unknown, does not apply, or is below 1."""
    applicable = set(default_options(index))
    if "efSearch" in applicable:
        applicable.add("efConstruction")
    for name, value in spec.options.items():
        if name not in _OPTIONS:
            raise InvalidInputError(
                f"FAISS has no option {name!r}", hint="known: " + ", ".join(_OPTIONS)
            )
        if name not in applicable:
            known = ", ".join(sorted(applicable)) or "none"
            raise InvalidInputError(
                f"option {name!r} does not apply to {spec.factory!r}", hint=f"applicable: {known}"
            )
        if value < 1:
            raise InvalidInputError(f"option {name!r} must be at least 1 but is {value}")


def search_parameters(index: Any, options: Mapping[str, int], selector: Any) -> Any:
    """Return FAISS's parameters of an index and of those that it wraps."""
    if isinstance(index, faiss.IndexRefine):
        base = search_parameters(faiss.downcast_index(index.base_index), options, selector)
        return faiss.IndexRefineSearchParameters(
            k_factor=float(options["k_factor"]), base_index_params=base
        )
    if isinstance(index, faiss.IndexPreTransform):
        inner = search_parameters(faiss.downcast_index(index.index), options, selector)
        return faiss.SearchParametersPreTransform(index_params=inner)
    selected = {} if selector is None else {"sel": selector}
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=options["efSearch"], **selected)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(nprobe=options["nprobe"], **selected)
    return faiss.SearchParameters(**selected) if selected else None


def metric_type(metric: Metric) -> int:
    """Return FAISS's number of a metric; under cosine vectors are normalised by us."""
    return int(faiss.METRIC_L2 if metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT)


def reason(error: RuntimeError) -> str:
    """Return what FAISS found, without its C++ signature."""
    return _SIGNATURE.sub("", " ".join(str(error).split()))[:200]
