from __future__ import annotations

from collections.abc import Iterator

import faiss
import pytest

from registry.domain.galleries import IndexSpec
from registry.galleries import _faiss
from registry.testing import VectorIndexTestCase


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """FAISS trains in thousands of tiny parallel steps, which crawl where cores are contended."""
    before = faiss.omp_get_max_threads()
    _faiss.set_threads(1)
    yield
    _faiss.set_threads(before)


class TestFlat(VectorIndexTestCase):
    backend = _faiss
    spec = IndexSpec("faiss", "Flat")


class TestHnsw(VectorIndexTestCase):
    backend = _faiss
    spec = IndexSpec("faiss", "HNSW32,Flat", {"efSearch": 128})
    min_recall = 0.95


class TestIvf(VectorIndexTestCase):
    backend = _faiss
    spec = IndexSpec("faiss", "IVF32,Flat", {"nprobe": 16})
    min_recall = 0.9


class TestIvfFastScanRefined(VectorIndexTestCase):
    backend = _faiss
    spec = IndexSpec("faiss", "IVF32,PQ8x4fs,RFlat", {"nprobe": 16, "k_factor": 8})
    min_recall = 0.9


class TestWithoutSelectors(VectorIndexTestCase):
    """FAISS cannot skip rows in this kind of index, so that more is fetched and filtered."""

    backend = _faiss
    spec = IndexSpec("faiss", "PQ8x4fs,RFlat", {"k_factor": 16})
    min_recall = 0.9
