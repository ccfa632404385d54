from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest

from registry.arrays import Float32Array
from registry.domain.galleries import IndexSpec, Metric
from registry.errors import BackendError, CorruptFileError, InvalidInputError
from registry.galleries import _faiss, storage

DIM = 8


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    _faiss.set_threads(1)
    yield
    _faiss.set_threads(before)


@pytest.fixture
def vectors(rng: np.random.Generator) -> Float32Array:
    return rng.standard_normal((400, DIM), dtype=np.float32)


def build(
    vectors: Float32Array, factory: str, metric: Metric = Metric.L2, **options: int
) -> _faiss.FaissIndex:
    spec = IndexSpec("faiss", factory, options)
    return _faiss.build([vectors], dim=DIM, metric=metric, spec=spec)


def check(factory: str, metric: Metric = Metric.L2, **options: int) -> None:
    _faiss.check(dim=DIM, metric=metric, spec=IndexSpec("faiss", factory, options))


@pytest.mark.parametrize(
    "factory",
    ["Nonsense", "", "PQ5", "IVF0,Flat", "HNSW0,Flat", "HNSW1", "IVF4_HNSW0,Flat", "Flat,,"],
)
def test_a_bad_factory_is_one_clear_line(factory: str) -> None:
    with pytest.raises(InvalidInputError, match="FAISS cannot make an index") as caught:
        check(factory)
    assert "\n" not in str(caught.value)
    assert "/project/" not in str(caught.value)
    assert caught.value.hint is not None


def test_a_kind_that_silently_takes_another_metric_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="does not support the metric cosine"):
        check("HNSW16,PQ4", Metric.COSINE)
    check("HNSW16,PQ4", Metric.L2)


@pytest.mark.parametrize("n", [0, 30])
def test_too_few_vectors_to_train_is_said_plainly(vectors: Float32Array, n: int) -> None:
    with pytest.raises(InvalidInputError, match=f"{n} vectors are too few to train") as caught:
        build(vectors[:n], "IVF64,Flat")
    assert "Flat" in str(caught.value.hint)


def test_training_writes_nothing_to_stderr(
    vectors: Float32Array, capfd: pytest.CaptureFixture[str]
) -> None:
    build(vectors, "IVF16,PQ4x4fs,RFlat")
    assert capfd.readouterr() == ("", "")


def test_unknown_and_idle_options_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no option 'ef_search'") as caught:
        check("HNSW16,Flat", ef_search=3)
    assert caught.value.hint == "known: efConstruction, efSearch, k_factor, nprobe"
    with pytest.raises(InvalidInputError, match="'nprobe' does not apply to 'HNSW16,Flat'"):
        check("HNSW16,Flat", nprobe=3)
    with pytest.raises(InvalidInputError, match="does not apply to 'Flat'"):
        check("Flat", efSearch=3)
    with pytest.raises(InvalidInputError, match="at least 1 but is 0"):
        check("IVF4,Flat", nprobe=0)


def test_options_reach_faiss(vectors: Float32Array, tmp_path: Path) -> None:
    index = build(vectors, "HNSW16,Flat", efConstruction=77, efSearch=99)
    assert index._index.hnsw.efConstruction == 77
    assert index._parameters.efSearch == 99
    assert build(vectors, "IVF16,Flat", nprobe=5)._parameters.nprobe == 5
    build(vectors, "IVF16,PQ4x4fs,RFlat").save(tmp_path / "i")
    spec = IndexSpec("faiss", "IVF16,PQ4x4fs,RFlat", {"k_factor": 7})
    opened = _faiss.open(tmp_path / "i", dim=DIM, metric=Metric.L2, spec=spec)
    assert opened._parameters.k_factor == 7


def test_options_reach_wrapped_layers(vectors: Float32Array) -> None:
    """The parameters of inner layers live as long as the index that uses them."""
    exact = build(vectors, "Flat").search(vectors[:50], 10).positions
    found = build(vectors, "PCA8,IVF16,Flat", nprobe=16)
    gc.collect()
    np.testing.assert_array_equal(found.search(vectors[:50], 10).positions, exact)
    few = build(vectors, "PCA8,IVF16,Flat", nprobe=1).search(vectors[:50], 10).positions
    assert (few != exact).any()


def test_more_probes_find_more(vectors: Float32Array) -> None:
    exact = build(vectors, "Flat").search(vectors[:50], 10).positions
    found = [
        build(vectors, "IVF32,Flat", nprobe=n).search(vectors[:50], 10).positions for n in (1, 32)
    ]
    shares = [np.mean([len(set(a) & set(b)) for a, b in zip(exact, f, strict=True)]) for f in found]
    assert shares[0] < shares[1] == 10


@pytest.mark.parametrize(
    "factory", ["SQ8", "IVF8,SQ8", "PCA4,Flat", "NSG8,Flat", "PQ4x4", "HNSW8,SQ8"]
)
@pytest.mark.parametrize("metric", list(Metric))
def test_other_kinds_skip_excluded_rows(
    vectors: Float32Array, factory: str, metric: Metric
) -> None:
    index = build(vectors, factory, metric)
    excluded = np.arange(0, 400, 2)
    for k in (1, 20, 200):
        found = index.search(vectors[:9], k, excluded=excluded)
        assert found.positions.shape == (9, k)
        assert (found.positions[found.positions >= 0] % 2 == 1).all()
        assert (found.positions[:, :1] >= 0).all()
    found = index.search(vectors[:9], 10, excluded=np.arange(400))
    assert (found.positions == -1).all()
    assert np.isneginf(found.scores).all()


def test_a_kind_that_cannot_be_filled_is_a_backend_error(vectors: Float32Array) -> None:
    with pytest.raises(BackendError, match="FAISS cannot build 'IDMap,Flat'"):
        build(vectors, "IDMap,Flat")


def test_the_training_sample_is_drawn_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_faiss, "_TRAINING_ROWS", 40)
    rows = np.arange(100, dtype=np.float32)[:, None]
    blocks = [rows[:30], rows[30:30], rows[30:]]
    sample = _faiss._sample(blocks, 1)
    assert len(np.unique(sample)) == 40
    assert {r < 30 for r in sample[:, 0].tolist()} == {True, False}
    np.testing.assert_array_equal(sample, _faiss._sample([rows], 1))


def test_vectors_are_normalised_in_a_copy(vectors: Float32Array) -> None:
    before = vectors.copy()
    index = build(vectors, "Flat", Metric.COSINE)
    found = index.search(before[:5] / np.linalg.norm(before[:5], axis=1, keepdims=True), 1)
    np.testing.assert_array_equal(vectors, before)
    np.testing.assert_allclose(found.scores, 1, rtol=1e-6)


def test_an_opened_index_offers_no_way_to_change_it(vectors: Float32Array, tmp_path: Path) -> None:
    build(vectors, "Flat").save(tmp_path / "i")
    opened = _faiss.open(tmp_path / "i", dim=DIM, metric=Metric.L2, spec=IndexSpec())
    assert {name for name in dir(opened) if not name.startswith("_")} == {"search", "save"}


def test_a_full_disk_is_noticed_when_saving(vectors: Float32Array, tmp_path: Path) -> None:
    """FAISS's own writer reports nothing here: the bytes fit its buffer, closing fails."""
    index = build(vectors[:3], "Flat")
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        index.save(tmp_path / "full")


def test_a_saved_index_is_stored_with_its_digest(vectors: Float32Array, tmp_path: Path) -> None:
    index = build(vectors, "HNSW16,Flat")
    file = storage.write_index(tmp_path, "i/1.faiss", index)
    path = storage.verify_file(tmp_path, file)
    assert path.stat().st_size == file.n_bytes
    assert faiss.read_index(str(path)).ntotal == 400


def test_a_missing_file_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="is not a FAISS index"):
        _faiss.open(tmp_path / "none", dim=DIM, metric=Metric.L2, spec=IndexSpec())


def test_faiss_is_imported_only_here() -> None:
    program = (
        "import sys, registry.galleries.search, registry.galleries.catalog as c;"
        "c.load_backend('exact'); assert 'faiss' not in sys.modules;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
