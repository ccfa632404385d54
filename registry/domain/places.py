"""Places: what the queries of a finding searched."""

from __future__ import annotations

# the old vectors exactly, those by the gallery's own index, or a mixed gallery, of which each share
# is a place of its own
ON_OLD, ON_SERVED, ON_MIXED = "old", "served", "mixed"


def mixed_place(share: float) -> str:
    """Return the name of a gallery of which that share is embedded again, as a place."""
    return f"{ON_MIXED} {share:.0%}"
