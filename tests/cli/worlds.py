"""A small shop on disk: vectors of two models of which the second really is compatible."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from registry.arrays import Float32Array

OLD_DIM, NEW_DIM = 64, 96
N_CLASSES, ITEMS_EACH, QUERIES_EACH = 60, 4, 2
N_ITEMS, N_QUERIES = N_CLASSES * ITEMS_EACH, N_CLASSES * QUERIES_EACH
IDS = [f"sku-{i:04d}" for i in range(N_ITEMS)]
SIZES = (N_CLASSES, ITEMS_EACH, QUERIES_EACH)
POLICY = """
n_resamples = 400

[[requirements]]
metric = "mAP"
criterion = "superiority"

[[requirements]]
metric = "hit@1"
criterion = "non-inferiority"
margin = 0.1
"""
CERTIFY = (
    *("certify", "shop", "products@2"),
    *("--queries", "products@1=queries_old.npy", "--queries", "products@2=queries_new.npy"),
    *("--labels", "query_labels.csv", "--gallery-labels", "item_labels.csv"),
    *("--policy", "policy.toml"),
)


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        assert self.err == ""
        assert self.out.count("\n") == 1
        found: dict[str, Any] = json.loads(self.out)
        assert found["schema_version"] == 1
        assert found["exit_code"] == self.code
        return found

    @property
    def error(self) -> str:
        """The one line of an error and its hint; there is nothing else but notes before it."""
        assert self.code != 0
        assert self.out == ""
        lines = [line for line in self.err.splitlines() if not line.startswith("note: ")]
        assert lines[0].startswith("error: ")
        assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: "))
        assert "Traceback" not in self.err
        assert "fault of samespace" not in self.err
        return self.err


Run = Callable[..., Outcome]


def float32(array: Any) -> Float32Array:
    return np.ascontiguousarray(array, dtype=np.float32)


def write_files(
    folder: Path, rng: np.random.Generator, sizes: tuple[int, int, int] = SIZES
) -> None:
    """Write what `docs/how-to/your-own-vectors.md` asks for; the new model is the less noisy."""
    n_classes, items_each, queries_each = sizes
    item_classes = np.repeat(np.arange(n_classes), items_each)
    query_classes = np.repeat(np.arange(n_classes), queries_each)
    ids = [f"sku-{i:04d}" for i in range(len(item_classes))]
    spectrum = np.linspace(2, 0.3, OLD_DIM) ** 2  # directions that a model uses more and less
    centres = rng.normal(size=(n_classes, OLD_DIM)) * spectrum

    def seen(classes: Any, noise: float, more: int = 0) -> Float32Array:
        cut = centres[classes] + noise * spectrum * rng.normal(size=(len(classes), OLD_DIM))
        return float32(np.hstack([cut, rng.normal(size=(len(classes), more))]))

    np.save(folder / "items.npy", seen(item_classes, 1.0))
    np.save(folder / "queries_old.npy", seen(query_classes, 1.6))
    np.save(folder / "queries_new.npy", seen(query_classes, 0.5, NEW_DIM - OLD_DIM))
    np.save(folder / "items_new.npy", seen(item_classes, 0.5, NEW_DIM - OLD_DIM))
    np.save(folder / "queries_random.npy", float32(rng.normal(size=(len(query_classes), NEW_DIM))))
    (folder / "item_ids.txt").write_text("\n".join(ids) + "\n")
    rows = [f"{i},class-{c}" for i, c in zip(ids, item_classes, strict=True)]
    (folder / "item_labels.csv").write_text("\n".join(["id,label", *rows]) + "\n")
    labels = [f"class-{c}" for c in query_classes]
    (folder / "query_labels.csv").write_text("\n".join(["label", *labels]) + "\n")
    (folder / "policy.toml").write_text(POLICY)


def fill_shop(run: Run) -> None:
    """Register the two versions, make the gallery of the first one's vectors, and seal it."""
    made_by = ("--provider", "in-house", "--made-by")
    steps = (
        ("init",),
        ("model", "register", "products", "--dim", str(OLD_DIM), *made_by, "resnet18@1"),
        ("gallery", "create", "shop", "products@1"),
        ("gallery", "add", "shop", "--vectors", "items.npy", "--ids", "item_ids.txt"),
        ("gallery", "seal", "shop"),
        (
            *("model", "register", "products", "--dim", str(NEW_DIM), *made_by, "resnet50@1"),
            *("--compatible-with", "products@1", "--dims", str(OLD_DIM)),
        ),
    )
    for step in steps:
        found = run(*step)
        assert found.code == 0, found.err


def snapshot(folder: Path) -> dict[str, str]:
    """Return a digest of every file, and of every row of the database."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "samespace.db":
            with closing(sqlite3.connect(path)) as connection:
                found[name] = _digest("\n".join(connection.iterdump()).encode())
        elif path.is_file() and not path.name.startswith("samespace.db-"):
            found[name] = _digest(path.read_bytes())
    return found


def parts(folder: Path) -> list[Path]:
    return sorted((folder / ".samespace" / "galleries" / "shop" / "parts").iterdir())


def _digest(data: bytes) -> str:
    return hashlib.file_digest(io.BytesIO(data), "sha256").hexdigest()
