"""Queries that are in the training data, as people and scripts see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compat.leaks import Leak, Leaks
    from registry.domain.canonical import Json

_MOST = 5


def leaked_ids(leaks: Leaks) -> list[Json]:
    """Return the ids of the queries that are in the training data, the nearest first."""
    return [leak.query for leak in leaks.leaks]


def leak_lines(leaks: Leaks | None) -> list[str]:
    """Return what a person is told; nothing if no training data were looked through."""
    if leaks is None:
        return []
    if not leaks.leaks:
        return [f"{leaks}"]
    named = ", ".join(_named(leak) for leak in leaks.leaks[:_MOST])
    more = ", …" if leaks.leaks[_MOST:] else ""
    return [
        f"{leaks}",
        f"  {named}{more}",
        "  leave such queries out (--json names all); a policy may accept a share: max_leaked",
    ]


def _named(leak: Leak) -> str:
    if leak.cosine is None:
        return repr(leak.query)
    return f"{leak.query!r} (training row {leak.row}, cosine {leak.cosine:.4f})"
