"""Promotion against the size of the gallery, beside re-embedding and re-indexing.

Usage: python benchmarks/promote.py [--sizes 1000 100000 1000000] [--repeats 15]
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import faiss
import numpy as np
import torch

from benchmarks.measuring import report
from compat.backbones.catalog import build_backbone
from compat.encoder_files import save_encoder
from compat.encoders import Encoder
from compat.preprocessing import Preprocessing
from registry import (
    Contract,
    ContractKind,
    Embeddings,
    ModelVersion,
    Parent,
    Registry,
    SpaceDescription,
)
from registry.domain.attempts import Attempt
from registry.domain.certificates import Certificate, Control, Finding, Verdict
from registry.domain.policies import Policy

DIM = 128


def fill(folder: Path, n: int) -> Registry:
    """Make a registry with a sealed gallery of n random vectors and a certified second version."""
    registry = Registry.create(folder, keys=folder.with_name("keys"))
    space = SpaceDescription({}, {}, normalised=False, dim=DIM)
    old = registry.models.register_vectors("m", space, {"by": "one"}).version
    save_encoder(network(), folder / "artifact")
    parent = Parent(old.ref, "declared", Contract(ContractKind.PREFIX, DIM))
    new = registry.register("m", folder / "artifact", parents=[parent]).version
    registry.galleries.create("g", "m@1")
    rng = np.random.default_rng(0)
    for start in range(0, n, 250_000):
        ids = np.arange(start, min(start + 250_000, n))
        vectors = rng.standard_normal((len(ids), DIM), dtype=np.float32)
        registry.galleries.add("g", Embeddings(ids, vectors, old), trust_space=True)
    registry.galleries.seal("g")
    certify(registry, old, new, n)
    return registry


def network() -> Encoder:
    """Return the demo's encoder, with random weights."""
    backbone = build_backbone("small_convnet", {"dim": DIM})
    return Encoder(
        backbone,
        dim=DIM,
        preprocessing=Preprocessing(),
        normalised=True,
        backbone_name="small_convnet",
        backbone_options={"dim": DIM},
    ).eval()


def certify(registry: Registry, old: ModelVersion, new: ModelVersion, n: int) -> None:
    """Record a certificate; what it rests on does not matter to the cost of promotion."""
    now = datetime.now(UTC)
    evidence = bytes(1_000_000)
    policy = Policy()
    yes, no = Verdict.COMPATIBLE, Verdict.INCOMPATIBLE
    made = Certificate(
        gallery="g",
        query_version=new.ref,
        query_fingerprint=new.fingerprint,
        gallery_version=old.ref,
        gallery_fingerprint=old.fingerprint,
        baseline_version=old.ref,
        contract=Contract(ContractKind.PREFIX, DIM),
        metric="cosine",
        verdict=Verdict.COMPATIBLE,
        policy=policy.to_json(),
        findings=tuple(
            Finding("all", r.metric, r.criterion, r.margin, 0.5, 0.6, 0.05, 0.15, 2000, 100, yes)
            for r in policy.requirements
        ),
        controls=(
            Control("random model", no, no, 0.0),
            Control("rotated model", no, no, 0.0),
            Control("old model", yes, yes, 0.5),
        ),
        matrix={"m@1 -> m@1": {"all": {"mAP": 0.5}}},
        n_gallery_items=n,
        gallery_digest="",
        probe_digest="",
        evidence_digest=hashlib.sha256(evidence).hexdigest(),
        limits=("made by a benchmark",),
        environment={},
        issued_at=now,
        expires_at=now + timedelta(days=1),
        issued_by="benchmark",
        attempt=Attempt("questions", "run", 1, spent=0.03),
    )
    registry.certificates.record(made, evidence)


def promote_once(registry: Registry) -> float:
    """Return the seconds of one promotion, and roll it back."""
    began = time.perf_counter()
    registry.promote("g", "m@2")
    seconds = time.perf_counter() - began
    registry.rollback("g")
    return seconds


def backfill(n: int) -> float:
    """Return the seconds of what promotion saves: embed n images again and index them.

    The network is the demo's small one on 28x28 images; a real one costs far more.
    """
    encoder = network()
    index = faiss.IndexFlatIP(DIM)
    images = torch.rand(min(n, 2000), 1, 28, 28)
    began = time.perf_counter()
    with torch.no_grad():
        for start in range(0, n, 2000):
            index.add(encoder(images[: min(2000, n - start)]).numpy())
    return time.perf_counter() - began


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = {n: fill(Path(folder) / str(n), n) for n in options.sizes}
        for registry in made.values():
            promote_once(registry)
        rounds = [{n: promote_once(r) for n, r in made.items()} for _ in range(options.repeats)]
    medians = {n: float(np.median([r[n] for r in rounds])) for n in options.sizes}
    first = medians[options.sizes[0]]
    report(
        "promote",
        {
            "data": f"random float32, {DIM} dimensions, one sealed FAISS Flat segment; "
            "the new version has an artifact, which promotion verifies",
            "repeats": options.repeats,
            "promote_ms": {str(n): 1e3 * t for n, t in medians.items()},
            "ratio_to_smallest": {str(n): t / first for n, t in medians.items()},
            "backfill_s": {str(n): backfill(n) for n in sorted(options.sizes)[:2]},
        },
    )


if __name__ == "__main__":
    main()
