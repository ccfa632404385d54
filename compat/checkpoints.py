"""Checkpoints of a training run: one safetensors file, replaced as a whole.

Tensors stand under ``encoder.``, ``objective.`` and ``optimizer.``; the epoch and the run's digest
stand in the file's own metadata, as JSON. No state of a random generator is kept, because each
epoch's generators are seeded from the run's seed and the epoch's number.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from registry.errors import (
    AlreadyExistsError,
    CorruptFileError,
    InvalidInputError,
    NotFoundError,
)

from .encoders import cpu_tensors
from .run_identity import RunIdentity

_KEY: Final = "samespace_checkpoint"
_FORMAT: Final = 3  # to be raised whenever files, or what a run's digest is of, change


def check_checkpoint_path(path: Path, *, is_resumed: bool) -> None:
    """Refuse what cannot become a checkpoint, before anything is trained.

    Args:
        path: where the run's checkpoints will be written.
        is_resumed: whether the run goes on from a checkpoint, and so may replace one.

    Raises:
        InvalidInputError: if it is a folder, or lies where nothing can be written.
        AlreadyExistsError: if a run that begins anew would replace the checkpoint of another.
    """
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if path.name == "" or path.is_dir() or not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise InvalidInputError(
            f"a checkpoint cannot be written to {path}",
            hint='name a file in a folder that you may write to, as checkpoint = "run.safetensors"',
        )
    if path.exists() and not is_resumed:
        raise AlreadyExistsError(
            f"there is a checkpoint {path} already, which a new run would replace",
            hint=f"--resume {path} goes on with it; to begin anew, move it away or name another",
        )


def write_checkpoint(
    path: Path,
    modules: nn.ModuleDict,
    optimizer: torch.optim.Optimizer,
    *,
    epoch: int,
    run: RunIdentity,
) -> None:
    """Write a checkpoint; a crash leaves the earlier one whole.

    Args:
        path: the file to write or replace.
        modules: ``encoder`` and ``objective``.
        optimizer: its state is kept, its settings are the run's.
        epoch: number of epochs done.
        run: what the run is, which a resuming run must share.
    """
    tensors = {**cpu_tensors(modules), **_optimizer_tensors(optimizer)}
    facts = {"format": _FORMAT, "epoch": epoch, "run": run.digest, "sketch": run.sketch}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".partial")
    save_file(tensors, fresh, metadata={_KEY: json.dumps(facts, sort_keys=True)})
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state: Mapping[int, Mapping[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{key}": value.cpu().clone(memory_format=torch.contiguous_format)
        for index, entries in state.items()
        for key, value in entries.items()
        if isinstance(value, Tensor)
    }


def read_checkpoint(
    path: Path, modules: nn.ModuleDict, optimizer: torch.optim.Optimizer, *, run: RunIdentity
) -> int:
    """Load a checkpoint into the modules and the optimizer; return the number of epochs done.

    Raises:
        NotFoundError: if there is no such file.
        CorruptFileError: if it is no checkpoint.
        InvalidInputError: if it belongs to another run, or has another format; nothing is loaded.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no checkpoint {path}", hint="train without resuming")
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            found = int(facts["format"])
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(
            f"{path} is not a training checkpoint: {error}",
            hint="name another one, or train without --resume",
        ) from error
    if found != _FORMAT:
        raise InvalidInputError(
            f"{path} is a checkpoint of format {found}, but this samespace reads format {_FORMAT}",
            hint="resume it with the samespace that wrote it, or train without --resume",
        )
    if not run.is_same(facts["run"], facts["sketch"]):
        raise InvalidInputError(
            f"{path} is the checkpoint of another run: its data, network, options, seed or first "
            "weights differ",
            hint="resume with the configuration and data that it was begun with, but for "
            "learning_rate and clip_norm, or begin anew",
        )
    weights = {n: t for n, t in tensors.items() if not n.startswith("optimizer.")}
    modules.load_state_dict(weights)
    _load_optimizer(optimizer, {n: t for n, t in tensors.items() if n.startswith("optimizer.")})
    return int(facts["epoch"])


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        _, index, key = name.split(".", 2)
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:  # in the parameter's own order in memory
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)  # noqa: PLW2901
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
