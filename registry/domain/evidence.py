"""How the columns of an evidence file are called, and what stands where an id was erased."""

from __future__ import annotations

QUERY, LABEL, UNIT = "query", "label", "unit"
SEPARATOR = " | "
TOP_IDS, TOP_SCORES = "top ids", "top scores"


def erased_query(row: int) -> str:
    """Return what stands in the place of an erased query's id; no two rows share it."""
    return f"[erased {row + 1}]"
