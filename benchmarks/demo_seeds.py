"""The demo's certificates over seeds of the split and of the training: is its outcome luck?

Every seed draws other characters for training, gallery and queries, and other first weights and
batches for all three models. What is reported is what `samespace certify` concludes.

Usage: python benchmarks/demo_seeds.py [--seeds 0 1 2 3 4]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import report
from cli.demo.files import write_files
from compat.probes import Labels, Probe
from compat.training_config import read_training_config
from compat.workflow.certifying import certify
from compat.workflow.embedding import embed_inputs, read_inputs
from compat.workflow.training import plan_training, train_version
from registry import Contract, ContractKind, Embeddings, ModelVersion, Registry
from registry.vector_files import read_labels


def run(seed: int, folder: Path) -> dict[str, object]:
    """Run the demo's steps with another seed and return its findings."""
    write_files(folder, seed=seed)
    with Registry.create(folder / "registry", keys=folder / "keys") as registry:
        began = time.perf_counter()
        old = train(registry, folder / "v1.toml", seed)
        registry.galleries.create("shelf", old.ref)
        registry.add("shelf", embed(registry, old, folder / "gallery.npz"))
        new = train(registry, folder / "v2.toml", seed)
        twin = train(registry, folder / "independent.toml", seed)
        seconds = time.perf_counter() - began
        pairs = [(twin.ref, old.ref), (old.ref, twin.ref)]
        registry.models.declare_contracts(pairs, Contract(ContractKind.PREFIX, old.dim))
        return {
            "seed": seed,
            "training_s": seconds,
            "compatible": outcome(registry, folder, old, new),
            "independent": outcome(registry, folder, old, twin),
        }


def train(registry: Registry, path: Path, seed: int) -> ModelVersion:
    """Train by one of the demo's configurations, with another seed."""
    path.write_text(path.read_text("utf-8").replace("seed = 0", f"seed = {seed}"), "utf-8")
    plan = plan_training(registry, read_training_config(path), directory=path.parent)
    return train_version(registry, plan).version


def embed(registry: Registry, version: ModelVersion, path: Path) -> Embeddings:
    """Embed a file of the demo."""
    return embed_inputs(registry, version, *read_inputs(path))


def outcome(
    registry: Registry, folder: Path, old: ModelVersion, new: ModelVersion
) -> list[dict[str, object]]:
    """Certify a version and return verdicts, findings and means."""
    asked, held = (read_labels(folder / f"{name}.npz") for name in ("queries", "gallery"))
    if asked.ids is None or held.ids is None:
        raise ValueError("the demo's files lack ids")
    probe = Probe(
        Labels(asked.ids, asked.labels, asked.groups),
        {v.ref: embed(registry, v, folder / "queries.npz") for v in (old, new)},
        Labels(held.ids, held.labels),
        embed(registry, new, folder / "gallery.npz"),
    )
    made = certify(registry, "shelf", new.ref, probe)
    return [
        {
            "pair": f"{m.certificate.query_version} -> {m.certificate.gallery_version}",
            "verdict": m.certificate.verdict,
            "findings": [
                f"{f.group} {f.metric} {f.baseline:.4f} -> {f.candidate:.4f} "
                f"[{f.low:+.4f}, {f.high:+.4f}] {f.verdict}"
                for f in m.certificate.findings
            ],
        }
        for m in made
    ]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(run(seed, Path(folder)))
        print(f"seed {seed} done", flush=True)
    report("demo_seeds", {"data": "Omniglot as in the demo, default policy", "runs": rows})


if __name__ == "__main__":
    main()
