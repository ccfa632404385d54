"""Processes that train together: each has its share of every step, and all the same gradients.

Started by ``torchrun``, every process runs the same program. A step's rows are shared out, each
process computes the gradients of its own share, and their sum, weighted by the shares' sizes, is
what a single process would have computed of the whole step, up to rounding. Batch normalisation
sees the share only, and an objective that compares items of a batch with each other likewise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, distributed, nn

from registry.errors import InvalidInputError

from .devices import DeviceName, choose_device

_PIECE: Final = 8192  # rows of a table that are exchanged at once


@dataclass(frozen=True, slots=True)
class Workers:
    """The processes of a run, as one of them sees them.

    Attributes:
        rank: this process's number, from 0; only number 0 writes files.
        n: how many there are.
    """

    rank: int = 0
    n: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, n_rows: int) -> tuple[slice, float]:
        """Return which rows of a step are this process's, and their weight in the step's mean.

        A step with fewer than two rows for each process is done whole by all of them.
        """
        if n_rows < 2 * self.n:
            return slice(0, n_rows), 1 / self.n
        part = self.part(n_rows)
        return part, (part.stop - part.start) / n_rows

    def part(self, n: int) -> slice:
        """Return which of n things are this process's; it may be none."""
        begin, end = (n * k // self.n for k in (self.rank, self.rank + 1))
        return slice(begin, end)

    def add_up(self, parameters: Iterable[nn.Parameter], values: Tensor) -> Tensor:
        """Sum gradients, in place, and values over all processes; return the values' sums.

        A parameter that has a gradient in no process keeps none.

        Args:
            parameters: whose gradients to sum, the same ones in every process.
            values: numbers to sum along with them. Shape: (n_values,).
        """
        if self.n == 1:
            return values
        listed = list(parameters)
        has = values.new_tensor([p.grad is not None for p in listed], dtype=values.dtype)
        pieces = [torch.zeros_like(p) if p.grad is None else p.grad for p in listed]
        sizes = [len(values), len(listed), *(p.numel() for p in listed)]
        flat = torch.cat([values, has, *(piece.reshape(-1) for piece in pieces)])
        distributed.all_reduce(flat)
        sums, has, *gradients = torch.split(flat, sizes)
        for parameter, is_there, gradient in zip(listed, has.tolist(), gradients, strict=True):
            if is_there:
                parameter.grad = gradient.view_as(parameter).to(parameter.dtype, copy=True)
        return sums

    def complete(self, table: Tensor, device: torch.device) -> None:
        """Fill a table in place, of which each process has made some rows and left the others zero.

        It may be larger than the device: it goes there and back piece by piece.

        Args:
            table: floats, contiguous, anywhere. Shape: (n, ...).
            device: where the processes speak.
        """
        if self.n == 1:
            return
        for piece in torch.split(table, _PIECE):
            whole = piece.to(device)
            distributed.all_reduce(whole)
            piece.copy_(whole)

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the first process."""
        if self.n == 1:
            return
        with torch.no_grad():
            for tensor in tensors:
                whole = tensor.detach().contiguous()
                distributed.broadcast(whole, 0)
                tensor.copy_(whole)

    def tell(self, text: str) -> str:
        """Return the first process's text, in all of them; they wait for it."""
        if self.n == 1:
            return text
        told: list[str] = [text]
        distributed.broadcast_object_list(told, 0)
        return told[0]


def current_workers() -> Workers:
    """Return the processes that train together, which is this one alone without ``torchrun``.

    Raises:
        InvalidInputError: if ``torchrun`` started several that do not know each other yet.
    """
    if distributed.is_available() and distributed.is_initialized():
        return Workers(distributed.get_rank(), distributed.get_world_size())
    if _n_started() > 1:
        raise InvalidInputError(
            f"{_n_started()} processes were started that do not know each other",
            hint="train within 'with compat.workers.joined(device):'",
        )
    return Workers()


@contextmanager
def joined(device: DeviceName = "auto") -> Iterator[Workers]:
    """Let the processes that ``torchrun`` started find each other, and part after the block.

    Without ``torchrun``, or where they have found each other already, it does nothing.

    Args:
        device: where training runs: processes with GPUs, one each, speak by NCCL, others by gloo.
    """
    is_joined = distributed.is_available() and distributed.is_initialized()
    if _n_started() == 1 or is_joined:
        yield current_workers()
        return
    kind = choose_device(device).type
    if kind == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield current_workers()
        # Who leaves first closes connections that the others' threads may still be busy with, and
        # gloo then ends a process that has done its work by an abort.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def _n_started() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
