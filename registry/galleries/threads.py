"""Threads of the index back end, without its being imported by whoever sets them."""

from __future__ import annotations


def set_index_threads(n: int) -> None:
    """Let FAISS use n threads."""
    from ._faiss import set_threads  # noqa: PLC0415 -- faiss is imported when it is needed

    set_threads(n)
