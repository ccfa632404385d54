"""Make the golden registry of the present schema: run once for each revision that is released.

    python -m tests.migrations.create_golden

It writes ``assets/<revision>.db`` and, beside it, the files that its rows name and the public key
that signed it, ``assets/<revision>.pem``; the private one is gone when it is done. A golden
database is never made again for an old revision: that it was made by the code of its time is the
point.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from compat.probe_files import Questions
from compat.probes import Labels
from compat.workflow.probe_sets import register_questions
from registry import Registry
from registry.db import schema
from registry.domain.attempts import Attempt
from registry.domain.slots import Side
from registry.keys import KeyRing
from tests.conftest import declared
from tests.registry.service.builders import artifact, certify, compatible, embedded

ASSETS = Path(__file__).parent / "assets"
FAR = datetime(2200, 1, 1, tzinfo=UTC)
QUESTIONS = Questions(
    Labels(np.array(["q1", "q2", "q3"]), np.array([0, 1, 1]), np.array(["new", "new", "old"])),
    Labels(np.arange(20), np.arange(20) % 2),
)


class Clock:
    """A minute passes whenever it is asked."""

    now = datetime(2026, 5, 1, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def build(folder: Path, keys: Path) -> None:
    """Make a small registry in which everything happened once."""
    with Registry.create(folder, actor="golden", clock=Clock(), keys=keys) as registry:
        first = declared(registry, "products", "one")
        second = compatible(registry, "two", first, dim=12)
        registry.galleries.create("shop", first.ref)
        registry.add("shop", embedded(first, range(12)))
        registry.galleries.seal("shop")
        registry.add("shop", embedded(first, range(12, 20)))
        register_questions(registry, "spring", "shop", QUESTIONS)
        early = certify(registry, "shop", second.ref, first.ref, expires_at=FAR)
        registry.certificates.revoke(early, "to have one")
        asked = registry.probes.get("spring")
        certify(
            registry,
            "shop",
            second.ref,
            first.ref,
            expires_at=FAR,
            attempt=Attempt(asked.facts.questions, "run", 1),
            probe_set=asked.named,
        )
        registry.promote("shop", second.ref)
        registry.add("shop", embedded(second, [100, 101]))
        registry.galleries.delete("shop", np.array([3, 101]))
        certify(registry, "shop", first.ref, second.ref, expires_at=FAR)
        registry.rollback("shop", reason="to have one")
        registry.promote("shop", second.ref)
        with tempfile.TemporaryDirectory() as scratch:
            registry.register("tiny", artifact(Path(scratch) / "tiny"), training={"epochs": 3})
        registry.slots.assign("tiny", ["cat", "dog"], n_slots=8)
        registry.slots.assign("tiny", [7, 9], supplier="hub", side=Side.BOTTOM)
        registry.galleries.create("names", "tiny@1")
        registry.add("names", embedded(registry.models.get("tiny@1"), ["zoë", "模型"]))


def main() -> None:
    """Write the assets of the present revision."""
    revision = schema.head_revision()
    database, files = ASSETS / f"{revision}.db", ASSETS / revision
    with tempfile.TemporaryDirectory() as scratch:
        folder, keys = Path(scratch) / "golden", Path(scratch) / "keys"
        build(folder, keys)
        connection = sqlite3.connect(folder / "samespace.db")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA page_size=1024")
        connection.execute("VACUUM")
        connection.close()
        ASSETS.mkdir(exist_ok=True)
        shutil.rmtree(files, ignore_errors=True)
        shutil.copy(folder / "samespace.db", database)
        database.with_suffix(".pem").write_bytes(KeyRing(keys).signing.public.to_pem())
        for name in ("models", "galleries", "probes", "certificates"):
            shutil.copytree(folder / name, files / name)


if __name__ == "__main__":
    main()
