"""The one place that sets the threads of FAISS and of torch."""

from __future__ import annotations

import torch

from registry.errors import InvalidInputError
from registry.galleries.threads import set_index_threads


def set_threads(n: int) -> None:
    """Let FAISS and torch use n threads each. FAISS is imported first, so the pools stay apart.

    Raises:
        InvalidInputError: if n is below 1.
    """
    if n < 1:
        raise InvalidInputError(f"threads must be at least 1 but got {n}")
    set_index_threads(n)
    torch.set_num_threads(n)
