"""Segments on disk, made for tests without a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from registry.arrays import Float32Array, LabelArray
from registry.domain.contracts import Contract, ContractKind
from registry.domain.galleries import IndexSpec, Metric, Part, Segment, SegmentState
from registry.domain.refs import VersionRef
from registry.galleries import storage
from registry.galleries.catalog import load_backend
from registry.galleries.segments import SegmentReader

EXACT = IndexSpec("exact")
Batch = tuple[LabelArray, Float32Array]


@dataclass(frozen=True)
class Maker:
    """Writes and opens segments of one gallery under a folder."""

    root: Path
    metric: Metric = Metric.COSINE
    spec: IndexSpec = EXACT

    def segment(
        self, batches: Sequence[Batch], *, number: int = 1, sealed: bool = False
    ) -> Segment:
        parts = []
        for place, (ids, vectors) in enumerate(batches, 1):
            name = f"{number}/{place}.arrow"
            file = storage.write_part(self.root, name, ids, vectors, metadata={})
            parts.append(Part(place, file, len(ids)))
        index = None
        if sealed:
            blocks = [vectors for _, vectors in batches]
            built = load_backend(self.spec.backend).build(
                blocks, dim=blocks[0].shape[1], metric=self.metric, spec=self.spec
            )
            index = storage.write_index(self.root, f"{number}/index", built)
        state = SegmentState.SEALED if sealed else SegmentState.OPEN
        return Segment(number, VersionRef("m", number), state, tuple(parts), index)

    def open(self, segment: Segment, dim: int, deleted: Sequence[int] = ()) -> SegmentReader:
        return SegmentReader.open(
            segment,
            root=self.root,
            dim=dim,
            metric=self.metric,
            spec=self.spec,
            deleted=np.array(deleted, np.int64),
        )

    def reader(
        self,
        batches: Sequence[Batch],
        *,
        number: int = 1,
        sealed: bool = False,
        deleted: Sequence[int] = (),
    ) -> SegmentReader:
        segment = self.segment(batches, number=number, sealed=sealed)
        return self.open(segment, batches[0][1].shape[1], deleted)


def same_space(dim: int) -> Contract:
    return Contract(ContractKind.SAME_SPACE, dim)


def prefix(dims: int) -> Contract:
    return Contract(ContractKind.PREFIX, dims)


def texts(*names: str) -> LabelArray:
    return np.array(names, dtype=object)
