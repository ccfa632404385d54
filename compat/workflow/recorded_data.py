"""Whether files are what a version was trained on, by the digest in its training record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compat.training_data import read_training_data
from registry.domain.versions import ModelVersion

from .record import digest_data


def is_recorded_data(version: ModelVersion, files: Sequence[Path]) -> bool | None:
    """Return whether files of raw data are what a version's training record names, by digest.

    None if that cannot be told: the version has no such record, was trained on another version's
    features, or on a part of what was rehearsed.

    Args:
        version: the version.
        files: the data, and behind them what was rehearsed, as `samespace train` takes them.

    Raises:
        InvalidInputError: if a file lacks inputs or labels that can be trained on.
    """
    record = version.training
    is_part = record.get("rehearsal_per_class") is not None
    if not isinstance(record.get("data"), str) or record.get("head_only") or is_part:
        return None
    if len(files) != 1 + bool(record.get("n_rehearsed")):
        return False
    data = read_training_data(files[0], rehearsal=files[1] if files[1:] else None)
    return digest_data(data) == record["data"]
